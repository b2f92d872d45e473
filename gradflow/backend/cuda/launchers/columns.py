"""What the launchers of convolution share: its geometry, and columns (im2col) of a part of the batch.

Columns have one of two layouts, in which a kernel writes them in the order of memory:

    by channels   (n, P, Q, groups, R, S, C / groups), from images in NHWC memory: one row per place of the window
    by pixels     (C, R, S, n, P, Q), from images of any strides, such as a first layer's NCHW: one row per weight

Both are matrices (or, with groups, stacks of them) that BLAS takes as they are, plain or transposed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...windows import out_size
from ...workspace import get_conv_workspace
from ..operand import Operand
from ..plan import INT_SIZE, Planner, Struct

Pair = tuple[int, int]


class Geometry(NamedTuple):
    """One convolution: images (N, C, H, W), weights (K, C / groups, R, S), the outputs' rows and columns."""

    x: tuple[int, ...]
    w: tuple[int, ...]
    out: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int

    @property
    def taps(self) -> int:
        """Columns per group: R S C / groups."""
        return math.prod(self.w[1:])

    @property
    def places(self) -> int:
        """Places of the window in an image."""
        return math.prod(self.out)

    @property
    def pointwise(self) -> bool:
        """Whether images are their own columns."""
        return self.w[2:] == (1, 1) and self.stride == (1, 1) and self.padding == (0, 0)

    @property
    def depthwise(self) -> bool:
        """Whether each channel has one weight of its own, as in a depthwise convolution."""
        return self.x[1] == self.w[0] == self.groups > 1


def geometry(x: Any, w: Any, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Geometry:
    out = out_size(x[2:], w[2:], stride, padding, dilation)
    return Geometry(tuple(x), tuple(w), out, stride, padding, dilation, groups)


def window_of(plan: Planner, g: Geometry) -> Struct:
    longest = max([n + 2 * p for n, p in zip(g.x[2:], g.padding, strict=True)])
    plan.require(max(longest, *g.stride, *g.dilation) < 2**31, "rows, columns or a stride of 2**31 or more")
    return plan.struct(
        "Window", size=g.x[2:], out=g.out, kernel=g.w[2:], stride=g.stride, padding=g.padding, dilation=g.dilation
    )


def divs_of(plan: Planner, *divisors: int) -> list[Struct]:
    return [plan.fast_div(d) for d in divisors]


def index_of(*xs: Operand) -> str:
    """C's type for counting in these, gaps between their elements included."""
    spans = [sum([abs(s) * (n - 1) for n, s in zip(x.shape, x.strides, strict=True)]) // x.itemsize for x in xs]
    return "int" if max(spans, default=0) < INT_SIZE else "long long"


def width_of(channels: int, index: str, *xs: Operand) -> int:
    """How many neighbouring channels one access takes: up to 16 bytes, and no more than 4 with 64-bit indices, which
    need the registers."""
    width = 16 // xs[0].itemsize if all([x.aligned for x in xs]) else 1
    if index != "int":
        width = min(width, 4)
    return math.gcd(width, channels)


def pixels(x: Operand) -> Operand:
    """(N, C, H, W) in channels-last memory as (N H W, C)."""
    return x.transpose(0, 2, 3, 1).reshape(-1, x.shape[1])


def by_group(matrix: Operand, groups: int) -> Operand:
    """(rows, groups * n) as (groups, rows, n), or as it is for one group."""
    if groups == 1:
        return matrix
    (rows, cols), (a, b) = matrix.shape, matrix.strides
    return matrix.view((groups, rows, cols // groups), (cols // groups * b, a, b))


def stack(matrix: Operand, groups: int) -> Operand:
    """(groups * m, n) as (groups, m, n), or as it is for one group."""
    return matrix if groups == 1 else matrix.reshape(groups, -1, matrix.shape[-1])


def grouped(w: Operand, groups: int) -> Operand:
    """Weights (K, C / groups, R, S) of any strides as (groups, K / groups, C / groups, R, S)."""
    k = w.shape[0] // groups
    return w.view((groups, k, *w.shape[1:]), (k * w.strides[0], *w.strides))


def turned(x: Operand) -> Operand:
    """A matrix, or each of a stack, transposed."""
    return x.transpose(*range(x.ndim - 2), x.ndim - 1, x.ndim - 2)


def write(plan: Planner, out: Operand, x: Operand, add: bool = False) -> Operand:
    """out = x, or out += x: up to 5 axes, x of any strides, out in C order; in float32 or wider."""
    missing = 5 - x.ndim
    shape, strides = (*(1,) * missing, *x.shape), (*(0,) * missing, *[s // x.itemsize for s in x.strides])
    divs = divs_of(plan, *[max(n, 1) for n in shape[1:]])
    template = [x.dtype, out.dtype, index_of(x, out)]
    plan.launch(
        "reorder", template, x, out, plan.struct("Strides", at=strides), *divs, add, out.size, threads=out.size
    )  # fmt: skip
    return out


def reordered(plan: Planner, x: Operand) -> Operand:
    """x, of any strides, in a new C-contiguous buffer."""
    return write(plan, plan.empty(x.shape, x.dtype), x)


def parts_of(g: Geometry, itemsize: int) -> list[slice]:
    """Slices of the batch, of nearly one length, whose columns fit the workspace and, unless one image's do not, can be
    counted in 32 bits."""
    most = max(1, min(get_conv_workspace() // itemsize, INT_SIZE) // (g.places * g.taps * g.groups))
    step = -(-g.x[0] // -(-g.x[0] // most))
    return [slice(start, min(start + step, g.x[0])) for start in range(0, g.x[0], step)]


def image_parts(*xs: Operand) -> Iterator[tuple[Operand, ...]]:
    """Slices of batches that can be counted in 32 bits, unless one image can not."""
    step = max(1, INT_SIZE // max([x.size // x.shape[0] for x in xs]))
    for start in range(0, xs[0].shape[0], step):
        yield tuple([x[start : start + step] for x in xs])


# -- columns -------------------------------------------------------------------------------------------------------


def column_bytes(g: Geometry, dtype: np.dtype) -> int:
    """What the columns of all images take."""
    return g.x[0] * g.places * g.groups * g.taps * dtype.itemsize


def is_channels_last(x: Operand) -> bool:
    return x.transpose(0, 2, 3, 1).is_c


def are_by_channels(x: Operand, g: Geometry) -> bool:
    """Whether the columns of x are made by channels: NHWC memory with enough channels to move several at once."""
    return is_channels_last(x) and math.gcd(16 // x.itemsize, g.w[1]) > 1


def columns_of(plan: Planner, x: Operand, g: Geometry, memory: Operand, by_channels: bool) -> Operand:
    """The columns of some images in `memory`, as (groups, n P Q, R S C / groups), or without the first for one."""
    n, (c, cg), (r, s), (rows, cols) = x.shape[0], (g.x[1], g.w[1]), g.w[2:], g.out
    columns = memory[: n * g.places * g.groups * g.taps]
    index = index_of(x, columns)
    if by_channels:
        width = width_of(cg, index, x, columns)
        count, template = columns.size // width, [x.dtype, width, index]
        divs = divs_of(plan, cg // width, s, r, g.groups, cols, rows)
        plan.launch("im2col_channels", template, x, columns, window_of(plan, g), *divs, count, threads=count)
        return by_group(columns.reshape(n * g.places, -1), g.groups)
    width = width_of(cols, index, columns)
    count, template = columns.size // width, [x.dtype, width, False, index]
    strides = plan.struct("Strides", at=[b // x.itemsize for b in x.strides])
    divs = divs_of(plan, cols // width, rows, n, s, r)
    plan.launch("im2col_pixels", template, x, columns, window_of(plan, g), strides, *divs, count, threads=count)
    return turned(stack(columns.reshape(c * r * s, -1), g.groups))


def column_memory(plan: Planner, g: Geometry, parts: Sequence[slice], dtype: Any) -> Operand:
    """Room for the columns of the largest part of the batch, which is the first."""
    return plan.empty((parts[0].stop * g.places * g.groups * g.taps,), dtype)


def weight_matrix(plan: Planner, w: Operand, by_channels: bool) -> Operand:
    """w (groups, K / groups, C / groups, R, S) of any strides as (groups, K / groups, taps), in the columns' order, or
    without the first for one group."""
    groups, k = w.shape[:2]
    w = w.transpose(0, 1, 3, 4, 2) if by_channels else w
    return stack((w if w.is_c else reordered(plan, w)).reshape(groups * k, -1), groups)
