"""Softmax and its logarithm."""

from __future__ import annotations

from typing import Any

from ..ops import softmax as softmax_ops
from .arguments import numpy_names, one_dim


@numpy_names
def softmax(x: Any, dim: int) -> Any:
    """exp(x) / sum(exp(x)) along a dimension."""
    return softmax_ops.softmax(x, axis=one_dim("softmax", x, dim))


@numpy_names
def log_softmax(x: Any, dim: int) -> Any:
    """log(softmax(x)) along a dimension, without overflow."""
    return softmax_ops.log_softmax(x, axis=one_dim("log_softmax", x, dim))


__all__ = ["log_softmax", "softmax"]
