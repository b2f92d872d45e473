"""Convolution and vision layers: what they show, what they start from, and what they and their functions refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradflow as gf
from gradflow import nn
from gradflow.nn import functional as F

IMAGES = np.random.default_rng(0).standard_normal((2, 4, 5, 6))
GRID = np.zeros((2, 3, 3, 2))


@pytest.mark.parametrize(
    "layer, shown",
    [
        (nn.Conv1d(4, 2, 3, padding=1), "Conv1d(4, 2, kernel_size=(3,), stride=(1,), padding=(1,))"),
        (
            nn.Conv2d(4, 2, 3, padding="same", padding_mode="reflect"),
            "Conv2d(4, 2, kernel_size=(3, 3), stride=(1, 1), padding=same, padding_mode=reflect)",
        ),
        (
            nn.ConvTranspose2d(4, 2, 3, 2, output_padding=1, bias=False),
            "ConvTranspose2d(4, 2, kernel_size=(3, 3), stride=(2, 2), output_padding=(1, 1), bias=False)",
        ),
        (nn.Upsample(scale_factor=2, mode="bilinear"), "Upsample(scale_factor=2.0, mode='bilinear')"),
        (nn.UpsamplingNearest2d(7), "UpsamplingNearest2d(size=7, mode='nearest')"),
        (nn.ZeroPad2d(1), "ZeroPad2d((1, 1, 1, 1))"),
        (nn.ConstantPad1d(2, 0.5), "ConstantPad1d(padding=(2, 2), value=0.5)"),
        (nn.MaxUnpool1d(2), "MaxUnpool1d(kernel_size=(2,), stride=(2,), padding=(0,))"),
        (nn.Fold((4, 5), 2), "Fold(output_size=(4, 5), kernel_size=2, dilation=1, padding=0, stride=1)"),
        (nn.Unfold(2), "Unfold(kernel_size=2, dilation=1, padding=0, stride=1)"),
    ],
)
def test_layers_show_their_arguments(layer: nn.Module, shown: str) -> None:
    assert repr(layer) == shown


@pytest.mark.parametrize(
    "layer, shape, fan_in",
    [
        (nn.Conv1d(8, 6, 5, groups=2), (6, 4, 5), 20),
        (nn.Conv3d(2, 3, (1, 2, 3)), (3, 2, 1, 2, 3), 12),
        (nn.ConvTranspose1d(8, 6, 5, groups=2), (8, 3, 5), 15),
        (nn.ConvTranspose3d(2, 3, 2), (2, 3, 2, 2, 2), 24),
    ],
)
def test_weights_start_uniform(layer: Any, shape: tuple[int, ...], fan_in: int) -> None:
    assert layer.weight.shape == shape
    assert [tuple(p.shape) for p in layer.parameters()] == [shape, (layer.out_channels,)]
    for parameter in layer.parameters():
        assert np.abs(parameter.detach().numpy()).max() <= fan_in**-0.5
    assert np.abs(layer.weight.detach().numpy()).max() > 0.7 * fan_in**-0.5
    before = layer.weight.detach().numpy().copy()
    layer.reset_parameters()
    assert (layer.weight.detach().numpy() != before).all()
    assert np.abs(layer.weight.detach().numpy()).max() <= fan_in**-0.5


@pytest.mark.parametrize(
    "layer, function",
    [
        (nn.Fold((5, 6), 2), lambda x: F.fold(x, (5, 6), 2)),
        (nn.PixelShuffle(2), lambda x: F.pixel_shuffle(x, 2)),
        (nn.PixelUnshuffle(1), lambda x: F.pixel_unshuffle(x, 1)),
        (nn.ChannelShuffle(2), lambda x: F.channel_shuffle(x, 2)),
        (nn.Upsample((3, 4), mode="bicubic"), lambda x: F.interpolate(x, (3, 4), mode="bicubic")),
        (nn.UpsamplingBilinear2d(scale_factor=2), lambda x: F.upsample_bilinear(x, scale_factor=2)),
        (nn.LPPool2d(2, 2, ceil_mode=True), lambda x: F.lp_pool2d(x, 2, 2, ceil_mode=True)),
        (nn.ReflectionPad2d(1), lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect")),
        (nn.ReplicationPad2d(1), lambda x: F.pad(x, (1, 1, 1, 1), mode="replicate")),
        (nn.CircularPad2d(1), lambda x: F.pad(x, (1, 1, 1, 1), mode="circular")),
        (nn.ConstantPad3d(1, 2.0), lambda x: F.pad(x, (1,) * 6, value=2.0)),
    ],
    ids=repr,
)
def test_layers_pass_their_arguments_on(layer: nn.Module, function: Callable[..., gf.Tensor]) -> None:
    x = gf.tensor(np.abs(IMAGES))
    x = gf.ones(2, 4 * 4, 20) if isinstance(layer, nn.Fold) else x
    assert np.array_equal(layer(x).numpy(), function(x).numpy())


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_a_padding_mode_pads_before_the_convolution(mode: str) -> None:
    x, layer = gf.tensor(IMAGES), nn.Conv2d(4, 2, (2, 3), padding="same", padding_mode=mode, dtype=gf.float64)
    padded = F.pad(x, (1, 1, 0, 1), mode=mode)
    assert np.array_equal(layer(x).detach().numpy(), F.conv2d(padded, layer.weight, layer.bias).detach().numpy())


def test_the_size_of_a_transposed_convolution_can_be_asked_for() -> None:
    layer, x = nn.ConvTranspose2d(4, 2, 3, 2, 1), gf.zeros(1, 4, 5, 6)
    assert layer(x).shape == (1, 2, 9, 11)
    assert layer(x, output_size=(10, 11)).shape == layer(x, (1, 2, 10, 11)).shape == (1, 2, 10, 11)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda x: F.conv1d(x, x), ValueError, r"\[conv1d\] expected x \(N, C, L\) or \(C, L\) and weight \(K, C / gr"),
        (lambda x: F.conv2d(x, [1.0]), TypeError, r"\[conv2d\] expected a tensor as weight, got list"),
        (lambda x: F.conv2d(x, x, [1.0, 2.0]), TypeError, r"\[conv2d\] expected a tensor as bias, got list"),
        (lambda x: F.conv2d(x, x, groups=1.0), TypeError, r"\[conv2d\] groups must be an integer, got 1.0"),
        (lambda x: F.conv2d(x, x, None, (True, 1)), TypeError, r"stride must be an integer or two, got \(True, 1\)"),
        (lambda x: F.conv_transpose2d(x, x), ValueError, r"\[conv_transpose2d\] x has 4 channels but weight expects 2"),
        (
            lambda x: F.conv_transpose2d(x, x[0][:, None], output_padding=1),
            ValueError,
            r"output_padding \(1, 1\) must be less than stride \(1, 1\) or dilation \(1, 1\)",
        ),
        (lambda x: F.conv3d(x[None], x[None], stride=(1, 2)), TypeError, r"stride must be an integer or three, got"),
        (lambda x: nn.Conv2d(4, 2, 3, padding_mode="odd"), ValueError, r"\[Conv2d\] padding_mode must be one of"),
        (lambda x: nn.ConvTranspose2d(4, 2, 3, padding_mode="reflect"), ValueError, "padding_mode must be 'zeros'"),
        (lambda x: nn.Conv1d(4, 2, 3, 2, "same"), ValueError, r"\[Conv1d\] padding='same' needs stride 1, got \(2,\)"),
        (lambda x: nn.Conv1d(4, 2, 3, padding="odd"), ValueError, "padding must be a number, 'valid' or 'same'"),
        (lambda x: nn.Conv1d(4, 3, 3, groups=2), ValueError, "in_channels 4 and out_channels 3 must divide into 2"),
        (
            lambda x: nn.ConvTranspose2d(4, 2, 3, 2)(x, (1, 1)),
            ValueError,
            r"output_size \(1, 1\) must be from \[11, 13\] to \[12, 14\] \(x \(2, 4, 5, 6\)\)",
        ),
        (lambda x: nn.ConvTranspose2d(4, 2, 3, 2)(x, (1, 2, 3)), ValueError, "output_size must have 2 or 4 elements"),
        (lambda x: F.max_unpool2d(x, gf.zeros(2, 4, 5, 6), 2), ValueError, "indices must be int64 and of x's shape"),
        (
            lambda x: F.max_unpool2d(x, gf.full((2, 4, 5, 6), 999), 2),
            IndexError,
            r"\[max_unpool2d\] index 999 is out of range",
        ),
        (lambda x: F.lp_pool2d(x, 0, 2), ValueError, r"\[lp_pool2d\] norm_type must not be 0"),
        (lambda x: F.interpolate(x), ValueError, r"\[interpolate\] give size or scale_factor, one of them"),
        (lambda x: F.interpolate(x, 3, mode="cubic"), NotImplementedError, "mode must be one of 'nearest', "),
        (lambda x: F.interpolate(x, 3, mode="linear"), NotImplementedError, "needs x of 3 dimensions"),
        (
            lambda x: F.interpolate(x, (3,)),
            ValueError,
            r"size must be one number or 2, got \(3,\) \(x \(2, 4, 5, 6\)\)",
        ),
        (lambda x: F.interpolate(x, 2.5), TypeError, "size must be integers, got 2.5"),
        (lambda x: F.interpolate(x, 0), ValueError, r"sizes must be positive, got \(0, 0\) for the result"),
        (lambda x: F.interpolate(x, 3, align_corners=True), ValueError, "align_corners has no meaning in mode='near"),
        (lambda x: F.interpolate(x, 3, antialias=True), ValueError, "antialias goes with 'bilinear' and 'bicubic'"),
        (lambda x: F.interpolate(x.long(), 3, mode="bilinear"), TypeError, "mode='bilinear' needs a floating x, got"),
        (lambda x: F.pixel_shuffle(x, 3), ValueError, r"\[pixel_shuffle\] 4 channels do not divide by 3 \* 3"),
        (lambda x: F.pixel_unshuffle(x, 2), ValueError, r"\[pixel_unshuffle\] rows and columns do not divide by 2"),
        (lambda x: F.pixel_shuffle(x, 0), ValueError, "upscale_factor must be a positive integer, got 0"),
        (lambda x: F.channel_shuffle(x, 3), ValueError, r"\[channel_shuffle\] 4 channels do not divide into 3 groups"),
        (lambda x: F.channel_shuffle(x, None), ValueError, r"\[channel_shuffle\] 4 channels do not divide into None"),
        (lambda x: F.pad(x, 1), TypeError, r"\[pad\] pad must be integers, two for each last dimension, got 1"),
        (lambda x: F.pad([1.0], (1, 1)), TypeError, r"\[pad\] expected a tensor, got list"),
        (lambda x: F.max_unpool2d(x, [1], 2), TypeError, r"\[max_unpool2d\] expected a tensor as indices, got list"),
        (lambda x: F.grid_sample(x, [1.0]), TypeError, r"\[grid_sample\] expected a tensor as grid, got list"),
        (lambda x: F.affine_grid([1.0], (1, 1, 2, 2)), TypeError, r"\[affine_grid\] expected a tensor as theta, got l"),
        (lambda x: F.affine_grid(x[0, :2, :3, 0], (2, 1, 3, 3)), ValueError, r"\[affine_grid\] theta \(2, 3\) does no"),
        (lambda x: F.grid_sample(x, x), ValueError, r"\[grid_sample\] expected x \(N, C, H, W\) and grid \(N, H', W'"),
        (lambda x: F.grid_sample(x, gf.tensor(GRID), "odd"), ValueError, "mode must be 'bilinear', 'nearest' or 'bic"),
        (lambda x: F.grid_sample(x, gf.tensor(GRID).float()), TypeError, "x and grid must be of one dtype, got float6"),
        (lambda x: nn.ReflectionPad2d((1, 2)), ValueError, r"\[ReflectionPad2d\] padding must be an integer or 4, got"),
        (
            lambda x: nn.ReflectionPad1d(1)(x),
            ValueError,
            r"\[ReflectionPad1d\] expected x \(N, C, L\) or \(C, L\), got",
        ),
    ],
)
def test_what_does_not_fit_is_named(
    call: Callable[..., gf.Tensor], error: type[Exception], message: str
) -> None:  # fmt: skip
    with pytest.raises(error, match=message):
        call(gf.tensor(IMAGES))


def test_sizes_may_be_integers_of_numpy() -> None:
    x, w, two = gf.tensor(IMAGES), gf.ones(2, 4, 3, 3, dtype=gf.float64), np.int64(2)
    assert F.conv2d(x, w, None, two, (two, 1), groups=np.int64(1)).shape == (2, 2, 4, 3)
    assert F.max_pool2d(x, two).shape == F.pixel_unshuffle(x[:, :, :4], two).shape[:1] + (4, 2, 3)


def test_a_bias_of_a_wider_dtype_widens_the_result() -> None:
    x, w = gf.ones(1, 1, 2, 2), gf.ones(1, 1, 2, 2)
    for convolution in (F.conv2d, F.conv_transpose2d):
        assert convolution(x, w, gf.zeros(1, dtype=gf.float64)).dtype == gf.float64
    assert F.conv2d(x.long(), w.long(), gf.full((1,), 0.5)).tolist() == [[[[4.5]]]]


def test_half_precision_gradients_of_weights_are_summed_in_float32() -> None:
    x = gf.ones(4, 1, 512, 512, dtype=gf.float16)
    x[2:] = -1  # the sum over one image would overflow float16
    w = gf.zeros(1, 1, 1, 1, dtype=gf.float16, requires_grad=True)
    F.conv2d(x, w).sum().backward()
    assert w.grad.item() == 0.0


def test_half_precision_copies_are_summed_in_float32() -> None:
    columns = gf.ones(1, 3, 5, dtype=gf.float16)
    columns[:, 0] = 2048  # 2048 + 1 is 2048 in float16
    assert F.fold(columns, (1, 3), (1, 3), padding=(0, 2)).tolist() == [[[[2050.0] * 3]]]


def test_half_precision_grids_are_read_in_float32() -> None:
    x, grid = gf.arange(999.0).reshape(1, 1, 1, 999), gf.linspace(-0.9, 0.9, 18).reshape(1, 1, 9, 2).half()
    found, expected = F.grid_sample(x.half(), grid), F.grid_sample(x, grid.float()).half()
    assert found.dtype == gf.float16 and found.tolist() == expected.tolist()
