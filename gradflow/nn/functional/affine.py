"""Linear maps, and a bias with its activation."""

from __future__ import annotations

import math
from typing import Any

from ...autograd.primitive import casting
from ...autograd.value import backend_under
from ...functions.arguments import one_dim
from ...functions.linalg import matmul
from ...functions.shape import reshape
from ...ops import bias as _bias
from ...ops.shape import transpose


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """y = x W^T + b: x (..., in), weight (out, in), bias (out,) -> (..., out); weight (in,) -> (...)."""
    if weight.ndim not in (1, 2) or input.ndim == 0 or input.shape[-1] != weight.shape[-1]:
        raise ValueError(
            f"[linear] x has {input.shape[-1] if input.ndim else 'no'} features but weight expects "
            f"{weight.shape[-1] if weight.ndim else '?'} (x {tuple(input.shape)}, weight {tuple(weight.shape)})"
        )
    if casting[0] is not None:  # the bias too, and the weight while it is one
        input, weight, bias = casting[0]("linear", (input, weight, bias))
    y = matmul(input, transpose(weight, axes=(1, 0)) if weight.ndim == 2 else weight)
    if bias is None:
        return y
    if "bias_add" in backend_under(y).kernels and weight.ndim == 2 and bias.shape == y.shape[-1:]:
        return _bias.bias_add(y, bias, axis=y.ndim - 1)
    out = y + bias
    if out.shape != y.shape:
        raise ValueError(f"[linear] a bias {tuple(bias.shape)} does not fit the product {tuple(y.shape)}")
    return out


def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    """y_k = x1^T A_k x2 + b_k: x1 (..., in1), x2 (..., in2), weight A (out, in1, in2), bias (out,) -> (..., out)."""
    shapes = f"(x1 {tuple(input1.shape)}, x2 {tuple(input2.shape)}, weight {tuple(weight.shape)})"
    if weight.ndim != 3 or not input1.ndim or input1.shape[:-1] != input2.shape[:-1]:
        raise ValueError(f"[bilinear] expected x1 (..., in1), x2 (..., in2) and weight (out, in1, in2) {shapes}")
    if (input1.shape[-1], input2.shape[-1]) != tuple(weight.shape[1:]):
        raise ValueError(f"[bilinear] the inputs' features are not those that weight expects {shapes}")
    n_out, n1, n2 = weight.shape
    n = math.prod(input1.shape[:-1])
    mapped = matmul(reshape(input1, (n, n1)), reshape(transpose(weight, axes=(1, 0, 2)), (n1, n_out * n2)))
    y = matmul(reshape(mapped, (n, n_out, n2)), reshape(input2, (n, n2, 1)))
    y = reshape(y, (*input1.shape[:-1], n_out))
    return y if bias is None else y + bias


def bias_act(input: Any, bias: Any, activation: str | None = None, dim: int = 1) -> Any:
    """activation(x + bias along dim): x (..., C, ...), bias (C,) -> x's shape. On a GPU one kernel each way.

    activation is None, 'relu', 'gelu', 'gelu_tanh' (its approximation), 'silu', 'sigmoid' or 'tanh'. Raises ValueError
    for another, and for a bias that does not have C elements.
    """
    axis = one_dim("bias_act", input, dim)
    if tuple(bias.shape) != (input.shape[axis],):
        raise ValueError(
            f"[bias_act] bias has shape {tuple(bias.shape)}, expected ({input.shape[axis]},) (x {tuple(input.shape)})"
        )
    if activation is None:
        return _bias.bias_add(input, bias, axis=axis)
    if activation in _bias.ACTIVATIONS:
        return _bias.bias_act(input, bias, axis=axis, activation=activation)
    if activation in _bias.GATED:
        return _bias.bias_gated(input, bias, axis=axis, activation=activation)
    known = ", ".join([repr(name) for name in (*_bias.ACTIVATIONS, *_bias.GATED)])
    raise ValueError(f"[bias_act] activation must be None, {known}, got {activation!r}")


__all__ = ["bias_act", "bilinear", "linear"]
