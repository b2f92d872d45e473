"""Layers as functions, with the names and signatures of torch.nn.functional."""

from __future__ import annotations

import math
from typing import Any

from ..autograd.tape import MAIN
from ..autograd.value import TransformError, Value, backend_under, make, unwrap
from ..functions import log_softmax, matmul, reshape, softmax, unsqueeze
from ..ops import conv as _conv
from ..ops import elementwise as E
from ..ops import norm as _norm
from ..ops import pool as _pool
from ..ops import random as _random
from ..ops.elementwise import relu, sigmoid, tanh
from ..ops.index import scatter_add
from ..ops.shape import transpose
from .loss import cross_entropy, mse_loss

Size = int | tuple[int, int]


def pair(op: str, name: str, value: Any) -> tuple[int, int]:
    """An argument that is one integer or two."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value, value
    if isinstance(value, (tuple, list)) and len(value) in (1, 2) and all(isinstance(v, int) for v in value):
        return value[0], value[-1]
    raise TypeError(f"[{op}] {name} must be an integer or two, got {value!r}")


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """y = x W^T + b: x (..., in), weight (out, in), bias (out,) -> (..., out)."""
    if weight.ndim != 2 or input.ndim == 0 or input.shape[-1] != weight.shape[1]:
        raise ValueError(
            f"[linear] x has {input.shape[-1] if input.ndim else 'no'} features but weight expects "
            f"{weight.shape[-1] if weight.ndim else '?'} (x {tuple(input.shape)}, weight {tuple(weight.shape)})"
        )
    y = matmul(input, transpose(weight, axes=(1, 0)))
    return y if bias is None else y + bias


def conv2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Size = 1,
    padding: Any = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Any:
    """2-D convolution (cross-correlation): x (N, C, H, W) or (C, H, W), weight (K, C / groups, R, S), bias (K,).

    padding is an integer, two, 'valid', or 'same' (stride 1: the output has x's size). Raises ValueError where sizes
    do not fit.
    """
    if input.ndim == 3:
        return conv2d(unsqueeze(input, 0), weight, bias, stride, padding, dilation, groups)[0]
    step, dil = pair("conv2d", "stride", stride), pair("conv2d", "dilation", dilation)
    shown = f"(x {tuple(input.shape)}, weight {tuple(weight.shape)})"
    if input.ndim != 4 or weight.ndim != 4:
        raise ValueError(f"[conv2d] expected x (N, C, H, W) or (C, H, W) and weight (K, C / groups, R, S) {shown}")
    if min(step) < 1 or min(dil) < 1 or groups < 1:
        raise ValueError(f"[conv2d] stride {stride}, dilation {dilation} and groups {groups} must be positive")
    if input.shape[1] != weight.shape[1] * groups:
        of = f" in each of {groups} groups" if groups > 1 else ""
        raise ValueError(f"[conv2d] x has {input.shape[1]} channels but weight expects {weight.shape[1]}{of} {shown}")
    if weight.shape[0] % groups:
        raise ValueError(f"[conv2d] {weight.shape[0]} output channels do not divide into {groups} groups {shown}")
    if bias is not None and tuple(bias.shape) != (weight.shape[0],):
        raise ValueError(f"[conv2d] bias has shape {tuple(bias.shape)}, expected ({weight.shape[0]},) {shown}")
    kernel = tuple(weight.shape[2:])
    if isinstance(padding, str):
        input, pad = _named_padding(input, padding, kernel, step, dil)
    else:
        pad = pair("conv2d", "padding", padding)
        if min(pad) < 0:
            raise ValueError(f"[conv2d] padding must not be negative, got {padding}")
    if min(kernel) < 1 or min(_conv.out_size(tuple(input.shape[2:]), kernel, step, pad, dil)) < 1:
        raise ValueError(f"[conv2d] a {kernel} kernel with dilation {dil} does not fit x padded by {pad} {shown}")
    return _conv.conv2d(input, weight, bias, stride=step, padding=pad, dilation=dil, groups=groups)


def _named_padding(x: Any, padding: str, kernel: Any, stride: Any, dilation: Any) -> tuple[Any, tuple[int, int]]:
    if padding == "valid":
        return x, (0, 0)
    if padding != "same":
        raise ValueError(f"[conv2d] padding must be an integer, two, 'valid' or 'same', got {padding!r}")
    if stride != (1, 1):
        raise ValueError("[conv2d] padding='same' needs stride 1")
    total = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    if all(t % 2 == 0 for t in total):
        return x, (total[0] // 2, total[1] // 2)
    n, c, h, w = x.shape  # an odd total: one more on the right and at the bottom
    top, left = total[0] // 2, total[1] // 2
    spec = ((None, None, None), (None, None, None), (top, top + h, None), (left, left + w, None))
    return scatter_add(x, spec=spec, shape=(n, c, h + total[0], w + total[1])), (0, 0)


def max_pool2d(
    input: Any,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window of x (N, C, H, W) or (C, H, W); stride defaults to the window's size."""
    if return_indices:
        raise NotImplementedError("[max_pool2d] return_indices is not supported")
    if input.ndim == 3:
        return max_pool2d(unsqueeze(input, 0), kernel_size, stride, padding, dilation, ceil_mode)[0]
    kernel = pair("max_pool2d", "kernel_size", kernel_size)
    step = kernel if stride is None else pair("max_pool2d", "stride", stride)
    pad, dil = pair("max_pool2d", "padding", padding), pair("max_pool2d", "dilation", dilation)
    if input.ndim != 4:
        raise ValueError(f"[max_pool2d] expected x (N, C, H, W) or (C, H, W), got {tuple(input.shape)}")
    if min(kernel) < 1 or min(step) < 1 or min(dil) < 1 or min(pad) < 0:
        raise ValueError(
            f"[max_pool2d] kernel {kernel}, stride {step} and dilation {dil} must be positive, padding {pad} not "
            "negative"
        )
    if any(p > k // 2 for p, k in zip(pad, kernel, strict=True)):
        raise ValueError(f"[max_pool2d] padding {pad} is more than half of the kernel {kernel}")
    sizes = []
    for n, k, s, p, d in zip(input.shape[2:], kernel, step, pad, dil, strict=True):
        room = n + 2 * p - d * (k - 1) - 1
        count = (-(-room // s) if ceil_mode else room // s) + 1
        if ceil_mode and (count - 1) * s >= n + p:  # the last window must start inside the image or its left padding
            count -= 1
        sizes.append(count)
    if min(sizes) < 1:
        raise ValueError(
            f"[max_pool2d] a {kernel} window with dilation {dil} does not fit x {tuple(input.shape)} padded by {pad}"
        )
    y, _ = _pool.max_pool2d(input, kernel=kernel, stride=step, padding=pad, dilation=dil, out=(sizes[0], sizes[1]))
    return y


def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """(x - mean) / sqrt(var + eps) * weight + bias per channel of x (N, C, ...).

    In training the statistics are the batch's, and the running ones move by `momentum` towards them (the variance
    without bias); else they are the running ones. The running statistics are updated from plain values, whatever
    transform is at work, except vmap, under which there is no one batch: TransformError.
    """
    if input.ndim < 2:
        raise ValueError(f"[batch_norm] expected x (N, C, ...), got {tuple(input.shape)}")
    c = input.shape[1]
    for name, value in (
        ("running_mean", running_mean),
        ("running_var", running_var),
        ("weight", weight),
        ("bias", bias),
    ):
        if value is not None and tuple(value.shape) != (c,):
            raise ValueError(
                f"[batch_norm] x has {c} channels but {name} is {tuple(value.shape)} (x {tuple(input.shape)})"
            )
    if not training and running_mean is not None and running_var is not None:
        shape = (1, c, *(1,) * (input.ndim - 2))
        scale = E.power(running_var + eps, -0.5)
        if weight is not None:
            scale = scale * weight
        shift = -(running_mean * scale) if bias is None else bias - running_mean * scale
        return input * reshape(scale, shape) + reshape(shift, shape)
    count = math.prod([input.shape[0], *input.shape[2:]])
    if training and count < 2:
        raise ValueError(f"[batch_norm] training needs more than one value per channel, got x {tuple(input.shape)}")
    if training and running_mean is not None and any([_mapped(v) for v in (input, weight, bias)]):
        raise TransformError(
            "[batch_norm] in training mode under vmap: running statistics have no meaning per example; call "
            "model.eval(), or map outside of the model"
        )
    y, mean, var = _norm.batch_norm(input, weight, bias, eps=eps)
    if training and running_mean is not None:
        _update(running_mean, mean, momentum, 1.0)
        _update(running_var, var, momentum, count / (count - 1))
    return y


def _mapped(value: Any) -> bool:
    while isinstance(value, Value):
        if value.level.hides_axis:
            return True
        value = value.inner
    return False


def _update(running: Any, batch: Any, momentum: float, factor: float) -> None:
    """running = (1 - momentum) running + momentum * factor * batch, from plain values."""
    plain = running.detach()
    plain.mul_(1.0 - momentum)
    plain.add_(E.astype(make(unwrap(batch), MAIN), dtype=plain.dtype), alpha=momentum * factor)


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Any = None) -> Any:
    """In training, zero with probability p, else x / (1 - p) (Srivastava et al., 2014); x itself otherwise."""
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"[dropout] p must be a probability, got {p}")
    if inplace:
        raise NotImplementedError("[dropout] inplace=True is not supported")
    if not training or p == 0.0:
        return input
    device = backend_under(input).device
    chance = _random.draw("dropout", _random.uniform, int, tuple(input.shape), "f4", device, generator)
    mask = E.greater_equal(chance, float(p))
    return _random.mask_scale(input, mask, scale=1.0 / (1.0 - p) if p < 1.0 else 0.0)


__all__ = [
    "batch_norm",
    "conv2d",
    "cross_entropy",
    "dropout",
    "linear",
    "log_softmax",
    "max_pool2d",
    "mse_loss",
    "relu",
    "sigmoid",
    "softmax",
    "tanh",
]
