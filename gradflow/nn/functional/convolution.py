"""Convolution over one, two and three axes, its transpose, and windows as columns.

All is done by the primitives of two axes: one axis is an image of one row; of three, the windows along the first
become channels.
"""

from __future__ import annotations

import math
from typing import Any

from ...backend.windows import least_size, out_size, places
from ...functions.shape import permute, reshape, unsqueeze
from ...ops import bias as _bias
from ...ops import conv as _conv
from ...ops.index import scatter_add
from .sizes import AXES, Size, Sizes, ndim_of, pair, several, whole

Geometry = tuple[Any, Sizes, Sizes, Sizes]
_KERNELS = {1: "S", 2: "R, S", 3: "T, R, S"}


def conv1d(
    input: Any, weight: Any, bias: Any = None, stride: Size = 1, padding: Any = 0, dilation: Size = 1, groups: int = 1
) -> Any:
    """1-D convolution (cross-correlation): x (N, C, L) or (C, L), weight (K, C / groups, S), bias (K,).

    padding is an integer, 'valid', or 'same' (stride 1: the output has x's size). Raises ValueError where sizes do not
    fit.
    """
    if ndim_of("conv1d", input) == 2:
        return conv1d(unsqueeze(input, 0), weight, bias, stride, padding, dilation, groups)[0]
    x, step, pad, dil = _geometry("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)
    y = _conv.conv2d(
        unsqueeze(x, 2), unsqueeze(weight, 2), bias, stride=(1, *step), padding=(0, *pad), dilation=(1, *dil),
        groups=groups,
    )  # fmt: skip
    return reshape(y, (*y.shape[:2], y.shape[3]))


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
    x, step, pad, dil = _geometry("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)
    return _conv.conv2d(x, weight, bias, stride=step, padding=pad, dilation=dil, groups=groups)


def conv3d(
    input: Any, weight: Any, bias: Any = None, stride: Size = 1, padding: Any = 0, dilation: Size = 1, groups: int = 1
) -> Any:
    """3-D convolution: x (N, C, D, H, W) or (C, D, H, W), weight (K, C / groups, T, R, S), bias (K,).

    padding as in `conv2d`. The T elements of a window's depth become channels of a 2-D convolution, which takes T
    times x's memory. Raises ValueError where sizes do not fit.
    """
    if ndim_of("conv3d", input) == 4:
        return conv3d(unsqueeze(input, 0), weight, bias, stride, padding, dilation, groups)[0]
    x, step, pad, dil = _geometry("conv3d", 3, input, weight, bias, stride, padding, dilation, groups)
    (n, c, *size), (k, _, taps, *_) = x.shape, weight.shape
    (depth,) = places(size[:1], (taps,), step[:1], pad[:1], dil[:1])
    deep = _depth_windows(taps, step, pad, dil)
    x = _conv.unfold(reshape(x, (n, c, size[0], size[1] * size[2])), **deep)
    x = permute(reshape(x, (n, c * taps, depth, *size[1:])), 0, 2, 1, 3, 4)
    y = _conv.conv2d(
        reshape(x, (n * depth, c * taps, *size[1:])), reshape(weight, _taps_as_channels(weight)), bias,
        stride=step[1:], padding=pad[1:], dilation=dil[1:], groups=groups,
    )  # fmt: skip
    return permute(reshape(y, (n, depth, k, *y.shape[2:])), 0, 2, 1, 3, 4)


def conv_transpose1d(
    input: Any, weight: Any, bias: Any = None, stride: Size = 1, padding: Size = 0, output_padding: Size = 0,
    groups: int = 1, dilation: Size = 1,
) -> Any:  # fmt: skip
    """The transpose of conv1d in its x: x (N, C, L) or (C, L), weight (C, K / groups, S), bias (K,).

    (N, K, (L - 1) stride - 2 padding + dilation (S - 1) + output_padding + 1); output_padding is less than stride or
    dilation. Raises ValueError where sizes do not fit.
    """
    if ndim_of("conv_transpose1d", input) == 2:
        return conv_transpose1d(
            unsqueeze(input, 0), weight, bias, stride, padding, output_padding, groups, dilation
        )[0]  # fmt: skip
    x, step, pad, dil, size = _transposed(
        "conv_transpose1d", 1, input, weight, bias, stride, padding, output_padding, groups, dilation
    )
    y = _conv.conv2d_input_grad(
        unsqueeze(x, 2), unsqueeze(weight, 2), x_shape=(x.shape[0], weight.shape[1] * groups, 1, *size),
        stride=(1, *step), padding=(0, *pad), dilation=(1, *dil), groups=groups,
    )  # fmt: skip
    return _with_bias(reshape(y, (*y.shape[:2], y.shape[3])), bias)


def conv_transpose2d(
    input: Any, weight: Any, bias: Any = None, stride: Size = 1, padding: Size = 0, output_padding: Size = 0,
    groups: int = 1, dilation: Size = 1,
) -> Any:  # fmt: skip
    """The transpose of conv2d in its x: x (N, C, H, W) or (C, H, W), weight (C, K / groups, R, S), bias (K,).

    Sizes are as in `conv_transpose1d`, along both axes.
    """
    if ndim_of("conv_transpose2d", input) == 3:
        return conv_transpose2d(
            unsqueeze(input, 0), weight, bias, stride, padding, output_padding, groups, dilation
        )[0]  # fmt: skip
    x, step, pad, dil, size = _transposed(
        "conv_transpose2d", 2, input, weight, bias, stride, padding, output_padding, groups, dilation
    )
    y = _conv.conv2d_input_grad(
        x, weight, x_shape=(x.shape[0], weight.shape[1] * groups, *size), stride=step, padding=pad, dilation=dil,
        groups=groups,
    )  # fmt: skip
    return _with_bias(y, bias)


def conv_transpose3d(
    input: Any, weight: Any, bias: Any = None, stride: Size = 1, padding: Size = 0, output_padding: Size = 0,
    groups: int = 1, dilation: Size = 1,
) -> Any:  # fmt: skip
    """The transpose of conv3d in its x: x (N, C, D, H, W) or (C, D, H, W), weight (C, K / groups, T, R, S).

    Sizes are as in `conv_transpose1d`, along the three axes.
    """
    if ndim_of("conv_transpose3d", input) == 4:
        return conv_transpose3d(
            unsqueeze(input, 0), weight, bias, stride, padding, output_padding, groups, dilation
        )[0]  # fmt: skip
    x, step, pad, dil, (deep, *size) = _transposed(
        "conv_transpose3d", 3, input, weight, bias, stride, padding, output_padding, groups, dilation
    )
    (n, c, depth, *_), (_, k, taps, *_) = x.shape, weight.shape
    images = reshape(permute(x, 0, 2, 1, 3, 4), (n * depth, c, *x.shape[3:]))
    y = _conv.conv2d_input_grad(
        images, reshape(weight, _taps_as_channels(weight)), x_shape=(n * depth, k * groups * taps, *size),
        stride=step[1:], padding=pad[1:], dilation=dil[1:], groups=groups,
    )  # fmt: skip
    columns = permute(reshape(y, (n, depth, k * groups * taps, *size)), 0, 2, 1, 3, 4)
    columns = reshape(columns, (n, k * groups * taps, depth * math.prod(size)))
    y = _conv.fold(columns, size=(deep, math.prod(size)), **_depth_windows(taps, step, pad, dil))
    return _with_bias(reshape(y, (n, k * groups, deep, *size)), bias)


def _geometry(
    op: str, rank: int, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Geometry:
    """x, padded where primitives cannot, with stride, padding and dilation per axis; all checked."""
    step, dil = several(op, "stride", stride, rank), several(op, "dilation", dilation, rank)
    _check_operands(op, rank, x, weight, step, dil, groups)
    kernel, channels = tuple(weight.shape[2:]), weight.shape[1]
    if x.shape[1] != channels * groups:
        of = f" in each of {groups} groups" if groups > 1 else ""
        raise ValueError(f"[{op}] x has {x.shape[1]} channels but weight expects {channels}{of} {_shown(x, weight)}")
    _check_channels(op, x, weight, bias, weight.shape[0], groups)
    if isinstance(padding, str):
        x, pad = _named_padding(op, x, padding, kernel, step, dil)
    else:
        pad = several(op, "padding", padding, rank)
        if min(pad) < 0:
            raise ValueError(f"[{op}] padding must not be negative, got {padding}")
    if min(kernel) < 1 or min(places(x.shape[2:], kernel, step, pad, dil)) < 1:
        raise ValueError(
            f"[{op}] a {kernel} kernel with dilation {dil} does not fit x padded by {pad} {_shown(x, weight)}"
        )
    return x, step, pad, dil


def _transposed(
    op: str, rank: int, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, output_padding: Any, groups: int,
    dilation: Any,
) -> Any:  # fmt: skip
    """x, stride, padding and dilation per axis, and the result's size; all checked."""
    step, dil = several(op, "stride", stride, rank), several(op, "dilation", dilation, rank)
    pad, extra = several(op, "padding", padding, rank), several(op, "output_padding", output_padding, rank)
    _check_operands(op, rank, x, weight, step, dil, groups)
    if x.shape[1] != weight.shape[0]:
        raise ValueError(f"[{op}] x has {x.shape[1]} channels but weight expects {weight.shape[0]} {_shown(x, weight)}")
    if weight.shape[0] % groups:
        raise ValueError(f"[{op}] {weight.shape[0]} channels do not divide into {groups} groups {_shown(x, weight)}")
    _check_channels(op, x, weight, bias, weight.shape[1] * groups, groups)
    if min(pad) < 0:
        raise ValueError(f"[{op}] padding must not be negative, got {padding}")
    if any([not 0 <= e < max(s, d) for e, s, d in zip(extra, step, dil, strict=True)]):
        raise ValueError(f"[{op}] output_padding {extra} must be less than stride {step} or dilation {dil}")
    kernel = tuple(weight.shape[2:])
    size = [n + e for n, e in zip(least_size(x.shape[2:], kernel, step, pad, dil), extra, strict=True)]
    if min(kernel) < 1 or min(size) < 1 or 0 in x.shape[2:]:
        raise ValueError(f"[{op}] the result would be of size {tuple(size)}, which is empty {_shown(x, weight)}")
    more = [e // s for e, s in zip(extra, step, strict=True)]  # windows beyond x's: they hold zeros
    if any(more):
        whole = tuple([n + m for n, m in zip(x.shape[2:], more, strict=True)])
        x = _placed(x, (0,) * rank, whole)
    return x, step, pad, dil, tuple(size)


def _check_operands(op: str, rank: int, x: Any, weight: Any, stride: Sizes, dilation: Sizes, groups: int) -> None:
    if x.ndim != rank + 2 or ndim_of(op, weight, "weight") != rank + 2:
        rows = "C, K" if "transpose" in op else "K, C"
        raise ValueError(
            f"[{op}] expected x (N, C, {AXES[rank]}) or (C, {AXES[rank]}) and weight ({rows} / groups, "
            f"{_KERNELS[rank]}) {_shown(x, weight)}"
        )
    if type(groups) is not int and not whole(groups):
        raise TypeError(f"[{op}] groups must be an integer, got {groups!r}")
    if min(stride) < 1 or min(dilation) < 1 or groups < 1:
        raise ValueError(f"[{op}] stride {stride}, dilation {dilation} and groups {groups} must be positive")


def _check_channels(op: str, x: Any, weight: Any, bias: Any, channels: int, groups: int) -> None:
    """That there are that many channels in the result."""
    if channels % groups:
        raise ValueError(
            f"[{op}] {channels} output channels do not divide into {groups} groups {_shown(x, weight)}"
        )  # fmt: skip
    if bias is not None and (ndim_of(op, bias, "bias") != 1 or bias.shape[0] != channels):
        raise ValueError(
            f"[{op}] bias has shape {tuple(bias.shape)}, expected ({channels},) {_shown(x, weight)}"
        )  # fmt: skip


def _shown(x: Any, weight: Any) -> str:
    return f"(x {tuple(x.shape)}, weight {tuple(weight.shape)})"


def same_padding(kernel: Sizes, dilation: Sizes) -> list[tuple[int, int]]:
    """Zeros before and after each axis so that at stride 1 the result has x's size; an odd one comes after."""
    totals = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    return [(t // 2, t - t // 2) for t in totals]


def _named_padding(op: str, x: Any, padding: str, kernel: Sizes, stride: Sizes, dilation: Sizes) -> tuple[Any, Sizes]:
    none = (0,) * len(kernel)
    if padding == "valid":
        return x, none
    if padding != "same":
        many = "an integer, 'valid'" if len(kernel) == 1 else "an integer, one per axis, 'valid'"
        raise ValueError(f"[{op}] padding must be {many} or 'same', got {padding!r}")
    if max(stride) > 1:
        raise ValueError(f"[{op}] padding='same' needs stride 1")
    around = same_padding(kernel, dilation)
    before = tuple([b for b, _ in around])
    if all([b == a for b, a in around]):
        return x, before
    size = tuple([n + b + a for n, (b, a) in zip(x.shape[2:], around, strict=True)])
    return _placed(x, before, size), none


def _placed(x: Any, before: Sizes, size: Sizes) -> Any:
    """x (N, C, *axes) in zeros of (N, C, *size), `before` from each start."""
    where = [(b, b + n, None) for b, n in zip(before, x.shape[2:], strict=True)]
    return scatter_add(x, spec=((None, None, None),) * 2 + tuple(where), shape=(*x.shape[:2], *size))


def _with_bias(y: Any, bias: Any) -> Any:
    return y if bias is None else _bias.bias_add(y, bias, axis=1)


def _depth_windows(taps: int, stride: Sizes, padding: Sizes, dilation: Sizes) -> dict[str, Any]:
    """Statics of unfold and fold along the first of three axes, the other two taken as one."""
    return {"kernel": (taps, 1), "stride": (stride[0], 1), "padding": (padding[0], 0), "dilation": (dilation[0], 1)}


def _taps_as_channels(weight: Any) -> tuple[int, ...]:
    k, c, taps, r, s = weight.shape
    return k, c * taps, r, s


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


__all__ = [
    "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "fold", "unfold",
]  # fmt: skip
