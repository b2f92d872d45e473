"""Pixels and channels rearranged, and images read at points of a grid, under torch.nn.functional's names."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...autograd.value import device_under
from ...creation import tensor
from ...functions import floor, logical_and, matmul, permute, reshape, round, transpose, where
from ...ops.elementwise import astype
from ...ops.index import ARRAY, getitem
from ...ops.resize import cubic
from .sizes import ndim_of, whole


def pixel_shuffle(input: Any, upscale_factor: int) -> Any:
    """x (..., C r r, H, W) -> (..., C, H r, W r): channels become pixels (Shi et al., 2016)."""
    r = _factor("pixel_shuffle", "upscale_factor", input, upscale_factor)
    *lead, c, h, w = input.shape
    if c % (r * r):
        raise ValueError(f"[pixel_shuffle] {c} channels do not divide by {r} * {r} (x {tuple(input.shape)})")
    k = len(lead)
    x = permute(reshape(input, (*lead, c // (r * r), r, r, h, w)), *range(k), k, k + 3, k + 1, k + 4, k + 2)
    return reshape(x, (*lead, c // (r * r), h * r, w * r))


def pixel_unshuffle(input: Any, downscale_factor: int) -> Any:
    """x (..., C, H r, W r) -> (..., C r r, H, W): the inverse of `pixel_shuffle`."""
    r = _factor("pixel_unshuffle", "downscale_factor", input, downscale_factor)
    *lead, c, h, w = input.shape
    if h % r or w % r:
        raise ValueError(f"[pixel_unshuffle] rows and columns do not divide by {r} (x {tuple(input.shape)})")
    k = len(lead)
    x = permute(reshape(input, (*lead, c, h // r, r, w // r, r)), *range(k), k, k + 2, k + 4, k + 1, k + 3)
    return reshape(x, (*lead, c * r * r, h // r, w // r))


def _factor(op: str, name: str, x: Any, r: Any) -> int:
    if ndim_of(op, x) < 3:
        raise ValueError(f"[{op}] expected x (..., C, H, W), got {tuple(x.shape)}")
    if not whole(r) or r < 1:
        raise ValueError(f"[{op}] {name} must be a positive integer, got {r!r}")
    return int(r)


def channel_shuffle(input: Any, groups: int) -> Any:
    """x (N, C, ...) with its channels, taken as (groups, C / groups), transposed (Zhang et al., 2018)."""
    if ndim_of("channel_shuffle", input) < 3:
        raise ValueError(f"[channel_shuffle] expected x (N, C, ...) of 3 dimensions or more, got {tuple(input.shape)}")
    n, c, *size = input.shape
    if not whole(groups) or groups < 1 or c % groups:
        raise ValueError(f"[channel_shuffle] {c} channels do not divide into {groups!r} groups")
    return reshape(transpose(reshape(input, (n, groups, c // groups, *size)), 1, 2), (n, c, *size))


def affine_grid(theta: Any, size: Sequence[int], align_corners: bool | None = None) -> Any:
    """Where each pixel of an image `size` (N, C, H, W) comes from, for `grid_sample`: theta (N, 2, 3) -> (N, H, W, 2).

    theta times (x, y, 1), with x and y in -1 to 1 over the image: over the centres of its pixels if align_corners,
    over their edges otherwise. `size` (N, C, D, H, W) takes theta (N, 3, 4) and gives (N, D, H, W, 3). Raises
    ValueError where shapes do not fit.
    """
    rank = len(size) - 2
    ndim_of("affine_grid", theta, "theta")
    if rank not in (2, 3) or tuple(theta.shape) != (size[0], rank, rank + 1) or min(size) < 1:
        raise ValueError(
            f"[affine_grid] theta {tuple(theta.shape)} does not fit size {tuple(size)}: expected (N, 2, 3) with "
            "(N, C, H, W), or (N, 3, 4) with (N, C, D, H, W), all positive"
        )
    axes = [np.linspace(-1, 1, n) * (1 if align_corners else (n - 1) / n) if n > 1 else np.zeros(1) for n in size[2:]]
    mesh = np.meshgrid(*axes, indexing="ij")[::-1]
    base = np.stack([p.reshape(-1) for p in (*mesh, np.ones(size[2:]))], -1)
    points = tensor(base, dtype=theta.dtype, device=device_under(theta))
    return reshape(matmul(points, transpose(theta, 1, 2)), (size[0], *size[2:], rank))


# -- reading at points -------------------------------------------------------------------------------------------------


def grid_sample(
    input: Any, grid: Any, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool | None = None
) -> Any:
    """x (N, C, H, W) read at the points of a grid (N, H', W', 2): (N, C, H', W'); or x of three axes, a grid of 3.

    A point (x, y) is -1 to 1 over the image: over the centres of its pixels if align_corners, over their edges
    otherwise. mode is 'bilinear', 'nearest' (no gradient for the grid) or 'bicubic' (two axes only). Outside there are
    zeros, the nearest pixel of the 'border', or the image's 'reflection'. Raises ValueError where shapes do not fit.
    """
    rank = _check_grid(input, grid, mode, padding_mode)
    if input.dtype.itemsize < 4:  # places need more digits than values
        wide, points = [astype(a, dtype="float32") for a in (input, grid)]
        return astype(grid_sample(wide, points, mode, padding_mode, align_corners), dtype=input.dtype)
    align, size = bool(align_corners), input.shape[2:]
    taps = [_taps(grid[..., rank - 1 - a], n, mode, padding_mode, align) for a, n in enumerate(size)]
    lead = (input.shape[0], *[1] * rank)
    images = tensor(np.arange(lead[0]).reshape(lead), device=device_under(input))
    spec = (ARRAY, (None, None, None), *[ARRAY] * rank)
    total: Any = None
    for corner in itertools.product(*taps):
        found = _inside(corner[0][0], size[0])
        weight = corner[0][1]
        for (at, w), n in zip(corner[1:], size[1:], strict=True):
            found, weight = logical_and(found, _inside(at, n)), weight * w
        index = [astype(where(found, at, 0.0), dtype="int64") for at, _ in corner]
        values = getitem(input, images, *index, spec=spec)
        seen = where(found[..., None], values, 0.0)
        seen = seen if mode == "nearest" else seen * weight[..., None]
        total = seen if total is None else total + seen
    return permute(total, 0, rank + 1, *range(1, rank + 1))


def _check_grid(x: Any, grid: Any, mode: str, padding_mode: str) -> int:
    rank = ndim_of("grid_sample", x) - 2
    ndim_of("grid_sample", grid, "grid")
    shown = f"(x {tuple(x.shape)}, grid {tuple(grid.shape)})"
    if rank not in (2, 3) or grid.ndim != rank + 2 or grid.shape[-1] != rank or grid.shape[0] != x.shape[0]:
        raise ValueError(
            f"[grid_sample] expected x (N, C, H, W) and grid (N, H', W', 2), or x (N, C, D, H, W) and grid "
            f"(N, D', H', W', 3) {shown}"
        )
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ValueError(f"[grid_sample] mode must be 'bilinear', 'nearest' or 'bicubic', got {mode!r}")
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(f"[grid_sample] padding_mode must be 'zeros', 'border' or 'reflection', got {padding_mode!r}")
    if mode == "bicubic" and rank == 3:
        raise NotImplementedError(f"[grid_sample] mode='bicubic' is for images of two axes {shown}")
    if 0 in x.shape[2:]:
        raise ValueError(f"[grid_sample] x must not be empty {shown}")
    if x.dtype != grid.dtype:
        raise TypeError(f"[grid_sample] x and grid must be of one dtype, got {x.dtype} and {grid.dtype}")
    return rank


def _inside(at: Any, n: int) -> Any:
    return logical_and(at >= 0, at <= n - 1)


def _taps(point: Any, n: int, mode: str, padding_mode: str, align: bool) -> list[tuple[Any, Any]]:
    """(place, weight) of each element that counts, along an axis of n, for points of -1 to 1."""
    at = (point + 1) / 2 * (n - 1) if align else ((point + 1) * n - 1) / 2

    def held(place: Any) -> Any:
        return _held(place, n, padding_mode, align)

    if mode == "bicubic":
        first = floor(at)
        return [(held(first + k), w) for k, w in zip((-1, 0, 1, 2), cubic(at - first), strict=True)]
    at = held(at)
    if mode == "nearest":
        return [(round(at), 1.0)]
    first = floor(at)
    return [(first, first + 1 - at), (first + 1, at - first)]


def _held(at: Any, n: int, padding_mode: str, align: bool) -> Any:
    """A place moved inside an axis of n, as padding says; at its ends without a gradient, as in PyTorch."""
    if padding_mode == "zeros":
        return at
    if padding_mode == "reflection":
        low, span = (0.0, n - 1) if align else (-0.5, n)
        if not span:
            return at * 0.0
        at = at - low
        at = where(at < 0, -at, at)
        turns = floor(at / span)
        rest = at - turns * span
        odd = turns - 2 * floor(turns / 2)
        at = where(odd == 0, rest + low, (span + low) - rest)
    at = where(at > 0, at, 0.0)
    return where(at < n - 1, at, n - 1.0)


__all__ = ["affine_grid", "channel_shuffle", "grid_sample", "pixel_shuffle", "pixel_unshuffle"]
