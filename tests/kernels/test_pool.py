"""Pooling kernels where arrays are too large to be counted in 32 bits, and where there is nothing for them to do."""

from __future__ import annotations

import numpy as np
import pytest
from kernels.harness import DEVICES

import gradflow as gf
from gradflow.backend.cuda.launcher import forget_plans
from gradflow.backend.cuda.launchers import pool
from gradflow.nn import functional as F


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
def test_integers_are_left_to_the_array_code(device: str) -> None:
    gf.kernels.reset()
    y = F.max_pool2d(gf.arange(16, device=device).reshape(1, 1, 4, 4), 2)
    assert y.numpy().tolist() == [[[[5, 7], [13, 15]]]]
    assert "max_pool2d" not in gf.kernels.launches()
    assert gf.kernels.fallbacks()
