"""Exponentials and logarithms, beside `exp` and `log` in `elementwise`."""

from __future__ import annotations

import math
from typing import Any

from ..autograd.define import elementwise_primitive
from .elementwise import wide

_LN2, _LN10 = math.log(2.0), math.log(10.0)


@elementwise_primitive(lambda xp, g, y: g * y * _LN2, promote="float")
def exp2(np: Any, x: Any) -> Any:
    """2 to the power x."""
    return np.exp2(x)


@elementwise_primitive(lambda xp, g, y: g * (y + 1.0), promote="float")
def expm1(np: Any, x: Any) -> Any:
    """exp(x) - 1, accurate near 0."""
    return np.expm1(x)


@elementwise_primitive(lambda xp, g, x: g / (x + 1.0), promote="float")
def log1p(np: Any, x: Any) -> Any:
    """log(1 + x), accurate near 0."""
    return np.log1p(x)


@elementwise_primitive(lambda xp, g, x: g / (x * _LN2), promote="float")
def log2(np: Any, x: Any) -> Any:
    """Logarithm to the base 2."""
    return np.log2(x)


@elementwise_primitive(lambda xp, g, x: g / (x * _LN10), promote="float")
def log10(np: Any, x: Any) -> Any:
    """Logarithm to the base 10."""
    return np.log10(x)


@elementwise_primitive(lambda xp, g, y: g * (y * y * y) * -0.5, promote="float")
def rsqrt(np: Any, x: Any) -> Any:
    """1 / sqrt(x)."""
    return np.asarray(1.0 / np.sqrt(wide(x))).astype(x.dtype, copy=False)


@elementwise_primitive(
    lambda xp, g, a, b: g / (1.0 + xp.exp(b - a)), lambda xp, g, a, b: g / (1.0 + xp.exp(a - b)), promote="float"
)
def logaddexp(np: Any, a: Any, b: Any) -> Any:
    """log(exp(a) + exp(b)), without overflow."""
    return np.logaddexp(a, b)


@elementwise_primitive(
    lambda xp, g, a, b: g / (1.0 + xp.exp2(b - a)), lambda xp, g, a, b: g / (1.0 + xp.exp2(a - b)), promote="float"
)
def logaddexp2(np: Any, a: Any, b: Any) -> Any:
    """log2(2**a + 2**b), without overflow."""
    return np.logaddexp2(a, b)


def _xlogy_left_vjp(xp: Any, g: Any, a: Any, b: Any) -> Any:
    none = xp.logical_and(xp.equal(a, 0), xp.less_equal(b, 0))
    return xp.where(none, 0.0, g * xp.log(xp.where(none, 1.0, b)))


@elementwise_primitive(_xlogy_left_vjp, lambda xp, g, a, b: g * (a / b), promote="float")
def xlogy(np: Any, a: Any, b: Any) -> Any:
    """a log(b), and 0 where a is 0, whatever number b is."""
    a, b = [np.asarray(v, dtype=(a if hasattr(a, "dtype") else b).dtype) for v in (a, b)]
    y = a * np.log(b)
    return np.where(np.logical_and(a == 0, b == b), np.zeros_like(y), y)


def _logit_vjp(xp: Any, g: Any, x: Any) -> Any:
    p = x * (1.0 - x)
    return xp.where(xp.less(p, 0), math.nan, g / p)


@elementwise_primitive(_logit_vjp, promote="float")
def logit(np: Any, x: Any) -> Any:
    """log(x / (1 - x)), the inverse of sigmoid; NaN outside of [0, 1]."""
    z = wide(x)
    return np.asarray(np.log(z / (1 - z))).astype(x.dtype, copy=False)
