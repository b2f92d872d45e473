"""Training on the emulated device: the loss is NumPy's, and every kernel there is has run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradflow as gf
from gradflow import nn, optim
from gradflow.nn import functional as F


def lenet() -> nn.Module:
    """LeNet for 12x12 images."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(16 * 2 * 2, 32), nn.ReLU(), nn.Linear(32, 10),
    )  # fmt: skip


def normalised() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(8 * 36, 10),
    )  # fmt: skip


def losses(make: Any, device: str, steps: int, optimiser: Any) -> list[float]:
    gf.manual_seed(0)
    model = make().to(device)
    rng = np.random.default_rng(0)
    images = gf.tensor(rng.standard_normal((steps, 16, 1, 12, 12)), dtype=gf.float32, device=device)
    labels = gf.tensor(rng.integers(0, 10, (steps, 16)), device=device)
    optimizer = optimiser(model.parameters())
    found = []
    for x, t in zip(images, labels, strict=True):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), t)
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found


NETS = {
    "lenet": (lenet, 50, lambda p: optim.SGD(p, lr=0.05, momentum=0.9)),
    "normalised": (normalised, 10, lambda p: optim.Adam(p, lr=1e-3)),
}


@pytest.mark.parametrize("net", NETS)
def test_losses_follow_those_of_numpy(net: str) -> None:
    expected = losses(NETS[net][0], "cpu", *NETS[net][1:])
    gf.kernels.reset()
    found = losses(NETS[net][0], "emulated", *NETS[net][1:])
    assert np.allclose(found, expected, rtol=0, atol=1e-5), np.abs(np.subtract(found, expected)).max()
    assert gf.kernels.fallbacks() == {}
    launches = gf.kernels.launches()
    steps = NETS[net][1]
    assert {"conv2d", "conv2d_weight_grad", "max_pool2d", "pool_place", "softmax_cross_entropy"} <= set(launches)
    assert all([count >= steps for name, count in launches.items() if name != "check_index"])
