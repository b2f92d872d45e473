"""Losses between numbers, and between distributions."""

from __future__ import annotations

import math
from typing import Any

from ...amp.autocast_mode import widened
from ...autograd.primitive import BIND
from ...autograd.value import unwrap
from ...backend.base import guarded
from ...backend.device import backend_of
from ...creation import ones_like
from ...functions import abs, exp, log, maximum, sign, sum, unsqueeze, where, xlogy
from ...ops import loss as _loss
from .activations import logsigmoid
from .reduced import check_reduction, check_shapes, reduced


def mse_loss(input: Any, target: Any, reduction: str = "mean", weight: Any = None) -> Any:
    """(x - target)^2, as a mean, a sum, or elementwise; with a weight per element the mean is a weighted one."""
    input, target = widened(input, target)
    check_shapes("mse_loss", x=input, target=target)
    d = input - target
    if weight is None:
        return reduced("mse_loss", d * d, reduction)
    check_shapes("mse_loss", x=input, weight=weight)
    loss = d * d * weight
    return sum(loss) / sum(weight) if reduction == "mean" else reduced("mse_loss", loss, reduction)


def l1_loss(input: Any, target: Any, reduction: str = "mean", weight: Any = None) -> Any:
    """|x - target|, as a mean, a sum, or elementwise; with a weight per element the mean is a weighted one."""
    input, target = widened(input, target)
    check_shapes("l1_loss", x=input, target=target)
    loss = abs(input - target)
    if weight is None:
        return reduced("l1_loss", loss, reduction)
    check_shapes("l1_loss", x=input, weight=weight)
    loss = loss * weight
    return sum(loss) / sum(weight) if reduction == "mean" else reduced("l1_loss", loss, reduction)


def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    """d^2 / (2 beta) where |d| < beta, else |d| - beta / 2, with d = x - target (Girshick, 2015)."""
    input, target = widened(input, target)
    if beta < 0:
        raise ValueError(f"[smooth_l1_loss] beta must not be negative, got {beta}")
    if beta == 0:
        return l1_loss(input, target, reduction)
    check_shapes("smooth_l1_loss", x=input, target=target)
    return reduced("smooth_l1_loss", _huber(input - target, beta) / beta, reduction)


def _huber(d: Any, delta: float) -> Any:
    """d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2), without squares of large numbers."""
    near = where(abs(d) < delta, d, sign(d) * delta)
    return near * (d - near * 0.5)


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None) -> Any:
    """d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2), with d = x - target (Huber, 1964); times `weight`."""
    input, target = widened(input, target)
    if delta <= 0:
        raise ValueError(f"[huber_loss] delta must be positive, got {delta}")
    check_shapes("huber_loss", x=input, target=target)
    loss = _huber(input - target, delta)
    if weight is not None:
        check_shapes("huber_loss", x=input, weight=weight)
        loss = loss * weight
    return reduced("huber_loss", loss, reduction)


def binary_cross_entropy(input: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Any:
    """-w (t log x + (1 - t) log(1 - x)) for probabilities x and targets t in [0, 1]; logarithms are at least -100.

    `weight` broadcasts to x. Raises ValueError for x or t outside [0, 1]; on a GPU, where a check would wait, such an x
    gives NaN instead. binary_cross_entropy_with_logits is the stabler choice.
    """
    input, target = widened(input, target)
    check_shapes("binary_cross_entropy", x=input, target=target)
    for name, raw in (("x", unwrap(input)), ("target", unwrap(target))):
        backend = backend_of(raw)
        if "softmax_cross_entropy" in backend.kernels:  # what the check of cross_entropy's classes goes by, too
            continue
        with guarded(backend):
            outside = bool(((raw < 0) | (raw > 1)).any())
        if outside:
            raise ValueError(
                f"[binary_cross_entropy] {name} must be probabilities, between 0 and 1; for logits there is "
                "binary_cross_entropy_with_logits"
            )
    loss = _loss.binary_cross_entropy(input, target)
    return reduced("binary_cross_entropy", loss if weight is None else loss * weight, reduction)


def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Any:
    """-w (p t log s + (1 - t) log(1 - s)) with s = sigmoid(x), for logits x, without overflow.

    weight w and pos_weight p (by which positive examples count more) broadcast to x.
    """
    input, target = widened(input, target)
    check_shapes("binary_cross_entropy_with_logits", x=input, target=target)
    positive = logsigmoid(input)
    if pos_weight is not None:
        positive = positive * (target * (pos_weight - 1.0) + 1.0)
    loss = (1.0 - target) * input - positive
    return reduced("binary_cross_entropy_with_logits", loss if weight is None else loss * weight, reduction)


def kl_div(input: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    """t (log t - x) for log-probabilities x and probabilities t (or their logarithms: log_target), 0 where t is 0.

    The divergence of distributions is reduction="batchmean", the sum over the first size; "mean" divides by all sizes.
    """
    input, target = widened(input, target)
    check_reduction("kl_div", reduction, "batchmean")
    loss = exp(target) * (target - input) if log_target else xlogy(target, target) - target * input
    if reduction == "batchmean":
        return sum(loss) / float(input.shape[0] if input.ndim else 1)
    return reduced("kl_div", loss, reduction)


def gaussian_nll_loss(
    input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Any:
    """(log v + (x - target)^2 / v) / 2 with the variance v at least eps; full adds log(2 pi) / 2.

    var has x's shape, or one size 1 instead, or lacks the last dimension, or is a number. Its gradient passes through
    the bound eps. Raises ValueError for a negative variance.
    """
    input, target = widened(input, target)
    if isinstance(var, (int, float)):
        var = ones_like(input) * var
    raw = unwrap(var)
    with guarded(backend_of(raw)):
        negative = bool((raw < 0).any())
    if negative:
        raise ValueError("[gaussian_nll_loss] var must not be negative")
    shape, wanted = tuple(var.shape), tuple(input.shape)
    if shape != wanted and shape == wanted[:-1]:
        var = unsqueeze(var, -1)
    elif shape != wanted:
        other = [n for n, m in zip(shape, wanted, strict=False) if n != m]
        if len(shape) != len(wanted) or other != [1]:
            raise ValueError(f"[gaussian_nll_loss] var {shape} fits neither x {wanted} nor one variance for each row")
    var = var + BIND.constant(maximum(var, eps) - var)
    d = input - target
    loss = (log(var) + d * d / var) * 0.5
    return reduced("gaussian_nll_loss", loss + 0.5 * math.log(2 * math.pi) if full else loss, reduction)


def poisson_nll_loss(
    input: Any, target: Any, log_input: bool = True, full: bool = False, *, eps: float = 1e-8, reduction: str = "mean"
) -> Any:
    """exp(x) - t x for the logarithm x of a rate, or x - t log(x + eps) for the rate itself (log_input=False).

    full adds Stirling's approximation of log t!, t log t - t + log(2 pi t) / 2 where t > 1.
    """
    input, target = widened(input, target)
    check_reduction("poisson_nll_loss", reduction)
    loss = exp(input) - target * input if log_input else input - target * log(input + eps)
    if full:
        large = target > 1
        t = where(large, target, 2.0)
        loss = loss + where(large, t * log(t) - t + 0.5 * log(t * (2 * math.pi)), 0.0)
    return reduced("poisson_nll_loss", loss, reduction)


__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "gaussian_nll_loss", "huber_loss", "kl_div", "l1_loss",
    "mse_loss", "poisson_nll_loss", "smooth_l1_loss",
]  # fmt: skip
