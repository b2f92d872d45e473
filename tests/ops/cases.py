"""One table of cases: every primitive and every public function, with its awkward arguments.

A case is a function of floating tensors, followed by constant ones (indices, labels, masks, class weights), at a small
shape and away from kinks. What is checked of each is in `test_cases.py` and its neighbours; that none is missing, in
`test_completeness.py`. A new primitive needs nothing but a case here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ops import reference as ref
from ops.case import Case, Positive, case
from ops.cases_nn import LAYERS

import gradflow as gf
from gradflow.autograd.primitive import BIND as P
from gradflow.ops.index import parse
from gradflow.ops.transfer import to_device


def along(prefix: str, function: Any, numpys: Any, *choices: Any) -> list[Case]:
    """A reduction over each choice of (dim, keepdim) of a (2, 3, 4) tensor."""
    return [
        case(
            f"{prefix}-{dim}{'-kept' if keep else ''}".replace(" ", ""),
            lambda x, dim=dim, keep=keep: function(x, dim, keepdim=keep),
            (2, 3, 4),
            ref=lambda x, dim=dim, keep=keep: numpys(x, axis=dim, keepdims=keep),
        )
        for dim, keep in choices
    ]


def indexed(name: str, shape: tuple[int, ...], index: Any, *arrays: Any, mapped: bool = True) -> list[Case]:
    """getitem, and its transpose scatter_add, at an index. `index` builds it from the index arrays."""

    def scatter(g: Any, *indices: Any) -> Any:
        x = P.zeros_like(P.broadcast_to(P.sum(g), shape=shape))
        spec, found = parse(x, index(*indices))
        return P.scatter_add(g, *found, spec=spec, shape=shape)

    hosts = tuple([np.asarray(a) for a in arrays])
    return [
        case(f"getitem-{name}", lambda x, *i: x[index(*i)], shape, c=hosts,
            ref=lambda x, *i: x[index(*i)], mapped=mapped),
        case(
            f"scatter_add-{name}", scatter, np.zeros(shape)[index(*hosts)].shape, c=hosts, mapped=mapped,
            ref=lambda g, *i: ref.scatter(g, index(*i), shape),
        ),
    ]  # fmt: skip


def product(*pairs: tuple[tuple[int, ...], tuple[int, ...]]) -> list[Case]:
    return [case(f"matmul-{len(a)}d-{len(b)}d-{i}", gf.matmul, a, b, ref=np.matmul) for i, (a, b) in enumerate(pairs)]


I4 = np.array([2, 0, 3, 0])
PICKED = np.array([[1, 0, 2], [3, 3, 0]])  # for axis 1 of (2, 4, 3)
MASK = np.array([[True, False, True], [False, True, True]])
SIGNS = np.array([[0, 1, -1], [2, 0, 0]])
PAIRS: list[tuple[str, Any, Any]] = [
    ("add", gf.add, np.add), ("subtract", gf.subtract, np.subtract), ("multiply", gf.multiply, np.multiply),
    ("divide", gf.divide, np.divide), ("maximum", gf.maximum, np.maximum), ("minimum", gf.minimum, np.minimum),
]  # fmt: skip
COMPARISONS: list[tuple[str, Any, Any]] = [
    ("equal", gf.equal, np.equal), ("not_equal", gf.not_equal, np.not_equal), ("less", gf.less, np.less),
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

ELEMENTWISE = [
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

REDUCTIONS = [
    *along("sum", gf.sum, np.sum, (None, False), (1, False), (-1, True), ((0, 2), False), ((0, -1), True)),
    *along("mean", gf.mean, np.mean, (None, False), (1, True), ((0, 2), False)),
    *along("amax", gf.amax, np.max, (None, False), (1, False), ((0, 2), True)),
    *along("amin", gf.amin, np.min, (None, False), (-2, True), ((1, 2), False)),
    *along("max", lambda x, d, keepdim: gf.max(x, d, keepdim).values, np.max, (0, False), (-1, True)),
    *along("min", lambda x, d, keepdim: gf.min(x, d, keepdim).values, np.min, (1, False), (-1, True)),
    case("argmax", lambda x: x[0] * gf.argmax(x, 0) + gf.argmax(x, 1, True), (3, 3),
        ref=lambda x: x[0] * np.argmax(x, 0) + np.argmax(x, 1, keepdims=True)),
    case("argmax-all", lambda x: x * gf.argmax(x), (2, 3), ref=lambda x: x * np.argmax(x)),
    case("max-all", gf.max, (2, 3), ref=np.max),
    case("min-all", gf.min, (2, 3), ref=np.min),
    case("max-both", lambda x: tuple(gf.max(x, 1)), (3, 4), ref=lambda x: (x.max(1), x.argmax(1)), rows=(0,)),
    case("min-both", lambda x: tuple(gf.min(x, 0)), (3, 4), ref=lambda x: (x.min(0), x.argmin(0))),
    case("max-pairwise", gf.max, (2, 3), (3,), ref=np.maximum),
    case("min-pairwise", gf.min, (2, 3), (3,), ref=np.minimum),
    case("sum-0d", lambda x: gf.sum(x) * gf.mean(x), (), ref=np.square),
    case("sum-dtype",
        lambda x: gf.sum(x, 0, dtype=gf.float64) + gf.mean(x, axis=0, keepdims=True, dtype=gf.float64), (2, 3),
        ref=lambda x: x.sum(0) + x.mean(0, keepdims=True), out_dtype=gf.float64),
    case("sum-axis", lambda x: gf.sum(x, axis=(0, 1), keepdims=True), (2, 3), ref=lambda x: np.sum(x, keepdims=True)),
    case("var", gf.var, (2, 3), ref=lambda x: np.var(x, ddof=1)),
    case("var-dims", lambda x: gf.var(x, (0, 2), correction=0, keepdim=True), (2, 3, 4),
        ref=lambda x: np.var(x, (0, 2), keepdims=True)),
    case("softmax", lambda x: gf.softmax(x, 1), (2, 4), ref=lambda x: ref.softmax(x, 1), rows=(0,)),
    case("softmax-first", lambda x: gf.softmax(x, -3), (3, 2, 2), ref=lambda x: ref.softmax(x, 0)),
    case("log_softmax", lambda x: gf.log_softmax(x, -1), (2, 4), ref=lambda x: np.log(ref.softmax(x, -1)), rows=(0,)),
    case("log_softmax-first", lambda x: gf.log_softmax(x, 0), (3, 2, 2), ref=lambda x: np.log(ref.softmax(x, 0))),
    case("softmax_backward", lambda g, y: P.softmax_backward(g, y, axis=1), (2, 3), (2, 3),
        ref=lambda g, y: y * (g - (g * y).sum(1, keepdims=True)), mixed=False),
    case("log_softmax_backward", lambda g, y: P.log_softmax_backward(g, y, axis=0), (2, 3), (2, 3),
        ref=lambda g, y: g - np.exp(y) * g.sum(0), mixed=False),
]  # fmt: skip

SHAPES = [
    case("reshape", lambda x: gf.reshape(x, 3, -1), (2, 3, 2), ref=lambda x: x.reshape(3, 4)),
    case("reshape-0d", lambda x: gf.reshape(x, ()), (1, 1), ref=lambda x: x.reshape(())),
    case("reshape-transposed", lambda x: gf.reshape(gf.transpose(x, 0, 1), (6,)), (2, 3), ref=lambda x: x.T.reshape(6)),
    case("flatten", lambda x: gf.flatten(x, 1), (2, 3, 2), ref=lambda x: x.reshape(2, 6), rows=(0,)),
    case("flatten-middle", lambda x: gf.flatten(x, -3, 2), (2, 3, 2, 2), ref=lambda x: x.reshape(2, 6, 2)),
    case("flatten-0d", gf.flatten, (), ref=lambda x: x.reshape(1)),
    case("permute", lambda x: gf.permute(x, 2, 0, -2), (2, 3, 2), ref=lambda x: x.transpose(2, 0, 1)),
    case("permute-two-of-three", lambda x: gf.permute(x, (1, 2, 0)), (2, 3, 4), ref=lambda x: x.transpose(1, 2, 0)),
    case("transpose", lambda x: gf.transpose(x, -1, 0), (2, 3, 4), ref=lambda x: x.swapaxes(0, 2)),
    case("unsqueeze", lambda x: gf.unsqueeze(x, -2), (2, 3), ref=lambda x: x[:, None, :]),
    case("squeeze", gf.squeeze, (1, 2, 1), ref=np.squeeze),
    case("squeeze-dim", lambda x: gf.squeeze(x, (0, 1)), (1, 2, 1), ref=lambda x: x[0]),
    case("expand", lambda x: gf.expand(x, 2, -1, 4), (3, 1), ref=lambda x: np.broadcast_to(x, (2, 3, 4))),
    case("broadcast_to", lambda x: gf.broadcast_to(x, (2, 3)), (), ref=lambda x: np.broadcast_to(x, (2, 3))),
    case("cat", lambda a, b, k: gf.cat([a, k, b], 1), (2, 3), (2, 1), c=np.ones((2, 2)),
        ref=lambda a, b, k: np.concatenate([a, k, b], 1), rows=(0, 1), constant_rows=(0,)),
    case("cat-twice", lambda x: gf.cat((x, x), -2), (2, 3), ref=lambda x: np.concatenate([x, x], 0)),
    case("stack", lambda a, b: gf.stack([a, b], -1), (2, 3), (2, 3), ref=lambda a, b: np.stack([a, b], -1)),
    case("split", lambda x: gf.split(x, 2, 1), (2, 5), ref=lambda x: tuple(np.split(x, [2, 4], 1)), rows=(0,)),
    case("split-sizes", lambda x: gf.split(x, (1, 0, 4), -1), (2, 5), ref=lambda x: tuple(np.split(x, [1, 1], -1))),
    case("split-one-used", lambda x: gf.split(x, 2)[1], (5, 2), ref=lambda x: x[2:4]),
    *indexed("int", (3, 4), lambda: 1),
    *indexed("negative", (3, 4), lambda: (-1, -2)),
    *indexed("slice", (3, 4), lambda: slice(1, None)),
    *indexed("steps", (5, 4), lambda: (slice(4, None, -2), slice(None, None, 3))),
    *indexed("empty-slice", (3, 4), lambda: slice(2, 1)),
    *indexed("none", (3, 4), lambda: (None, slice(None), None, 2)),
    *indexed("ellipsis", (2, 3, 2), lambda: (..., 1)),
    *indexed("array", (4, 3), lambda i: i, I4),
    *indexed("array-last", (3, 4), lambda i: (slice(None), i), I4 - 4),
    *indexed("array-2d", (2, 4, 2), lambda i: (slice(None), i, slice(1, None)), PICKED),
    *indexed("array-none", (4, 2), lambda i: (None, i, None), I4),
    *indexed("two-arrays", (4, 3), lambda i, j: (i, j), PICKED, np.array([0, 2, 0])),
    *indexed("arrays-apart", (4, 2, 3), lambda i, j: (i, slice(None), j), np.array([3, 0]), np.array([[1, 1], [2, 0]])),
    *indexed("arrays-apart-inside", (2, 3, 2, 3), lambda i, j: (slice(None), i, slice(None), j), I4[:2], I4[1:3] % 3),
    *indexed("arrays-around-none", (2, 4, 3), lambda i, j: (slice(None), i, None, j), I4, I4 % 3),
    *indexed("int-apart", (2, 3, 2, 4), lambda i: (slice(None), 1, slice(None), i), I4),
    *indexed("array-and-int", (2, 3, 4), lambda i: (1, slice(None), i), I4),
    *indexed("int-beside-array", (2, 3, 4), lambda i: (slice(None), 2, i), I4),
    *indexed("0d-array", (4, 2), lambda i: i, np.array(2)),
    *indexed("empty-array", (4, 2), lambda i: i, np.zeros((0,), int)),
    *indexed("mask", (2, 3), lambda m: m, MASK, mapped=False),
    *indexed("mask-part", (2, 2, 3), lambda m: (slice(None), m), MASK, mapped=False),
    *indexed("mask-and-array", (3, 4), lambda m, i: (m, i), MASK[0], np.array([1, 3]), mapped=False),
    case("getitem-function", lambda x: gf.getitem(x, [[0, 2]]), (3, 2), ref=lambda x: x[[[0, 2]]]),
    case("pick", lambda x, i: P.pick(x, i, axis=1), (2, 4, 3), c=PICKED,
        ref=lambda x, i: np.take_along_axis(x, i[:, None], 1)[:, 0]),
    case("pick-last", lambda x, i: P.pick(x, i, axis=2), (2, 3, 4), c=PICKED,
        ref=lambda x, i: np.take_along_axis(x, i[..., None], 2)[..., 0]),
    case("place", lambda g, i: P.place(g, i, axis=1, n=4), (2, 3), c=PICKED, ref=lambda g, i: ref.place(g, i, 1, 4)),
    case("place-first", lambda g, i: P.place(g, i, axis=0, n=5), (2, 3), c=PICKED,
        ref=lambda g, i: ref.place(g, i, 0, 5)),
    *product(
        ((3,), (3,)), ((3,), (3, 2)), ((2, 3), (3,)), ((2, 3), (3, 4)), ((2, 2, 3), (3, 2)), ((2, 3), (2, 3, 2)),
        ((2, 2, 3), (2, 3, 2)), ((2, 2, 3), (3,)), ((3,), (2, 3, 2)), ((2, 1, 2, 3), (3, 3, 1)),
    ),
]  # fmt: skip

CASES: list[Case] = [*ELEMENTWISE, *REDUCTIONS, *SHAPES, *LAYERS]
