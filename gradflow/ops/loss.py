"""Losses that are primitives."""

from __future__ import annotations

from typing import Any

from ..autograd.define import elementwise_primitive
from .elementwise import wide

LEAST = -100.0
"""The least logarithm, so that a wrong certainty costs much and not everything (PyTorch's number)."""


def _probability_vjp(xp: Any, g: Any, x: Any, t: Any) -> Any:
    return g * (x - t) / xp.maximum((1.0 - x) * x, 1e-12)


def _target_vjp(xp: Any, g: Any, x: Any) -> Any:
    return g * (xp.log(1.0 - x) - xp.log(x))


@elementwise_primitive(_probability_vjp, _target_vjp, promote="float")
def binary_cross_entropy(np: Any, x: Any, t: Any) -> Any:
    """-(t log x + (1 - t) log(1 - x)), with logarithms of at least -100; gradients as if 1 / x were at most 1e12."""
    p, q = wide(x), wide(t)
    loss = (q - 1.0) * np.maximum(np.log1p(-p), LEAST) - q * np.maximum(np.log(p), LEAST)
    return np.asarray(loss).astype(x.dtype if hasattr(x, "dtype") else t.dtype, copy=False)
