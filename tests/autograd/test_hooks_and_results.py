"""What hooks may do, and what they and others are handed: cotangents stay as they are for everyone else."""

import numpy as np
import pytest

import gradflow as gf


def test_a_hook_inside_a_transform_works_on_its_gradient():
    def f(x):
        y = x * 2.0
        y.register_hook(lambda g: g * 10.0)
        return y.sum()

    np.testing.assert_array_equal(gf.func.grad(f)(gf.tensor([1.0, 2.0])).numpy(), [20.0, 20.0])
    inner = gf.func.jvp(gf.func.grad(lambda x: f(x * x)), (gf.tensor([1.0]),), (gf.tensor([1.0]),))[1]
    np.testing.assert_array_equal(inner.numpy(), [40.0])


def test_a_hook_cannot_change_a_gradient_that_others_hold():
    a, b = gf.ones(2, requires_grad=True), gf.ones(2, requires_grad=True)
    h = a + 0.0
    h.register_hook(lambda g: g.mul_(5.0))
    with pytest.raises(RuntimeError, match="read-only"):
        (h + b).backward(gf.ones(2))
    assert a.grad is None and b.grad is None


def test_gradients_asked_for_may_be_written_to():
    a, b = gf.ones(2, requires_grad=True), gf.ones(2, requires_grad=True)
    by_a, by_b = gf.autograd.grad((a + b).sum(), (a, b))
    by_a.zero_()
    np.testing.assert_array_equal(by_b.numpy(), [1.0, 1.0])


def test_numpy_does_not_take_values_whose_history_it_would_lose():
    with pytest.raises(RuntimeError, match="grad"):
        gf.func.grad(lambda x: gf.tensor(np.asarray(x)).sum())(gf.ones(2))
    with pytest.raises(RuntimeError, match="detach"):
        np.asarray(gf.ones(2, requires_grad=True))
    np.testing.assert_array_equal(np.asarray(gf.ones(2)), [1.0, 1.0])
