"""Pooling layers, and what pooling refuses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import gradflow as gf
from gradflow import nn
from gradflow.nn import functional as F

IMAGES = np.random.default_rng(0).standard_normal((2, 3, 7, 6))
LAYERS: list[tuple[nn.Module, Callable[..., gf.Tensor]]] = [
    (nn.MaxPool2d(3, 2, padding=1, ceil_mode=True), lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True)),
    (nn.MaxPool2d(2, dilation=2), lambda x: F.max_pool2d(x, 2, 2, dilation=2)),
    (nn.AvgPool2d((2, 3)), lambda x: F.avg_pool2d(x, (2, 3))),
    (
        nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False),
        lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False),
    ),
    (nn.AvgPool2d(2, 1, divisor_override=3), lambda x: F.avg_pool2d(x, 2, 1, divisor_override=3)),
    (nn.AdaptiveAvgPool2d((1, 2)), lambda x: F.adaptive_avg_pool2d(x, (1, 2))),
    (nn.AdaptiveMaxPool2d((None, 4)), lambda x: F.adaptive_max_pool2d(x, (7, 4))),
]


@pytest.mark.parametrize("layer, function", LAYERS, ids=[repr(layer) for layer, _ in LAYERS])
def test_layers_pass_their_arguments_on(layer: nn.Module, function: Callable[..., gf.Tensor]) -> None:
    x = gf.tensor(IMAGES)
    assert np.array_equal(layer(x).numpy(), function(x).numpy())
    assert np.array_equal(layer(x[0]).numpy(), function(x).numpy()[0])


def test_layers_show_their_arguments() -> None:
    assert repr(nn.AvgPool2d(2, padding=1)) == "AvgPool2d(kernel_size=2, stride=2, padding=1)"
    assert repr(nn.AdaptiveAvgPool2d((1, None))) == "AdaptiveAvgPool2d(output_size=(1, None))"


@pytest.mark.parametrize(
    "call, error, message",
    [
        (
            lambda x: F.avg_pool2d(x, 8),
            ValueError,
            r"\[avg_pool2d\] a \(8, 8\) window .* does not fit x \(2, 3, 7",
        ),
        (lambda x: F.avg_pool2d(x, 2, padding=2), ValueError, r"\[avg_pool2d\] padding \(2, 2\) is more than half"),
        (lambda x: F.avg_pool2d(x, 2, stride=0), ValueError, r"\[avg_pool2d\] kernel \(2, 2\), stride \(0, 0\)"),
        (lambda x: F.avg_pool2d(x, 2.0), TypeError, r"\[avg_pool2d\] kernel_size must be an integer or two, got 2.0"),
        (lambda x: F.avg_pool2d(x, 2, divisor_override=0), ValueError, "must be an integer other than 0, got 0"),
        (lambda x: F.avg_pool2d(x, 2, divisor_override=2.5), ValueError, "must be an integer other than 0, got 2.5"),
        (lambda x: F.avg_pool2d(x[0, 0], 2), ValueError, r"\[avg_pool2d\] expected x \(N, C, H, W\) or \(C, H, W\)"),
        (lambda x: F.max_pool2d(x[:, :, :0], 2, padding=1), ValueError, r"of rows and columns, got \(2, 3, 0, 6\)"),
        (lambda x: F.avg_pool2d(x[..., :0], 2, padding=1), ValueError, r"\[avg_pool2d\] expected .* of rows and col"),
        (lambda x: F.adaptive_avg_pool2d(x, 0), ValueError, r"output_size must be positive, got \(0, 0\)"),
        (lambda x: F.adaptive_avg_pool2d(x, (None, 2, 1)), TypeError, "output_size must be an integer or two"),
        (lambda x: F.adaptive_max_pool2d(x[:, :, :0], 1), ValueError, r"no empty dimension, got \(2, 3, 0, 6\)"),
        (lambda x: F.max_pool2d([1.0], 2), TypeError, r"\[max_pool2d\] expected a tensor, got list"),
        (lambda x: F.conv2d([1.0], x), TypeError, r"\[conv2d\] expected a tensor, got list"),
    ],
)
def test_what_does_not_fit_is_named(
    call: Callable[..., gf.Tensor], error: type[Exception], message: str
) -> None:  # fmt: skip
    with pytest.raises(error, match=message):
        call(gf.tensor(IMAGES))


def test_integers_are_averaged_as_floats() -> None:
    y = F.avg_pool2d(gf.arange(4).reshape(1, 1, 2, 2), 2)
    assert (y.dtype, y.item()) == (gf.float32, 1.5)


def test_half_precision_sums_are_taken_in_float32() -> None:
    x = gf.full((1, 1, 64, 64), 100.0, dtype=gf.float16)  # the sum would overflow float16
    assert F.adaptive_avg_pool2d(x, 1).item() == 100.0


@pytest.mark.parametrize("last", [False, True])
def test_results_have_the_layout_of_the_images(last: bool) -> None:
    x = gf.tensor(np.ascontiguousarray(IMAGES.transpose(0, 2, 3, 1))).permute(0, 3, 1, 2) if last else gf.tensor(IMAGES)
    for y in (F.avg_pool2d(x, 2), F.max_pool2d(x, 2)):
        assert y.permute(0, 2, 3, 1).numpy().flags.c_contiguous == last


def test_large_windows_have_one_winner() -> None:
    x = gf.arange(400.0).reshape(1, 1, 20, 20).requires_grad_()
    y, place = F.max_pool2d(x, 20, return_indices=True)
    y.sum().backward()
    assert (place.item(), x.grad.argmax().item(), x.grad.sum().item()) == (399, 399, 1.0)


def test_half_precision_cotangents_of_one_winner_are_added_in_float32() -> None:
    x = gf.tensor([[0, 0, 9, 0, 0]], dtype=gf.float16, requires_grad=True)
    F.max_pool1d(x, 3, 1).backward(gf.tensor([[1, 1, 2048]], dtype=gf.float16))  # 2048 + 1 is 2048 in float16
    assert x.grad.tolist() == [[0, 0, 2050, 0, 0]]
