"""Activation functions."""

from __future__ import annotations

import warnings
from typing import Any

from ...autograd.primitive import BIND
from ...autograd.value import describe, device_under
from ...backend.dtypes import float32, float64, is_floating
from ...functions.activation import along
from ...functions.arguments import numpy_names, one_dim
from ...ops import activation as ops
from ...ops import random as rng
from ...ops import softmax as S
from ...ops.activation import sigmoid, tanh
from ...ops.elementwise import absolute, clip, less_equal, maximum, negative, where

_SELU = {"alpha": 1.6732632423543772, "scale": 1.0507009873554805}


def _out_of_place(op: str, inplace: bool) -> None:
    if inplace:
        raise NotImplementedError(f"[{op}] inplace=True is not supported; use the result")


def relu(input: Any, inplace: bool = False) -> Any:
    """max(x, 0)."""
    _out_of_place("relu", inplace)
    return ops.relu(input)


def gelu(input: Any, *, approximate: str = "none") -> Any:
    """x P(Z <= x) with a standard normal Z (Hendrycks and Gimpel, 2016); approximate="tanh" for its approximation."""
    return ops.gelu(input, approximate=approximate)


def relu6(input: Any, inplace: bool = False) -> Any:
    """min(max(x, 0), 6)."""
    _out_of_place("relu6", inplace)
    return ops.hardtanh(input, low=0, high=6)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """min(max(x, min_val), max_val)."""
    _out_of_place("hardtanh", inplace)
    if min_val > max_val:
        raise ValueError(f"[hardtanh] min_val {min_val} is larger than max_val {max_val}")
    return ops.hardtanh(input, low=min_val, high=max_val)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """x for x > 0, else negative_slope x."""
    _out_of_place("leaky_relu", inplace)
    return ops.leaky_relu(input, slope=float(negative_slope))


def prelu(input: Any, weight: Any) -> Any:
    """x for x > 0, else weight x, with one weight, or one for each channel (dimension 1)."""
    channels = input.shape[1] if input.ndim > 1 else 1
    if weight.ndim > 1 or (weight.shape or (1,))[0] not in (1, channels):
        raise ValueError(f"[prelu] weight must be one number or one per channel (input {describe(input)}, weight "
                         f"{describe(weight)})")  # fmt: skip
    if weight.ndim and input.ndim != 1:
        shape = (*weight.shape, *(1,) * (input.ndim - 2)) if input.ndim else ()
        weight = BIND.reshape(weight, shape=shape)
    rises = BIND.greater(input, 0)
    return where(rises, input, weight * where(rises, 0, input))


def rrelu(
    input: Any, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False, *,
    generator: Any = None,
) -> Any:  # fmt: skip
    """x for x > 0, else a x, with a uniform in [lower, upper) in training, and else their mean (Xu et al., 2015)."""
    _out_of_place("rrelu", inplace)
    if lower > upper:
        raise ValueError(f"[rrelu] lower {lower} is larger than upper {upper}")
    slope: Any = (lower + upper) / 2
    if training:
        if not is_floating(input.dtype):
            raise TypeError(f"[rrelu] needs floats, got {describe(input)}")
        device, shape = device_under(input), tuple(input.shape)
        u = rng.draw("rrelu", "random_uniform", shape, device, generator, dtype=float32)
        slope = BIND.astype(u * (upper - lower) + lower, dtype=input.dtype)
    return where(BIND.greater(input, 0), input, input * slope)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x for x > 0, else alpha (exp(x) - 1) (Clevert et al., 2015)."""
    _out_of_place("elu", inplace)
    return ops.elu(input, alpha=float(alpha))


def selu(input: Any, inplace: bool = False) -> Any:
    """elu with the two numbers that keep mean 0 and variance 1 (Klambauer et al., 2017)."""
    _out_of_place("selu", inplace)
    return ops.elu(input, **_SELU)


def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x for x > 0, else alpha (exp(x / alpha) - 1) (Barron, 2017)."""
    _out_of_place("celu", inplace)
    if not alpha:
        raise ValueError("[celu] alpha cannot be 0")
    return ops.elu(input, alpha=float(alpha), inner=1.0 / alpha)


def silu(input: Any, inplace: bool = False) -> Any:
    """x sigmoid(x) (Elfwing et al., 2017)."""
    _out_of_place("silu", inplace)
    return ops.silu(input)


def mish(input: Any, inplace: bool = False) -> Any:
    """x tanh(softplus(x)) (Misra, 2019)."""
    _out_of_place("mish", inplace)
    return ops.mish(input)


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """log(1 + exp(beta x)) / beta; x itself where beta x > threshold."""
    return ops.softplus(input, beta=float(beta), threshold=float(threshold))


def logsigmoid(input: Any) -> Any:
    """log(sigmoid(x)), without underflow."""
    return negative(ops.softplus(negative(input)))


def softsign(input: Any) -> Any:
    """x / (1 + |x|)."""
    return input / (absolute(input) + 1)


def hardsigmoid(input: Any, inplace: bool = False) -> Any:
    """min(max(x + 3, 0), 6) / 6."""
    _out_of_place("hardsigmoid", inplace)
    return ops.hardtanh(input + 3, low=0, high=6) / 6


def hardswish(input: Any, inplace: bool = False) -> Any:
    """x hardsigmoid(x) (Howard et al., 2019)."""
    _out_of_place("hardswish", inplace)
    return ops.hardswish(input)


def hardshrink(input: Any, lambd: float = 0.5) -> Any:
    """x where |x| > lambd, else 0."""
    return where(less_equal(absolute(input), lambd), 0, input)


def softshrink(input: Any, lambd: float = 0.5) -> Any:
    """x moved by lambd towards 0, and 0 where |x| <= lambd."""
    if lambd < 0:
        raise ValueError(f"[softshrink] lambd cannot be negative, got {lambd}")
    return input - clip(input, -lambd, lambd)


def tanhshrink(input: Any) -> Any:
    """x - tanh(x)."""
    return input - tanh(input)


def threshold(input: Any, threshold: float, value: float, inplace: bool = False) -> Any:
    """x where x > threshold, else value."""
    _out_of_place("threshold", inplace)
    return where(less_equal(input, threshold), value, input)


def glu(input: Any, dim: int = -1) -> Any:
    """a sigmoid(b), with a and b the halves of x along a dimension (Dauphin et al., 2016)."""
    axis = one_dim("glu", input, dim)
    size = input.shape[axis]
    if size % 2:
        raise ValueError(f"[glu] needs an even size along dim {dim} (x {tuple(input.shape)})")
    halves = [(*[slice(None)] * axis, part) for part in (slice(None, size // 2), slice(size // 2, None))]
    a, b = [input[half] for half in halves]
    return a * sigmoid(b)


# -- softmax -----------------------------------------------------------------------------------------------------------


def _implied(op: str, input: Any, dim: int | None) -> int:
    """PyTorch's dimension where none is given, with its warning."""
    if dim is not None:
        return dim
    chosen = 0 if input.ndim in (0, 1, 3) else 1
    warnings.warn(f"[{op}] no dim given; taking {chosen}. Name the dimension.", UserWarning, stacklevel=4)
    return chosen


@numpy_names
def softmax(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """exp(x) / sum(exp(x)) along a dimension; without one, along 0 of 0, 1 or 3 dimensions, else 1."""
    return along(S.softmax, input, _implied("softmax", input, dim), dtype)


@numpy_names
def softmin(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """softmax(-x)."""
    return along(S.softmax, negative(input), _implied("softmin", input, dim), dtype)


@numpy_names
def log_softmax(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """log(softmax(x)), without overflow."""
    return along(S.log_softmax, input, _implied("log_softmax", input, dim), dtype)


def gumbel_softmax(
    logits: Any, tau: float = 1.0, hard: bool = False, eps: float = 1e-10, dim: int = -1, *, generator: Any = None
) -> Any:
    """softmax((logits + Gumbel noise) / tau) (Jang et al., 2016).

    hard=True gives the one-hot vector of the largest, with the gradient of the soft one. `eps` does nothing.
    """
    if not is_floating(logits.dtype):
        raise TypeError(f"[gumbel_softmax] needs floats, got {describe(logits)}")
    device = device_under(logits)
    u = rng.draw("gumbel_softmax", "random_uniform", tuple(logits.shape), device, generator, dtype=float64)
    exponential = negative(BIND.log1p(negative(maximum(u, 2.0**-54))))
    noise = BIND.astype(negative(BIND.log(exponential)), dtype=logits.dtype)
    soft = along(S.softmax, (logits + noise) / tau, dim, None)
    if not hard:
        return soft
    axis = one_dim("gumbel_softmax", logits, dim)
    _, index = BIND.max(soft, axis=axis)
    one_hot = BIND.place(BIND.astype(BIND.ones_like(index), dtype=soft.dtype), index, axis=axis, n=soft.shape[axis])
    return one_hot - BIND.constant(soft) + soft


__all__ = [
    "celu", "elu", "gelu", "glu", "gumbel_softmax", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu",
    "log_softmax", "logsigmoid", "mish", "prelu", "relu", "relu6", "rrelu", "selu", "sigmoid", "silu", "softmax",
    "softmin", "softplus", "softshrink", "softsign", "tanh", "tanhshrink", "threshold",
]  # fmt: skip
