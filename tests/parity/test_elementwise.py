"""Elementwise functions against PyTorch on generated inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from parity.same import SPECIAL, binary, every, integers, same, unary

UNARY = (
    "exp exp2 expm1 log log1p log2 log10 sqrt rsqrt square abs absolute sign sgn sin cos tan asin acos atan arcsin "
    "arccos arctan sinh cosh tanh asinh acosh atanh arcsinh arccosh arctanh erf erfc erfinv lgamma digamma reciprocal "
    "floor ceil round trunc fix frac isnan isinf isfinite isposinf isneginf isreal signbit logical_not neg negative "
    "deg2rad rad2deg sinc logit nan_to_num positive bitwise_not sigmoid clone"
)
BINARY = (
    "add sub subtract mul multiply div divide true_divide pow fmod remainder floor_divide atan2 arctan2 hypot maximum "
    "minimum fmax fmin copysign xlogy logaddexp logaddexp2 eq ne lt le gt ge not_equal less less_equal greater "
    "greater_equal logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor bitwise_left_shift "
    "bitwise_right_shift gcd lcm isclose heaviside float_power equal allclose"
)
WITH_NUMBERS: dict[str, Callable[..., Any]] = {
    "operators": lambda t, x: (x + 1, 1 - x, x * 2, 3 / x, x**2, 2.5 * x, x > 0, x == 1, -x, abs(x)),
    "whole": lambda t, x: (x // 2, x % 3, 7 // (x * x + 1), 7 % (x * x + 1), t.fmod(x, 2), t.remainder(x, -2.5)),
    "powers": lambda t, x: [x**p for p in (0, 1, 2, 3, 0.5, 1.5, -1.5)] + [2**x, 1.5**x],
    "powers of 0 and -1": lambda t, x: (x**0, x**0.0, 0.0**x, (x * 0 - 1) ** (x * 0 - 3)),
    "negative power": lambda t, x: x**-2,
    "true power": lambda t, x: x**True,
    "bits": lambda t, x: (x & 1, x | 2, x ^ 3, ~x, x << 1, x >> 1, 1 << (x & 3), 5 & x, 5 | x, 5 ^ x),
    "clamp": lambda t, x: (t.clamp(x, 0, 1), t.clamp(x, min=1), t.clamp(x, max=0), x.clip(0, 2), x.clamp_min(1)),
    "clamp by fractions": lambda t, x: (t.clamp(x, 0.25, 0.75), t.clamp(x, min=0.5), x.clamp_max(0.5)),
    "clamp crossed": lambda t, x: t.clamp(x, 1, 0),
    "clamp bare": lambda t, x: t.clamp(x),
    "round decimals": lambda t, x: (t.round(x, decimals=2), t.round(x, decimals=-1), x.round(decimals=0)),
    "nan_to_num": lambda t, x: (t.nan_to_num(x, 1.0, 2.0, -3.0), x.nan_to_num(posinf=7.0)),
    "logit eps": lambda t, x: t.logit(x, 1e-3),
    "alpha": lambda t, x: (t.add(x, x, alpha=2), t.sub(x, 1, alpha=3), x.add(1, alpha=2)),
    "alpha fraction": lambda t, x: (t.add(x, x, alpha=0.5), x.sub(x, alpha=1.5)),
    "rounding_mode": lambda t, x: (t.div(x, 2, rounding_mode="floor"), x.div(-2, rounding_mode="trunc")),
    "rounding_mode fraction": lambda t, x: (t.div(x, 0.3, rounding_mode="floor"), x.div(-0.7, rounding_mode="trunc")),
    "rounding_mode unknown": lambda t, x: t.div(x, 2, rounding_mode="up"),
    "polygamma": lambda t, x: (t.polygamma(0, x), t.polygamma(1, x), x.polygamma(2)),
    "polygamma negative": lambda t, x: t.polygamma(-1, x),
    "lerp": lambda t, x: (t.lerp(x, x * 2, 0.3), x.lerp(x * 3, 0.7)),
    "divided by 0": lambda t, x: (x // 0, x % 0),
    "float_power": lambda t, x: (t.float_power(x, 2), t.float_power(2, x), x.float_power(-1)),
    "where": lambda t, x: (t.where(x > 0, x, 0.0), t.where(x > 0, 1, x), x.where(x < 1, x * 2)),
    "where alone": lambda t, x: t.where(x > 0),
    "comparisons with fractions": lambda t, x: (x > 0.5, x <= 1.5, x == 0.5, x != 2, x.eq(1), x.greater(0)),
    "logic": lambda t, x: (t.logical_and(x, x > 1), t.logical_or(x, x > 1), x.logical_xor(x > 1), x.logical_not()),
    "copysign number": lambda t, x: (t.copysign(x, -1), t.copysign(x, -0.0), x.copysign(2.0)),
    "xlogy number": lambda t, x: (t.xlogy(x, 2), t.xlogy(0, x), t.xlogy(0.5, x)),
    "isclose": lambda t, x: (t.isclose(x, x + 1e-6), t.isclose(x, x, equal_nan=True), t.isclose(x, x * 2, 0.5, 0.1)),
    "isclose by 1": lambda t, x: t.isclose(x + 1, x + 2, 0.0, 1.0),
}
INFINITE = "special64 special32 special big"
# Where PyTorch is left alone. Its NaN has sign 0; its trigamma is inaccurate, and garbage at poles; its slope of
# copysign is inf / inf; sqrt, which it takes for ** 0.5, is odd at -inf and -0.0; it refuses to subtract booleans, so
# to differentiate some functions of them; it interpolates between operands of one dtype only, and wraps numbers that a
# dtype does not hold; its second derivative of sinc is NaN near 0, and its slope of logit(NaN, eps) hangs on the dtype.
LEFT_OUT: dict[str, str] = {
    **dict.fromkeys(("abs", "absolute", "sign", "sgn"), "special64 special32"),
    "digamma": INFINITE, "polygamma": f"{INFINITE} int64 int32 int8 int0d", "copysign": "special special32",
    "copysign number": "special64 special32", "powers": "special64 special32",
    **dict.fromkeys(("sub", "subtract", "pow", "logaddexp", "logaddexp2"), "float_bool"), "alpha": "bool",
    "lerp": "bool", "rounding_mode": "uint8", "sinc": "float16 special64 special32 tiny", "logit eps": "special32",
    "arithmetic": "float_bool", "power": "float_bool",
    "lerp of": "mixed scalar_left scalar_right special32 int_float float_bool bools ints unsigned int_scalar",
}  # fmt: skip
WITHOUT_GRADIENT = {"floor_divide", "heaviside", "divided by 0", "whole"}  # PyTorch's
LOOSE = dict.fromkeys(("lgamma", "digamma", "polygamma", "xlogy number"), 1e-6)
SECOND = "exp log sqrt rsqrt square sin cos tan tanh sigmoid erf erfinv atan lgamma reciprocal sinc logit"


def check(name: str, run: Callable[..., Any], *arrays: np.ndarray) -> None:
    wide = arrays[0].dtype.itemsize == 8
    with np.errstate(all="ignore"):
        same(
            run, *arrays, grad=name not in WITHOUT_GRADIENT, second=name in SECOND.split(),
            rtol=LOOSE.get(name) if wide else None,
        )  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name, x", every(UNARY.split(), unary(), LEFT_OUT))
def test_unary(name: str, x: np.ndarray) -> None:
    check(name, lambda t, x: getattr(t, name)(x), x)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name, a, b", every(BINARY.split(), binary(), LEFT_OUT))
def test_binary(name: str, a: np.ndarray, b: np.ndarray) -> None:
    check(name, lambda t, a, b: getattr(t, name)(a, b), a, b)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name, x", every(WITH_NUMBERS, unary(), LEFT_OUT))
def test_with_numbers(name: str, x: np.ndarray) -> None:
    check(name, WITH_NUMBERS[name], x)


OPERATORS: dict[str, Callable[..., Any]] = {
    "arithmetic": lambda t, a, b: (a + b, a * b, a / (b * b + 1), a - b, a // (b * b + 1), a % (b * b + 1)),
    "power": lambda t, a, b: a**b,
    "bits": lambda t, a, b: (a & b, a | b, a ^ b, ~a),
    "shifts": lambda t, a, b: (a << b, a >> b),
    "comparisons": lambda t, a, b: (a < b, a <= b, a > b, a >= b, a == b, a != b),
    "in rows": lambda t, a, b: (a.where(a > b, b), t.addcmul(a, a, b, value=2), t.addcdiv(a, b, b * b + 1, value=3)),
    "lerp of": lambda t, a, b: (t.lerp(a, b, 0.25), t.lerp(a, b, a)),
    "rounded": lambda t, a, b: (t.div(a, b, rounding_mode="floor"), a.div(b, rounding_mode="trunc")),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name, a, b", every(OPERATORS, binary(), LEFT_OUT))
def test_operators(name: str, a: np.ndarray, b: np.ndarray) -> None:
    with np.errstate(all="ignore"):
        same(OPERATORS[name], a, b, grad=name not in ("arithmetic", "rounded"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_clamp_by_tensors(dtype: str) -> None:
    low, high = SPECIAL[:, None].astype(dtype), SPECIAL.astype(dtype)
    x = np.repeat(SPECIAL.astype(dtype), low.size * high.size).reshape(-1, low.size, high.size)
    with np.errstate(all="ignore"):
        same(lambda t, *xs: (t.clamp(*xs), xs[0].clamp(xs[1]), xs[0].clamp(max=xs[2])), x, low, high)


@pytest.mark.parametrize("dtype", ["i8", "u1", "f4"])
def test_bounds_of_another_dtype(dtype: str) -> None:
    x, k = integers(4, 3, dtype=dtype), integers(3, dtype="i4", seed=2)
    same(lambda t, x, k: (x.clamp(k), x.clamp(k, k + 2), t.clamp(x, max=floats_of(t, k))), x, k, grad=False)


def floats_of(t: Any, k: Any) -> Any:
    return k.to(t.float32) / 2
