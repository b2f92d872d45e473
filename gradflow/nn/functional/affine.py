"""Linear maps, and a bias with its activation."""

from __future__ import annotations

from typing import Any

from ...autograd.value import backend_under
from ...functions.arguments import one_dim
from ...functions.linalg import matmul
from ...ops import bias as _bias
from ...ops.shape import transpose


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """y = x W^T + b: x (..., in), weight (out, in), bias (out,) -> (..., out)."""
    if weight.ndim != 2 or input.ndim == 0 or input.shape[-1] != weight.shape[1]:
        raise ValueError(
            f"[linear] x has {input.shape[-1] if input.ndim else 'no'} features but weight expects "
            f"{weight.shape[-1] if weight.ndim else '?'} (x {tuple(input.shape)}, weight {tuple(weight.shape)})"
        )
    y = matmul(input, transpose(weight, axes=(1, 0)))
    if bias is None:
        return y
    if "bias_add" in backend_under(y).kernels and bias.shape == y.shape[-1:]:
        return _bias.bias_add(y, bias, axis=y.ndim - 1)
    return y + bias


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


__all__ = ["bias_act", "linear"]
