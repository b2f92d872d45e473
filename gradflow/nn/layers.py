"""Layers, with the constructor arguments, parameter shapes and initialisation of torch.nn."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from ..creation import rand
from . import functional as F
from .activation import ReLU
from .module import Module, Parameter
from .normalization import BatchNorm2d
from .sizes import Size, pair


def _uniform(shape: tuple[int, ...], bound: float, device: Any, dtype: Any) -> Parameter:
    """A parameter drawn uniformly from [-bound, bound)."""
    start = rand(*shape, dtype=dtype, device=device)
    return Parameter(start.mul_(2 * bound).sub_(bound))


class Sequential(Module):
    """Modules called one after the other: Sequential(a, b) or Sequential(OrderedDict(name=module))."""

    def __init__(self, *modules: Any) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], OrderedDict):
            for name, module in modules[0].items():
                self.add_module(name, module)
        else:
            for i, module in enumerate(modules):
                if not isinstance(module, Module):
                    raise TypeError(f"[Sequential] argument {i} is no module but {type(module).__name__}")
                self.add_module(str(i), module)

    def forward(self, x: Any) -> Any:
        """Each module of the one before; a ReLU after a BatchNorm2d is done by that, in the same pass over memory."""
        modules, fused = [*self._modules.values(), None], False
        for module, after in pairwise(modules):
            if fused:
                fused = False
            elif type(module) is BatchNorm2d and type(after) is ReLU:
                x, fused = module(x, activation="relu"), True
            else:
                x = module(x)
        return x

    def append(self, module: Module) -> Sequential:
        """Add a module at the end."""
        self.add_module(str(len(self._modules)), module)
        return self

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(list(self._modules.values()))

    def __getitem__(self, index: Any) -> Any:
        items = list(self._modules.items())
        return Sequential(OrderedDict(items[index])) if isinstance(index, slice) else items[index][1]


class Linear(Module):
    """y = x W^T + b, with weight (out_features, in_features), uniform in +-1/sqrt(in_features) at the start."""

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        bound = 1 / math.sqrt(in_features) if in_features else 0.0
        self.weight = _uniform((out_features, in_features), bound, device, dtype)
        self.register_parameter("bias", _uniform((out_features,), bound, device, dtype) if bias else None)

    def forward(self, x: Any) -> Any:
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


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
        self.weight = _uniform((out_channels, in_channels // groups, *self.kernel_size), bound, device, dtype)
        self.register_parameter("bias", _uniform((out_channels,), bound, device, dtype) if bias else None)

    def forward(self, x: Any) -> Any:
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        for name, usual in (("padding", (0, 0)), ("dilation", (1, 1)), ("groups", 1)):
            if getattr(self, name) != usual:
                text += f", {name}={getattr(self, name)}"
        return text + ("" if self.bias is not None else ", bias=False")


class Flatten(Module):
    """Dimensions start_dim to end_dim as one."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Any) -> Any:
        from ..functions import flatten

        return flatten(x, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


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
