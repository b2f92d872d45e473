"""Activations and dropout where PyTorch has them: in every dtype, at infinities and NaN, and what both refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradflow as gf

torch = pytest.importorskip("torch")
ENDS = np.array([-np.inf, -300, -20, -6, -1, -0.0, 0, 0.3, 2, 8, 300, np.inf, np.nan])
TOLERANCE = {"float64": 1e-14, "float32": 1e-6, "float16": 2e-3, "bfloat16": 1.6e-2}
ACTIVATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "sigmoid": lambda t, x: t.sigmoid(x),
    "tanh": lambda t, x: t.tanh(x),
    "relu": lambda t, x: t.nn.functional.relu(x),
    "silu": lambda t, x: t.nn.functional.silu(x),
    "gelu": lambda t, x: t.nn.functional.gelu(x),
    "gelu-tanh": lambda t, x: t.nn.functional.gelu(x, approximate="tanh"),
}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_values_and_gradients_at_the_ends(name: str, dtype: str) -> None:
    pytest.importorskip("ml_dtypes")
    theirs = torch.tensor(ENDS, dtype=getattr(torch, dtype), requires_grad=True)
    ours = gf.tensor(ENDS, dtype=getattr(gf, dtype), requires_grad=True)
    y, expected = ACTIVATIONS[name](gf, ours), ACTIVATIONS[name](torch, theirs)
    y.backward(gf.ones_like(y))
    expected.backward(torch.ones_like(expected))
    if name == "relu":  # its slope at NaN is 0 here and 1 there
        theirs.grad[-1] = 0
    for a, b in ((y.detach(), expected.detach()), (ours.grad, theirs.grad)):
        limit = TOLERANCE[dtype]
        np.testing.assert_allclose(a.numpy().astype("f8"), b.double().numpy(), rtol=limit, atol=limit)


@pytest.mark.parametrize(
    "run, error",
    [
        (lambda t: t.nn.functional.dropout(t.ones(3), 1.5), ValueError),
        (lambda t: t.nn.functional.dropout(t.ones(3), -0.1), ValueError),
        (lambda t: t.nn.functional.dropout(t.tensor([1, 2]), 0.5), (TypeError, RuntimeError)),
        (lambda t: t.nn.functional.gelu(t.ones(3), approximate="both"), (ValueError, RuntimeError)),
        (lambda t: t.randint(3, 3, (2,)), (ValueError, RuntimeError)),
        (lambda t: t.randint(0, 2.5, (2,)), TypeError),
        (lambda t: t.randperm(-1), (ValueError, RuntimeError)),
    ],
)
def test_both_refuse(run: Callable[[Any], Any], error: Any) -> None:
    for library in (gf, torch):
        with pytest.raises(error):
            run(library)
