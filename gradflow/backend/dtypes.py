"""Dtypes and the one rule that combines them: PyTorch's categories, not NumPy's widths."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

float16, float32, float64 = np.dtype("f2"), np.dtype("f4"), np.dtype("f8")
int8, int16, int32, int64 = np.dtype("i1"), np.dtype("i2"), np.dtype("i4"), np.dtype("i8")
uint8, bool_ = np.dtype("u1"), np.dtype("?")

_default = [float32]


def set_default_dtype(dtype: Any) -> None:
    """Set the floating dtype that Python floats and new tensors get (float32 at the start)."""
    dtype = as_dtype(dtype)
    if not is_floating(dtype):
        raise TypeError(f"[set_default_dtype] expected a floating dtype, got {dtype}")
    _default[0] = dtype
    _combine.cache_clear()


def get_default_dtype() -> np.dtype:
    """The floating dtype that Python floats and new tensors get."""
    return _default[0]


def as_dtype(dtype: Any) -> np.dtype:
    """`dtype` as a `numpy.dtype`; "bfloat16" needs the package ml_dtypes. TypeError for what no tensor can hold."""
    if isinstance(dtype, str) and dtype == "bfloat16":
        return bfloat16()
    try:
        if dtype is None:  # to NumPy that is float64
            raise TypeError("no dtype was given")
        found = np.dtype(dtype)
    except TypeError as error:
        raise TypeError(f"[dtype] {error}; give one such as gf.float32") from None
    check_kind("dtype", found)
    return found if found.isnative else found.newbyteorder("=")


def _holds(dtype: np.dtype) -> bool:
    return dtype.kind in "biu" or (dtype.kind == "f" and dtype.itemsize <= 8) or dtype.name == "bfloat16"


def check_kind(op: str, dtype: np.dtype) -> None:
    """TypeError where tensors cannot hold `dtype`."""
    if not _holds(dtype):
        raise TypeError(f"[{op}] cannot hold {dtype} data; give booleans, integers, or floats of up to 64 bits")


def bfloat16() -> np.dtype:
    """The bfloat16 dtype of ml_dtypes; ImportError with the install line where that is missing."""
    try:
        import ml_dtypes
    except ImportError as error:
        raise ImportError("bfloat16 needs the package ml_dtypes: pip install ml_dtypes") from error
    return np.dtype(ml_dtypes.bfloat16)


def is_floating(dtype: np.dtype) -> bool:
    """Whether values of `dtype` can have gradients. bfloat16's NumPy kind is 'V', so kind alone does not tell."""
    return dtype.kind == "f" or dtype.name == "bfloat16"


def is_half(dtype: np.dtype) -> bool:
    """Whether `dtype` is a 16-bit float, whose sums are taken in float32."""
    return dtype.itemsize == 2 and is_floating(dtype)


def _category(dtype: np.dtype) -> int:
    return 2 if is_floating(dtype) else 0 if dtype.kind == "b" else 1


def promote_types(a: Any, b: Any) -> np.dtype:
    """The smallest dtype of the higher category that holds both: float32 with int64 stays float32."""
    if not (isinstance(a, np.dtype) and isinstance(b, np.dtype)):
        a, b = as_dtype(a), as_dtype(b)
    if a == b:
        return a
    if _category(a) != _category(b):
        return a if _category(a) > _category(b) else b
    if _category(a) == 2:
        return float32 if a.itemsize == b.itemsize else a if a.itemsize > b.itemsize else b
    return np.promote_types(a, b)


def can_cast(from_: Any, to: Any) -> bool:
    """Whether values go from one dtype to another without leaving their category: not from float to integer, nor from
    anything to bool."""
    return _category(as_dtype(from_)) <= _category(as_dtype(to))


def result_type(*operands: Any) -> np.dtype:
    """The dtype of an operation on arrays and Python scalars.

    A higher category wins (float over integer over bool). Within one, arrays with dimensions win over 0-d arrays, and
    those over Python scalars, whatever their widths; a Python float among integers gives the default dtype.
    """
    return _combine(tuple([(x.dtype, x.ndim > 0) if hasattr(x, "dtype") else type(x) for x in operands]))


@lru_cache(maxsize=4096)
def _combine(kinds: tuple[Any, ...]) -> np.dtype:
    ranks: list[np.dtype | None] = [None, None, None]  # arrays with dimensions, 0-d arrays, Python scalars
    for kind in kinds:
        if isinstance(kind, tuple):
            dtype, rank = kind[0], 0 if kind[1] else 1
            if not _holds(dtype):
                raise TypeError(f"expected booleans, integers, or floats of up to 64 bits, got {dtype} data")
        else:
            if kind not in _SCALARS:
                raise TypeError(f"expected arrays, tensors or Python numbers, got {kind.__name__}")
            dtype, rank = _SCALARS[kind] or _default[0], 2
        held = ranks[rank]
        ranks[rank] = dtype if held is None else promote_types(held, dtype)
    result = None
    for dtype in ranks:
        if dtype is not None and (result is None or _category(dtype) > _category(result)):
            result = dtype if result is None or result.kind == "b" else promote_types(result, dtype)
    if result is None:
        raise TypeError("expected arrays, tensors or Python numbers, got None")
    return result


_SCALARS: dict[type, np.dtype | None] = {bool: bool_, int: int64, float: None}
