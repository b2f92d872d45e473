"""Batch normalisation in evaluation mode, drawn into the layer before it."""

from __future__ import annotations

import copy
from typing import Any

from ...autograd.grad_mode import no_grad
from ...functions import rsqrt
from ..parameter import Parameter


def _scale(bn_weight: Any, bn_rv: Any, eps: float) -> Any:
    return (1.0 if bn_weight is None else bn_weight) * rsqrt(bn_rv + eps)


def fuse_conv_bn_weights(
    conv_w: Any, conv_b: Any, bn_rm: Any, bn_rv: Any, bn_eps: float, bn_w: Any, bn_b: Any, transpose: bool = False
) -> tuple[Parameter, Parameter]:
    """The weight and bias of the one convolution that does what a convolution and a batch norm do."""
    with no_grad():
        scale = _scale(bn_w, bn_rv, bn_eps)
        shape = [1] * conv_w.ndim
        shape[1 if transpose else 0] = -1
        weight = (conv_w * scale.reshape(shape)).to(conv_w.dtype)
        bias = ((0.0 if conv_b is None else conv_b) - bn_rm) * scale + (0.0 if bn_b is None else bn_b)
    bias_grad = conv_b is not None and conv_b.requires_grad
    kind = conv_w.dtype if conv_b is None else conv_b.dtype
    return Parameter(weight, conv_w.requires_grad), Parameter(bias.detach().to(kind), bias_grad)


def _fused(op: str, layer: Any, bn: Any, transpose: bool) -> Any:
    if layer.training or bn.training:
        raise ValueError(f"[{op}] fuses for evaluation only; call eval() on both first")
    if bn.running_mean is None or bn.running_var is None:
        raise ValueError(f"[{op}] the batch norm has no running statistics")
    fused = copy.deepcopy(layer)
    weight, bias = fuse_conv_bn_weights(
        fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias, transpose
    )
    fused.weight, fused.bias = weight, bias
    return fused


def fuse_conv_bn_eval(conv: Any, bn: Any, transpose: bool = False) -> Any:
    """A copy of a convolution that does what conv and then bn do, in evaluation mode. transpose: conv is a transposed
    one."""
    return _fused("fuse_conv_bn_eval", conv, bn, transpose)


def fuse_linear_bn_weights(
    linear_w: Any, linear_b: Any, bn_rm: Any, bn_rv: Any, bn_eps: float, bn_w: Any, bn_b: Any
) -> tuple[Parameter, Parameter]:
    """The weight and bias of the one linear layer that does what a linear layer and a batch norm do."""
    return fuse_conv_bn_weights(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b)


def fuse_linear_bn_eval(linear: Any, bn: Any) -> Any:
    """A copy of a linear layer that does what linear and then bn do, in evaluation mode."""
    if bn.num_features not in (linear.out_features, 1):
        raise ValueError(
            f"[fuse_linear_bn_eval] linear has {linear.out_features} features, the batch norm {bn.num_features}"
        )
    return _fused("fuse_linear_bn_eval", linear, bn, False)


fuse_conv_bn = fuse_conv_bn_eval

__all__ = ["fuse_conv_bn", "fuse_conv_bn_eval", "fuse_conv_bn_weights", "fuse_linear_bn_eval", "fuse_linear_bn_weights"]
