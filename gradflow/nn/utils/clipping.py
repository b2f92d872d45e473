"""Norms of gradients, and gradients cut to size."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from ...autograd.grad_mode import no_grad
from ...backend.dtypes import is_half
from ...creation import tensor
from ...functions import stack
from ...tensor import Tensor


def _all(parameters: Any) -> list[Any]:
    return [parameters] if isinstance(parameters, Tensor) else list(parameters)


def _norm(x: Any, p: float) -> Any:
    """The p-norm of all elements, 16-bit floats summed in float32."""
    size = abs(x.float() if is_half(x.dtype) else x)
    if not x.size_:
        return size.sum()
    if p == math.inf:
        found = size.max()
    elif p == -math.inf:
        found = size.min()
    elif p == 0:
        found = (size != 0).to(size.dtype).sum()
    elif p == 1:
        found = size.sum()
    elif p == 2:
        found = (size * size).sum().sqrt()
    else:
        found = (size**p).sum() ** (1.0 / p)
    return found.to(x.dtype)


def get_total_norm(
    tensors: Any, norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: bool | None = None
) -> Tensor:
    """The norm of all elements of all tensors together: (sum |x|^p)^(1/p), or the greatest for p = inf.

    Raises ValueError where it is not finite, if error_if_nonfinite. `foreach` makes no difference.
    """
    values, p = _all(tensors), float(norm_type)
    if not values:
        return tensor(0.0)
    with no_grad():
        place = values[0].device
        total = _norm(stack([_norm(v.detach(), p).to(place) for v in values]), p)
    if error_if_nonfinite and not math.isfinite(total.item()):
        raise ValueError(
            f"[get_total_norm] the {p}-norm of the gradients is {total.item()}; error_if_nonfinite=False clips anyway"
        )
    return total  # type: ignore[no-any-return]


def clip_grads_with_norm_(parameters: Any, max_norm: float, total_norm: Any, foreach: bool | None = None) -> None:
    """Multiply the gradients by max_norm / (total_norm + 1e-6), where that is less than 1."""
    coefficient = (max_norm / (total_norm + 1e-6)).clamp(max=1.0)
    with no_grad():
        for p in _all(parameters):
            if p.grad is not None:
                p.grad.mul_(coefficient.to(p.grad.device, p.grad.dtype))


def clip_grad_norm_(
    parameters: Iterable[Any] | Tensor, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:  # fmt: skip
    """Scale the gradients so that their norm (see `get_total_norm`) is at most max_norm; returns what it was."""
    held = _all(parameters)
    total = get_total_norm([p.grad for p in held if p.grad is not None], norm_type, error_if_nonfinite, foreach)
    clip_grads_with_norm_(held, float(max_norm), total, foreach)
    return total


def clip_grad_value_(parameters: Iterable[Any] | Tensor, clip_value: float, foreach: bool | None = None) -> None:
    """Cut the gradients' elements to [-clip_value, clip_value]."""
    bound = float(clip_value)
    with no_grad():
        for p in _all(parameters):
            if p.grad is not None:
                p.grad.clamp_(min=-bound, max=bound)


__all__ = ["clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm"]
