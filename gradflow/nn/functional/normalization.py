"""Normalisation as functions, with the names and signatures of torch.nn.functional."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ...autograd.tape import MAIN
from ...autograd.value import TransformError, Value, backend_under, is_mapped, make, unwrap
from ...backend.kernels import Declined, run
from ...ops import norm as _norm


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
    tracked = running_mean is not None
    if tracked != (running_var is not None):
        raise ValueError("[batch_norm] give both running_mean and running_var, or neither")
    relu = activation == "relu"
    if not training:
        if not tracked:
            raise ValueError("[batch_norm] running_mean and running_var must be given where training=False")
        return _norm.batch_norm_inference(input, running_mean, running_var, weight, bias, eps=eps, relu=relu)
    count = math.prod([input.shape[0], *input.shape[2:]])
    if count == 1:
        raise ValueError(f"[batch_norm] training needs more than one value per channel, got x {tuple(input.shape)}")
    if tracked and any([is_mapped(v) for v in (input, weight, bias)]):
        raise TransformError(
            "[batch_norm] in training mode under vmap: running statistics have no meaning per example; call "
            "model.eval(), or map outside of the model"
        )
    y, mean, var = (_norm.batch_norm_relu if relu else _norm.batch_norm)(input, weight, bias, eps=eps)
    if tracked and count:
        _update(running_mean, running_var, mean, var, momentum, count / (count - 1))
    return y


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
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape or tuple(input.shape[-len(shape) :]) != shape or len(shape) > input.ndim:
        raise ValueError(f"[layer_norm] normalized_shape {shape} is not what x {tuple(input.shape)} ends in")
    for name, value in (("weight", weight), ("bias", bias)):
        if value is not None and tuple(value.shape) != shape:
            raise ValueError(f"[layer_norm] {name} is {tuple(value.shape)}, expected normalized_shape {shape}")
    return _norm.layer_norm(input, weight, bias, dims=len(shape), eps=eps)


__all__ = ["batch_norm", "layer_norm"]
