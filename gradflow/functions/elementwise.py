"""Arithmetic, rounding, bounds and the usual functions: mostly the primitives as they are, under PyTorch's names."""

from __future__ import annotations

import builtins
import math
from typing import Any

from ..autograd.value import describe
from ..backend.dtypes import as_dtype, float64, is_floating, result_type
from ..ops import elementwise as E
from ..ops.activation import gelu, relu, sigmoid, silu, tanh
from ..ops.elementwise import (
    absolute,
    copy,
    copysign,
    divide,
    exp,
    fmax,
    fmin,
    log,
    maximum,
    minimum,
    multiply,
    negative,
    power,
    sign,
    sqrt,
)
from ..ops.exponential import exp2, expm1, log1p, log2, log10, rsqrt
from ..ops.rounding import ceil, floor, floor_divide, fmod, remainder, rint, trunc, trunc_divide
from ..ops.trigonometry import acos, acosh, asin, asinh, atan, atan2, atanh, cos, cosh, hypot, sin, sinc, sinh, tan

abs, mul, neg, pow, sgn, true_divide, fix = absolute, multiply, negative, power, sign, divide, trunc
arccos, arcsin, arctan, arctan2, arccosh, arcsinh, arctanh = acos, asin, atan, atan2, acosh, asinh, atanh


# -- arithmetic --------------------------------------------------------------------------------------------------------


def _scaled(op: str, a: Any, b: Any, alpha: Any) -> Any:
    if isinstance(alpha, float) and not is_floating(result_type(a, b)):
        raise TypeError(f"[{op}] alpha must be an integer for integers, got {alpha}")
    return multiply(b, alpha)


def add(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """input + alpha other."""
    return E.add(input, other if alpha == 1 else _scaled("add", input, other, alpha))


def sub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """input - alpha other."""
    return E.subtract(input, other if alpha == 1 else _scaled("sub", input, other, alpha))


subtract = sub


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """input / other; rounding_mode="floor" or "trunc" makes the quotient whole, an integer where both are."""
    if rounding_mode is None:
        return divide(input, other)
    if rounding_mode not in ("floor", "trunc"):
        raise ValueError(f"[div] rounding_mode must be None, 'floor' or 'trunc', got {rounding_mode!r}")
    return (floor_divide if rounding_mode == "floor" else trunc_divide)(input, other)


def clone(x: Any) -> Any:
    """A differentiable copy in memory of its own."""
    return copy(x)


def positive(input: Any) -> Any:
    """The tensor itself. TypeError for booleans."""
    if input.dtype.kind == "b":
        raise TypeError("[positive] booleans have no sign")
    return input


def square(input: Any) -> Any:
    """x^2."""
    return power(input, 2)


def reciprocal(input: Any) -> Any:
    """1 / x."""
    return divide(1.0, input)


def float_power(input: Any, exponent: Any) -> Any:
    """input ** exponent in float64."""
    wide = [E.astype(v, dtype=float64) if hasattr(v, "dtype") else v for v in (input, exponent)]
    return power(*wide)


def lerp(input: Any, end: Any, weight: Any) -> Any:
    """input + weight (end - input), computed from the nearer end."""
    way = E.subtract(end, input)
    if not hasattr(weight, "dtype"):
        return input + way * weight if builtins.abs(weight) < 0.5 else end - way * (1 - weight)
    return E.where(E.less(absolute(weight), 0.5), input + weight * way, end - way * (1 - weight))


def addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
    """input + value tensor1 tensor2."""
    return add(input, multiply(tensor1, tensor2), alpha=value)


def addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
    """input + value tensor1 / tensor2, of floats."""
    if not is_floating(result_type(tensor1, tensor2)):
        raise TypeError(f"[addcdiv] divides floats, got {describe(tensor1)} and {describe(tensor2)}; use .float()")
    return add(input, divide(tensor1, tensor2), alpha=value)


def deg2rad(input: Any) -> Any:
    """Degrees as radians."""
    return multiply(input, math.pi / 180.0)


def rad2deg(input: Any) -> Any:
    """Radians as degrees."""
    return multiply(input, 180.0 / math.pi)


# -- rounding and bounds -----------------------------------------------------------------------------------------------


def round(input: Any, *, decimals: int = 0) -> Any:
    """The nearest number of `decimals` digits after the point (before it, where negative); halves go to even digits."""
    if not decimals:
        return rint(input)
    if not is_floating(input.dtype):
        raise TypeError(f"[round] decimals needs floats, got {describe(input)}")
    scale = 10.0 ** builtins.abs(decimals)
    return rint(input * scale) / scale if decimals > 0 else rint(input / scale) * scale


def frac(input: Any) -> Any:
    """x - trunc(x), which has x's sign."""
    return E.subtract(input, trunc(input))


def clamp(input: Any, min: Any = None, max: Any = None) -> Any:
    """The input, but at least min and at most max: numbers or tensors, or None. Where min > max the result is max."""
    if min is None and max is None:
        raise ValueError(f"[clamp] give a min, a max, or both (input {describe(input)})")
    return E.clip(input, min, max)


clip = clamp


def clamp_min(input: Any, min: Any) -> Any:
    """The input, but at least min."""
    return E.clip(input, min, None)


def clamp_max(input: Any, max: Any) -> Any:
    """The input, but at most max."""
    return E.clip(input, None, max)


def nan_to_num(input: Any, nan: float | None = 0.0, posinf: float | None = None, neginf: float | None = None) -> Any:
    """The input with numbers in place of NaN and of the infinities, by default 0 and the dtype's largest numbers."""
    dtype = as_dtype(input.dtype)
    if not is_floating(dtype):
        return copy(input)
    if dtype.name == "bfloat16":
        largest = (2.0 - 2.0**-7) * 2.0**127
    else:
        largest = {2: 65504.0, 4: (2.0 - 2.0**-23) * 2.0**127, 8: (2.0 - 2.0**-52) * 2.0**1023}[dtype.itemsize]
    x = E.where(E.isnan(input), 0.0 if nan is None else nan, input)
    x = E.where(E.equal(input, math.inf), largest if posinf is None else posinf, x)
    return E.where(E.equal(input, -math.inf), -largest if neginf is None else neginf, x)


def heaviside(input: Any, values: Any) -> Any:
    """0 where the input is negative or NaN, 1 where it is positive, `values` where it is 0. Not differentiable."""
    if input.dtype != getattr(values, "dtype", None):
        raise TypeError(f"[heaviside] needs operands of one dtype, got {describe(input)} and {describe(values)}")
    step = E.astype(E.greater(input, 0), dtype=input.dtype)
    return E.where(E.equal(input, 0), values, step)


def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """input where the condition is true (not zero), else other. The condition alone: the indices where it is true."""
    if input is None and other is None:
        from .indexing import nonzero

        return nonzero(condition, as_tuple=True)
    if input is None or other is None:
        raise TypeError("[where] give both input and other, or neither")
    return E.where(condition, input, other)


__all__ = [
    "abs",
    "absolute",
    "acos",
    "acosh",
    "add",
    "addcdiv",
    "addcmul",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "ceil",
    "clamp",
    "clamp_max",
    "clamp_min",
    "clip",
    "clone",
    "copysign",
    "cos",
    "cosh",
    "deg2rad",
    "div",
    "divide",
    "exp",
    "exp2",
    "expm1",
    "fix",
    "float_power",
    "floor",
    "floor_divide",
    "fmax",
    "fmin",
    "fmod",
    "frac",
    "gelu",
    "heaviside",
    "hypot",
    "lerp",
    "log",
    "log1p",
    "log2",
    "log10",
    "maximum",
    "minimum",
    "mul",
    "multiply",
    "nan_to_num",
    "neg",
    "negative",
    "positive",
    "pow",
    "power",
    "rad2deg",
    "reciprocal",
    "relu",
    "remainder",
    "round",
    "rsqrt",
    "sgn",
    "sigmoid",
    "sign",
    "silu",
    "sin",
    "sinc",
    "sinh",
    "sqrt",
    "square",
    "sub",
    "subtract",
    "tan",
    "tanh",
    "true_divide",
    "trunc",
    "where",
]  # fmt: skip
