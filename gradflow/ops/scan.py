"""Scans along an axis (counted from 0): running sums, products, maxima and log-sums, and the linear recurrence of which
the gradients of products and log-sums are made.

What NumPy and CuPy have no scan for is computed by doubling: after step k each element has seen the 2^k before it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..autograd.batch import shifted, spread
from ..autograd.define import primitive
from ..autograd.primitive import bind
from .elementwise import accumulation_dtype, wide


def _behind_batch(size: int, ndim: int, static: dict[str, Any]) -> dict[str, Any]:
    return {"axis": static["axis"] + 1}


def _part(xp: Any, x: Any, axis: int, *bounds: Any) -> Any:
    return xp.getitem(x, spec=(*((None, None, None),) * axis, bounds))


def reversed_along(xp: Any, x: Any, axis: int) -> Any:
    """x in reverse order along an axis."""
    return _part(xp, x, axis, None, None, -1)


def _delayed(xp: Any, x: Any, axis: int, first: Any) -> Any:
    """(first, x0, x1, ...), the last element dropped, with first = xp.ones_like or xp.zeros_like."""
    return xp.cat(first(_part(xp, x, axis, 0, 1, None)), _part(xp, x, axis, 0, -1, None), axis=axis)


def exclusive_cumprod(xp: Any, x: Any, axis: int) -> Any:
    """(1, x0, x0 x1, ...): the product of all elements before each."""
    return _delayed(xp, xp.cumprod(x, axis=axis), axis, xp.ones_like)


# -- sums -----------------------------------------------------------------------------------------------------------


def _cumsum_vjp(xp: Any, g: Any, axis: int) -> Any:
    return reversed_along(xp, xp.cumsum(reversed_along(xp, g, axis), axis=axis), axis)


@primitive(vjps=(_cumsum_vjp,), batch=shifted(_behind_batch), linear=(0,))
def cumsum(np: Any, x: Any, *, axis: int) -> Any:
    """y_i = x_0 + ... + x_i; 16-bit floats are summed in float32, integers in int64."""
    y = x.cumsum(axis=axis, dtype=accumulation_dtype(x)) if x.size else x.astype(accumulation_dtype(x))
    return y if x.dtype.kind in "biu" else y.astype(x.dtype, copy=False)


# -- linear recurrences ---------------------------------------------------------------------------------------------


def _recurrence_batch(prim: Any, level: Any, values: list[Any], flags: list[bool], static: dict[str, Any]) -> Any:
    full = [spread(v, f, level.size) for v, f in zip(values, flags, strict=True)]
    return bind(prim, tuple(full), {"axis": static["axis"] + 1})


def _from_behind(xp: Any, a: Any, g: Any, axis: int) -> Any:
    """s_i = g_i + a_(i+1) s_(i+1)."""
    a = _delayed(xp, reversed_along(xp, a, axis), axis, xp.ones_like)
    return reversed_along(xp, xp.recurrence(a, reversed_along(xp, g, axis), axis=axis), axis)


def _recurrence_a_vjp(xp: Any, g: Any, a: Any, y: Any, axis: int) -> Any:
    return _from_behind(xp, a, g, axis) * _delayed(xp, y, axis, xp.zeros_like)


@primitive(
    vjps=(_recurrence_a_vjp, lambda xp, g, a, axis: _from_behind(xp, a, g, axis)),
    batch=_recurrence_batch,
    promote="same",
)
def recurrence(np: Any, a: Any, b: Any, *, axis: int) -> Any:
    """y_i = a_i y_(i-1) + b_i with y_0 = b_0, of floats a and b of one shape. a_0 does not count."""
    dtype, a, b = b.dtype, np.array(np.moveaxis(wide(a), axis, -1)), np.array(np.moveaxis(wide(b), axis, -1))
    step = 1
    while step < b.shape[-1]:
        b[..., step:] = b[..., step:] + a[..., step:] * b[..., :-step]
        a[..., step:] = a[..., step:] * a[..., :-step]
        step *= 2
    return np.moveaxis(b, -1, axis).astype(dtype, copy=False)


def _cumprod_vjp(xp: Any, g: Any, x: Any, y: Any, axis: int) -> Any:
    """What comes before x_i in the products, times g_i + x_(i+1) (g_(i+1) + x_(i+2) (...)): no division by zeros."""
    return _delayed(xp, y, axis, xp.ones_like) * _from_behind(xp, x, g, axis)


@primitive(vjps=(_cumprod_vjp,), batch=shifted(_behind_batch))
def cumprod(np: Any, x: Any, *, axis: int) -> Any:
    """y_i = x_0 x_1 ... x_i; 16-bit floats are multiplied in float32, integers in int64."""
    y = x.cumprod(axis=axis, dtype=accumulation_dtype(x)) if x.size else x.astype(accumulation_dtype(x))
    return y if x.dtype.kind in "biu" else y.astype(x.dtype, copy=False)


def _logcumsumexp_vjp(xp: Any, g: Any, x: Any, y: Any, axis: int) -> Any:
    """sum of g_k exp(x_i - y_k) over k >= i, from ratios exp(y_(i-1) - y_i), none of which is larger than 1."""
    before = _delayed(xp, y, axis, xp.zeros_like)
    step = xp.where(xp.equal(before, y), 0.0, before - y)  # infinities: equal ones differ by nothing
    return _from_behind(xp, xp.exp(step), g, axis) * xp.exp(x - y)


@primitive(vjps=(_logcumsumexp_vjp,), batch=shifted(_behind_batch), promote="float")
def logcumsumexp(np: Any, x: Any, *, axis: int) -> Any:
    """y_i = log(exp(x_0) + ... + exp(x_i)), without overflow."""
    y = np.array(np.moveaxis(wide(x), axis, -1))
    step = 1
    while step < y.shape[-1]:
        y[..., step:] = np.logaddexp(y[..., step:], y[..., :-step])
        step *= 2
    return np.moveaxis(y, -1, axis).astype(x.dtype, copy=False)


# -- maxima and minima ----------------------------------------------------------------------------------------------


def _running(np: Any, x: Any, axis: int, wins: Callable[[Any, Any], Any]) -> tuple[Any, Any]:
    """(values, indices) of the best elements so far: the latest of equal ones; from a NaN on, the latest NaN."""
    z = np.array(np.moveaxis(wide(x), axis, -1))
    index = np.zeros(z.shape, "i8") + np.arange(z.shape[-1])
    step = 1
    while step < z.shape[-1]:
        early, late = z[..., :-step], z[..., step:]
        kept = wins(early, late) | ((early != early) & (late == late))
        index[..., step:] = np.where(kept, index[..., :-step], index[..., step:])
        z[..., step:] = np.where(kept, early, late)
        step *= 2
    return np.moveaxis(z, -1, axis).astype(x.dtype, copy=False), np.moveaxis(index, -1, axis)


def _running_jvp(xp: Any, primals: Any, tangents: Any, outs: Any, *, axis: int) -> Any:
    return xp.take_along(tangents[0], outs[1], axis=axis), None


def _running_vjp(xp: Any, g: Any, y1: Any, x_shape: Any, axis: int) -> Any:
    return xp.put_along(g, y1, axis=axis, n=x_shape[axis])


@primitive(vjps=(_running_vjp,), batch=shifted(_behind_batch), jvp=_running_jvp)
def cummax(np: Any, x: Any, *, axis: int) -> Any:
    """(values, indices) of the largest element so far; NaN counts as largest."""
    return _running(np, x, axis, np.greater)


@primitive(vjps=(_running_vjp,), batch=shifted(_behind_batch), jvp=_running_jvp)
def cummin(np: Any, x: Any, *, axis: int) -> Any:
    """(values, indices) of the smallest element so far; NaN counts as smallest."""
    return _running(np, x, axis, np.less)
