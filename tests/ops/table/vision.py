"""The table's part on images: interpolation, grids, shuffled pixels and channels."""

from __future__ import annotations

from typing import Any

import numpy as np
from ops.case import Case, case

from gradflow.autograd.primitive import BIND as P
from gradflow.nn import functional as F
from gradflow.ops.resize import Resampling


def keys(s: np.ndarray, a: float) -> np.ndarray:
    """The cubic convolution kernel at distance s."""
    s = np.abs(s)
    near, far = (a + 2) * s**3 - (a + 3) * s**2 + 1, a * (s**3 - 5 * s**2 + 8 * s - 4)
    return np.where(s <= 1, near, np.where(s < 2, far, 0.0))


def triangle(s: np.ndarray) -> np.ndarray:
    return np.maximum(1 - np.abs(s), 0)


def matrix(mode: str, n: int, o: int, scale: float | None = None, align: bool = False) -> np.ndarray:
    """(o, n): how n elements become o."""
    i, j = np.arange(o)[:, None], np.arange(n)
    step = n / o if scale is None else 1 / scale
    at = i * (n - 1) / (o - 1) if align else (i + 0.5) * step - 0.5
    if mode == "nearest":
        return (np.floor(i * step) == j).astype(float)
    if mode == "nearest-exact":
        return (np.floor((i + 0.5) * step) == j).astype(float)
    if mode == "linear":
        return triangle(np.clip(at, 0, n - 1) - j)
    if mode == "cubic":
        reach = np.arange(-3, n + 3)
        return keys(at - reach, -0.75) @ (np.clip(reach, 0, n - 1)[:, None] == j)
    weights = (triangle if mode == "linear-smooth" else lambda s: keys(s, -0.5))((at - j) / max(step, 1))
    return weights / weights.sum(1, keepdims=True)


def resized(x: np.ndarray, mode: str, out: Any, **options: Any) -> np.ndarray:
    for axis, o in enumerate(out, x.ndim - len(out)):
        x = np.moveaxis(np.moveaxis(x, axis, -1) @ matrix(mode, x.shape[axis], o, **options).T, -1, axis)
    return x


def resampled(name: str, mode: str, n: int, o: int, **options: Any) -> list[Case]:
    """The primitive along the middle axis, and its transpose."""
    how, m = Resampling(mode, n, o, **options), matrix(mode, n, o, **options)
    return [
        case(f"resample-{name}", lambda x: P.resample(x, axis=1, how=how), (2, n, 2), rows=(0,),
            ref=lambda x: np.einsum("on,bnc->boc", m, x)),
        case(f"resample-{name}-transpose", lambda g: P.resample(g, axis=1, how=how, transpose=True), (2, o, 2),
            rows=(0,), ref=lambda g: np.einsum("on,boc->bnc", m, g)),
    ]  # fmt: skip


def folded(at: np.ndarray, low: float, high: float) -> np.ndarray:
    """Reflected at low and high until between them."""
    for _ in range(9):
        at = np.where(at < low, 2 * low - at, at)
        at = np.where(at > high, 2 * high - at, at)
    return at


def sampled(x: np.ndarray, grid: np.ndarray, mode: str, padding: str, align: bool) -> np.ndarray:
    """grid_sample as a weighted sum over all pixels."""
    weights = []
    for a, n in enumerate(x.shape[2:]):
        at = (grid[..., -1 - a] + 1) / 2 * (n - 1) if align else ((grid[..., -1 - a] + 1) * n - 1) / 2
        reach = np.arange(-4, n + 4)
        ends = (0, n - 1) if align else (-0.5, n - 0.5)
        if padding == "reflection" and mode != "bicubic":
            at = folded(at, *ends)
        if padding != "zeros" and mode != "bicubic":
            at = np.clip(at, 0, n - 1)
        if mode == "nearest":
            at = np.rint(at)
        kernel = keys(at[..., None] - reach, -0.75) if mode == "bicubic" else triangle(at[..., None] - reach)
        held = folded(reach, *ends) if padding == "reflection" else reach
        held = held if padding == "zeros" else np.clip(held, 0, n - 1)
        weights.append(kernel @ (held[:, None] == np.arange(n)))
    if len(weights) == 2:
        return np.einsum("nchw,npqh,npqw->ncpq", x, *weights)
    return np.einsum("ncdhw,npqrd,npqrh,npqrw->ncpqr", x, *weights)


def grid(name: str, x: Any, out: Any, mode: str = "bilinear", padding: str = "zeros", align: bool = False) -> Case:
    """Points near the middle of a pixel's half, so that no derivative jumps close by."""
    rng = np.random.default_rng(len(name))
    n = np.array(x[:1:-1])
    at = rng.integers(-1, n + 1, (x[0], *out, len(n))) + rng.choice([0.2, 0.35, -0.3], (x[0], *out, len(n)))
    points = 2 * at / (n - 1) - 1 if align else (2 * at + 1) / n - 1
    return case(f"grid_sample-{name}", lambda x, g: F.grid_sample(x, g, mode, padding, align), x, points, light=True,
        rows=(0, 1), mixed=False, ref=lambda x, g: sampled(x, g, mode, padding, align))  # fmt: skip


def affine(theta: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    axes = [(2 * np.arange(n) + 1) / n - 1 for n in size[2:]]
    points = np.stack([*np.meshgrid(*axes, indexing="ij")[::-1], np.ones(size[2:])], -1)
    return np.einsum("nij,...j->n...i", theta, points)


def shuffled(x: np.ndarray) -> np.ndarray:
    """pixel_shuffle by 2, one pixel at a time."""
    n, c, h, w = x.shape
    y = np.zeros((n, c // 4, 2 * h, 2 * w))
    for k, i, j in np.ndindex(c, h, w):
        y[:, k // 4, 2 * i + k % 4 // 2, 2 * j + k % 2] = x[:, k, i, j]
    return y


def unshuffled(x: np.ndarray) -> np.ndarray:
    n, c, h, w = x.shape
    y = np.zeros((n, 4 * c, h // 2, w // 2))
    for k, i, j in np.ndindex(4 * c, h // 2, w // 2):
        y[:, k, i, j] = x[:, k // 4, 2 * i + k % 4 // 2, 2 * j + k % 2]
    return y


def sized(name: str, x: Any, out: Any, kind: str, how: Any = None, **options: Any) -> Case:
    return case(f"interpolate-{name}", lambda x: F.interpolate(x, **options), x, rows=(0,), light=True,
        ref=lambda x: resized(x, kind, out, **(how or {})))  # fmt: skip


CASES: list[Case] = [
    *resampled("larger", "linear", 3, 7),
    *resampled("smaller", "linear", 7, 3, align=True),
    *resampled("nearest", "nearest", 5, 3),
    *resampled("smooth", "cubic-smooth", 9, 4),
    sized("nearest", (2, 2, 3, 5), (5, 4), "nearest", size=(5, 4)),
    sized("repeated", (2, 2, 3, 2), (6, 6), "nearest", scale_factor=(2, 3)),
    sized("same", (2, 2, 3, 2), (3, 2), "nearest", size=(3, 2)),
    sized("exact", (2, 2, 5), (3,), "nearest-exact", size=3, mode="nearest-exact"),
    sized("linear", (2, 2, 4), (6,), "linear", {"scale": 1.5}, scale_factor=1.5, mode="linear"),
    sized("bilinear", (2, 2, 3, 4), (5, 3), "linear", {"align": True}, size=(5, 3), mode="bilinear",
        align_corners=True),
    sized("trilinear", (1, 2, 2, 3, 2), (3, 2, 4), "linear", size=(3, 2, 4), mode="trilinear"),
    sized("bicubic", (1, 2, 3, 4), (5, 6), "cubic", size=(5, 6), mode="bicubic"),
    sized("smooth", (1, 2, 5, 4), (2, 6), "linear-smooth", size=(2, 6), mode="bilinear", antialias=True),
    *[case(f"interpolate-area-{rank}", lambda x: F.interpolate(x, scale_factor=0.5, mode="area"), (2, 2, *[4] * rank),
        rows=(0,), light=True,
        ref=lambda x, rank=rank: x.reshape(len(x), 2, *[2] * 2 * rank).mean(tuple(range(3, 3 + 2 * rank, 2))))
        for rank in (1, 2, 3)],
    case("upsample", lambda x: F.upsample(x, 4, mode="bicubic"), (1, 2, 3, 3), rows=(0,), light=True,
        ref=lambda x: resized(x, "cubic", (4, 4))),
    case("upsample_nearest", lambda x: F.upsample_nearest(x, scale_factor=2), (1, 2, 3), rows=(0,), light=True,
        ref=lambda x: x.repeat(2, -1)),
    case("upsample_bilinear", lambda x: F.upsample_bilinear(x, 4), (1, 2, 3, 3), rows=(0,), light=True,
        ref=lambda x: resized(x, "linear", (4, 4), align=True)),
    case("pixel_shuffle", lambda x: F.pixel_shuffle(x, 2), (2, 4, 2, 3), rows=(0,), light=True, ref=shuffled),
    case("pixel_unshuffle", lambda x: F.pixel_unshuffle(x, 2), (2, 1, 4, 2), rows=(0,), light=True, ref=unshuffled),
    case("channel_shuffle", lambda x: F.channel_shuffle(x, 2), (2, 6, 2), rows=(0,), light=True,
        ref=lambda x: x[:, [0, 3, 1, 4, 2, 5]]),
    case("affine_grid", lambda t: F.affine_grid(t, (2, 1, 3, 2)), (2, 2, 3), light=True,
        ref=lambda t: affine(t, (2, 1, 3, 2))),
    case("affine_grid-3d", lambda t: F.affine_grid(t, (1, 1, 2, 1, 3), False), (1, 3, 4), light=True,
        ref=lambda t: affine(t, (1, 1, 2, 1, 3))),
    grid("bilinear", (2, 2, 3, 4), (2, 3)),
    grid("border", (1, 2, 3, 4), (3, 3), padding="border", align=True),
    grid("reflection", (1, 2, 4, 3), (3, 3), padding="reflection"),
    grid("reflection-aligned", (1, 2, 4, 3), (3, 2), padding="reflection", align=True),
    grid("bicubic", (1, 1, 3, 4), (2, 3), mode="bicubic", padding="border"),
    grid("nearest", (1, 2, 3, 4), (2, 3), mode="nearest"),
    grid("3d", (1, 2, 2, 3, 2), (2, 1, 2)),
    case("grid_sample-one-pixel", lambda x, g: F.grid_sample(x, g, padding_mode="reflection", align_corners=True),
        (1, 1, 1, 1), c=np.full((1, 1, 1, 2), 2.5), light=True, mixed=False, ref=lambda x, g: x),
]  # fmt: skip
