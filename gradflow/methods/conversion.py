"""Dtypes, devices, memory, and new tensors like this one, as methods."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd.value import unwrap
from ..backend.dtypes import as_dtype, bfloat16
from ..creation import empty, full, ones, tensor, zeros
from ..functions.arguments import one_dim
from ..ops import elementwise as E
from ..ops.transfer import to_device
from ..typeinfo import MemoryFormat, channels_last, destination, is_floating_point


def _to(name: str, dtype: Any) -> Any:
    """The method that casts to one dtype."""

    def cast(self: Any, memory_format: Any = None) -> Any:
        kind = dtype() if callable(dtype) and not isinstance(dtype, type) else dtype
        return self.to(kind) if memory_format is None else self.to(kind, memory_format=memory_format)

    cast.__name__, cast.__qualname__ = name, f"Tensor.{name}"
    cast.__doc__ = f"The elements as {name if callable(dtype) else np.dtype(dtype).name}."
    return cast


def _address(array: Any) -> Any:
    where = getattr(array, "__cuda_array_interface__", None) or array.__array_interface__
    return where["data"][0]


class ConversionMethods:
    """The part of `Tensor` about how and where its elements are held."""

    __slots__ = ()

    # -- what it takes up ---------------------------------------------------------------------------------------------

    @property
    def itemsize(self: Any) -> Any:
        """Bytes per element."""
        return self.dtype.itemsize

    @property
    def nbytes(self: Any) -> Any:
        """Bytes of all elements."""
        return self.size_ * self.dtype.itemsize

    def element_size(self: Any) -> Any:
        """Bytes per element."""
        return self.dtype.itemsize

    def numel(self: Any) -> Any:
        """The number of elements."""
        return self.size_

    nelement = numel

    def stride(self: Any, dim: Any = None) -> Any:
        """How many elements lie in memory from one index to the next: of every dimension, or of one."""
        array = unwrap(self)
        hidden = array.ndim - self.ndim
        strides = tuple([s // array.dtype.itemsize for s in array.strides[hidden:]])
        return strides if dim is None else strides[one_dim("stride", self, dim)]

    def data_ptr(self: Any) -> Any:
        """The address of the first element."""
        return _address(unwrap(self))

    def storage_offset(self: Any) -> Any:
        """How many elements lie in memory before the first one, from the start of the array this is a view of."""
        array = root = unwrap(self)
        while isinstance(root.base, type(array)):
            root = root.base
        return (_address(array) - _address(root)) // array.dtype.itemsize

    def is_contiguous(self: Any, memory_format: Any = MemoryFormat.contiguous_format) -> Any:
        """Whether the memory is in row-major order without gaps (channels_last: that of (N, H, W, C))."""
        array = unwrap(self)
        if memory_format is channels_last:
            if array.ndim != 4:
                return False
            array = array.transpose(0, 2, 3, 1)
        return bool(array.flags.c_contiguous)

    def contiguous(self: Any, memory_format: Any = MemoryFormat.contiguous_format) -> Any:
        """In row-major memory (channels_last: that of (N, H, W, C)): the tensor itself where it is already."""
        if memory_format is channels_last:
            if self.ndim != 4:
                raise ValueError(f"[contiguous] channels_last is for x (N, C, H, W), got {tuple(self.shape)}")
            if self.is_contiguous(channels_last):
                return self
            return self.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
        return self if self.is_contiguous() else E.contiguous(self)

    is_floating_point = is_floating_point

    def is_complex(self) -> Any:
        """False: tensors hold no complex numbers."""
        return False

    # -- elsewhere, as something else ---------------------------------------------------------------------------------

    def to(
        self: Any,
        *target: Any,
        device: Any = None,
        dtype: Any = None,
        copy: Any = False,
        non_blocking: Any = True,
        memory_format: Any = None,
    ) -> Any:
        """On another device, in another dtype, or both; the tensor itself where nothing changes.

        Takes a device ("cuda:1"), a dtype, or a tensor to be like. Differentiable. Copies to a GPU do not block.
        """
        place, kind = destination("to", target, device, dtype)
        if memory_format is not None and not isinstance(memory_format, MemoryFormat):
            raise TypeError(f"[to] memory_format must be one of gf's, as gf.channels_last, got {memory_format!r}")
        out = self
        if kind is not None and kind != self.dtype:
            out = E.astype(out, dtype=kind)
        if place is not None and place != self.device:
            out = to_device(out, device=str(place))
        if memory_format in (channels_last, MemoryFormat.contiguous_format):
            out = out.contiguous(memory_format)
        return E.copy(out) if copy and out is self else out

    def cpu(self: Any) -> Any:
        return self.to(device="cpu")

    def cuda(self: Any, device: Any = None, non_blocking: Any = True) -> Any:
        return self.to(device="cuda" if device is None else device)

    def type(self: Any, dtype: Any = None) -> Any:
        """In another dtype; without one, the dtype."""
        return self.dtype if dtype is None else self.to(dtype=as_dtype(dtype))

    def type_as(self: Any, other: Any) -> Any:
        """In other's dtype."""
        return self.to(other.dtype)

    half, bfloat16 = _to("half", np.float16), _to("bfloat16", bfloat16)
    float, double = _to("float", np.float32), _to("double", np.float64)
    char, short = _to("char", np.int8), _to("short", np.int16)
    int, long = _to("int", np.int32), _to("long", np.int64)
    byte, bool = _to("byte", np.uint8), _to("bool", np.bool_)

    # -- new ones like it ---------------------------------------------------------------------------------------------

    def _like(self: Any, dtype: Any, device: Any) -> dict[str, Any]:
        return {"dtype": self.dtype if dtype is None else dtype, "device": self.device if device is None else device}

    def new_tensor(self: Any, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: Any = False) -> Any:
        """A tensor with a copy of data, of this one's dtype and device."""
        return tensor(data, requires_grad=requires_grad, **self._like(dtype, device))

    def new_zeros(self: Any, *size: Any, dtype: Any = None, device: Any = None, requires_grad: Any = False) -> Any:
        """Zeros of this one's dtype and device."""
        return zeros(*size, requires_grad=requires_grad, **self._like(dtype, device))

    def new_ones(self: Any, *size: Any, dtype: Any = None, device: Any = None, requires_grad: Any = False) -> Any:
        """Ones of this one's dtype and device."""
        return ones(*size, requires_grad=requires_grad, **self._like(dtype, device))

    def new_empty(self: Any, *size: Any, dtype: Any = None, device: Any = None, requires_grad: Any = False) -> Any:
        """A tensor to be filled later, of this one's dtype and device; it holds zeros."""
        return empty(*size, requires_grad=requires_grad, **self._like(dtype, device))

    def new_full(
        self: Any, size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: Any = False
    ) -> Any:
        """One value everywhere, of this one's dtype and device."""
        return full(size, fill_value, requires_grad=requires_grad, **self._like(dtype, device))
