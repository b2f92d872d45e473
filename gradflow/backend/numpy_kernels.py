"""Kernels of the CPU backend: fused formulas in NumPy, with one new buffer where the formula would take several.

A kernel has the arguments and the result of the primitive or formula of its name, or returns NotImplemented to
decline; the array code then runs instead. Both are counted in `kernels`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def _dense(g: np.ndarray, y: np.ndarray) -> bool:
    """Whether both are floats of one shape and dtype, so that a result laid out as y can take either."""
    return g.shape == y.shape and g.dtype == y.dtype and g.dtype.kind == "f" and g.ndim > 0


def sigmoid_backward(g: np.ndarray, y: np.ndarray) -> Any:
    """g y (1 - y)."""
    if not _dense(g, y):
        return NotImplemented
    out = np.subtract(1.0, y)
    out *= y
    out *= g
    return out


def tanh_backward(g: np.ndarray, y: np.ndarray) -> Any:
    """g (1 - y^2)."""
    if not _dense(g, y):
        return NotImplemented
    out = np.multiply(y, y)
    np.subtract(1.0, out, out=out)
    out *= g
    return out


KERNELS: dict[str, Callable[..., Any]] = {"sigmoid_backward": sigmoid_backward, "tanh_backward": tanh_backward}
