"""Sums over indices: in float32 for 16-bit numbers, and of the same bits each time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernels.harness import DEVICES

import gradflow as gf
from gradflow.backend.cuda.launchers.index import THREADS
from gradflow.backend.dtypes import as_dtype
from gradflow.nn import functional as F

anywhere = pytest.mark.parametrize("device", ["cpu", *DEVICES])


def getitem(weight: Any, index: Any) -> Any:
    return weight[index]


def embedding(weight: Any, index: Any) -> Any:
    return F.embedding(index, weight)


def gradient(op: Any, index: np.ndarray, g: np.ndarray, rows: int, device: str) -> np.ndarray:
    """Of a table (rows, columns) by the cotangent g of its rows named by `index`."""
    weight = gf.tensor(np.zeros((rows, g.shape[1]), g.dtype), device=device, requires_grad=True)
    y = op(weight, gf.tensor(index, device=device))
    (found,) = gf.autograd.grad(y, [weight], [gf.tensor(g, device=device)])
    return found.numpy()


@anywhere
@pytest.mark.parametrize("op", [getitem, embedding])
@pytest.mark.parametrize("dtype", ["f2", "bfloat16"])
def test_16_bit_gradients_are_summed_in_float32(op: Any, dtype: str, device: str) -> None:
    g = np.ones((30, 1), as_dtype(dtype))
    g[::16] = 2048  # whose last place is more than 1
    found = gradient(op, np.zeros(30, "i8"), g, 2, device)
    assert found.tolist() == [[np.float32(2 * 2048 + 28).astype(g.dtype)], [0]]


@anywhere
@pytest.mark.parametrize("op", [getitem, embedding])
def test_gradients_have_the_same_bits_each_time(op: Any, device: str) -> None:
    rng = np.random.default_rng(0)
    index = np.where(np.arange(2000) % 3 == 0, 7, rng.integers(40, size=2000))
    g = rng.standard_normal((2000, 5)).astype("f4")
    first = gradient(op, index, g, 40, device)
    assert all([gradient(op, index, g, 40, device).tobytes() == first.tobytes() for _ in range(3)])


@pytest.mark.parametrize("device", DEVICES)
def test_many_numbers_are_cut_into_longer_parts(device: str) -> None:
    rows, columns = 600, 2003
    assert rows * columns > 17 * THREADS
    index, g = np.arange(rows) // 250, np.random.default_rng(0).standard_normal((rows, columns))
    expected = np.stack([part.sum(0) for part in np.split(g, [250, 500])])
    assert np.abs(gradient(embedding, index, g, 3, device) - expected).max() < 1e-12
