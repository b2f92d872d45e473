"""Operations on the bits of integers and booleans, and common divisors and multiples. None has a gradient."""

from __future__ import annotations

from typing import Any

from ..autograd.define import elementwise_primitive


def _check(op: str, a: Any, b: Any, kinds: str = "biu") -> None:
    dtype = (a if hasattr(a, "dtype") else b).dtype
    if dtype.kind not in kinds:
        raise TypeError(f"[{op}] needs integers{' or booleans' if 'b' in kinds else ''}, got {dtype}")


@elementwise_primitive()
def bitwise_and(np: Any, a: Any, b: Any) -> Any:
    """a & b, of integers or booleans."""
    _check("bitwise_and", a, b)
    return np.bitwise_and(a, b)


@elementwise_primitive()
def bitwise_or(np: Any, a: Any, b: Any) -> Any:
    """a | b, of integers or booleans."""
    _check("bitwise_or", a, b)
    return np.bitwise_or(a, b)


@elementwise_primitive()
def bitwise_xor(np: Any, a: Any, b: Any) -> Any:
    """a ^ b, of integers or booleans."""
    _check("bitwise_xor", a, b)
    return np.bitwise_xor(a, b)


@elementwise_primitive()
def bitwise_not(np: Any, x: Any) -> Any:
    """~x: every bit of an integer, or a boolean, turned around."""
    _check("bitwise_not", x, x)
    return np.invert(x)


@elementwise_primitive()
def bitwise_left_shift(np: Any, a: Any, b: Any) -> Any:
    """a << b, of integers."""
    _check("bitwise_left_shift", a, b, "iu")
    return np.left_shift(a, b)


@elementwise_primitive()
def bitwise_right_shift(np: Any, a: Any, b: Any) -> Any:
    """a >> b, of integers; the sign stays."""
    _check("bitwise_right_shift", a, b, "iu")
    return np.right_shift(a, b)


@elementwise_primitive()
def gcd(np: Any, a: Any, b: Any) -> Any:
    """The greatest common divisor of integers."""
    _check("gcd", a, b, "iu")
    return np.gcd(a, b)


@elementwise_primitive()
def lcm(np: Any, a: Any, b: Any) -> Any:
    """The least common multiple of integers."""
    _check("lcm", a, b, "iu")
    return np.lcm(a, b)
