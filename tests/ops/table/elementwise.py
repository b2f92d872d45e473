"""The table's part on elementwise functions."""

from __future__ import annotations

from typing import Any

import numpy as np
from ops import reference as ref
from ops.case import Positive, case

import gradflow as gf
from gradflow.autograd.primitive import BIND as P
from gradflow.ops.transfer import to_device

MASK = np.array([[True, False, True], [False, True, True]])
SIGNS = np.array([[0, 1, -1], [2, 0, 0]])
PAIRS: list[tuple[str, Any, Any]] = [
    ("add", gf.add, np.add), ("subtract", gf.subtract, np.subtract), ("multiply", gf.multiply, np.multiply),
    ("divide", gf.divide, np.divide), ("maximum", gf.maximum, np.maximum), ("minimum", gf.minimum, np.minimum),
]  # fmt: skip
COMPARISONS: list[tuple[str, Any, Any]] = [
    ("equal", gf.eq, np.equal), ("not_equal", gf.not_equal, np.not_equal), ("less", gf.less, np.less),
    ("less_equal", gf.less_equal, np.less_equal), ("greater", gf.greater, np.greater),
    ("greater_equal", gf.greater_equal, np.greater_equal),
]  # fmt: skip
UNARY: list[tuple[str, Any, Any]] = [
    ("negative", gf.negative, np.negative), ("exp", gf.exp, np.exp), ("absolute", gf.absolute, np.absolute),
    ("sign", gf.sign, np.sign), ("tanh", gf.tanh, np.tanh), ("sigmoid", gf.sigmoid, ref.sigmoid),
    ("relu", gf.relu, ref.relu), ("silu", gf.silu, ref.silu), ("gelu", gf.gelu, ref.gelu),
    ("gelu-tanh", lambda x: gf.gelu(x, approximate="tanh"), ref.gelu_tanh),
    ("normal_cdf", P.normal_cdf, ref.normal_cdf), ("clone", gf.clone, np.copy), ("contiguous", P.contiguous, np.copy),
]  # fmt: skip

CASES = [
    *[case(n, f, (2, 3), (2, 3), ref=r, rows=(0, 1)) for n, f, r in PAIRS],
    *[case(f"{n}-broadcast", f, (2, 1), (2, 1, 3), ref=r) for n, f, r in PAIRS],
    *[case(f"{n}-0d", f, (2, 3), (), ref=r, rows=(0,)) for n, f, r in PAIRS],
    *[case(f"{n}-number-right", lambda x, f=f: f(x, 2), (2, 3), ref=lambda x, r=r: r(x, 2),
        rows=(0,)) for n, f, r in PAIRS],
    *[case(f"{n}-number-left", lambda x, f=f: f(0.5, x), (2, 3), ref=lambda x, r=r: r(0.5, x),
        rows=(0,)) for n, f, r in PAIRS],
    *[case(f"{n}-integers", f, (2, 3), c=SIGNS + 3, ref=r, rows=(0,), constant_rows=(0,)) for n, f, r in PAIRS],
    case("multiply-by-itself", lambda x: x * x, (2, 3), ref=np.square),
    case("operators", lambda x, y: (1 - x) / y - (-x + 2 * y) * abs(y), (2, 3), (3,),
        ref=lambda x, y: (1 - x) / y - (-x + 2 * y) * abs(y)),
    case("power", gf.power, Positive((2, 3)), (2, 3), ref=np.power, rows=(0, 1)),
    case("power-broadcast", gf.power, Positive((3,)), (2, 1), ref=np.power),
    case("power-2-at-0", lambda x: x**2, np.array([0.0, -1.0, 2.0]), ref=np.square),
    case("power-0", lambda x: x**0, np.array([0.0, -1.0, 2.0]), ref=np.ones_like),
    case("power-3", lambda x: x**3, (2, 3), ref=lambda x: x**3),
    case("power-fraction", lambda x: x**2.7, Positive((2, 3)), ref=lambda x: x**2.7),
    case("power-0d", lambda x: x**-1.3, Positive(()), ref=lambda x: x**-1.3),
    case("power-of-number", lambda x: 1.3**x, (2, 3), ref=lambda x: 1.3**x),
    case("power-integers", lambda x, k: x**k, (2, 3), c=SIGNS, ref=lambda x, k: x ** (1.0 * k)),
    *[case(n, f, (2, 3), ref=r, rows=(0,)) for n, f, r in UNARY],
    case("sigmoid-0d", gf.sigmoid, (), ref=ref.sigmoid),
    case("relu-0d", gf.relu, (), ref=ref.relu),
    case("gelu-0d", gf.gelu, (), ref=ref.gelu),
    case("silu-0d", gf.silu, (), ref=ref.silu),
    case("gelu-tails", gf.gelu, np.array([-9.0, -6.0, -3.5, 4.0, 7.0, 12.0]), ref=ref.gelu),
    case("log", gf.log, Positive((2, 3)), ref=np.log, rows=(0,)),
    case("sqrt", gf.sqrt, Positive((2, 3)), ref=np.sqrt, rows=(0,)),
    case("astype-same", lambda x: P.astype(x, dtype=x.dtype), (2, 3), ref=np.copy, rows=(0,)),
    case("astype-narrower", lambda x: P.astype(x, dtype=gf.float32), (2, 3), ref=np.copy, numeric=False,
        out_dtype=gf.float32),
    case("astype-integer", lambda x: P.astype(x, dtype=gf.int64) * x, (2, 3), ref=lambda x: np.trunc(x) * x),
    case("constants", lambda x: P.zeros_like(x) - P.ones_like(x) * x, (2, 3), ref=np.negative, rows=(0,)),
    *[case(n, lambda a, b, f=f: gf.where(f(a, b), a, b * 2), (2, 3), (3,),
        ref=lambda a, b, r=r: np.where(r(a, b), a, b * 2)) for n, f, r in COMPARISONS],
    *[case(f"{n}-integers", lambda x, k, f=f: x * f(k, 0), (2, 3), c=SIGNS,
        ref=lambda x, k, r=r: x * r(k, 0)) for n, f, r in COMPARISONS],
    case("logical",
        lambda x, a, b: (gf.logical_and(a, b) * x, gf.logical_or(a, b) * x, gf.logical_not(b) * x), (2, 3),
        c=(MASK, SIGNS),
        ref=lambda x, a, b: (np.logical_and(a, b) * x, np.logical_or(a, b) * x, np.logical_not(b) * x)),
    case("isnan", lambda x, k: gf.where(gf.isnan(k), x, x * 3), (2, 3), c=np.where(MASK, np.nan, 1.0),
        ref=lambda x, k: np.where(np.isnan(k), x, x * 3)),
    case("where", lambda a, b, m: gf.where(m, a, b), (2, 3), (2, 3), c=MASK, ref=lambda a, b, m: np.where(m, a, b),
        rows=(0, 1), constant_rows=(0,)),
    case("where-broadcast", lambda a, b, m: gf.where(m, a, b), (2, 1), (), c=MASK[0],
        ref=lambda a, b, m: np.where(m, a, b)),
    case("where-number", lambda x, m: gf.where(m, x, 0.0) + gf.where(m, 2, x), (2, 3), c=MASK,
        ref=lambda x, m: np.where(m, x, 0.0) + np.where(m, 2, x)),
    case("where-integers", lambda x, k: gf.where(k, x, k), (2, 3), c=SIGNS, ref=lambda x, k: np.where(k, x, k)),
    case("to_device", lambda x: to_device(x, device="cpu") * 2, (2, 3), ref=lambda x: 2 * x, lands="cpu"),
    *[case(f"{n}_backward", getattr(P, f"{n}_backward"), (2, 3), (2, 3), ref=r, mixed=False) for n, r in (
        ("tanh", lambda g, y: g * (1 - y**2)), ("sigmoid", lambda g, y: g * y * (1 - y)),
        ("relu", lambda g, y: g * (y > 0)), ("silu", lambda g, x: g * ref.slope(ref.silu, x)),
        ("gelu", lambda g, x: g * ref.slope(ref.gelu, x)),
    )],
    case("gelu_backward-tanh", lambda g, x: P.gelu_backward(g, x, approximate="tanh"), (2, 3), (2, 3),
        ref=lambda g, x: g * ref.slope(ref.gelu_tanh, x), mixed=False),
]  # fmt: skip
