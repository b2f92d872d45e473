"""Losses for classes."""

from __future__ import annotations

import math
from typing import Any

from ...autograd.value import depends, unwrap
from ...backend.base import guarded
from ...backend.device import backend_of
from ...backend.dtypes import is_floating
from ...functions import mean, permute, reshape, where
from ...functions.arguments import check_tensors
from ...ops import index as _index
from ...ops import reduce as _reduce
from ...ops import softmax as _softmax
from .reduced import check_reduction


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
    check_reduction("cross_entropy", reduction)
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"[cross_entropy] label_smoothing must be in [0, 1], got {label_smoothing}")
    axis, shown = _classes("cross_entropy", input, target, weight)
    if is_floating(target.dtype):
        return _soft_cross_entropy(input, target, weight, axis, reduction, label_smoothing, shown)
    rest = _check_labels("cross_entropy", input, target, axis, ignore_index, shown)
    flat = reshape(target, (math.prod(rest),))
    loss = _softmax.softmax_cross_entropy(
        _rows(input, axis), flat, weight, ignore_index=ignore_index, label_smoothing=float(label_smoothing)
    )
    return _over_rows(loss, flat, weight, ignore_index, reduction, rest)


def nll_loss(input: Any, target: Any, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean") -> Any:
    """-x[target] for log-probabilities x (C,), (N, C) or (N, C, ...), target class indices without that dimension.

    weight (C,) counts classes differently, and the mean is a weighted one; targets equal to ignore_index do not count.
    Raises IndexError for a class outside [0, C).
    """
    check_reduction("nll_loss", reduction)
    axis, shown = _classes("nll_loss", input, target, weight)
    rest = _check_labels("nll_loss", input, target, axis, ignore_index, shown)
    flat = reshape(target, (math.prod(rest),))
    ignored = flat == ignore_index
    label = where(ignored, 0, flat)
    loss = -_index.pick(_rows(input, axis), label, axis=1)
    if weight is not None:
        loss = loss * weight[label]
    return _over_rows(where(ignored, 0.0, loss), flat, weight, ignore_index, reduction, rest)


def _classes(op: str, x: Any, target: Any, weight: Any) -> tuple[int, str]:
    """The dimension of the classes, and what errors show."""
    check_tensors(op, x=x, target=target)
    axis = 0 if x.ndim == 1 else 1
    classes = x.shape[axis] if x.ndim else 0
    shown = f"(x {tuple(x.shape)}, target {tuple(target.shape)} {target.dtype})"
    if not is_floating(x.dtype):
        raise TypeError(f"[{op}] logits must be floating, got {x.dtype}")
    if depends(weight):
        raise ValueError(f"[{op}] weight has no gradient here; pass weight.detach()")
    if x.ndim == 0 or classes == 0:
        raise ValueError(f"[{op}] needs at least one class {shown}")
    if weight is not None and tuple(weight.shape) != (classes,):
        raise ValueError(f"[{op}] weight {tuple(weight.shape)} for {classes} classes {shown}")
    return axis, shown


def _check_labels(op: str, x: Any, target: Any, axis: int, ignore_index: int, shown: str) -> tuple[int, ...]:
    """The shape that labels must have, and have."""
    rest = tuple([n for a, n in enumerate(x.shape) if a != axis])
    if tuple(target.shape) != rest:
        raise ValueError(f"[{op}] target must have x's shape without the classes, {rest} {shown}")
    if target.dtype.kind not in "iu":
        raise TypeError(f"[{op}] class indices must be integers, got {target.dtype}")
    check_classes(op, target, x.shape[axis], ignore_index)
    return rest


def _over_rows(loss: Any, flat: Any, weight: Any, ignore_index: int, reduction: str, rest: tuple[int, ...]) -> Any:
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


def check_classes(op: str, target: Any, classes: int, ignore_index: int | None = None) -> None:
    """Raise IndexError for a class outside [0, classes), where no kernel does so as it reads the target anyway."""
    raw = unwrap(target)
    backend = backend_of(raw)
    if op == "cross_entropy" and "softmax_cross_entropy" in backend.kernels:
        return
    with guarded(backend):
        named = raw if ignore_index is None else backend.module.where(raw == ignore_index, 0, raw)
        bad = backend.check_index(named, 0, classes, op)
    if bad is not None:
        raise IndexError(f"[{op}] target holds class {bad}, but x has classes 0 to {classes - 1}")


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


__all__ = ["cross_entropy", "nll_loss"]
