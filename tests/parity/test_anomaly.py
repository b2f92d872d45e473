"""detect_anomaly: the same graphs stop with it, at the same operations, and the others give the same gradients."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from parity.same import floats, same

import gradflow as gf

torch = pytest.importorskip("torch")

INF = float("inf")
CASES: dict[str, tuple[Any, str | None]] = {
    "sqrt of negative numbers": (lambda t, x: t.sqrt(x), "sqrt"),
    "log times nothing": (lambda t, x: t.log(x - x) * 0.0, "log"),
    "masked after the fact": (lambda t, x: t.where(x > 0, t.sqrt(x), 0.0 * x), "sqrt"),
    "masked before": (lambda t, x: t.where(x > 0, t.sqrt(t.where(x > 0, x, 1.0 + 0.0 * x)), 0.0 * x), None),
    "only infinite": (lambda t, x: x * INF, None),
    "infinite and lost": (lambda t, x: t.exp(x * 1e4) * 0.0, "exp"),
    "opposite infinities": (lambda t, x: opposite(t.tanh(x)), "tanh"),
    "opposite infinities in a leaf": (lambda t, x: opposite(x), None),
    "a norm at zero": (lambda t, x: (x * 0.0).norm(), None),
    "a root at zero": (lambda t, x: t.sqrt((x * 0.0).square().sum()), "pow"),
    "a softmax of nothing": (lambda t, x: t.softmax(x.masked_fill(x < 9, -INF), 1), "softmax"),
    "half masked softmax": (lambda t, x: t.softmax(x.masked_fill(x < 0, -INF), 1), None),
}


def opposite(y: Any) -> Any:
    return y * INF + y * -INF


@pytest.mark.parametrize("name", CASES)
def test_the_same_passes_stop(name: str) -> None:
    f, culprit = CASES[name]
    found = []
    for t in (gf, torch):
        x = t.tensor(floats(3, 4).tolist(), requires_grad=True)
        y = f(t, x).sum()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch warns of the mode itself, and of where an operation was called
            try:
                with t.autograd.detect_anomaly():
                    y.backward()
                found.append(None)
            except RuntimeError as error:
                found.append(str(error).lower())
    ours, theirs = found
    assert (ours is None) == (theirs is None) == (culprit is None), found
    if culprit is not None:
        assert f"the vjp of {culprit}" in ours
        assert culprit in theirs


@pytest.mark.parametrize("name", CASES)
def test_unchecked_passes_give_the_same_gradients(name: str) -> None:
    def run(t: Any, x: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with t.autograd.set_detect_anomaly(True, check_nan=False):
                return t.autograd.grad(CASES[name][0](t, x).sum(), x, retain_graph=True)[0]

    same(run, floats(3, 4))
