"""2-D convolution by im2col, in batch chunks: no columns are kept.

Three primitives, each bilinear and each the transpose of the others in one argument, so that they are one another's
vjps and derivatives of every order come for free:

    conv2d(x, w)               y = x * w
    conv2d_input_grad(g, w)    x's cotangent of y's cotangent g (a transposed convolution)
    conv2d_weight_grad(x, g)   w's cotangent of g

and two more, each linear and the transpose of the other: unfold (im2col as an op of its own) and fold (col2im).

Arrays are (N, C, H, W) and weights (K, C / groups, R, S), whatever their memory; results are laid out channels-last
(N, H, W, C), where the columns of a pixel lie together, as the next convolution prefers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from ..autograd.batch import fold as join_batch
from ..autograd.batch import loop
from ..autograd.define import primitive
from ..autograd.primitive import BIND, bind
from ..autograd.value import shape_of
from ..backend.threads import spread
from ..backend.windows import out_size
from ..backend.workspace import get_conv_workspace
from .elementwise import wide

Pair = tuple[int, int]
CACHE = 1 << 19
"""Bytes of columns that a thread of a CPU makes at a time, if more than one image has so many."""


class Geometry(NamedTuple):
    """Sizes of one convolution: the window walks over a padded (N, H, W, C) image."""

    x_shape: tuple[int, ...]
    w_shape: tuple[int, ...]
    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int

    @property
    def out(self) -> Pair:
        """Rows and columns of the output."""
        return out_size(self.x_shape[2:], self.w_shape[2:], self.stride, self.padding, self.dilation)

    @property
    def padded(self) -> Pair:
        """Rows and columns of the padded image."""
        return (self.x_shape[2] + 2 * self.padding[0], self.x_shape[3] + 2 * self.padding[1])


def chunks(np: Any, geometry: Geometry, itemsize: int) -> Iterator[slice]:
    """Slices of the batch whose columns fit the workspace: a CPU's cache, or a share of a GPU's memory."""
    rows, cols = geometry.out
    per_image = rows * cols * geometry.w_shape[1] * geometry.groups * geometry.w_shape[2] * geometry.w_shape[3]
    limit = CACHE if np.__name__ == "numpy" else get_conv_workspace()
    step = max(1, limit // max(1, per_image * itemsize))
    for start in range(0, geometry.x_shape[0], step):
        yield slice(start, min(start + step, geometry.x_shape[0]))


def run_chunks(np: Any, parts: Iterator[slice], work: Callable[[Sequence[slice]], Any]) -> list[Any]:
    """`work` on all chunks: side by side in threads on a CPU, one after the other on a GPU's stream."""
    return spread(work, parts) if np.__name__ == "numpy" else [work(list(parts))]


def pad_image(np: Any, x: Any, padding: Pair) -> Any:
    """(n, H, W, C) with zeros around it; x itself where there is no padding."""
    p, q = padding
    if not p and not q:
        return x
    n, h, w, c = x.shape
    out = np.zeros((n, h + 2 * p, w + 2 * q, c), x.dtype)
    out[:, p : p + h, q : q + w] = x
    return out


def columns(np: Any, x: Any, geometry: Geometry) -> Any:
    """im2col of (n, H, W, C), padded: (groups, n * rows * cols, R * S * C / groups).

    One copy through a strided view. Where few channels make a pixel's window short runs, the copy is made the other
    way round, along the image's rows, and returned transposed, which BLAS reads as well.
    """
    n = x.shape[0]
    _, cg, r, s = geometry.w_shape
    (rows, cols), groups = geometry.out, geometry.groups
    (sh, sw), (dh, dw) = geometry.stride, geometry.dilation
    a, b, c, d = x.strides
    along_pixels = s * cg < cols
    if along_pixels:
        shape = (groups, r, s, cg, n, rows, cols)
        strides = (d * cg, b * dh, c * dw, d, a, b * sh, c * sw)
    else:
        shape = (groups, n, rows, cols, r, s, cg)
        strides = (d * cg, a, b * sh, c * sw, b * dh, c * dw, d)
    if 0 in shape:
        return np.zeros((groups, n * rows * cols, r * s * cg), x.dtype)
    view = np.lib.stride_tricks.as_strided(x, shape, strides)
    if along_pixels:
        return np.ascontiguousarray(view).reshape(groups, r * s * cg, n * rows * cols).transpose(0, 2, 1)
    return np.ascontiguousarray(view).reshape(groups, n * rows * cols, r * s * cg)


def grouped_weight(w: Any, groups: int) -> Any:
    """(K, C/g, R, S) -> (g, R * S * C/g, K/g)."""
    k, cg, r, s = w.shape
    return w.reshape(groups, k // groups, cg, r, s).transpose(0, 3, 4, 2, 1).reshape(groups, r * s * cg, k // groups)


def channels_last(x: Any) -> Any:
    return x.transpose(0, 2, 3, 1)


def grouped_pixels(g: Any, groups: int) -> Any:
    """(n, rows, cols, K) -> (g, n * rows * cols, K/g)."""
    n, rows, cols, k = g.shape
    return g.reshape(n * rows * cols, groups, k // groups).transpose(1, 0, 2)


def convolve(
    np: Any, x: Any, w: Any, b: Any, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Any:  # fmt: skip
    """conv2d on raw arrays, a chunk of the batch at a time."""
    geometry = Geometry(tuple(x.shape), tuple(w.shape), stride, padding, dilation, groups)
    (rows, cols), (n, k) = geometry.out, (x.shape[0], w.shape[0])
    weight = wide(grouped_weight(w, groups))
    y = np.empty((n, rows, cols, k), x.dtype)

    def work(parts: Sequence[slice]) -> None:
        for part in parts:
            image = pad_image(np, channels_last(x[part]), padding)
            pixels = wide(columns(np, image, geometry))
            if groups == 1 and y.dtype == pixels.dtype:
                np.matmul(pixels[0], weight[0], out=y[part].reshape(pixels.shape[1], k))
            else:
                y[part] = np.matmul(pixels, weight).transpose(1, 0, 2).reshape(y[part].shape)
            if b is not None:
                y[part] += b

    run_chunks(np, chunks(np, geometry, x.dtype.itemsize), work)
    return y.transpose(0, 3, 1, 2)


def _fold_batch(prim: Any, level: Any, values: list[Any], flags: list[bool], static: dict[str, Any]) -> Any:
    """vmap over images only: they join the batch. Over weights, which BLAS has no wider call for: a loop."""
    if any(flags[1:]):
        return loop(prim, level, values, flags, static)
    n = shape_of(values[0])[1]
    folded = join_batch(values[0], level.size, True)
    if "x_shape" in static:
        static = dict(static, x_shape=(level.size * n, *static["x_shape"][1:]))
    y = bind(prim, (folded, *values[1:]), static)
    return BIND.reshape(y, shape=(level.size, n, *y.shape[1:]))


def _conv2d_jvp(xp: Any, primals: Any, tangents: Any, outs: Any, **static: Any) -> Any:
    x, w, _ = primals
    tx, tw, tb = tangents
    parts = []
    if tx is not None:
        parts.append(xp.conv2d(tx, w, None, **static))
    if tw is not None:
        parts.append(xp.conv2d(x, tw, None, **static))
    if tb is not None:
        parts.append(xp.reshape(tb, shape=(1, tb.shape[0], 1, 1)))
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


@primitive(
    vjps=(
        lambda xp, g, w, x_shape, stride, padding, dilation, groups: xp.conv2d_input_grad(
            g, w, x_shape=x_shape, stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
        lambda xp, g, x, w_shape, stride, padding, dilation, groups: xp.conv2d_weight_grad(
            x, g, w_shape=w_shape, stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
        lambda xp, g: xp.channel_sum(g, axis=1),
    ),
    jvp=_conv2d_jvp,
    batch=_fold_batch,
    promote="same",
)
def conv2d(
    np: Any, x: Any, w: Any, b: Any, *, stride: Pair = (1, 1), padding: Pair = (0, 0), dilation: Pair = (1, 1),
    groups: int = 1,
) -> Any:  # fmt: skip
    """y[n, k, i, j] = sum over c, r, s of x[n, c, i s + r d - p, j s + s d - p] w[k, c, r, s] + b[k].

    x (N, C, H, W), w (K, C / groups, R, S), b (K,) or None -> (N, K, rows, cols), in channels-last memory.
    """
    return convolve(np, x, w, b, stride, padding, dilation, groups)


@primitive(
    vjps=(
        lambda xp, g, w, stride, padding, dilation, groups: xp.conv2d(
            g, w, None, stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
        lambda xp, g, y_grad, w_shape, stride, padding, dilation, groups: xp.conv2d_weight_grad(
            g, y_grad, w_shape=w_shape, stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
    ),
    linear=(0, 1),
    batch=_fold_batch,
    promote="same",
)
def conv2d_input_grad(
    np: Any, y_grad: Any, w: Any, *, x_shape: tuple[int, ...], stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Any:
    """The cotangent of conv2d's x: y_grad (N, K, rows, cols), w (K, C / groups, R, S) -> x_shape (N, C, H, W).

    At stride 1 a convolution with the flipped weights; else the columns' cotangents are added back (col2im).
    """
    geometry = Geometry(x_shape, tuple(w.shape), stride, padding, dilation, groups)
    n, c, h, wd = x_shape
    k, cg, r, s = w.shape
    back = tuple([d * (size - 1) - p for d, size, p in zip(dilation, (r, s), padding, strict=True)])
    if stride == (1, 1) and min(back) >= 0:
        flipped = w.reshape(groups, k // groups, cg, r, s)[:, :, :, ::-1, ::-1]
        flipped = flipped.transpose(0, 2, 1, 3, 4).reshape(c, k // groups, r, s)
        return convolve(np, y_grad, flipped, None, (1, 1), back, dilation, groups)
    rows, cols = geometry.out
    (sh, sw), (dh, dw), (ph, pw) = stride, dilation, padding
    weight = wide(grouped_weight(w, groups).transpose(0, 2, 1))
    x = np.empty((n, h, wd, c), y_grad.dtype)

    def work(parts: Sequence[slice]) -> None:
        for part in parts:
            pixels = wide(grouped_pixels(channels_last(y_grad[part]), groups))
            images = part.stop - part.start
            cols_grad = np.matmul(pixels, weight).reshape(groups, images, rows, cols, r, s, cg)
            image = np.zeros((images, *geometry.padded, groups, cg), cols_grad.dtype)
            for i in range(r):
                for j in range(s):
                    window = image[:, i * dh : i * dh + sh * rows : sh, j * dw : j * dw + sw * cols : sw]
                    window += cols_grad[:, :, :, :, i, j].transpose(1, 2, 3, 0, 4)
            x[part] = image[:, ph : ph + h, pw : pw + wd].reshape(images, h, wd, c)

    run_chunks(np, chunks(np, geometry, y_grad.dtype.itemsize), work)
    return x.transpose(0, 3, 1, 2)


@primitive(
    vjps=(
        lambda xp, g, y_grad, x_shape, stride, padding, dilation, groups: xp.conv2d_input_grad(
            y_grad, g, x_shape=x_shape, stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
        lambda xp, g, x, stride, padding, dilation, groups: xp.conv2d(
            x, g, None, stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
    ),
    linear=(0, 1),
    promote="same",
)
def conv2d_weight_grad(
    np: Any, x: Any, y_grad: Any, *, w_shape: tuple[int, ...], stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Any:
    """The cotangent of conv2d's w: x (N, C, H, W), y_grad (N, K, rows, cols) -> w_shape (K, C / groups, R, S)."""
    geometry = Geometry(tuple(x.shape), w_shape, stride, padding, dilation, groups)
    k, cg, r, s = w_shape

    def work(parts: Sequence[slice]) -> Any:
        total = np.zeros((groups, r * s * cg, k // groups), wide(x[:0]).dtype)
        for part in parts:
            image = pad_image(np, channels_last(x[part]), padding)
            cols = wide(columns(np, image, geometry))
            total += np.matmul(cols.transpose(0, 2, 1), wide(grouped_pixels(channels_last(y_grad[part]), groups)))
        return total

    totals = run_chunks(np, chunks(np, geometry, x.dtype.itemsize), work)
    total = totals[0]
    for more in totals[1:]:
        total += more
    out = total.reshape(groups, r, s, cg, k // groups).transpose(0, 4, 3, 1, 2).reshape(w_shape)
    return np.ascontiguousarray(out).astype(x.dtype, copy=False)


def _unfold_batch(prim: Any, level: Any, values: list[Any], flags: list[bool], static: dict[str, Any]) -> Any:
    """The hidden axis joins the images."""
    n = shape_of(values[0])[1]
    out = bind(prim, (join_batch(values[0], level.size, True),), static)
    return BIND.reshape(out, shape=(level.size, n, *out.shape[1:]))


@primitive(
    vjps=(
        lambda xp, g, x_shape, kernel, stride, padding, dilation: xp.fold(
            g, size=tuple(x_shape[2:]), kernel=kernel, stride=stride, padding=padding, dilation=dilation
        ),
    ),
    linear=(0,),
    batch=_unfold_batch,
)
def unfold(np: Any, x: Any, *, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Any:
    """columns[n, (c, r, s), (i, j)] = x[n, c, i stride + r dilation - padding, j stride + s dilation - padding].

    x (N, C, H, W) -> (N, C * R * S, rows * cols); 0 outside x.
    """
    n, c, h, w = x.shape
    (r, s), (p, q), (sh, sw), (dh, dw) = kernel, padding, stride, dilation
    rows, cols = out_size((h, w), kernel, stride, padding, dilation)
    if not x.size:
        return np.zeros((n, c * r * s, rows * cols), x.dtype)
    image = np.zeros((n, c, h + 2 * p, w + 2 * q), x.dtype)
    image[:, :, p : p + h, q : q + w] = x
    a, b, height, width = image.strides
    strides = (a, b, height * dh, width * dw, height * sh, width * sw)
    view = np.lib.stride_tricks.as_strided(image, (n, c, r, s, rows, cols), strides)
    return np.ascontiguousarray(view).reshape(n, c * r * s, rows * cols)


@primitive(
    vjps=(
        lambda xp, g, kernel, stride, padding, dilation, size: xp.unfold(
            g, kernel=kernel, stride=stride, padding=padding, dilation=dilation
        ),
    ),
    linear=(0,),
    batch=_unfold_batch,
)
def fold(np: Any, columns: Any, *, size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Any:
    """The transpose of unfold, columns (N, C * R * S, rows * cols) -> (N, C, *size): each element's copies, summed."""
    (r, s), (p, q), (sh, sw), (dh, dw) = kernel, padding, stride, dilation
    rows, cols = out_size(size, kernel, stride, padding, dilation)
    n, c = columns.shape[0], columns.shape[1] // (r * s)
    parts = columns.reshape(n, c, r, s, rows, cols)
    image = np.zeros((n, c, size[0] + 2 * p, size[1] + 2 * q), wide(columns[:0]).dtype)
    for i in range(r):
        for j in range(s):
            image[:, :, i * dh : i * dh + sh * rows : sh, j * dw : j * dw + sw * cols : sw] += parts[:, :, i, j]
    return image[:, :, p : p + size[0], q : q + size[1]].astype(columns.dtype, copy=False)
