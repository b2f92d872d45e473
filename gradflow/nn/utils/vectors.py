"""Parameters as one vector."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...autograd.grad_mode import no_grad
from ...functions import cat
from ...tensor import Tensor


def parameters_to_vector(parameters: Iterable[Any]) -> Tensor:
    """All elements of all parameters, one after the other. Differentiable."""
    return cat([p.reshape(-1) for p in parameters])  # type: ignore[no-any-return]


def vector_to_parameters(vec: Tensor, parameters: Iterable[Any]) -> None:
    """Copy a vector's elements into the parameters. ValueError where the numbers of elements differ."""
    held = list(parameters)
    count = sum([p.size_ for p in held])
    if vec.ndim != 1 or vec.size_ != count:
        raise ValueError(f"[vector_to_parameters] expected a vector of {count} elements, got {tuple(vec.shape)}")
    start = 0
    with no_grad():
        for p in held:
            p.copy_(vec.detach()[start : start + p.size_].reshape(p.shape))
            start += p.size_


__all__ = ["parameters_to_vector", "vector_to_parameters"]
