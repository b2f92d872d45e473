"""Softmax's gradient where the two operands lie differently in memory, and what softmax makes of layouts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from kernels.harness import DEVICES, layouts_of

from gradflow.backend import get_backend

every_device = pytest.mark.parametrize("device", DEVICES)


@every_device
def test_operands_of_different_layouts(device: str) -> None:
    backend, rng = get_backend(device), np.random.default_rng(0)
    g, y = rng.standard_normal((2, 2, 7, 6, 8))
    expected = y * (g - (g * y).sum(1, keepdims=True))
    places = [backend.from_host, *[place for _, place in layouts_of(backend)]]
    for one, other in itertools.permutations(places, 2):
        found = backend.to_host(backend.kernels["softmax_backward"](one(g), other(y), axis=1))
        assert np.abs(found - expected).max() < 1e-13


@every_device
def test_softmax_keeps_the_layout_of_images(device: str) -> None:
    backend = get_backend(device)
    x = backend.from_host(np.random.default_rng(0).standard_normal((2, 7, 6, 8)))
    last = backend.from_host(np.zeros((2, 6, 8, 7))).transpose(0, 3, 1, 2)
    for images in (x, last):
        assert backend.kernels["softmax"](images, axis=1).strides == images.strides
