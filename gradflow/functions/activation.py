"""Softmax and its logarithm."""

from __future__ import annotations

from typing import Any

from ..ops import softmax as softmax_ops
from ..ops.shape import reshape
from .arguments import numpy_names, one_dim
from .reduction import cast


def along(function: Any, x: Any, dim: int, dtype: Any) -> Any:
    """A primitive of one axis on a dimension of x, which may be 0-d, in `dtype` if that is given."""
    x = cast(x, dtype)
    if not x.ndim and dim in (0, -1):
        return reshape(function(reshape(x, shape=(1,)), axis=0), shape=())
    return function(x, axis=one_dim(function.__name__, x, dim))


@numpy_names
def softmax(x: Any, dim: int, dtype: Any = None) -> Any:
    """exp(x) / sum(exp(x)) along a dimension, of x in `dtype` if that is given."""
    return along(softmax_ops.softmax, x, dim, dtype)


@numpy_names
def log_softmax(x: Any, dim: int, dtype: Any = None) -> Any:
    """log(softmax(x)) along a dimension, without overflow, of x in `dtype` if that is given."""
    return along(softmax_ops.log_softmax, x, dim, dtype)


__all__ = ["log_softmax", "softmax"]
