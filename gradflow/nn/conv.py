"""Convolution layers, with the constructor arguments of torch.nn."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ..backend.windows import least_size
from . import functional as F
from .functional.convolution import same_padding
from .functional.sizes import Size, Sizes, several
from .module import Module
from .start import uniform

MODES = ("zeros", "reflect", "replicate", "circular")


def _bound(shape: Sequence[int]) -> float:
    """1/sqrt(fan in) of a weight."""
    fan_in = math.prod(shape[1:])
    return 1 / math.sqrt(fan_in) if fan_in else 0.0


class _ConvNd(Module):
    """What convolutions over `rank` axes and their transposes have in common; weight is uniform in +-1/sqrt(fan in)."""

    rank: int
    transposed = False
    function: Callable[..., Any]
    padding: Any

    def _set(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any,
        output_padding: Any, groups: int, bias: bool, padding_mode: str, device: Any, dtype: Any,
    ) -> None:  # fmt: skip
        name, rank = type(self).__name__, self.rank
        super().__init__()
        if padding_mode not in MODES or (self.transposed and padding_mode != "zeros"):
            known = "'zeros'" if self.transposed else f"one of {MODES}"
            raise ValueError(f"[{name}] padding_mode must be {known}, got {padding_mode!r}")
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(
                f"[{name}] in_channels {in_channels} and out_channels {out_channels} must divide into {groups} groups"
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = several(name, "kernel_size", kernel_size, rank)
        self.stride, self.dilation = several(name, "stride", stride, rank), several(name, "dilation", dilation, rank)
        self.output_padding = several(name, "output_padding", output_padding, rank)
        self.padding_mode = padding_mode
        self.padding = self._padding(name, padding)
        first, second = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        shape = (first, second // groups, *self.kernel_size)
        self.weight = uniform(shape, _bound(shape), device, dtype)
        self.register_parameter("bias", uniform((out_channels,), _bound(shape), device, dtype) if bias else None)

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        bound = _bound(self.weight.shape)
        for parameter in (self.weight, self.bias):
            if parameter is not None:
                parameter.data.uniform_(-bound, bound)

    def _padding(self, name: str, padding: Any) -> str | Sizes:
        if not isinstance(padding, str) or self.transposed:
            return several(name, "padding", padding, self.rank)
        if padding not in ("valid", "same"):
            raise ValueError(f"[{name}] padding must be a number, 'valid' or 'same', got {padding!r}")
        if padding == "same" and max(self.stride) > 1:
            raise ValueError(f"[{name}] padding='same' needs stride 1, got {self.stride}")
        return padding

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        none, once = (0,) * self.rank, (1,) * self.rank
        for name, usual in (("padding", none), ("dilation", once), ("output_padding", none), ("groups", 1)):
            if getattr(self, name) != usual:
                text += f", {name}={getattr(self, name)}"
        text += "" if self.bias is not None else ", bias=False"
        return text + ("" if self.padding_mode == "zeros" else f", padding_mode={self.padding_mode}")


class _Conv(_ConvNd):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Any = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        self._set(
            in_channels, out_channels, kernel_size, stride, padding, dilation, 0, groups, bias, padding_mode, device,
            dtype,
        )  # fmt: skip

    def forward(self, x: Any) -> Any:
        if self.padding_mode == "zeros":
            return self.function(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
        x = F.pad(x, self._around(), mode=self.padding_mode)
        return self.function(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)

    def _around(self) -> list[int]:
        """The padding as `pad` takes it: before and after each axis, the last axis first."""
        if self.padding == "same":
            each: Sequence[tuple[Any, Any]] = same_padding(self.kernel_size, self.dilation)
        else:
            each = [(0, 0) if self.padding == "valid" else (p, p) for p in self.padding]
        return [n for around in reversed(each[-self.rank :]) for n in around]


class Conv1d(_Conv):
    """1-D convolution, with weight (out_channels, in_channels / groups, S), uniform in +-1/sqrt(fan in).

    padding_mode is 'zeros', 'reflect', 'replicate' or 'circular'.
    """

    rank, function = 1, staticmethod(F.conv1d)


class Conv2d(_Conv):
    """2-D convolution, with weight (out_channels, in_channels / groups, R, S), uniform in +-1/sqrt(fan in).

    padding_mode is 'zeros', 'reflect', 'replicate' or 'circular'.
    """

    rank, function = 2, staticmethod(F.conv2d)


class Conv3d(_Conv):
    """3-D convolution, with weight (out_channels, in_channels / groups, T, R, S), uniform in +-1/sqrt(fan in).

    padding_mode is 'zeros', 'reflect', 'replicate' or 'circular'.
    """

    rank, function = 3, staticmethod(F.conv3d)


class _ConvTranspose(_ConvNd):
    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        self._set(
            in_channels, out_channels, kernel_size, stride, padding, dilation, output_padding, groups, bias,
            padding_mode, device, dtype,
        )  # fmt: skip

    def forward(self, x: Any, output_size: Sequence[int] | None = None) -> Any:
        """The transposed convolution, of `output_size` if that is given, within a stride of the smallest."""
        extra = self.output_padding if output_size is None else self._missing(x, output_size)
        return self.function(
            x, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation
        )  # fmt: skip

    def _missing(self, x: Any, output_size: Sequence[int]) -> Sizes:
        """What is missing from the smallest result to output_size: the output_padding."""
        name, size = type(self).__name__, tuple(x.shape[-self.rank :])
        asked = tuple(output_size)[-self.rank :]
        if len(output_size) not in (self.rank, x.ndim):
            raise ValueError(f"[{name}] output_size must have {self.rank} or {x.ndim} elements, got {output_size}")
        least = list(least_size(size, self.kernel_size, self.stride, self.padding, self.dilation))
        if any([not m <= n < m + s for n, m, s in zip(asked, least, self.stride, strict=True)]):
            most = [m + s - 1 for m, s in zip(least, self.stride, strict=True)]
            raise ValueError(f"[{name}] output_size {asked} must be from {least} to {most} (x {tuple(x.shape)})")
        return tuple([n - m for n, m in zip(asked, least, strict=True)])


class ConvTranspose1d(_ConvTranspose):
    """The transpose of a 1-D convolution, with weight (in_channels, out_channels / groups, S)."""

    rank, function = 1, staticmethod(F.conv_transpose1d)


class ConvTranspose2d(_ConvTranspose):
    """The transpose of a 2-D convolution, with weight (in_channels, out_channels / groups, R, S)."""

    rank, function = 2, staticmethod(F.conv_transpose2d)


class ConvTranspose3d(_ConvTranspose):
    """The transpose of a 3-D convolution, with weight (in_channels, out_channels / groups, T, R, S)."""

    rank, function = 3, staticmethod(F.conv_transpose3d)


class Unfold(Module):
    """Windows as columns: x (N, C, H, W) -> (N, C * R * S, L)."""

    def __init__(self, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1) -> None:
        super().__init__()
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride

    def forward(self, x: Any) -> Any:
        return F.unfold(x, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, stride={self.stride}"


class Fold(Unfold):
    """Columns (N, C * R * S, L) added up in an image (N, C, *output_size): the transpose of Unfold."""

    def __init__(
        self, output_size: Size, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1
    ) -> None:
        super().__init__(kernel_size, dilation, padding, stride)
        self.output_size = output_size

    def forward(self, x: Any) -> Any:
        return F.fold(x, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}, {super().extra_repr()}"


__all__ = [
    "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d", "Fold", "Unfold",
]  # fmt: skip
