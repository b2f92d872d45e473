"""Launchers of softmax and its kin. Arrays go to the kernels as (rows, n)."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd
from typing import Any

from ..launcher import launcher
from ..plan import Operand, Planner

HELD = 1024
"""Values of a row that a warp keeps in registers; a longer row is a block's work."""
SCRATCH = 32 * 8
"""Bytes of shared memory that a block's reductions take (rows.cuh)."""


def as_rows(plan: Planner, axis: int, *xs: Operand) -> tuple[list[Operand], tuple[int, ...]]:
    """Operands of one shape as (rows, n), n along `axis`, and the order of axes that this takes.

    Rows come in the order of the first operand's memory, so that channels-last images are not copied.
    """
    first = xs[0]
    plan.require(first.ndim > 0 and all([x.shape == first.shape for x in xs]), "operands of no or several shapes")
    plan.require(all([x.dtype == first.dtype for x in xs]), "operands of several dtypes")
    axis %= first.ndim
    order = (*sorted([a for a in range(first.ndim) if a != axis], key=lambda a: -abs(first.strides[a])), axis)
    n = first.shape[axis]
    shape = (first.size // max(n, 1), n)
    return [plan.contiguous(x.transpose(*order)).reshape(*shape) for x in xs], order


def launch_rows(
    plan: Planner, kernel: str, before: Sequence[Any], after: Sequence[Any], held: Sequence[Operand],
    written: Operand | None, *arguments: Any,
) -> None:  # fmt: skip
    """Launch the version of a kernel that suits the length of the rows that it holds.

    The versions are KERNEL_lanes<before, N, LANES, PER, after> and KERNEL_block<before, N, CACHED, after>.
    """
    (rows, n), inputs = held[0].shape, len(held)
    plan.require(n < 2**31, "rows of 2**31 elements or more")
    if rows * n == 0:
        return
    width = gcd(plan.vector_width(*held, *([] if written is None else [written])), n)
    vectors = n // width
    if n <= HELD // inputs:
        lanes = min(32, _power_of_two(vectors))
        each = _power_of_two(-(-vectors // lanes))
        plan.launch(
            f"{kernel}_lanes", [*before, width, lanes, each, *after], *arguments, threads=rows * lanes, block=128
        )  # fmt: skip
        return
    shared = SCRATCH + inputs * n * held[0].itemsize
    cached = shared <= plan.shared_optin
    plan.launch(
        f"{kernel}_block", [*before, width, int(cached), *after], *arguments, grid=(min(rows, plan.max_blocks),),
        block=256 if shared <= 48 << 10 else 512 if shared <= 100 << 10 else 1024,
        shared=shared if cached else SCRATCH,
    )  # fmt: skip


def _power_of_two(n: int) -> int:
    """The least one from n on."""
    return 1 << (n - 1).bit_length()


@launcher("softmax.cu", names=("softmax", "log_softmax"))
def softmax(plan: Planner, x: Operand, *, axis: int) -> Operand:
    (rows,), order = as_rows(plan, axis, x)
    y = plan.empty(x.shape, x.dtype, order)
    log = int(plan.name == "log_softmax")
    launch_rows(plan, "softmax", [x.dtype], [log], [rows], y, rows, y, *rows.shape)
    return y


@launcher("softmax.cu", names=("softmax_backward", "log_softmax_backward"))
def softmax_backward(plan: Planner, g: Operand, y: Operand, *, axis: int) -> Operand:
    (y_rows, g_rows), order = as_rows(plan, axis, y, g)
    dx = plan.empty(y.shape, y.dtype, order)
    log = int(plan.name == "log_softmax_backward")
    launch_rows(plan, "softmax_backward", [y.dtype], [log], [g_rows, y_rows], dx, g_rows, y_rows, dx, *y_rows.shape)
    return dx
