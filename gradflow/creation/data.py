"""Tensors from Python numbers, nested lists and arrays."""

from __future__ import annotations

from functools import reduce
from operator import index
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd.tape import MAIN
from ..autograd.value import Value, host_array, make
from ..backend.base import guarded
from ..backend.device import DeviceLike, backend_of, get_backend
from ..backend.dtypes import as_dtype, check_kind, get_default_dtype, is_floating, promote_types

if TYPE_CHECKING:
    from ..tensor import Tensor


def finish(op: str, array: Any, requires_grad: bool) -> Tensor:
    """A leaf that holds `array`."""
    if requires_grad and not is_floating(array.dtype):
        raise TypeError(f"[{op}] only floating tensors can require gradients, got {array.dtype}")
    return make(array, MAIN, requires_grad=requires_grad)  # type: ignore[no-any-return]


def sizes(op: str, size: tuple[Any, ...], more: Any = None) -> tuple[int, ...]:
    """Sizes given one by one, or as one list or tuple, or as that by keyword (`more`)."""
    if more is not None:
        size = (*size, more)
    if len(size) == 1 and isinstance(size[0], (tuple, list)):
        size = tuple(size[0])
    try:
        shape = tuple([index(n) for n in size])
    except TypeError as error:
        raise TypeError(f"[{op}] sizes must be integers: {error}") from None
    if any([n < 0 for n in shape]):
        raise ValueError(f"[{op}] sizes must not be negative, got {shape}")
    return shape


def _host(data: Any, dtype: Any) -> np.ndarray:
    """Python data as a fresh host array: floats in the default dtype, integers in int64; arrays keep theirs."""
    asked = None if dtype is None else as_dtype(dtype)
    if isinstance(data, (list, tuple)):
        if asked is None:
            asked = _common(data)
        data = _plain(data)
    try:
        array = np.asarray(data)
        check_kind("tensor", array.dtype)
        if asked is not None or array is data:  # from the numbers themselves, which may be out of range
            array = np.array(data, dtype=asked)
    except ValueError as error:
        raise ValueError(f"[tensor] rows of different lengths, or not numbers: {error}") from None
    except OverflowError as error:
        raise OverflowError(f"[tensor] {error}") from None
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if asked is None and not hasattr(data, "dtype"):
        if array.dtype.kind == "u":
            raise OverflowError("[tensor] integers beyond 2**63 - 1 do not fit into int64")
        if array.dtype.kind == "f":
            array = array.astype(get_default_dtype(), copy=False)
    return array


def _common(data: Any) -> np.dtype | None:
    """The dtype that nested lists have in common which hold tensors or arrays; None where there are only numbers."""
    kinds = _kinds(data)
    if not any([isinstance(kind, np.dtype) for kind in kinds]):
        return None
    own = {bool: np.dtype("?"), int: np.dtype("i8"), float: get_default_dtype()}
    return reduce(promote_types, [own.get(kind, kind) for kind in kinds])


def _kinds(data: Any) -> set[Any]:
    """The types of the numbers in nested lists, and the dtypes of what has one."""
    found: set[Any] = set()
    for kind in set(map(type, data)):
        if kind in (bool, int, float):
            found.add(kind)
        elif issubclass(kind, (list, tuple)):
            found.update(*[_kinds(d) for d in data if type(d) is kind])
        else:
            found.update([d.dtype for d in data if type(d) is kind and hasattr(d, "dtype")])
    return found


def _plain(data: Any) -> Any:
    if isinstance(data, Value):
        return host_array(data, "tensor")
    return [_plain(d) for d in data] if isinstance(data, (list, tuple)) else data


def tensor(data: Any, *, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """A new tensor with a copy of `data`: numbers, nested lists, arrays or tensors.

    Python floats get the default dtype (float32), integers int64; arrays keep theirs. Raises TypeError for what is no
    number and for requires_grad with an integer dtype, ValueError for ragged lists.
    """
    if isinstance(data, Value):
        source = data.detach()  # type: ignore[attr-defined]
        moved = source.to(device=source.device if device is None else device, dtype=dtype, copy=True)
        return moved.requires_grad_(requires_grad)  # type: ignore[no-any-return]
    if hasattr(data, "__cuda_array_interface__"):
        source = backend_of(data)
        backend = source if device is None else get_backend(device)
        with guarded(backend):
            array = data.copy() if backend is source else backend.from_host(source.to_host(data))
            array = array if dtype is None else array.astype(as_dtype(dtype), copy=False)
        return finish("tensor", array, requires_grad)
    array = _host(data, dtype)
    backend = get_backend(device)
    return finish("tensor", array if backend.array_type is np.ndarray else backend.from_host(array), requires_grad)


def as_tensor(data: Any, dtype: Any = None, device: DeviceLike = None) -> Tensor:
    """`data` as a tensor, sharing its memory where dtype and device allow it."""
    if isinstance(data, Value):
        return data.to(device=device, dtype=dtype)  # type: ignore[attr-defined,no-any-return]
    if isinstance(data, np.ndarray) and (dtype is None or data.dtype == as_dtype(dtype)):
        backend = get_backend(device)
        return from_numpy(data) if backend.array_type is np.ndarray else tensor(data, device=device)
    return tensor(data, dtype=dtype, device=device)


def asarray(
    obj: Any, *, dtype: Any = None, device: DeviceLike = None, copy: bool | None = None, requires_grad: bool = False
) -> Tensor:
    """`obj` as a tensor: its memory shared where possible, always (copy=False, else ValueError) or never (copy=True).

    The result has no history; requires_grad=True makes it a leaf whose gradient is wanted.
    """
    if copy:
        return tensor(obj, dtype=dtype, device=device, requires_grad=requires_grad)
    found: Any = as_tensor(obj, dtype, device)
    shared = found is obj or (isinstance(obj, np.ndarray) and found.below is obj)
    if copy is False and not shared:
        raise ValueError(
            "[asarray] cannot share the memory: it is not a tensor or array, or the dtype or device differs"
        )
    found = found.detach()
    return found.requires_grad_() if requires_grad else found  # type: ignore[no-any-return]


def from_numpy(array: np.ndarray) -> Tensor:
    """A CPU tensor that shares the array's memory. Changes made through NumPy are not seen by the version check."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"[from_numpy] expected a NumPy array, got {type(array).__name__}")
    check_kind("from_numpy", array.dtype)
    if not array.dtype.isnative:
        raise TypeError(f"[from_numpy] a foreign byte order ({array.dtype.str}) cannot be shared; use gf.tensor")
    return finish("from_numpy", array, False)


def scalar_tensor(
    s: Any, *, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False
) -> Tensor:  # fmt: skip
    """A number as a 0-d tensor of the default dtype, whatever the number's type."""
    if np.ndim(s) if not isinstance(s, Value) else s.ndim:
        raise TypeError(f"[scalar_tensor] expected a number, got {s!r}")
    return tensor(s, dtype=dtype or get_default_dtype(), device=device, requires_grad=requires_grad)


__all__ = ["as_tensor", "asarray", "from_numpy", "scalar_tensor", "tensor"]
