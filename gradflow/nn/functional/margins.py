"""Losses that want a margin: between classes, between signs, between distances."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...amp.autocast_mode import widened
from ...autograd.primitive import BIND
from ...creation import arange
from ...functions import clamp, mean, minimum, relu, sqrt, sum, unsqueeze, where
from ...ops import index as _index
from .activations import softplus
from .distances import pairwise_distance
from .losses import check_classes
from .reduced import check_ranks, check_shapes, reduced
from .regression import binary_cross_entropy_with_logits


def _positive(x: Any) -> Any:
    """max(0, x) with the gradient 1 at 0, as PyTorch's losses have it."""
    return clamp(x, min=0)


def margin_ranking_loss(input1: Any, input2: Any, target: Any, margin: float = 0, reduction: str = "mean") -> Any:
    """max(0, margin - t (x1 - x2)): x1 should be larger where t is 1, x2 where t is -1."""
    input1, input2 = widened(input1, input2)
    check_ranks("margin_ranking_loss", x1=input1, x2=input2, target=target)
    return reduced("margin_ranking_loss", _positive(margin - target * (input1 - input2)), reduction)


def hinge_embedding_loss(input: Any, target: Any, margin: float = 1.0, reduction: str = "mean") -> Any:
    """x where the target is 1, max(0, margin - x) where it is -1: x is a distance."""
    (input,) = widened(input)
    near, far = where(target == -1, 0.0, input), where(target == 1, 0.0, _positive(margin - input))
    return reduced("hinge_embedding_loss", near + far, reduction)


def soft_margin_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """log(1 + exp(-t x)) for targets t of 1 and -1."""
    input, target = widened(input, target)
    check_shapes("soft_margin_loss", x=input, target=target)
    return reduced("soft_margin_loss", softplus(-target * input), reduction)


def cosine_embedding_loss(input1: Any, input2: Any, target: Any, margin: float = 0, reduction: str = "mean") -> Any:
    """1 - cos(x1, x2) where the target is 1, max(0, cos(x1, x2) - margin) where it is -1: x (N, D), target (N,)."""
    input1, input2 = widened(input1, input2)
    check_shapes("cosine_embedding_loss", x1=input1, x2=input2)
    if target.ndim + 1 != input1.ndim or input1.ndim not in (1, 2):
        raise ValueError(
            f"[cosine_embedding_loss] expects x (N, D) and target (N,), or x (D,) and a 0-d target, got "
            f"{tuple(input1.shape)} and {tuple(target.shape)}"
        )
    eps = 1e-12
    dot, n1, n2 = sum(input1 * input2, -1), sum(input1 * input1, -1) + eps, sum(input2 * input2, -1) + eps
    cos = dot / sqrt(n1 * n2)
    loss = where(target == 1, 1.0 - cos, 0.0) + where(target == -1, _positive(cos - margin), 0.0)
    return reduced("cosine_embedding_loss", loss, reduction)


def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """max(0, margin + |a - p| - |a - n|) in the p-norm along the last dimension (Balntas et al., 2016).

    swap takes the nearer of a and p for the negative distance.
    """
    anchor, positive, negative = widened(anchor, positive, negative)

    def distance(a: Any, b: Any) -> Any:
        return pairwise_distance(a, b, p, eps)

    return _triplet("triplet_margin_loss", anchor, positive, negative, distance, margin, swap, reduction)


def triplet_margin_with_distance_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    *,
    distance_function: Callable[[Any, Any], Any] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """triplet_margin_loss with a distance of your own; pairwise_distance by default."""
    anchor, positive, negative = widened(anchor, positive, negative)
    op, distance = "triplet_margin_with_distance_loss", distance_function or pairwise_distance
    return _triplet(op, anchor, positive, negative, distance, margin, swap, reduction)


def _triplet(
    op: str, a: Any, p: Any, n: Any, distance: Callable[[Any, Any], Any], margin: float, swap: bool, reduction: str
) -> Any:
    if margin <= 0:
        raise ValueError(f"[{op}] margin must be positive, got {margin}")
    check_ranks(op, anchor=a, positive=p, negative=n)
    near, far = distance(a, p), distance(a, n)
    if swap:
        far = minimum(far, distance(p, n))
    return reduced(op, _positive(margin + near - far), reduction)


def multi_margin_loss(
    input: Any, target: Any, p: int = 1, margin: float = 1.0, weight: Any = None, reduction: str = "mean"
) -> Any:
    """sum over i != y of max(0, margin - x[y] + x[i])^p w[y], divided by C: x (N, C) or (C,), classes y (N,) or ()."""
    (input,) = widened(input)
    op = "multi_margin_loss"
    if p not in (1, 2):
        raise ValueError(f"[{op}] p must be 1 or 2, got {p}")
    x, y, one = _rows_of_classes(op, input, target, 1)
    classes = x.shape[1]
    if weight is not None and tuple(weight.shape) != (classes,):
        raise ValueError(f"[{op}] weight {tuple(weight.shape)} for {classes} classes (x {tuple(input.shape)})")
    check_classes(op, y, classes)
    gap = relu(x + (margin - unsqueeze(_index.pick(x, y, axis=1), 1)))
    gap = gap if p == 1 else gap * gap
    if weight is not None:
        gap = gap * unsqueeze(weight[y], 1)
    itself = unsqueeze(y, 1) == arange(classes, device=x.device)
    loss = sum(where(itself, 0.0, gap), 1) / float(classes)
    return reduced(op, loss[0] if one else loss, reduction)


def multilabel_margin_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """sum over classes j in the target and i not in it of max(0, 1 - x[j] + x[i]), divided by C: x (N, C) or (C,).

    target, of x's shape, lists classes up to the first -1.
    """
    (input,) = widened(input)
    op = "multilabel_margin_loss"
    check_shapes(op, x=input, target=target)
    x, y, one = _rows_of_classes(op, input, target, 2)
    classes = x.shape[1]
    ended = BIND.cumsum(BIND.astype(y == -1, dtype="int64"), axis=1)
    counts = unsqueeze(ended == 0, 2)
    y = where(ended == 0, y, 0)
    check_classes(op, y, classes)
    own = unsqueeze(y, 2) == arange(classes, device=x.device)  # (N, place, class)
    named = BIND.amax(BIND.logical_and(own, counts), axis=1, keepdims=True)
    gap = relu(1.0 - unsqueeze(BIND.take_along(x, y, axis=1), 2) + unsqueeze(x, 1))
    loss = sum(where(BIND.logical_and(counts, BIND.logical_not(named)), gap, 0.0), (1, 2)) / float(classes)
    return reduced(op, loss[0] if one else loss, reduction)


def multilabel_soft_margin_loss(input: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Any:
    """-w (t log s + (1 - t) log(1 - s)) with s = sigmoid(x), a mean over the last dimension: x and t (..., C)."""
    check_shapes("multilabel_soft_margin_loss", x=input, target=target)
    loss = binary_cross_entropy_with_logits(input, target, weight, "none")
    return reduced("multilabel_soft_margin_loss", mean(loss, -1), reduction)


def _rows_of_classes(op: str, x: Any, y: Any, target_ndim: int) -> tuple[Any, Any, bool]:
    """x as (N, C), the target with as many rows, and whether there was but one row."""
    if x.ndim not in (1, 2) or not x.shape[-1] or y.ndim != x.ndim + target_ndim - 2 or y.dtype.kind not in "iu":
        raise ValueError(
            f"[{op}] expects x (N, C) or (C,) and integer classes to match, got x {tuple(x.shape)} and target "
            f"{tuple(y.shape)} {y.dtype}"
        )
    if x.ndim == 1:
        return unsqueeze(x, 0), unsqueeze(y, 0), True
    if y.shape[0] != x.shape[0]:
        raise ValueError(f"[{op}] x {tuple(x.shape)} and target {tuple(y.shape)} differ in their number of rows")
    return x, y, False


__all__ = [
    "cosine_embedding_loss", "hinge_embedding_loss", "margin_ranking_loss", "multi_margin_loss",
    "multilabel_margin_loss", "multilabel_soft_margin_loss", "soft_margin_loss", "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]  # fmt: skip
