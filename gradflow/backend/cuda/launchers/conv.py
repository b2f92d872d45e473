"""Launchers of 2-D convolution: columns (im2col) of a part of the batch, and a matrix product with them.

Columns have one of two layouts, in which a kernel writes them in the order of memory:

    by channels   (n, P, Q, groups, R, S, C / groups), from images in NHWC memory: one row per place of the window
    by pixels     (C, R, S, n, P, Q), from images of any strides, such as a first layer's NCHW: one row per weight

Both are matrices (or, with groups, stacks of them) that BLAS takes as they are, plain or transposed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from ...dtypes import is_floating, is_half
from ...workspace import get_conv_workspace
from ..launcher import launcher
from ..plan import INT_SIZE, Operand, Planner, Struct

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


def _geometry(x: Any, w: Any, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Geometry:
    rows, cols = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(x[2:], w[2:], stride, padding, dilation, strict=True)
    ]
    return Geometry(tuple(x), tuple(w), (rows, cols), stride, padding, dilation, groups)


# -- pieces --------------------------------------------------------------------------------------------------------


def _require_floats(plan: Planner, x: Operand) -> None:
    plan.require(is_floating(x.dtype), f"an operand of dtype {x.dtype}")


def _window(plan: Planner, g: Geometry) -> Struct:
    return plan.struct(
        "Window", size=g.x[2:], out=g.out, kernel=g.w[2:], stride=g.stride, padding=g.padding, dilation=g.dilation
    )


def _divs(plan: Planner, *divisors: int) -> list[Struct]:
    return [plan.fast_div(d) for d in divisors]


def _index(*xs: Operand) -> str:
    """C's type for counting in these, gaps between their elements included."""
    spans = [sum([abs(s) * (n - 1) for n, s in zip(x.shape, x.strides, strict=True)]) // x.itemsize for x in xs]
    return "int" if max(spans, default=0) < INT_SIZE else "long long"


def _width(channels: int, index: str, *xs: Operand) -> int:
    """How many neighbouring channels one access takes: up to 16 bytes, and no more than 4 with 64-bit indices, which
    need the registers."""
    width = 16 // xs[0].itemsize if all([x.aligned for x in xs]) else 1
    if index != "int":
        width = min(width, 4)
    return math.gcd(width, channels)


def _pixels(x: Operand) -> Operand:
    """(N, C, H, W) in channels-last memory as (N H W, C)."""
    return x.transpose(0, 2, 3, 1).reshape(-1, x.shape[1])


def _by_group(matrix: Operand, groups: int) -> Operand:
    """(rows, groups * n) as (groups, rows, n), or as it is for one group."""
    if groups == 1:
        return matrix
    (rows, cols), (a, b) = matrix.shape, matrix.strides
    return matrix.view((groups, rows, cols // groups), (cols // groups * b, a, b))


def _stack(matrix: Operand, groups: int) -> Operand:
    """(groups * m, n) as (groups, m, n), or as it is for one group."""
    return matrix if groups == 1 else matrix.reshape(groups, -1, matrix.shape[-1])


def _turned(x: Operand) -> Operand:
    """A matrix, or each of a stack, transposed."""
    return x.transpose(*range(x.ndim - 2), x.ndim - 1, x.ndim - 2)


def _write(plan: Planner, out: Operand, x: Operand, add: bool = False) -> Operand:
    """out = x, or out += x: up to 5 axes, x of any strides, out in C order; in float32 or wider."""
    missing = 5 - x.ndim
    shape, strides = (*(1,) * missing, *x.shape), (*(0,) * missing, *[s // x.itemsize for s in x.strides])
    divs = _divs(plan, *[max(n, 1) for n in shape[1:]])
    template = [x.dtype, out.dtype, _index(x, out)]
    plan.launch(
        "reorder", template, x, out, plan.struct("Strides", at=strides), *divs, add, out.size, threads=out.size
    )  # fmt: skip
    return out


def _reordered(plan: Planner, x: Operand) -> Operand:
    """x, of any strides, in a new C-contiguous buffer."""
    return _write(plan, plan.empty(x.shape, x.dtype), x)


def _add_bias(plan: Planner, y: Operand, bias: Operand) -> None:
    """y (N, K, rows, cols) in channels-last memory += bias (K,)."""
    bias = plan.contiguous(plan.cast(bias, y.dtype))
    index = _index(y)
    width = _width(y.shape[1], index, y, bias)
    count = y.size // width
    channels = plan.fast_div(max(y.shape[1] // width, 1))
    plan.launch("add_bias", [y.dtype, width, index], y, bias, channels, count, threads=count)


def _parts(g: Geometry, itemsize: int) -> Iterator[slice]:
    """Slices of the batch whose columns fit the workspace and, unless one image's do not, can be counted in 32 bits."""
    per_image = max(1, g.places * g.taps * g.groups)
    step = max(1, min(get_conv_workspace() // itemsize, INT_SIZE) // per_image)
    for start in range(0, g.x[0], step):
        yield slice(start, min(start + step, g.x[0]))


# -- columns -------------------------------------------------------------------------------------------------------


def _is_channels_last(x: Operand) -> bool:
    return x.transpose(0, 2, 3, 1).is_c


def _by_channels(x: Operand, g: Geometry) -> bool:
    """Whether the columns of x are made by channels: NHWC memory with enough channels to move several at once."""
    return _is_channels_last(x) and math.gcd(16 // x.itemsize, g.w[1]) > 1


def _columns(plan: Planner, x: Operand, g: Geometry, memory: Operand, by_channels: bool) -> Operand:
    """The columns of some images in `memory`, as (groups, n P Q, R S C / groups), or without the first for one."""
    n, (c, cg), (r, s), (rows, cols) = x.shape[0], (g.x[1], g.w[1]), g.w[2:], g.out
    columns = memory[: n * g.places * g.groups * g.taps]
    index = _index(x, columns)
    if by_channels:
        width = _width(cg, index, x, columns)
        count, template = columns.size // width, [x.dtype, width, index]
        divs = _divs(plan, cg // width, s, r, g.groups, cols, rows)
        plan.launch("im2col_channels", template, x, columns, _window(plan, g), *divs, count, threads=count)
        return _by_group(columns.reshape(n * g.places, -1), g.groups)
    width = _width(cols, index, columns)
    count, template = columns.size // width, [x.dtype, width, False, index]
    strides = plan.struct("Strides", at=[b // x.itemsize for b in x.strides])
    divs = _divs(plan, cols // width, rows, n, s, r)
    plan.launch("im2col_pixels", template, x, columns, _window(plan, g), strides, *divs, count, threads=count)
    return _turned(_stack(columns.reshape(c * r * s, -1), g.groups))


def _memory(plan: Planner, g: Geometry, dtype: Any) -> Operand:
    """Room for the columns of the largest part of the batch."""
    most = max([part.stop - part.start for part in _parts(g, dtype.itemsize)])
    return plan.empty((most * g.places * g.groups * g.taps,), dtype)


def _weight_matrix(plan: Planner, w: Operand, by_channels: bool) -> Operand:
    """w (K, C / groups, R, S) as (K, taps), in the columns' order."""
    if not by_channels:
        return plan.contiguous(w).reshape(w.shape[0], -1)
    last = w.transpose(0, 2, 3, 1)
    return (last if last.is_c else _reordered(plan, last)).reshape(w.shape[0], -1)


def _convolve(plan: Planner, x: Operand, w: Operand, g: Geometry) -> Operand:
    """x * w, in channels-last memory. Nothing is empty."""
    y = plan.empty((g.x[0], g.w[0], *g.out), x.dtype, (0, 2, 3, 1))
    if g.pointwise:
        images, weight = _pixels(plan.channels_last(x)), _stack(_weight_matrix(plan, w, False), g.groups)
        plan.matmul(_by_group(images, g.groups), _turned(weight), _by_group(_pixels(y), g.groups))
        return y
    by_channels, memory = _by_channels(x, g), _memory(plan, g, x.dtype)
    weight = _turned(_stack(_weight_matrix(plan, w, by_channels), g.groups))
    for part in _parts(g, x.itemsize):
        columns = _columns(plan, x[part], g, memory, by_channels)
        plan.matmul(columns, weight, _by_group(_pixels(y[part]), g.groups))
    return y


# -- depthwise -----------------------------------------------------------------------------------------------------


def _image_parts(*xs: Operand) -> Iterator[tuple[Operand, ...]]:
    """Slices of batches that can be counted in 32 bits, unless one image can not."""
    step = max(1, INT_SIZE // max([x.size // x.shape[0] for x in xs]))
    for start in range(0, xs[0].shape[0], step):
        yield tuple([x[start : start + step] for x in xs])


def _depthwise(plan: Planner, x: Operand, w: Operand, g: Geometry) -> Operand:
    x, weight = plan.channels_last(x), _reordered(plan, w[:, 0].transpose(1, 2, 0))
    y = plan.empty((g.x[0], g.w[0], *g.out), x.dtype, (0, 2, 3, 1))
    for images, outs in _image_parts(x, y):
        index = _index(images, outs)
        width = _width(g.groups, index, images, weight, outs)
        divs, count = _divs(plan, g.groups // width, g.out[1], g.out[0]), outs.size // width
        template = [x.dtype, width, index]
        plan.launch("depthwise", template, images, weight, outs, _window(plan, g), *divs, count, threads=count)
    return y


def _depthwise_input_grad(plan: Planner, y_grad: Operand, w: Operand, g: Geometry) -> Operand:
    y_grad, weight = plan.channels_last(y_grad), _reordered(plan, w[:, 0].transpose(1, 2, 0))
    x = plan.empty(g.x, y_grad.dtype, (0, 2, 3, 1))
    for outs, images in _image_parts(y_grad, x):
        index = _index(outs, images)
        width = _width(g.groups, index, outs, weight, images)
        divs, count = _divs(plan, g.groups // width, g.x[3], g.x[2], *g.stride), images.size // width
        template, window = [x.dtype, width, index], _window(plan, g)
        plan.launch("depthwise_input_grad", template, outs, weight, images, window, *divs, count, threads=count)
    return x


def _depthwise_weight_grad(plan: Planner, x: Operand, y_grad: Operand, g: Geometry) -> Operand:
    x, y_grad = plan.channels_last(x), plan.channels_last(y_grad)
    (r, s), c, rows = g.w[2:], g.groups, g.x[0] * g.out[0]
    per_run = max(1, rows * r * s * c // (2048 * plan.multiprocessors))  # as many threads as the device holds
    runs = -(-rows // per_run)
    partial = plan.empty((runs, r * s, c), "f4" if is_half(x.dtype) else x.dtype)
    out = plan.empty(g.w, x.dtype)
    index, divs = _index(x, y_grad, partial), _divs(plan, c, s, r, g.out[0])
    plan.launch(
        "depthwise_weight_grad", [x.dtype, index], x, y_grad, partial, _window(plan, g), *divs, per_run, rows,
        partial.size, threads=partial.size,
    )  # fmt: skip
    plan.launch("depthwise_sum_runs", [x.dtype], partial, out, runs, *_divs(plan, r * s, c), out.size, threads=out.size)
    return out


# -- launchers -----------------------------------------------------------------------------------------------------


@launcher("im2col.cu")
def conv2d(
    plan: Planner, x: Operand, w: Operand, b: Operand | None, *, stride: Pair, padding: Pair, dilation: Pair,
    groups: int,
) -> Operand:  # fmt: skip
    _require_floats(plan, x)
    g = _geometry(x.shape, w.shape, stride, padding, dilation, groups)
    if 0 in (x.size, w.size):
        y = plan.zeros((g.x[0], g.w[0], *g.out), x.dtype, (0, 2, 3, 1))
    else:
        y = _depthwise(plan, x, w, g) if g.depthwise else _convolve(plan, x, w, g)
    if b is not None and y.size:
        _add_bias(plan, y, b)
    return y


@launcher("im2col.cu")
def conv2d_input_grad(
    plan: Planner, y_grad: Operand, w: Operand, *, x_shape: tuple[int, ...], stride: Pair, padding: Pair,
    dilation: Pair, groups: int,
) -> Operand:  # fmt: skip
    """At stride 1 a convolution with the flipped weights; else the columns' cotangents, added back."""
    _require_floats(plan, y_grad)
    g = _geometry(x_shape, w.shape, stride, padding, dilation, groups)
    (k, _, r, s), c = g.w, g.x[1]
    if 0 in (y_grad.size, w.size):
        return plan.zeros(x_shape, y_grad.dtype, (0, 2, 3, 1))
    if g.pointwise:
        x = plan.empty(g.x, y_grad.dtype, (0, 2, 3, 1))
        outs, weight = _pixels(plan.channels_last(y_grad)), _stack(_weight_matrix(plan, w, False), groups)
        plan.matmul(_by_group(outs, groups), weight, _by_group(_pixels(x), groups))
        return x
    back = (dilation[0] * (r - 1) - padding[0], dilation[1] * (s - 1) - padding[1])
    if stride == (1, 1) and min(back) >= 0:
        mirrored, kg = w[:, :, ::-1, ::-1], k // groups
        flipped = mirrored.view((groups, kg, *w.shape[1:]), (kg * w.strides[0], *mirrored.strides))
        turned = _geometry(y_grad.shape, (c, kg, r, s), (1, 1), back, dilation, groups)
        flipped = _reordered(plan, flipped.transpose(0, 2, 1, 3, 4)).reshape(*turned.w)
        return _depthwise(plan, y_grad, flipped, turned) if g.depthwise else _convolve(plan, y_grad, flipped, turned)
    return _depthwise_input_grad(plan, y_grad, w, g) if g.depthwise else _added_back(plan, y_grad, w, g)


def _added_back(plan: Planner, y_grad: Operand, w: Operand, g: Geometry) -> Operand:
    """col2im of y_grad @ w: x's cotangent at any stride."""
    cg = g.w[1]
    x = plan.empty(g.x, y_grad.dtype, (0, 2, 3, 1))
    y_grad, weight = plan.channels_last(y_grad), _stack(_weight_matrix(plan, w, True), g.groups)
    memory = _memory(plan, g, x.dtype)
    for part in _parts(g, x.itemsize):
        images, outs = x[part], _pixels(y_grad[part])
        columns = memory[: outs.shape[0] * g.groups * g.taps]
        plan.matmul(_by_group(outs, g.groups), weight, _by_group(columns.reshape(outs.shape[0], -1), g.groups))
        index = _index(columns, images)
        width = _width(cg, index, columns, images)
        divs, count = _divs(plan, cg // width, g.groups, g.x[3], g.x[2], *g.stride), images.size // width
        template, window = [x.dtype, width, index], _window(plan, g)
        plan.launch("col2im_channels", template, columns, images, window, *divs, count, threads=count)
    return x


@launcher("im2col.cu")
def conv2d_weight_grad(
    plan: Planner, x: Operand, y_grad: Operand, *, w_shape: tuple[int, ...], stride: Pair, padding: Pair,
    dilation: Pair, groups: int,
) -> Operand:  # fmt: skip
    _require_floats(plan, x)
    g = _geometry(x.shape, w_shape, stride, padding, dilation, groups)
    if 0 in (x.size, y_grad.size, math.prod(w_shape)):
        return plan.zeros(w_shape, x.dtype)
    if g.depthwise:
        return _depthwise_weight_grad(plan, x, y_grad, g)
    y_grad = plan.channels_last(y_grad)
    if g.pointwise:
        total = plan.empty(g.w[:2], x.dtype)
        images, outs = _pixels(plan.channels_last(x)), _pixels(y_grad)
        plan.matmul(_turned(_by_group(outs, groups)), _by_group(images, groups), _stack(total, groups))
        return total.reshape(*w_shape)
    return _weight_grad(plan, x, y_grad, g)


def _weight_grad(plan: Planner, x: Operand, y_grad: Operand, g: Geometry) -> Operand:
    """y_grad^T @ columns, summed over the parts of the batch in float32 or wider, as (K, C / groups, R, S)."""
    (k, cg, r, s), parts = g.w, list(_parts(g, x.itemsize))
    memory, product = _memory(plan, g, x.dtype), plan.empty((k, g.taps), x.dtype)
    by_channels, several = _by_channels(x, g), len(parts) > 1
    total = ordered = product.reshape(k, r, s, cg).transpose(0, 3, 1, 2) if by_channels else product.reshape(*g.w)
    if by_channels or several:
        total = plan.empty(g.w, "f4" if several and is_half(x.dtype) else x.dtype)
    for part in parts:
        outs = _turned(_by_group(_pixels(y_grad[part]), g.groups))
        plan.matmul(outs, _columns(plan, x[part], g, memory, by_channels), _stack(product, g.groups))
        if total is not ordered:
            _write(plan, total, ordered, add=part.start > 0)
    return plan.cast(total, x.dtype)


@launcher("im2col.cu")
def unfold(
    plan: Planner, x: Operand, *, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> Operand:  # fmt: skip
    _require_floats(plan, x)
    n, c, _, _ = x.shape
    g = _geometry(x.shape, (1, c, *kernel), stride, padding, dilation, 1)
    out = plan.empty((n, g.taps, g.places), x.dtype)
    if not out.size:
        return out
    index = _index(x, out)
    width = _width(g.out[1], index, out)
    count, template = out.size // width, [x.dtype, width, True, index]
    strides = plan.struct("Strides", at=[b // x.itemsize for b in x.strides])
    divs = _divs(plan, g.out[1] // width, g.out[0], g.taps, kernel[1], kernel[0])
    plan.launch("im2col_pixels", template, x, out, _window(plan, g), strides, *divs, count, threads=count)
    return out


@launcher("im2col.cu")
def fold(
    plan: Planner, columns: Operand, *, size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> Operand:
    _require_floats(plan, columns)
    n, c = columns.shape[0], columns.shape[1] // math.prod(kernel)
    g = _geometry((n, c, *size), (1, c, *kernel), stride, padding, dilation, 1)
    out = plan.empty(g.x, columns.dtype)
    if not out.size:
        return out
    columns, window, divs = plan.contiguous(columns), _window(plan, g), _divs(plan, size[1], size[0], *stride)
    template = [out.dtype, _index(columns, out)]
    plan.launch("col2im_pixels", template, columns, out, window, *divs, out.size, threads=out.size)
    return out
