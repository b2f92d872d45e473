"""Convolution, unfold and pooling against PyTorch: NaN and infinities, 16-bit floats, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradflow as gf

torch = pytest.importorskip("torch")

LIBRARIES = [(gf, gf.tensor), (torch, lambda a: torch.from_numpy(np.array(a)))]
WINDOWS: list[dict[str, Any]] = [
    {"kernel_size": 2},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": 3, "stride": 1, "padding": 1},
    {"kernel_size": (2, 3), "stride": 2, "padding": (1, 1), "ceil_mode": True},
]


def special(shape: tuple[int, ...]) -> np.ndarray:
    """Images of which one channel is -inf, one mostly so, and others hold NaN and infinities."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape)
    x[0, 0] = -np.inf
    x[0, 1] = np.where(rng.random(shape[2:]) < 0.8, -np.inf, x[0, 1])
    x[1, 0, 1:3] = np.nan
    x[1, 1, 2, 2], x[1, 1, 0, 0], x[1, 1, 4, 4] = np.nan, np.inf, -np.inf
    return x


@pytest.mark.parametrize("window", [*WINDOWS, {"kernel_size": 2, "stride": 1, "dilation": (2, 3)}], ids=str)
def test_maxima_of_nan_and_infinities(window: dict[str, Any]) -> None:
    found = []
    for lib, make in LIBRARIES:
        x = make(special((2, 2, 6, 7))).requires_grad_()
        y = lib.nn.functional.max_pool2d(x, **window)
        g = make(np.random.default_rng(1).standard_normal(tuple(y.shape)))
        (dx,) = lib.autograd.grad(y, [x], g)
        found.append((y.detach().numpy(), dx.numpy()))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-14)


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_averages_of_nan_and_infinities(window: dict[str, Any]) -> None:
    ours, theirs = [lib.nn.functional.avg_pool2d(make(special((2, 2, 6, 7))), **window) for lib, make in LIBRARIES]
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-13)


@pytest.mark.parametrize(
    "run",
    [
        lambda nn, x, w: nn.conv2d(x, w, None, 1, 1),
        lambda nn, x, w: nn.conv2d(x, w, w[:, 0, 0, 0], 2),
        lambda nn, x, w: nn.max_pool2d(x, 3, 2, 1),
        lambda nn, x, w: nn.avg_pool2d(x, 3, 2, 1),
        lambda nn, x, w: nn.adaptive_avg_pool2d(x, (3, 1)),
    ],
    ids=["conv2d", "conv2d strided", "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d"],
)
def test_16_bit_floats(run: Callable[..., Any]) -> None:
    """Values and gradients of float16, to a few of its roundings."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 4, 7, 6)).astype("f2"), rng.standard_normal((5, 4, 3, 3)).astype("f2")
    found = []
    for lib, make in LIBRARIES:
        x, w = make(a).requires_grad_(), make(b).requires_grad_()
        y = run(lib.nn.functional, x, w)
        g = make(np.random.default_rng(1).standard_normal(tuple(y.shape)).astype("f2"))
        found.append([y, *lib.autograd.grad(y, [x, w] if "conv2d" in run.__code__.co_names else [x], g)])
    for ours, theirs in zip(*found, strict=True):
        one, other = ours.detach().numpy(), theirs.detach().numpy()
        assert one.dtype == other.dtype == np.float16
        np.testing.assert_allclose(one.astype("f4"), other.astype("f4"), rtol=0, atol=4e-3 * np.abs(other).max())


@pytest.mark.parametrize(
    "run",
    [
        lambda nn, x, w: nn.conv2d(x, w[:, :2]),
        lambda nn, x, w: nn.conv2d(x, w, w[:3, 0, 0, 0]),
        lambda nn, x, w: nn.conv2d(x, w, None, 0),
        lambda nn, x, w: nn.conv2d(x, w, None, 1, -1),
        lambda nn, x, w: nn.conv2d(x, w, None, 1, 0, 4),
        lambda nn, x, w: nn.conv2d(x, w, None, 1, 0, 1, 3),
        lambda nn, x, w: nn.conv2d(x, w, None, 2, "same"),
        lambda nn, x, w: nn.conv2d(x[0, 0], w),
        lambda nn, x, w: nn.max_pool2d(x, 3, 2, 2),
        lambda nn, x, w: nn.max_pool2d(x, 0),
        lambda nn, x, w: nn.max_pool2d(x, 2, 0),
        lambda nn, x, w: nn.max_pool2d(x, 8),
        lambda nn, x, w: nn.max_pool2d(x[0, 0], 2),
        lambda nn, x, w: nn.avg_pool2d(x, 2, 2, 2),
        lambda nn, x, w: nn.avg_pool2d(x, 2, divisor_override=0),
        lambda nn, x, w: nn.adaptive_avg_pool2d(x, (1, 2, 3)),
        lambda nn, x, w: nn.adaptive_max_pool2d(x, -1),
        lambda nn, x, w: nn.unfold(x, 9),
        lambda nn, x, w: nn.unfold(x[0, 0], 2),
        lambda nn, x, w: nn.fold(x[0], 5, 2),
        lambda nn, x, w: nn.fold(x[0, 0], (3, 4), 2),
    ],
)
def test_both_refuse(run: Callable[..., Any]) -> None:
    for lib, make in LIBRARIES:
        x, w = make(np.ones((2, 4, 6, 6))), make(np.ones((6, 4, 3, 3)))
        with pytest.raises((ValueError, RuntimeError, TypeError, IndexError)):
            run(lib.nn.functional, x, w)
