"""Launchers of sums per channel: dense memory of any order is (outer, channels, inner) to the kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...dtypes import is_floating
from ..launcher import launcher
from ..operand import Operand
from ..plan import BLOCK, MAX_GRID, Planner
from .activation import full_width

PLANE = 32
"""From this many neighbours of one channel on, a block sums planes; below, it sums the columns of a matrix."""
EACH = 8
"""Elements that a thread sums at the least, before more blocks are worth a second stage."""


def channels_of(x: Operand, axis: int) -> tuple[int, int, int]:
    """(outer, channels, inner): how the memory of a dense operand holds its channels."""
    channels = x.shape[axis]
    if channels < 2:
        return 1, channels, x.size
    inner = x.strides[axis] // x.itemsize
    return x.size // max(channels * inner, 1), channels, inner


def width_of(last: int, *xs: Operand) -> int:
    """How many neighbours of the axis in which vectors lie, of `last` elements, are read at once: 16 bytes, 8, or 1."""
    full = full_width(*xs)
    return next(n for n in (full, max(full // 2, 1), 1) if last % n == 0)


def ceil_div(a: int, b: int) -> int:
    return -(-a // b)


def reduce_channels(
    plan: Planner, kernel: str, x: Operand, axis: int, template: Sequence[Any], arrays: Sequence[Operand | None],
    with_inner: bool = False,
) -> Operand:  # fmt: skip
    """Launch KERNEL_columns or KERNEL_planes on `arrays`, of x's layout, and sum the parts that it makes: (channels,).

    The kernels are <template..., T, type of the parts, index type, vector width>(arrays..., parts, [inner,] sizes...).
    """
    outer, channels, inner = channels_of(x, axis)
    if not x.size:
        return plan.zeros((channels,), x.dtype)
    plan.require(channels < 2**31 and inner < 2**31, "2**31 channels, or elements of a channel, or more")
    full = [a for a in arrays if a is not None and a.shape == x.shape]
    goal = 4 * plan.multiprocessors  # blocks, to occupy all of the device
    if inner < PLANE:
        columns = channels * inner
        width = width_of(columns, *full)
        lanes = min(32, 1 << (ceil_div(columns, width) - 1).bit_length())
        blocks, steps = ceil_div(columns, lanes * width), ceil_div(outer, BLOCK // lanes)
        length, name = inner, "columns"
    else:
        width = width_of(inner, *full)
        blocks, steps = channels, ceil_div(outer * inner // width, BLOCK)
        length, name = 1, "planes"
    chunks = max(1, min(goal // blocks, steps // EACH, MAX_GRID[1]))
    out = plan.empty((channels,), x.dtype)
    single = chunks * length == 1
    parts = out if single else plan.empty((channels * length * chunks,), x.sum_dtype)
    types = [*template, x.dtype, parts.dtype, plan.index_type(x), width]
    sizes: tuple[Any, ...]
    if name == "columns":
        sizes = (outer, columns, ceil_div(outer, chunks), lanes)
        extra = (plan.fast_div(inner),) if with_inner else ()
    else:
        vectors = outer * inner // width
        sizes = (channels, vectors, plan.fast_div(inner // width), ceil_div(vectors, chunks))
        extra = ()
    plan.launch(f"{kernel}_{name}", types, *arrays, parts, *extra, *sizes, grid=(blocks, chunks))
    if not single:
        plan.launch("sum_parts", [x.dtype], parts, out, channels, length * chunks, threads=32 * channels)
    return out


@launcher("channel_sum.cu")
def channel_sum(plan: Planner, x: Operand, *, axis: int) -> Operand:
    plan.require(is_floating(x.dtype), f"dtype {x.dtype}")
    x = plan.dense(x)
    return reduce_channels(plan, "channel_sum", x, axis, [], [x])
