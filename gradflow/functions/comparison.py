"""Comparisons, logic and bits. Their results are booleans or integers, which end differentiation."""

from __future__ import annotations

import math
from typing import Any

from ..autograd.primitive import BIND
from ..autograd.value import describe
from ..backend.dtypes import float64
from ..ops.bitwise import (
    bitwise_and,
    bitwise_left_shift,
    bitwise_not,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
    gcd,
    lcm,
)
from ..ops.elementwise import (
    absolute,
    astype,
    greater,
    greater_equal,
    isfinite,
    isinf,
    isnan,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    not_equal,
    ones_like,
    signbit,
)
from ..ops.elementwise import equal as eq

ge, gt, le, lt, ne = greater_equal, greater, less_equal, less, not_equal


def isposinf(input: Any) -> Any:
    """Elementwise: is infinite and positive."""
    return eq(input, math.inf)


def isneginf(input: Any) -> Any:
    """Elementwise: is infinite and negative."""
    return eq(input, -math.inf)


def isreal(input: Any) -> Any:
    """True everywhere: there are no complex tensors."""
    return astype(ones_like(input), dtype=bool)


def _every(flags: Any) -> bool:
    return bool(BIND.amin(flags)) if 0 not in flags.shape else True


def equal(input: Any, other: Any) -> bool:
    """Whether two tensors have the same shape and the same elements, as a Python bool; `eq` compares elementwise."""
    return tuple(input.shape) == tuple(other.shape) and _every(eq(input, other))


def isclose(input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """Elementwise: |input - other| <= atol + rtol |other|, or both are the same; NaN is near NaN if equal_nan."""
    if input.dtype != getattr(other, "dtype", None):
        raise TypeError(f"[isclose] needs operands of one dtype, got {describe(input)} and {describe(other)}")
    if rtol < 0 or atol < 0:
        raise ValueError(f"[isclose] tolerances cannot be negative, got rtol={rtol} and atol={atol}")
    close = eq(input, other)
    if equal_nan:
        close = logical_or(close, logical_and(isnan(input), isnan(other)))
    if not (rtol or atol):
        return close
    if input.dtype.kind in "biu":  # whose differences wrap around
        input, other = astype(input, dtype=float64), astype(other, dtype=float64)
    apart = absolute(input - other)
    return logical_or(close, logical_and(isfinite(apart), less_equal(apart, absolute(other * rtol) + atol)))


def allclose(input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether all elements are close, as `isclose` has it, as a Python bool."""
    return _every(isclose(input, other, rtol, atol, equal_nan))


__all__ = [
    "allclose", "bitwise_and", "bitwise_left_shift", "bitwise_not", "bitwise_or", "bitwise_right_shift", "bitwise_xor",
    "eq", "equal", "gcd", "ge", "greater", "greater_equal", "gt", "isclose", "isfinite", "isinf", "isnan", "isneginf",
    "isposinf", "isreal", "lcm", "le", "less", "less_equal", "logical_and", "logical_not", "logical_or", "logical_xor",
    "lt", "ne", "not_equal", "signbit",
]  # fmt: skip
