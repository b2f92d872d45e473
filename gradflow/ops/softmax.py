"""softmax, log_softmax, and cross entropy on logits with class indices."""

from __future__ import annotations

from typing import Any

from ..autograd.batch import fold, loop, shifted, spread
from ..autograd.define import fused, primitive
from ..autograd.primitive import BIND, bind
from ..autograd.value import shape_of
from .conv import wide
from .index import ARRAY


def _one_axis(size: int, ndim: int, static: dict[str, Any]) -> dict[str, Any]:
    return {"axis": static["axis"] % ndim + 1}


def _paired(prim: Any, level: Any, values: list[Any], flags: list[bool], static: dict[str, Any]) -> Any:
    full = [spread(v, f, level.size) for v, f in zip(values, flags, strict=True)]
    return bind(prim, tuple(full), {"axis": static["axis"] % (len(full[0].shape) - 1) + 1})


@fused(batch=_paired)
def softmax_backward(xp: Any, g: Any, y: Any, *, axis: int) -> Any:
    """y (g - sum(g y)), with y = softmax(x)."""
    return y * (g - xp.sum(g * y, axis=axis, keepdims=True))


@primitive(
    vjps=(lambda xp, g, y, axis: xp.softmax_backward(g, y, axis=axis),),
    jvp=lambda xp, primals, tangents, outs, *, axis: xp.softmax_backward(tangents[0], outs[0], axis=axis),
    batch=shifted(_one_axis),
    promote="float",
)
def softmax(np: Any, x: Any, *, axis: int) -> Any:
    """exp(x) / sum(exp(x)) along an axis, from x less its maximum, so that nothing overflows."""
    z = wide(x)
    y = np.exp(z - _safe_max(np, z, axis))
    y /= y.sum(axis=axis, keepdims=True)
    return y.astype(x.dtype, copy=False)


@fused(batch=_paired)
def log_softmax_backward(xp: Any, g: Any, y: Any, *, axis: int) -> Any:
    """g - exp(y) sum(g), with y = log_softmax(x)."""
    return g - xp.exp(y) * xp.sum(g, axis=axis, keepdims=True)


def _log_softmax_jvp(xp: Any, primals: Any, tangents: Any, outs: Any, *, axis: int) -> Any:
    t = tangents[0]
    return t - xp.sum(xp.exp(outs[0]) * t, axis=axis, keepdims=True)


@primitive(
    vjps=(lambda xp, g, y, axis: xp.log_softmax_backward(g, y, axis=axis),),
    jvp=_log_softmax_jvp,
    batch=shifted(_one_axis),
    promote="float",
)
def log_softmax(np: Any, x: Any, *, axis: int) -> Any:
    """x - log(sum(exp(x))) along an axis, from x less its maximum."""
    z = wide(x)
    y = z - _safe_max(np, z, axis)
    y -= np.log(np.exp(y).sum(axis=axis, keepdims=True))
    return y.astype(x.dtype, copy=False)


def _safe_max(np: Any, x: Any, axis: int) -> Any:
    """The maximum along an axis, 0 where the axis is empty."""
    return x.max(axis=axis, keepdims=True) if x.shape[axis] else np.zeros((), x.dtype)


def target_weights(
    xp: Any, target: Any, weight: Any, n: int, dtype: Any, ignore_index: int, label_smoothing: float
) -> Any:
    """(M, C): how much the loss of a row counts each class's negative log probability.

    (1 - s) w[t] at the target t, and s / C w[c] at every class; 0 in rows whose target is `ignore_index`.
    """
    ignored = xp.equal(target, ignore_index)
    t = xp.where(ignored, 0, target)
    own = xp.astype(xp.ones_like(t), dtype=dtype) if weight is None else xp.getitem(weight, t, spec=(ARRAY,))
    q = xp.place(own * (1.0 - label_smoothing), t, axis=1, n=n)
    if label_smoothing:
        q = q + (1.0 if weight is None else xp.reshape(weight, shape=(1, n))) * (label_smoothing / n)
    return xp.where(xp.reshape(ignored, shape=(target.shape[0], 1)), 0.0, q)


def _cross_entropy_vjp(
    xp: Any, g: Any, saved: Any, x: Any, target: Any, weight: Any, ignore_index: int, label_smoothing: float
) -> Any:
    # an ignored row has no gradient even where the loss is NaN, as a mean over ignored rows only is
    rows = xp.reshape(xp.where(xp.equal(target, ignore_index), 0.0, g), shape=(g.shape[0], 1))
    if saved is not None:
        return rows * saved
    q = target_weights(xp, target, weight, x.shape[1], x.dtype, ignore_index, label_smoothing)
    return rows * (xp.softmax(x, axis=1) * xp.sum(q, axis=1, keepdims=True) - q)


def _rows_batch(prim: Any, level: Any, values: list[Any], flags: list[bool], static: dict[str, Any]) -> Any:
    if flags[2]:
        return loop(prim, level, values, flags, static)
    x, target, weight = values
    size, rows = level.size, shape_of(x)[1 if flags[0] else 0]
    loss = bind(prim, (fold(x, size, flags[0]), fold(target, size, flags[1]), weight), static)
    return BIND.reshape(loss, shape=(size, rows))


@primitive(vjps=(_cross_entropy_vjp, None, None), batch=_rows_batch)
def softmax_cross_entropy(
    np: Any,
    x: Any,
    target: Any,
    weight: Any,
    *,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    residual: bool = False,
) -> Any:
    """Loss of each row: logits (M, C), class indices (M,), class weights (C,) or None -> (M,).

    -sum over c of q[c] log softmax(x)[c] with the weights q of `target_weights`. When the tape asks for a residual,
    the same pass over the logits also makes the gradient, softmax(x) sum(q) - q.
    """
    m, n = x.shape
    dtype, x = x.dtype, wide(x)
    weight = np.ones(n, x.dtype) if weight is None else weight
    ignored = target == ignore_index
    t = np.where(ignored, 0, target).astype("i8", copy=False)
    rows = np.arange(m)
    shifted_x = x - _safe_max(np, x, 1)
    e = np.exp(shifted_x)
    total = e.sum(axis=1, keepdims=True)
    logs = np.log(total)[:, 0]
    w = np.where(ignored, np.zeros((), x.dtype), weight.astype(x.dtype, copy=False)[t])
    at_target = w * (1.0 - label_smoothing)
    loss = np.where(ignored, np.zeros((), x.dtype), at_target * (logs - shifted_x[rows, t]))
    spread_w = None
    if label_smoothing:
        spread_w = np.where(ignored[:, None], np.zeros((), x.dtype), weight.astype(x.dtype) * (label_smoothing / n))
        loss = loss + (spread_w * (logs[:, None] - shifted_x)).sum(axis=1)
    loss = loss.astype(dtype, copy=False)
    if not residual:
        return loss
    e /= total
    if spread_w is None:
        e *= at_target[:, None]
    else:
        e *= (at_target + spread_w.sum(axis=1))[:, None]
        e -= spread_w
    e[rows, t] -= at_target
    return loss, e.astype(dtype, copy=False)
