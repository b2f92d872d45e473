"""Convolution, forward and with backward, in the shapes of small CNNs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from shapes import Shape

import gradflow as gf

SHAPES = [
    Shape(128, 1, 6, 28, window=5, padding=2),
    Shape(128, 6, 16, 14, window=5, padding=0),
    Shape(128, 1, 32, 28),
    Shape(128, 32, 32, 28),
    Shape(128, 32, 64, 14),
    Shape(128, 64, 64, 14),
    Shape(32, 64, 128, 28, stride=2),
    Shape(32, 64, 64, 28, groups=64),
    Shape(32, 128, 256, 14, window=1, padding=0),
]


def direct(x: np.ndarray, w: np.ndarray, shape: Shape) -> np.ndarray:
    """The convolution by its definition, a position of the window at a time."""
    p, s = shape.padding, shape.stride
    x = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p))).reshape(len(x), shape.groups, -1, *[shape.size + 2 * p] * 2)
    w = w.reshape(shape.groups, -1, *w.shape[1:])
    y = np.zeros((len(x), shape.groups, w.shape[1], shape.out, shape.out), x.dtype)
    for i in range(shape.window):
        for j in range(shape.window):
            seen = x[:, :, :, i : i + s * (shape.out - 1) + 1 : s, j : j + s * (shape.out - 1) + 1 : s]
            y += np.einsum("ngcab,gkc->ngkab", seen, w[:, :, :, i, j])
    return y.reshape(len(x), shape.k, shape.out, shape.out)


def tensors(shape: Shape, n: int, **options: Any) -> tuple[gf.Tensor, gf.Tensor, gf.Tensor]:
    """Images, weights and a cotangent."""
    gf.manual_seed(0)
    x = gf.randn(n, shape.c, shape.size, shape.size, **options)
    w = gf.randn(shape.k, shape.c // shape.groups, shape.window, shape.window, **options)
    return x, w, gf.randn(n, shape.k, shape.out, shape.out, dtype=x.dtype)


def convolve(x: gf.Tensor, w: gf.Tensor, shape: Shape) -> gf.Tensor:
    y: gf.Tensor = gf.nn.functional.conv2d(x, w, None, shape.stride, shape.padding, 1, shape.groups)
    return y


def check(shape: Shape) -> None:
    """The result equals the definition, and <g, conv(x, w)> = <dx, x> = <dw, w>, as for every bilinear function."""
    x, w, g = tensors(shape, 2, dtype=gf.float64, requires_grad=True)
    y = convolve(x, w, shape)
    np.testing.assert_allclose(y.numpy(), direct(x.numpy(), w.numpy(), shape), rtol=1e-9, atol=1e-9)
    y.backward(g)
    whole = (y * g).sum().item()
    assert x.grad is not None
    assert w.grad is not None
    assert (x.grad * x).sum().item() == pytest.approx(whole, rel=1e-9)
    assert (w.grad * w).sum().item() == pytest.approx(whole, rel=1e-9)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_forward(benchmark: Any, tell: Any, shape: Shape) -> None:
    check(shape)
    x, w, _ = tensors(shape, shape.n)
    benchmark(convolve, x, w, shape)
    tell("GFLOP/s", lambda seconds: round(shape.flops / seconds / 1e9, 1))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_forward_and_backward(benchmark: Any, tell: Any, shape: Shape) -> None:
    check(shape)
    x, w, g = tensors(shape, shape.n, requires_grad=True)

    def step() -> None:
        x.grad = w.grad = None
        convolve(x, w, shape).backward(g)

    benchmark(step)
    tell("GFLOP/s", lambda seconds: round(3 * shape.flops / seconds / 1e9, 1))
