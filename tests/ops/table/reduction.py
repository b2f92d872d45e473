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
    case("sum-in-int32", lambda x: x * gf.sum(x > 0, 0, dtype=gf.int32), (2, 3), light=True,
        ref=lambda x: x * (x > 0).sum(0)),
    *along("prod", gf.prod, np.prod, (None, False), ((0, 2), True)),
    case("prod-zeros", lambda x: gf.prod(x, 1), np.array([[0.7, 0.0, 1.2], [0.0, 0.5, 0.0], [0.4, 0.9, -1.1]]),
        ref=lambda x: x.prod(1)),
    case("prod-empty", lambda x: gf.prod(x[:0], 0) * x[0], (2, 3), ref=lambda x: x[0], light=True),
    case("nansum", lambda x: gf.nansum(gf.where(x > 1, np.nan, x), 0), (3, 4), light=True,
        ref=lambda x: np.where(x > 1, 0, x).sum(0)),
    case("nanmean", lambda x: gf.nanmean(gf.where(x > 1.5, np.nan, x), 0, True), (3, 2), light=True,
        ref=lambda x: np.nanmean(np.where(x > 1.5, np.nan, x), 0, keepdims=True)),
    case("count_nonzero", lambda x: x[0] * gf.count_nonzero(x > 0, 0), (3, 4), light=True,
        ref=lambda x: x[0] * (x > 0).sum(0)),
    case("any", lambda x: x[0] * gf.any(x > 1, 0) + gf.any(x), (3, 4), light=True,
        ref=lambda x: x[0] * (x > 1).any(0) + 1),
    case("all", lambda x: x[0] * gf.all(x < 1, 0, keepdim=True) + gf.all(x), (3, 4), light=True,
        ref=lambda x: x[:1] * (x < 1).all(0, keepdims=True) + 1),
    case("argmin", lambda x: x[0] * gf.argmin(x, 0) + gf.argmin(x), (3, 3), light=True,
        ref=lambda x: x[0] * x.argmin(0) + x.argmin()),
    case("aminmax", lambda x: tuple(gf.aminmax(x, dim=1, keepdim=True)), (2, 3), light=True,
        ref=lambda x: (x.min(1, keepdims=True), x.max(1, keepdims=True))),
    case("std", lambda x: gf.std(x, 1), (2, 3), ref=lambda x: x.std(1, ddof=1), light=True),
    case("std_mean", lambda x: gf.std_mean(x, (0, 1), unbiased=False), (2, 3), ref=lambda x: (x.std(), x.mean()),
        light=True),
    case("var_mean", lambda x: gf.var_mean(x, 0, keepdim=True), (3, 2), light=True,
        ref=lambda x: (x.var(0, ddof=1, keepdims=True), x.mean(0, keepdims=True))),
    case("logsumexp", lambda x: gf.logsumexp(x, 1), (2, 3), ref=lambda x: np.log(np.exp(x).sum(1)), rows=(0,)),
    case("logsumexp-dims", lambda x: gf.logsumexp(x, (0, 2), True), (2, 3, 2),
        ref=lambda x: np.log(np.exp(x).sum((0, 2), keepdims=True))),
    *[
        case(f"norm-{p}", lambda x, p=p: gf.norm(x, p, 1), (2, 3), light=True,
            ref=lambda x, p=p: np.linalg.norm(x, 2 if p == "fro" else p, 1))
        for p in ("fro", 1, 0, 3, 0.5, -2, np.inf, -np.inf)
    ],
    case("norm-nuc", lambda x: gf.norm(x, "nuc"), (2, 3), light=True, ref=lambda x: np.linalg.norm(x, "nuc")),
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
