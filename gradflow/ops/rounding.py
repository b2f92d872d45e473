"""Rounding, and division with a whole quotient. Rounded results have derivative 0 almost everywhere."""

from __future__ import annotations

from typing import Any

import numpy

from ..autograd.define import elementwise_primitive
from .elementwise import wide

_zero = lambda xp, g: xp.zeros_like(g)  # noqa: E731


def _rounded(function: Any, x: Any) -> Any:
    return x.copy() if x.dtype.kind in "biu" else function(x)


@elementwise_primitive(_zero)
def floor(np: Any, x: Any) -> Any:
    """The largest whole number that is not above x."""
    return _rounded(np.floor, x)


@elementwise_primitive(_zero)
def ceil(np: Any, x: Any) -> Any:
    """The smallest whole number that is not below x."""
    return _rounded(np.ceil, x)


@elementwise_primitive(_zero)
def trunc(np: Any, x: Any) -> Any:
    """x without what follows the point."""
    return _rounded(np.trunc, x)


@elementwise_primitive(_zero)
def rint(np: Any, x: Any) -> Any:
    """The nearest whole number, of two that are as near the even one."""
    return _rounded(np.rint, x)


def _whole(a: Any, b: Any) -> bool:
    """Whether integers are divided. ValueError where by 0, on the host: a GPU would have to be waited for."""
    kind = (a if hasattr(a, "dtype") else b).dtype.kind
    if kind == "b":
        raise TypeError("booleans have no whole quotient; convert them with .int()")
    if kind not in "iu":
        return False
    if not b.all() if isinstance(b, numpy.ndarray) else isinstance(b, int) and not b:
        raise ValueError("integers cannot be divided by 0")
    return True


def _divided(np: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """floor(a / b) and the remainder, of floats, by fmod, which is exact: CuPy's own functions round a / b first."""
    dtype = (a if hasattr(a, "dtype") else b).dtype
    a, b = [wide(v) if hasattr(v, "dtype") else v for v in (a, b)]
    rest = np.fmod(a, b)
    below = np.logical_and(rest != 0, (rest < 0) != (b < 0))
    by_zero = np.logical_and(rest != rest, b == 0)
    quotient = np.where(by_zero, np.divide(a, b), np.rint(np.divide(a - rest, b)) - below)
    return quotient.astype(dtype, copy=False), np.where(below, rest + b, rest).astype(dtype, copy=False)


def _truncated(np: Any, a: Any, b: Any) -> Any:
    """a / b of integers, rounded towards 0."""
    quotient = np.floor_divide(a, b)
    return quotient + np.logical_and(quotient * b != a, quotient < 0)


@elementwise_primitive(_zero, _zero)
def floor_divide(np: Any, a: Any, b: Any) -> Any:
    """floor(a / b), exact for integers."""
    return np.floor_divide(a, b) if _whole(a, b) else _divided(np, a, b)[0]


@elementwise_primitive(_zero, _zero)
def trunc_divide(np: Any, a: Any, b: Any) -> Any:
    """a / b rounded towards 0, exact for integers."""
    return _truncated(np, a, b) if _whole(a, b) else np.trunc(np.divide(a, b))


@elementwise_primitive(lambda xp, g: g, lambda xp, g, a, b: -(g * xp.trunc_divide(a, b)))
def fmod(np: Any, a: Any, b: Any) -> Any:
    """a - b trunc(a / b): the remainder that has a's sign."""
    return a - b * _truncated(np, a, b) if _whole(a, b) else np.fmod(a, b)


@elementwise_primitive(lambda xp, g: g, lambda xp, g, a, b: -(g * xp.floor_divide(a, b)))
def remainder(np: Any, a: Any, b: Any) -> Any:
    """a - b floor(a / b): the remainder that has b's sign."""
    return np.remainder(a, b) if _whole(a, b) else _divided(np, a, b)[1]
