"""Pooling kernels where arrays are too large to be counted in 32 bits, and where there is nothing for them to do."""

from __future__ import annotations

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

    expected = gradients("cpu")
    forget_plans()
    monkeypatch.setattr(pool, "INT_SIZE", 2 * 4 * 36)
    gf.kernels.reset()
    try:
        found = gradients(device)
    finally:
        forget_plans()
    assert {"max_pool2d", "pool_place", "avg_pool2d", "avg_pool2d_backward"} <= set(gf.kernels.launches())
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-13)


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
def test_integers_are_left_to_the_array_code(device: str) -> None:
    gf.kernels.reset()
    y = F.max_pool2d(gf.arange(16, device=device).reshape(1, 1, 4, 4), 2)
    assert y.numpy().tolist() == [[[[5, 7], [13, 15]]]]
    assert "max_pool2d" not in gf.kernels.launches()
    assert gf.kernels.fallbacks()
