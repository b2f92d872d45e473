"""Reductions."""

from __future__ import annotations

import builtins
import math
from typing import Any, NamedTuple

from ..backend.dtypes import as_dtype, float32, is_floating, is_half
from ..ops import elementwise, reduce
from .arguments import Dims, many_dims, numpy_names, one_dim
from .shape import flatten, unsqueeze


class Selected(NamedTuple):
    """What max and min along a dimension return."""

    values: Any
    indices: Any


@numpy_names
def sum(x: Any, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Sum over dimensions, all by default. Integers and booleans are summed in int64."""
    dims = many_dims("sum", x, dim)
    if dtype is not None:
        x = elementwise.astype(x, dtype=as_dtype(dtype))
    return reduce.sum(x, axis=dims, keepdims=keepdim)


@numpy_names
def mean(x: Any, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Mean over dimensions, all by default: NaN over none."""
    dims = many_dims("mean", x, dim)
    if dtype is not None:
        x = elementwise.astype(x, dtype=as_dtype(dtype))
    if is_half(x.dtype):  # their sums leave the range of 16 bits
        return elementwise.astype(mean(elementwise.astype(x, dtype=float32), dims, keepdim), dtype=x.dtype)
    if not is_floating(x.dtype):
        raise TypeError(f"[mean] needs a floating tensor, got {x.dtype}; pass dtype=gf.float32")
    count = math.prod([x.shape[d] for d in (range(x.ndim) if dims is None else dims)])
    return reduce.sum(x, axis=dims, keepdims=keepdim) / float(count)


@numpy_names
def var(x: Any, dim: Dims = None, *, correction: float = 1, keepdim: bool = False) -> Any:
    """Variance over dimensions: sum((x - mean)^2) / (n - correction)."""
    dims = many_dims("var", x, dim)
    if is_half(x.dtype):
        wide = elementwise.astype(x, dtype=float32)
        return elementwise.astype(var(wide, dims, correction=correction, keepdim=keepdim), dtype=x.dtype)
    count = math.prod([x.shape[d] for d in (range(x.ndim) if dims is None else dims)])
    d = x - mean(x, dims, True)
    return reduce.sum(d * d, axis=dims, keepdims=keepdim) / float(builtins.max(count - correction, 0))


def _extreme(op: str, along: Any, over: Any, pairwise: Any, x: Any, dim: Any, keep: bool) -> Any:
    if dim is None:
        if x.size_ == 0 if hasattr(x, "size_") else x.size == 0:
            raise ValueError(f"[{op}] of an empty tensor has no value (x {tuple(x.shape)})")
        return over(x, axis=None)
    if hasattr(dim, "dtype"):
        return pairwise(x, dim)
    d = one_dim(op, x, dim)
    if x.shape[d] == 0:
        raise ValueError(f"[{op}] over dim {dim} of size 0 has no value (x {tuple(x.shape)})")
    values, indices = along(x, axis=d)
    if keep:
        values, indices = unsqueeze(values, d), unsqueeze(indices, d)
    return Selected(values, indices)


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


@numpy_names
def amax(x: Any, dim: Dims = None, keepdim: bool = False) -> Any:
    """The largest element over dimensions; equal largest elements share the gradient."""
    return reduce.amax(x, axis=many_dims("amax", x, dim), keepdims=keepdim)


@numpy_names
def amin(x: Any, dim: Dims = None, keepdim: bool = False) -> Any:
    """The smallest element over dimensions; equal smallest elements share the gradient."""
    return reduce.amin(x, axis=many_dims("amin", x, dim), keepdims=keepdim)


@numpy_names
def argmax(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """Index of the largest element along a dimension, or of the flattened tensor."""
    if dim is None:
        return reduce.max(flatten(x), axis=0)[1]
    return max(x, dim, keepdim).indices


__all__ = ["amax", "amin", "argmax", "max", "mean", "min", "sum", "var"]
