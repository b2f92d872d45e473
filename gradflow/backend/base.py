"""What a backend is: an array module, the way to and from the host, and its kernels."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

Array = Any  # a NumPy or CuPy array: the two share an interface, not a base class


class Device:
    """Where an array lives: `Device("cpu")` or `Device("cuda", 1)`; `str()` gives "cpu" or "cuda:1"."""

    __slots__ = ("index", "type")

    def __init__(self, type: str, index: int | None = None) -> None:
        self.type, self.index = type, index

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        return f"device('{self}')"


class DeviceError(RuntimeError):
    """A device that cannot be had, or operands that live on different ones."""


class Backend:
    """One device: its array module, its copies from and to the host, and the kernels it has.

    Subclasses set the four attributes and define the four copies. `module` is what a primitive's body receives as
    `np`. `kernels` maps the name of a primitive or fused formula to its launcher, which takes the same arguments and
    returns the same result, or `kernels.Declined` with the reason. `guard` enters the device where it is not always
    current.
    """

    device: Device
    module: Any
    array_type: type
    kernels: dict[str, Callable[..., Any]]
    guard: AbstractContextManager[Any] | None = None

    def from_host(self, array: np.ndarray) -> Array:
        """A copy of a host array on this device."""
        raise NotImplementedError

    def pinned(self, array: np.ndarray) -> np.ndarray:
        """A copy on the host, in memory that the device can copy from by itself: for `from_pinned`, on any thread."""
        return np.array(array)

    def from_pinned(self, array: np.ndarray) -> Array:
        """`from_host` of what `pinned` returned, without another copy on the host; nobody may change it afterwards."""
        return self.from_host(array)

    def to_host(self, array: Array) -> np.ndarray:
        """A fresh host copy of one of this backend's arrays."""
        raise NotImplementedError

    def as_array(self, value: Any) -> Array:
        """`value`, a result of this backend's module, as an array: NumPy returns scalars where a result is 0-d."""
        raise NotImplementedError

    def check_index(self, index: Array, low: int, high: int, op: str = "index") -> int | None:
        """The first value of `index` outside [low, high), or None.

        Where kernels look at it on the device, always None; `synchronize` and `to_host` raise what they found.
        """
        raise NotImplementedError

    def synchronize(self) -> None:
        """Wait until all work given to the device is done."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.device}>"


def guarded(backend: Backend) -> AbstractContextManager[Any]:
    """The context in which to work on a backend's arrays without its namespace."""
    return nullcontext() if backend.guard is None else backend.guard
