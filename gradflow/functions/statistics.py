"""Counting and searching: distinct elements, histograms, places in sorted sequences; covariances."""

from __future__ import annotations

import math
from typing import Any

import numpy

from ..autograd.primitive import BIND
from ..autograd.value import TransformError, backend_under, is_mapped, unwrap
from ..backend.base import guarded
from ..backend.dtypes import float64, get_default_dtype, int32, is_floating
from ..ops import elementwise, gather, index, reduce
from ..ops import sort as sort_ops
from .arguments import numpy_names, one_dim
from .reduction import amax, amin, cast, in_float32, mean, needs_floats
from .shape import flatten, reshape, unsqueeze
from .shape import transpose as _transpose


def _refuse_mapped(op: str, *operands: Any) -> None:
    """Results whose shape depends on the numbers cannot be stacked."""
    if any(is_mapped(x) for x in operands):
        raise TransformError(f"[{op}] vmap maps over an operand, and the result's shape may differ per example")


def _distinct(op: str, x: Any, inverse: bool, counts: bool, dim: int | None, consecutive: bool) -> Any:
    _refuse_mapped(op, x)
    axis = None if dim is None else one_dim(op, x, dim)
    if axis is not None and x.shape[axis] and not math.prod(x.shape):
        raise ValueError(f"[{op}] slices along dim {dim} hold nothing to compare (x {tuple(x.shape)})")
    values, places, many = sort_ops.distinct(x, axis=axis, consecutive=consecutive)
    found = (values, *([places] if inverse else []), *([many] if counts else []))
    return found if len(found) > 1 else values


@numpy_names
def unique(
    x: Any, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The distinct elements of x, or its distinct slices along a dimension, in order whatever `sorted` says; then, if
    asked for, `inverse` with unique[inverse] = x, and how often each is there. Each NaN is distinct. No gradient."""
    return _distinct("unique", x, return_inverse, return_counts, dim, False)


@numpy_names
def unique_consecutive(
    x: Any, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:  # fmt: skip
    """x with each run of equal elements (or of equal slices along a dimension) as one; see `unique`."""
    return _distinct("unique_consecutive", x, return_inverse, return_counts, dim, True)


def bincount(x: Any, weights: Any = None, minlength: int = 0) -> Any:
    """How often each number is in x (N,), integers from 0: (max(x) + 1,), or (minlength,) if that is more. With weights
    (N,): the sum of the weights of each."""
    _refuse_mapped("bincount", x, weights)
    if x.ndim != 1 or x.dtype.kind not in "iu":
        raise ValueError(f"[bincount] needs a 1-d tensor of integers, got {tuple(x.shape)} {x.dtype}")
    if weights is not None and tuple(weights.shape) != tuple(x.shape):
        raise ValueError(f"[bincount] weights {tuple(weights.shape)} must have the shape of x {tuple(x.shape)}")
    if minlength < 0:
        raise ValueError(f"[bincount] minlength must not be negative, got {minlength}")
    size = minlength
    if x.shape[0]:
        with guarded(backend_under(x)):
            low, high = int(unwrap(x).min()), int(unwrap(x).max())
        if low < 0:
            raise ValueError(f"[bincount] needs integers from 0, got {low}")
        size = max(minlength, high + 1)
    x = elementwise.astype(x, dtype="int64")
    if weights is None:
        weights = elementwise.ones_like(x)
    elif weights.dtype != "float32":
        weights = cast(weights, float64)
    return index.scatter_add(weights, x, spec=(index.ARRAY,), shape=(size,))


def histc(x: Any, bins: int = 100, min: float = 0, max: float = 0) -> Any:
    """How many elements of x are in each of `bins` equal parts of [min, max]; of x's own range, if both are equal.

    What is outside, NaN too, is not counted. The counts are of x's dtype.
    """
    needs_floats("histc", x)
    if bins <= 0 or max < min:
        raise ValueError(f"[histc] needs bins > 0 and min <= max, got bins={bins}, min={min}, max={max}")
    x = flatten(x)
    low, high = float(min), float(max)
    if low == high and x.shape[0]:
        _refuse_mapped("histc", x)
        low, high = float(unwrap(amin(x)).item()), float(unwrap(amax(x)).item())
    if low == high:
        low, high = low - 1.0, high + 1.0
    if not numpy.isfinite([low, high]).all():
        raise ValueError(f"[histc] the range from {low} to {high} is not finite")
    inside = elementwise.logical_and(elementwise.greater_equal(x, low), elementwise.less_equal(x, high))
    z = elementwise.where(inside, x, low)
    at = elementwise.astype((z - low) / (high - low) * float(bins), dtype="int64")
    at = elementwise.minimum(at, bins - 1)  # the right edge belongs to the last part
    return index.scatter_add(elementwise.astype(inside, dtype=x.dtype), at, spec=(index.ARRAY,), shape=(bins,))


def _search(op: str, ordered: Any, x: Any, right: bool, out_int32: bool) -> Any:
    if not hasattr(x, "dtype"):
        x = backend_under(ordered).from_host(numpy.asarray(x, ordered.dtype if is_floating(ordered.dtype) else None))
    if not ordered.ndim or (ordered.ndim > 1 and tuple(ordered.shape[:-1]) != tuple(x.shape[:-1])):
        raise ValueError(
            f"[{op}] the sorted sequences must be 1-d, or have the other dimensions of the values (sequences "
            f"{tuple(ordered.shape)}, values {tuple(x.shape)})"
        )
    rows = x if x.ndim else reshape(x, 1)
    if ordered.ndim == 1:
        ordered = reshape(ordered, (1,) * (rows.ndim - 1) + (ordered.shape[0],))
    found = sort_ops.searchsorted(ordered, rows, right=right)
    return cast(found if x.ndim else reshape(found, ()), int32 if out_int32 else None)


def searchsorted(
    sorted_sequence: Any, input: Any, *, out_int32: bool = False, right: bool = False, side: str | None = None,
    sorter: Any = None,
) -> Any:  # fmt: skip
    """Where the values of `input` (..., m) belong in sorted sequences (..., n) or (n,): how many elements of the
    sequence are less, or at most as large if `right`, or side="right". NaN belongs to the end.

    sorter: the indices that sort the sequences, where they are not sorted.
    """
    if side not in (None, "left", "right") or (side == "left" and right):
        raise ValueError(f"[searchsorted] side must be 'left' or 'right' and agree with right, got {side!r}, {right}")
    if sorter is not None:
        if tuple(sorter.shape) != tuple(sorted_sequence.shape):
            raise ValueError(
                f"[searchsorted] sorter {tuple(sorter.shape)} must have the shape of the sequences "
                f"{tuple(sorted_sequence.shape)}"
            )
        sorted_sequence = gather.take_along(sorted_sequence, sorter, axis=sorted_sequence.ndim - 1)
    return _search("searchsorted", sorted_sequence, input, right or side == "right", out_int32)


def bucketize(input: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> Any:
    """Which bucket each value falls into: how many of the sorted boundaries (n,) are less, or at most as large if
    `right`."""
    if boundaries.ndim != 1:
        raise ValueError(f"[bucketize] boundaries must be 1-d, got {tuple(boundaries.shape)}")
    return _search("bucketize", boundaries, input, right, out_int32)


def _weights(op: str, name: str, w: Any, n: int, dtype: Any) -> Any:
    if w.ndim > 1 or (w.ndim and w.shape[0] != n):
        raise ValueError(f"[{op}] {name} {tuple(w.shape)} must be (n,), of one number per observation ({n})")
    return cast(w, dtype)


@in_float32
def cov(x: Any, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Any:
    """Covariances of variables x (v, n), of n observations each -> (v, v); of one variable, (n,) or (1, n) -> ().

    fweights: how often each observation was made, integers (n,); aweights: how much each counts, floats (n,).
    """
    if x.ndim > 2:
        raise ValueError(f"[cov] needs at most 2 dimensions, got x {tuple(x.shape)}")
    x = x if is_floating(x.dtype) else cast(x, get_default_dtype())
    rows = x if x.ndim == 2 else reshape(x, (1, -1))
    n = rows.shape[1]
    w = None if fweights is None else _weights("cov", "fweights", fweights, n, x.dtype)
    if aweights is not None:
        a = _weights("cov", "aweights", aweights, n, x.dtype)
        w = a if w is None else w * a
    if w is None:
        total, center, scaled = float(n), mean(rows, 1, True), 1.0
        factor = max(total - correction, 0.0)
    else:
        total, scaled = reduce.sum(w), w
        center = unsqueeze(reduce.sum(rows * w, axis=1) / total, 1)
        lost = correction * reduce.sum(w * a) / total if aweights is not None else float(correction)
        factor = elementwise.maximum(total - lost, 0.0)
    d = rows - center
    c = BIND.matmul(d * scaled, _transpose(d, 0, 1)) / factor
    return c if rows.shape[0] != 1 else reshape(c, ())


@in_float32
def corrcoef(x: Any) -> Any:
    """Correlation coefficients of variables x (v, n), of n observations each -> (v, v), between -1 and 1."""
    if x.ndim > 2:
        raise ValueError(f"[corrcoef] needs at most 2 dimensions, got x {tuple(x.shape)}")
    c = cov(x)
    if not c.ndim:
        return c / c
    v = c.shape[0]
    deviation = elementwise.sqrt(BIND.getitem(c, *[backend_under(c).from_host(numpy.arange(v))] * 2,
                                              spec=(index.ARRAY, index.ARRAY)))  # fmt: skip
    c = c / reshape(deviation, (v, 1)) / reshape(deviation, (1, v))
    return elementwise.maximum(elementwise.minimum(c, 1.0), -1.0)


__all__ = [
    "bincount", "bucketize", "corrcoef", "cov", "histc", "searchsorted", "unique", "unique_consecutive",
]  # fmt: skip
