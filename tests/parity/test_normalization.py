"""Normalisation and dropout against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from parity.modules import refused, same_module
from parity.same import floats, same, torch

import gradflow as gf

SHAPES = {1: (4, 3, 5), 2: (4, 3, 2, 4), 3: (2, 3, 2, 2, 3)}
OPTIONS: list[dict[str, Any]] = [
    {}, {"affine": False}, {"momentum": 0.4, "eps": 1e-2}, {"momentum": None, "track_running_stats": True},
    {"track_running_stats": False}, {"bias": False}, {"affine": True, "track_running_stats": True},
]  # fmt: skip


def ids(options: dict[str, Any]) -> str:
    return "-".join([f"{k}={v}" for k, v in options.items()]) or "default"


@pytest.mark.parametrize("options", OPTIONS, ids=ids)
@pytest.mark.parametrize("dims", SHAPES)
def test_batch_norm(dims: int, options: dict[str, Any]) -> None:
    def make(nn: Any) -> Any:
        return getattr(nn, f"BatchNorm{dims}d")(3, **options)

    same_module(make, floats(*SHAPES[dims]) + 2.0, steps=3)
    same_module(make, floats(*SHAPES[dims]), train=False)


def test_batch_norm_1d_of_rows() -> None:
    same_module(lambda nn: nn.BatchNorm1d(3), floats(5, 3), steps=2)
    same_module(lambda nn: nn.BatchNorm1d(3), floats(1, 3), train=False)


@pytest.mark.parametrize("options", OPTIONS, ids=ids)
@pytest.mark.parametrize("dims", SHAPES)
def test_instance_norm(dims: int, options: dict[str, Any]) -> None:
    def make(nn: Any) -> Any:
        return getattr(nn, f"InstanceNorm{dims}d")(3, **options)

    same_module(make, floats(*SHAPES[dims]) + 2.0, steps=3)
    same_module(make, floats(*SHAPES[dims][1:]), steps=2)


@pytest.mark.parametrize("shape", [(2, 6), (2, 6, 3), (1, 6, 2, 2), (2, 6, 1, 2, 3), (0, 6, 2)])
@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_group_norm(groups: int, shape: tuple[int, ...]) -> None:
    for options in ({}, {"affine": False}, {"bias": False}, {"eps": 0.1}):
        same_module(lambda nn, o=options: nn.GroupNorm(groups, 6, **o), floats(*shape))


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4), (4,), (0, 4)])
@pytest.mark.parametrize("name", ["LayerNorm", "RMSNorm"])
def test_over_the_last_axes(name: str, shape: tuple[int, ...]) -> None:
    for options in ({}, {"elementwise_affine": False}, {"eps": 0.1}, {"dtype": None}):
        same_module(lambda nn, o=options: getattr(nn, name)(4, **o), floats(*shape))
        if len(shape) == 3:
            same_module(lambda nn, o=options: getattr(nn, name)((3, 4), **o), floats(*shape))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("shape", [(2, 5, 3), (2, 5, 3, 2), (1, 4, 2, 2, 2), (2, 1, 3), (0, 3, 2)])
def test_local_response_norm(shape: tuple[int, ...], size: int) -> None:
    same_module(lambda nn: nn.LocalResponseNorm(size, 0.5, 0.6, 1.5), floats(*shape))
    same_module(lambda nn: nn.LocalResponseNorm(size), floats(*shape))


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2"])
@pytest.mark.parametrize(
    "call",
    [
        lambda f, x, w, b: f.group_norm(x, 2, w, b), lambda f, x, w, b: f.group_norm(x, 4),
        lambda f, x, w, b: f.instance_norm(x, weight=w, bias=b), lambda f, x, w, b: f.instance_norm(x),
        lambda f, x, w, b: f.rms_norm(x, (4, 3), eps=1e-3), lambda f, x, w, b: f.rms_norm(x, (3,), b[:3] * 0 + 2),
        lambda f, x, w, b: f.rms_norm(x * 0.01, (3,)), lambda f, x, w, b: f.local_response_norm(x, 3, 0.1),
        lambda f, x, w, b: f.layer_norm(x, (3,)),
        lambda f, x, w, b: f.instance_norm(x, w.detach() * 1, b.detach() ** 2 + 1, w, b),
        lambda f, x, w, b: f.instance_norm(x, w.detach(), b.detach() ** 2 + 1, w, b, use_input_stats=False),
    ],
)  # fmt: skip
def test_dtypes_and_second_derivatives(call: Any, dtype: str) -> None:
    x, w, b = floats(2, 4, 3, dtype=dtype), floats(4, dtype=dtype), floats(4, dtype=dtype, seed=1)
    same(lambda t, *xs: call(t.nn.functional, *xs), x, w, b, second=dtype == "f8", atol=1e-2 if dtype == "f2" else 1e-5)


@pytest.mark.filterwarnings("ignore:Mismatch dtype")
def test_rms_norm_keeps_the_dtype_of_its_input() -> None:
    for dtypes in (("f2", "f4"), ("f4", "f8"), ("f4", "f2")):
        x, w = [floats(3, 4, dtype=dtypes[0]), floats(4, dtype=dtypes[1])]
        same(lambda t, x, w: t.nn.functional.rms_norm(x, (4,), w), x, w, atol=4e-3)
    y = gf.nn.functional.rms_norm(gf.tensor([3, 4]), 2)
    assert y.dtype == gf.float32 and np.allclose(y.numpy(), np.array([3, 4]) / np.sqrt(12.5))
    assert gf.nn.LayerNorm(np.int64(3)).normalized_shape == gf.nn.RMSNorm(np.int64(3)).normalized_shape == (3,)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, 1e100, 1e-200])
def test_odd_numbers_stay_in_their_group(odd: float) -> None:
    x = floats(2, 4, 3)
    x[1, 2, 0] = odd
    for call in (
        lambda f, x: f.group_norm(x, 2), lambda f, x: f.instance_norm(x), lambda f, x: f.layer_norm(x, (3,)),
        lambda f, x: f.rms_norm(x, (3,)), lambda f, x: f.local_response_norm(x, 2),
    ):  # fmt: skip
        same(lambda t, x, call=call: call(t.nn.functional, x), x, grad=False)


def test_a_large_mean_keeps_its_digits() -> None:
    x = (1e4 + floats(4, 6, 200)).astype("f4")
    wide = torch.from_numpy(x.astype("f8"))
    for call in (lambda f, x: f.group_norm(x, 2), lambda f, x: f.instance_norm(x)):
        y = call(gf.nn.functional, gf.tensor(x)).numpy()
        assert np.abs(y - call(torch.nn.functional, wide).numpy()).max() < 1e-4


def test_refusals() -> None:
    x = floats(2, 3, 4)
    for name, shape in (("BatchNorm1d", (2, 3, 4, 5)), ("BatchNorm2d", (2, 3, 4)), ("BatchNorm3d", (2, 3, 4, 5))):
        refused(lambda nn, name=name: getattr(nn, name)(3), floats(*shape))
    for name, shape in (("InstanceNorm1d", (3,)), ("InstanceNorm2d", (3, 4)), ("InstanceNorm3d", (3, 4, 5))):
        refused(lambda nn, name=name: getattr(nn, name)(3), floats(*shape))
    refused(lambda nn: nn.BatchNorm1d(3), floats(1, 3))
    refused(lambda nn: nn.InstanceNorm1d(3), floats(2, 3, 1))
    refused(lambda nn: nn.InstanceNorm1d(4, affine=True), x)
    refused(lambda nn: nn.GroupNorm(2, 3))
    refused(lambda nn: nn.GroupNorm(2, 4), x)
    refused(lambda nn: nn.GroupNorm(4, 4), floats(1, 4))
    refused(lambda nn: nn.GroupNorm(1, 3), floats(3))
    refused(lambda nn: nn.RMSNorm(3), x)
    refused(lambda nn: nn.LocalResponseNorm(2), floats(2, 3))
    for name, shape in (("Dropout1d", (3,)), ("Dropout1d", (2, 3, 4, 5)), ("FeatureAlphaDropout", (3,))):
        refused(lambda nn, name=name: getattr(nn, name)(), floats(*shape))
    for name in ("Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout"):
        refused(lambda nn, name=name: getattr(nn, name)(1.5))


def test_representations() -> None:
    for make in (
        lambda nn: nn.BatchNorm1d(3, momentum=None), lambda nn: nn.BatchNorm3d(3, affine=False),
        lambda nn: nn.InstanceNorm2d(3), lambda nn: nn.GroupNorm(2, 4), lambda nn: nn.LayerNorm((2, 3)),
        lambda nn: nn.LayerNorm(2, bias=False), lambda nn: nn.RMSNorm(3), lambda nn: nn.LocalResponseNorm(2),
        lambda nn: nn.Dropout(0.1, inplace=True), lambda nn: nn.Dropout2d(), lambda nn: nn.FeatureAlphaDropout(0.3),
    ):  # fmt: skip
        assert repr(make(gf.nn)) == repr(make(torch.nn))


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("name", ["Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout"])
def test_dropout_takes_the_values_that_pytorch_takes(name: str, p: float) -> None:
    """The two values that a constant input may become."""
    shape = {"Dropout1d": (40, 3), "Dropout2d": (9, 9, 2, 1), "Dropout3d": (9, 9, 1, 1, 2)}.get(name, (100,))
    x, sets = np.full(shape, 0.7), []
    for t in (gf, torch):
        layer = getattr(t.nn, name)(p)
        sets.append(np.unique(layer(t.tensor(x)).numpy().round(12)))
        assert np.array_equal(layer.eval()(t.tensor(x)).numpy(), x)
    assert sets[0].shape == sets[1].shape and np.allclose(*sets, rtol=1e-12)
