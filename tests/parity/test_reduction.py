"""Reductions and scans against PyTorch on generated inputs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from parity.same import SPECIAL, floats, integers, same, same_each, unary

pytestmark = pytest.mark.filterwarnings("ignore:.*degrees of freedom is <= 0")
NAN, INF = math.nan, math.inf
ODD = "special64 special32 nans infinities"  # where PyTorch's gradients hold NaN here and 0 there, by its formulas
X = [
    *unary(),
    *[
        pytest.param(v, id=k)
        for k, v in {
            "cube": floats(2, 3, 4), "zeros": np.zeros((2, 3)),
            "one zero": np.array([[2.0, 0.0, 3.0], [1.0, 2.0, 3.0]]),
            "two zeros": np.array([[2.0, 0.0, 3.0, 0.0], [0.0, -1.0, 0.0, 0.0]]), "ties": integers(3, 4).astype("f8"),
            "nans": np.array([[1.0, NAN, 3.0, NAN], [NAN, NAN, NAN, NAN], [2.0, 1.0, 2.0, 0.0]]),
            "infinities": np.array([[1.0, INF, 3.0], [-INF, -INF, -INF], [INF, 0.0, INF], [-INF, 1.0, 2.0]]),
            "constant": np.ones((3, 4), "f4"), "one": floats(1, 1), "no columns": floats(3, 0),
        }.items()
    ],
]  # fmt: skip

REDUCTIONS = ["sum", "mean", "prod", "var", "std", "nansum", "nanmean", "amax", "amin", "any", "all"]
DIMS: list[Any] = [None, 0, -1, (0, 1), 2]


@pytest.mark.parametrize("dim", DIMS, ids=str)
@pytest.mark.parametrize("name", REDUCTIONS)
def test_over_dimensions(name: str, dim: Any) -> None:
    for keep in (False, True) if dim == -1 else (False,):
        if name == "prod" and (isinstance(dim, tuple) or dim is None):
            continue  # PyTorch's prod takes one dimension
        plain = ODD if name in ("var", "std", "nanmean") else ""
        same_each(X, lambda t, x, keep=keep: getattr(t, name)(x, dim, keepdim=keep), plain=plain)


CALLS: dict[str, Any] = {
    "prod": lambda t, x: t.prod(x),
    "prod of float64": lambda t, x: x.prod(-1, keepdim=True, dtype=t.float64),
    "sum in int32": lambda t, x: t.sum(x * 0, 0, dtype=t.int32),
    "sum in float16": lambda t, x: t.nansum(x * 0.01, 0, dtype=t.float16),
    "mean in float64": lambda t, x: t.mean(x, 0, dtype=t.float64),
    "cumsum in int16": lambda t, x: (x * 0).cumsum(0, dtype=t.int16),
    "cumprod in float64": lambda t, x: x.cumprod(0, dtype=t.float64),
    "biased": lambda t, x: (x.var(False), x.std(0, False), x.var(unbiased=False), x.std(0, True, True)),
    "correction": lambda t, x: (x.var(correction=0), x.std(-1, correction=2, keepdim=True)),
    "var_mean": lambda t, x: (*t.var_mean(x), *t.std_mean(x, 0, keepdim=True), *t.std_mean(x, -1, correction=0)),
    "max": lambda t, x: x.max(),
    "min": lambda t, x: t.min(x),
    "max along": lambda t, x: (*x.max(0), *t.max(x, -1, keepdim=True)),
    "min along": lambda t, x: (*x.min(-1), *t.min(x, 0, True)),
    "aminmax": lambda t, x: (*t.aminmax(x), *x.aminmax(dim=0), *x.aminmax(dim=-1, keepdim=True)),
    "argmax": lambda t, x: (t.argmax(x), x.argmax(0), x.argmax(-1, keepdim=True), x.argmax(keepdim=True)),
    "argmin": lambda t, x: (t.argmin(x), x.argmin(0), x.argmin(-1, keepdim=True), x.argmin(keepdim=True)),
    "no dims": lambda t, x: (t.sum(x, ()), t.any(x, ()), t.all(x, ()), x.amax(())),
    "count_nonzero": lambda t, x: (t.count_nonzero(x), x.count_nonzero(0), x.count_nonzero((-1,))),
    "logsumexp": lambda t, x: (t.logsumexp(x, 0), x.logsumexp(-1, keepdim=True), x.logsumexp((0,))),
    "cumsum": lambda t, x: (t.cumsum(x, 0), x.cumsum(-1)),
    "cumprod": lambda t, x: t.cumprod(x, -1),
    "cumprod first": lambda t, x: x.cumprod(0),
    "logcumsumexp": lambda t, x: x.logcumsumexp(-1),
    "logcumsumexp first": lambda t, x: t.logcumsumexp(x, 0),
    "cummax": lambda t, x: (*t.cummax(x, 0), *x.cummax(-1)),
    "cummin": lambda t, x: (*t.cummin(x, -1), *x.cummin(0)),
    "diff": lambda t, x: (t.diff(x), x.diff(2, 0), x.diff(n=3)),
    "diff joined": lambda t, x: t.diff(x, dim=0, prepend=x[:1], append=x[:2]),
    "trapezoid": lambda t, x: (t.trapezoid(x), t.trapezoid(x, dx=0.5, dim=0), t.trapz(x, x)),
    "cumulative_trapezoid": lambda t, x: (t.cumulative_trapezoid(x), t.cumulative_trapezoid(x, x * x, dim=0)),
    "out of range": lambda t, x: t.cumsum(x, 3),
    "twice": lambda t, x: t.sum(x, (0, 0)),
    "fractional dim": lambda t, x: t.sum(x, 0.5),
    "no dim": lambda t, x: t.max(x, keepdim=True),
    "NumPy's integers": lambda t, x: (*x.max(np.int64(0)), *t.min(x, np.int32(-1)), x.sum(np.int64(0))),
}  # fmt: skip


PRODUCTS, BIG = {"plain": ODD}, {"plain": "big"}  # log(g) is lost in 1e200 in PyTorch
NO_BOOL = {"without": "bool"}  # not for booleans in PyTorch
INTO_INTEGERS = {"grad": False, "without": ODD}
OPTIONS: dict[str, dict[str, Any]] = {
    "prod": PRODUCTS, "prod of float64": PRODUCTS, "cumprod": PRODUCTS, "cumprod first": PRODUCTS,
    "cumprod in float64": PRODUCTS, "biased": PRODUCTS, "correction": PRODUCTS,
    "sum in int32": INTO_INTEGERS, "cumsum in int16": INTO_INTEGERS,
    "argmax": NO_BOOL, "argmin": NO_BOOL, "cumulative_trapezoid": NO_BOOL,
    "logcumsumexp": BIG, "logcumsumexp first": BIG,
    "trapezoid": {"without": "bool infinities"},  # from the whole sum less the ends in PyTorch
    "var_mean": {"plain": ODD, "without": "infinities"},  # PyTorch's mean is then NaN
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_calls(name: str) -> None:
    same_each(X, CALLS[name], **OPTIONS.get(name, {}))


NORMS = [None, "fro", 2, 1, 0, INF, -INF, 0.5, 3, 1.5, -1, -2.0]


@pytest.mark.parametrize("p", NORMS, ids=str)
def test_norm(p: Any) -> None:
    for dim, keep in ((None, False), (0, True), (-1, False), ((0, 1), True)):
        same_each(X, lambda t, x, dim=dim, keep=keep: t.norm(x, p, dim, keep), plain=ODD)


SMOOTH = [floats(3, 4), np.array([[2.0, 0.0, 3.0, 4.0], [1.0, 0.0, 3.0, 0.0], [0.5, 1.0, 2.0, 2.0]])]


@pytest.mark.parametrize("x", SMOOTH, ids=["normal", "zeros"])
@pytest.mark.parametrize(
    "name", ["sum", "prod", "var", "std", "logsumexp", "norm", "norm 3", "cumsum", "cumprod", "logcumsumexp", "amax"]
)  # fmt: skip
def test_second_derivatives(name: str, x: np.ndarray) -> None:
    def run(t: Any, x: Any) -> Any:
        if name.startswith("norm"):
            return t.norm(x, 3 if name == "norm 3" else 2, 1) + t.norm(x)
        return getattr(t, name)(x, 1) ** 2

    same(run, x, second=True)


def test_large_sums_are_as_exact() -> None:
    x = np.random.default_rng(0).standard_normal((3, 10_000)).astype("f2") + np.float16(1)
    same(lambda t, x: (x.sum(1), x.mean(1), x.var(1), x.norm(dim=1), x.cumsum(1)[:, ::500]), x, grad=False)
    first = np.ascontiguousarray(x.T)
    same(lambda t, x: x.sum(0), first, grad=False)
    same(lambda t, x: (x.mean(0), x.var(0), x.std(0)), first * np.float16(100), grad=False)
    same(lambda t, x: (x.prod(1), x.logsumexp(1)), (x / 4 + 0.75).astype("f4"), rtol=1e-3)
    same(lambda t, x: t.norm(x), SPECIAL)
