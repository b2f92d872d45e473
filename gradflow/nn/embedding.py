"""Embedding layers."""

from __future__ import annotations

from typing import Any

from ..creation import randn
from . import functional as F
from .functional.embeddings import row_of_padding
from .module import Module, Parameter


class Embedding(Module):
    """y = weight[x] (..., embedding_dim) of indices x (...), with weight (num_embeddings, embedding_dim), normal at the
    start. Row `padding_idx` starts as zeros and gets no gradient."""

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        _weight: Any = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = None if padding_idx is None else row_of_padding("Embedding", padding_idx, num_embeddings)
        if _weight is None:
            _weight = randn(num_embeddings, embedding_dim, device=device, dtype=dtype)
            if self.padding_idx is not None:
                _weight[self.padding_idx] = 0.0
        elif tuple(_weight.shape) != (num_embeddings, embedding_dim):
            shape = tuple(_weight.shape)
            raise ValueError(f"[Embedding] weight is {shape}, expected ({num_embeddings}, {embedding_dim})")
        self.weight = Parameter(_weight)

    @classmethod
    def from_pretrained(cls, embeddings: Any, freeze: bool = True, padding_idx: int | None = None) -> Embedding:
        """A layer over a table (n, d), which is not trained if `freeze`."""
        if embeddings.ndim != 2:
            raise ValueError(f"[Embedding] embeddings must be (n, d), got {tuple(embeddings.shape)}")
        layer = cls(embeddings.shape[0], embeddings.shape[1], padding_idx, _weight=embeddings)
        layer.weight.requires_grad_(not freeze)
        return layer

    def forward(self, x: Any) -> Any:
        return F.embedding(x, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"


__all__ = ["Embedding"]
