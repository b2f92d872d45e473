"""Trigonometric and hyperbolic functions; `tanh` is in `activation`."""

from __future__ import annotations

import math
from typing import Any

from ..autograd.define import elementwise_primitive
from .elementwise import wide


@elementwise_primitive(lambda xp, g, x: g * xp.cos(x), promote="float")
def sin(np: Any, x: Any) -> Any:
    """Sine."""
    return np.sin(x)


@elementwise_primitive(lambda xp, g, x: -(g * xp.sin(x)), promote="float")
def cos(np: Any, x: Any) -> Any:
    """Cosine."""
    return np.cos(x)


@elementwise_primitive(lambda xp, g, y: g * (y * y + 1.0), promote="float")
def tan(np: Any, x: Any) -> Any:
    """Tangent."""
    return np.tan(x)


@elementwise_primitive(lambda xp, g, x: g * xp.rsqrt(1.0 - x * x), promote="float")
def asin(np: Any, x: Any) -> Any:
    """The angle in [-pi/2, pi/2] whose sine is x."""
    return np.arcsin(x)


@elementwise_primitive(lambda xp, g, x: -(g * xp.rsqrt(1.0 - x * x)), promote="float")
def acos(np: Any, x: Any) -> Any:
    """The angle in [0, pi] whose cosine is x."""
    return np.arccos(x)


@elementwise_primitive(lambda xp, g, x: g / (x * x + 1.0), promote="float")
def atan(np: Any, x: Any) -> Any:
    """The angle in (-pi/2, pi/2) whose tangent is x."""
    return np.arctan(x)


@elementwise_primitive(lambda xp, g, x: g * xp.cosh(x), promote="float")
def sinh(np: Any, x: Any) -> Any:
    """Hyperbolic sine."""
    return np.sinh(x)


@elementwise_primitive(lambda xp, g, x: g * xp.sinh(x), promote="float")
def cosh(np: Any, x: Any) -> Any:
    """Hyperbolic cosine."""
    return np.cosh(x)


@elementwise_primitive(lambda xp, g, x: g * xp.rsqrt(x * x + 1.0), promote="float")
def asinh(np: Any, x: Any) -> Any:
    """Inverse of sinh."""
    return np.arcsinh(x)


@elementwise_primitive(lambda xp, g, x: g * xp.rsqrt(x * x - 1.0), promote="float")
def acosh(np: Any, x: Any) -> Any:
    """Inverse of cosh, for x >= 1."""
    return np.arccosh(x)


@elementwise_primitive(lambda xp, g, x: g / (1.0 - x * x), promote="float")
def atanh(np: Any, x: Any) -> Any:
    """Inverse of tanh, for x in [-1, 1]."""
    return np.arctanh(x)


def _sinc_vjp(xp: Any, g: Any, x: Any, y: Any) -> Any:
    origin = xp.equal(x, 0)
    return xp.where(origin, 0.0, g * (xp.cos(x * math.pi) - y) / xp.where(origin, 1.0, x))


@elementwise_primitive(_sinc_vjp, promote="float")
def sinc(np: Any, x: Any) -> Any:
    """sin(pi x) / (pi x), and 1 at 0."""
    angle = wide(x) * math.pi
    origin = angle == 0
    angle = np.where(origin, np.ones_like(angle), angle)
    return np.where(origin, np.ones_like(angle), np.sin(angle) / angle).astype(x.dtype, copy=False)


def _over_square(xp: Any, c: Any, a: Any, b: Any) -> Any:
    """c / (a^2 + b^2), and 0 at the origin."""
    square = a * a + b * b
    origin = xp.equal(square, 0)
    return xp.where(origin, 0.0, c / xp.where(origin, 1.0, square))


@elementwise_primitive(
    lambda xp, g, a, b: g * _over_square(xp, b, a, b), lambda xp, g, a, b: -(g * _over_square(xp, a, a, b)),
    promote="float",
)  # fmt: skip
def atan2(np: Any, a: Any, b: Any) -> Any:
    """The angle in [-pi, pi] of the point with ordinate a and abscissa b."""
    return np.arctan2(a, b)


@elementwise_primitive(lambda xp, g, a, y: g * (a / y), lambda xp, g, b, y: g * (b / y), promote="float")
def hypot(np: Any, a: Any, b: Any) -> Any:
    """sqrt(a^2 + b^2), without overflow."""
    return np.hypot(a, b)
