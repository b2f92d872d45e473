"""What parameters start from: functions that fill a tensor in place, outside of any graph, and return it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd.grad_mode import no_grad
from ..autograd.value import backend_under
from ..creation import rand, randn
from ..creation.random import Generator
from ..functions import erfinv
from ..tensor import Tensor

_GAINS = {"sigmoid": 1.0, "tanh": 5.0 / 3.0, "relu": math.sqrt(2.0), "selu": 0.75, "linear": 1.0}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which a nonlinearity's input should be scaled: 5/3 for "tanh", sqrt(2) for "relu", and so on;
    "leaky_relu" takes the negative slope (0.01)."""
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ValueError(f"[calculate_gain] the negative slope must be a number, got {param!r}")
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity.startswith("conv"):
        return 1.0
    if nonlinearity not in _GAINS:
        raise ValueError(f"[calculate_gain] no gain is known for {nonlinearity!r}, only for {', '.join(_GAINS)}")
    return _GAINS[nonlinearity]


def _fans(op: str, tensor: Tensor) -> tuple[int, int]:
    """How many inputs and outputs a weight (out, in, *kernel) connects."""
    if tensor.ndim < 2:
        raise ValueError(f"[{op}] fan in and fan out need two dimensions, got {tuple(tensor.shape)}")
    receptive = math.prod(tensor.shape[2:])
    return tensor.shape[1] * receptive, tensor.shape[0] * receptive


def _put(tensor: Tensor, values: Any) -> Tensor:
    """Replace the elements by those of a host array."""
    with no_grad():
        return tensor.copy_(backend_under(tensor).from_host(np.ascontiguousarray(values)))  # type: ignore[no-any-return]


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform in [a, b)."""
    with no_grad():
        return tensor.uniform_(a, b, generator=generator)  # type: ignore[no-any-return]


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with a mean and a standard deviation."""
    with no_grad():
        return tensor.normal_(mean, std, generator=generator)  # type: ignore[no-any-return]


def trunc_normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:  # fmt: skip
    """Normal, given that it lies in [a, b]: the inverse of the distribution function at uniform numbers."""
    low, high = [math.erf((v - mean) / std / math.sqrt(2.0)) for v in (a, b)]
    wide = np.float64 if tensor.dtype.itemsize == 8 else np.float32
    u: Any = rand(tensor.shape, generator=generator, dtype=wide, device=tensor.device)
    with no_grad():
        drawn = erfinv(u * (high - low) + low) * (std * math.sqrt(2.0)) + mean
        return tensor.copy_(drawn.clamp(a, b))  # type: ignore[no-any-return]


def constant_(tensor: Tensor, val: float) -> Tensor:
    """One value everywhere."""
    with no_grad():
        return tensor.fill_(val)  # type: ignore[no-any-return]


def ones_(tensor: Tensor) -> Tensor:
    """Ones."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """Zeros."""
    return constant_(tensor, 0.0)


def eye_(tensor: Tensor) -> Tensor:
    """The identity: a matrix with ones on the diagonal."""
    if tensor.ndim != 2:
        raise ValueError(f"[eye_] expected a matrix, got {tuple(tensor.shape)}")
    return _put(tensor, np.eye(tensor.shape[0], tensor.shape[1]))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """The identity for convolutions: each output channel passes one input channel on, in each group anew."""
    if tensor.ndim not in (3, 4, 5):
        raise ValueError(f"[dirac_] expected a convolution's weight of 3, 4 or 5 dimensions, got {tuple(tensor.shape)}")
    if tensor.shape[0] % groups:
        raise ValueError(f"[dirac_] {tensor.shape[0]} output channels do not divide into {groups} groups")
    per_group = tensor.shape[0] // groups
    values = np.zeros(tensor.shape)
    centre = tuple([n // 2 for n in tensor.shape[2:]])
    for g in range(groups):
        for d in range(min(per_group, tensor.shape[1])):
            values[(g * per_group + d, d) + centre] = 1.0
    return _put(tensor, values)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform in +-gain sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010)."""
    bound = gain * math.sqrt(6.0 / sum(_fans("xavier_uniform_", tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal of standard deviation gain sqrt(2 / (fan_in + fan_out)) (Glorot and Bengio, 2010)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(_fans("xavier_normal_", tensor))), generator)


def _kaiming_std(op: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode.lower() not in ("fan_in", "fan_out"):
        raise ValueError(f"[{op}] mode must be 'fan_in' or 'fan_out', got {mode!r}")
    return calculate_gain(nonlinearity, a) / math.sqrt(_fans(op, tensor)[mode.lower() == "fan_out"])


def kaiming_uniform_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:  # fmt: skip
    """Uniform in +-gain sqrt(3 / fan) (He et al., 2015); a is the negative slope of "leaky_relu"."""
    if 0 in tensor.shape:
        return tensor
    bound = math.sqrt(3.0) * _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:  # fmt: skip
    """Normal of standard deviation gain / sqrt(fan) (He et al., 2015); a is the negative slope of "leaky_relu"."""
    if 0 in tensor.shape:
        return tensor
    return normal_(tensor, 0.0, _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity), generator)


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """gain times a random orthogonal matrix (rows, the rest), or as much of one as fits (Saxe et al., 2013)."""
    if tensor.ndim < 2:
        raise ValueError(f"[orthogonal_] expected two dimensions or more, got {tuple(tensor.shape)}")
    if not tensor.size_:
        return tensor
    rows, columns = tensor.shape[0], tensor.size_ // tensor.shape[0]
    shape = (max(rows, columns), min(rows, columns))
    q, r = np.linalg.qr(randn(shape, generator=generator, dtype=np.float64, device="cpu").numpy())
    q *= np.sign(np.diag(r))  # so that all orthogonal matrices are equally likely
    return _put(tensor, (q.T if rows < columns else q).reshape(tensor.shape) * gain)


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> Tensor:
    """Normal numbers, of which a share `sparsity` in each column is 0 (Martens, 2010)."""
    if tensor.ndim != 2:
        raise ValueError(f"[sparse_] expected a matrix, got {tuple(tensor.shape)}")
    rows, columns = tensor.shape
    normal_(tensor, 0.0, std, generator)
    order = rand(columns, rows, generator=generator, dtype=np.float64, device="cpu").numpy().argsort(1).T
    values = tensor.numpy()
    np.put_along_axis(values, order[: math.ceil(sparsity * rows)], 0, axis=0)
    return _put(tensor, values)


__all__ = [
    "calculate_gain", "constant_", "dirac_", "eye_", "kaiming_normal_", "kaiming_uniform_", "normal_", "ones_",
    "orthogonal_", "sparse_", "trunc_normal_", "uniform_", "xavier_normal_", "xavier_uniform_", "zeros_",
]  # fmt: skip
