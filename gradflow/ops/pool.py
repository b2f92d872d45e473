"""2-D pooling: the maxima, with a saved argmax, or the averages of windows.

`max_pool2d` returns the maxima and, per window, which of its positions won; `pool_place` and `pool_pick` carry
cotangents to the winners and values from them, and are each other's vjp. `avg_pool2d` and its transpose
`avg_pool2d_backward` are linear, and each other's vjp too; their windows may be those of adaptive pooling.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import gcd
from typing import Any, NamedTuple

from ..autograd.batch import fold, spread
from ..autograd.define import primitive
from ..autograd.primitive import BIND, bind
from .elementwise import wide

Pair = tuple[int, int]


def _windows(out: tuple[int, ...], kernel: Pair, stride: Pair, dilation: Pair) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Per position in the window: its number, and the slice of the padded image it sees, one element per window."""
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            top, left = i * dilation[0], j * dilation[1]
            rows = slice(top, top + stride[0] * (out[0] - 1) + 1, stride[0])
            cols = slice(left, left + stride[1] * (out[1] - 1) + 1, stride[1])
            yield i * kernel[1] + j, (slice(None), slice(None), rows, cols)


def _padded(np: Any, x: Any, out: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, fill: Any) -> Any:
    """x with `fill` around it, as far as windows reach; x itself where they reach no further than x."""
    need = [s * (o - 1) + d * (k - 1) + 1 for o, k, s, d in zip(out, kernel, stride, dilation, strict=True)]
    (p, q), (h, w) = padding, x.shape[2:]
    if not p and not q and need[0] <= h and need[1] <= w:
        return x
    shape = (x.shape[0], x.shape[1], max(need[0], h + p), max(need[1], w + q))
    image = np.full((shape[0], shape[2], shape[3], shape[1]), fill, x.dtype).transpose(0, 3, 1, 2)
    image[:, :, p : p + h, q : q + w] = x
    return image


def _first_inside(np: Any, out: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Any:
    """Per window, its first position that is not padding (0 where all are): the winner where nothing is over -inf."""
    rows, cols = [
        np.clip(-((np.arange(o) * s - p) // d), 0, k - 1)
        for o, k, s, p, d in zip(out, kernel, stride, padding, dilation, strict=True)
    ]
    return rows[:, None] * kernel[1] + cols


def _lowest(dtype: Any) -> Any:
    import numpy

    if dtype.kind in "iu":
        return numpy.iinfo(dtype).min
    return False if dtype.kind == "b" else -numpy.inf


def _batch(prim: Any, level: Any, values: list[Any], flags: list[bool], static: dict[str, Any]) -> Any:
    n = spread(values[0], flags[0], level.size).shape[1]
    if "x_shape" in static:
        static = dict(static, x_shape=(level.size * n, *static["x_shape"][1:]))
    folded = [fold(v, level.size, f) for v, f in zip(values, flags, strict=True)]
    out = bind(prim, tuple(folded), static)
    back = [BIND.reshape(o, shape=(level.size, n, *o.shape[1:])) for o in (out if type(out) is tuple else (out,))]
    return tuple(back) if type(out) is tuple else back[0]


def _max_pool_vjp(
    xp: Any, g: Any, y1: Any, x_shape: Any, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, out: Pair
) -> Any:
    return xp.pool_place(
        g, y1, x_shape=x_shape, kernel=kernel, stride=stride, padding=padding, dilation=dilation, out=out
    )


def _max_pool_jvp(xp: Any, primals: Any, tangents: Any, outs: Any, **static: Any) -> Any:
    return xp.pool_pick(tangents[0], outs[1], **static), None


@primitive(vjps=(_max_pool_vjp,), jvp=_max_pool_jvp, batch=_batch)
def max_pool2d(np: Any, x: Any, *, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, out: Pair) -> Any:
    """(largest element of each window, its position in the window) of x (N, C, H, W), each (N, C, *out).

    Padding counts as -inf and never wins. The first of equal elements wins; NaN counts as largest, and of several the
    last wins, as in PyTorch.
    """
    image = _padded(np, x, out, kernel, stride, padding, dilation, _lowest(x.dtype))
    few = kernel[0] * kernel[1] <= 256
    best: Any = None
    where: Any = None
    for position, window in _windows(out, kernel, stride, dilation):
        seen = image[window]
        if best is None:
            best = np.array(seen, order="K")
            where = np.zeros_like(best, dtype="u1" if few else "i4")
            if max(padding):
                where[...] = _first_inside(np, out, kernel, stride, padding, dilation)
            continue
        better = seen > best
        if x.dtype.kind not in "biu":
            better |= seen != seen
        np.maximum(best, seen, out=best)
        np.maximum(where, better * where.dtype.type(position), out=where)  # positions grow; masked copies are slow
    return best, where


@primitive(
    vjps=(
        lambda xp, g, where, kernel, stride, padding, dilation, out: xp.pool_pick(
            g, where, kernel=kernel, stride=stride, padding=padding, dilation=dilation, out=out
        ),
        None,
    ),
    batch=_batch,
    linear=(0,),
)
def pool_place(
    np: Any,
    g: Any,
    where: Any,
    *,
    x_shape: tuple[int, ...],
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    out: Pair,
) -> Any:
    """Zeros of x_shape with each window's g added at the position that won."""
    n, c, h, w = x_shape
    p, q = padding
    need = [s * (o - 1) + d * (k - 1) + 1 for o, k, s, d in zip(out, kernel, stride, dilation, strict=True)]
    rows, cols = max(need[0], h + p), max(need[1], w + q)
    apart = all(s > d * (k - 1) for k, s, d in zip(kernel, stride, dilation, strict=True))
    image = np.zeros((n, rows, cols, c), g.dtype if apart else wide(g[:0]).dtype).transpose(0, 3, 1, 2)
    for position, window in _windows(out, kernel, stride, dilation):
        won = where == position
        if apart:
            np.copyto(image[window], g, where=won)
        else:
            image[window] += np.where(won, g, np.zeros((), g.dtype))
    return image[:, :, p : p + h, q : q + w].astype(g.dtype, copy=False)


@primitive(
    vjps=(
        lambda xp, g, where, x_shape, kernel, stride, padding, dilation, out: xp.pool_place(
            g, where, x_shape=x_shape, kernel=kernel, stride=stride, padding=padding, dilation=dilation, out=out
        ),
        None,
    ),
    batch=_batch,
    linear=(0,),
)
def pool_pick(
    np: Any, x: Any, where: Any, *, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, out: Pair
) -> Any:
    """Per window, the element of x at the position `where` names: the transpose of `pool_place`."""
    image = _padded(np, x, out, kernel, stride, padding, dilation, 0)
    y = np.zeros_like(where, dtype=x.dtype)
    for position, window in _windows(out, kernel, stride, dilation):
        np.copyto(y, image[window], where=where == position)
    return y


class Walk(NamedTuple):
    """How windows walk along an axis: number i covers [i * step // den - pad, (i * step + reach) // den - pad)."""

    step: int
    den: int
    reach: int
    pad: int
    windows: int

    def window(self, i: int, size: int) -> Pair:
        """Where window i starts and ends on an axis of `size` elements, without padding."""
        start, end = i * self.step // self.den, (i * self.step + self.reach) // self.den
        return max(start - self.pad, 0), min(end - self.pad, size)

    def lengths(self, size: int, padding: bool) -> list[int]:
        """How many elements each window covers, those of the padding with them or not."""
        walk, size = (self._replace(pad=0), size + 2 * self.pad) if padding else (self, size)
        return [end - start for start, end in (walk.window(i, size) for i in range(self.windows))]


def strided(kernel: int, stride: int, pad: int, count: int) -> Walk:
    """`count` windows of `kernel` elements, `stride` apart."""
    return Walk(stride, 1, kernel, pad, count)


def adaptive(size: int, count: int) -> Walk:
    """`count` windows over `size` elements: number i covers [floor(i size / count), ceil((i + 1) size / count))."""
    common = gcd(size, count)
    step, den = size // common, count // common
    return Walk(step, den, step + den - 1, 0, count)


def _along(axis: int, part: slice) -> tuple[slice, ...]:
    return (slice(None),) * axis + (part,)


def _taps(walk: Walk, size: int) -> Iterator[tuple[slice, slice]]:
    """(windows, elements): pairs that together are all windows with all they cover.

    Either one element of each of many windows, or all elements of one window, whichever makes fewer pairs.
    """
    step, den, reach, pad, windows = walk
    if den > 1 or reach >= windows:
        for i in range(windows):
            yield slice(i, i + 1), slice(*walk.window(i, size))
        return
    for tap in range(reach):
        first = max(0, -((tap - pad) // step))
        last = min(windows - 1, (size - 1 + pad - tap) // step)
        if first <= last:
            start = first * step - pad + tap
            yield slice(first, last + 1), slice(start, start + (last - first) * step + 1, step)


def _gather(np: Any, x: Any, walk: Walk, axis: int) -> Any:
    """Sums of windows along an axis."""
    y = np.zeros_like(x, shape=(*x.shape[:axis], walk.windows, *x.shape[axis + 1 :]))
    for to, elements in _taps(walk, x.shape[axis]):
        seen, part = x[_along(axis, elements)], y[_along(axis, to)]
        part += seen if seen.shape == part.shape else np.add.reduce(seen, axis=axis, keepdims=True)
    return y


def _scatter(np: Any, g: Any, walk: Walk, axis: int, size: int) -> Any:
    """Each window's g added to all it covers: the transpose of `_gather`."""
    x = np.zeros_like(g, shape=(*g.shape[:axis], size, *g.shape[axis + 1 :]))
    for at, elements in _taps(walk, size):
        part = x[_along(axis, elements)]
        part += g[_along(axis, at)]
    return x


def _divided(np: Any, y: Any, size: tuple[int, ...], rows: Walk, cols: Walk, divisor: int | None, padding: bool) -> Any:
    """y (N, C, *out) by the number of elements in each window, or by `divisor`."""
    if divisor is not None:
        return y / divisor
    down, across = rows.lengths(size[0], padding), cols.lengths(size[1], padding)
    if len({*down}) == len({*across}) == 1:
        return y / (down[0] * across[0])
    return y / np.asarray([[a * b for b in across] for a in down], y.dtype)


@primitive(
    vjps=(
        lambda xp, g, x_shape, rows, cols, divisor, padding: xp.avg_pool2d_backward(
            g, x_shape=x_shape, rows=rows, cols=cols, divisor=divisor, padding=padding
        ),
    ),
    batch=_batch,
    linear=(0,),
    promote="float",
)
def avg_pool2d(np: Any, x: Any, *, rows: Walk, cols: Walk, divisor: int | None = None, padding: bool = False) -> Any:
    """The average of each window of x (N, C, H, W): (N, C, rows.windows, cols.windows).

    Sums are divided by `divisor`, or else by the number of elements in the window, those of the padding, which are 0,
    counted where `padding` is True.
    """
    y = _gather(np, _gather(np, wide(x), rows, 2), cols, 3)
    return _divided(np, y, x.shape[2:], rows, cols, divisor, padding).astype(x.dtype, copy=False)


@primitive(
    vjps=(
        lambda xp, g, rows, cols, divisor, padding: xp.avg_pool2d(
            g, rows=rows, cols=cols, divisor=divisor, padding=padding
        ),
    ),
    batch=_batch,
    linear=(0,),
)
def avg_pool2d_backward(
    np: Any,
    g: Any,
    *,
    x_shape: tuple[int, ...],
    rows: Walk,
    cols: Walk,
    divisor: int | None = None,
    padding: bool = False,
) -> Any:
    """Each window's share of g added to all it covers, in x_shape: the transpose of `avg_pool2d`."""
    share = _divided(np, wide(g), x_shape[2:], rows, cols, divisor, padding)
    return _scatter(np, _scatter(np, share, cols, 3, x_shape[3]), rows, 2, x_shape[2]).astype(g.dtype, copy=False)
