"""What dtypes and tensors are like: limits of number formats, memory formats, questions about a tensor."""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np

from .autograd.value import Value, host_array
from .backend.base import Device
from .backend.device import parse_device
from .backend.dtypes import as_dtype, can_cast, get_default_dtype, is_floating


class finfo:
    """The limits of a floating dtype, the default one unless one is named, as Python floats.

    bits, eps (the step above 1), max, min (the lowest), tiny and smallest_normal, resolution (10^-digits), dtype
    """

    def __init__(self, dtype: Any = None) -> None:
        self.dtype = get_default_dtype() if dtype is None else as_dtype(dtype)
        if not is_floating(self.dtype):
            raise TypeError(f"[finfo] expected a floating dtype, got {self.dtype}; use gf.iinfo for integers")
        if self.dtype.name == "bfloat16":
            import ml_dtypes

            info: Any = ml_dtypes.finfo(self.dtype)  # type: ignore[no-untyped-call]
        else:
            info = np.finfo(self.dtype)
        self.bits: int = info.bits
        self.eps, self.max, self.min = float(info.eps), float(info.max), float(info.min)
        self.tiny = self.smallest_normal = float(info.tiny)
        self.resolution = float(f"1e-{info.precision}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, finfo) and self.dtype == other.dtype

    def __hash__(self) -> int:
        return hash(self.dtype)

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, eps={self.eps:g}, "
            f"smallest_normal={self.tiny:g}, tiny={self.tiny:g}, dtype={self.dtype})"
        )


class iinfo:
    """The limits of an integer dtype: bits, max, min, dtype."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = as_dtype(dtype)
        if self.dtype.kind not in "iu":
            raise TypeError(f"[iinfo] expected an integer dtype, got {self.dtype}; use gf.finfo for floats")
        info = np.iinfo(self.dtype)
        self.bits, self.max, self.min = info.bits, int(info.max), int(info.min)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, iinfo) and self.dtype == other.dtype

    def __hash__(self) -> int:
        return hash(self.dtype)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"


class MemoryFormat(Enum):
    """The order of a tensor's elements in memory."""

    contiguous_format = "contiguous_format"
    channels_last = "channels_last"
    preserve_format = "preserve_format"

    def __repr__(self) -> str:
        return f"gradflow.{self.value}"


contiguous_format, channels_last = MemoryFormat.contiguous_format, MemoryFormat.channels_last
preserve_format = MemoryFormat.preserve_format


def is_tensor(obj: Any) -> bool:
    """Whether obj is a tensor."""
    return isinstance(obj, Value)


def _check(op: str, x: Any) -> None:
    if not isinstance(x, Value):
        raise TypeError(f"[{op}] expected a tensor, got {type(x).__name__}")


def is_floating_point(input: Any) -> bool:
    """Whether a tensor holds floats."""
    _check("is_floating_point", input)
    return is_floating(input.dtype)


def is_complex(input: Any) -> bool:
    """False: tensors hold no complex numbers."""
    return False


def is_nonzero(input: Any) -> bool:
    """Whether the one element is not zero."""
    _check("is_nonzero", input)
    if input.size_ != 1:
        raise ValueError(f"[is_nonzero] needs a tensor of one element, got shape {tuple(input.shape)}")
    return bool(host_array(input, "is_nonzero").item() != 0)


def numel(input: Any) -> int:
    """The number of elements."""
    _check("numel", input)
    return int(input.size_)


def names_dtype(target: Any) -> bool:
    """Whether an argument that may be a device or a dtype is a dtype."""
    if isinstance(target, (np.dtype, type)):
        return True
    if not isinstance(target, str):
        return False
    try:
        as_dtype(target)
    except TypeError:
        return False
    return True


def destination(op: str, targets: tuple[Any, ...], device: Any, dtype: Any) -> tuple[Any, Any]:
    """What `to` was told, as (Device or None, dtype or None): devices, dtypes, or a tensor to be like, in any order.
    Booleans are PyTorch's positional non_blocking."""
    for target in targets:
        if isinstance(target, Value):
            device, dtype = target.device, target.dtype  # type: ignore[attr-defined]
        elif target is None or isinstance(target, bool):
            continue
        elif names_dtype(target):
            dtype = target
        elif isinstance(target, (str, int, Device)):
            device = target
        else:
            raise TypeError(f"[{op}] expected a device, a dtype or a tensor, got {type(target).__name__}")
    return None if device is None else parse_device(device), None if dtype is None else as_dtype(dtype)


__all__ = [
    "can_cast", "channels_last", "contiguous_format", "finfo", "iinfo", "is_complex", "is_floating_point",
    "is_nonzero", "is_tensor", "numel", "preserve_format",
]  # fmt: skip
