"""Images in other sizes: interpolation, with the names and signatures of torch.nn.functional."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...functions.shape import broadcast_to, reshape
from ...ops.elementwise import copy
from ...ops.resize import Resampling, nearest, resample
from .pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d
from .sizes import ndim_of

LINEAR = {"linear": 1, "bilinear": 2, "trilinear": 3, "bicubic": 2}
ANY_RANK = ("nearest", "nearest-exact", "area")


def interpolate(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Any:
    """x (N, C, *axes), of one to three axes, resampled to `size`, or to its size times `scale_factor`, rounded down.

    mode is 'nearest', 'nearest-exact', 'area' (averages), 'linear' (one axis), 'bilinear', 'bicubic' (two) or
    'trilinear' (three). Pixels are squares whose corners, or with align_corners the centres of corner pixels, coincide.
    With `scale_factor`, positions follow from it, or with recompute_scale_factor from the sizes, as they do with
    `size`. `antialias` (bilinear and bicubic) averages over the pixels between, where the result is smaller.
    Raises ValueError where arguments do not fit.
    """
    out, scales = _sizes(input, size, scale_factor, mode, align_corners, recompute_scale_factor, antialias)
    rank = len(out)
    if mode == "area":
        pool = (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)[rank - 1]
        return pool(input, out)
    kind = mode if mode in ANY_RANK else "cubic" if mode == "bicubic" else "linear"
    kind += "-smooth" if antialias else ""
    if not kind.startswith("nearest") and input.dtype.kind not in "fV":
        raise TypeError(f"[interpolate] mode={mode!r} needs a floating x, got {input.dtype}")
    ways = [
        Resampling(kind, n, o, None if s is None or s <= 0 else 1 / s, bool(align_corners))
        for n, o, s in zip(input.shape[2:], out, scales, strict=True)
    ]
    if rank == 2 and out == tuple(input.shape[2:]) and kind != "cubic":
        return copy(input)  # whatever the factors, as in PyTorch
    if kind.startswith("nearest") and all([_repeats(how, input) for how in ways]):
        return _repeated(input, [o // n for n, o in zip(input.shape[2:], out, strict=True)])
    y = input
    for axis, how in sorted(enumerate(ways, 2), key=lambda each: each[1].out / each[1].size):
        if how.size != how.out or how.scale is not None:
            y = resample(y, axis=axis, how=how)
    return copy(input) if y is input else y


def upsample(
    input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None
) -> Any:
    """`interpolate`, under an older name."""
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """`interpolate` in mode 'nearest', under an older name."""
    return interpolate(input, size, scale_factor)


def upsample_bilinear(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """`interpolate` in mode 'bilinear' with align_corners, under an older name."""
    return interpolate(input, size, scale_factor, "bilinear", True)


def _sizes(
    x: Any, size: Any, scale_factor: Any, mode: str, align_corners: Any, recompute: Any, antialias: bool
) -> tuple[tuple[int, ...], list[float | None]]:
    """The result's size, and the factors positions follow from (None: from the sizes)."""
    rank = ndim_of("interpolate", x) - 2
    shown = f"(x {tuple(x.shape)})"
    if mode not in (*ANY_RANK, *LINEAR):
        known = ", ".join([repr(m) for m in (*ANY_RANK, *LINEAR)])
        raise NotImplementedError(f"[interpolate] mode must be one of {known}, got {mode!r}")
    if not 1 <= rank <= 3:
        raise NotImplementedError(f"[interpolate] expected x (N, C, *axes) of one to three axes {shown}")
    if LINEAR.get(mode, rank) != rank:
        raise NotImplementedError(f"[interpolate] mode={mode!r} needs x of {LINEAR[mode] + 2} dimensions {shown}")
    if mode in ANY_RANK and align_corners is not None:
        raise ValueError(f"[interpolate] align_corners has no meaning in mode={mode!r}")
    if antialias and mode not in ("bilinear", "bicubic"):
        raise ValueError(f"[interpolate] antialias goes with 'bilinear' and 'bicubic' only, not with {mode!r}")
    if (size is None) == (scale_factor is None):
        raise ValueError("[interpolate] give size or scale_factor, one of them")
    if recompute and size is not None:
        raise ValueError("[interpolate] recompute_scale_factor has no meaning with size")
    given = size if scale_factor is None else scale_factor
    values = list(given) if isinstance(given, (tuple, list)) else [given] * rank
    name = "size" if scale_factor is None else "scale_factor"
    if len(values) != rank:
        raise ValueError(f"[interpolate] {name} must be one number or {rank}, got {given!r} {shown}")
    kinds: Any = (int, np.integer) if scale_factor is None else (int, float, np.number)
    if not all([isinstance(v, kinds) and not isinstance(v, bool) for v in values]):
        what = "integers" if scale_factor is None else "numbers"
        raise TypeError(f"[interpolate] {name} must be {what}, got {given!r}")
    if scale_factor is None:
        out = tuple([int(v) for v in values])
    else:
        out = tuple([math.floor(n * float(v)) for n, v in zip(x.shape[2:], values, strict=True)])
    if min(out) < 1 or 0 in x.shape[1:]:
        raise ValueError(f"[interpolate] sizes must be positive, got {out} for the result {shown}")
    follow = scale_factor is not None and not recompute
    return out, [float(v) if follow else None for v in values]


def _repeats(how: Resampling, x: Any) -> bool:
    """Whether each element is repeated some number of times."""
    times = how.out // how.size
    index = nearest(how, "f8" if x.dtype.itemsize == 8 else "f4")
    return how.out == how.size * times and np.array_equal(index, np.arange(how.size).repeat(times))


def _repeated(x: Any, times: list[int]) -> Any:
    """x (N, C, *axes) with each element repeated along each axis."""
    (n, c, *size), spread = x.shape, [k for pair in zip(x.shape[2:], times, strict=True) for k in pair]
    single = [k for n in size for k in (n, 1)]
    repeated = broadcast_to(reshape(x, (n, c, *single)), (n, c, *spread))
    return reshape(repeated, (n, c, *[n * k for n, k in zip(size, times, strict=True)]))


__all__ = ["interpolate", "upsample", "upsample_bilinear", "upsample_nearest"]
