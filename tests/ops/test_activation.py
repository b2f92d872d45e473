"""Activations at the ends of their range, and with a bias: what is kept, launched, promoted and refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

import gradflow as gf
from gradflow.nn import functional as F

DEVICES = ["cpu", "emulated"]
ENDS = {
    "sigmoid": (gf.sigmoid, 0, 1, 0), "tanh": (gf.tanh, -1, 1, 0), "relu": (gf.relu, 0, np.inf, 1),
    "silu": (F.silu, 0, np.inf, 1), "gelu": (F.gelu, 0, np.inf, 1),
    "gelu_tanh": (lambda x: F.gelu(x, approximate="tanh"), 0, np.inf, 1),
}  # fmt: skip
"""function, its limits at -inf and at inf (inf: x itself), and its slope at inf; the one at -inf is 0."""


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype, far", [("float16", 300.0), ("bfloat16", 1e25), ("float32", 1e25), ("float64", 1e200)])
@pytest.mark.parametrize("name", ENDS)
def test_far_from_zero_nothing_overflows(name, dtype, far, device):
    pytest.importorskip("ml_dtypes")
    function, low, high, slope = ENDS[name]
    x = gf.tensor([-far, far], dtype=getattr(gf, dtype), device=device, requires_grad=True)
    y = function(x)
    y.backward(gf.ones_like(y))
    assert y.detach().float().tolist() == [low, x.detach().float().tolist()[1] if high == np.inf else high]
    assert x.grad.float().tolist() == [0, slope]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype, limit", [("float32", 2e-5), ("float64", 1e-13)])
def test_gelu_is_exact_to_the_tail(dtype, limit, device):
    """Where 1 + erf would have no digits left."""
    x = np.array([-0.5, -3.0, -6.0, -9.0, -12.0])
    expected = [v * math.erfc(-v / math.sqrt(2)) / 2 for v in x]
    found = F.gelu(gf.tensor(x, dtype=getattr(gf, dtype), device=device)).numpy()
    np.testing.assert_allclose(found, expected, rtol=limit)


@pytest.mark.parametrize("activation", [None, "relu", "sigmoid", "tanh", "gelu", "gelu_tanh", "silu"])
def test_bias_and_activation_are_one_kernel_each_way(activation):
    x, bias = gf.randn(4, 3, 5, 5, device="emulated", requires_grad=True), gf.zeros(3, device="emulated")
    bias.requires_grad_()
    gf.kernels.reset()
    y = F.bias_act(x, bias, activation)
    y.backward(gf.ones_like(y))
    kind = "add" if activation is None else "act" if activation in ("relu", "sigmoid", "tanh") else "gated"
    backward = "channel_sum" if activation is None else f"bias_{kind}_backward"
    assert gf.kernels.launches() == {f"bias_{kind}": 1, backward: 1}
    assert gf.kernels.fallbacks() == {}


@pytest.mark.parametrize("device", DEVICES)
def test_the_gradient_of_a_bias_is_summed_in_float32(device):
    """5000 ones, which float16 would stop counting at 2048."""
    bias = gf.zeros(2, dtype=gf.float16, device=device, requires_grad=True)
    for x in (gf.ones(5000, 2, device=device), gf.ones(2, 5000, device=device).mT):
        bias.grad = None
        F.bias_act(x.half(), bias, "relu").sum().backward()
        assert bias.grad.dtype == gf.float16 and bias.grad.tolist() == [5000, 5000]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("activation", ["sigmoid", "gelu"])
def test_integers_become_floats(activation, device):
    y = F.bias_act(gf.tensor([[1, -2]], device=device), gf.tensor([0, 3], device=device), activation)
    expected = F.bias_act(gf.tensor([[1.0, -2.0]], device=device), gf.tensor([0.0, 3.0], device=device), activation)
    assert y.dtype == gf.float32 and y.tolist() == expected.tolist()


@pytest.mark.parametrize("device", DEVICES)
def test_relu_of_integers_stays_integers(device):
    y = gf.relu(gf.tensor([-3, 4], device=device))
    assert y.dtype == gf.int64 and y.tolist() == [0, 4]


def test_what_does_not_fit_is_named():
    with pytest.raises(gf.DeviceError, match=r"\[bias_act\] operand 1 .* is on cpu and operand 2 .* is on emulated"):
        F.bias_act(gf.ones(2, 3), gf.ones(3, device="emulated"), "relu")
    with pytest.raises(ValueError, match=r"\[bias_act\] bias has shape \(2,\), expected \(3,\) \(x \(2, 3\)\)"):
        F.bias_act(gf.ones(2, 3), gf.ones(2), "relu")
    with pytest.raises(ValueError, match=r"\[bias_act\] activation must be None, 'relu', .*, got 'elu'"):
        F.bias_act(gf.ones(2, 3), gf.ones(3), "elu")
    with pytest.raises(IndexError, match=r"\[bias_act\] dim 1 is out of range for x \(3,\)"):
        F.bias_act(gf.ones(3), gf.ones(3), "relu")
    with pytest.raises(ValueError, match=r"\[gelu\] approximate must be 'none' or 'tanh', got 'both'"):
        F.gelu(gf.ones(3), approximate="both")


IN_PLACE = "relu relu6 hardtanh leaky_relu rrelu elu selu celu silu mish hardsigmoid hardswish threshold"


@pytest.mark.parametrize("name", IN_PLACE.split())
def test_functions_refuse_to_work_in_place(name):
    args = (0.1, 2) if name == "threshold" else ()
    with pytest.raises(NotImplementedError, match=rf"\[{name}\] inplace=True is not supported"):
        getattr(F, name)(gf.ones(3), *args, inplace=True)


def test_rrelu_draws_slopes_within_its_bounds():
    x = gf.full((1000,), -1.0, requires_grad=True)
    y = F.rrelu(x, 0.1, 0.4, training=True, generator=gf.Generator(0))
    slopes = -y.detach().numpy()
    assert slopes.min() >= 0.1 and slopes.max() < 0.4 and abs(slopes.mean() - 0.25) < 0.01
    y.sum().backward()
    assert gf.equal(x.grad, -y.detach())


def test_gumbel_softmax_draws_classes_by_their_probabilities():
    logits = gf.tensor([0.5, 0.2, 0.3]).log().expand(20000, 3).clone().requires_grad_()
    y = F.gumbel_softmax(logits, 0.7, hard=True, generator=gf.Generator(0))
    assert set(np.unique(y.detach().numpy()).tolist()) <= {0.0, 1.0} and (y.sum(1) == 1).all()
    np.testing.assert_allclose(y.detach().numpy().mean(0), [0.5, 0.2, 0.3], atol=0.02)
    soft = F.gumbel_softmax(logits, 0.7, generator=gf.Generator(0))
    u = gf.randn(20000, 3)
    found, expected = [gf.autograd.grad((u * out).sum(), [logits])[0] for out in (y, soft)]
    np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=1e-6)


def test_a_softmax_without_dim_warns():
    with pytest.warns(UserWarning, match=r"\[softmax\] no dim given; taking 1"):
        assert F.softmax(gf.zeros(2, 4)).tolist() == [[0.25] * 4] * 2


def test_integers_are_not_divided_by_zero():
    x, zero = gf.tensor([1, 2]), gf.tensor([1, 0])
    for run in (lambda: x // zero, lambda: x % 0, lambda: gf.fmod(x, zero), lambda: 3 // zero):
        with pytest.raises(ValueError, match=r"integers cannot be divided by 0"):
            run()
    with pytest.raises(ValueError, match=r"\[power\] integers to a negative power are fractions"):
        x**-1


def test_bits_are_of_integers_or_booleans():
    with pytest.raises(TypeError, match=r"\[bitwise_and\] needs integers or booleans, got float32"):
        gf.tensor([1.5]) & 1
    with pytest.raises(TypeError, match=r"\[bitwise_left_shift\] needs integers, got bool"):
        gf.tensor([True]) << gf.tensor([True])
    with pytest.raises(TypeError, match=r"\[isclose\] needs operands of one dtype, got \(2,\) float32 and .* float64"):
        gf.isclose(gf.ones(2), gf.ones(2, dtype=gf.float64))


@pytest.mark.parametrize("run, message", [
    (lambda: gf.tensor([1], dtype=gf.int8) + 300, r"\[add\] .*300 out of bounds .* \(operands: \(1,\) int8, 300\)"),
    (lambda: gf.exp(None), r"\[exp\] expected arrays, tensors or Python numbers, got None"),
    (lambda: gf.ones(2) * np.array([1j, 2]), r"\[multiply\] expected booleans, integers, or floats .* got complex128"),
    (lambda: gf.logit(gf.ones(2), 0.7), r"\[logit\] eps must be between 0 and 0.5, got 0.7"),
    (lambda: gf.heaviside(gf.ones(2), 0.5), r"\[heaviside\] needs operands of one dtype, got \(2,\) float32 and 0.5"),
    (lambda: gf.tensor([True]) // gf.tensor([True]), r"\[floor_divide\] booleans have no whole quotient"),
    (lambda: F.cosine_similarity(gf.ones(2), gf.ones(3)), r"\[cosine_similarity\] shapes do not match"),
])  # fmt: skip
def test_operands_that_do_not_fit_are_named(run, message):
    with pytest.raises((TypeError, ValueError, OverflowError), match=message):
        run()


@pytest.mark.parametrize("device", DEVICES)
def test_the_gradients_of_softmax_are_computed_in_float32(device):
    """In float16 the difference of numbers that are nearly equal would have no digits left."""
    x, g = [gf.randn(8, 50, generator=gf.Generator(i)).half() for i in (0, 1)]
    x, g = (x * 3).to(device).requires_grad_(), (g + 3).to(device)
    for function in (gf.softmax, gf.log_softmax):
        y = function(x, 1)
        (found,) = gf.autograd.grad(y, x, g)
        y, c = [v.detach().cpu().numpy().astype("f8") for v in (y, g)]
        if function is gf.softmax:
            expected = y * (c - (c * y).sum(1, keepdims=True))
        else:
            expected = c - np.exp(y) * c.sum(1, keepdims=True)
        np.testing.assert_allclose(found.cpu().numpy(), expected, rtol=1e-3, atol=1e-5)
