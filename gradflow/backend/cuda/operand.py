"""Operands: arrays that are yet to come, as launchers see them. They have shapes and layouts, and hold no data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np


class Operand:
    """An array that is yet to come: buffer number `slot`, seen from `offset` bytes on in a shape and strides."""

    __slots__ = ("address_aligned", "dtype", "offset", "shape", "slot", "strides")

    def __init__(
        self, slot: int, shape: Sequence[int], dtype: np.dtype, strides: Sequence[int], offset: int = 0,
        address_aligned: bool = True,
    ) -> None:  # fmt: skip
        self.slot, self.offset, self.dtype = slot, offset, dtype
        self.shape, self.strides, self.address_aligned = tuple(shape), tuple(strides), address_aligned

    ndim = property(lambda self: len(self.shape))
    size = property(lambda self: math.prod(self.shape))
    itemsize = property(lambda self: self.dtype.itemsize)
    nbytes = property(lambda self: self.size * self.itemsize)
    aligned = property(lambda self: self.address_aligned and self.offset % 16 == 0)

    @property
    def sum_dtype(self) -> np.dtype:
        """What floats of this dtype are added up in, acc_t<T> to kernels: float64 for itself, else float32."""
        return np.dtype("f8" if self.itemsize == 8 else "f4")

    @property
    def order(self) -> tuple[int, ...]:
        """The axes from the widest stride to the narrowest."""
        return tuple(sorted(range(self.ndim), key=lambda a: (-abs(self.strides[a]), a)))

    @property
    def is_c(self) -> bool:
        """Whether memory is contiguous in C order."""
        return self._is_like(strides_of(self.shape, self.itemsize))

    @property
    def is_dense(self) -> bool:
        """Whether memory is contiguous in some order of the axes."""
        return self._is_like(strides_of(self.shape, self.itemsize, self._long_order()))

    def _long_order(self) -> tuple[int, ...]:
        """`order`, with axes of size 1, whose strides mean nothing, in front."""
        return tuple(sorted(self.order, key=lambda a: self.shape[a] > 1))

    def _is_like(self, strides: Sequence[int]) -> bool:
        if self.size == 0:
            return True
        return all([s == t for n, s, t in zip(self.shape, self.strides, strides, strict=True) if n > 1])

    def has_layout_of(self, other: Operand) -> bool:
        """Whether both have one shape and, as far as it matters, the same strides in elements."""
        strides = [s // other.itemsize * self.itemsize for s in other.strides]
        return self.shape == other.shape and self._is_like(strides)

    def view(self, shape: Sequence[int], strides: Sequence[int], offset: int = 0) -> Operand:
        """The same memory, `offset` bytes further on, in another shape and strides (bytes)."""
        if 0 in shape:
            offset = -self.offset  # there may be no memory at all, in which no place is further on
        return Operand(self.slot, shape, self.dtype, strides, self.offset + offset, self.address_aligned)

    def reshape(self, *shape: int) -> Operand:
        """Another shape of C-contiguous memory."""
        if -1 in shape:
            known = math.prod([n for n in shape if n != -1])
            shape = tuple([self.size // max(known, 1) if n == -1 else n for n in shape])
        if not self.is_c or math.prod(shape) != self.size:
            raise ValueError(f"cannot see {self} as {shape}")
        return self.view(shape, strides_of(shape, self.itemsize))

    def transpose(self, *axes: int) -> Operand:
        return self.view([self.shape[a] for a in axes], [self.strides[a] for a in axes])

    def __getitem__(self, index: Any) -> Operand:
        """A view by integers and slices."""
        index = index if isinstance(index, tuple) else (index,)
        if len(index) > self.ndim:
            raise IndexError(f"{len(index)} indices into {self}")
        shape, strides, offset = [], [], 0
        for axis, (n, stride) in enumerate(zip(self.shape, self.strides, strict=True)):
            i = index[axis] if axis < len(index) else slice(None)
            if isinstance(i, slice):
                start, stop, step = i.indices(n)
                shape.append(len(range(start, stop, step)))
                strides.append(stride * step)
                offset += start * stride if shape[-1] else 0
            elif -n <= i < n:
                offset += (i % n) * stride
            else:
                raise IndexError(f"index {i} is out of range of axis {axis} of {self}")
        return self.view(shape, strides, offset)

    def __repr__(self) -> str:
        return f"{self.shape} {self.dtype} with strides {self.strides}"


def strides_of(shape: Sequence[int], itemsize: int, order: Sequence[int] | None = None) -> tuple[int, ...]:
    """The strides in bytes of contiguous memory, `order` naming the axes from the widest stride to the narrowest."""
    strides, step = [0] * len(shape), itemsize
    for axis in reversed(range(len(shape)) if order is None else order):
        strides[axis] = step
        step *= max(shape[axis], 1)
    return tuple(strides)
