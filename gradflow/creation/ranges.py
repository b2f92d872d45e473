"""Tensors of numbers at equal distances."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd.value import Value
from ..backend.device import DeviceLike
from ..backend.dtypes import as_dtype, get_default_dtype, is_floating
from .data import sizes, tensor

if TYPE_CHECKING:
    from ..tensor import Tensor


def _number(op: str, value: Any) -> Any:
    """A bound: a number, or a tensor of one element."""
    if isinstance(value, Value):
        value = value.item()  # type: ignore[attr-defined]
    if not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"[{op}] bounds must be numbers, got {value!r}")
    return value


def arange(
    start: Any = 0, end: Any = None, step: Any = 1, *, dtype: Any = None, device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """start, start + step, ... up to but without end; arange(end) starts at 0.

    Integers give int64, floats the default dtype. ValueError where step is 0, leads away from end, or a bound is not
    finite.
    """
    bounds = (0, start, step) if end is None else (start, end, step)
    first, last, step = [_number("arange", v) for v in bounds]
    if step == 0:
        raise ValueError("[arange] step must not be 0")
    if not (math.isfinite(first) and math.isfinite(last)):
        raise ValueError(f"[arange] bounds must be finite, got {first} and {last}")
    if (last - first) * step < 0:
        raise ValueError(f"[arange] steps of {step} lead away from end (start {first}, end {last})")
    whole = all(isinstance(v, (int, np.integer)) for v in (first, last, step))
    kind = (np.dtype("i8") if whole else get_default_dtype()) if dtype is None else as_dtype(dtype)
    if whole or kind == np.int64:
        if not int(step):
            raise ValueError(f"[arange] a step of {step} is 0 in {kind}")
        numbers = np.arange(int(first), int(last), int(step), dtype="i8")
    else:
        count = math.ceil((last - first) / step)
        if is_floating(kind):
            numbers = first + step * np.arange(count, dtype="f8")
        else:  # as PyTorch: start and step are cut to integers, the count is not
            numbers = int(first) + int(step) * np.arange(count, dtype="i8")
    return tensor(numbers.astype(kind), device=device, requires_grad=requires_grad)


def _steps(op: str, start: Any, end: Any, steps: Any) -> np.ndarray:
    """`steps` numbers from start to end in float64, exact at both."""
    first, last, (count,) = _number(op, start), _number(op, end), sizes(op, (steps,))
    i = np.arange(count, dtype="f8")
    step = (last - first) / (count - 1) if count > 1 else 0.0
    return np.where(i < count / 2, first + step * i, last - step * (count - 1 - i)) if count > 1 else i + first


def _cast(op: str, numbers: np.ndarray, dtype: Any) -> np.ndarray:
    kind = get_default_dtype() if dtype is None else as_dtype(dtype)
    if kind.kind in "iu" and not (np.trunc(numbers) == np.trunc(numbers).clip(*_range(kind))).all():
        raise ValueError(f"[{op}] numbers from {numbers.min()} to {numbers.max()} do not fit into {kind}")
    return numbers.astype(kind)


def _range(kind: np.dtype) -> tuple[float, float]:
    return float(np.iinfo(kind).min), float(np.iinfo(kind).max)


def linspace(
    start: Any, end: Any, steps: int, *, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False
) -> Tensor:
    """`steps` numbers at equal distances from start to end, both included."""
    numbers = _cast("linspace", _steps("linspace", start, end, steps), dtype)
    return tensor(numbers, device=device, requires_grad=requires_grad)


def logspace(
    start: Any, end: Any, steps: int, base: float = 10.0, *, dtype: Any = None, device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """base^start to base^end, at equal distances of the exponents."""
    with np.errstate(all="ignore"):
        numbers = _cast("logspace", np.power(float(base), _steps("logspace", start, end, steps)), dtype)
    return tensor(numbers, device=device, requires_grad=requires_grad)


__all__ = ["arange", "linspace", "logspace"]
