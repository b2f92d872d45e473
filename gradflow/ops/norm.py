"""Normalisation: over all axes but the channels' (batch norm), and over the last axes (layer norm).

Means are subtracted twice: first rounded to the array's dtype, then what that left. Where the mean is large and the
spread small, as 10000 +- 0.01 in float32, the rounding of the mean would otherwise be a large part of the spread.
"""

from __future__ import annotations

import math
from typing import Any

from ..autograd.batch import fold, loop, spread
from ..autograd.define import fused, primitive
from ..autograd.primitive import BIND, bind
from ..autograd.value import Value, make
from .bias import channel_shape
from .elementwise import wide


def _per_channel(xp: Any, v: Any, ndim: int) -> Any:
    """(C,) as (1, C, 1, ...)."""
    return xp.reshape(v, shape=channel_shape(v.shape[0], ndim))


def _unfused(prim: Any, level: Any, values: list[Any], flags: list[bool], static: dict[str, Any]) -> Any:
    """vmap over a fused formula: over its operations, one by one."""
    args = [make(v, level) if f else v for v, f in zip(values, flags, strict=True)]
    outs = prim.formula(BIND, *args, **static)
    mine = [isinstance(o, Value) and o.level is level for o in outs]
    return tuple([spread(o.below if m else o, m, level.size) for o, m in zip(outs, mine, strict=True)])


# -- batch normalisation -----------------------------------------------------------------------------------------------


@fused(batch=_unfused, promote="same")
def batch_norm_backward(
    xp: Any, g: Any, x: Any, y: Any, weight: Any, mean: Any, var: Any, *, eps: float
) -> tuple[Any, Any, Any]:
    """Cotangents of x (N, C, ...), weight and bias (C,) from that of y, where y > 0 unless y is None (no ReLU).

    With d = x - mean, r = (var + eps)^-1/2 and n elements a channel: x: weight r (g - mean(g) - d r^2 sum(g d) / n),
    weight: sum(g d) r, bias: sum(g).
    """
    ndim, axes = x.ndim, (0, *range(2, x.ndim))
    share = 1.0 / max(math.prod([x.shape[a] for a in axes]), 1)
    if y is not None:
        g = xp.relu_backward(g, y)
    d = x - _per_channel(xp, mean, ndim)
    d = d - _per_channel(xp, xp.sum(d, axis=axes) * share, ndim)
    r = 1.0 / xp.sqrt(var + eps)
    db = xp.sum(g, axis=axes)
    gd = xp.sum(g * d, axis=axes)
    scale = r if weight is None else r * weight
    dx = g - d * _per_channel(xp, gd * r * r * share, ndim) - _per_channel(xp, db * share, ndim)
    dx = dx * _per_channel(xp, scale, ndim)
    return dx, gd * r, db


def _batch_norm_joint(
    xp: Any, needs: Any, g: Any, g1: Any, g2: Any, x: Any, weight: Any, y1: Any, y2: Any, eps: float
) -> tuple[Any, ...]:
    return _cotangents(xp, needs, (g, g1, g2), x, weight, (None, y1, y2), eps)


def _batch_norm_relu_joint(
    xp: Any, needs: Any, g: Any, g1: Any, g2: Any, x: Any, weight: Any, y: Any, y1: Any, y2: Any, eps: float
) -> tuple[Any, ...]:
    return _cotangents(xp, needs, (g, g1, g2), x, weight, (y, y1, y2), eps)


def _cotangents(
    xp: Any, needs: Any, gs: tuple[Any, ...], x: Any, weight: Any, ys: tuple[Any, ...], eps: float
) -> tuple[Any, ...]:
    """Of x, weight and bias. Those of the statistics, if any, reach x as well: g_mean / n + 2 (x - mean) g_var / n."""
    (g, g_mean, g_var), (y, mean, var), ndim = gs, ys, x.ndim
    share = 1.0 / max(math.prod([x.shape[0], *x.shape[2:]]), 1)
    dx = dw = db = None
    if g is not None:
        dx, dw, db = xp.batch_norm_backward(g, x, y, weight, mean, var, eps=eps)
    if needs[0] and g_mean is not None:
        part = xp.broadcast_to(_per_channel(xp, g_mean * share, ndim), shape=x.shape)
        dx = part if dx is None else dx + part
    if needs[0] and g_var is not None:
        part = (x - _per_channel(xp, mean, ndim)) * _per_channel(xp, g_var * (2.0 * share), ndim)
        dx = part if dx is None else dx + part
    return dx, dw, db


@primitive(joint=_batch_norm_joint, promote="float")
def batch_norm(np: Any, x: Any, weight: Any, bias: Any, *, eps: float = 1e-5) -> Any:
    """(y, mean, var) of x (N, C, ...) normalised by its own statistics, per channel:

    y = (x - mean) / sqrt(var + eps) * weight + bias, with the biased variance. weight and bias are (C,), or None.
    All three outputs are differentiable. Statistics are taken in float32 or wider (Ioffe and Szegedy, 2015).
    """
    return _by_own_statistics(np, x, weight, bias, eps, False)


@primitive(joint=_batch_norm_relu_joint, promote="float")
def batch_norm_relu(np: Any, x: Any, weight: Any, bias: Any, *, eps: float = 1e-5) -> Any:
    """(max(y, 0), mean, var), where batch_norm gives (y, mean, var)."""
    return _by_own_statistics(np, x, weight, bias, eps, True)


LONG = 4096
"""Above this many examples they are added up in float64, since NumPy adds along axis 0 one by one."""


def _channel_mean(np: Any, *factors: Any) -> Any:
    """The mean of a product of arrays (N, C, ...), per channel."""
    z = factors[0]
    each = "nc" + "defghijklmopqrstuvwxyz"[: z.ndim - 2]
    sums = np.einsum(f"{','.join([each] * len(factors))}->nc", *factors)
    total = np.add.reduce(sums, axis=0, dtype=np.float64 if len(z) > LONG else z.dtype)
    return (total * (z.shape[1] / max(z.size, 1))).astype(z.dtype, copy=False)


def _by_own_statistics(np: Any, x: Any, weight: Any, bias: Any, eps: float, relu: bool) -> Any:
    shape = channel_shape(x.shape[1], x.ndim)
    z = wide(x)
    mean = _channel_mean(np, z)
    y = z - mean.reshape(shape)
    rest = np.nan_to_num(_channel_mean(np, y))  # NaN where the mean is infinite, which it shall stay
    var = _channel_mean(np, y, y) - rest * rest
    scale = 1.0 / np.sqrt(var + np.asarray(eps, var.dtype))
    if weight is not None:
        scale *= weight
    shift = np.where(np.isfinite(scale), rest * scale, 0)  # infinity times a rest of 0 would be NaN
    y *= scale.reshape(shape)
    y += (-shift if bias is None else bias - shift).reshape(shape)
    if relu:
        np.maximum(y, 0, out=y)
    mean += rest
    if y.dtype != x.dtype:
        y, mean, var = y.astype(x.dtype), mean.astype(x.dtype), var.astype(x.dtype)
    return y, mean, var


def _inference_joint(
    xp: Any, needs: Any, g: Any, x: Any, mean: Any, var: Any, weight: Any, y: Any, eps: float, relu: bool
) -> tuple[Any, ...]:
    """With d = x - mean, r = (var + eps)^-1/2 and sums over all axes but the channels':

    x: g r weight;  mean: -sum(g) r weight;  var: -sum(g d) r^3 weight / 2;  weight: sum(g d) r;  bias: sum(g).
    """
    ndim, axes = x.ndim, (0, *range(2, x.ndim))
    if relu:
        g = xp.relu_backward(g, y)
    r = 1.0 / xp.sqrt(var + eps)
    scale = r if weight is None else r * weight
    dx = g * _per_channel(xp, scale, ndim) if needs[0] else None
    if not any(needs[1:]):
        return dx, None, None, None, None
    db = xp.sum(g, axis=axes)
    gd = xp.sum(g * (x - _per_channel(xp, mean, ndim)), axis=axes)
    return dx, -(db * scale), gd * scale * r * r * -0.5, gd * r, db


def _over_the_batch(prim: Any, level: Any, values: list[Any], flags: list[bool], static: dict[str, Any]) -> Any:
    """vmap over x only: its hidden axis joins the batch. Over statistics or weights: a loop."""
    if any(flags[1:]):
        return loop(prim, level, values, flags, static)
    y = bind(prim, (fold(values[0], level.size, True), *values[1:]), static)
    return BIND.reshape(y, shape=values[0].shape)


@primitive(joint=_inference_joint, batch=_over_the_batch, promote="float")
def batch_norm_inference(
    np: Any, x: Any, mean: Any, var: Any, weight: Any, bias: Any, *, eps: float = 1e-5, relu: bool = False
) -> Any:
    """y = (x - mean) / sqrt(var + eps) * weight + bias of x (N, C, ...), the rest (C,); relu: max(y, 0)."""
    shape = channel_shape(x.shape[1], x.ndim)
    scale = 1.0 / np.sqrt(wide(var) + np.asarray(eps, wide(var).dtype))
    if weight is not None:
        scale *= weight
    y = wide(x) * scale.reshape(shape)
    y += (-mean * scale if bias is None else bias - mean * scale).reshape(shape)
    if relu:
        np.maximum(y, 0, out=y)
    return y.astype(x.dtype, copy=False)


# -- layer normalisation -----------------------------------------------------------------------------------------------


def _last(ndim: int, dims: int) -> tuple[int, ...]:
    return tuple(range(ndim - dims, ndim))


@fused(batch=_unfused, promote="same")
def layer_norm_backward(xp: Any, g: Any, x: Any, weight: Any, *, dims: int, eps: float) -> tuple[Any, ...]:
    """Cotangents of x (..., D), weight and bias (D) from that of y, where D stands for the last `dims` axes; the first
    alone where weight is None.

    With h = g weight, r = (var + eps)^-1/2 and z = (x - mean) r, means over D and sums over the rest:
    x: (h - mean(h) - z mean(h z)) r, weight: sum(g z), bias: sum(g).
    """
    axes, rows = _last(x.ndim, dims), tuple(range(x.ndim - dims))
    share = 1.0 / max(math.prod([x.shape[a] for a in axes]), 1)
    d = x - xp.sum(x, axis=axes, keepdims=True) * share
    d = d - xp.sum(d, axis=axes, keepdims=True) * share
    r = 1.0 / xp.sqrt(xp.sum(d * d, axis=axes, keepdims=True) * share + eps)
    z = d * r
    h = g if weight is None else g * weight
    hz = xp.sum(h * z, axis=axes, keepdims=True) * share
    dx = (h - xp.sum(h, axis=axes, keepdims=True) * share - z * hz) * r
    return (dx,) if weight is None else (dx, xp.sum(g * z, axis=rows), xp.sum(g, axis=rows))


def _layer_norm_joint(
    xp: Any, needs: Any, g: Any, x: Any, weight: Any, dims: int, eps: float
) -> tuple[Any, ...]:  # fmt: skip
    if weight is not None:
        return xp.layer_norm_backward(g, x, weight, dims=dims, eps=eps)
    dx = xp.layer_norm_backward(g, x, None, dims=dims, eps=eps)[0] if needs[0] else None
    return dx, None, xp.sum(g, axis=tuple(range(x.ndim - dims))) if needs[2] else None


def _in_place(prim: Any, level: Any, values: list[Any], flags: list[bool], static: dict[str, Any]) -> Any:
    """vmap over x only changes nothing: the axes are the last ones. Over weights: a loop."""
    return loop(prim, level, values, flags, static) if any(flags[1:]) else bind(prim, tuple(values), static)


@primitive(joint=_layer_norm_joint, batch=_in_place, promote="float")
def layer_norm(np: Any, x: Any, weight: Any, bias: Any, *, dims: int, eps: float = 1e-5) -> Any:
    """y = (x - mean) / sqrt(var + eps) * weight + bias over the last `dims` axes of x, with the biased variance.

    weight and bias have the shape of these axes, or are None (Ba, Kiros and Hinton, 2016).
    """
    axes, z = _last(x.ndim, dims), wide(x)
    share = 1.0 / max(math.prod(x.shape[x.ndim - dims :]), 1)
    y = z - np.add.reduce(z, axis=axes, keepdims=True) * share
    y -= np.add.reduce(y, axis=axes, keepdims=True) * share
    var = np.add.reduce(np.square(y), axis=axes, keepdims=True) * share
    y /= np.sqrt(var + np.asarray(eps, var.dtype))
    if weight is not None:
        y *= weight
    if bias is not None:
        y += bias
    return y.astype(x.dtype, copy=False)
