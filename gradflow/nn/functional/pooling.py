"""Pooling as functions, with the names and signatures of torch.nn.functional."""

from __future__ import annotations

from typing import Any

from ...autograd.value import backend_under
from ...creation import tensor
from ...functions.shape import unsqueeze
from ...ops import pool as _pool
from .sizes import Size, ndim_of, pair

Pair = tuple[int, int]


def max_pool2d(
    input: Any,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window of x (N, C, H, W) or (C, H, W); stride defaults to the window's size."""
    if return_indices:
        raise NotImplementedError("[max_pool2d] return_indices is not supported")
    if ndim_of("max_pool2d", input) == 3:
        return max_pool2d(unsqueeze(input, 0), kernel_size, stride, padding, dilation, ceil_mode)[0]
    kernel, step, pad, dil = _geometry("max_pool2d", input, kernel_size, stride, padding, dilation)
    out = _out_size("max_pool2d", input, kernel, step, pad, dil, ceil_mode)
    y, _ = _pool.max_pool2d(input, kernel=kernel, stride=step, padding=pad, dilation=dil, out=out)
    return y


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
    if ndim_of("avg_pool2d", input) == 3:
        return avg_pool2d(
            unsqueeze(input, 0), kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
        )[0]
    if divisor_override is not None and (not isinstance(divisor_override, int) or divisor_override == 0):
        raise ValueError(f"[avg_pool2d] divisor_override must be an integer other than 0, got {divisor_override!r}")
    kernel, step, pad, dil = _geometry("avg_pool2d", input, kernel_size, stride, padding)
    out = _out_size("avg_pool2d", input, kernel, step, pad, dil, ceil_mode)
    rows, cols = [_pool.strided(*each) for each in zip(kernel, step, pad, out, strict=True)]
    return _pool.avg_pool2d(input, rows=rows, cols=cols, divisor=divisor_override, padding=count_include_pad)


def adaptive_avg_pool2d(input: Any, output_size: Any) -> Any:
    """The averages of output_size windows that share x (N, C, H, W) or (C, H, W) evenly: (N, C, *output_size).

    Window i of n covers [floor(i H / n), ceil((i + 1) H / n)). None in `output_size` stands for x's own size.
    """
    if ndim_of("adaptive_avg_pool2d", input) == 3:
        return adaptive_avg_pool2d(unsqueeze(input, 0), output_size)[0]
    out = _adaptive_size("adaptive_avg_pool2d", input, output_size)
    rows, cols = [_pool.adaptive(n, count) for n, count in zip(input.shape[2:], out, strict=True)]
    return _pool.avg_pool2d(input, rows=rows, cols=cols)


def adaptive_max_pool2d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The maxima of the windows of `adaptive_avg_pool2d`."""
    if return_indices:
        raise NotImplementedError("[adaptive_max_pool2d] return_indices is not supported")
    if ndim_of("adaptive_max_pool2d", input) == 3:
        return adaptive_max_pool2d(unsqueeze(input, 0), output_size)[0]
    out = _adaptive_size("adaptive_max_pool2d", input, output_size)
    x, kernel = input, []
    for axis, count in zip((2, 3), out, strict=True):
        n = x.shape[axis]
        if n % count:  # windows of unequal lengths: the last element of short ones is repeated
            walk = _pool.adaptive(n, count)
            ends = [walk.window(i, n) for i in range(count)]
            longest = max([end - start for start, end in ends])
            index = [min(start + k, end - 1) for start, end in ends for k in range(longest)]
            where = tensor(index, device=backend_under(input).device)
            x = x[:, :, where] if axis == 2 else x[:, :, :, where]
        kernel.append(x.shape[axis] // count)
    window = (kernel[0], kernel[1])
    y, _ = _pool.max_pool2d(x, kernel=window, stride=window, padding=(0, 0), dilation=(1, 1), out=out)
    return y


def _geometry(op: str, x: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any = 1) -> tuple[Pair, ...]:
    """Kernel, stride, padding and dilation as pairs."""
    kernel = pair(op, "kernel_size", kernel_size)
    step = kernel if stride is None else pair(op, "stride", stride)
    pad, dil = pair(op, "padding", padding), pair(op, "dilation", dilation)
    if x.ndim != 4 or 0 in x.shape[2:]:
        raise ValueError(f"[{op}] expected x (N, C, H, W) or (C, H, W) of rows and columns, got {tuple(x.shape)}")
    if min(kernel) < 1 or min(step) < 1 or min(dil) < 1 or min(pad) < 0:
        raise ValueError(
            f"[{op}] kernel {kernel}, stride {step} and dilation {dil} must be positive, padding {pad} not negative"
        )
    if any(p > k // 2 for p, k in zip(pad, kernel, strict=True)):
        raise ValueError(f"[{op}] padding {pad} is more than half of the kernel {kernel}")
    return kernel, step, pad, dil


def _out_size(op: str, x: Any, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool) -> Pair:
    """Windows down and across: (H + 2 p - d (k - 1) - 1) / s + 1, rounded down, or up in ceil_mode."""
    sizes = []
    for n, k, s, p, d in zip(x.shape[2:], kernel, stride, padding, dilation, strict=True):
        room = n + 2 * p - d * (k - 1) - 1
        count = (-(-room // s) if ceil_mode else room // s) + 1
        if ceil_mode and (count - 1) * s >= n + p:  # the last window must start inside the image or its left padding
            count -= 1
        sizes.append(count)
    if min(sizes) < 1:
        raise ValueError(f"[{op}] a {kernel} window with dilation {dilation} does not fit x {tuple(x.shape)} padded "
                         f"by {padding}")  # fmt: skip
    return sizes[0], sizes[1]


def _adaptive_size(op: str, x: Any, output_size: Any) -> Pair:
    """Windows down and across, None being x's own size."""
    if x.ndim != 4 or 0 in x.shape[1:]:
        raise ValueError(f"[{op}] expected x (N, C, H, W) or (C, H, W) with no empty dimension, got {tuple(x.shape)}")
    if isinstance(output_size, (tuple, list)) and len(output_size) == 2:
        output_size = tuple([n if o is None else o for o, n in zip(output_size, x.shape[2:], strict=True)])
    out = pair(op, "output_size", output_size)
    if min(out) < 1:
        raise ValueError(f"[{op}] output_size must be positive, got {out}")
    return out


__all__ = ["adaptive_avg_pool2d", "adaptive_max_pool2d", "avg_pool2d", "max_pool2d"]
