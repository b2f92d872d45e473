"""Normalisation layers, with the constructor arguments, parameter shapes and buffers of torch.nn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..creation import ones, tensor, zeros
from . import functional as F
from .module import Module, Parameter


class BatchNorm2d(Module):
    """Batch normalisation of (N, C, H, W) per channel, with running statistics for evaluation."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum, self.affine = num_features, eps, momentum, affine
        self.track_running_stats = track_running_stats
        kind: dict[str, Any] = {"device": device, "dtype": dtype}
        self.register_parameter("weight", Parameter(ones(num_features, **kind)) if affine else None)
        self.register_parameter("bias", Parameter(zeros(num_features, **kind)) if affine else None)
        tracked = track_running_stats
        self.register_buffer("running_mean", zeros(num_features, **kind) if tracked else None)
        self.register_buffer("running_var", ones(num_features, **kind) if tracked else None)
        self.register_buffer("num_batches_tracked", tensor(0, device=device) if tracked else None)

    def forward(self, x: Any, activation: str | None = None) -> Any:
        """activation="relu" gives max(y, 0), for less than a layer of its own costs."""
        if x.ndim != 4:
            raise ValueError(f"[BatchNorm2d] expected x (N, C, H, W), got {tuple(x.shape)}")
        tracks = self.training and self.track_running_stats
        momentum: Any = self.momentum
        if momentum is None:  # the plain average of all batches, without asking the device for their number
            momentum = 1.0 / (self.num_batches_tracked.to("float64") + 1) if tracks else 0.0
        y = F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias,
            self.training or not self.track_running_stats, momentum, self.eps, activation=activation,
        )  # fmt: skip
        if tracks:
            self.num_batches_tracked.add_(1)
        return y

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )


class LayerNorm(Module):
    """Layer normalisation over the last axes, of normalized_shape, with weight and bias of that shape."""

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.normalized_shape, self.eps, self.elementwise_affine = shape, eps, elementwise_affine
        kind: dict[str, Any] = {"device": device, "dtype": dtype}
        self.register_parameter("weight", Parameter(ones(*shape, **kind)) if elementwise_affine else None)
        self.register_parameter("bias", Parameter(zeros(*shape, **kind)) if elementwise_affine and bias else None)

    def forward(self, x: Any) -> Any:
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


__all__ = ["BatchNorm2d", "LayerNorm"]
