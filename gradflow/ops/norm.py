"""Batch normalisation over all axes but the channels'."""

from __future__ import annotations

import math
from typing import Any

from ..autograd.define import primitive
from .conv import wide


def _per_channel(xp: Any, v: Any, ndim: int) -> Any:
    """(C,) as (1, C, 1, ...)."""
    return xp.reshape(v, shape=(1, v.shape[0], *(1,) * (ndim - 2)))


def _batch_norm_joint(
    xp: Any, needs: Any, g: Any, g1: Any, g2: Any, x: Any, weight: Any, y1: Any, y2: Any, eps: float
) -> tuple[Any, ...]:
    """Cotangents of x, weight and bias; those of the statistics, where there are any, reach x as well.

    With d = x - mean, r = (var + eps)^-1/2 and n elements a channel:
    x: w r (g - mean(g) - d r^2 mean(g d)) + g_mean / n + 2 d g_var / n;  weight: sum(g d r);  bias: sum(g).
    """
    ndim = x.ndim
    axes = (0, *range(2, ndim))
    count = math.prod([x.shape[a] for a in axes])
    d = x - _per_channel(xp, y1, ndim)
    dx = dw = db = None
    if g is not None:
        r = xp.power(y2 + eps, -0.5)
        db = xp.sum(g, axis=axes)
        gd = xp.sum(g * d, axis=axes)
        dw = gd * r
        if needs[0]:
            dx = g - _per_channel(xp, db * (1.0 / count), ndim) - d * _per_channel(xp, gd * r * r * (1.0 / count), ndim)
            dx = dx * _per_channel(xp, r if weight is None else weight * r, ndim)
    if needs[0] and g1 is not None:
        part = xp.broadcast_to(_per_channel(xp, g1 * (1.0 / count), ndim), shape=x.shape)
        dx = part if dx is None else dx + part
    if needs[0] and g2 is not None:
        part = d * _per_channel(xp, g2 * (2.0 / count), ndim)
        dx = part if dx is None else dx + part
    return dx, dw if needs[1] else None, db if needs[2] else None


@primitive(joint=_batch_norm_joint, promote="float")
def batch_norm(np: Any, x: Any, weight: Any, bias: Any, *, eps: float = 1e-5) -> Any:
    """(y, mean, var) of x (N, C, ...) normalised by its own statistics, per channel:

    y = (x - mean) / sqrt(var + eps) * weight + bias, with the biased variance. weight and bias are (C,), or None.
    All three outputs are differentiable. Statistics are taken in float32 or wider (Ioffe and Szegedy, 2015).
    """
    axes = (0, *range(2, x.ndim))
    shape = (1, x.shape[1], *(1,) * (x.ndim - 2))
    z = wide(x)
    mean = z.mean(axis=axes)
    y = z - mean.reshape(shape)
    var = np.square(y).mean(axis=axes)
    scale = 1.0 / np.sqrt(var + np.asarray(eps, var.dtype))
    y *= (scale if weight is None else scale * weight).reshape(shape)
    if bias is not None:
        y += bias.reshape(shape)
    if y.dtype != x.dtype:
        y, mean, var = y.astype(x.dtype), mean.astype(x.dtype), var.astype(x.dtype)
    return y, mean, var
