"""Losses as layers."""

from __future__ import annotations

from typing import Any

from . import functional as F
from .module import Module


class CrossEntropyLoss(Module):
    """Cross entropy of logits with class indices or probabilities."""

    def __init__(
        self,
        weight: Any = None,
        size_average: None = None,
        ignore_index: int = -100,
        reduce: None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.size_average, self.reduce = size_average, reduce
        self.ignore_index, self.reduction, self.label_smoothing = ignore_index, reduction, label_smoothing

    def forward(self, x: Any, target: Any) -> Any:
        return F.cross_entropy(
            x, target, self.weight, self.size_average, self.ignore_index, self.reduce, self.reduction,
            self.label_smoothing,
        )  # fmt: skip


__all__ = ["CrossEntropyLoss"]
