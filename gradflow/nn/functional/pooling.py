"""Pooling over one, two and three axes, with the names and signatures of torch.nn.functional.

All is done by the primitives of two axes: one axis is an image of one row; three are pooled in two steps, which finds
the same maxima and averages, as windows are boxes.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from ...autograd.value import device_under
from ...creation import arange, tensor
from ...functions.shape import broadcast_to, reshape
from ...ops import pool as _pool
from .sizes import AXES, Size, Sizes, batched, several


class Windows(NamedTuple):
    """Windows along each axis."""

    kernel: Sizes
    stride: Sizes
    padding: Sizes
    dilation: Sizes
    out: Sizes

    def along(self, *axes: int) -> dict[str, Any]:
        """Statics of the primitives of two axes; axis -1 stands for one that is left as it is."""
        usual = (1, 1, 0, 1)
        found: dict[str, Any] = {
            name: tuple([values[a] if a >= 0 else u for a in axes])
            for name, values, u in zip(self._fields, self, usual, strict=False)
        }
        return found


# -- maxima ------------------------------------------------------------------------------------------------------------


def max_pool1d(
    input: Any,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window of x (N, C, L) or (C, L); stride defaults to the window's size.

    With `return_indices` also its place in x. The first of equal elements counts; NaN counts as largest.
    """
    return _max_pool("max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(
    input: Any,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window of x (N, C, H, W) or (C, H, W); stride defaults to the window's size.

    With `return_indices` also its place in the flattened image. The first of equal elements counts; NaN counts as
    largest.
    """
    return _max_pool("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool3d(
    input: Any,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window of x (N, C, D, H, W) or (C, D, H, W), as in `max_pool2d`."""
    return _max_pool("max_pool3d", 3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def adaptive_max_pool1d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The maxima of the windows of `adaptive_avg_pool1d`; with `return_indices` also their places in x."""
    return _adaptive_max_pool("adaptive_max_pool1d", 1, input, output_size, return_indices)


def adaptive_max_pool2d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The maxima of the windows of `adaptive_avg_pool2d`; with `return_indices` also their places in the image."""
    return _adaptive_max_pool("adaptive_max_pool2d", 2, input, output_size, return_indices)


def adaptive_max_pool3d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The maxima of the windows of `adaptive_avg_pool3d`; with `return_indices` also their places in the image."""
    return _adaptive_max_pool("adaptive_max_pool3d", 3, input, output_size, return_indices)


def _max_pool(
    op: str, rank: int, x: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool,
    return_indices: bool,
) -> Any:  # fmt: skip
    x, single = batched(op, x, rank)
    windows = _windows(op, x, kernel_size, stride, padding, dilation, ceil_mode)
    return _shown(_maxima(x, windows, _places(x) if return_indices else None), single)


def _adaptive_max_pool(op: str, rank: int, x: Any, output_size: Any, return_indices: bool) -> Any:
    x, single = batched(op, x, rank)
    out = _adaptive_size(op, x, output_size)
    seen = _places(x) if return_indices else None
    for axis, count in enumerate(out, 2):
        n = x.shape[axis]
        if n % count:  # windows of unequal lengths: the last element of short ones is repeated
            walk = _pool.adaptive(n, count)
            ends = [walk.window(i, n) for i in range(count)]
            longest = max([end - start for start, end in ends])
            index = [min(start + k, end - 1) for start, end in ends for k in range(longest)]
            spec = (*[slice(None)] * axis, tensor(index, device=device_under(x)))
            x, seen = x[spec], None if seen is None else seen[spec]
    kernel = tuple([n // count for n, count in zip(x.shape[2:], out, strict=True)])
    return _shown(_maxima(x, Windows(kernel, kernel, (0,) * rank, (1,) * rank, out), seen), single)


def _places(x: Any) -> Any:
    """The number of each element in its image: of x's shape."""
    size = x.shape[2:]
    numbers = arange(math.prod(size), device=device_under(x))
    return broadcast_to(reshape(numbers, (1, 1, *size)), tuple(x.shape))


def _maxima(x: Any, windows: Windows, places: Any) -> tuple[Any, Any]:
    """(the maxima of windows of x (N, C, *axes), what `places` of x's shape has where they are, or None)."""
    (n, c, *size), out = x.shape, windows.out
    if len(out) == 2:
        kernel, stride, padding, dilation, _ = windows
        static: dict[str, Any] = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
        return _maxima_of_images(x, static, out, places)
    if len(out) == 1:
        shape, static, last = (n, c, 1, size[0]), windows.along(-1, 0), (1, out[0])
    else:
        flat, pixels = (n, c * size[0], *size[1:]), out[1] * out[2]
        of_planes = (reshape(x, flat), windows.along(1, 2), out[1:], None if places is None else reshape(places, flat))
        x, places = _maxima_of_images(*of_planes)
        shape, static, last = (n, c, size[0], pixels), windows.along(0, -1), (out[0], pixels)
    y, places = _maxima_of_images(
        reshape(x, shape), static, last, None if places is None else reshape(places, shape)
    )  # fmt: skip
    result = (n, c, *out)
    return reshape(y, result), None if places is None else reshape(places, result)


def _maxima_of_images(x: Any, static: dict[str, Any], out: Sizes, places: Any) -> tuple[Any, Any]:
    y, where = _pool.max_pool2d(x, out=out, **static)
    return y, None if places is None else _pool.pool_pick(places, where, out=out, **static)


def _shown(found: tuple[Any, Any], single: bool) -> Any:
    """What a caller sees of maxima and their places: of one image without a batch axis, places where asked for."""
    y, places = found
    if single:
        y, places = y[0], None if places is None else places[0]
    return y if places is None else (y, places)


# -- averages ----------------------------------------------------------------------------------------------------------


def avg_pool1d(
    input: Any,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """The average of each window of x (N, C, L) or (C, L), as in `avg_pool2d`."""
    return _avg_pool("avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(
    input: Any,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """The average of each window of x (N, C, H, W) or (C, H, W); stride defaults to the window's size.

    A window's sum is divided by its number of elements, the zeros of the padding counted if `count_include_pad`, or
    by `divisor_override`. Raises ValueError where sizes do not fit.
    """
    return _avg_pool(
        "avg_pool2d", 2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def avg_pool3d(
    input: Any,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """The average of each window of x (N, C, D, H, W) or (C, D, H, W), as in `avg_pool2d`."""
    return _avg_pool(
        "avg_pool3d", 3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def adaptive_avg_pool1d(input: Any, output_size: Any) -> Any:
    """The averages of output_size windows that share x (N, C, L) or (C, L) evenly, as in `adaptive_avg_pool2d`."""
    return _adaptive_avg_pool("adaptive_avg_pool1d", 1, input, output_size)


def adaptive_avg_pool2d(input: Any, output_size: Any) -> Any:
    """The averages of output_size windows that share x (N, C, H, W) or (C, H, W) evenly: (N, C, *output_size).

    Window i of n covers [floor(i H / n), ceil((i + 1) H / n)). None in `output_size` stands for x's own size.
    """
    return _adaptive_avg_pool("adaptive_avg_pool2d", 2, input, output_size)


def adaptive_avg_pool3d(input: Any, output_size: Any) -> Any:
    """The averages of output_size windows that share x (N, C, D, H, W) evenly, as in `adaptive_avg_pool2d`."""
    return _adaptive_avg_pool("adaptive_avg_pool3d", 3, input, output_size)


def _avg_pool(
    op: str, rank: int, x: Any, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool, count_include_pad: bool,
    divisor: int | None,
) -> Any:  # fmt: skip
    x, single = batched(op, x, rank)
    if divisor is not None and (not isinstance(divisor, int) or divisor == 0):
        raise ValueError(f"[{op}] divisor_override must be an integer other than 0, got {divisor!r}")
    kernel, step, pad, _, out = _windows(op, x, kernel_size, stride, padding, 1, ceil_mode)
    walks = [_pool.strided(*each) for each in zip(kernel, step, pad, out, strict=True)]
    y = _averages(x, walks, divisor, count_include_pad)
    return y[0] if single else y


def _adaptive_avg_pool(op: str, rank: int, x: Any, output_size: Any) -> Any:
    x, single = batched(op, x, rank)
    out = _adaptive_size(op, x, output_size)
    y = _averages(x, [_pool.adaptive(n, count) for n, count in zip(x.shape[2:], out, strict=True)], None, False)
    return y[0] if single else y


def _averages(x: Any, walks: list[_pool.Walk], divisor: int | None, padding: bool) -> Any:
    """The averages of windows of x (N, C, *axes), of which one Walk tells along each axis."""
    if len(walks) == 2:
        return _pool.avg_pool2d(x, rows=walks[0], cols=walks[1], divisor=divisor, padding=padding)
    (n, c, *size), out = x.shape, [walk.windows for walk in walks]
    if len(walks) == 1:
        shape, rows, cols = (n, c, 1, size[0]), _every(1), walks[0]
    else:
        planes = _averages(reshape(x, (n, c * size[0], *size[1:])), walks[1:], divisor and 1, padding)
        x, shape = planes, (n, c, size[0], out[1] * out[2])
        rows, cols = walks[0], _every(shape[3])
    y = _pool.avg_pool2d(reshape(x, shape), rows=rows, cols=cols, divisor=divisor, padding=padding)
    return reshape(y, (n, c, *out))


def _every(size: int) -> _pool.Walk:
    """A window for each element of an axis."""
    return _pool.strided(1, 1, 0, size)


# -- arguments ---------------------------------------------------------------------------------------------------------


def _windows(op: str, x: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> Windows:
    """Windows along each axis of x (N, C, *axes), (n + 2 p - d (k - 1) - 1) / s + 1 of them, rounded down, or up in
    ceil_mode."""
    rank = x.ndim - 2
    kernel = several(op, "kernel_size", kernel_size, rank)
    step = kernel if stride is None else several(op, "stride", stride, rank)
    pad, dil = several(op, "padding", padding, rank), several(op, "dilation", dilation, rank)
    if 0 in x.shape[2:]:
        axes = AXES[rank]
        raise ValueError(
            f"[{op}] expected x (N, C, {axes}) or (C, {axes}) of rows and columns, got {tuple(x.shape)}"
        )  # fmt: skip
    sizes = []
    for n, k, s, p, d in zip(x.shape[2:], kernel, step, pad, dil, strict=True):
        if k < 1 or s < 1 or d < 1 or p < 0:
            raise ValueError(
                f"[{op}] kernel {kernel}, stride {step} and dilation {dil} must be positive, padding {pad} not negative"
            )
        if p > k // 2:
            raise ValueError(f"[{op}] padding {pad} is more than half of the kernel {kernel}")
        room = n + 2 * p - d * (k - 1) - 1
        count = (-(-room // s) if ceil_mode else room // s) + 1
        if ceil_mode and (count - 1) * s >= n + p:  # the last window must start inside the image or its left padding
            count -= 1
        sizes.append(count)
    if min(sizes) < 1:
        raise ValueError(
            f"[{op}] a {kernel} window with dilation {dil} does not fit x {tuple(x.shape)} padded by {pad}"
        )
    return Windows(kernel, step, pad, dil, tuple(sizes))


def _adaptive_size(op: str, x: Any, output_size: Any) -> Sizes:
    """Windows along each axis of x (N, C, *axes), None being its own size."""
    rank = x.ndim - 2
    if 0 in x.shape[1:]:
        raise ValueError(
            f"[{op}] expected x (N, C, {AXES[rank]}) or (C, {AXES[rank]}) with no empty dimension, got {tuple(x.shape)}"
        )
    if isinstance(output_size, (tuple, list)) and len(output_size) == rank:
        output_size = tuple([n if o is None else o for o, n in zip(output_size, x.shape[2:], strict=True)])
    out = several(op, "output_size", output_size, rank)
    if min(out) < 1:
        raise ValueError(f"[{op}] output_size must be positive, got {out}")
    return out


__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d",
    "adaptive_max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d", "max_pool1d", "max_pool2d", "max_pool3d",
]  # fmt: skip
