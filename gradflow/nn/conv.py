"""Convolution layers."""

from __future__ import annotations

import math
from typing import Any

from . import functional as F
from .functional.sizes import Size, pair
from .module import Module
from .start import uniform


class Conv2d(Module):
    """2-D convolution, with weight (out_channels, in_channels / groups, R, S), uniform in +-1/sqrt(fan in)."""

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
        super().__init__()
        if padding_mode != "zeros":
            raise NotImplementedError(f"[Conv2d] padding_mode={padding_mode!r} is not supported, only 'zeros'")
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(
                f"[Conv2d] in_channels {in_channels} and out_channels {out_channels} must divide into {groups} groups"
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = pair("Conv2d", "kernel_size", kernel_size)
        self.stride, self.dilation = pair("Conv2d", "stride", stride), pair("Conv2d", "dilation", dilation)
        self.padding = padding if isinstance(padding, str) else pair("Conv2d", "padding", padding)
        fan_in = in_channels // groups * self.kernel_size[0] * self.kernel_size[1]
        bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
        self.weight = uniform((out_channels, in_channels // groups, *self.kernel_size), bound, device, dtype)
        self.register_parameter("bias", uniform((out_channels,), bound, device, dtype) if bias else None)

    def forward(self, x: Any) -> Any:
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        for name, usual in (("padding", (0, 0)), ("dilation", (1, 1)), ("groups", 1)):
            if getattr(self, name) != usual:
                text += f", {name}={getattr(self, name)}"
        return text + ("" if self.bias is not None else ", bias=False")


__all__ = ["Conv2d"]
