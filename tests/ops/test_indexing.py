"""Indices of all kinds: what is refused and why, on every device, and what is written where."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

import gradflow as gf
from gradflow.autograd import GraphError, TransformError
from gradflow.backend import get_backend
from gradflow.nn import functional as F

DEVICES = ["cpu", "emulated"]
FAR = {
    "gather": lambda x, i: gf.gather(x, 0, i[:, None]),
    "index_select": lambda x, i: x.index_select(0, i),
    "take": lambda x, i: gf.take(x, i * 3),
    "scatter": lambda x, i: x.scatter(0, i[:, None], 1.0),
    "scatter_add": lambda x, i: x.scatter_add(0, i[:, None], gf.ones(2, 1, device=x.device)),
    "scatter_reduce": lambda x, i: x.scatter_reduce(0, i[:, None], gf.ones(2, 1, device=x.device), "amax"),
    "index_add": lambda x, i: x.index_add(0, i, gf.ones(2, 2, device=x.device)),
    "index_copy": lambda x, i: x.index_copy(0, i, gf.ones(2, 2, device=x.device)),
    "index_fill": lambda x, i: x.index_fill(0, i, 1.0),
    "index_put": lambda x, i: x.index_put((i,), gf.ones(2, 2, device=x.device)),
    "getitem": lambda x, i: x[i],
    "setitem": lambda x, i: x.__setitem__(i, 1.0) or x,
}


@pytest.mark.parametrize("name", FAR)
def test_an_index_out_of_range_is_told(name):
    for far in (3, -4):
        with pytest.raises(IndexError, match=rf"\[{name}\] index {far * (3 if name == 'take' else 1)} is out of range"):
            FAR[name](gf.ones(3, 2), gf.tensor([0, far]))
    FAR[name](gf.ones(3, 2), gf.tensor([0, 1]))


@pytest.mark.parametrize("name", FAR)
def test_an_index_out_of_range_is_told_by_a_device(name):
    """NumPy tells of it too there, but a GPU does not."""
    backend = get_backend("emulated")

    def run(last):
        FAR[name](gf.ones(3, 2, device="emulated"), gf.tensor([0, last], device="emulated"))
        backend.synchronize()

    with pytest.raises(IndexError):
        run(3)
    with contextlib.suppress(IndexError):
        backend.synchronize()
    run(1)


def test_indices_of_wrong_kinds_are_named_with_the_cure():
    x = gf.ones(3, 4)
    with pytest.raises(IndexError, match=r"\[getitem\] .* got uint8; make it \.bool\(\) for a mask, or \.long\(\)"):
        x[gf.tensor([1, 0, 1], dtype=gf.uint8)]
    with pytest.raises(IndexError, match=r"\[getitem\] .* got float32"):
        x[gf.tensor([1.0])]
    with pytest.raises(IndexError, match=r"\[getitem\] a list that is no index"):
        x[[[0, 1], [2]]]
    with pytest.raises(TypeError, match=r"\[gather\] index must be a tensor of integers, got float32"):
        gf.gather(x, 0, x)
    with pytest.raises(TypeError, match=r"\[scatter_add\] src must be of x's dtype float32, got int64"):
        x.scatter_add(0, gf.tensor([[0]]), gf.tensor([[1]]))
    with pytest.raises(
        ValueError, match=r"\[scatter\] index must have x's rank and .* \(x \(3, 4\), index \(1, 5\), src"
    ):
        x.scatter(0, gf.zeros(1, 5, dtype=gf.int64), gf.ones(1, 5))
    with pytest.raises(TypeError, match=r"\[masked_fill\] mask must be a boolean tensor, got float32"):
        x.masked_fill(x, 1.0)
    with pytest.raises(ValueError, match=r"\[masked_fill\] 1000 does not fit into uint8"):
        gf.ones(2, dtype=gf.uint8).masked_fill(gf.tensor([True, False]), 1000)
    for op, line in {
        "select": lambda: x.select(0, 1.5), "narrow": lambda: x.narrow(0, 0.5, 1), "gather": lambda: x.gather(0, [[0]]),
        "cat": lambda: gf.cat([x, 1.0]), "stack": lambda: gf.stack([x, [1.0]]), "split": lambda: x.split(2.0),
        "unsqueeze": lambda: x.unsqueeze("a"), "embedding": lambda: F.embedding([0], x),
        "select_scatter": lambda: x.select_scatter(x[0], 0, 1.5), "tril_indices": lambda: gf.tril_indices(3.5, 3),
    }.items():  # fmt: skip
        with pytest.raises(TypeError, match=rf"\[{op}\]"):
            line()
    for line in (
        lambda: x.index_put((True,), x[0]), lambda: x.index_put((gf.tensor(True),), x[0]),
        lambda: x.gather(0, gf.tensor([[0]]), sparse_grad=True), lambda: x.view(gf.int32),
        lambda: x.scatter_reduce(0, gf.tensor([[0]]), x, "prod"), lambda: F.embedding(gf.tensor([0]), x, sparse=True),
        lambda: x.scatter(0, gf.tensor([[0]]), x, reduce="multiply"),
    ):  # fmt: skip
        with pytest.raises(NotImplementedError):
            line()


def test_an_index_on_another_device_is_named():
    x = gf.ones(3, 2, device="emulated")
    for line in (
        lambda i: x[i],
        lambda i: x.__setitem__(i, 1.0),
        lambda i: gf.gather(x, 0, i[:, None]),
        lambda i: gf.take(x, i),
    ):
        with pytest.raises(gf.DeviceError, match=r'is on cpu.*move .* with \.to\("emulated"\)'):
            line(gf.tensor([0, 1, 1], device="cpu"))
    assert x[gf.tensor([True, False, True], device="cpu")].shape == (2, 2)
    assert x[np.array([0, 2])].shape == (2, 2) and x[[True, False, True]].shape == (2, 2)


def test_what_decides_shapes_cannot_be_mapped_over():
    x = gf.ones(2, 3)
    mask = gf.tensor([[True, False, True], [True, True, True]])
    for line in (
        lambda m: x[0][m], lambda m: gf.nonzero(m), lambda m: x[0].masked_select(m),
        lambda m: x[0].masked_scatter(m, x[1]), lambda m: x[0][m[0]], lambda m: x[0][[m[0], m[1]]],
        lambda m: gf.repeat_interleave(x[0], m.long()), lambda m: F.one_hot(m.long()),
    ):  # fmt: skip
        with pytest.raises(TransformError):
            gf.func.vmap(line)(mask)


@pytest.mark.parametrize("device", DEVICES)
def test_single_bools_make_an_axis(device):
    x = gf.arange(6, device=device).reshape(2, 3)
    for index in (
        True,
        False,
        np.True_,
        (slice(None), True),
        (..., False),
        (True, None, 1),
        (True, [0, 1]),
        (True, ..., False),
    ):
        assert np.array_equal(x[index].numpy(), x.numpy()[index])
    assert x[gf.tensor(True, device=device)].shape == (1, 2, 3)
    x[True] = 7
    x[:, False] = 9
    assert x.tolist() == [[7, 7, 7], [7, 7, 7]]
    x[True, 1] = gf.arange(3, device=device)
    assert x.tolist() == [[7, 7, 7], [0, 1, 2]]


@pytest.mark.parametrize("device", DEVICES)
def test_assignment_takes_all_kinds_of_values(device):
    x = gf.zeros(3, 2, device=device)
    x[0] = [1, 2]
    x[1:, 0] = gf.tensor([3, 4], device=device)
    x[x == 0] = 5.5
    x[[2, 2], [1, 1]] = np.float32(8)
    x[2, 0] = gf.tensor([[4.0]], device=device)
    assert x.tolist() == [[1, 2], [3, 5.5], [4, 8]]
    mask = gf.tensor([True, False, True], device=device)
    x[mask] = gf.tensor([[9.0, 9.0], [7.0, 7.0]], device=device)
    x[mask, 1] = 0
    assert x.tolist() == [[9, 0], [3, 5.5], [7, 0]]
    with pytest.raises(ValueError, match=r"\[setitem\]"):
        x[mask] = gf.ones(3, 2, device=device)


def test_assignment_to_a_leaf_is_noticed_by_the_graph():
    x = gf.ones(3, requires_grad=True)
    y = (x * x).sum()
    with pytest.raises(RuntimeError, match=r"\[setitem\] a leaf that requires grad .*no_grad"):
        x[0] = 2.0
    with gf.no_grad():
        x[True] = 2.0
    with pytest.raises(GraphError, match="changed in place"):
        y.backward()
    assert x.requires_grad and x.tolist() == [2, 2, 2]
    saved = gf.ones(2, 3)
    y = (gf.ones(2, 3, requires_grad=True) * saved).sum()
    saved.t_()
    with pytest.raises(GraphError, match="changed in place"):
        y.backward()


def test_views_are_written_through():
    x = gf.zeros(3, 3)
    x.diagonal().fill_(1.0)
    x.unbind()[2].add_(2)
    assert x.tolist() == [[1, 0, 0], [0, 1, 0], [2, 2, 3]]
    with pytest.raises(RuntimeError, match="read-only"):
        x.unfold(0, 2, 1).fill_(1.0)
    with pytest.raises(RuntimeError, match=r"\[unsqueeze_\] works on tensors that do not require grad"):
        gf.ones(2, requires_grad=True).unsqueeze_(0)


def test_sums_are_taken_in_the_order_of_the_index():
    rng = np.random.default_rng(0)
    index, source = rng.integers(-3, 3, 500), rng.standard_normal((2, 500, 5)).astype("f4")
    expected = np.zeros((2, 3, 5), "f4")
    np.add.at(expected, (slice(None), index), source)
    found = gf.zeros(2, 3, 5).index_put((gf.tensor([[0], [1]]), gf.tensor(index)), gf.tensor(source), accumulate=True)
    assert found.numpy().tobytes() == expected.tobytes()
    found = gf.zeros(2, 3, 5).index_add(1, gf.tensor(index % 3), gf.tensor(source))
    assert found.numpy().tobytes() == expected.tobytes()


def test_what_a_maximum_leaves_out_gets_no_gradient():
    x, src = gf.tensor([2.0], requires_grad=True), gf.tensor([1.0, 2.0], requires_grad=True)
    index = gf.tensor([0, 0])
    for include, shares in ((False, ([0], [0, 1])), (True, ([0.5], [0, 0.5]))):
        y = x.scatter_reduce(0, index, src, "amax", include_self=include)
        assert tuple([g.tolist() for g in gf.autograd.grad(y.sum(), [x, src])]) == shares


def test_a_sum_of_half_floats_is_taken_in_float32():
    x, i = gf.zeros(1, dtype=gf.float16), gf.zeros(5000, dtype=gf.int64)
    ones = gf.ones(5000, dtype=gf.float16)
    for y in (x.scatter_add(0, i, ones), x.index_add(0, i, ones), x.index_put((i,), ones, accumulate=True)):
        assert y.tolist() == [5000]


def test_a_row_of_padding_may_be_counted_from_the_end():
    w, i = gf.ones(3, 2), gf.tensor([0, 2])
    _, tangent = gf.func.jvp(lambda w: F.embedding(i, w, padding_idx=-1), (w,), (w,))
    assert tangent.tolist() == [[1, 1], [0, 0]]


def test_max_norm_changes_the_rows_that_are_used():
    w = gf.tensor([[3.0, 4.0], [0.3, 0.4], [6.0, 8.0]], requires_grad=True)
    y = F.embedding(gf.tensor([0, 1, 0]), w, max_norm=1.0)
    np.testing.assert_allclose(w.detach().numpy(), [[0.6, 0.8], [0.3, 0.4], [6, 8]], rtol=1e-6)
    y.sum().backward()
    assert w.grad.tolist() == [[2, 2], [1, 1], [0, 0]]
    with pytest.raises(TransformError):
        gf.func.vmap(lambda w: F.embedding(gf.tensor([0]), w, max_norm=1.0))(gf.ones(2, 3, 2))
