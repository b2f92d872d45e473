"""Methods that fill a tensor with random numbers in place: from the default generator, or the one given."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import functions as F
from ..autograd.value import Value
from ..backend.dtypes import is_floating
from ..creation import bernoulli, rand, randint, randn


def _numbers(x: Any, op: str, make: Any, generator: Any, **kind: Any) -> Any:
    """Random floats of x's shape, on its device; 16-bit ones are made in their own precision."""
    if not is_floating(x.dtype):
        raise TypeError(f"[{op}] makes floating numbers, the tensor is {x.dtype}")
    return make(x.shape, generator=generator, device=x.device, dtype=x.dtype, **kind)


class RandomMethods:
    """The random part of `Tensor`. The rules for changes in place hold (`inplace.py`)."""

    __slots__ = ()

    def uniform_(self: Any, from_: float = 0.0, to: float = 1.0, *, generator: Any = None) -> Any:
        """Uniform in [from, to)."""
        if not from_ <= to:
            raise ValueError(f"[uniform_] the range from {from_} to {to} is empty")
        self.check_change("uniform_")
        return self.copy_(_numbers(self, "uniform_", rand, generator)).mul_(to - from_).add_(from_)

    def normal_(self: Any, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Any:
        """Normal with a mean and a standard deviation."""
        if not std >= 0:
            raise ValueError(f"[normal_] std must not be negative, got {std}")
        self.check_change("normal_")
        return self.copy_(_numbers(self, "normal_", randn, generator)).mul_(std).add_(mean)

    def log_normal_(self: Any, mean: float = 1.0, std: float = 2.0, *, generator: Any = None) -> Any:
        """exp of normal numbers with that mean and standard deviation."""
        if not std > 0:
            raise ValueError(f"[log_normal_] std must be positive, got {std}")
        self.check_change("log_normal_")
        return self.copy_(F.exp(_numbers(self, "log_normal_", randn, generator) * std + mean))

    def exponential_(self: Any, lambd: float = 1.0, *, generator: Any = None) -> Any:
        """Exponential, of density lambd exp(-lambd x). Never 0, so that logarithms can be taken."""
        if not lambd > 0:
            raise ValueError(f"[exponential_] lambd must be positive, got {lambd}")
        self.check_change("exponential_")
        u = _numbers(self, "exponential_", rand, generator)
        return self.copy_(F.maximum(-F.log1p(-u), 2.0**-26 if u.dtype.itemsize == 2 else 2.0**-54) / lambd)

    def cauchy_(self: Any, median: float = 0.0, sigma: float = 1.0, *, generator: Any = None) -> Any:
        """Cauchy, of density sigma / (pi ((x - median)^2 + sigma^2))."""
        if not sigma > 0:
            raise ValueError(f"[cauchy_] sigma must be positive, got {sigma}")
        self.check_change("cauchy_")
        return self.copy_(F.tan((_numbers(self, "cauchy_", rand, generator) - 0.5) * np.pi) * sigma + median)

    def geometric_(self: Any, p: float, *, generator: Any = None) -> Any:
        """How many trials of probability p it takes until one succeeds: 1, 2, ..."""
        if not 0 < p < 1:
            raise ValueError(f"[geometric_] p must be in (0, 1), got {p}")
        self.check_change("geometric_")
        u = rand(self.shape, generator=generator, device=self.device, dtype=np.float64)
        return self.copy_(F.maximum(F.ceil(F.log1p(-u) / np.log1p(-p).item()), 1.0))

    def bernoulli_(self: Any, p: Any = 0.5, *, generator: Any = None) -> Any:
        """1 with probability p, a number or a tensor that broadcasts to this one, else 0."""
        self.check_change("bernoulli_")
        if isinstance(p, Value):
            return self.copy_(bernoulli(F.broadcast_to(p.detach(), self.shape), generator=generator))  # type: ignore[attr-defined]
        return self.copy_(bernoulli(self.detach(), p, generator=generator))

    def random_(self: Any, from_: Any = None, to: Any = None, *, generator: Any = None) -> Any:
        """Integers in [from, to); random_(to) starts at 0, random_() goes up to what the dtype holds exactly."""
        self.check_change("random_")
        low, high = (0, from_) if to is None else (from_, to)
        if high is None:
            if is_floating(self.dtype):
                bits = 8 if self.dtype.name == "bfloat16" else np.finfo(self.dtype).nmant + 1
                high = 2**bits + 1
            else:
                high = 2 if self.dtype.kind == "b" else min(int(np.iinfo(self.dtype).max) + 1, 2**63 - 1)
        if is_floating(self.dtype):
            return self.copy_(randint(low, high, tuple(self.shape), generator=generator, device=self.device))
        shape = tuple(self.shape)
        return self.copy_(randint(low, high, shape, generator=generator, device=self.device, dtype=self.dtype))
