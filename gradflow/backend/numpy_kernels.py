"""Kernels of the CPU backend: fused formulas in NumPy, with one new buffer where the formula would take several.

A kernel has the arguments and the result of the primitive or formula of its name, or returns Declined with a reason;
the array code then runs instead. Both are counted in `kernels`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .kernels import Declined

_NOT_DENSE = Declined("operands that are not floats of one shape and dtype")


def _dense(g: np.ndarray, y: np.ndarray) -> bool:
    """Whether both are floats of one shape and dtype, so that a result laid out as y can take either."""
    return g.shape == y.shape and g.dtype == y.dtype and g.dtype.kind == "f" and g.ndim > 0


def sigmoid_backward(g: np.ndarray, y: np.ndarray) -> Any:
    """g y (1 - y)."""
    if not _dense(g, y):
        return _NOT_DENSE
    out = np.subtract(1.0, y)
    out *= y
    out *= g
    return out


def tanh_backward(g: np.ndarray, y: np.ndarray) -> Any:
    """g (1 - y^2)."""
    if not _dense(g, y):
        return _NOT_DENSE
    out = np.multiply(y, y)
    np.subtract(1.0, out, out=out)
    out *= g
    return out


def batch_norm_backward(
    g: np.ndarray, x: np.ndarray, y: Any, weight: Any, mean: np.ndarray, var: np.ndarray, *, eps: float
) -> Any:
    """(dx, dweight, dbias), with two buffers of x's size."""
    if not _dense(g, x):
        return _NOT_DENSE
    shape, axes = (1, -1, *(1,) * (x.ndim - 2)), (0, *range(2, x.ndim))
    share = 1.0 / max(math.prod([x.shape[a] for a in axes]), 1)
    if y is not None:
        g = np.where(y <= 0, g.dtype.type(0), g)
    d = x - mean.reshape(shape)
    d -= (np.add.reduce(d, axis=axes) * share).reshape(shape)
    r = 1.0 / np.sqrt(var + eps)
    out = g * d
    db, gd = np.add.reduce(g, axis=axes), np.add.reduce(out, axis=axes)
    np.multiply(d, (gd * r * r * share).reshape(shape), out=out)
    np.subtract(g, out, out=out)
    out -= (db * share).reshape(shape)
    out *= (r if weight is None else r * weight).reshape(shape)
    return out, gd * r, db


KERNELS: dict[str, Callable[..., Any]] = {
    "batch_norm_backward": batch_norm_backward,
    "sigmoid_backward": sigmoid_backward,
    "tanh_backward": tanh_backward,
}
