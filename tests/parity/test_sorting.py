"""Sorting, quantiles, counting and searching against PyTorch on generated inputs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from parity.same import floats, integers, same, same_each, unary

pytestmark = pytest.mark.filterwarnings("ignore:.*degrees of freedom is <= 0", "ignore:.*non-contiguous")
NAN, INF = math.nan, math.inf
X = [
    *unary(),
    *[
        pytest.param(v, id=k)
        for k, v in {
            "cube": floats(2, 3, 4), "ties": integers(3, 4).astype("f8"), "one": floats(1, 1),
            "nans": np.array([[1.0, NAN, 3.0, NAN], [NAN, NAN, NAN, NAN], [2.0, 1.0, 4.0, 0.0]]),
            "infinities": np.array([[1.0, INF, 3.0], [INF, 0.0, 2.0], [-INF, 1.0, 2.0]]),
            "no columns": floats(3, 0), "long": floats(40, 5), "many": integers(60, dtype="i4"),
        }.items()
    ],
]  # fmt: skip
TIED = "ties many int64 int32 int8 uint8 bool long special64 special32 nans"  # which of equal elements is not said


CALLS: dict[str, Any] = {
    "sort": lambda t, x: (t.sort(x).values, x.sort(0)[0], *t.sort(x, dim=-1, stable=True), *x.sort(dim=0, stable=True)),
    "descending": lambda t, x: (x.sort(-1, True)[0], *t.sort(x, dim=0, descending=True, stable=True)),
    "argsort": lambda t, x: (t.argsort(x, stable=True), x.argsort(dim=0, descending=True, stable=True)),
    "msort": lambda t, x: t.msort(x),
    "topk values": lambda t, x: (t.topk(x, 1).values, x.topk(2, dim=0, largest=False)[0]),
    "topk": lambda t, x: (*t.topk(x, 1), *x.topk(0), *x.topk(3, -1, largest=False)),
    "kthvalue values": lambda t, x: (t.kthvalue(x, 1).values, x.kthvalue(2, 0, True).values),
    "kthvalue": lambda t, x: (*t.kthvalue(x, 1), *x.kthvalue(k=2, dim=-1, keepdim=True)),
    "median": lambda t, x: t.median(x),
    "nanmedian": lambda t, x: x.nanmedian(),
    "median values": lambda t, x: (t.median(x, 0)[0], x.median(-1, keepdim=True).values, x.nanmedian(-1).values),
    "median along": lambda t, x: (*t.median(x, 0), *x.median(-1, keepdim=True), *x.nanmedian(-1)),
    "mode": lambda t, x: t.mode(x).values,
    "mode first": lambda t, x: x.mode(0, True).values,
    "unique": lambda t, x: x.unique(return_inverse=True, return_counts=True),
    "unique alone": lambda t, x: (t.unique(x), t.unique(x, return_counts=True)[1]),
    "unique slices": lambda t, x: t.unique(x, dim=0, return_inverse=True, return_counts=True),
    "unique columns": lambda t, x: t.unique(x, dim=1, return_inverse=True, return_counts=True),
    "unique_consecutive": lambda t, x: (*t.unique_consecutive(x, True, True), x.unique_consecutive()),
    "consecutive slices": lambda t, x: t.unique_consecutive(x, True, True, dim=0),
    "histc": lambda t, x: (t.histc(x, 5, -1, 2), x.histc(bins=3, min=0, max=1)),
    "histc of the range": lambda t, x: t.histc(x, 4),
    "histc of no range": lambda t, x: t.histc(x, 4, 1, 1),
    "histc refused": lambda t, x: t.histc(x, 4, 1, 0),
    "topk refused": lambda t, x: t.topk(x, 1000),
    "kthvalue refused": lambda t, x: t.kthvalue(x, 0),
    "bucketize": lambda t, x: (t.bucketize(x, t.linspace(-1, 2, 5)), t.bucketize(x, x[:1].reshape(-1)[:1], right=True)),
}  # fmt: skip
NAN_SLICES = "nans special64 special32"  # slices with NaN are in no order
OPTIONS: dict[str, dict[str, Any]] = {
    "unique": {"grad": False}, "unique alone": {"grad": False}, "unique_consecutive": {"grad": False},
    "unique slices": {"grad": False, "without": NAN_SLICES}, "unique columns": {"grad": False, "without": NAN_SLICES},
    "consecutive slices": {"grad": False, "without": NAN_SLICES},
    "histc": {"grad": False}, "histc of the range": {"grad": False}, "histc of no range": {"grad": False},
    "sort": {"plain": TIED}, "descending": {"plain": TIED},
    "topk": {"without": TIED}, "kthvalue": {"without": TIED}, "median along": {"without": TIED},
    "topk values": {"plain": TIED, "without": "bool"}, "kthvalue values": {"plain": TIED},
    "median values": {"plain": TIED},
    "mode": {"plain": TIED}, "mode first": {"plain": TIED, "without": "nans"},
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_calls(name: str) -> None:
    same_each(X, CALLS[name], **OPTIONS.get(name, {}))


@pytest.mark.parametrize("interpolation", ["linear", "lower", "higher", "midpoint", "nearest"])
@pytest.mark.parametrize("name", ["quantile", "nanquantile"])
def test_quantiles(name: str, interpolation: str) -> None:
    def run(t: Any, x: Any) -> Any:
        q, f = t.tensor([0.0, 0.1, 0.25, 0.5, 0.55, 1.0], dtype=x.dtype), getattr(t, name)
        along = {"interpolation": interpolation}
        return [
            f(x, q, **along), f(x, 0.3, **along), f(x, q, 0, True, **along), f(x, q[3], dim=-1, **along),
            f(x, q[:1], keepdim=True, **along), f(x, 1, -1, keepdim=True, **along),
        ]  # fmt: skip

    same_each(X, run, plain=TIED, without="float16")  # not for 16-bit floats in PyTorch


@pytest.mark.parametrize("q", [-0.1, 1.5, [0.5, 2.0]], ids=str)
def test_quantiles_refused(q: Any) -> None:
    same(lambda t, x: t.quantile(x, t.tensor(q, dtype=x.dtype) if isinstance(q, list) else q), floats(3))


def test_median_of_infinities() -> None:
    for x in ([-INF, -INF, 1.0, 2.0, -INF], [INF, 1.0, INF], [NAN, -INF, 1.0, -INF], [NAN, NAN, INF]):
        same(lambda t, x: (x.median(), x.nanmedian()), np.array(x))
    same(lambda t, x: tuple(x.median(0)), np.array([1.0, NAN, 2.0, NAN]))  # the first NaN's place


def test_gradient_of_a_quantile_by_its_place() -> None:
    same(lambda t, x, q: t.quantile(x, q.abs().clamp(0, 1), 0), floats(5, 3), np.array([0.3, 0.6]))


SEQUENCES = {
    "one": (np.array([-1.0, 0.0, 0.0, 0.5, 2.0]), floats(2, 3)),
    "special": (np.array([-INF, -1.0, 0.0, 0.0, INF, NAN]), np.array([NAN, INF, -INF, 0.0, -1.0, 0.5])),
    "rows": (np.sort(floats(2, 3, 4)), floats(2, 3, 5, seed=1)),
    "scalar": (np.array([1.0, 2.0]), np.asarray(1.5)),
    "empty": (np.zeros(0), floats(3)),
    "no values": (np.arange(3.0), np.zeros((0, 2))),
    "integers": (np.array([1, 3, 3, 5]), integers(4, 3)),
    "refused": (floats(2, 3), floats(3, 3)),
}


@pytest.mark.parametrize("kind", SEQUENCES)
def test_searching(kind: str) -> None:
    def run(t: Any, s: Any, x: Any) -> Any:
        found = [t.searchsorted(s, x), t.searchsorted(s, x, right=True), t.searchsorted(s, x, side="right")]
        return [*found, t.searchsorted(s, x, out_int32=True, side="left")]

    same(run, *SEQUENCES[kind], grad=False)


def test_searching_with_a_sorter() -> None:
    s = floats(2, 4)
    same(lambda t, s, x: t.searchsorted(s, x, sorter=t.argsort(s, -1)), s, floats(2, 3, seed=1), grad=False)
    same(lambda t, s: (t.searchsorted(s, 0.5), t.bucketize(0.5, s)), np.arange(3.0), grad=False)
    same(lambda t, s, x: t.searchsorted(s, x, right=False, side="middle"), np.arange(3.0), s, grad=False)


COUNTED = {
    "numbers": (np.array([1, 0, 5, 1]),), "weights": (np.array([1, 0, 5, 1]), floats(4)),
    "float32": (np.array([1, 0, 1]), floats(3, dtype="f4")), "half": (np.array([1, 0, 1]), floats(3, dtype="f2")),
    "integers": (np.array([1, 0, 1]), np.array([1, 2, 3])), "small": (np.array([1, 0, 1], "i1"),),
    "unsigned": (np.array([1, 0, 200], "u1"),), "none": (np.zeros(0, "i8"),), "negative": (np.array([1, -1]),),
    "floats": (floats(3),), "matrix": (np.ones((2, 2), "i8"),), "mismatched": (np.array([1, 0]), floats(3)),
}  # fmt: skip


@pytest.mark.parametrize("kind", COUNTED)
def test_bincount(kind: str) -> None:
    same(lambda t, x, *w: (t.bincount(x, *w), x.bincount(*w, minlength=3)), *COUNTED[kind], grad=False)


@pytest.mark.parametrize("x", [floats(3, 5), floats(6), floats(3, 4, dtype="f4"), floats(2, 0), floats(1, 4), floats()])
def test_covariances(x: np.ndarray) -> None:
    same(lambda t, x: (t.cov(x.long()), t.quantile(x.reshape(-1), np.float64(0.5))), x)
    n = x.shape[-1] if x.ndim else 1
    f, a = np.arange(n) % 3, np.linspace(0.5, 1.0, n).astype(x.dtype)
    same(lambda t, x: t.cov(x), x, second=True)
    same(lambda t, x: (t.cov(x, correction=0), t.corrcoef(x)), x)
    if n < 2:
        return  # PyTorch refuses weights that sum to zero; here NaN says so
    same(lambda t, x, f: t.cov(x, fweights=f), x, f)
    same(lambda t, x, f, a: t.cov(x, fweights=f, aweights=a, correction=2), x, f, a)


@pytest.mark.parametrize("name", ["sort", "topk", "median", "kthvalue", "quantile"])
def test_second_derivatives(name: str) -> None:
    given = {"topk": (2, 1), "kthvalue": (3, 1), "quantile": (0.3, 1)}.get(name, (1,))
    same(lambda t, x: (y[0] if isinstance(y := getattr(t, name)(x, *given), tuple) else y) ** 3, floats(4, 5),
         second=True)  # fmt: skip
