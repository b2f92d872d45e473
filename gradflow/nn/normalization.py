"""Normalisation layers, with the constructor arguments, parameter shapes and buffers of torch.nn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..creation import ones, tensor, zeros
from ..functions import squeeze, unsqueeze
from . import functional as F
from .functional.normalization import shape_of
from .module import Module, Parameter


class _ChannelNorm(Module):
    """What the layers per channel share: weight, bias and running statistics, each (C,) or None."""

    layout = ""
    ranks: tuple[int, ...] = ()

    def __init__(
        self, num_features: int, eps: float, momentum: float | None, affine: bool, tracked: bool, device: Any,
        dtype: Any, bias: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        self.num_features, self.eps, self.momentum, self.affine = num_features, eps, momentum, affine
        self.track_running_stats = tracked
        kind: dict[str, Any] = {"device": device, "dtype": dtype}
        self.register_parameter("weight", Parameter(ones(num_features, **kind)) if affine else None)
        self.register_parameter("bias", Parameter(zeros(num_features, **kind)) if affine and bias else None)
        self.register_buffer("running_mean", zeros(num_features, **kind) if tracked else None)
        self.register_buffer("running_var", ones(num_features, **kind) if tracked else None)
        self.register_buffer("num_batches_tracked", tensor(0, device=device) if tracked else None)

    def _check(self, x: Any) -> None:
        if x.ndim not in self.ranks:
            raise ValueError(f"[{type(self).__name__}] expected x {self.layout}, got {tuple(x.shape)}")

    def reset_running_stats(self) -> None:
        """Statistics as before the first batch."""
        if self.running_mean is not None:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Statistics as before the first batch, weights 1 and biases 0."""
        self.reset_running_stats()
        _reset(self)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


def _reset(layer: Any) -> None:
    """Weights 1 and biases 0."""
    if layer.weight is not None:
        layer.weight.detach().fill_(1)
    if getattr(layer, "bias", None) is not None:
        layer.bias.detach().zero_()


class _BatchNorm(_ChannelNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, x: Any, activation: str | None = None) -> Any:
        """activation="relu" gives max(y, 0), for less than a layer of its own costs."""
        self._check(x)
        mean, var = self.running_mean, self.running_var
        tracks = self.training and self.track_running_stats and mean is not None
        if self.training and not tracks:
            mean = var = None
        momentum: Any = self.momentum
        if momentum is None:  # the plain average of all batches, without asking the device for their number
            momentum = 1.0 / (self.num_batches_tracked.to("float64") + 1) if tracks else 0.0
        y = F.batch_norm(
            x, mean, var, self.weight, self.bias, self.training or mean is None, momentum, self.eps,
            activation=activation,
        )  # fmt: skip
        if tracks:
            self.num_batches_tracked.add_(1)
        return y


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of (N, C) or (N, C, L) per channel, with running statistics for evaluation."""

    layout, ranks = "(N, C) or (N, C, L)", (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of (N, C, H, W) per channel, with running statistics for evaluation."""

    layout, ranks = "(N, C, H, W)", (4,)


class BatchNorm3d(_BatchNorm):
    """Batch normalisation of (N, C, D, H, W) per channel, with running statistics for evaluation."""

    layout, ranks = "(N, C, D, H, W)", (5,)


class _InstanceNorm(_ChannelNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, x: Any) -> Any:
        self._check(x)
        batched = x.ndim == self.ranks[-1]
        x = x if batched else unsqueeze(x, 0)
        if x.shape[1] != self.num_features:
            raise ValueError(
                f"[{type(self).__name__}] expected {self.num_features} channels, got x "
                f"{tuple(x.shape if batched else x.shape[1:])}"
            )
        y = F.instance_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias,
            self.training or not self.track_running_stats, 0.0 if self.momentum is None else self.momentum, self.eps,
        )  # fmt: skip
        return y if batched else squeeze(y, 0)


class InstanceNorm1d(_InstanceNorm):
    """Normalisation of (N, C, L) or (C, L) per example and channel."""

    layout, ranks = "(N, C, L) or (C, L)", (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Normalisation of (N, C, H, W) or (C, H, W) per example and channel."""

    layout, ranks = "(N, C, H, W) or (C, H, W)", (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """Normalisation of (N, C, D, H, W) or (C, D, H, W) per example and channel."""

    layout, ranks = "(N, C, D, H, W) or (C, D, H, W)", (4, 5)


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
        shape = shape_of(normalized_shape)
        self.normalized_shape, self.eps, self.elementwise_affine = shape, eps, elementwise_affine
        kind: dict[str, Any] = {"device": device, "dtype": dtype}
        self.register_parameter("weight", Parameter(ones(*shape, **kind)) if elementwise_affine else None)
        self.register_parameter("bias", Parameter(zeros(*shape, **kind)) if elementwise_affine and bias else None)

    def reset_parameters(self) -> None:
        """Weights 1 and biases 0."""
        _reset(self)

    def forward(self, x: Any) -> Any:
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """Division by the root of the mean square over the last axes, of normalized_shape, with a weight of that shape."""

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        shape = shape_of(normalized_shape)
        self.normalized_shape, self.eps, self.elementwise_affine = shape, eps, elementwise_affine
        weight = Parameter(ones(*shape, device=device, dtype=dtype)) if elementwise_affine else None
        self.register_parameter("weight", weight)

    def reset_parameters(self) -> None:
        """Weights 1."""
        _reset(self)

    def forward(self, x: Any) -> Any:
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """Normalisation of (N, C, ...) per example and group of channels, with weight and bias (C,)."""

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(f"[GroupNorm] {num_channels} channels cannot be split into {num_groups} groups")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        kind: dict[str, Any] = {"device": device, "dtype": dtype}
        self.register_parameter("weight", Parameter(ones(num_channels, **kind)) if affine else None)
        self.register_parameter("bias", Parameter(zeros(num_channels, **kind)) if affine and bias else None)

    def reset_parameters(self) -> None:
        """Weights 1 and biases 0."""
        _reset(self)

    def forward(self, x: Any) -> Any:
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class LocalResponseNorm(Module):
    """x / (k + alpha mean(x^2))^beta of (N, C, L, ...), the mean over `size` neighbouring channels."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: Any) -> Any:
        return F.local_response_norm(x, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


__all__ = [
    "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "GroupNorm", "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d",
    "LayerNorm", "LocalResponseNorm", "RMSNorm",
]  # fmt: skip
