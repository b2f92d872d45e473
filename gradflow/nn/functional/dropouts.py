"""Dropout."""

from __future__ import annotations

from typing import Any

from ...ops import random as _random


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Any = None) -> Any:
    """In training, zero with probability p, else x / (1 - p) (Srivastava et al., 2014); x itself otherwise."""
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"[dropout] p must be a probability, got {p}")
    if inplace:
        raise NotImplementedError("[dropout] inplace=True is not supported")
    if not training or p == 0.0:
        return input
    return _random.drop(input, float(p), generator)


__all__ = ["dropout"]
