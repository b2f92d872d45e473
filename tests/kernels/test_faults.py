"""Indices and labels out of range: kernels note them, stay inside memory, and the next synchronisation tells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from kernels.harness import DEVICES

import gradflow as gf
from gradflow.backend import get_backend, kernels
from gradflow.nn import functional as F

every_device = pytest.mark.parametrize("device", DEVICES)


@pytest.fixture(params=DEVICES)
def put(request: pytest.FixtureRequest) -> Callable[..., Any]:
    get_backend(request.param)
    return lambda array, **options: gf.tensor(np.asarray(array), device=request.param, **options)


@pytest.mark.parametrize("classes", [3, 2000])
@pytest.mark.parametrize("label", [-1, 2000, 2**40])
def test_a_label_out_of_range_is_told_with_the_ops_name(put: Callable[..., Any], classes: int, label: int) -> None:
    x = put(np.ones((3, classes)), requires_grad=True)
    loss = F.cross_entropy(x, put([0, label, -100]), reduction="none")
    (g,) = gf.autograd.grad(loss.sum(), [x])
    with pytest.raises(IndexError, match=rf"\[cross_entropy\].*\[0, {classes}\).*got {label}\b"):
        loss.detach().numpy()
    found = loss.detach().numpy()  # told once
    assert np.isnan(found).tolist() == [False, True, False]
    assert np.isnan(g.numpy()).all(axis=1).tolist() == [False, True, False]


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_label_out_of_range_makes_the_loss_nan(put: Callable[..., Any], reduction: str) -> None:
    weight = put(np.ones(3))
    loss = F.cross_entropy(put(np.ones((2, 3))), put([1, 7]), weight, reduction=reduction, label_smoothing=0.1)
    with pytest.raises(IndexError, match=r"\[cross_entropy\]"):
        loss.numpy()
    assert np.isnan(loss.numpy())


def test_an_index_out_of_range_is_told_with_the_ops_name(put: Callable[..., Any]) -> None:
    weight = put(np.ones((4, 5)), requires_grad=True)
    y = F.embedding(put([3, 4, -1]), weight)
    (g,) = gf.autograd.grad(y.sum(), [weight])
    with pytest.raises(IndexError, match=r"\[embedding\].*\[0, 4\)"):
        y.detach().numpy()
    assert y.detach().numpy().tolist() == [[1.0] * 5, [0.0] * 5, [0.0] * 5]
    assert np.isfinite(g.numpy()).all()


@pytest.mark.parametrize("bad", [-1, 3])
def test_one_hot_tells_of_a_class_out_of_range(put: Callable[..., Any], bad: int) -> None:
    y = F.one_hot(put([0, bad]), 3)
    with pytest.raises(IndexError, match=rf"\[one_hot\].*\[0, 3\).*got {bad}\b"):
        y.numpy()
    assert y.numpy().tolist() == [[1, 0, 0], [0, 0, 0]]


@every_device
@pytest.mark.parametrize("dtype", ["i8", "i4", "u1", "i2"])
def test_check_index(device: str, dtype: str) -> None:
    backend, inside = get_backend(device), np.arange(5, 105).astype(dtype)
    assert backend.check_index(backend.from_host(inside), 5, 105, "op") is None
    assert backend.check_index(backend.from_host(inside[:0]), 0, 0, "op") is None
    backend.synchronize()
    for low, high, found in ((6, 105, 5), (5, 104, 104)):
        backend.check_index(backend.from_host(inside), low, high, "op")
        with pytest.raises(IndexError, match=rf"\[op\] .*\[{low}, {high}\), got {found}\b"):
            backend.synchronize()


@every_device
def test_what_is_in_range_launches_the_kernels(device: str) -> None:
    def put(array: Any, **options: Any) -> Any:
        return gf.tensor(np.asarray(array), device=device, **options)

    kernels.reset()
    x = put(np.ones((3, 4)), requires_grad=True)
    F.cross_entropy(x, put([0, 3, -100])).backward()
    F.cross_entropy(x, put(np.full((3, 4), 0.25))).backward()
    F.embedding(put([0, 2, 0]), x).sum().backward()
    x[put([0, 2, -1])].sum().backward()
    get_backend(device).synchronize()
    assert kernels.fallbacks() == {}
    names = {"softmax_cross_entropy", "cross_entropy_mean", "cross_entropy_scale", "embedding", "embedding_backward",
        "softmax_cross_entropy_probabilities", "scatter_add", "check_index"}  # fmt: skip
    assert {name: kernels.launches().get(name) for name in names} == dict.fromkeys(names, 1)
