"""Launchers of cross entropy: losses and the gradient of logits (rows, n), and the mean over rows."""

from __future__ import annotations

from math import gcd
from typing import Any

from ..launcher import launcher
from ..operand import Operand
from ..plan import Planner
from .index import as_index
from .softmax import launch_rows


def _weight(plan: Planner, weight: Operand | None, x: Operand) -> Operand | None:
    """Class weights in the dtype that sums of x have."""
    return None if weight is None else plan.contiguous(plan.cast(weight, x.sum_dtype))


def _done(loss: Operand, dx: Operand | None) -> Any:
    return loss if dx is None else (loss, dx)


@launcher("cross_entropy.cu")
def softmax_cross_entropy(
    plan: Planner, x: Operand, target: Operand, weight: Operand | None, *, ignore_index: int = -100,
    label_smoothing: float = 0.0, residual: bool = False,
) -> Any:  # fmt: skip
    x, target, weight = plan.contiguous(x), as_index(plan, target), _weight(plan, weight, x)
    rows, n = x.shape
    loss = plan.empty((rows,), x.dtype)
    dx = plan.empty(x.shape, x.dtype) if residual else None
    launch_rows(
        plan, "cross_entropy", [x.dtype, target.dtype], [x], dx, x, target, weight, loss, dx, rows, n,
        ignore_index, 1.0 - label_smoothing, label_smoothing / n,
        plan.fault("cross_entropy", f"class indices must be in [0, {n})"),
    )  # fmt: skip
    return _done(loss, dx)


@launcher("cross_entropy.cu")
def softmax_cross_entropy_probabilities(
    plan: Planner, x: Operand, target: Operand, weight: Operand | None, *, label_smoothing: float = 0.0,
    residual: bool = False,
) -> Any:  # fmt: skip
    plan.require(x.dtype == target.dtype, "logits and probabilities of two dtypes")
    x, target, weight = plan.contiguous(x), plan.contiguous(target), _weight(plan, weight, x)
    rows, n = x.shape
    loss = plan.empty((rows,), x.dtype)
    dx = plan.empty(x.shape, x.dtype) if residual else None
    launch_rows(
        plan, "cross_entropy_probabilities", [x.dtype], [x, target], dx, x, target, weight, loss, dx, rows, n,
        1.0 - label_smoothing, label_smoothing / n,
    )  # fmt: skip
    return _done(loss, dx)


@launcher("cross_entropy.cu")
def cross_entropy_scale(plan: Planner, g: Operand, saved: Operand, target: Operand, *, ignore_index: int) -> Operand:
    plan.require(g.dtype == saved.dtype, "g and the saved gradient are of two dtypes")
    saved, target = plan.contiguous(saved), as_index(plan, target)
    dx, n = plan.empty_like(saved), saved.shape[1]
    if dx.size:
        width = gcd(plan.vector_width(saved, dx), n)
        plan.launch(
            "cross_entropy_scale", [saved.dtype, target.dtype, width, plan.index_type(dx)], g, saved, target, dx,
            dx.size, n, plan.fast_div(n), g.strides[0] // g.itemsize, ignore_index, threads=dx.size // width,
        )  # fmt: skip
    return dx


ROWS = 1 << 13
"""Rows up to which one block makes the mean by itself."""


@launcher("cross_entropy.cu")
def cross_entropy_mean(
    plan: Planner, loss: Operand, target: Operand, weight: Operand | None, *, ignore_index: int, residual: bool = False
) -> Any:
    loss, target, weight = plan.contiguous(loss), as_index(plan, target), _weight(plan, weight, loss)
    rows, sums = loss.size, loss.sum_dtype
    mean, count = plan.empty((), loss.dtype), plan.empty((), sums)
    blocks = 1 if rows <= ROWS else min(plan.multiprocessors, -(-rows // 1024))
    parts = None if blocks == 1 else plan.empty((blocks, 2), sums)
    n = 0 if weight is None else weight.size
    plan.launch(
        "cross_entropy_mean", [loss.dtype, target.dtype], loss, target, weight, parts,
        *((mean, count) if parts is None else (None, None)), rows, n, ignore_index, grid=(blocks,), block=1024,
    )  # fmt: skip
    if parts is not None:
        plan.launch("cross_entropy_mean_of_parts", [loss.dtype], parts, mean, count, blocks, grid=(1,))
    return (mean, count) if residual else mean
