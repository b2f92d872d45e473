"""Power averages of windows, and maxima put back where they were, under torch.nn.functional's names."""

from __future__ import annotations

import math
from typing import Any

from ...autograd.primitive import BIND
from ...autograd.value import device_under
from ...backend.windows import least_size
from ...creation import zeros
from ...functions import absolute, power, relu, reshape, sign
from ...ops.gather import assign, flat_positions
from ...ops.index import ARRAY, check_range
from .pooling import avg_pool1d, avg_pool2d, avg_pool3d, max_pool1d, max_pool2d, max_pool3d
from .sizes import Size, batched, ndim_of, several


def lp_pool1d(
    input: Any, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False
) -> Any:  # fmt: skip
    """(sum of x^p)^(1/p) over each window of x (N, C, L) or (C, L), as in `lp_pool2d`."""
    return _lp_pool("lp_pool1d", 1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(
    input: Any, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False
) -> Any:  # fmt: skip
    """(sum of x^p)^(1/p) over each window of x (N, C, H, W) or (C, H, W), with p = norm_type.

    A window that ceil_mode lets reach over the edge counts its mean as often as a whole one, as in PyTorch.
    """
    return _lp_pool("lp_pool2d", 2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(
    input: Any, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False
) -> Any:  # fmt: skip
    """(sum of x^p)^(1/p) over each window of x (N, C, D, H, W) or (C, D, H, W), as in `lp_pool2d`."""
    return _lp_pool("lp_pool3d", 3, input, norm_type, kernel_size, stride, ceil_mode)


def _lp_pool(op: str, rank: int, x: Any, p: Any, kernel_size: Any, stride: Any, ceil_mode: bool) -> Any:
    taps = math.prod(several(op, "kernel_size", kernel_size, rank))
    if not p:
        raise ValueError(f"[{op}] norm_type must not be 0")
    if math.isinf(p):
        of = (max_pool1d, max_pool2d, max_pool3d)[rank - 1]
        side = 1.0 if p > 0 else -1.0
        return side * of(side * absolute(x), kernel_size, stride, 0, 1, ceil_mode)
    average = (avg_pool1d, avg_pool2d, avg_pool3d)[rank - 1]
    mean = average(power(x, p), kernel_size, stride, 0, ceil_mode)
    return power(sign(mean) * relu(absolute(mean)) * taps, 1.0 / p)


def max_unpool1d(
    input: Any, indices: Any, kernel_size: Size, stride: Size | None = None, padding: Size = 0, output_size: Any = None
) -> Any:
    """x (N, C, L) or (C, L) put where `indices` of `max_pool1d` say, in zeros, as in `max_unpool2d`."""
    return _max_unpool("max_unpool1d", 1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Any, indices: Any, kernel_size: Size, stride: Size | None = None, padding: Size = 0, output_size: Any = None
) -> Any:
    """x (N, C, H, W) or (C, H, W) put where `indices` of `max_pool2d` say, in zeros of (N, C, *output_size).

    output_size is by default (H - 1) stride - 2 padding + kernel_size; it may end in the sizes. Of elements that have
    one place an arbitrary one stays. Raises ValueError for sizes that do not fit, IndexError for indices out of range.
    """
    return _max_unpool("max_unpool2d", 2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: Any, indices: Any, kernel_size: Size, stride: Size | None = None, padding: Size = 0, output_size: Any = None
) -> Any:
    """x (N, C, D, H, W) or (C, D, H, W) put where `indices` of `max_pool3d` say, in zeros, as in `max_unpool2d`."""
    return _max_unpool("max_unpool3d", 3, input, indices, kernel_size, stride, padding, output_size)


def _max_unpool(
    op: str, rank: int, x: Any, indices: Any, kernel_size: Any, stride: Any, padding: Any, output_size: Any
) -> Any:
    if (
        ndim_of(op, indices, "indices") != ndim_of(op, x)
        or tuple(indices.shape) != tuple(x.shape)
        or indices.dtype != "int64"
    ):
        raise ValueError(
            f"[{op}] indices must be int64 and of x's shape {tuple(x.shape)}, got {indices.dtype} {indices.shape}"
        )
    x, single = batched(op, x, rank)
    kernel = several(op, "kernel_size", kernel_size, rank)
    step = kernel if stride is None else several(op, "stride", stride, rank)
    pad = several(op, "padding", padding, rank)
    usual = least_size(x.shape[2:], kernel, step, pad, (1,) * rank)
    size = list(usual if output_size is None else output_size)[-rank:]
    if output_size is not None and (
        len(output_size) not in (rank, rank + 2)
        or any([not u - s < n < u + s for n, u, s in zip(size, usual, step, strict=True)])
    ):
        raise ValueError(f"[{op}] output_size must be {usual} give or take less than stride, got {output_size}")
    if min(size) < 1 or 0 in x.shape[1:]:
        raise ValueError(f"[{op}] x {tuple(x.shape)} and the result {tuple(size)} must not be empty")
    (n, c), count, room = x.shape[:2], math.prod(x.shape[2:]), math.prod(size)
    empty = zeros(n * c * room, dtype=x.dtype, device=device_under(x))
    index = reshape(indices, (n * c, count))
    check_range(reshape(empty, (n * c, room)), index, 1, op)
    y = assign(empty, reshape(x, (n * c * count,)), flat_positions(BIND, index, 1, room), spec=(ARRAY,))
    y = reshape(y, (n, c, *size))
    return y[0] if single else y


__all__ = ["lp_pool1d", "lp_pool2d", "lp_pool3d", "max_unpool1d", "max_unpool2d", "max_unpool3d"]
