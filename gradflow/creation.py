"""New tensors: from data, constants, ranges and random numbers."""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np

from .autograd.tape import MAIN
from .autograd.value import Value, make
from .backend.device import DeviceLike, backend_of, get_backend
from .backend.dtypes import as_dtype, get_default_dtype, is_floating
from .ops import random as rng
from .ops.elementwise import astype
from .tensor import Tensor


def _finish(op: str, array: Any, requires_grad: bool) -> Tensor:
    if requires_grad and not is_floating(array.dtype):
        raise TypeError(f"[{op}] only floating tensors can require gradients, got {array.dtype}")
    return make(array, MAIN, requires_grad=requires_grad)  # type: ignore[no-any-return]


def _check_kind(op: str, dtype: np.dtype) -> None:
    known = dtype.kind in "biu" or (dtype.kind == "f" and dtype.itemsize <= 8) or dtype.name == "bfloat16"
    if not known:
        raise TypeError(f"[{op}] cannot hold {dtype} data; give booleans, integers, or floats of up to 64 bits")


def _host(data: Any, dtype: Any) -> np.ndarray:
    """Python data as a fresh host array: floats in the default dtype, integers in int64."""
    if isinstance(data, (list, tuple)):
        data = _plain(data)
    try:
        array = np.array(data, dtype=None if dtype is None else as_dtype(dtype))
    except ValueError as error:
        raise ValueError(f"[tensor] rows of different lengths, or not numbers: {error}") from None
    _check_kind("tensor", array.dtype)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if dtype is None and not hasattr(data, "dtype") and array.dtype.kind == "f":
        array = array.astype(get_default_dtype(), copy=False)
    return array


def _plain(data: Any) -> Any:
    if isinstance(data, Value):
        return data.numpy()  # type: ignore[attr-defined]
    return [_plain(d) for d in data] if isinstance(data, (list, tuple)) else data


def tensor(data: Any, *, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """A new tensor with a copy of `data`: numbers, nested lists, arrays or tensors.

    Python floats get the default dtype (float32), integers int64; arrays keep theirs. Raises TypeError for what is no
    number and for requires_grad with an integer dtype, ValueError for ragged lists.
    """
    if isinstance(data, Value):
        source = data.detach()  # type: ignore[attr-defined]
        moved = source.to(device=device or source.device, dtype=dtype, copy=True)
        return moved.requires_grad_(requires_grad)  # type: ignore[no-any-return]
    if hasattr(data, "__cuda_array_interface__"):
        backend = get_backend(device) if device is not None else backend_of(data)
        array = backend.from_host(backend_of(data).to_host(data)) if backend is not backend_of(data) else data.copy()
        return _finish("tensor", array if dtype is None else array.astype(as_dtype(dtype)), requires_grad)
    array = _host(data, dtype)
    backend = get_backend(device)
    return _finish("tensor", array if backend.array_type is np.ndarray else backend.from_host(array), requires_grad)


def as_tensor(data: Any, dtype: Any = None, device: DeviceLike = None) -> Tensor:
    """`data` as a tensor, sharing its memory where dtype and device allow it."""
    if isinstance(data, Value):
        return data.to(device=device, dtype=dtype)  # type: ignore[attr-defined,no-any-return]
    if isinstance(data, np.ndarray) and (dtype is None or data.dtype == as_dtype(dtype)):
        backend = get_backend(device)
        return from_numpy(data) if backend.array_type is np.ndarray else tensor(data, device=device)
    return tensor(data, dtype=dtype, device=device)


def from_numpy(array: np.ndarray) -> Tensor:
    """A CPU tensor that shares the array's memory. Changes made through NumPy are not seen by the version check."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"[from_numpy] expected a NumPy array, got {type(array).__name__}")
    _check_kind("from_numpy", array.dtype)
    if not array.dtype.isnative:
        raise TypeError(f"[from_numpy] a foreign byte order ({array.dtype.str}) cannot be shared; use gf.tensor")
    return _finish("from_numpy", array, False)


def _sizes(size: tuple[Any, ...]) -> tuple[int, ...]:
    if len(size) == 1 and isinstance(size[0], (tuple, list)):
        size = tuple(size[0])
    shape = tuple([index(n) for n in size])
    if any(n < 0 for n in shape):
        raise ValueError(f"[tensor] sizes must not be negative, got {shape}")
    return shape


def _filled(op: str, shape: tuple[int, ...], value: Any, dtype: Any, device: DeviceLike, requires_grad: bool) -> Tensor:
    backend = get_backend(device)
    dtype = get_default_dtype() if dtype is None else as_dtype(dtype)
    if backend.guard is None:
        return _finish(op, backend.as_array(backend.module.full(shape, value, dtype)), requires_grad)
    with backend.guard:
        return _finish(op, backend.as_array(backend.module.full(shape, value, dtype)), requires_grad)


def zeros(*size: Any, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """Zeros."""
    return _filled("zeros", _sizes(size), 0, dtype, device, requires_grad)


def ones(*size: Any, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """Ones."""
    return _filled("ones", _sizes(size), 1, dtype, device, requires_grad)


def empty(*size: Any, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """A tensor to be filled later; it holds zeros."""
    return _filled("empty", _sizes(size), 0, dtype, device, requires_grad)


def full(
    size: Any, fill_value: Any, *, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False
) -> Tensor:
    """One value everywhere; its type gives the dtype unless one is named."""
    if dtype is None:
        dtype = np.dtype(bool) if isinstance(fill_value, bool) else np.int64 if isinstance(fill_value, int) else None
    return _filled(
        "full", _sizes((size,) if isinstance(size, int) else tuple(size)), fill_value, dtype, device, requires_grad
    )


def zeros_like(x: Any, *, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """Zeros of x's shape, dtype and device."""
    return zeros(*x.shape, dtype=dtype or x.dtype, device=device or x.device, requires_grad=requires_grad)


def ones_like(x: Any, *, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """Ones of x's shape, dtype and device."""
    return ones(*x.shape, dtype=dtype or x.dtype, device=device or x.device, requires_grad=requires_grad)


def arange(
    start: float, end: float | None = None, step: float = 1, *, dtype: Any = None, device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """start, start + step, ... below end; arange(end) starts at 0. Integers give int64, floats the default dtype."""
    first, last = (0, start) if end is None else (start, end)
    if step == 0:
        raise ValueError("[arange] step must not be 0")
    if dtype is None:
        whole = all(isinstance(v, int) for v in (first, last, step))
        dtype = np.dtype("i8") if whole else get_default_dtype()
    return tensor(np.arange(first, last, step).astype(as_dtype(dtype)), device=device, requires_grad=requires_grad)


def eye(
    n: int, m: int | None = None, *, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False
) -> Tensor:
    """Ones on the diagonal of an (n, m) matrix, zeros elsewhere."""
    kind = get_default_dtype() if dtype is None else as_dtype(dtype)
    return tensor(np.eye(n, m, dtype="f4").astype(kind), device=device, requires_grad=requires_grad)


# -- random ------------------------------------------------------------------------------------------------------------


def manual_seed(seed: int) -> rng.Generator:
    """Seed the default generator: the same seed gives the same numbers on every device."""
    return rng.default_generator.manual_seed(seed)


def _floats(
    op: str, name: str, size: tuple[int, ...], generator: Any, dtype: Any, device: Any, grad: bool, words: Any = int
) -> Tensor:  # fmt: skip
    dtype = get_default_dtype() if dtype is None else as_dtype(dtype)
    if not is_floating(dtype):
        raise TypeError(f"[{op}] makes floating numbers, got dtype={dtype}")
    value = rng.draw(op, name, size, device, generator, words, dtype=dtype)
    return value.requires_grad_() if grad else value  # type: ignore[no-any-return]


def _integers(value: Any, dtype: Any) -> Tensor:
    dtype = as_dtype(dtype)
    return value if value.dtype == dtype else astype(value, dtype=dtype)  # type: ignore[no-any-return]


def rand(
    *size: Any, generator: rng.Generator | None = None, dtype: Any = None, device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Uniform in [0, 1)."""
    return _floats("rand", "random_uniform", _sizes(size), generator, dtype, device, requires_grad)


def randn(
    *size: Any, generator: rng.Generator | None = None, dtype: Any = None, device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Standard normal."""
    return _floats("randn", "random_normal", _sizes(size), generator, dtype, device, requires_grad, rng.normal_words)


def randint(
    low: int, high: Any, size: Any = None, *, generator: rng.Generator | None = None, dtype: Any = np.int64,
    device: DeviceLike = None,
) -> Tensor:  # fmt: skip
    """Integers in [low, high), of 64 bits; randint(high, size) starts at 0."""
    if size is None:
        low, high, size = 0, low, high
    low, high = index(low), index(high)
    if not -(2**63) <= low < high < 2**63:
        raise ValueError(f"[randint] needs -2**63 <= low < high < 2**63, got {low} and {high}")
    value = rng.draw("randint", "random_integers", _sizes((size,)), device, generator, low=low, span=high - low)
    return _integers(value, dtype)


def randperm(
    n: int, *, generator: rng.Generator | None = None, dtype: Any = np.int64, device: DeviceLike = None
) -> Tensor:
    """The integers 0 to n - 1 in random order."""
    value = rng.draw("randperm", "random_permutation", _sizes((n,)), device, generator)
    return _integers(value, dtype)


__all__ = [
    "arange", "as_tensor", "empty", "eye", "from_numpy", "full", "manual_seed", "ones", "ones_like", "rand", "randint",
    "randn", "randperm", "tensor", "zeros", "zeros_like",
]  # fmt: skip
