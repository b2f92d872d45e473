"""Indices and labels out of range: kernels note them, stay inside memory, and the next synchronisation tells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from kernels.harness import DEVICES

import gradflow as gf
from gradflow.backend import get_backend, kernels
from gradflow.backend.cuda.faults import Faults
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


@pytest.mark.parametrize(
    "look", [float, bool, repr, gf.Tensor.item, gf.Tensor.tolist, gf.Tensor.cpu], ids=lambda f: f.__name__
)
def test_any_look_at_a_value_tells(put: Callable[..., Any], look: Callable[..., Any]) -> None:
    loss = F.cross_entropy(put(np.ones((2, 3))), put([1, 7]))
    with pytest.raises(IndexError, match=r"\[cross_entropy\] class indices must be in \[0, 3\), got 7"):
        look(loss)


@pytest.mark.parametrize("bad", [-1, 3])
def test_one_hot_tells_of_a_class_out_of_range(put: Callable[..., Any], bad: int) -> None:
    y = F.one_hot(put([0, bad]), 3)
    with pytest.raises(IndexError, match=rf"\[one_hot\].*\[0, 3\).*got {bad}\b"):
        y.numpy()
    assert y.numpy().tolist() == [[1, 0, 0], [0, 0, 0]]


def test_faults_of_several_ops_are_told_apart(put: Callable[..., Any]) -> None:
    x = put(np.ones((3, 4)))
    losses = F.cross_entropy(x, put([0, 9, 1]), reduction="none")
    rows = F.embedding(put([0, 1, 77]), x)
    with pytest.raises(IndexError) as told:
        rows.numpy()
    parts = str(told.value).partition(" (found on")[0].split("; ")  # in the order in which kinds were first named
    assert sorted(parts) == [
        "[cross_entropy] class indices must be in [0, 4), got 9",
        "[embedding] indices must be in [0, 3), got 77",
    ]
    assert np.isnan(losses.numpy()).tolist() == [False, True, False]
    F.cross_entropy(x, put([0, 5, 1]))
    with pytest.raises(IndexError, match=r"^\[cross_entropy\] class indices must be in \[0, 4\), got 5 \("):
        rows.numpy()


def test_training_goes_on_after_a_fault(put: Callable[..., Any]) -> None:
    weight, target = put(np.full((5, 4), 0.1), requires_grad=True), put([0, 3, 1])
    bad, good = put([0, 5, 1]), put([0, 4, 1])

    def step(index: Any) -> tuple[np.ndarray, np.ndarray]:
        loss = F.cross_entropy(F.embedding(index, weight), target)
        (g,) = gf.autograd.grad(loss, [weight])
        return loss.detach().numpy(), g.numpy()

    before = step(good)
    with pytest.raises(IndexError, match=r"\[embedding\]"):
        step(bad)
    for a, b in zip(step(good), before, strict=True):
        assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("second", [False, True])
def test_labels_in_a_small_dtype_leave_rows_out(put: Callable[..., Any], second: bool) -> None:
    x = put(np.arange(6.0).reshape(3, 2), requires_grad=True)
    for dtype, ignored in (("u1", 255), ("u1", -100), ("i1", 300)):
        target = put(np.array([1, 0, 255 if ignored == 255 else 1], dtype))
        loss = F.cross_entropy(x, target, ignore_index=ignored, label_smoothing=0.1)
        (g,) = gf.autograd.grad(loss, [x], create_graph=second)
        assert (g.detach().numpy()[2] == 0).all() == (ignored == 255)


def test_kinds_of_faults_without_a_word_of_their_own_share_one() -> None:
    memory = np.zeros(3, np.int64)
    faults = Faults(memory)
    words = [(faults.word(op, "be good") - memory.ctypes.data) // 8 for op in "abcdab"]
    assert words == [0, 1, 2, 2, 0, 1]
    memory[[1, 2]] = 2 * -7 + 1, 2 * 5 + 1
    with pytest.raises(IndexError, match=r"^\[b\] be good, got -7; \[index\] indices must be in range, got 5 \("):
        faults.check("a device")
    faults.check("a device")


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
