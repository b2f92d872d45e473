"""Losses."""

from __future__ import annotations

import math
from typing import Any

from ...autograd.value import depends, unwrap
from ...backend.base import guarded
from ...backend.device import backend_of
from ...backend.dtypes import is_floating
from ...functions import mean, permute, reshape
from ...ops import reduce as _reduce
from ...ops import softmax as _softmax


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: None = None,
    ignore_index: int = -100,
    reduce: None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """-log softmax(x)[target]: logits x (C,), (N, C) or (N, C, ...), target class indices without the class dimension,
    or probabilities of x's shape.

    weight (C,) counts classes differently, and the mean is a weighted one; targets equal to ignore_index do not count;
    label_smoothing s mixes the target with the uniform distribution, (1 - s) and s / C. Raises IndexError for a class
    outside [0, C).
    """
    if size_average is not None or reduce is not None:
        raise TypeError("[cross_entropy] size_average and reduce are not supported; use reduction")
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"[cross_entropy] reduction must be 'mean', 'sum' or 'none', got {reduction!r}")
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"[cross_entropy] label_smoothing must be in [0, 1], got {label_smoothing}")
    if not is_floating(input.dtype):
        raise TypeError(f"[cross_entropy] logits must be floating, got {input.dtype}")
    if depends(weight):
        raise ValueError("[cross_entropy] weight has no gradient here; pass weight.detach()")
    axis = 0 if input.ndim == 1 else 1
    classes = input.shape[axis] if input.ndim else 0
    shown = f"(x {tuple(input.shape)}, target {tuple(target.shape)} {target.dtype})"
    if input.ndim == 0 or classes == 0:
        raise ValueError(f"[cross_entropy] needs at least one class {shown}")
    if weight is not None and tuple(weight.shape) != (classes,):
        raise ValueError(f"[cross_entropy] weight {tuple(weight.shape)} for {classes} classes {shown}")
    if is_floating(target.dtype):
        return _soft_cross_entropy(input, target, weight, axis, reduction, label_smoothing, shown)
    rest = tuple([n for a, n in enumerate(input.shape) if a != axis])
    if tuple(target.shape) != rest:
        raise ValueError(f"[cross_entropy] target must have x's shape without the classes, {rest} {shown}")
    if target.dtype.kind not in "iu":
        raise TypeError(f"[cross_entropy] class indices must be integers, got {target.dtype}")
    _check_classes(target, classes, ignore_index)
    flat = reshape(target, (math.prod(rest),))
    loss = _softmax.softmax_cross_entropy(
        _rows(input, axis), flat, weight, ignore_index=ignore_index, label_smoothing=float(label_smoothing)
    )
    if reduction == "none":
        return reshape(loss, rest)
    if reduction == "sum":
        return _reduce.sum(loss)
    return _softmax.cross_entropy_mean(loss, flat, weight, ignore_index=ignore_index)


def _rows(x: Any, axis: int) -> Any:
    """Logits as (rows, classes)."""
    if x.ndim == 2:
        return x
    moved = permute(x, *[a for a in range(x.ndim) if a != axis], axis)
    return reshape(moved, (math.prod(tuple(moved.shape[:-1])), moved.shape[-1]))


def _check_classes(target: Any, classes: int, ignore_index: int) -> None:
    raw = unwrap(target)
    backend = backend_of(raw)
    if "softmax_cross_entropy" in backend.kernels:
        return  # the kernel checks, as it reads the target anyway
    with guarded(backend):
        bad = backend.check_index(backend.module.where(raw == ignore_index, 0, raw), 0, classes, "cross_entropy")
    if bad is not None:
        raise IndexError(f"[cross_entropy] target holds class {bad}, but x has classes 0 to {classes - 1}")


def _soft_cross_entropy(
    x: Any, target: Any, weight: Any, axis: int, reduction: str, smoothing: float, shown: str
) -> Any:
    """Cross entropy with class probabilities, differentiable in them too."""
    if tuple(target.shape) != tuple(x.shape):
        raise ValueError(f"[cross_entropy] target probabilities must have x's shape {shown}")
    loss = _softmax.softmax_cross_entropy_probabilities(
        _rows(x, axis), _rows(target, axis), weight, label_smoothing=float(smoothing)
    )
    if reduction == "none":
        return reshape(loss, tuple([n for a, n in enumerate(x.shape) if a != axis]))
    return mean(loss) if reduction == "mean" else _reduce.sum(loss)


def mse_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """(x - target)^2, as a mean, a sum, or elementwise; the shapes must agree."""
    if tuple(input.shape) != tuple(target.shape):
        raise ValueError(f"[mse_loss] x {tuple(input.shape)} and target {tuple(target.shape)} must have one shape")
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"[mse_loss] reduction must be 'mean', 'sum' or 'none', got {reduction!r}")
    d = input - target
    loss = d * d
    return mean(loss) if reduction == "mean" else _reduce.sum(loss) if reduction == "sum" else loss


__all__ = ["cross_entropy", "mse_loss"]
