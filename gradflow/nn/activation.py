"""Activations as layers, with the constructor arguments of torch.nn. `inplace=True` is accepted, and computed out of
place."""

from __future__ import annotations

from typing import Any

from ..creation import full
from ..functions import gelu, relu, silu
from . import functional as F
from .module import Module, Parameter


class _Activation(Module):
    """Keeps what its constructor is given; shows that, and `inplace` where it is true."""

    shown: tuple[str, ...] = ()

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def extra_repr(self) -> str:
        parts = [f"{name}={getattr(self, name)!r}" for name in self.shown]
        return ", ".join([*parts, "inplace=True"] if self.inplace else parts)


class ReLU(_Activation):
    """max(x, 0)."""

    def forward(self, x: Any) -> Any:
        return relu(x)


class ReLU6(_Activation):
    """min(max(x, 0), 6)."""

    def forward(self, x: Any) -> Any:
        return F.relu6(x)


class Sigmoid(Module):
    """1 / (1 + exp(-x))."""

    def forward(self, x: Any) -> Any:
        return F.sigmoid(x)


class Tanh(Module):
    """Hyperbolic tangent."""

    def forward(self, x: Any) -> Any:
        return F.tanh(x)


class GELU(_Activation):
    """x P(Z <= x) with a standard normal Z; approximate="tanh" for its approximation."""

    shown = ("approximate",)

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, x: Any) -> Any:
        return gelu(x, approximate=self.approximate)


class SiLU(_Activation):
    """x / (1 + exp(-x))."""

    def forward(self, x: Any) -> Any:
        return silu(x)


class Mish(_Activation):
    """x tanh(softplus(x))."""

    def forward(self, x: Any) -> Any:
        return F.mish(x)


class LeakyReLU(_Activation):
    """x for x > 0, else negative_slope x."""

    shown = ("negative_slope",)

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.negative_slope = negative_slope

    def forward(self, x: Any) -> Any:
        return F.leaky_relu(x, self.negative_slope)


class PReLU(_Activation):
    """x for x > 0, else weight x, with one weight to be learnt, or one for each channel."""

    shown = ("num_parameters",)

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(full((num_parameters,), float(init), device=device, dtype=dtype))

    def reset_parameters(self) -> None:
        """Set all weights to `init`."""
        self.weight.data.fill_(float(self.init))

    def forward(self, x: Any) -> Any:
        return F.prelu(x, self.weight)


class RReLU(_Activation):
    """x for x > 0, else a x, with a random in training."""

    shown = ("lower", "upper")

    def __init__(self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.lower, self.upper = lower, upper

    def forward(self, x: Any) -> Any:
        return F.rrelu(x, self.lower, self.upper, self.training)


class ELU(_Activation):
    """x for x > 0, else alpha (exp(x) - 1)."""

    shown = ("alpha",)

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.alpha = alpha

    def forward(self, x: Any) -> Any:
        return F.elu(x, self.alpha)


class CELU(ELU):
    """x for x > 0, else alpha (exp(x / alpha) - 1)."""

    def forward(self, x: Any) -> Any:
        return F.celu(x, self.alpha)


class SELU(_Activation):
    """elu with the two numbers that keep mean 0 and variance 1."""

    def forward(self, x: Any) -> Any:
        return F.selu(x)


class Softplus(_Activation):
    """log(1 + exp(beta x)) / beta; x itself where beta x > threshold."""

    shown = ("beta", "threshold")

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta, self.threshold = beta, threshold

    def forward(self, x: Any) -> Any:
        return F.softplus(x, self.beta, self.threshold)


class LogSigmoid(Module):
    """log(sigmoid(x))."""

    def forward(self, x: Any) -> Any:
        return F.logsigmoid(x)


class Softsign(Module):
    """x / (1 + |x|)."""

    def forward(self, x: Any) -> Any:
        return F.softsign(x)


class Hardtanh(_Activation):
    """min(max(x, min_val), max_val)."""

    shown = ("min_val", "max_val")

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        if min_val >= max_val:
            raise ValueError(f"[Hardtanh] min_val {min_val} must be smaller than max_val {max_val}")
        self.min_val, self.max_val = min_val, max_val

    def forward(self, x: Any) -> Any:
        return F.hardtanh(x, self.min_val, self.max_val)


class Hardsigmoid(_Activation):
    """min(max(x + 3, 0), 6) / 6."""

    def forward(self, x: Any) -> Any:
        return F.hardsigmoid(x)


class Hardswish(_Activation):
    """x hardsigmoid(x)."""

    def forward(self, x: Any) -> Any:
        return F.hardswish(x)


class _Shrink(Module):
    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def extra_repr(self) -> str:
        return str(self.lambd)


class Hardshrink(_Shrink):
    """x where |x| > lambd, else 0."""

    def forward(self, x: Any) -> Any:
        return F.hardshrink(x, self.lambd)


class Softshrink(_Shrink):
    """x moved by lambd towards 0, and 0 where |x| <= lambd."""

    def forward(self, x: Any) -> Any:
        return F.softshrink(x, self.lambd)


class Tanhshrink(Module):
    """x - tanh(x)."""

    def forward(self, x: Any) -> Any:
        return F.tanhshrink(x)


class Threshold(_Activation):
    """x where x > threshold, else value."""

    shown = ("threshold", "value")

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.threshold, self.value = threshold, value

    def forward(self, x: Any) -> Any:
        return F.threshold(x, self.threshold, self.value)


class GLU(_Activation):
    """a sigmoid(b), with a and b the halves of x along a dimension."""

    shown = ("dim",)

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Any) -> Any:
        return F.glu(x, self.dim)


class Softmax(_Activation):
    """exp(x) / sum(exp(x)) along a dimension."""

    shown = ("dim",)

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Any) -> Any:
        return F.softmax(x, self.dim)


class Softmin(Softmax):
    """softmax(-x)."""

    def forward(self, x: Any) -> Any:
        return F.softmin(x, self.dim)


class LogSoftmax(Softmax):
    """log(softmax(x))."""

    def forward(self, x: Any) -> Any:
        return F.log_softmax(x, self.dim)


class Softmax2d(Module):
    """softmax over the channels of images (N, C, H, W) or (C, H, W)."""

    def forward(self, x: Any) -> Any:
        if x.ndim not in (3, 4):
            raise ValueError(f"[Softmax2d] needs images (N, C, H, W) or (C, H, W), got {tuple(x.shape)}")
        return F.softmax(x, -3)


__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "PReLU",
    "RReLU",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
]  # fmt: skip
