"""Padding layers, with the constructor arguments of torch.nn: sizes come in pairs, those of the last axis first."""

from __future__ import annotations

from typing import Any

from . import functional as F
from .functional.sizes import AXES, ndim_of
from .module import Module

Padding = int | tuple[int, ...]


class _Pad(Module):
    """Pads the last `rank` axes of x (N, C, *axes) or (C, *axes)."""

    rank: int
    mode: str

    def __init__(self, padding: Padding) -> None:
        super().__init__()
        pairs = 2 * self.rank
        each = (padding,) * pairs if isinstance(padding, int) else tuple(padding)
        if len(each) != pairs or not all([isinstance(n, int) for n in each]):
            raise ValueError(f"[{type(self).__name__}] padding must be an integer or {pairs}, got {padding!r}")
        self.padding = each

    def forward(self, x: Any) -> Any:
        if ndim_of(type(self).__name__, x) not in (self.rank + 1, self.rank + 2):
            axes = AXES[self.rank]
            raise ValueError(
                f"[{type(self).__name__}] expected x (N, C, {axes}) or (C, {axes}), got {tuple(x.shape)}"
            )  # fmt: skip
        return F.pad(x, self.padding, mode=self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    """Pads the last axes of x of any number of dimensions."""

    mode = "constant"

    def __init__(self, padding: Padding, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, x: Any) -> Any:
        return F.pad(x, self.padding, mode="constant", value=self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class _ZeroPad(_ConstantPad):
    def __init__(self, padding: Padding) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ConstantPad1d(_ConstantPad):
    """`value` before and after the last axis."""

    rank = 1


class ConstantPad2d(_ConstantPad):
    """`value` around the last two axes."""

    rank = 2


class ConstantPad3d(_ConstantPad):
    """`value` around the last three axes."""

    rank = 3


class ZeroPad1d(_ZeroPad):
    """Zeros before and after the last axis."""

    rank = 1


class ZeroPad2d(_ZeroPad):
    """Zeros around the last two axes."""

    rank = 2


class ZeroPad3d(_ZeroPad):
    """Zeros around the last three axes."""

    rank = 3


class ReflectionPad1d(_Pad):
    """The mirror image at the ends of x (N, C, L), without the elements there."""

    rank, mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """The mirror image at the edges of x (N, C, H, W), without the elements there."""

    rank, mode = 2, "reflect"


class ReflectionPad3d(_Pad):
    """The mirror image at the edges of x (N, C, D, H, W), without the elements there."""

    rank, mode = 3, "reflect"


class ReplicationPad1d(_Pad):
    """The elements at the ends of x (N, C, L), repeated."""

    rank, mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    """The elements at the edges of x (N, C, H, W), repeated."""

    rank, mode = 2, "replicate"


class ReplicationPad3d(_Pad):
    """The elements at the edges of x (N, C, D, H, W), repeated."""

    rank, mode = 3, "replicate"


class CircularPad1d(_Pad):
    """x (N, C, L) continued as if it were periodic."""

    rank, mode = 1, "circular"


class CircularPad2d(_Pad):
    """x (N, C, H, W) continued as if it were periodic."""

    rank, mode = 2, "circular"


class CircularPad3d(_Pad):
    """x (N, C, D, H, W) continued as if it were periodic."""

    rank, mode = 3, "circular"


__all__ = [
    "CircularPad1d", "CircularPad2d", "CircularPad3d", "ConstantPad1d", "ConstantPad2d", "ConstantPad3d",
    "ReflectionPad1d", "ReflectionPad2d", "ReflectionPad3d", "ReplicationPad1d", "ReplicationPad2d",
    "ReplicationPad3d", "ZeroPad1d", "ZeroPad2d", "ZeroPad3d",
]  # fmt: skip
