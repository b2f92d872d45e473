"""Normalisation as functions, with the names and signatures of torch.nn.functional."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral
from typing import Any

from numpy import finfo

from ...autograd.tape import MAIN
from ...autograd.value import TransformError, Value, backend_under, is_mapped, make, unwrap
from ...backend.dtypes import float32, get_default_dtype, is_floating, is_half
from ...backend.kernels import Declined, run
from ...functions import mean
from ...ops import norm as _norm
from ...ops.elementwise import add, astype, multiply, sqrt
from ...ops.shape import reshape
from .pooling import avg_pool2d


def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: Any = 0.1,
    eps: float = 1e-5,
    *,
    activation: str | None = None,
) -> Any:
    """(x - mean) / sqrt(var + eps) * weight + bias per channel of x (N, C, ...); with activation="relu", max(that, 0).

    In training the statistics are the batch's, and the running ones, if given, move towards them (the variance without
    bias) by `momentum`, a number or a 0-d tensor; else they are the running ones. These are updated from plain values,
    whatever transform is at work, except vmap, under which there is no one batch: TransformError.
    """
    if input.ndim < 2:
        raise ValueError(f"[batch_norm] expected x (N, C, ...), got {tuple(input.shape)}")
    if activation not in (None, "relu"):
        raise ValueError(f"[batch_norm] activation must be None or 'relu', got {activation!r}")
    tracked = _check_channels("batch_norm", input, running_mean, running_var, weight, bias)
    relu = activation == "relu"
    if not training:
        if not tracked:
            raise ValueError("[batch_norm] running_mean and running_var must be given where training=False")
        return _norm.batch_norm_inference(input, running_mean, running_var, weight, bias, eps=eps, relu=relu)
    count = math.prod([input.shape[0], *input.shape[2:]])
    if count == 1:
        raise ValueError(f"[batch_norm] training needs more than one value per channel, got x {tuple(input.shape)}")
    if tracked:
        _refuse_mapped("batch_norm", input, weight, bias)
    y, mean, var = (_norm.batch_norm_relu if relu else _norm.batch_norm)(input, weight, bias, eps=eps)
    if tracked and count:
        _update(running_mean, running_var, mean, var, momentum, count / (count - 1))
    return y


def _check_channels(op: str, x: Any, running_mean: Any, running_var: Any, weight: Any, bias: Any) -> bool:
    """Whether there are running statistics. ValueError where something has not one number per channel."""
    c = x.shape[1]
    held = {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias}
    for name, value in held.items():
        if value is not None and tuple(value.shape) != (c,):
            raise ValueError(f"[{op}] x has {c} channels but {name} is {tuple(value.shape)} (x {tuple(x.shape)})")
    if (running_mean is None) != (running_var is None):
        raise ValueError(f"[{op}] give both running_mean and running_var, or neither")
    return running_mean is not None


def _refuse_mapped(op: str, *values: Any) -> None:
    if any([is_mapped(v) for v in values]):
        raise TransformError(
            f"[{op}] in training mode under vmap: running statistics have no meaning per example; call "
            "model.eval(), or map outside of the model"
        )


def _update(running_mean: Any, running_var: Any, mean: Any, var: Any, momentum: Any, unbias: float) -> None:
    """running = (1 - momentum) running + momentum * batch, the variance times `unbias`, from plain values."""
    rate, given = (unwrap(momentum), 0.0) if isinstance(momentum, Value) else (None, float(momentum))

    def write(held: tuple[Any, Any], batch: tuple[Any, Any]) -> None:
        kernels = backend_under(mean).kernels
        done = run(kernels, "update_running", *held, *batch, rate, momentum=given, unbias=unbias)
        if type(done) is Declined:
            share = given if rate is None else float(rate)
            for running, new, factor in zip(held, batch, (share, share * unbias), strict=True):
                running *= 1.0 - share
                running += (new.astype(running.dtype, copy=False) * factor).astype(running.dtype, copy=False)

    def write_mean(a: Any, m: Any) -> None:
        running_var.detach()._change("batch_norm", plain_var, lambda b, v: write((a, b), (m, v)))

    plain_mean, plain_var = make(unwrap(mean), MAIN), make(unwrap(var), MAIN)
    running_mean.detach()._change("batch_norm", plain_mean, write_mean)


def layer_norm(
    input: Any, normalized_shape: int | Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """(x - mean) / sqrt(var + eps) * weight + bias over the last axes of x (..., *normalized_shape).

    weight and bias are of normalized_shape, or None. Raises ValueError where x does not end in it.
    """
    dims = _check_shape("layer_norm", input, normalized_shape, weight=weight, bias=bias)
    return _norm.layer_norm(input, weight, bias, dims=dims, eps=eps)


def shape_of(normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    """A shape from what users give: a size, or several."""
    return (int(normalized_shape),) if isinstance(normalized_shape, (int, Integral)) else tuple(normalized_shape)


def _check_shape(op: str, x: Any, normalized_shape: int | Sequence[int], **parameters: Any) -> int:
    """The number of dimensions in normalized_shape. ValueError where x does not end in it or a parameter differs."""
    shape = shape_of(normalized_shape)
    if not shape or tuple(x.shape[-len(shape) :]) != shape or len(shape) > x.ndim:
        raise ValueError(f"[{op}] normalized_shape {shape} is not what x {tuple(x.shape)} ends in")
    for name, value in parameters.items():
        if value is not None and tuple(value.shape) != shape:
            raise ValueError(f"[{op}] {name} is {tuple(value.shape)}, expected normalized_shape {shape}")
    return len(shape)


def rms_norm(input: Any, normalized_shape: int | Sequence[int], weight: Any = None, eps: float | None = None) -> Any:
    """x / sqrt(mean(x^2) + eps) * weight over the last axes of x (..., *normalized_shape), in float32 or wider; the
    result has the dtype of x.

    eps is by default the distance of 1 to the next number of the dtype computed in (Zhang and Sennrich, 2019).
    """
    dims = _check_shape("rms_norm", input, normalized_shape, weight=weight)
    z = _widened(input)
    eps = float(finfo(z.dtype).eps) if eps is None else eps
    y = z / sqrt(mean(z * z, tuple(range(-dims, 0)), keepdim=True) + eps)
    y = y if weight is None else y * _widened(weight)
    return astype(y, dtype=input.dtype) if is_floating(input.dtype) and y.dtype != input.dtype else y


def _widened(x: Any) -> Any:
    """x with 16-bit floats in float32, and integers in the default float."""
    if not is_floating(x.dtype):
        return astype(x, dtype=get_default_dtype())
    return astype(x, dtype=float32) if is_half(x.dtype) else x


def _narrowed(y: Any, x: Any) -> Any:
    """What was computed from `_widened(x)` in the dtype of x, where that is one of 16-bit floats."""
    return astype(y, dtype=x.dtype) if is_half(x.dtype) else y


def _rows(x: Any, rows: int, weight: Any, bias: Any, eps: float) -> Any:
    """x (N, C, ...) normalised by runs of its memory, `rows` in all; then times weight (C,) plus bias (C,)."""
    flat = reshape(x, shape=(rows, math.prod(x.shape) // max(rows, 1)))
    if weight is None and bias is None:
        return reshape(_norm.layer_norm(flat, None, None, dims=1, eps=eps), shape=x.shape)
    y = _norm.layer_norm(_widened(flat), None, None, dims=1, eps=eps)
    return _narrowed(_affine(reshape(y, shape=x.shape), weight, bias), x)


def _affine(y: Any, weight: Any, bias: Any) -> Any:
    """y (N, C, ...) times weight (C,) plus bias (C,), each of which may be None."""
    ones = (1,) * (y.ndim - 2)
    for value, apply in ((weight, multiply), (bias, add)):
        if value is not None:
            y = apply(y, reshape(_widened(value), shape=(value.shape[0], *ones)))
    return y


def group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """(x - mean) / sqrt(var + eps) * weight + bias, by groups of the channels of x (N, C, ...) in each example.

    weight and bias are (C,), or None. Raises ValueError where C is no multiple of num_groups (Wu and He, 2018).
    """
    if input.ndim < 2:
        raise ValueError(f"[group_norm] expected x (N, C, ...), got {tuple(input.shape)}")
    _check_channels("group_norm", input, None, None, weight, bias)
    n, c = input.shape[:2]
    if num_groups < 1 or c % num_groups:
        raise ValueError(f"[group_norm] {c} channels cannot be split into {num_groups} groups (x {tuple(input.shape)})")
    if n * (c // num_groups) * math.prod(input.shape[2:]) == 1:
        raise ValueError(f"[group_norm] needs more than one value per channel, got x {tuple(input.shape)}")
    return _rows(input, n * num_groups, weight, bias, eps)


def instance_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """(x - mean) / sqrt(var + eps) * weight + bias, by channels of x (N, C, ...) in each example.

    With use_input_stats the statistics are x's own, and running ones (C,), if given, move by `momentum` towards their
    averages over the examples; else they are the running ones (Ulyanov, Vedaldi and Lempitsky, 2016).
    """
    if input.ndim < 2:
        raise ValueError(f"[instance_norm] expected x (N, C, ...), got {tuple(input.shape)}")
    tracked = _check_channels("instance_norm", input, running_mean, running_var, weight, bias)
    if not use_input_stats:
        if not tracked:
            raise ValueError("[instance_norm] running_mean and running_var must be given where use_input_stats=False")
        return _norm.batch_norm_inference(input, running_mean, running_var, weight, bias, eps=eps)
    n, c = input.shape[:2]
    count = math.prod(input.shape[2:])
    if count == 1:
        raise ValueError(
            f"[instance_norm] needs more than one value per channel and example, got x {tuple(input.shape)}"
        )
    if not tracked or not n * count:
        return _rows(input, n * c, weight, bias, eps)
    _refuse_mapped("instance_norm", input, weight, bias)
    y, means, variances = _norm.batch_norm(reshape(_widened(input), shape=(1, n * c, count)), None, None, eps=eps)
    means, variances = [mean(reshape(v, shape=(n, c)), 0) for v in (means, variances)]
    _update(running_mean, running_var, means, variances, momentum, count / (count - 1))
    return _narrowed(_affine(reshape(y, shape=input.shape), weight, bias), input)


def local_response_norm(input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Any:
    """x / (k + alpha mean(x^2))^beta of x (N, C, L, ...), the mean over `size` channels around each, as if the tensor
    went on in zeros (Krizhevsky et al., 2012). Of an even number of channels one more is before than after."""
    if input.ndim < 3:
        raise ValueError(f"[local_response_norm] expected x (N, C, L, ...), got {tuple(input.shape)}")
    if size < 1:
        raise ValueError(f"[local_response_norm] size must be positive, got {size}")
    if not math.prod(input.shape):
        return input
    (n, c), z = input.shape[:2], _widened(input)
    squares = reshape(z * z, shape=(n, 1, c, math.prod(input.shape[2:])))
    means = avg_pool2d(squares, (size, 1), stride=1, padding=(size // 2, 0))[:, :, :c]
    return _narrowed(z / (reshape(means, shape=input.shape) * alpha + k) ** beta, input)


__all__ = ["batch_norm", "group_norm", "instance_norm", "layer_norm", "local_response_norm", "rms_norm"]
