"""Pooling kernels where arrays are too large to be counted in 32 bits, and where there is nothing for them to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from kernels.harness import DEVICES, randoms

import gradflow as gf
from gradflow.backend import get_backend
from gradflow.backend.cuda.launcher import forget_plans
from gradflow.backend.cuda.launchers import pool
from gradflow.nn import functional as F
from gradflow.ops.pool import strided


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("last", [False, True])
def test_large_arrays_are_pooled_in_parts(device: str, last: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).standard_normal((5, 4, 6, 6) if not last else (5, 6, 6, 4))

    def gradients(where: str) -> list[np.ndarray]:
        images = gf.tensor(x, device=where, requires_grad=True)
        seen = images.permute(0, 3, 1, 2) if last else images
        ys = [F.max_pool2d(seen, 3, 2, 1), F.avg_pool2d(seen, 2), F.adaptive_avg_pool2d(seen, 1)]
        return [a.detach().numpy() for y in ys for a in (y, *gf.autograd.grad((y * y).sum(), [images]))]

    expected, whole = gradients("cpu"), gradients(device)
    forget_plans()
    monkeypatch.setattr(pool, "INT_SIZE", 2 * 4 * 36)
    gf.kernels.reset()
    try:
        found = gradients(device)
    finally:
        forget_plans()
    assert {"max_pool2d", "pool_place", "avg_pool2d", "avg_pool2d_backward"} <= set(gf.kernels.launches())
    for a, b, c in zip(found, whole, expected, strict=True):
        assert np.array_equal(a, b)
        np.testing.assert_allclose(a, c, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("device", ["cpu", *DEVICES])
def test_float16_is_summed_in_float32(device: str) -> None:
    """Two of these numbers overflow float16, though their averages and the sums of all do not."""
    big = 60000.0
    for window in (2, 32, 64):
        y = F.avg_pool2d(gf.full((1, 1, 64, 64), big, dtype=gf.float16, device=device), window)
        assert (y.numpy() == big).all()
    peak, g = np.zeros((1, 1, 3, 3), "f2"), np.array([[[[big, big], [-big, -big]]]], "f2")
    peak[0, 0, 1, 1] = 1
    x = gf.tensor(peak, device=device, requires_grad=True)
    for y in (F.max_pool2d(x, 2, 1), F.avg_pool2d(x, 2, 1, divisor_override=1)):
        (dx,) = gf.autograd.grad(y, [x], gf.tensor(g, device=device))
        assert dx.numpy()[0, 0, 1, 1] == 0


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("last", [False, True])
def test_cotangents_have_the_layout_of_the_images(device: str, last: bool) -> None:
    """Flattened images give cotangents in C order, which convolutions want channels last."""
    x, g = randoms((2, 3, 4, 6), "x"), randoms((2, 3, 2, 3), "g")
    backend = get_backend(device)
    images = backend.from_host(np.ascontiguousarray(x.transpose(0, 2, 3, 1))).transpose(0, 3, 1, 2)
    static = {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0), "dilation": (1, 1), "out": (2, 3)}
    _, where = backend.kernels["max_pool2d"](images if last else backend.from_host(x), **static)
    placed = backend.kernels["pool_place"](backend.from_host(g), where, x_shape=x.shape, **static)
    assert placed.transpose(0, 2, 3, 1).flags.c_contiguous == last
    walks = {"rows": strided(2, 2, 0, 2), "cols": strided(2, 2, 0, 3), "divisor": None, "padding": False}
    shared = backend.kernels["avg_pool2d_backward"](backend.from_host(g), x_shape=x.shape, **walks)
    assert shared.transpose(0, 2, 3, 1).flags.c_contiguous


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "op",
    [
        lambda x: F.max_pool2d(x, 2, 2**31),
        lambda x: F.max_pool2d(x, 1, dilation=2**31),
        lambda x: F.avg_pool2d(x, 2, 2**31),
        lambda x: F.avg_pool2d(x, 2, divisor_override=2**31),
        lambda x: F.unfold(x, 2, stride=2**31),
        lambda x: F.conv2d(x, x[:, :, :2, :2], stride=2**31),
    ],
)
def test_what_is_too_large_for_a_kernel_is_left_to_the_array_code(device: str, op: Callable[..., Any]) -> None:
    x = randoms((1, 2, 4, 4))
    gf.kernels.reset()
    assert np.array_equal(op(gf.tensor(x, device=device)).numpy(), op(gf.tensor(x)).numpy())
    assert gf.kernels.fallbacks()


@pytest.mark.parametrize("device", DEVICES)
def test_integers_are_left_to_the_array_code(device: str) -> None:
    gf.kernels.reset()
    y = F.max_pool2d(gf.arange(16, device=device).reshape(1, 1, 4, 4), 2)
    assert y.numpy().tolist() == [[[[5, 7], [13, 15]]]]
    assert "max_pool2d" not in gf.kernels.launches()
    assert gf.kernels.fallbacks()
