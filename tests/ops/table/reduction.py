"""The table's part on reductions and softmax."""

from __future__ import annotations

from typing import Any

import numpy as np
from ops import reference as ref
from ops.case import Case, case

import gradflow as gf
from gradflow.autograd.primitive import BIND as P


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


CASES = [
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
