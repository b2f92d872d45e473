"""Pooling over one to three axes, its indices and its inverses against PyTorch, over generated configurations."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from parity.same import floats, integers, same

import gradflow as gf

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore")  # of sums of opposite infinities

SIZES = {1: (9,), 2: (6, 7), 3: (4, 5, 6)}
WINDOWS: list[dict[str, Any]] = [
    {"kernel_size": k, "stride": s, "padding": p, "ceil_mode": c}
    for k, s, p, c in itertools.product((1, 2, 3), (None, 1, 2, 3), (0, 1), (False, True))
]


def special(*shape: int) -> np.ndarray:
    """Images with equal elements, NaN and infinities."""
    rng = np.random.default_rng(shape)
    x = rng.integers(-3, 4, shape).astype("f8")
    flat = x.reshape(-1)
    for value in (np.nan, np.inf, -np.inf):
        flat[rng.integers(0, flat.size, max(flat.size // 20, 1))] = value
    x[0, 0] = -np.inf
    return x


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("indices", [False, True])
def test_max_pool(rank: int, indices: bool) -> None:
    for window, dilation in itertools.product(WINDOWS[:: (1, 3, 5)[rank - 1]], (1, 2)):
        if window["kernel_size"] == 1 and window["padding"]:
            continue
        for x in (floats(2, 3, *SIZES[rank]), special(2, 2, *SIZES[rank])):
            same(
                lambda t, x, w=window, d=dilation: getattr(t.nn.functional, f"max_pool{rank}d")(
                    x, **w, dilation=d, return_indices=indices
                ),
                x, second=not indices,
            )  # fmt: skip


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("count", [False, True])
@pytest.mark.parametrize("divisor", [None, 2, -3])
def test_avg_pool(rank: int, count: bool, divisor: int | None) -> None:
    options: dict[str, Any] = {"count_include_pad": count}
    if rank > 1:
        options["divisor_override"] = divisor
    for window in WINDOWS[:: (1, 3, 5)[rank - 1]]:
        if window["kernel_size"] == 1 and window["padding"]:
            continue
        same(
            lambda t, x, w=window: getattr(t.nn.functional, f"avg_pool{rank}d")(x, **w, **options),
            floats(2, 3, *SIZES[rank]), second=True,
        )  # fmt: skip


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("lead", [(), (0,), (3,)])
@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "i8"])
def test_batches_and_dtypes(rank: int, lead: tuple[int, ...], dtype: str) -> None:
    make = floats if dtype[0] == "f" else integers
    for name in (f"max_pool{rank}d", f"avg_pool{rank}d"):
        if (name[0], dtype) == ("a", "i8"):
            continue  # averages of integers are floats here
        x = make(*lead, 2, *SIZES[rank], dtype=dtype) - (5 if dtype == "i8" else 0)  # below what padding holds
        same(lambda t, x, name=name: getattr(t.nn.functional, name)(x, 3, 2, 1), x)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 2, 4, 5, 9, None])
def test_adaptive_pools(rank: int, size: int | None) -> None:
    out: Any = size if size else [3, None, 2][-rank:]
    for x in (floats(2, 3, *SIZES[rank]), floats(2, *SIZES[rank]), special(2, 2, *SIZES[rank])):
        for name in ("avg", "max"):
            same(
                lambda t, x, name=name: getattr(t.nn.functional, f"adaptive_{name}_pool{rank}d")(x, out),
                x, second=True,
            )  # fmt: skip
        same(lambda t, x: getattr(t.nn.functional, f"adaptive_max_pool{rank}d")(x, out, return_indices=True), x)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("p", [1, 2, 3.0, 1.5, float("inf"), -float("inf")])
def test_lp_pool(rank: int, p: float) -> None:
    for k, s, c in itertools.product((2, 3), (None, 1, 2), (False, True)):
        x = floats(2, 2, *SIZES[rank])
        for each in (x, np.abs(x[0])):
            same(
                lambda t, x, k=k, s=s, c=c: getattr(t.nn.functional, f"lp_pool{rank}d")(x, p, k, s, c), each, rtol=1e-8
            )


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_max_unpool(rank: int) -> None:
    for k, s, p in ((2, None, 0), (3, 3, 1), (2, 3, 1)):

        def run(t: Any, x: Any, sized: int = 0, k: int = k, s: Any = s, p: int = p) -> Any:
            nn = t.nn.functional
            y, i = getattr(nn, f"max_pool{rank}d")(x, k, s, p, return_indices=True)
            size = [None, tuple(x.shape), [n + 9 for n in x.shape[2:]], x.shape[2:][:1]][sized]
            return getattr(nn, f"max_unpool{rank}d")(y, i, k, s, p, size)

        for sized in range(4):
            same(lambda t, x, sized=sized: run(t, x, sized), floats(2, 3, *[9] * rank), second=True)
        same(run, floats(3, *[9] * rank))


def test_max_unpool_refuses() -> None:
    x, far = floats(1, 1, 2, 2), np.array([[[[0, 3], [9, 100]]]])
    same(lambda t, x, i: t.nn.functional.max_unpool2d(x, i, 2), x, far)
    same(lambda t, x, i: t.nn.functional.max_unpool2d(x, i[0], 2), x, far)
    same(lambda t, x, i: t.nn.functional.max_unpool2d(x, i.to(t.int32), 2), x, far)
    for rows in (2, 3, 5, 6):
        near = np.arange(4).reshape(1, 1, 2, 2)
        same(lambda t, x, i, n=rows: t.nn.functional.max_unpool2d(x, i, 2, output_size=(n, 4)), x, near)


REFUSED: list[Any] = [
    lambda nn, x: nn.max_pool1d(x, 0),
    lambda nn, x: nn.max_pool1d(x, 2, 0),
    lambda nn, x: nn.max_pool1d(x, 2, 1, 2),
    lambda nn, x: nn.max_pool1d(x, 99),
    lambda nn, x: nn.max_pool1d(x[0, 0], 2),
    lambda nn, x: nn.max_pool1d(x, (2, 2)),
    lambda nn, x: nn.avg_pool1d(x, 2, padding=2),
    lambda nn, x: nn.avg_pool1d(x, 99),
    lambda nn, x: nn.avg_pool3d(x, 2),
    lambda nn, x: nn.max_pool3d(x, 2),
    lambda nn, x: nn.adaptive_avg_pool1d(x, (1, 2)),
    lambda nn, x: nn.adaptive_max_pool1d(x, -1),
    lambda nn, x: nn.adaptive_max_pool3d(x, 1),
    lambda nn, x: nn.lp_pool1d(x, 2, 99),
]


@pytest.mark.parametrize("run", REFUSED, ids=range(len(REFUSED)))
def test_both_refuse(run: Any) -> None:
    for t, make in ((gf, gf.tensor), (torch, torch.from_numpy)):
        with pytest.raises((ValueError, RuntimeError, TypeError)):
            run(t.nn.functional, make(floats(2, 3, 9)))


LAYERS: list[Any] = [
    lambda nn: nn.MaxPool1d(3, 2, 1),
    lambda nn: nn.MaxPool1d((2,), return_indices=True, ceil_mode=True),
    lambda nn: nn.MaxPool2d((2, 3), return_indices=True),
    lambda nn: nn.MaxPool3d(2, (1, 2, 1), dilation=(1, 2, 1)),
    lambda nn: nn.AvgPool1d(3, 2, 1, True, False),
    lambda nn: nn.AvgPool1d(2),
    lambda nn: nn.AvgPool2d((2, 3), divisor_override=5),
    lambda nn: nn.AvgPool3d(2, 1, 1, False, False),
    lambda nn: nn.AdaptiveAvgPool1d(2),
    lambda nn: nn.AdaptiveAvgPool2d((None, 2)),
    lambda nn: nn.AdaptiveAvgPool3d((1, 2, 3)),
    lambda nn: nn.AdaptiveMaxPool1d(2, True),
    lambda nn: nn.AdaptiveMaxPool2d((3, None)),
    lambda nn: nn.AdaptiveMaxPool3d(2, return_indices=True),
    lambda nn: nn.LPPool1d(2, 3, 2),
    lambda nn: nn.LPPool2d(3, (2, 3), ceil_mode=True),
    lambda nn: nn.LPPool3d(2, 2),
]


@pytest.mark.parametrize("make", LAYERS, ids=range(len(LAYERS)))
def test_layers(make: Any) -> None:
    ours, theirs = make(gf.nn), make(torch.nn)
    assert repr(ours) == repr(theirs)
    rank = int(type(ours).__name__[-2])
    for shape in ((2, 2, *SIZES[rank]), (2, *SIZES[rank])):
        same(lambda t, x: (ours if t is gf else theirs)(x), np.abs(floats(*shape)))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_max_unpool_layers(rank: int) -> None:
    ours, theirs = [getattr(t.nn, f"MaxUnpool{rank}d")(2, padding=0) for t in (gf, torch)]
    assert repr(ours) == repr(theirs)

    def run(t: Any, x: Any) -> Any:
        y, i = getattr(t.nn.functional, f"max_pool{rank}d")(x, 2, return_indices=True)
        layer = ours if t is gf else theirs
        return layer(y, i), layer(y, i, output_size=x.shape)

    same(run, floats(2, 2, *[5] * rank))
