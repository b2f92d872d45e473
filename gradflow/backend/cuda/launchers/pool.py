"""Launchers of pooling. Images go to the kernels as (batch, height, width, channels), NCHW memory with one channel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ...dtypes import is_floating
from ..launcher import launcher
from ..plan import INT_SIZE, Operand, Planner, Struct

Pair = tuple[int, int]
LARGE = 32
"""Elements of a window from which on several threads share it."""


def _laid_out(plan: Planner, x: Operand) -> tuple[Operand, bool]:
    """x (N, C, H, W) in channels-last memory (True) or in C order, copied where it is neither."""
    plan.require(x.ndim == 4 and is_floating(x.dtype), f"x is {x.ndim}-D {x.dtype}, not a 4-D float")
    last = x.strides[1] < x.strides[3] or x.transpose(0, 2, 3, 1).is_c
    return (plan.channels_last(x) if last else plan.contiguous(x)), last


def _new(plan: Planner, shape: tuple[int, ...], dtype: Any, last: bool) -> Operand:
    return plan.empty(shape, dtype, (0, 2, 3, 1) if last else None)


def _parts(plan: Planner, last: bool, *xs: Operand) -> Iterator[tuple[Operand, ...]]:
    """Operands (N, C, H, W) as (batch, H, W, channels), in parts that kernels can count in 32 bits."""
    if 0 in [x.size for x in xs]:
        return
    images = [x.transpose(0, 2, 3, 1) if last else x.reshape(x.shape[0] * x.shape[1], *x.shape[2:], 1) for x in xs]
    most = max([x.size // x.shape[0] for x in images])
    plan.require(most < INT_SIZE, "one image has 2**31 elements or more")
    step = INT_SIZE // most
    for start in range(0, images[0].shape[0], step):
        yield tuple([x[start : start + step] for x in images])


def _taps(
    plan: Planner, size: Sequence[int], out: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> Any:
    """The kernels' Taps of both axes."""
    names = ("size", "windows", "stride", "dilation")
    return [
        plan.struct("Taps", **{n: plan.fast_div(v) for n, v in zip(names, each, strict=True)}, kernel=k, pad=p)
        for *each, k, p in zip(size, out, stride, dilation, kernel, padding, strict=True)
    ]


def _channels(plan: Planner, *parts: Operand) -> tuple[int, Struct]:
    """Channels that a thread takes in one access, 16 bytes or one, and the groups of so many."""
    channels, width = parts[0].shape[3], 16 // max([x.itemsize for x in parts])
    if channels % width or not all([x.aligned for x in parts]):
        width = 1
    return width, plan.fast_div(channels // width)


@launcher("pool.cu")
def max_pool2d(
    plan: Planner, x: Operand, *, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, out: Pair
) -> tuple[Operand, Operand]:
    x, last = _laid_out(plan, x)
    shape = (*x.shape[:2], *out)
    y = _new(plan, shape, x.dtype, last)
    where = _new(plan, shape, "u1" if kernel[0] * kernel[1] <= 256 else "i4", last)
    side = kernel[0] if kernel in ((2, 2), (3, 3)) else 0
    for a, b, c in _parts(plan, last, x, y, where):
        rows, cols = _taps(plan, x.shape[2:], out, kernel, stride, padding, dilation)
        width, channels = _channels(plan, a, b, c)
        n = b.size // width
        template = [x.dtype, where.dtype, width, side]
        plan.launch("max_pool2d", template, a, b, c, rows, cols, channels, n, threads=n)
    return y, where


@launcher("pool.cu")
def pool_place(
    plan: Planner, g: Operand, where: Operand, *, x_shape: tuple[int, ...], kernel: Pair, stride: Pair, padding: Pair,
    dilation: Pair, out: Pair,
) -> Operand:  # fmt: skip
    g, last = _laid_out(plan, g)
    where = plan.channels_last(where) if last else plan.contiguous(where)
    dx = _new(plan, x_shape, g.dtype, last)
    for a, b, c in _parts(plan, last, g, where, dx):
        rows, cols = _taps(plan, x_shape[2:], out, kernel, stride, padding, dilation)
        width, channels = _channels(plan, a, b, c)
        n = c.size // width
        plan.launch("pool_place", [g.dtype, where.dtype, width], a, b, c, rows, cols, channels, n, threads=n)
    return dx


@launcher("pool.cu")
def pool_pick(
    plan: Planner, x: Operand, where: Operand, *, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, out: Pair
) -> Operand:
    x, last = _laid_out(plan, x)
    where = plan.channels_last(where) if last else plan.contiguous(where)
    y = _new(plan, where.shape, x.dtype, last)
    across = plan.fast_div(kernel[1])
    for a, b, c in _parts(plan, last, x, where, y):
        rows, cols = _taps(plan, x.shape[2:], out, kernel, stride, padding, dilation)
        width, channels = _channels(plan, a, b, c)
        n = c.size // width
        plan.launch("pool_pick", [x.dtype, where.dtype, width], a, b, c, rows, cols, across, channels, n, threads=n)
    return y


def _walk(plan: Planner, walk: Any, size: int) -> Struct:
    """The kernels' Walk of one axis."""
    plan.require((size + walk.pad + 1) * walk.den + walk.reach + walk.step < 2**31, "too many windows to count")
    return plan.struct(
        "Walk", size=plan.fast_div(size), windows=plan.fast_div(walk.windows), step=plan.fast_div(walk.step),
        den=plan.fast_div(walk.den), reach=walk.reach, pad=walk.pad,
    )  # fmt: skip


def _divisor(size: Pair, rows: Any, cols: Any, divisor: int | None, padding: bool) -> int:
    """What all sums are divided by; 0 where windows are of different lengths."""
    if divisor is not None:
        return divisor
    down, across = {*rows.lengths(size[0], padding)}, {*cols.lengths(size[1], padding)}
    return down.pop() * across.pop() if len(down) == len(across) == 1 else 0


@launcher("pool.cu")
def avg_pool2d(plan: Planner, x: Operand, *, rows: Any, cols: Any, divisor: int | None, padding: bool) -> Operand:
    x, last = _laid_out(plan, x)
    y, size = _new(plan, (*x.shape[:2], rows.windows, cols.windows), x.dtype, last), (x.shape[2], x.shape[3])
    for a, b in _parts(plan, last, x, y):
        walks = [_walk(plan, walk, n) for walk, n in zip((rows, cols), size, strict=True)]
        by = _divisor(size, rows, cols, divisor, padding)
        if max(rows.lengths(size[0], False)) * max(cols.lengths(size[1], False)) < LARGE:
            width, channels = _channels(plan, a, b)
            n = b.size // width
            plan.launch("avg_pool2d", [x.dtype, width], a, b, *walks, channels, by, padding, n, threads=n)
            continue
        pixels, count = b.size // b.shape[3], b.shape[3]
        lanes, team = (32, 8) if count >= 16 else (1, 32)
        groups = -(-count // lanes)
        plan.launch(
            "avg_pool2d_large", [x.dtype, lanes, team], a, b, *walks, plan.fast_div(groups), count, by, padding,
            pixels * groups, threads=pixels * groups * lanes * team, block=256,
        )  # fmt: skip
    return y


@launcher("pool.cu")
def avg_pool2d_backward(
    plan: Planner, g: Operand, *, x_shape: tuple[int, ...], rows: Any, cols: Any, divisor: int | None, padding: bool
) -> Operand:
    g, last = _laid_out(plan, g)
    dx, size = _new(plan, x_shape, g.dtype, last), (x_shape[2], x_shape[3])
    for a, b in _parts(plan, last, g, dx):
        walks = [_walk(plan, walk, n) for walk, n in zip((rows, cols), size, strict=True)]
        width, channels = _channels(plan, a, b)
        n, by = b.size // width, _divisor(size, rows, cols, divisor, padding)
        plan.launch("avg_pool2d_backward", [g.dtype, width], a, b, *walks, channels, by, padding, n, threads=n)
    return dx
