"""The table's part on further elementwise functions: powers, angles, rounding, special functions, bits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from ops.case import Positive, case
from scipy import special

import gradflow as gf
from gradflow.autograd.primitive import BIND as P

INSIDE = np.array([[-0.8, 0.3, 0.55], [-0.35, 0.75, -0.1]])
ABOVE = np.array([[1.3, 3.1, 1.7], [2.2, 5.0, 1.4]])
DIVISORS = np.array([[-0.83, 0.37, 0.56], [-0.41, 0.77, -0.62]])
SIGNS = np.array([[0, 1, -1], [2, 0, 0]])
HALVES = np.array([[0.5, 1.5, -2.5], [2.4, -1.6, 0.0]])
ODD = np.array([[math.nan, math.inf, -math.inf], [-0.0, 0.0, 2.5]])

UNARY: list[tuple[str, Any, Any, Any]] = [
    ("exp2", gf.exp2, (2, 3), np.exp2), ("expm1", gf.expm1, (2, 3), np.expm1), ("log1p", gf.log1p, INSIDE, np.log1p),
    ("log2", gf.log2, Positive((2, 3)), np.log2), ("log10", gf.log10, Positive((2, 3)), np.log10),
    ("rsqrt", gf.rsqrt, Positive((2, 3)), lambda x: x**-0.5), ("sin", gf.sin, (2, 3), np.sin),
    ("cos", gf.cos, (2, 3), np.cos), ("tan", gf.tan, INSIDE, np.tan), ("asin", gf.asin, INSIDE, np.arcsin),
    ("acos", gf.acos, INSIDE, np.arccos), ("atan", gf.atan, (2, 3), np.arctan), ("sinh", gf.sinh, (2, 3), np.sinh),
    ("cosh", gf.cosh, (2, 3), np.cosh), ("asinh", gf.asinh, (2, 3), np.arcsinh),
    ("acosh", lambda x: gf.acosh(x + 1), ABOVE - 1, lambda x: np.arccosh(x + 1)),
    ("atanh", gf.atanh, INSIDE, np.arctanh), ("erf", gf.erf, (2, 3), special.erf),
    ("erfc", gf.erfc, (2, 3), special.erfc),
    ("erfinv", gf.erfinv, INSIDE, special.erfinv), ("lgamma", gf.lgamma, ABOVE, special.gammaln),
    ("digamma", gf.digamma, ABOVE, special.digamma),
    ("polygamma", lambda x: gf.polygamma(1, x), ABOVE, lambda x: special.polygamma(1, x)),
    ("logit", gf.logit, np.abs(INSIDE), special.logit),
]  # fmt: skip
ROUNDING: list[tuple[str, Any, Any]] = [
    ("floor", gf.floor, np.floor), ("ceil", gf.ceil, np.ceil), ("trunc", gf.trunc, np.trunc),
    ("round", gf.round, np.rint),
]  # fmt: skip
BINARY: list[tuple[str, Any, Any, Any, Any]] = [
    ("atan2", gf.atan2, (2, 3), (3,), np.arctan2), ("hypot", gf.hypot, (2, 1), (2, 3), np.hypot),
    ("fmax", gf.fmax, (2, 3), (3,), np.fmax), ("fmin", gf.fmin, (2, 3), (3,), np.fmin),
    ("fmod", gf.fmod, ABOVE, DIVISORS, np.fmod), ("remainder", gf.remainder, ABOVE, DIVISORS, np.remainder),
    ("logaddexp", gf.logaddexp, (2, 3), (3,), np.logaddexp), ("logaddexp2", gf.logaddexp2, (2, 3), (3,), np.logaddexp2),
    ("xlogy", gf.xlogy, (2, 3), Positive((3,)), special.xlogy),
]  # fmt: skip
COMPOSED: list[tuple[str, Any, tuple[Any, ...], Any]] = [
    ("square", gf.square, ((2, 3),), np.square), ("reciprocal", gf.reciprocal, ((2, 3),), np.reciprocal),
    ("add-alpha", lambda x, y: gf.add(x, y, alpha=2), ((2, 3), (3,)), lambda x, y: x + 2 * y),
    ("sub-alpha", lambda x, y: gf.sub(x, y, alpha=0.5), ((2, 3), (3,)), lambda x, y: x - y / 2),
    ("div-floor", lambda x, y: x * gf.div(x, y, rounding_mode="floor"), (ABOVE, DIVISORS), lambda x, y: x * (x // y)),
    ("div-trunc", lambda x, y: x * gf.div(x, y, rounding_mode="trunc"), (ABOVE, DIVISORS),
        lambda x, y: x * np.trunc(x / y)),
    ("operators-whole", lambda x, y: x // y * x + x % 0.8 + divmod(x, y)[1] * 7 + 1.4 % y + x // 0.3 + divmod(2, y)[1],
        (ABOVE, DIVISORS), lambda x, y: x // y * x + x % 0.8 + x % y * 7 + 1.4 % y + x // 0.3 + 2 % y),
    ("lerp", lambda x, y: gf.lerp(x, y, 0.3) * gf.lerp(x, y, 0.8), ((2, 3), (3,)),
        lambda x, y: (x + 0.3 * (y - x)) * (x + 0.8 * (y - x))),
    ("lerp-tensor", gf.lerp, ((2, 3), (2, 3), INSIDE), lambda x, y, w: x + w * (y - x)),
    ("addcmul", lambda x, y, z: gf.addcmul(x, y, z, value=0.5), ((2, 3), (3,), (2, 1)), lambda x, y, z: x + y * z / 2),
    ("addcdiv", lambda x, y, z: gf.addcdiv(x, y, z, value=2), ((2, 3), (3,), (2, 1)), lambda x, y, z: x + 2 * y / z),
    ("degrees", lambda x: gf.deg2rad(x) * gf.rad2deg(x), ((2, 3),), np.square),
    ("frac", gf.frac, ((2, 3),), lambda x: x - np.trunc(x)),
    ("positive", lambda x: gf.positive(x) * 2, ((2, 3),), lambda x: 2 * x),
    ("round-decimals", lambda x: x * gf.round(x, decimals=1) + gf.round(x * 100, decimals=-1), ((2, 3),),
        lambda x: x * np.round(x, 1) + np.round(x * 100, -1)),
    ("clamp-both", lambda x: gf.clamp(x, -0.5, 1), ((2, 3),), lambda x: np.clip(x, -0.5, 1)),
    ("clamp-one", lambda x: gf.clamp_min(x, 0.1) * gf.clamp_max(x, 0.9) * gf.clip(x, max=0.2), ((2, 3),),
        lambda x: np.maximum(x, 0.1) * np.minimum(x, 0.9) * np.minimum(x, 0.2)),
    ("copysign", lambda x, y: gf.copysign(x, y) * gf.copysign(x, -1), ((2, 3), (3,)),
        lambda x, y: np.copysign(x, y) * -np.abs(x)),
    ("sinc", gf.sinc, ((2, 3),), np.sinc), ("logit-eps", lambda x: gf.logit(x, 0.15), (np.abs(INSIDE),),
        lambda x: special.logit(np.clip(x, 0.15, 0.85))),
    ("polygamma-0", lambda x: gf.polygamma(0, x) + P.polygamma(x, n=2), (ABOVE,),
        lambda x: special.digamma(x) + special.polygamma(2, x)),
    ("isreal", lambda x: x * gf.isreal(x), ((2, 3),), np.copy),
]  # fmt: skip
ON_INTEGERS: list[tuple[str, Any, Any]] = [
    ("bitwise_and", gf.bitwise_and, np.bitwise_and), ("bitwise_or", gf.bitwise_or, np.bitwise_or),
    ("bitwise_xor", gf.bitwise_xor, np.bitwise_xor), ("bitwise_left_shift", gf.bitwise_left_shift, np.left_shift),
    ("bitwise_right_shift", gf.bitwise_right_shift, np.right_shift), ("gcd", gf.gcd, np.gcd), ("lcm", gf.lcm, np.lcm),
    ("logical_xor", gf.logical_xor, np.logical_xor),
    ("bitwise_not", lambda a, b: gf.bitwise_not(a) + b, lambda a, b: ~a + b),
    ("operators-bits", lambda a, b: (a & b) + (a | 5) + (6 ^ a) + (1 << b) + (a >> 1) + ~a,
        lambda a, b: (a & b) + (a | 5) + (6 ^ a) + (1 << b) + (a >> 1) + ~a),
    ("whole", lambda a, b: gf.floor_divide(a, b + 2) + gf.remainder(a, b + 2) + gf.floor(a) + P.trunc_divide(a, b + 2),
        lambda a, b: a // (b + 2) + a % (b + 2) + a + np.trunc(a / (b + 2))),
    ("power-of-integers", lambda a, b: gf.power(a, b - 1),
        lambda a, b: np.trunc(np.power(np.where(a, a, 0.1) * 1.0, b - 1) * (a != 0))),
]  # fmt: skip
QUESTIONS: list[tuple[str, Any, Any]] = [
    ("isinf", gf.isinf, np.isinf), ("isfinite", gf.isfinite, np.isfinite), ("isposinf", gf.isposinf, np.isposinf),
    ("isneginf", gf.isneginf, np.isneginf), ("signbit", gf.signbit, np.signbit),
]  # fmt: skip

CASES = [
    *[case(n, f, x, ref=r, rows=(0,)) for n, f, x, r in UNARY],
    *[case(n, lambda x, f=f: f(x) * x, HALVES, ref=lambda x, r=r: r(x) * x, numeric=False) for n, f, r in ROUNDING],
    *[case(n, f, x, y, ref=r, numeric=n not in ("fmod", "remainder")) for n, f, x, y, r in BINARY],
    *[case(n, f, *xs, ref=r, light=True) for n, f, xs, r in COMPOSED],
    *[case(n, lambda x, a, b, f=f: x * f(a, b), (2, 3), c=(SIGNS * 3, SIGNS[1]), ref=lambda x, a, b, r=r: x * r(a, b),
        light=True) for n, f, r in ON_INTEGERS],
    *[case(n, lambda x, k, f=f: x * f(k), (2, 3), c=ODD, ref=lambda x, k, r=r: x * r(k), light=True)
        for n, f, r in QUESTIONS],
    case("clip", gf.clamp, (2, 3), -np.abs(INSIDE), np.array([0.6, 1.0, 0.2]), ref=np.clip),
    case("clip-low", lambda x, low: gf.clamp(x, low), (2, 3), (3,), ref=np.maximum, light=True),
    case("clip-high", lambda x, high: gf.clamp(x, max=high), (2, 3), (3,), ref=np.minimum, light=True),
    case("constant", lambda x: P.constant(x) * x, (2, 3), ref=np.square, numeric=False),
    case("nan_to_num", lambda x, k: x * gf.nan_to_num(k, 1.0, 5.0, -5.0) + gf.nan_to_num(x), (2, 3), c=ODD,
        ref=lambda x, k: x * np.nan_to_num(k, nan=1.0, posinf=5.0, neginf=-5.0) + x, light=True),
    case("heaviside", lambda x, k: x * gf.heaviside(k, gf.full((2, 3), 0.5, dtype=k.dtype, device=k.device)), (2, 3),
        c=ODD[1], ref=lambda x, k: x * np.heaviside(k, 0.5), light=True),
    case("close",
        lambda x, k: x * gf.isclose(k, k, equal_nan=True) * gf.allclose(k, k * 2) + x * gf.equal(k, k), (2, 3), c=ODD,
        ref=lambda x, k: x * 0, mapped=False, light=True),
    case("where-alone", lambda x, k: x[gf.where(k > 0)], (2, 3), c=SIGNS, ref=lambda x, k: x[k > 0], mapped=False,
        light=True),
    case("float_power", lambda x: gf.float_power(x, 2), (2, 3), ref=np.square, out_dtype=gf.float64, light=True),
]  # fmt: skip
