"""Splits: pixels of one byte that become floats in samples and batches, on the host and elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradflow as gf
from gradflow.data import DataError, ImageData, Split, Subset, TensorDataset
from gradflow.data.images import scaled

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 3, 4, 5)).astype(np.uint8)
LABELS = np.arange(6, dtype=np.uint8)


def test_pixels_are_kept_small_and_scaled_when_asked_for():
    split = Split(PIXELS, LABELS)
    assert split.pixels is PIXELS
    assert split.labels.dtype == np.int64
    assert split.images.dtype == np.float32
    np.testing.assert_array_equal(split.images, (PIXELS / np.float64(255)).astype(np.float32))
    image, label = split[2]
    assert (image.dtype, type(label), label) == (np.float32, int, 2)
    np.testing.assert_array_equal(image, split.images[2])
    images, labels = split.__getitems__([5, 0, 5])
    np.testing.assert_array_equal(images, split.images[[5, 0, 5]])
    assert (labels.tolist(), labels.dtype) == ([5, 0, 5], np.int64)
    assert len(split) == 6
    assert str(split.device) == "cpu"


@pytest.mark.parametrize(("dtype", "top"), [(np.uint8, 16), (np.uint16, 65535), (np.int64, 255)])
def test_other_integers_and_their_top(dtype, top: int):
    pixels = np.linspace(0, top, 8).astype(dtype).reshape(2, 1, 2, 2)
    images = Split(pixels, np.arange(2), top).images
    assert (images.dtype, images.min(), images.max()) == (np.float32, 0, 1)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_are_taken_as_they_are(dtype):
    pixels = (PIXELS.astype(dtype) - 100) / 64
    split = Split(pixels, LABELS)
    assert split.images.dtype == split[0][0].dtype == split.__getitems__([1])[0].dtype == np.float32
    np.testing.assert_array_equal(split.images, pixels.astype(np.float32))


def test_booleans_are_black_and_white():
    assert scaled(np.array([True, False]), 1).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("pixels", "labels", "reason"),
    [
        (PIXELS[:, 0], LABELS, r"got \(6, 4, 5\) and \(6,\)"),
        (PIXELS, LABELS[:2], r"got \(6, 3, 4, 5\) and \(2,\)"),
        (PIXELS, LABELS[:, None], r"and \(6, 1\)"),
        (PIXELS, LABELS / 2, "labels are integers, the numbers of classes; got float64"),
    ],
)
def test_arrays_that_make_no_split(pixels, labels, reason: str):
    with pytest.raises(DataError, match=reason):
        Split(pixels, labels)


def test_tensors_on_the_host_are_kept_as_arrays():
    split = Split(gf.tensor(PIXELS, device="cpu"), gf.tensor(LABELS, device="cpu"))
    assert isinstance(split.pixels, np.ndarray) and isinstance(split.labels, np.ndarray)
    np.testing.assert_array_equal(split.images, Split(PIXELS, LABELS).images)


@pytest.mark.parametrize("pixels", [PIXELS, PIXELS.astype(np.float64) / 7], ids=["bytes", "floats"])
def test_on_a_device_pixels_stay_small_and_batches_are_the_same(fake_cuda, pixels):
    host = Split(pixels, LABELS)
    there = host.to("cuda:1")
    assert str(there.device) == "cuda:1"
    assert there.pixels.dtype == pixels.dtype
    assert there.labels.dtype == np.int64
    for part in (there, Subset(there, range(6)).dataset):
        images, labels = part.__getitems__(gf.tensor([5, 0, 5], device="cuda:1"))
        assert (str(images.device), images.dtype, labels.tolist()) == ("cuda:1", np.float32, [5, 0, 5])
        np.testing.assert_array_equal(images.numpy(), host.images[[5, 0, 5]])
    image, label = there[3]
    np.testing.assert_array_equal(image.numpy(), host[3][0])
    assert label.item() == 3
    np.testing.assert_array_equal(there.images.numpy(), host.images)
    assert there.to("cuda:1") is there
    back = there.to("cpu")
    assert isinstance(back.pixels, np.ndarray)
    np.testing.assert_array_equal(back.pixels, pixels)
    with pytest.raises(DataError, match=r"pixels are on cuda:1 and labels on cpu"):
        Split(there.pixels, LABELS)


def test_every_byte_scales_to_the_same_float_on_every_device(fake_cuda):
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    for top in (255, 16, 3):
        expected = Split(pixels, np.zeros(1, int), top).images.tobytes()
        for device in ("emulated", "cuda"):
            assert Split(pixels, np.zeros(1, int), top).to(device).images.numpy().tobytes() == expected


def test_image_data():
    data = ImageData("things", Split(PIXELS, LABELS), Split(PIXELS[:2], LABELS[:2]), tuple("abcdef"))
    assert data.input_shape == (3, 4, 5)


@pytest.mark.parametrize("place", [0, 1])
def test_lists_are_no_arrays(place: int):
    arguments: list[Any] = [np.zeros((2, 1, 2, 2), np.uint8), np.zeros(2, np.int64)]
    arguments[place] = arguments[place].tolist()
    with pytest.raises(TypeError, match=r"\[Split\] .* got list; make them one with np.array"):
        Split(*arguments)
    with pytest.raises(TypeError, match=r"\[TensorDataset\] expected Tensors and arrays, got list"):
        TensorDataset(*arguments)


@pytest.mark.parametrize(("kind", "top"), [(complex, 255), (object, 255), (np.uint8, 0)])
def test_pixels_that_are_no_numbers_or_have_no_range(kind: type, top: int):
    with pytest.raises(DataError, match=r"integers or floats|at least 1; got 0"):
        Split(np.zeros((2, 1, 2, 2), kind), np.zeros(2, np.int64), top)
