"""Tensors of zeros, ones and other constants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd.value import Value
from ..backend.base import guarded
from ..backend.device import DeviceLike, get_backend
from ..backend.dtypes import as_dtype, get_default_dtype
from .data import finish, sizes, tensor

if TYPE_CHECKING:
    from ..tensor import Tensor


def _filled(op: str, shape: tuple[int, ...], value: Any, dtype: Any, device: DeviceLike, requires_grad: bool) -> Tensor:
    backend = get_backend(device)
    dtype = get_default_dtype() if dtype is None else as_dtype(dtype)
    try:
        if dtype.kind in "iu":
            value = int(value)  # refuses NaN and infinities
        with guarded(backend):
            return finish(op, backend.as_array(backend.module.full(shape, value, dtype)), requires_grad)
    except (OverflowError, ValueError) as error:
        raise type(error)(f"[{op}] {error} (sizes {shape}, value {value}, {dtype})") from None


def like(op: str, x: Any, dtype: Any, device: DeviceLike) -> dict[str, Any]:
    """The dtype and device of a tensor or array, unless others are named."""
    if not hasattr(x, "dtype"):
        raise TypeError(f"[{op}] expected a tensor, got {type(x).__name__}")
    if device is None and isinstance(x, Value):
        device = x.device  # type: ignore[attr-defined]
    return {"dtype": x.dtype if dtype is None else dtype, "device": device}


def zeros(
    *shape: Any, size: Any = None, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False
) -> Tensor:
    """Zeros."""
    return _filled("zeros", sizes("zeros", shape, size), 0, dtype, device, requires_grad)


def ones(
    *shape: Any, size: Any = None, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False
) -> Tensor:
    """Ones."""
    return _filled("ones", sizes("ones", shape, size), 1, dtype, device, requires_grad)


def empty(
    *shape: Any, size: Any = None, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False
) -> Tensor:
    """A tensor to be filled later; it holds zeros."""
    return _filled("empty", sizes("empty", shape, size), 0, dtype, device, requires_grad)


def full(
    size: Any, fill_value: Any, *, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False
) -> Tensor:
    """One value everywhere; its type gives the dtype unless one is named."""
    if isinstance(fill_value, Value):
        if fill_value.size_ != 1:
            raise ValueError(f"[full] fill_value must be a number, got a tensor {tuple(fill_value.shape)}")
        dtype = fill_value.dtype if dtype is None else dtype
        fill_value = fill_value.item()  # type: ignore[attr-defined]
    if not isinstance(fill_value, (bool, int, float, np.bool_, np.integer, np.floating)):
        raise TypeError(f"[full] fill_value must be a number, got {fill_value!r}")
    if dtype is None:
        kind = type(fill_value)
        dtype = np.dtype(bool) if kind in (bool, np.bool_) else np.int64 if hasattr(fill_value, "__index__") else None
    shape = sizes("full", (size,) if hasattr(size, "__index__") else tuple(size))
    return _filled("full", shape, fill_value, dtype, device, requires_grad)


def zeros_like(input: Any, *, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """Zeros of input's shape, dtype and device."""
    kind = like("zeros_like", input, dtype, device)
    return zeros(input.shape, requires_grad=requires_grad, **kind)


def ones_like(input: Any, *, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """Ones of input's shape, dtype and device."""
    kind = like("ones_like", input, dtype, device)
    return ones(input.shape, requires_grad=requires_grad, **kind)


def empty_like(input: Any, *, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """A tensor of input's shape, dtype and device, to be filled later; it holds zeros."""
    kind = like("empty_like", input, dtype, device)
    return empty(input.shape, requires_grad=requires_grad, **kind)


def full_like(
    input: Any, fill_value: Any, *, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False
) -> Tensor:
    """One value everywhere, of input's shape, dtype and device."""
    kind = like("full_like", input, dtype, device)
    return full(input.shape, fill_value, requires_grad=requires_grad, **kind)


def eye(
    n: int, m: int | None = None, *, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False
) -> Tensor:
    """Ones on the diagonal of an (n, m) matrix, zeros elsewhere."""
    rows, columns = sizes("eye", (n, n if m is None else m))
    kind = get_default_dtype() if dtype is None else as_dtype(dtype)
    return tensor(np.eye(rows, columns, dtype="f4").astype(kind), device=device, requires_grad=requires_grad)


__all__ = ["empty", "empty_like", "eye", "full", "full_like", "ones", "ones_like", "zeros", "zeros_like"]
