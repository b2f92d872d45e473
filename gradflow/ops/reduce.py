"""Reductions: sum, product, any and all, maximum and minimum along an axis with their indices, and over several axes.

Sums are `np.add.reduce`, not `np.sum`: NumPy's Python code in between would warn of overflow under its own name.
"""

from __future__ import annotations

import math
from typing import Any

from ..autograd.batch import shifted
from ..autograd.define import primitive
from .elementwise import accumulation_dtype
from .scan import exclusive_cumprod, reversed_along
from .shape import inverse

Axis = int | tuple[int, ...] | None


def axes_of(axis: Axis, ndim: int) -> tuple[int, ...]:
    """An `axis` argument as a tuple of axes counted from 0."""
    if axis is None:
        return tuple(range(ndim))
    return tuple([a % ndim if ndim else 0 for a in (axis if isinstance(axis, tuple) else (axis,))])


def kept_shape(shape: tuple[int, ...], axis: Axis) -> tuple[int, ...]:
    """The shape of a reduction's result with reduced axes kept as 1."""
    reduced = axes_of(axis, len(shape))
    return tuple([1 if i in reduced else n for i, n in enumerate(shape)])


def moved(size: int, ndim: int, static: dict[str, Any]) -> dict[str, Any]:
    return dict(static, axis=tuple([a + 1 for a in axes_of(static["axis"], ndim)]))


def spread_over(xp: Any, g: Any, shape: tuple[int, ...], axis: Axis) -> Any:
    """A reduction's cotangent over the axes that were reduced."""
    if tuple(g.shape) == tuple(shape[len(shape) - g.ndim :]) and axes_of(axis, len(shape)) == tuple(
        range(len(shape) - g.ndim)
    ):
        return xp.broadcast_to(g, shape=shape)
    return xp.broadcast_to(xp.reshape(g, shape=kept_shape(shape, axis)), shape=shape)


@primitive(
    vjps=(lambda xp, g, x_shape, axis: spread_over(xp, g, x_shape, axis),),
    batch=shifted(moved),
    linear=(0,),
)
def sum(np: Any, x: Any, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """Sum over axes (all by default); 16-bit floats are summed in float32, integers in int64."""
    total = np.add.reduce(x, axis=axis, dtype=accumulation_dtype(x), keepdims=keepdims)
    return total.astype(x.dtype) if x.dtype.kind not in "biu" and total.dtype != x.dtype else total


def _prod_vjp(xp: Any, g: Any, x: Any, axis: Axis) -> Any:
    """g times the product of the other elements, which x's zeros do not spoil as they would y / x."""
    axes = axes_of(axis, x.ndim)
    rest = tuple([a for a in range(x.ndim) if a not in axes])
    sizes, count = tuple([x.shape[a] for a in (*rest, *axes)]), math.prod([x.shape[a] for a in axes])
    line = xp.reshape(xp.transpose(x, axes=(*rest, *axes)), shape=(*sizes[: len(rest)], count))
    at = len(rest)
    behind = reversed_along(xp, exclusive_cumprod(xp, reversed_along(xp, line, at), at), at)
    others = xp.reshape(exclusive_cumprod(xp, line, at) * behind, shape=sizes)
    return spread_over(xp, g, x.shape, axis) * xp.transpose(others, axes=inverse((*rest, *axes)))


@primitive(vjps=(_prod_vjp,), batch=shifted(moved))
def prod(np: Any, x: Any, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """Product over axes (all by default); 16-bit floats are multiplied in float32, integers in int64."""
    total = np.multiply.reduce(x, axis=axis, dtype=accumulation_dtype(x), keepdims=keepdims)
    return total.astype(x.dtype) if x.dtype.kind not in "biu" and total.dtype != x.dtype else total


@primitive(batch=shifted(moved))
def any(np: Any, x: Any, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """Whether an element over axes (all by default) is true (not zero)."""
    return np.any(x, axis=axis, keepdims=keepdims)


@primitive(batch=shifted(moved))
def all(np: Any, x: Any, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """Whether every element over axes (all by default) is true (not zero)."""
    return np.all(x, axis=axis, keepdims=keepdims)


def _one_axis(size: int, ndim: int, static: dict[str, Any]) -> dict[str, Any]:
    return dict(static, axis=static["axis"] % ndim + 1)


def _selected_jvp(xp: Any, primals: Any, tangents: Any, outs: Any, *, axis: int) -> Any:
    return xp.pick(tangents[0], outs[1], axis=axis), None


def _selected_vjp(xp: Any, g: Any, y1: Any, x_shape: Any, axis: int) -> Any:
    return xp.place(g, y1, axis=axis, n=x_shape[axis])


@primitive(vjps=(_selected_vjp,), batch=shifted(_one_axis), jvp=_selected_jvp)
def max(np: Any, x: Any, *, axis: int) -> Any:
    """(values, indices) of the largest elements along an axis (counted from 0); NaN counts as largest."""
    index = np.argmax(x, axis=axis)
    return np.max(x, axis=axis), index


@primitive(vjps=(_selected_vjp,), batch=shifted(_one_axis), jvp=_selected_jvp)
def min(np: Any, x: Any, *, axis: int) -> Any:
    """(values, indices) of the smallest elements along an axis (counted from 0); NaN counts as smallest."""
    index = np.argmin(x, axis=axis)
    return np.min(x, axis=axis), index


def _extreme_vjp(xp: Any, g: Any, x: Any, y: Any, x_shape: Any, axis: Axis) -> Any:
    """Equal elements share g. A y of NaN has no equals, and makes all of the gradient NaN; over all axes, where `axis`
    is None, NaNs share g: PyTorch's amax(x, dim) and max(x)."""
    hit = xp.equal(x, spread_over(xp, y, x_shape, axis))
    if axis is None:
        hit = xp.logical_or(hit, xp.logical_and(xp.not_equal(x, x), xp.not_equal(y, y)))
    ties = xp.astype(xp.sum(hit, axis=axis, keepdims=True), dtype=g.dtype)
    return xp.divide(xp.where(hit, spread_over(xp, g, x_shape, axis), 0.0), ties)


@primitive(vjps=(_extreme_vjp,), batch=shifted(moved))
def amax(np: Any, x: Any, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """The largest element over axes (all by default); equal largest elements share the gradient."""
    return np.max(x, axis=axis, keepdims=keepdims)


@primitive(vjps=(_extreme_vjp,), batch=shifted(moved))
def amin(np: Any, x: Any, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """The smallest element over axes (all by default); equal smallest elements share the gradient."""
    return np.min(x, axis=axis, keepdims=keepdims)
