"""Dropout layers. `inplace` is accepted for PyTorch's sake; the result is a new tensor all the same."""

from __future__ import annotations

from typing import Any

from . import functional as F
from .module import Module


class _Dropout(Module):
    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"[{type(self).__name__}] p must be a probability, got {p}")
        self.p, self.inplace = p, inplace

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """In training, zero with probability p, else x / (1 - p)."""

    def forward(self, x: Any) -> Any:
        return F.dropout(x, self.p, self.training)


class Dropout1d(_Dropout):
    """In training, whole channels of (N, C, L) or (C, L) zero with probability p, the others x / (1 - p)."""

    def forward(self, x: Any) -> Any:
        return F.dropout1d(x, self.p, self.training)


class Dropout2d(_Dropout):
    """In training, whole channels of (N, C, H, W) zero with probability p, the others x / (1 - p)."""

    def forward(self, x: Any) -> Any:
        return F.dropout2d(x, self.p, self.training)


class Dropout3d(_Dropout):
    """In training, whole channels of (N, C, D, H, W) or (C, D, H, W) zero with probability p, others x / (1 - p)."""

    def forward(self, x: Any) -> Any:
        return F.dropout3d(x, self.p, self.training)


class AlphaDropout(_Dropout):
    """In training, SELU's lower bound with probability p, scaled and shifted so that mean 0 and variance 1 are kept."""

    def forward(self, x: Any) -> Any:
        return F.alpha_dropout(x, self.p, self.training)


class FeatureAlphaDropout(_Dropout):
    """`AlphaDropout` of whole channels of (N, C, ...)."""

    def forward(self, x: Any) -> Any:
        return F.feature_alpha_dropout(x, self.p, self.training)


__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout"]
