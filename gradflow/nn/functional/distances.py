"""Lengths, and distances between vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...autograd.primitive import BIND
from ...autograd.value import describe
from ...backend.dtypes import is_floating, result_type
from ...functions.arguments import one_dim
from ...functions.reduction import norm
from ...ops.elementwise import clip


def _norm(op: str, x: Any, p: float, dim: int, keepdim: bool = True) -> Any:
    """sum(|x|^p)^(1/p) along a dimension, with gradient 0 at 0; |x| of a 0-d tensor."""
    if x.ndim or dim not in (0, -1):
        return norm(x, float(p), one_dim(op, x, dim), keepdim)
    return BIND.reshape(norm(BIND.reshape(x, shape=(1,)), float(p), 0), shape=())


def normalize(input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Any:
    """x / max(|x|, eps), with the p-norm |x| along a dimension."""
    if not is_floating(input.dtype):
        raise TypeError(f"[normalize] needs floats, got {describe(input)}; convert it with .float()")
    return input / clip(_norm("normalize", input, p, dim), eps, None)


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """sum(x1 x2) / (max(|x1|, eps) max(|x2|, eps)) along a dimension of x1 and x2, which are broadcast."""
    if not is_floating(result_type(x1, x2)):
        raise TypeError(f"[cosine_similarity] needs floats, got {describe(x1)} and {describe(x2)}; use .float()")
    try:
        shape = np.broadcast_shapes(tuple(x1.shape), tuple(x2.shape))
    except ValueError:
        raise ValueError(f"[cosine_similarity] shapes do not match (x1 {describe(x1)}, x2 {describe(x2)})") from None
    unit = []
    for x in (x1, x2):
        x = x if tuple(x.shape) == shape else BIND.broadcast_to(x, shape=shape)
        length = _norm("cosine_similarity", x, 2, dim)
        unit.append(x / (length + BIND.constant(clip(length, eps, None) - length)))  # slopes as if nothing were clipped
    product = unit[0] * unit[1]
    return BIND.sum(product, axis=one_dim("cosine_similarity", product, dim)) if shape else product


def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """The p-norm of x1 - x2 + eps along the last dimension."""
    return _norm("pairwise_distance", x1 - x2 + eps, p, -1, keepdim)


__all__ = ["cosine_similarity", "normalize", "pairwise_distance"]
