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
