"""Dropout: of elements, of whole channels, and with the mean and variance kept."""

from __future__ import annotations

from typing import Any

from ...ops import random as _random


def _active(op: str, p: float, training: bool, inplace: bool = False) -> bool:
    """Whether anything is to be dropped. ValueError where p is no probability."""
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"[{op}] p must be a probability, got {p}")
    if inplace:
        raise NotImplementedError(f"[{op}] inplace=True is not supported")
    return training and p > 0.0


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Any = None) -> Any:
    """In training, zero with probability p, else x / (1 - p) (Srivastava et al., 2014); x itself otherwise."""
    return _random.drop(input, float(p), generator) if _active("dropout", p, training, inplace) else input


def _channels(op: str, x: Any, batched: int, p: float, training: bool, inplace: bool, generator: Any) -> Any:
    """x (N, C, ...) of `batched` dimensions, or (C, ...) of one less, with channels zeroed."""
    active = _active(op, p, training, inplace)
    if x.ndim not in (batched - 1, batched):
        raise ValueError(f"[{op}] expected x of {batched - 1} or {batched} dimensions, got {tuple(x.shape)}")
    kept = x.ndim - batched + 2
    return _random.drop_blocks(op, x, (*x.shape[:kept], *(1,) * (batched - 2)), float(p), generator) if active else x


def dropout1d(
    input: Any, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Any = None
) -> Any:
    """In training, whole channels of x (N, C, L) or (C, L) zero with probability p, the others x / (1 - p)."""
    return _channels("dropout1d", input, 3, p, training, inplace, generator)


def dropout2d(
    input: Any, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Any = None
) -> Any:
    """In training, whole channels of x (N, C, H, W) zero with probability p, the others x / (1 - p).

    Three dimensions are taken for (N, C, L), as PyTorch takes them (Tompson et al., 2015).
    """
    return _channels("dropout2d", input, 3 if input.ndim == 3 else 4, p, training, inplace, generator)


def dropout3d(
    input: Any, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Any = None
) -> Any:
    """In training, whole channels of x (N, C, D, H, W) or (C, D, H, W) zero with probability p, others x / (1 - p)."""
    return _channels("dropout3d", input, 5, p, training, inplace, generator)


def alpha_dropout(
    input: Any, p: float = 0.5, training: bool = False, inplace: bool = False, *, generator: Any = None
) -> Any:
    """In training, a x' + b, where x' is SELU's lower bound with probability p and x otherwise; a and b keep mean 0 and
    variance 1 (Klambauer et al., 2017)."""
    active = _active("alpha_dropout", p, training, inplace)
    return _random.drop_alpha("alpha_dropout", input, tuple(input.shape), float(p), generator) if active else input


def feature_alpha_dropout(
    input: Any, p: float = 0.5, training: bool = False, inplace: bool = False, *, generator: Any = None
) -> Any:
    """`alpha_dropout` of whole channels of x (N, C, ...)."""
    active = _active("feature_alpha_dropout", p, training, inplace)
    if not active:
        return input
    if input.ndim < 2:
        raise ValueError(f"[feature_alpha_dropout] expected x (N, C, ...), got {tuple(input.shape)}")
    shape = (*input.shape[:2], *(1,) * (input.ndim - 2))
    return _random.drop_alpha("feature_alpha_dropout", input, shape, float(p), generator)


__all__ = ["alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout"]
