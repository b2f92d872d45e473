"""Interpolation, grids, shuffled pixels and padding layers against PyTorch, over generated configurations."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from parity.same import floats, integers, same

import gradflow as gf

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore")  # PyTorch's, about its defaults and its speed

SIZES = {1: (7,), 2: (5, 6), 3: (3, 4, 5)}
LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}
OUT: list[Any] = [1, 2, 3, 5, 7, 12, 13, 24]
SCALES: list[Any] = [0.3, 0.5, 1, 1.1, 1.5, 2, 2.7, 3, 4.0]
"""Of 1.1, which keeps these sizes, PyTorch's gradients are not those of its values."""


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "area"])
def test_interpolation_by_pixels(rank: int, mode: str) -> None:
    for size, scale in [*[(o, None) for o in OUT], *[(None, s) for s in SCALES]]:
        for recompute in (None, False, True) if scale else (None,):
            same(
                lambda t, x, o=size, s=scale, r=recompute: t.nn.functional.interpolate(
                    x, o, s, mode, recompute_scale_factor=r
                ),
                floats(2, 2, *SIZES[rank]), second=True, grad=scale != 1.1,
            )  # fmt: skip


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("align", [None, False, True])
@pytest.mark.parametrize("smooth", [False, True])
def test_interpolation_between_pixels(rank: int, align: bool | None, smooth: bool) -> None:
    """In squares: antialiased columns of width 1 are in PyTorch not those of wider images."""
    for mode in (LINEAR[rank], *["bicubic"] * (rank == 2)):
        if smooth and rank != 2:
            continue
        for size, scale in [*[(o, None) for o in OUT], *[(None, s) for s in SCALES]]:
            for recompute in (None, True) if scale else (None,):
                same(
                    lambda t, x, o=size, s=scale, r=recompute, mode=mode: t.nn.functional.interpolate(
                        x, o, s, mode, align, r, antialias=smooth
                    ),
                    floats(2, 2, *SIZES[rank]), second=True, grad=scale != 1.1,
                )  # fmt: skip


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "bicubic", "area"])
@pytest.mark.parametrize("dtype", ["f4", "f2", "u1"])
def test_interpolation_of_other_dtypes(mode: str, dtype: str) -> None:
    """Sizes at which positions fall between pixels, or nearly so, in float32."""
    if dtype == "u1" and mode not in ("nearest", "nearest-exact"):
        return
    make = integers if dtype == "u1" else floats
    for n, o in ((49, 98), (41, 123), (30, 100), (100, 30), (7, 49), (10, 11)):
        same(
            lambda t, x, o=o: t.nn.functional.interpolate(x, (o, 3), mode=mode), make(1, 2, n, 2, dtype=dtype),
            rtol=1e-4 if dtype == "f4" else None,
        )  # fmt: skip


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic", "area"])
def test_interpolation_of_nan_and_of_no_images(mode: str) -> None:
    x = floats(1, 1, 6, 6)
    x[0, 0, 2, 3], x[0, 0, 5, 0] = np.nan, np.inf
    for size in (3, 7, 12):
        same(lambda t, x, size=size: t.nn.functional.interpolate(x, size, mode=mode), x, grad=False)
    same(lambda t, x: t.nn.functional.interpolate(x, 3, mode=mode), floats(0, 2, 6, 6))


REFUSED: list[Any] = [
    {}, {"size": 3, "scale_factor": 2}, {"size": (3,)}, {"scale_factor": (1, 2, 3)}, {"size": 0}, {"size": 2.5},
    {"scale_factor": 0.01}, {"size": 3, "mode": "linear"}, {"size": 3, "mode": "trilinear"},
    {"size": 3, "mode": "odd"}, {"size": 3, "align_corners": True},
    {"size": 3, "mode": "bilinear", "recompute_scale_factor": True}, {"size": 3, "antialias": True},
]  # fmt: skip


@pytest.mark.parametrize("options", REFUSED, ids=str)
def test_interpolation_refuses(options: dict[str, Any]) -> None:
    for t, make in ((gf, gf.tensor), (torch, torch.from_numpy)):
        with pytest.raises((ValueError, RuntimeError, TypeError, NotImplementedError)):
            t.nn.functional.interpolate(make(floats(2, 2, 5, 6)), **options)


@pytest.mark.parametrize("rank", [2, 3])
@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("align", [False, True, None])
def test_grid_sample(rank: int, mode: str, padding: str, align: bool | None) -> None:
    rng = np.random.default_rng(0)
    x, inside = floats(2, 3, *SIZES[rank]), rng.uniform(-1, 1, (2, *[4] * rank, rank))
    second = mode != "nearest" and rank == 2
    for grid in (inside, 2.5 * inside):
        same(lambda t, x, g: t.nn.functional.grid_sample(x, g, mode, padding, align), x, grid, rtol=1e-9,
            second=second and mode == "bilinear" and padding == "zeros")  # fmt: skip
    one = floats(2, 3, *[1] * rank)
    same(lambda t, x, g: t.nn.functional.grid_sample(x, g, mode, padding, align), one, inside, rtol=1e-9)


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 1e9, -1e9, 1.0, -1.0])
def test_points_far_outside(mode: str, padding: str, value: float) -> None:
    """Reflections of infinity are left out: PyTorch converts NaN to an integer there."""
    if padding == "reflection" and abs(value) > 1e3:
        return
    x, grid = floats(1, 1, 3, 3), np.full((1, 1, 3, 2), value)
    same(lambda t, x, g: t.nn.functional.grid_sample(x, g, mode, padding), x, grid, grad=False)
    same(lambda t, x, g: t.nn.functional.grid_sample(x, g, mode, padding), np.full_like(x, np.inf), grid, grad=False)


def test_grids_that_are_refused() -> None:
    x, grid = floats(1, 1, 3, 3), np.ones((1, 1, 3, 2))
    for args in (("odd",), ("bilinear", "odd"), (3,)):
        same(lambda t, x, g, a=args: t.nn.functional.grid_sample(x, g, *a), x, grid)
    for image, points in ((x, np.ones((2, 1, 3, 2))), (x, np.ones((1, 1, 3, 3))), (x, grid.astype("f4")), (x[0], grid)):
        same(lambda t, x, g: t.nn.functional.grid_sample(x, g), image, points)


@pytest.mark.parametrize("align", [False, True, None])
def test_affine_grid(align: bool | None) -> None:
    for size in ((2, 3, 4, 5), (2, 1, 1, 3), (2, 3, 3, 4, 5), (2, 3, 1, 1, 2)):
        rank = len(size) - 2
        theta = floats(2, rank, rank + 1)
        same(lambda t, a, s=size: t.nn.functional.affine_grid(a, s, align), theta, second=True)
    same(lambda t, a: t.nn.functional.affine_grid(a, (2, 3, 4, 5), align), floats(2, 2, 3, dtype="f4"))
    same(lambda t, a: t.nn.functional.affine_grid(a, (3, 3, 4, 5), align), floats(2, 2, 3))
    same(lambda t, a: t.nn.functional.affine_grid(a, (2, 3, 0, 5), align), floats(2, 2, 3))


@pytest.mark.parametrize("r", [1, 2, 3, 0, -1])
def test_shuffles(r: int) -> None:
    for x in (floats(2, 12, 6, 6), floats(18, 6, 6), floats(2, 2, 36, 12, 6), integers(4, 2, 2)):
        for name in ("pixel_shuffle", "pixel_unshuffle", "channel_shuffle"):
            same(lambda t, x, name=name: getattr(t.nn.functional, name)(x, r), x)


LAYERS: list[Any] = [
    lambda nn: nn.Upsample(scale_factor=2),
    lambda nn: nn.Upsample((4, 5)),
    lambda nn: nn.Upsample(scale_factor=(1.5, 2), mode="bilinear", align_corners=True),
    lambda nn: nn.Upsample(scale_factor=1.7, mode="bicubic", recompute_scale_factor=True),
    lambda nn: nn.UpsamplingNearest2d(7),
    lambda nn: nn.UpsamplingBilinear2d(scale_factor=2),
    lambda nn: nn.PixelShuffle(2),
    lambda nn: nn.PixelUnshuffle(2),
    lambda nn: nn.ChannelShuffle(4),
    lambda nn: nn.ZeroPad2d(2),
    lambda nn: nn.ZeroPad2d((1, 2, 0, -1)),
    lambda nn: nn.ZeroPad1d((1, 2)),
    lambda nn: nn.ZeroPad3d(1),
    lambda nn: nn.ConstantPad1d(2, 3.5),
    lambda nn: nn.ConstantPad2d((1, 0, 2, 1), -1),
    lambda nn: nn.ConstantPad3d(1, 0.5),
    lambda nn: nn.ReflectionPad2d(2),
    lambda nn: nn.ReflectionPad2d((1, 2, 3, 0)),
    lambda nn: nn.ReplicationPad2d((1, 2, 0, 3)),
    lambda nn: nn.CircularPad2d((1, 2, 0, 3)),
]


@pytest.mark.parametrize("make", LAYERS, ids=range(len(LAYERS)))
def test_layers(make: Any) -> None:
    ours, theirs = make(gf.nn), make(torch.nn)
    assert repr(ours) == repr(theirs)
    same(lambda t, x: (ours if t is gf else theirs)(x), floats(2, 4, 4, 6))


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("kind", ["Reflection", "Replication", "Circular", "Zero"])
def test_padding_layers(rank: int, kind: str) -> None:
    for padding in (0, 1, 3, tuple(range(2 * rank)), (1,) * (2 * rank + 1)):
        for shape in ((2, 3, *[4] * rank), (3, *[4] * rank), (4,) * rank, (1, 2, 3, *[4] * rank)):
            if kind == "Zero" and len(shape) == rank:
                continue
            same(lambda t, x, p=padding: getattr(t.nn, f"{kind}Pad{rank}d")(p)(x), floats(*shape))


def test_older_names() -> None:
    x = gf.tensor(floats(1, 2, 3, 4))
    nn = gf.nn.functional
    for old, new in (
        (nn.upsample(x, scale_factor=2), nn.interpolate(x, scale_factor=2)),
        (nn.upsample_nearest(x, 5), nn.interpolate(x, 5)),
        (nn.upsample_bilinear(x, (3, 7)), nn.interpolate(x, (3, 7), mode="bilinear", align_corners=True)),
        (nn.upsample(x, 7, mode="bicubic"), nn.interpolate(x, 7, mode="bicubic")),
    ):
        assert np.array_equal(old.numpy(), new.numpy())


def test_every_pixel_counts_once() -> None:
    """The transpose of interpolation keeps sums, for each mode and sizes up to 40."""
    for mode, n, o in itertools.product(("nearest", "linear"), (1, 2, 9, 17), (1, 3, 10, 40)):
        x = gf.tensor(floats(1, 1, n), requires_grad=True)
        gf.nn.functional.interpolate(x, o, mode=mode).sum().backward()
        assert x.grad.sum().item() == pytest.approx(o, rel=1e-12)
