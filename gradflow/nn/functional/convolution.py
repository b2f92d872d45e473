"""Convolution, and windows as columns."""

from __future__ import annotations

import math
from typing import Any

from ...backend.windows import out_size
from ...functions.shape import unsqueeze
from ...ops import conv as _conv
from ...ops.index import scatter_add
from .sizes import Size, ndim_of, pair


def conv2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Size = 1,
    padding: Any = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Any:
    """2-D convolution (cross-correlation): x (N, C, H, W) or (C, H, W), weight (K, C / groups, R, S), bias (K,).

    padding is an integer, two, 'valid', or 'same' (stride 1: the output has x's size). Raises ValueError where sizes
    do not fit.
    """
    if ndim_of("conv2d", input) == 3:
        return conv2d(unsqueeze(input, 0), weight, bias, stride, padding, dilation, groups)[0]
    step, dil = pair("conv2d", "stride", stride), pair("conv2d", "dilation", dilation)
    shown = f"(x {tuple(input.shape)}, weight {tuple(weight.shape)})"
    if input.ndim != 4 or weight.ndim != 4:
        raise ValueError(f"[conv2d] expected x (N, C, H, W) or (C, H, W) and weight (K, C / groups, R, S) {shown}")
    if min(step) < 1 or min(dil) < 1 or groups < 1:
        raise ValueError(f"[conv2d] stride {stride}, dilation {dilation} and groups {groups} must be positive")
    if input.shape[1] != weight.shape[1] * groups:
        of = f" in each of {groups} groups" if groups > 1 else ""
        raise ValueError(f"[conv2d] x has {input.shape[1]} channels but weight expects {weight.shape[1]}{of} {shown}")
    if weight.shape[0] % groups:
        raise ValueError(f"[conv2d] {weight.shape[0]} output channels do not divide into {groups} groups {shown}")
    if bias is not None and tuple(bias.shape) != (weight.shape[0],):
        raise ValueError(f"[conv2d] bias has shape {tuple(bias.shape)}, expected ({weight.shape[0]},) {shown}")
    kernel = tuple(weight.shape[2:])
    if isinstance(padding, str):
        input, pad = _named_padding(input, padding, kernel, step, dil)
    else:
        pad = pair("conv2d", "padding", padding)
        if min(pad) < 0:
            raise ValueError(f"[conv2d] padding must not be negative, got {padding}")
    if min(kernel) < 1 or min(out_size(tuple(input.shape[2:]), kernel, step, pad, dil)) < 1:
        raise ValueError(f"[conv2d] a {kernel} kernel with dilation {dil} does not fit x padded by {pad} {shown}")
    return _conv.conv2d(input, weight, bias, stride=step, padding=pad, dilation=dil, groups=groups)


def _named_padding(x: Any, padding: str, kernel: Any, stride: Any, dilation: Any) -> tuple[Any, tuple[int, int]]:
    if padding == "valid":
        return x, (0, 0)
    if padding != "same":
        raise ValueError(f"[conv2d] padding must be an integer, two, 'valid' or 'same', got {padding!r}")
    if stride != (1, 1):
        raise ValueError("[conv2d] padding='same' needs stride 1")
    total = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    if all(t % 2 == 0 for t in total):
        return x, (total[0] // 2, total[1] // 2)
    n, c, h, w = x.shape  # an odd total: one more on the right and at the bottom
    top, left = total[0] // 2, total[1] // 2
    spec = ((None, None, None), (None, None, None), (top, top + h, None), (left, left + w, None))
    return scatter_add(x, spec=spec, shape=(n, c, h + total[0], w + total[1])), (0, 0)


def unfold(input: Any, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1) -> Any:
    """The windows of x (N, C, H, W) or (C, H, W) as columns: (N, C * R * S, L), with L places of the window (im2col).

    columns[n, (c, r, s), (i, j)] = x[n, c, i stride + r dilation - padding, j stride + s dilation - padding], and 0
    where that is outside x. Raises ValueError where the window does not fit.
    """
    if ndim_of("unfold", input) == 3:
        return unfold(unsqueeze(input, 0), kernel_size, dilation, padding, stride)[0]
    if input.ndim != 4:
        raise ValueError(f"[unfold] expected x (N, C, H, W) or (C, H, W), got {tuple(input.shape)}")
    window, _ = _sliding("unfold", tuple(input.shape[2:]), kernel_size, dilation, padding, stride)
    return _conv.unfold(input, **window)


def fold(
    input: Any, output_size: Size, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1
) -> Any:
    """The transpose of unfold: columns (N, C * R * S, L) or (C * R * S, L) -> (N, C, *output_size) (col2im).

    Each element is the sum of the columns' elements that `unfold` copies it to. Raises ValueError where sizes do not
    fit.
    """
    if ndim_of("fold", input) == 2:
        return fold(unsqueeze(input, 0), output_size, kernel_size, dilation, padding, stride)[0]
    size = pair("fold", "output_size", output_size)
    if input.ndim != 3:
        raise ValueError(f"[fold] expected columns (N, C * R * S, L) or (C * R * S, L), got {tuple(input.shape)}")
    window, places = _sliding("fold", size, kernel_size, dilation, padding, stride)
    taps = math.prod(window["kernel"])
    if input.shape[1] % taps or input.shape[2] != math.prod(places):
        raise ValueError(
            f"[fold] expected columns (N, C * {taps}, {math.prod(places)}) for {places[0]} x {places[1]} places of a "
            f"{window['kernel']} window in {size}, got {tuple(input.shape)}"
        )
    return _conv.fold(input, size=size, **window)


def _sliding(op: str, size: Any, kernel: Any, dilation: Any, padding: Any, stride: Any) -> tuple[dict[str, Any], Any]:
    """A sliding window's statics, and how many places it has in rows and columns."""
    given = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    window = {name: pair(op, "kernel_size" if name == "kernel" else name, value) for name, value in given.items()}
    if min(*window["kernel"], *window["stride"], *window["dilation"]) < 1 or min(window["padding"]) < 0:
        raise ValueError(
            f"[{op}] kernel_size {kernel}, stride {stride} and dilation {dilation} must be positive, padding "
            f"{padding} not negative"
        )
    places = out_size(size, **window)
    if min(places) < 1:
        raise ValueError(
            f"[{op}] a {window['kernel']} window with dilation {dilation} does not fit {size} padded by {padding}"
        )
    return window, places


__all__ = ["conv2d", "fold", "unfold"]
