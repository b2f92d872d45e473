"""Normalisation as functions, with the names and signatures of torch.nn.functional."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..autograd.tape import MAIN
from ..autograd.value import TransformError, Value, backend_under, make, unwrap
from ..backend.kernels import Declined, run
from ..ops import norm as _norm


def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    activation: str | None = None,
) -> Any:
    """(x - mean) / sqrt(var + eps) * weight + bias per channel of x (N, C, ...); with activation="relu", max(that, 0).

    In training the statistics are the batch's, and the running ones move by `momentum` towards them (the variance
    without bias); else they are the running ones. The running statistics are updated from plain values, whatever
    transform is at work, except vmap, under which there is no one batch: TransformError.
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
    relu = activation == "relu"
    if not training and running_mean is not None and running_var is not None:
        return _norm.batch_norm_inference(input, running_mean, running_var, weight, bias, eps=eps, relu=relu)
    count = math.prod([input.shape[0], *input.shape[2:]])
    if training and count < 2:
        raise ValueError(f"[batch_norm] training needs more than one value per channel, got x {tuple(input.shape)}")
    if training and running_mean is not None and any([_mapped(v) for v in (input, weight, bias)]):
        raise TransformError(
            "[batch_norm] in training mode under vmap: running statistics have no meaning per example; call "
            "model.eval(), or map outside of the model"
        )
    y, mean, var = (_norm.batch_norm_relu if relu else _norm.batch_norm)(input, weight, bias, eps=eps)
    if training and running_mean is not None:
        _update(running_mean, running_var, mean, var, float(momentum), count / (count - 1))
    return y


def _mapped(value: Any) -> bool:
    while isinstance(value, Value):
        if value.level.hides_axis:
            return True
        value = value.inner
    return False


def _update(running_mean: Any, running_var: Any, mean: Any, var: Any, momentum: float, unbias: float) -> None:
    """running = (1 - momentum) running + momentum * batch, the variance times `unbias`, from plain values."""

    def write(held: tuple[Any, Any], batch: tuple[Any, Any]) -> None:
        done = run(backend_under(mean).kernels, "update_running", *held, *batch, momentum=momentum, unbias=unbias)
        if type(done) is Declined:
            for running, new, factor in zip(held, batch, (momentum, momentum * unbias), strict=True):
                running *= 1.0 - momentum
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
