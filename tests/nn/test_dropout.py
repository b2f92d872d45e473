"""Dropout: what it drops, how often, and what it keeps of mean and variance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradflow as gf
from gradflow.autograd.value import TransformError
from gradflow.nn import functional as F

CHANNELS = [
    ("dropout1d", (400, 50, 3)), ("dropout1d", (20000, 3)), ("dropout2d", (400, 50, 2, 2)), ("dropout2d", (400, 50, 3)),
    ("dropout3d", (400, 50, 2, 1, 2)), ("dropout3d", (20000, 2, 1, 2)),
]  # fmt: skip


@pytest.mark.parametrize("name, shape", CHANNELS)
def test_channels_are_dropped_whole_and_the_mean_is_kept(name: str, shape: tuple[int, ...]) -> None:
    y = getattr(F, name)(gf.ones(*shape), 0.3, generator=gf.Generator(1)).numpy()
    n = 1 if (name, len(shape)) in (("dropout1d", 2), ("dropout3d", 4)) else 2
    rows = y.reshape(int(np.prod(shape[:n])), -1)
    assert (rows == rows[:, :1]).all()
    assert n == 1 or (y != y[:, :1]).any()
    assert np.array_equal(np.unique(rows), np.float32([0, 1 / 0.7]))
    assert abs((rows[:, 0] == 0).mean() - 0.3) < 4 * np.sqrt(0.3 * 0.7 / len(rows))


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("name", ["alpha_dropout", "feature_alpha_dropout"])
def test_alpha_dropout_keeps_mean_and_variance(name: str, p: float) -> None:
    gf.manual_seed(5)
    x = gf.randn(40000, 5, dtype=gf.float64)
    y = getattr(F, name)(x, p, True).numpy()
    assert abs(y.mean()) < 0.02 and abs(y.var() - 1) < 0.04
    _, times = np.unique(y, return_counts=True)
    assert abs(times.max() / y.size - p) < 0.01


@pytest.mark.parametrize("name", ["dropout1d", "alpha_dropout", "feature_alpha_dropout"])
def test_generators_gradients_and_vmap(name: str) -> None:
    def f(x: Any, **options: Any) -> Any:
        return getattr(F, name)(x, 0.5, True, **options)

    x = gf.ones(6, 5, 40, requires_grad=True)
    a, b = [f(x, generator=gf.Generator(3)) for _ in range(2)]
    assert np.array_equal(a.detach().numpy(), b.detach().numpy())
    a.sum().backward()
    dropped = a.detach().numpy() == a.detach().numpy().min()
    assert (x.grad.numpy()[dropped] == 0).all() and len(np.unique(x.grad.numpy()[~dropped])) == 1
    rows = x.detach()
    same = gf.func.vmap(f, randomness="same")(rows).numpy()
    assert all([np.array_equal(same[0], other) for other in same[1:]])
    different = gf.func.vmap(f, randomness="different")(rows).numpy()
    assert not all([np.array_equal(different[0], other) for other in different[1:]])
    with pytest.raises(TransformError, match="random operation"):
        gf.func.vmap(f)(rows)


def test_arguments() -> None:
    x = gf.ones(2, 3, 4)
    for name in ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"):
        f = getattr(F, name)
        with pytest.raises(ValueError, match=rf"\[{name}\] p must be a probability, got -0.5"):
            f(x, -0.5)
        with pytest.raises(NotImplementedError, match=rf"\[{name}\] inplace=True"):
            f(x, inplace=True)
        if name != "dropout3d":
            assert f(x, 0.5, False) is x and f(x, 0.0, True) is x
            assert not f(x, 1.0, True).numpy().any()
            with pytest.raises(TypeError, match=rf"\[{name}\] scales what it keeps and needs floats"):
                f(x.long(), 0.5, True)
    with pytest.raises(ValueError, match=r"\[dropout3d\] expected x of 4 or 5 dimensions, got \(2, 3, 4\)"):
        F.dropout3d(x)
    with pytest.raises(ValueError, match=r"\[Dropout2d\] p must be a probability, got 2"):
        gf.nn.Dropout2d(2)


def test_layers_drop_in_training_only_and_not_in_place() -> None:
    for name in ("Dropout", "Dropout1d", "Dropout2d", "AlphaDropout", "FeatureAlphaDropout"):
        layer, x = getattr(gf.nn, name)(0.5, inplace=True), gf.ones(9, 9, 9)
        assert (layer(x) != x).numpy().any() and (x.numpy() == 1).all()
        assert layer.eval()(x) is x
