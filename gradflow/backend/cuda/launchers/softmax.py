"""Launchers of softmax and its kin. Arrays go to the kernels as (rows, n)."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd
from typing import Any

from ..launcher import launcher
from ..operand import Operand
from ..plan import INT_SIZE, WARP, Planner

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


def in_columns(axis: int, *xs: Operand) -> tuple[int, int, int] | None:
    """(columns, n, inner) of operands (outer, n, inner) in one dense layout, n along `axis`, where a thread for each
    column is better than a copy: neighbours in memory are many, and columns more than what each is long."""
    first = xs[0]
    if first.ndim == 0 or first.size == 0 or not first.is_dense:
        return None
    if not all([x.dtype == first.dtype and x.has_layout_of(first) for x in xs]):
        return None
    n = first.shape[axis]
    columns, inner = first.size // n, first.strides[axis] // first.itemsize
    return (columns, n, inner) if n <= columns and WARP <= inner < INT_SIZE else None


def launch_rows(
    plan: Planner, kernel: str, types: Sequence[Any], held: Sequence[Operand], written: Operand | None, *arguments: Any
) -> None:  # fmt: skip
    """Launch the version of a kernel that suits the length of the rows that it holds.

    The versions are KERNEL_lanes<types, N, LANES, PER> and KERNEL_block<types, N, CACHED>.
    """
    (rows, n), inputs = held[0].shape, len(held)
    plan.require(n < INT_SIZE, f"rows of {INT_SIZE} elements or more")
    if rows * n == 0:
        return
    width = gcd(plan.vector_width(*held, *([] if written is None else [written])), n)
    vectors = n // width
    if n <= HELD // inputs:
        lanes = min(32, _power_of_two(vectors))
        each = _power_of_two(-(-vectors // lanes))
        plan.launch(
            f"{kernel}_lanes", [*types, width, lanes, each], *arguments, threads=rows * lanes, block=128
        )  # fmt: skip
        return
    shared = SCRATCH + inputs * n * held[0].itemsize
    cached = shared <= plan.shared_optin
    plan.launch(
        f"{kernel}_block", [*types, width, int(cached)], *arguments, grid=(min(rows, plan.max_blocks),),
        block=256 if shared <= 48 << 10 else 512 if shared <= 100 << 10 else 1024,
        shared=shared if cached else SCRATCH,
    )  # fmt: skip


def _power_of_two(n: int) -> int:
    """The least one from n on."""
    return 1 << (n - 1).bit_length()


@launcher("softmax.cu", names=("softmax", "log_softmax"))
def softmax(plan: Planner, x: Operand, *, axis: int) -> Operand:
    log_of = plan.name == "log_softmax"
    if columns := in_columns(axis, x):
        y = plan.empty_like(x)
        plan.launch("softmax_columns", [x.dtype, plan.index_type(x)], x, y, *columns, log_of, threads=columns[0])
        return y
    (rows,), order = as_rows(plan, axis, x)
    y = plan.empty(x.shape, x.dtype, order)
    launch_rows(plan, "softmax", [x.dtype], [rows], y, rows, y, *rows.shape, log_of)
    return y


@launcher("softmax.cu", names=("softmax_backward", "log_softmax_backward"))
def softmax_backward(plan: Planner, g: Operand, y: Operand, *, axis: int) -> Operand:
    log_of = plan.name == "log_softmax_backward"
    if columns := in_columns(axis, y, g):
        dx = plan.empty_like(y)
        plan.launch(
            "softmax_backward_columns", [y.dtype, plan.index_type(y)], g, y, dx, *columns, log_of, threads=columns[0]
        )
        return dx
    (y_rows, g_rows), order = as_rows(plan, axis, y, g)
    dx = plan.empty(y.shape, y.dtype, order)
    launch_rows(plan, "softmax_backward", [y.dtype], [g_rows, y_rows], dx, g_rows, y_rows, dx, *y_rows.shape, log_of)
    return dx
