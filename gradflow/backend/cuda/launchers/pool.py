"""Launchers of pooling. Images go to the kernels as (batch, height, width, channels), NCHW memory with one channel."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from ..launcher import launcher
from ..operand import Operand
from ..plan import INT_SIZE, Planner, Struct

Pair = tuple[int, int]
LARGE, HUGE = 32, 4096
"""Elements of a window from which on some threads share it, and all of a block."""


def _is_last(x: Operand) -> bool:
    """Whether x (N, C, H, W) is to be taken in channels-last memory rather than in C order."""
    return x.strides[1] < x.strides[3] or x.transpose(0, 2, 3, 1).is_c


def _laid_out(plan: Planner, last: bool, *xs: Operand) -> list[Operand]:
    """The first of which holds floats, in channels-last memory or in C order, copied where they are not."""
    plan.require_floats(xs[0])
    return [plan.channels_last(x) if last else plan.contiguous(x) for x in xs]


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
    plan.require(max(*kernel, *stride, *dilation) < 2**31, "a window or stride of 2**31 or more")
    names = ("size", "windows", "stride", "dilation")
    return [
        plan.struct("Taps", **{n: plan.fast_div(v) for n, v in zip(names, each, strict=True)}, kernel=k, pad=p)
        for *each, k, p in zip(size, out, stride, dilation, kernel, padding, strict=True)
    ]


def _channels(plan: Planner, *parts: Operand) -> tuple[int, Struct]:
    """Channels that a thread takes in one access of up to 16 bytes, and the groups of so many."""
    channels, width = parts[0].shape[3], 16 // max([x.itemsize for x in parts])
    width = math.gcd(channels, width) if all([x.aligned for x in parts]) else 1
    return width, plan.fast_div(channels // width)


@launcher("pool.cu")
def max_pool2d(
    plan: Planner, x: Operand, *, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, out: Pair
) -> tuple[Operand, Operand]:
    last = _is_last(x)
    [x], shape = _laid_out(plan, last, x), (*x.shape[:2], *out)
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
    last = _is_last(where)  # as the images were: g may come in another layout, from where the images were flattened
    g, where = _laid_out(plan, last, g, where)
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
    last = _is_last(where)
    x, where = _laid_out(plan, last, x, where)
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


def _divisor(plan: Planner, size: Pair, rows: Any, cols: Any, divisor: int | None, padding: bool) -> int:
    """What all sums are divided by; 0 where windows are of different lengths."""
    down, across = {*rows.lengths(size[0], padding)}, {*cols.lengths(size[1], padding)}
    most = max(down) * max(across) if divisor is None else divisor
    plan.require(-(2**31) <= most < 2**31, "a divisor of 2**31 or more")
    return most if divisor is not None or len(down) == len(across) == 1 else 0


@launcher("pool.cu")
def avg_pool2d(plan: Planner, x: Operand, *, rows: Any, cols: Any, divisor: int | None, padding: bool) -> Operand:
    last = _is_last(x)
    [x] = _laid_out(plan, last, x)
    y, size = _new(plan, (*x.shape[:2], rows.windows, cols.windows), x.dtype, last), (x.shape[2], x.shape[3])
    for a, b in _parts(plan, last, x, y):
        walks = [_walk(plan, walk, n) for walk, n in zip((rows, cols), size, strict=True)]
        by = _divisor(plan, size, rows, cols, divisor, padding)
        area = max(rows.lengths(size[0], False)) * max(cols.lengths(size[1], False))
        if area < LARGE:
            width, channels = _channels(plan, a, b)
            n = b.size // width
            plan.launch("avg_pool2d", [x.dtype, width], a, b, *walks, channels, by, padding, n, threads=n)
            continue
        pixels, count = b.size // b.shape[3], b.shape[3]
        lanes, team = (32, 8) if count >= 16 else (1, 32 if area < HUGE else 256)
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
    [g], size = _laid_out(plan, True, g), (x_shape[2], x_shape[3])  # channels last, as convolutions take cotangents
    dx = _new(plan, x_shape, g.dtype, True)
    for a, b in _parts(plan, True, g, dx):
        walks = [_walk(plan, walk, n) for walk, n in zip((rows, cols), size, strict=True)]
        width, channels = _channels(plan, a, b)
        n, by = b.size // width, _divisor(plan, size, rows, cols, divisor, padding)
        plan.launch("avg_pool2d_backward", [g.dtype, width], a, b, *walks, channels, by, padding, n, threads=n)
    return dx
