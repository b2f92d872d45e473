"""Reductions: sum, maximum and minimum along an axis with their indices, and over several axes."""

from __future__ import annotations

from typing import Any

from ..autograd.batch import shifted
from ..autograd.define import primitive
from .elementwise import accumulation_dtype

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


def _moved(size: int, ndim: int, static: dict[str, Any]) -> dict[str, Any]:
    return dict(static, axis=tuple([a + 1 for a in axes_of(static["axis"], ndim)]))


def _spread(xp: Any, g: Any, shape: tuple[int, ...], axis: Axis) -> Any:
    """A reduction's cotangent over the axes that were reduced."""
    if tuple(g.shape) == tuple(shape[len(shape) - g.ndim :]) and axes_of(axis, len(shape)) == tuple(
        range(len(shape) - g.ndim)
    ):
        return xp.broadcast_to(g, shape=shape)
    return xp.broadcast_to(xp.reshape(g, shape=kept_shape(shape, axis)), shape=shape)


@primitive(
    vjps=(lambda xp, g, x_shape, axis: _spread(xp, g, x_shape, axis),),
    batch=shifted(_moved),
    linear=(0,),
)
def sum(np: Any, x: Any, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """Sum over axes (all by default); 16-bit floats are summed in float32, integers in int64."""
    total = x.sum(axis=axis, keepdims=keepdims, dtype=accumulation_dtype(x))
    return total.astype(x.dtype) if x.dtype.kind not in "biu" and total.dtype != x.dtype else total


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
    hit = xp.equal(x, _spread(xp, y, x_shape, axis))
    ties = xp.sum(hit, axis=axis, keepdims=True)
    return xp.where(hit, xp.divide(_spread(xp, g, x_shape, axis), xp.astype(ties, dtype=g.dtype)), 0.0)


@primitive(vjps=(_extreme_vjp,), batch=shifted(_moved))
def amax(np: Any, x: Any, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """The largest element over axes (all by default); equal largest elements share the gradient."""
    return np.max(x, axis=axis, keepdims=keepdims)


@primitive(vjps=(_extreme_vjp,), batch=shifted(_moved))
def amin(np: Any, x: Any, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """The smallest element over axes (all by default); equal smallest elements share the gradient."""
    return np.min(x, axis=axis, keepdims=keepdims)
