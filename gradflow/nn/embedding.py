"""Embedding layers."""

from __future__ import annotations

from typing import Any

from ..creation import randn
from . import functional as F
from .functional.embeddings import row_of_padding
from .module import Module, Parameter


class _Table(Module):
    """A table (num_embeddings, embedding_dim), normal at the start, and how its rows are used."""

    def _start(
        self, num_embeddings: int, embedding_dim: int, padding_idx: int | None, max_norm: float | None,
        norm_type: float, scale_grad_by_freq: bool, sparse: bool, weight: Any, device: Any, dtype: Any,
    ) -> None:  # fmt: skip
        name = type(self).__name__
        if sparse:
            raise NotImplementedError(f"[{name}] there are no sparse gradients; leave sparse out")
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = None if padding_idx is None else row_of_padding(name, padding_idx, num_embeddings)
        self.max_norm, self.norm_type, self.scale_grad_by_freq = max_norm, norm_type, scale_grad_by_freq
        self.sparse = sparse
        if weight is not None:
            if tuple(weight.shape) != (num_embeddings, embedding_dim):
                shape = tuple(weight.shape)
                raise ValueError(f"[{name}] weight is {shape}, expected ({num_embeddings}, {embedding_dim})")
            self.weight = Parameter(weight)
            return
        self.weight = Parameter(randn(num_embeddings, embedding_dim, device=device, dtype=dtype))
        self._clear_padding()

    def reset_parameters(self) -> None:
        """Normal numbers, and zeros in row `padding_idx`."""
        w = self.weight
        w.detach().copy_(randn(*w.shape, device=w.device, dtype=w.dtype))
        self._clear_padding()

    def _clear_padding(self) -> None:
        if self.padding_idx is not None:
            self.weight.detach()[self.padding_idx] = 0.0

    def _options(self) -> str:
        norm = "" if self.max_norm is None else f", max_norm={self.max_norm}"
        kind = "" if self.norm_type == 2 else f", norm_type={self.norm_type}"
        scaled = ", scale_grad_by_freq=True" if self.scale_grad_by_freq else ""
        return norm + kind + scaled

    def _padding(self) -> str:
        return "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"


def _sizes(name: str, embeddings: Any) -> tuple[int, int]:
    if embeddings.ndim != 2:
        raise ValueError(f"[{name}] embeddings must be (n, d), got {tuple(embeddings.shape)}")
    return embeddings.shape[0], embeddings.shape[1]


class Embedding(_Table):
    """y = weight[x] (..., embedding_dim) of indices x (...), with weight (num_embeddings, embedding_dim), normal at the
    start. Row `padding_idx` starts as zeros and gets no gradient; the other options are those of
    `functional.embedding`."""

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Any = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self._start(
            num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, _weight,
            device, dtype,
        )  # fmt: skip
        self.weight.requires_grad_(not _freeze)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Any,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Embedding:
        """A layer over a table (n, d), which is not trained if `freeze`."""
        return cls(
            *_sizes("Embedding", embeddings), padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, embeddings,
            freeze,
        )  # fmt: skip

    def forward(self, x: Any) -> Any:
        return F.embedding(x, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq)

    def extra_repr(self) -> str:
        return f"{self.num_embeddings}, {self.embedding_dim}{self._padding()}{self._options()}"


class EmbeddingBag(_Table):
    """The "sum", "mean" or "max" of the rows that each bag of indices names: (bags, embedding_dim). Indices are
    (bags, k), or a vector with `offsets`; the options are those of `functional.embedding_bag`."""

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Any = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if mode not in ("sum", "mean", "max"):
            raise ValueError(f"[EmbeddingBag] mode must be 'sum', 'mean' or 'max', got {mode!r}")
        self._start(
            num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, _weight,
            device, dtype,
        )  # fmt: skip
        self.mode, self.include_last_offset = mode, include_last_offset

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Any,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> EmbeddingBag:
        """A layer over a table (n, d), which is not trained if `freeze`."""
        layer = cls(
            *_sizes("EmbeddingBag", embeddings), max_norm, norm_type, scale_grad_by_freq, mode, sparse, embeddings,
            include_last_offset, padding_idx,
        )  # fmt: skip
        layer.weight.requires_grad_(not freeze)
        return layer

    def forward(self, x: Any, offsets: Any = None, per_sample_weights: Any = None) -> Any:
        return F.embedding_bag(
            x, self.weight, offsets, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.mode, False,
            per_sample_weights, self.include_last_offset, self.padding_idx,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return f"{self.num_embeddings}, {self.embedding_dim}{self._options()}, mode={self.mode!r}{self._padding()}"


__all__ = ["Embedding", "EmbeddingBag"]
