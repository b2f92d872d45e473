"""Sorting, and what is read off a sorted tensor: the k-th elements, medians, modes and quantiles."""

from __future__ import annotations

import math
from typing import Any

import numpy

from ..autograd.primitive import BIND
from ..autograd.value import backend_under, is_mapped, unwrap
from ..backend.base import guarded
from ..backend.dtypes import float32, is_floating, is_half
from ..ops import elementwise, gather, index, reduce, scan
from ..ops import sort as sort_ops
from .arguments import numpy_names, one_dim
from .reduction import Selected, cast, needs_floats, scalars_too
from .shape import flatten, reshape, unsqueeze


@numpy_names
@scalars_too
def sort(x: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """(values, indices) of x sorted along a dimension. NaN counts as largest; equal elements keep their order."""
    d = one_dim("sort", x, dim)
    order = sort_ops.argsort(x, axis=d, descending=descending)
    return Selected(gather.take_along(x, order, axis=d), order)


@numpy_names
@scalars_too
def argsort(x: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """The indices that sort x along a dimension; equal elements always keep their order."""
    return sort_ops.argsort(x, axis=one_dim("argsort", x, dim), descending=descending)


def msort(x: Any) -> Any:
    """x sorted along its first dimension."""
    return sort(x, 0).values


@numpy_names
@scalars_too
def topk(x: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """(values, indices) of the k largest (or smallest) elements along a dimension, in order whatever `sorted` says."""
    d = one_dim("topk", x, dim)
    if not 0 <= k <= x.shape[d]:
        raise ValueError(f"[topk] k is {k}, and dim {dim} of x {tuple(x.shape)} has {x.shape[d]} elements")
    order = sort_ops.argsort(x, axis=d, descending=largest)
    order = index.getitem(order, spec=(*((None, None, None),) * d, (0, k, None)))
    return Selected(gather.take_along(x, order, axis=d), order)


def _picked(x: Any, at: Any, d: int, keepdim: bool) -> Selected:
    """The elements of x at one place per row, and these places."""
    values = index.pick(x, at, axis=d)
    return Selected(unsqueeze(values, d), unsqueeze(at, d)) if keepdim else Selected(values, at)


def _nonempty(op: str, x: Any, d: int) -> None:
    if not x.shape[d]:
        raise IndexError(f"[{op}] over dim {d} of size 0 has no value (x {tuple(x.shape)})")


@numpy_names
@scalars_too
def kthvalue(x: Any, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """(values, indices) of the k-th smallest elements along a dimension, counted from 1."""
    d = one_dim("kthvalue", x, dim)
    _nonempty("kthvalue", x, d)
    if not 1 <= k <= x.shape[d]:
        raise ValueError(f"[kthvalue] k is {k}, and dim {dim} of x {tuple(x.shape)} has {x.shape[d]} elements")
    order = sort_ops.argsort(x, axis=d)
    return _picked(x, index.getitem(order, spec=(*((None, None, None),) * d, k - 1)), d, keepdim)


def _middle(op: str, x: Any, d: int, ignore: bool) -> Any:
    """The place of each row's median, the lower of two; of its first NaN, unless those are ignored."""
    _nonempty(op, x, d)
    order, n = sort_ops.argsort(x, axis=d), x.shape[d]
    if not is_floating(x.dtype):
        return index.getitem(order, spec=(*((None, None, None),) * d, (n - 1) // 2))
    nans = reduce.sum(elementwise.isnan(x), axis=d)
    if ignore:
        last = elementwise.maximum(elementwise.subtract(n - 1, nans), 0)
        at = elementwise.astype(elementwise.divide(last, 2), dtype="int64")
    else:
        at = elementwise.where(elementwise.equal(nans, 0), (n - 1) // 2, elementwise.subtract(n, nans))
    return index.pick(order, at, axis=d)


@scalars_too
def _median_along(x: Any, op: str, dim: int, keepdim: bool, ignore: bool) -> Selected:
    d = one_dim(op, x, dim)
    return _picked(x, _middle(op, x, d, ignore), d, keepdim)


def _median(op: str, x: Any, dim: int | None, keepdim: bool, ignore: bool) -> Any:
    if dim is not None:
        return _median_along(x, op, dim, keepdim, ignore)
    if not math.prod(x.shape) and is_floating(x.dtype):
        return reduce.sum(x) * math.nan
    flat = flatten(x)
    value = index.pick(flat, _middle(op, flat, 0, ignore), axis=0)
    if not is_floating(x.dtype):
        return value
    # equal elements share the gradient, as they do in amax
    same = elementwise.logical_or(
        elementwise.equal(flat, value), elementwise.logical_and(elementwise.isnan(flat), elementwise.isnan(value))
    )
    high, low = elementwise.where(same, flat, -math.inf), elementwise.where(same, flat, math.inf)
    return elementwise.where(elementwise.equal(value, -math.inf), reduce.amin(low), reduce.amax(high))


@numpy_names
def median(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """median(x): the lower of the two middle elements, whose gradient equal ones share. median(x, dim): (values,
    indices) along a dimension. NaN where there is one."""
    return _median("median", x, dim, keepdim, False)


@numpy_names
def nanmedian(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """`median` of the elements that are not NaN; NaN where there are none."""
    return _median("nanmedian", x, dim, keepdim, True)


@numpy_names
@scalars_too
def mode(x: Any, dim: int = -1, keepdim: bool = False) -> Any:
    """(values, indices) of the most frequent element along a dimension: the smallest of several, in its last place."""
    d = one_dim("mode", x, dim)
    _nonempty("mode", x, d)
    order = sort_ops.argsort(x, axis=d)
    ordered = gather.take_along(x, order, axis=d)
    places = _arange(x, x.shape[d], (-1, *(1,) * (x.ndim - d - 1)))
    before = (*((None, None, None),) * d,)
    changes = elementwise.not_equal(
        index.getitem(ordered, spec=(*before, (1, None, None))), index.getitem(ordered, spec=(*before, (0, -1, None)))
    )
    first = index.getitem(elementwise.zeros_like(order), spec=(*before, (0, 1, None)))
    starts = BIND.cat(first, elementwise.where(changes, BIND.getitem(places, spec=((1, None, None),)), 0), axis=d)
    seen = elementwise.subtract(places, scan.cummax(starts, axis=d)[0])
    return _picked(x, index.pick(order, reduce.max(seen, axis=d)[1], axis=d), d, keepdim)


def _arange(x: Any, n: int, shape: tuple[int, ...]) -> Any:
    return backend_under(x).from_host(numpy.arange(n).reshape(shape))


INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


def _check_quantile(op: str, x: Any, q: Any, interpolation: str) -> None:
    if interpolation not in INTERPOLATIONS:
        raise ValueError(f"[{op}] interpolation must be one of {INTERPOLATIONS}, got {interpolation!r}")
    needs_floats(op, x)
    if not math.prod(x.shape):
        raise ValueError(f"[{op}] of an empty tensor has no value (x {tuple(x.shape)})")
    if isinstance(q, (int, float)):
        inside = 0 <= q <= 1
    elif not hasattr(q, "dtype"):
        raise TypeError(f"[{op}] q must be a number or a tensor, got {q!r}")
    elif q.ndim > 1 or q.dtype != x.dtype:
        raise ValueError(
            f"[{op}] q must be a number, or a 0-d or 1-d tensor of x's dtype {x.dtype} (q {tuple(q.shape)} {q.dtype})"
        )
    else:
        with guarded(backend_under(q)):
            inside = is_mapped(q) or bool(((unwrap(q) >= 0) & (unwrap(q) <= 1)).all())
    if not inside:
        raise ValueError(f"[{op}] q must be between 0 and 1, got {q}")


def _quantile(op: str, x: Any, q: Any, dim: int | None, keepdim: bool, interpolation: str, ignore: bool) -> Any:
    _check_quantile(op, x, q, interpolation)
    q = float(q) if isinstance(q, (int, float)) else q  # numpy.float64 has a dtype, which should not count
    if is_half(x.dtype):
        q = cast(q, float32) if hasattr(q, "dtype") else q
        return cast(_quantile(op, cast(x, float32), q, dim, keepdim, interpolation, ignore), x.dtype)
    if dim is None or not x.ndim:
        if dim is not None:
            one_dim(op, reshape(x, 1), dim)
        rows, kept = flatten(x), (1,) * x.ndim
    else:
        d = one_dim(op, x, dim)
        rows = BIND.transpose(x, axes=(*[i for i in range(x.ndim) if i != d], d))
        kept = tuple([1 if i == d else n for i, n in enumerate(x.shape)])
    axis, n, several = rows.ndim - 1, rows.shape[-1], hasattr(q, "dtype") and q.ndim == 1
    shape = kept if keepdim else tuple(rows.shape[:-1])
    nans = reduce.sum(elementwise.isnan(rows), axis=axis, keepdims=True)
    ranks = reshape(q, -1) if hasattr(q, "dtype") else backend_under(x).from_host(numpy.asarray([q], x.dtype))
    if ignore:
        last = cast(elementwise.maximum(elementwise.subtract(n - 1, nans), 0), x.dtype)
    else:
        ranks, last = elementwise.where(elementwise.equal(nans, 0), ranks, 1.0), float(n - 1)
    at = elementwise.multiply(ranks, last)
    found = _interpolated(sort(rows, axis).values, at, axis, interpolation)
    if not several:
        return reshape(found, shape)
    return reshape(BIND.transpose(found, axes=(axis, *range(axis))), (q.shape[0], *shape))


def _interpolated(ordered: Any, at: Any, axis: int, interpolation: str) -> Any:
    """What is at places (..., Q), some of them between two, along the last axis of `ordered` (..., n)."""
    below = elementwise.astype(at, dtype="int64")
    weight = elementwise.subtract(at, elementwise.astype(below, dtype=at.dtype))
    above = elementwise.add(below, elementwise.greater(weight, 0))
    if interpolation == "nearest":  # halves go to the even place, as rounding has it
        halved = elementwise.astype(elementwise.divide(below, 2), dtype="int64")
        odd = elementwise.not_equal(elementwise.multiply(halved, 2), below)
        half = elementwise.logical_and(elementwise.equal(weight, 0.5), odd)
        below = elementwise.where(elementwise.logical_or(elementwise.greater(weight, 0.5), half), above, below)
    low = gather.take_along(ordered, above if interpolation == "higher" else below, axis=axis)
    if interpolation not in ("linear", "midpoint"):
        return low
    high = gather.take_along(ordered, above, axis=axis)
    if interpolation == "midpoint":
        return high - (high - low) * 0.5
    step, nearer, rest = high - low, elementwise.less(weight, 0.5), elementwise.subtract(1.0, weight)
    return elementwise.where(nearer, low + step * weight, high - step * rest)


@numpy_names
def quantile(
    x: Any, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Any:  # fmt: skip
    """The q-th quantiles, q in [0, 1], along a dimension or of all elements: the element at place q (n - 1) in order.

    q              a number, or a tensor (Q,): the result then has Q as its first dimension
    interpolation  what is between two places: "linear", "lower", "higher", "midpoint", "nearest"
    """
    return _quantile("quantile", x, q, dim, keepdim, interpolation, False)


@numpy_names
def nanquantile(
    x: Any, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Any:  # fmt: skip
    """`quantile` of the elements that are not NaN; NaN where there are none."""
    return _quantile("nanquantile", x, q, dim, keepdim, interpolation, True)


__all__ = [
    "argsort", "kthvalue", "median", "mode", "msort", "nanmedian", "nanquantile", "quantile", "sort", "topk",
]  # fmt: skip
