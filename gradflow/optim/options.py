"""What optimisers check of their options, and the array code that several share."""

from __future__ import annotations

from typing import Any

from ..autograd.value import Value


def not_negative(name: str, **options: Any) -> None:
    """Raise ValueError for a negative option, or one given as a tensor of several elements."""
    for option, value in options.items():
        if isinstance(value, Value) and value.size_ != 1:
            raise ValueError(f"[{name}] {option} as a tensor must have one element, got shape {tuple(value.shape)}")
        if not value >= 0:
            raise ValueError(f"[{name}] {option} must not be negative, got {value}")


def check_betas(name: str, betas: Any) -> tuple[float, ...]:
    """The rates at which means forget, in [0, 1)."""
    if len(betas) != 2 or not all(0.0 <= b < 1.0 for b in betas):
        raise ValueError(f"[{name}] betas must be in [0, 1), got {betas}")
    return tuple([float(b) if isinstance(b, Value) else b for b in betas])  # type: ignore[arg-type]


def check_hints(name: str, differentiable: bool, foreach: Any = None, fused: Any = None) -> None:
    """Refuse what changes the result; foreach, fused and capturable say only how PyTorch is to compute it."""
    if differentiable:
        raise NotImplementedError(
            f"[{name}] differentiable=True is not supported: a step is not recorded; write it as operations on tensors"
        )
    if foreach and fused:
        raise ValueError(f"[{name}] foreach and fused cannot both be True")


def direction(w: Any, g: Any, group: dict[str, Any], decay: bool = True) -> Any:
    """The gradient with the options maximize and (unless it is decoupled) weight_decay at work; g itself may return."""
    rate = group["weight_decay"] if decay else 0
    if not rate:
        return -g if group["maximize"] else g
    d = w * rate
    d = d.astype(g.dtype, copy=False)  # bfloat16 with a number gives float32
    if group["maximize"]:
        d -= g
    else:
        d += g
    return d


def shrink(w: Any, group: dict[str, Any]) -> None:
    """w *= 1 - lr * weight_decay, in place: the decoupled weight decay."""
    if group["weight_decay"]:
        w *= 1 - group["lr"] * group["weight_decay"]


def approach(m: Any, x: Any, rate: float) -> None:
    """m += rate * (x - m), in place: a running mean."""
    d = x - m
    d *= rate
    m += d


def mean_square(v: Any, g: Any, keep: float) -> None:
    """v = keep * v + (1 - keep) * g^2, in place."""
    v *= keep
    d = g * g
    d *= 1 - keep
    v += d
