"""softmax, log_softmax, and cross entropy on logits with class indices or probabilities."""

from __future__ import annotations

from typing import Any

from ..autograd.batch import fold, loop, shifted, spread
from ..autograd.define import fused, primitive
from ..autograd.primitive import BIND, bind
from ..autograd.value import shape_of
from ..backend.dtypes import float32, is_half
from .elementwise import wide
from .index import ARRAY, equals
from .reduce import axes_of, kept_shape, moved, spread_over


def _one_axis(size: int, ndim: int, static: dict[str, Any]) -> dict[str, Any]:
    return {"axis": static["axis"] % ndim + 1}


def _paired(prim: Any, level: Any, values: list[Any], flags: list[bool], static: dict[str, Any]) -> Any:
    full = [spread(v, f, level.size) for v, f in zip(values, flags, strict=True)]
    return bind(prim, tuple(full), {"axis": static["axis"] % (len(full[0].shape) - 1) + 1})


def _wide(xp: Any, x: Any) -> Any:
    """`wide` inside a formula: in 16 bits, what is nearly equal would leave nothing of its difference."""
    return xp.astype(x, dtype=float32) if is_half(x.dtype) else x


@fused(batch=_paired)
def softmax_backward(xp: Any, g: Any, y: Any, *, axis: int) -> Any:
    """y (g - sum(g y)), with y = softmax(x)."""
    dtype, g, y = y.dtype, _wide(xp, g), _wide(xp, y)
    out = y * (g - xp.sum(g * y, axis=axis, keepdims=True))
    return out if out.dtype == dtype else xp.astype(out, dtype=dtype)


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
    y /= np.add.reduce(y, axis=axis, keepdims=True)
    return y.astype(x.dtype, copy=False)


@fused(batch=_paired)
def log_softmax_backward(xp: Any, g: Any, y: Any, *, axis: int) -> Any:
    """g - exp(y) sum(g), with y = log_softmax(x)."""
    dtype, g, y = y.dtype, _wide(xp, g), _wide(xp, y)
    out = g - xp.exp(y) * xp.sum(g, axis=axis, keepdims=True)
    return out if out.dtype == dtype else xp.astype(out, dtype=dtype)


def _log_softmax_jvp(xp: Any, primals: Any, tangents: Any, outs: Any, *, axis: int) -> Any:
    t, y = _wide(xp, tangents[0]), _wide(xp, outs[0])
    out = t - xp.sum(xp.exp(y) * t, axis=axis, keepdims=True)
    return out if out.dtype == outs[0].dtype else xp.astype(out, dtype=outs[0].dtype)


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
    y -= np.log(np.add.reduce(np.exp(y), axis=axis, keepdims=True))
    return y.astype(x.dtype, copy=False)


def _logsumexp_vjp(xp: Any, g: Any, x: Any, y: Any, x_shape: Any, axis: Any) -> Any:
    return spread_over(xp, g, x_shape, axis) * xp.exp(x - spread_over(xp, y, x_shape, axis))


@primitive(vjps=(_logsumexp_vjp,), batch=shifted(moved), promote="float")
def logsumexp(np: Any, x: Any, *, axis: tuple[int, ...] | None = None, keepdims: bool = False) -> Any:
    """log(sum(exp(x))) over axes, from x less its maximum where that is finite; -inf over no elements."""
    z, axes = wide(x), axes_of(axis, x.ndim)
    top = z.max(axis=axes, keepdims=True) if x.size else np.zeros(kept_shape(x.shape, axis), z.dtype)
    top = np.where(np.isfinite(top), top, np.zeros((), z.dtype))
    y = np.log(np.add.reduce(np.exp(z - top), axis=axes, keepdims=True)) + top
    return (y if keepdims else np.squeeze(y, axes)).astype(x.dtype, copy=False)


def _safe_max(np: Any, x: Any, axis: int) -> Any:
    """The maximum along an axis, 0 where the axis is empty."""
    return x.max(axis=axis, keepdims=True) if x.shape[axis] else np.zeros((), x.dtype)


def target_weights(
    xp: Any, target: Any, weight: Any, n: int, dtype: Any, ignore_index: int, label_smoothing: float
) -> Any:
    """(M, C): how much the loss of a row counts each class's negative log probability.

    (1 - s) w[t] at the target t, and s / C w[c] at every class; 0 in rows whose target is `ignore_index`.
    """
    ignored = equals(xp, target, ignore_index)
    t = xp.where(ignored, 0, target)
    own = xp.astype(xp.ones_like(t), dtype=dtype) if weight is None else xp.getitem(weight, t, spec=(ARRAY,))
    q = xp.place(own * (1.0 - label_smoothing), t, axis=1, n=n)
    if label_smoothing:
        q = q + (1.0 if weight is None else xp.reshape(weight, shape=(1, n))) * (label_smoothing / n)
    return xp.where(xp.reshape(ignored, shape=(target.shape[0], 1)), 0.0, q)


def _scale_batch(prim: Any, level: Any, values: list[Any], flags: list[bool], static: dict[str, Any]) -> Any:
    full = [spread(v, f, level.size) for v, f in zip(values, flags, strict=True)]
    out = bind(prim, tuple([fold(v, level.size, True) for v in full]), static)
    return BIND.reshape(out, shape=shape_of(full[1]))


@fused(batch=_scale_batch)
def cross_entropy_scale(xp: Any, g: Any, saved: Any, target: Any, *, ignore_index: int) -> Any:
    """g saved by rows, (M,) and (M, C), with 0 for g where the target is ignored: it is NaN in a mean of no rows."""
    g = xp.where(equals(xp, target, ignore_index), 0.0, g)
    return xp.reshape(g, shape=(g.shape[0], 1)) * saved


def _cross_entropy_vjp(
    xp: Any, g: Any, saved: Any, x: Any, target: Any, weight: Any, ignore_index: int, label_smoothing: float
) -> Any:
    if saved is None:
        # an ignored row's logits do not count, and may be anything
        ignored = xp.reshape(equals(xp, target, ignore_index), shape=(x.shape[0], 1))
        q = target_weights(xp, target, weight, x.shape[1], x.dtype, ignore_index, label_smoothing)
        saved = xp.softmax(xp.where(ignored, 0.0, x), axis=1) * xp.sum(q, axis=1, keepdims=True) - q
    return xp.cross_entropy_scale(g, saved, target, ignore_index=ignore_index)


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
    the same pass over the logits also makes the gradient, softmax(x) sum(q) - q. A row that is ignored has loss and
    gradient 0 whatever its logits; on devices with kernels, a class out of range gives NaN and a fault.
    """
    m, n = x.shape
    dtype, x = x.dtype, wide(x)
    weight = np.ones(n, x.dtype) if weight is None else weight
    ignored = target == ignore_index
    t = np.where(ignored, 0, target).astype("i8", copy=False)
    rows = np.arange(m)
    shifted_x = x - _safe_max(np, x, 1)
    e = np.exp(shifted_x)
    total = np.add.reduce(e, axis=1, keepdims=True)
    logs = np.log(total)[:, 0]
    at_target = weight.astype(x.dtype, copy=False)[t] * (1.0 - label_smoothing)
    loss = at_target * (logs - shifted_x[rows, t])
    if label_smoothing:
        spread_w = weight.astype(x.dtype)[None] * (label_smoothing / n)
        loss = loss + np.add.reduce(spread_w * (logs[:, None] - shifted_x), axis=1)
    loss = np.where(ignored, np.zeros((), x.dtype), loss).astype(dtype, copy=False)
    if not residual:
        return loss
    e /= total
    if label_smoothing:
        e *= (at_target + np.add.reduce(spread_w, axis=None))[:, None]
        e -= spread_w
    else:
        e *= at_target[:, None]
    e[rows, t] -= at_target
    e[ignored] = 0
    return loss, e.astype(dtype, copy=False)


def _probabilities(xp: Any, target: Any, weight: Any, label_smoothing: float) -> Any:
    """w ((1 - s) p + s / C): what stands in for `target_weights` where the target is probabilities p."""
    if label_smoothing:
        target = target * (1.0 - label_smoothing) + label_smoothing / target.shape[1]
    return target if weight is None else target * xp.reshape(weight, shape=(1, weight.shape[0]))


def _probabilities_x_vjp(
    xp: Any, g: Any, saved: Any, x: Any, target: Any, weight: Any, label_smoothing: float
) -> Any:  # fmt: skip
    if saved is None:
        q = _probabilities(xp, target, weight, label_smoothing)
        saved = xp.softmax(x, axis=1) * xp.sum(q, axis=1, keepdims=True) - q
    return xp.reshape(g, shape=(g.shape[0], 1)) * saved


def _probabilities_target_vjp(xp: Any, g: Any, x: Any, weight: Any, label_smoothing: float) -> Any:
    g = xp.reshape(g * (label_smoothing - 1.0), shape=(g.shape[0], 1))
    if weight is not None:
        g = g * xp.reshape(weight, shape=(1, weight.shape[0]))
    return g * xp.log_softmax(x, axis=1)


@primitive(vjps=(_probabilities_x_vjp, _probabilities_target_vjp, None), batch=_rows_batch, promote="same")
def softmax_cross_entropy_probabilities(
    np: Any, x: Any, target: Any, weight: Any, *, label_smoothing: float = 0.0, residual: bool = False
) -> Any:
    """Loss of each row: logits (M, C), class probabilities p (M, C), class weights w (C,) or None -> (M,).

    -sum over c of q[c] log softmax(x)[c] with q = w ((1 - s) p + s / C). Where q is 0 a class does not count, even if
    its log is -inf. The residual is the gradient of x, softmax(x) sum(q) - q.
    """
    dtype, x, q = x.dtype, wide(x), wide(target)
    if label_smoothing:
        q = q * (1.0 - label_smoothing) + label_smoothing / x.shape[1]
    if weight is not None:
        q = q * wide(weight)
    shifted_x = x - _safe_max(np, x, 1)
    e = np.exp(shifted_x)
    total = np.add.reduce(e, axis=1, keepdims=True)
    terms = q * (np.log(total) - shifted_x)
    loss = np.add.reduce(np.where(q == 0, np.zeros((), x.dtype), terms), axis=1).astype(dtype, copy=False)
    if not residual:
        return loss
    e /= total
    e *= np.add.reduce(q, axis=1, keepdims=True)
    e -= q
    return loss, e.astype(dtype, copy=False)


def _counted(xp: Any, target: Any, weight: Any, ignore_index: int, dtype: Any) -> Any:
    """What a mean over the last axis divides by: how many targets count, or the sum of their weights."""
    ignored = equals(xp, target, ignore_index)
    if weight is None:
        return xp.astype(xp.sum(xp.logical_not(ignored), axis=-1), dtype=dtype)
    weights = xp.getitem(weight, xp.where(ignored, 0, target), spec=(ARRAY,))
    return xp.astype(xp.sum(xp.where(ignored, 0.0, weights), axis=-1), dtype=dtype)


def _mean_vjp(xp: Any, g: Any, saved: Any, target: Any, weight: Any, loss_shape: Any, ignore_index: int) -> Any:
    count = _counted(xp, target, weight, ignore_index, g.dtype) if saved is None else saved
    share = g / count
    return xp.broadcast_to(share if share.dtype == g.dtype else xp.astype(share, dtype=g.dtype), shape=loss_shape)


def _mean_batch(prim: Any, level: Any, values: list[Any], flags: list[bool], static: dict[str, Any]) -> Any:
    if flags[2]:
        return loop(prim, level, values, flags, static)
    loss, target, weight = values
    total = BIND.sum(spread(loss, flags[0], level.size), axis=1)
    return total / _counted(BIND, target, weight, static["ignore_index"], loss.dtype)


@primitive(vjps=(_mean_vjp, None, None), batch=_mean_batch, linear=(0,))
def cross_entropy_mean(
    np: Any, loss: Any, target: Any, weight: Any, *, ignore_index: int, residual: bool = False
) -> Any:
    """sum(loss) / sum(w[target]) over rows that count: losses (M,), class indices (M,), weights (C,) or None -> ().

    The residual is the divisor; NaN where no row counts.
    """
    counts = target != ignore_index
    total = np.add.reduce(wide(loss))
    if weight is None:
        count = counts.sum().astype(total.dtype)
    else:
        weights = weight.astype(total.dtype, copy=False)[np.where(counts, target, 0)]
        count = np.add.reduce(np.where(counts, weights, np.zeros((), total.dtype)))
    mean = (total / count).astype(loss.dtype)
    return (mean, count) if residual else mean
