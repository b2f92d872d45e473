"""The table's part on scans, sorting, counting and searching."""

from __future__ import annotations

from typing import Any

import numpy as np
from ops.case import Case, Positive, case

import gradflow as gf
from gradflow.autograd.primitive import BIND as P


def recurrence(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    y = b.copy()
    for i in range(1, b.shape[1]):
        y[:, i] += a[:, i] * y[:, i - 1]
    return y


def light(name: str, call: Any, *shapes: Any, **options: Any) -> Case:
    return case(name, call, *shapes, light=True, **options)


NUMBERS, WEIGHTS = np.array([2, 0, 2, 3]), np.array([0.5, 1.0, 2.0, 0.25])

CASES = [
    case("cumsum", lambda x: gf.cumsum(x, 1), (2, 4), ref=lambda x: x.cumsum(1), rows=(0,)),
    light("cumsum-first", lambda x: gf.cumsum(x, 0), (3, 2), ref=lambda x: x.cumsum(0)),
    case("cumprod", lambda x: gf.cumprod(x, 0), (4, 2), ref=lambda x: x.cumprod(0)),
    case("cumprod-zeros", lambda x: gf.cumprod(x, -1), np.array([[0.7, 0.0, 1.2, 0.4], [0.0, 0.5, 0.0, -0.9]]),
        ref=lambda x: x.cumprod(1), rows=(0,)),
    case("recurrence", lambda a, b: P.recurrence(a, b, axis=1), (2, 4), (2, 4), ref=recurrence, rows=(0, 1)),
    case("logcumsumexp", lambda x: gf.logcumsumexp(x, 1), (2, 5), ref=lambda x: np.log(np.exp(x).cumsum(1)), rows=(0,)),
    case("cummax", lambda x: tuple(gf.cummax(x, 1)), (2, 5), rows=(0,),
        ref=lambda x: (m := np.maximum.accumulate(x, 1), (x[:, None, :] == m[..., None]).argmax(-1))),
    case("cummin", lambda x: gf.cummin(x, 0).values, (5, 2), ref=lambda x: np.minimum.accumulate(x, 0)),
    light("diff", lambda x: gf.diff(x, 2, 0, prepend=x[:1]), (3, 2),
        ref=lambda x: np.diff(x, 2, 0, prepend=x[:1])),
    light("diff-bool", lambda x: x[1:] * gf.diff(x > 0, dim=0), (4,), ref=lambda x: x[1:] * np.diff(x > 0)),
    light("trapezoid", lambda y, x: gf.trapezoid(y, x, dim=0), (4, 2), Positive((4,)),
        ref=lambda y, x: (0.5 * (y[1:] + y[:-1]) * np.diff(x)[:, None]).sum(0)),
    light("trapezoid-dx", lambda y: gf.trapezoid(y, dx=0.5), (2, 4), ref=lambda y: (y[:, 1:] + y[:, :-1]).sum(1) / 4),
    light("cumulative_trapezoid", gf.cumulative_trapezoid, (2, 4), (2, 4),
        ref=lambda y, x: (0.5 * (y[:, 1:] + y[:, :-1]) * np.diff(x)).cumsum(1)),
    case("sort", lambda x: tuple(gf.sort(x)), (2, 4), ref=lambda x: (np.sort(x), np.argsort(x)), rows=(0,)),
    light("sort-descending", lambda x: gf.sort(x, 0, True).values, (4, 2), ref=lambda x: -np.sort(-x, 0)),
    light("argsort", lambda x: x * gf.argsort(x, 0), (4, 2), ref=lambda x: x * np.argsort(x, 0)),
    light("msort", gf.msort, (4, 2), ref=lambda x: np.sort(x, 0)),
    light("topk", lambda x: tuple(gf.topk(x, 2)), (2, 4),
        ref=lambda x: (-np.sort(-x)[:, :2], np.argsort(-x)[:, :2])),
    light("kthvalue", lambda x: tuple(gf.kthvalue(x, 2, 0, True)), (4, 2),
        ref=lambda x: (np.sort(x, 0)[1:2], np.argsort(x, 0)[1:2])),
    light("median", gf.median, (3, 4), ref=lambda x: np.sort(x.ravel())[5]),
    light("median-dim", lambda x: tuple(gf.median(x, 1)), (3, 4),
        ref=lambda x: (np.sort(x)[:, 1], np.argsort(x)[:, 1])),
    light("nanmedian", lambda x: gf.nanmedian(gf.where(x > 1, np.nan, x), 0)[0], (5, 2),
        ref=lambda x: np.stack([np.sort(c[c <= 1])[((c <= 1).sum() - 1) // 2] for c in x.T])),
    light("mode", lambda x: x[:, 0] * gf.mode(gf.sign(x), 1).values, (3, 4),
        ref=lambda x: x[:, 0] * np.where((x > 0).sum(1) > 2, 1, -1)),
    light("quantile", lambda x, q: gf.quantile(x, q, 1), (2, 4), c=np.array([0.1, 0.6]),
        ref=lambda x, q: np.quantile(x, q, 1)),
    light("quantile-number", lambda x: gf.quantile(x, 0.35, keepdim=True), (2, 4),
        ref=lambda x: np.quantile(x, 0.35, keepdims=True)),
    light("nanquantile", lambda x: gf.nanquantile(gf.where(x > 1.5, np.nan, x), 0.4, 0, interpolation="nearest"),
        (4, 2), ref=lambda x: np.nanquantile(np.where(x > 1.5, np.nan, x), 0.4, 0, method="nearest")),
    light("unique", lambda x, k: x * gf.unique(k, return_inverse=True)[1], (4,), c=NUMBERS, mapped=False,
        ref=lambda x, k: x * np.unique(k, return_inverse=True)[1]),
    light("unique-dim", lambda x, k: x * gf.unique(k, dim=0, return_counts=True)[1].sum(), (2,), mapped=False,
        c=NUMBERS.reshape(2, 2), ref=lambda x, k: x * 2),
    light("unique_consecutive", lambda x, k: x * gf.unique_consecutive(k), (4,), c=NUMBERS, mapped=False,
        ref=lambda x, k: x * k),
    light("bincount", lambda x, k: x * gf.bincount(k, minlength=4), (4,), c=NUMBERS, mapped=False,
        ref=lambda x, k: x * np.bincount(k)),
    light("histc", lambda x, w: x * gf.histc(w, 4, 0, 2), (4,), c=WEIGHTS, ref=lambda x, w: x * [1, 1, 1, 1]),
    light("searchsorted", lambda x, s, k: x * gf.searchsorted(s, k, side="right"), (4,),
        c=(np.array([0.0, 0.5, 1.5]), WEIGHTS), ref=lambda x, s, k: x * np.searchsorted(s, k, "right")),
    light("searchsorted-sorter", lambda x, s, i: x * gf.searchsorted(s, x.detach(), sorter=i), (2, 3),
        c=(np.array([[0.5, 0.0], [1.5, -1.0]]), np.array([[1, 0], [1, 0]])), mapped=False),
    light("bucketize", lambda x, s: x * gf.bucketize(0.7, s) + gf.bucketize(x.detach(), s), (4,),
        c=np.array([0.0, 0.5, 1.5]), ref=lambda x, s: x * 2 + np.searchsorted(s, x)),
    light("cov", gf.cov, (2, 4), ref=np.cov),
    light("cov-weights", lambda x, f, a: gf.cov(x, correction=0, fweights=f, aweights=a), (2, 4), mapped=False,
        c=(NUMBERS, WEIGHTS), ref=lambda x, f, a: np.cov(x, ddof=0, fweights=f, aweights=a)),
    light("corrcoef", lambda x, w: gf.corrcoef(x * w), (2, 4), c=WEIGHTS, ref=lambda x, w: np.corrcoef(x * w)),
]  # fmt: skip
