"""Launchers of 2-D convolution: columns of a part of the batch and a matrix product with them, see `columns`."""

from __future__ import annotations

import math

from ..launcher import launcher
from ..operand import Operand
from ..plan import Planner
from .columns import (
    Geometry,
    Pair,
    are_by_channels,
    by_group,
    column_bytes,
    column_memory,
    columns_of,
    divs_of,
    geometry,
    grouped,
    image_parts,
    index_of,
    parts_of,
    pixels,
    reordered,
    stack,
    turned,
    weight_matrix,
    width_of,
    window_of,
    write,
)

MOST_RUNS = 256
"""Parts of a depthwise convolution's weight gradient, which one thread per weight adds."""


def _add_bias(plan: Planner, y: Operand, bias: Operand) -> None:
    """y (N, K, rows, cols) in channels-last memory += bias (K,)."""
    bias = plan.contiguous(plan.cast(bias, y.dtype))
    index = index_of(y)
    width = width_of(y.shape[1], index, y, bias)
    count = y.size // width
    channels = plan.fast_div(max(y.shape[1] // width, 1))
    plan.launch("add_bias", [y.dtype, width, index], y, bias, channels, count, threads=count)


def _convolve(plan: Planner, x: Operand, w: Operand, g: Geometry) -> Operand:
    """x * w, with w as `weight_matrix` takes it, in channels-last memory. Nothing is empty."""
    y = plan.empty((g.x[0], g.w[0], *g.out), x.dtype, (0, 2, 3, 1))
    if g.pointwise:
        images, weight = pixels(plan.channels_last(x)), weight_matrix(plan, w, False)
        plan.matmul(by_group(images, g.groups), turned(weight), by_group(pixels(y), g.groups))
        return y
    by_channels, parts = are_by_channels(x, g), parts_of(g, x.itemsize)
    weight, memory = turned(weight_matrix(plan, w, by_channels)), column_memory(plan, g, parts, x.dtype)
    for part in parts:
        columns = columns_of(plan, x[part], g, memory, by_channels)
        plan.matmul(columns, weight, by_group(pixels(y[part]), g.groups))
    return y


# -- depthwise -----------------------------------------------------------------------------------------------------


def _depthwise(plan: Planner, x: Operand, w: Operand, g: Geometry) -> Operand:
    x, weight = plan.channels_last(x), reordered(plan, w[:, 0].transpose(1, 2, 0))
    y = plan.empty((g.x[0], g.w[0], *g.out), x.dtype, (0, 2, 3, 1))
    for images, outs in image_parts(x, y):
        index = index_of(images, outs)
        width = width_of(g.groups, index, images, weight, outs)
        divs, count = divs_of(plan, g.groups // width, g.out[1], g.out[0]), outs.size // width
        template = [x.dtype, width, index]
        plan.launch("depthwise", template, images, weight, outs, window_of(plan, g), *divs, count, threads=count)
    return y


def _depthwise_input_grad(plan: Planner, y_grad: Operand, w: Operand, g: Geometry) -> Operand:
    y_grad, weight = plan.channels_last(y_grad), reordered(plan, w[:, 0].transpose(1, 2, 0))
    x = plan.empty(g.x, y_grad.dtype, (0, 2, 3, 1))
    for outs, images in image_parts(y_grad, x):
        index = index_of(outs, images)
        width = width_of(g.groups, index, outs, weight, images)
        divs, count = divs_of(plan, g.groups // width, g.x[3], g.x[2], *g.stride), images.size // width
        template, window = [x.dtype, width, index], window_of(plan, g)
        plan.launch("depthwise_input_grad", template, outs, weight, images, window, *divs, count, threads=count)
    return x


def _depthwise_weight_grad(plan: Planner, x: Operand, y_grad: Operand, g: Geometry) -> Operand:
    x, y_grad = plan.channels_last(x), plan.channels_last(y_grad)
    (r, s), c, rows = g.w[2:], g.groups, g.x[0] * g.out[0]
    # As many threads as the device holds, unless that makes more sums than one thread can well add.
    per_run = max(1, rows * r * s * c // (2048 * plan.multiprocessors), -(-rows // MOST_RUNS))
    runs = -(-rows // per_run)
    partial = plan.empty((runs, r * s, c), x.sum_dtype)
    out = plan.empty(g.w, x.dtype)
    index, divs = index_of(x, y_grad, partial), divs_of(plan, c, s, r, g.out[0])
    plan.launch(
        "depthwise_weight_grad", [x.dtype, index], x, y_grad, partial, window_of(plan, g), *divs, per_run, rows,
        partial.size, threads=partial.size,
    )  # fmt: skip
    plan.launch(
        "depthwise_sum_runs", [x.dtype], partial, out, runs, *divs_of(plan, r * s, c), out.size, threads=out.size
    )
    return out


# -- launchers -----------------------------------------------------------------------------------------------------


@launcher("im2col.cu")
def conv2d(
    plan: Planner, x: Operand, w: Operand, b: Operand | None, *, stride: Pair, padding: Pair, dilation: Pair,
    groups: int,
) -> Operand:  # fmt: skip
    plan.require_floats(x)
    g = geometry(x.shape, w.shape, stride, padding, dilation, groups)
    if 0 in (x.size, w.size):
        y = plan.zeros((g.x[0], g.w[0], *g.out), x.dtype, (0, 2, 3, 1))
    else:
        y = _depthwise(plan, x, w, g) if g.depthwise else _convolve(plan, x, grouped(w, groups), g)
    if b is not None and y.size:
        _add_bias(plan, y, b)
    return y


@launcher("im2col.cu")
def conv2d_input_grad(
    plan: Planner, y_grad: Operand, w: Operand, *, x_shape: tuple[int, ...], stride: Pair, padding: Pair,
    dilation: Pair, groups: int,
) -> Operand:  # fmt: skip
    """At stride 1 a convolution with the flipped weights; else, or where that takes far more memory, the columns'
    cotangents, added back."""
    plan.require_floats(y_grad)
    g = geometry(x_shape, w.shape, stride, padding, dilation, groups)
    if 0 in (y_grad.size, w.size, math.prod(x_shape)):
        return plan.zeros(x_shape, y_grad.dtype, (0, 2, 3, 1))
    if g.pointwise:
        x = plan.empty(g.x, y_grad.dtype, (0, 2, 3, 1))
        outs, weight = pixels(plan.channels_last(y_grad)), weight_matrix(plan, grouped(w, groups), False)
        plan.matmul(by_group(outs, groups), weight, by_group(pixels(x), groups))
        return x
    back = (dilation[0] * (w.shape[2] - 1) - padding[0], dilation[1] * (w.shape[3] - 1) - padding[1])
    if stride == (1, 1) and min(back) >= 0:
        mirrored, kg = w[:, :, ::-1, ::-1], w.shape[0] // groups
        flipped = geometry(y_grad.shape, (g.x[1], kg, *w.shape[2:]), (1, 1), back, dilation, groups)
        if g.depthwise:
            return _depthwise(plan, y_grad, mirrored, flipped)
        if column_bytes(flipped, y_grad.dtype) < 2 * column_bytes(g, y_grad.sum_dtype):
            return _convolve(plan, y_grad, grouped(mirrored, groups).transpose(0, 2, 1, 3, 4), flipped)
    return _depthwise_input_grad(plan, y_grad, w, g) if g.depthwise else _added_back(plan, y_grad, w, g)


def _added_back(plan: Planner, y_grad: Operand, w: Operand, g: Geometry) -> Operand:
    """col2im of y_grad @ w, in float32 or wider: x's cotangent at any stride."""
    cg = g.w[1]
    x = plan.empty(g.x, y_grad.dtype, (0, 2, 3, 1))
    y_grad, weight = plan.channels_last(y_grad), weight_matrix(plan, grouped(w, g.groups), True)
    parts = parts_of(g, x.sum_dtype.itemsize)
    memory = column_memory(plan, g, parts, x.sum_dtype)
    for part in parts:
        images, outs = x[part], pixels(y_grad[part])
        columns = memory[: outs.shape[0] * g.groups * g.taps]
        plan.matmul(by_group(outs, g.groups), weight, by_group(columns.reshape(outs.shape[0], -1), g.groups))
        index = index_of(columns, images)
        width = width_of(cg, index, columns, images)
        divs, count = divs_of(plan, cg // width, g.groups, g.x[3], g.x[2], *g.stride), images.size // width
        template, window = [x.dtype, width, index], window_of(plan, g)
        plan.launch("col2im_channels", template, columns, images, window, *divs, count, threads=count)
    return x


@launcher("im2col.cu")
def conv2d_weight_grad(
    plan: Planner, x: Operand, y_grad: Operand, *, w_shape: tuple[int, ...], stride: Pair, padding: Pair,
    dilation: Pair, groups: int,
) -> Operand:  # fmt: skip
    plan.require_floats(x)
    g = geometry(x.shape, w_shape, stride, padding, dilation, groups)
    if 0 in (x.size, y_grad.size, math.prod(w_shape)):
        return plan.zeros(w_shape, x.dtype)
    if g.depthwise:
        return _depthwise_weight_grad(plan, x, y_grad, g)
    y_grad = plan.channels_last(y_grad)
    if g.pointwise:
        total = plan.empty(g.w[:2], x.dtype)
        images, outs = pixels(plan.channels_last(x)), pixels(y_grad)
        plan.matmul(turned(by_group(outs, groups)), by_group(images, groups), stack(total, groups))
        return total.reshape(*w_shape)
    return _weight_grad(plan, x, y_grad, g)


def _weight_grad(plan: Planner, x: Operand, y_grad: Operand, g: Geometry) -> Operand:
    """y_grad^T @ columns, summed over the parts of the batch in float32 or wider, as (K, C / groups, R, S)."""
    (k, cg, r, s), parts, by_channels = g.w, parts_of(g, x.itemsize), are_by_channels(x, g)
    dtype = x.sum_dtype if len(parts) > 1 else x.dtype
    memory, product = column_memory(plan, g, parts, x.dtype), plan.empty((k, g.taps), dtype)
    total = ordered = product.reshape(k, r, s, cg).transpose(0, 3, 1, 2) if by_channels else product.reshape(*g.w)
    if by_channels or len(parts) > 1:
        total = plan.empty(g.w, dtype)
    for part in parts:
        outs = turned(by_group(pixels(y_grad[part]), g.groups))
        plan.matmul(outs, columns_of(plan, x[part], g, memory, by_channels), stack(product, g.groups))
        if total is not ordered:
            write(plan, total, ordered, add=part.start > 0)
    return plan.cast(total, x.dtype)


@launcher("im2col.cu")
def unfold(
    plan: Planner, x: Operand, *, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> Operand:  # fmt: skip
    plan.require_floats(x)
    n, c, _, _ = x.shape
    g = geometry(x.shape, (1, c, *kernel), stride, padding, dilation, 1)
    out = plan.empty((n, g.taps, g.places), x.dtype)
    if not out.size:
        return out
    if x.strides[3] != x.itemsize and kernel != (1, 1):
        x = plan.contiguous(x)  # rows are read R S times, and apart they would take several accesses each time
    index = index_of(x, out)
    width = width_of(g.out[1], index, out)
    count, template = out.size // width, [x.dtype, width, True, index]
    strides = plan.struct("Strides", at=[b // x.itemsize for b in x.strides])
    divs = divs_of(plan, g.out[1] // width, g.out[0], g.taps, kernel[1], kernel[0])
    plan.launch("im2col_pixels", template, x, out, window_of(plan, g), strides, *divs, count, threads=count)
    return out


@launcher("im2col.cu")
def fold(
    plan: Planner, columns: Operand, *, size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> Operand:
    plan.require_floats(columns)
    n, c = columns.shape[0], columns.shape[1] // math.prod(kernel)
    g = geometry((n, c, *size), (1, c, *kernel), stride, padding, dilation, 1)
    out = plan.empty(g.x, columns.dtype)
    if not out.size:
        return out
    columns, window, divs = plan.contiguous(columns), window_of(plan, g), divs_of(plan, size[1], size[0], *stride)
    template = [out.dtype, index_of(columns, out)]
    plan.launch("col2im_pixels", template, columns, out, window, *divs, out.size, threads=out.size)
    return out
