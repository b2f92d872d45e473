"""Reductions over dimensions, all by default."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple

import numpy

from ..backend.dtypes import as_dtype, float32, is_floating, is_half
from ..ops import elementwise, reduce
from ..ops import softmax as softmax_ops
from .arguments import Dims, many_dims, numpy_names, one_dim
from .shape import flatten, reshape, unsqueeze


class Selected(NamedTuple):
    """What max, sort and their like return."""

    values: Any
    indices: Any


class MinMax(NamedTuple):
    """What aminmax returns."""

    min: Any
    max: Any


def scalars_too(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function of x along a dimension take a 0-d tensor as if it had one dimension, as PyTorch does."""

    @wraps(function)
    def call(x: Any, *args: Any, **options: Any) -> Any:
        if x.ndim:
            return function(x, *args, **options)
        out = function(reshape(x, 1), *args, **options)
        parts = [reshape(y, ()) if tuple(y.shape) == (1,) else y for y in (out if isinstance(out, tuple) else (out,))]
        return type(out)(*parts) if isinstance(out, tuple) else parts[0]

    return call


def in_float32(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compute 16-bit floats in float32: their sums and squares leave the range of 16 bits."""

    @wraps(function)
    def call(x: Any, *args: Any, **options: Any) -> Any:
        if options.get("dtype") is not None or not is_half(x.dtype):
            return function(x, *args, **options)
        out = function(elementwise.astype(x, dtype=float32), *args, **options)
        if isinstance(out, tuple):
            return tuple([elementwise.astype(y, dtype=x.dtype) for y in out])
        return elementwise.astype(out, dtype=x.dtype)

    return call


def dims_of(op: str, x: Any, dim: Dims) -> tuple[int, ...] | None:
    """`many_dims`, where a 0-d tensor has one dimension, as PyTorch has it."""
    if dim is None or x.ndim:
        return many_dims(op, x, dim)
    many_dims(op, reshape(x, 1), dim)
    return None


def cast(x: Any, dtype: Any) -> Any:
    """x in a dtype; x itself where `dtype` is None or x's."""
    return x if dtype is None or as_dtype(dtype) == x.dtype else elementwise.astype(x, dtype=as_dtype(dtype))


def count_of(x: Any, dims: tuple[int, ...] | None) -> int:
    """How many elements a reduction over dimensions joins."""
    return math.prod([x.shape[d] for d in (range(x.ndim) if dims is None else dims)])


def needs_floats(op: str, x: Any) -> None:
    if not is_floating(x.dtype):
        raise TypeError(f"[{op}] needs a floating tensor, got {x.dtype}; convert it with .float()")


def _unless_empty(op: str, x: Any, dims: tuple[int, ...] | None) -> None:
    if not count_of(x, dims):
        over = "an empty tensor" if dims is None else f"dimensions of size 0 ({dims})"
        raise ValueError(f"[{op}] over {over} has no value (x {tuple(x.shape)})")


# -- sums -----------------------------------------------------------------------------------------------------------


@numpy_names
def sum(x: Any, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Sum over dimensions, all by default. Integers and booleans are summed in int64, or cast to `dtype` before."""
    dims = None if dim is None else dims_of("sum", x, dim)
    if dtype is None:
        return reduce.sum(x, axis=dims, keepdims=keepdim)
    return cast(reduce.sum(cast(x, dtype), axis=dims, keepdims=keepdim), dtype)


@numpy_names
def prod(x: Any, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Product over dimensions, all by default. Integers and booleans are multiplied in int64."""
    return cast(reduce.prod(cast(x, dtype), axis=dims_of("prod", x, dim), keepdims=keepdim), dtype)


@numpy_names
def mean(x: Any, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Mean over dimensions, all by default: NaN over none."""
    dims = dims_of("mean", x, dim)
    if dtype is not None:
        return mean(cast(x, dtype), dim, keepdim)
    if is_half(x.dtype):  # their sums leave the range of 16 bits
        return cast(mean(cast(x, float32), dim, keepdim), x.dtype)
    if not is_floating(x.dtype):
        raise TypeError(f"[mean] needs a floating tensor, got {x.dtype}; pass dtype=gf.float32")
    return reduce.sum(x, axis=dims, keepdims=keepdim) / float(count_of(x, dims))


@numpy_names
def nansum(x: Any, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Sum of the elements that are not NaN."""
    return sum(_without_nan(cast(x, dtype)), dim, keepdim, dtype=dtype)


@numpy_names
@in_float32
def nanmean(x: Any, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Mean of the elements that are not NaN."""
    x = cast(x, dtype)
    needs_floats("nanmean", x)
    count = reduce.sum(elementwise.equal(x, x), axis=dims_of("nanmean", x, dim), keepdims=keepdim)
    return sum(_without_nan(x), dim, keepdim) / cast(count, x.dtype)


def _without_nan(x: Any) -> Any:
    return elementwise.where(elementwise.isnan(x), 0, x) if is_floating(x.dtype) else x


@numpy_names
def count_nonzero(x: Any, dim: Dims = None) -> Any:
    """How many elements over dimensions are not zero."""
    return reduce.sum(elementwise.not_equal(x, 0), axis=dims_of("count_nonzero", x, dim))


# -- variances ------------------------------------------------------------------------------------------------------


def _spread(op: str, x: Any, dim: Any, unbiased: bool | None, keepdim: bool, correction: float | None) -> Any:
    """(variance, mean); the mean keeps its dimensions."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if unbiased is not None and correction is not None:
        raise TypeError(f"[{op}] give unbiased or correction, not both")
    needs_floats(op, x)
    if correction is None:
        correction = 0 if unbiased is False else 1
    dims = dims_of(op, x, dim)
    count = count_of(x, dims)
    center = reduce.sum(x, axis=dims, keepdims=True) / float(count)
    d = x - center
    return reduce.sum(d * d, axis=dims, keepdims=keepdim) / float(builtins.max(count - correction, 0)), center


def root(x: Any) -> Any:
    """sqrt(x) whose gradient at 0 is 0."""
    zero = elementwise.equal(x, 0)
    return elementwise.where(zero, 0, elementwise.sqrt(elementwise.where(zero, 1, x)))


@numpy_names
@in_float32
def var(
    x: Any, dim: Dims = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float | None = None
) -> Any:
    """Variance over dimensions: sum((x - mean)^2) / (n - correction), with correction 1, or 0 if unbiased=False."""
    return _spread("var", x, dim, unbiased, keepdim, correction)[0]


@numpy_names
@in_float32
def std(
    x: Any, dim: Dims = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float | None = None
) -> Any:
    """Standard deviation over dimensions, the root of `var`; where it is 0, so is its gradient."""
    return root(_spread("std", x, dim, unbiased, keepdim, correction)[0])


@numpy_names
@in_float32
def var_mean(
    x: Any, dim: Dims = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float | None = None
) -> Any:
    """(variance, mean) over dimensions; see `var`."""
    variance, center = _spread("var_mean", x, dim, unbiased, keepdim, correction)
    return variance, reshape(center, variance.shape)


@numpy_names
@in_float32
def std_mean(
    x: Any, dim: Dims = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float | None = None
) -> Any:
    """(standard deviation, mean) over dimensions; see `std`."""
    variance, center = _spread("std_mean", x, dim, unbiased, keepdim, correction)
    return root(variance), reshape(center, variance.shape)


# -- extremes -------------------------------------------------------------------------------------------------------


def _extreme(op: str, along: Any, over: Any, pairwise: Any, x: Any, dim: Any, keep: bool) -> Any:
    if dim is None:
        if keep:
            raise TypeError(f"[{op}] keepdim needs a dim; a{op}(x, keepdim=True) keeps all dimensions")
        _unless_empty(op, x, None)
        return over(x, axis=None)
    if hasattr(dim, "dtype") and not isinstance(dim, numpy.integer):
        return pairwise(x, dim)
    return _extreme_along(x, op, along, dim, keep)


@scalars_too
def _extreme_along(x: Any, op: str, along: Any, dim: int, keep: bool) -> Selected:
    d = one_dim(op, x, dim)
    _unless_empty(op, x, (d,))
    values, indices = along(x, axis=d)
    return Selected(unsqueeze(values, d), unsqueeze(indices, d)) if keep else Selected(values, indices)


@numpy_names
def max(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """max(x): the largest element, whose gradient equal ones share. max(x, dim): (values, indices) along a dimension.
    max(x, other): elementwise maximum."""
    return _extreme("max", reduce.max, reduce.amax, elementwise.maximum, x, dim, keepdim)


@numpy_names
def min(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """min(x): the smallest element, whose gradient equal ones share. min(x, dim): (values, indices) along a dimension.
    min(x, other): elementwise minimum."""
    return _extreme("min", reduce.min, reduce.amin, elementwise.minimum, x, dim, keepdim)


def _over(op: str, primitive: Any, x: Any, dim: Dims, keepdim: bool) -> Any:
    dims = dims_of(op, x, dim)
    _unless_empty(op, x, dims)
    return primitive(x, axis=tuple(range(x.ndim)) if dims is None else dims, keepdims=keepdim)


@numpy_names
def amax(x: Any, dim: Dims = None, keepdim: bool = False) -> Any:
    """The largest element over dimensions; equal largest elements share the gradient."""
    return _over("amax", reduce.amax, x, dim, keepdim)


@numpy_names
def amin(x: Any, dim: Dims = None, keepdim: bool = False) -> Any:
    """The smallest element over dimensions; equal smallest elements share the gradient."""
    return _over("amin", reduce.amin, x, dim, keepdim)


@numpy_names
def aminmax(x: Any, *, dim: int | None = None, keepdim: bool = False) -> MinMax:
    """(min, max) along a dimension, or of all elements."""
    return MinMax(_over("aminmax", reduce.amin, x, dim, keepdim), _over("aminmax", reduce.amax, x, dim, keepdim))


def _place(op: str, along: Any, x: Any, dim: int | None, keepdim: bool) -> Any:
    if dim is not None:
        return _extreme_along(x, op, along, dim, keepdim).indices
    _unless_empty(op, x, None)
    index = along(flatten(x), axis=0)[1]
    return reshape(index, (1,) * x.ndim) if keepdim else index


@numpy_names
def argmax(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """Index of the largest element along a dimension, or of the flattened tensor: the first of equal ones."""
    return _place("argmax", reduce.max, x, dim, keepdim)


@numpy_names
def argmin(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """Index of the smallest element along a dimension, or of the flattened tensor: the first of equal ones."""
    return _place("argmin", reduce.min, x, dim, keepdim)


# -- truth ----------------------------------------------------------------------------------------------------------


def _truth(op: str, primitive: Any, x: Any, dim: Dims, keepdim: bool) -> Any:
    if isinstance(dim, (tuple, list)) and not dim:
        found = elementwise.not_equal(x, 0)  # over no dimension, as PyTorch has it here
    else:
        found = primitive(x, axis=dims_of(op, x, dim), keepdims=keepdim)
    return cast(found, x.dtype) if x.dtype == "uint8" else found


@numpy_names
def any(x: Any, dim: Dims = None, keepdim: bool = False) -> Any:
    """Whether an element over dimensions is true (not zero)."""
    return _truth("any", reduce.any, x, dim, keepdim)


@numpy_names
def all(x: Any, dim: Dims = None, keepdim: bool = False) -> Any:
    """Whether every element over dimensions is true (not zero)."""
    return _truth("all", reduce.all, x, dim, keepdim)


# -- norms ----------------------------------------------------------------------------------------------------------


@numpy_names
def logsumexp(x: Any, dim: Dims, keepdim: bool = False) -> Any:
    """log(sum(exp(x))) over dimensions, without overflow."""
    return softmax_ops.logsumexp(x, axis=dims_of("logsumexp", x, dim), keepdims=keepdim)


@numpy_names
def norm(x: Any, p: float | str | None = "fro", dim: Dims = None, keepdim: bool = False, dtype: Any = None) -> Any:
    """sum(|x|^p)^(1/p) over dimensions, of the elements as one vector; where it is 0, so is its gradient.

    p: a number, inf or -inf (largest and smallest |x|), 0 (how many are not zero), "fro" (2), or "nuc", the sum of the
    singular values of the matrices in two dimensions.
    """
    if dtype is None and is_half(x.dtype):
        return cast(norm(cast(x, float32), p, dim, keepdim), x.dtype)
    if p == "nuc":
        from .norms import matrix_norm

        dims = (0, 1) if dim is None and x.ndim == 2 else dim
        if dims is None or isinstance(dims, int):
            raise ValueError(f"[norm] with p='nuc', x must be a matrix, or dim two dimensions (x {tuple(x.shape)})")
        return matrix_norm(cast(x, dtype), "nuc", dims, keepdim)
    if isinstance(p, str) and p != "fro":
        raise ValueError(f"[norm] p must be a number, 'fro' or 'nuc', got {p!r}")
    x, p = cast(x, dtype), 2.0 if p is None or p == "fro" else float(p)  # type: ignore[arg-type]
    needs_floats("norm", x)
    dims = dims_of("norm", x, dim)
    size = elementwise.absolute(x)
    if p < 0 or math.isinf(p):
        _unless_empty("norm", x, dims)
    if math.isinf(p):
        return _over("norm", reduce.amax if p > 0 else reduce.amin, size, dims, keepdim)
    zero = elementwise.equal(x, 0)
    if p == 0:
        other = elementwise.not_equal(x, 0)  # nothing of x is taken below, which makes its gradient 0
        terms = elementwise.where(elementwise.logical_and(zero, other), x, cast(other, x.dtype))
        return reduce.sum(terms, axis=dims, keepdims=keepdim)
    if p == 1:
        return reduce.sum(size, axis=dims, keepdims=keepdim)
    if p == 2:
        return root(reduce.sum(x * x, axis=dims, keepdims=keepdim))
    terms = elementwise.where(zero, 0.0 if p > 0 else math.inf, elementwise.where(zero, 1.0, size) ** p)
    total = reduce.sum(terms, axis=dims, keepdims=keepdim)
    if p < 0:
        return total ** (1.0 / p)
    none = elementwise.equal(total, 0)
    return elementwise.where(none, 0.0, elementwise.where(none, 1.0, total) ** (1.0 / p))


__all__ = [
    "all", "amax", "amin", "aminmax", "any", "argmax", "argmin", "count_nonzero", "logsumexp", "max", "mean", "min",
    "nanmean", "nansum", "norm", "prod", "std", "std_mean", "sum", "var", "var_mean",
]  # fmt: skip
