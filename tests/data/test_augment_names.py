"""Augmentations made of names, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradflow as gf
from gradflow.data import augment
from gradflow.data.augment import (
    ColorJitter,
    Compose,
    CutMix,
    Cutout,
    Mixup,
    Normalize,
    RandomChoice,
    RandomCrop,
    RandomHorizontalFlip,
    RandomRotation,
    RandomShift,
    parse_augment,
)

SHAPE = (3, 32, 28)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], []),
        ("", []),
        (["flip"], [RandomHorizontalFlip(0.5)]),
        (["flip=0.25"], [RandomHorizontalFlip(0.25)]),
        (["crop"], [RandomCrop(3)]),
        (["crop=4", "flip"], [RandomHorizontalFlip(), RandomCrop(4)]),
        ("shift", [RandomShift(1, 0.5)]),
        ("shift=2", [RandomShift(2, 0.5)]),
        ("rotate, cutout", [RandomRotation(15.0), Cutout(7)]),
        ("rotate=30,cutout=16", [RandomRotation(30), Cutout(16)]),
        ("color", [ColorJitter(0.2, 0.2, 0.2)]),
        ("color=.4", [ColorJitter(0.4, 0.4, 0.4)]),
        ("mixup", [Mixup(0.2, 10)]),
        ("cutmix=0.5", [CutMix(0.5, 10)]),
        ("cutmix,mixup=1,flip", [RandomHorizontalFlip(), RandomChoice([Mixup(1, 10), CutMix(1.0, 10)])]),
    ],
)
def test_names(names: Any, expected: list[Any]) -> None:
    assert parse_augment(names, 10, SHAPE) == Compose(expected)


def test_whatever_their_order_all_run_and_mixtures_are_last() -> None:
    made = parse_augment(list(reversed(augment.names.NAMES)), 10, SHAPE)
    assert made == parse_augment(list(augment.names.NAMES), 10, SHAPE)
    assert [type(t).__name__ for t in made.transforms] == [
        "RandomHorizontalFlip", "RandomCrop", "RandomShift", "RandomRotation", "ColorJitter", "Cutout", "RandomChoice",
    ]  # fmt: skip
    x = gf.tensor(np.random.default_rng(0).random((8, *SHAPE)), dtype="float32", device="cpu")
    images, labels = made(x, gf.arange(8, device="cpu"), np.random.default_rng(1))
    assert (images.shape, images.dtype, labels.shape) == (x.shape, x.dtype, (8, 10))
    np.testing.assert_allclose(labels.numpy().sum(1), 1, rtol=1e-6)


@pytest.mark.parametrize("side", [1, 2, 3])
def test_small_images(side: int) -> None:
    names = list(augment.names.NAMES)
    x = gf.ones(3, 1, side, side, device="cpu")
    images, _ = parse_augment(names, 4, (1, side, side))(x, gf.arange(3, device="cpu"), np.random.default_rng(1))
    assert images.shape == x.shape


def test_where_both_are_asked_for_each_batch_is_mixed_in_one_of_two_ways() -> None:
    x = gf.eye(4, device="cpu").reshape(4, 1, 4, 1).expand(4, 1, 4, 6) * 1.0
    made = parse_augment("mixup=5,cutmix", 4, (1, 4, 6))
    mixtures = [made(x, gf.arange(4, device="cpu"), np.random.default_rng(s))[0].numpy() for s in range(60)]
    blended = [not np.isin(image, (0, 1)).all() for image in mixtures]
    assert 15 < sum(blended) < 45


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("mirror", r"\[augment\] there is no 'mirror'; there are flip, crop, shift, rotate, color, cutout, mixup"),
        ("=3", r"there is no ''"),
        ("flip,crop,flip=1", r"\[augment\] flip is given twice"),
        ("flip=often", r"\[augment\] flip=often: 'often' is no number \(flip=VALUE: mirror images"),
        ("flip=", r"'' is no number"),
        ("flip=1.5", r"flip=1.5: \[RandomHorizontalFlip\] p must be a number from 0 to 1, got 1.5"),
        ("crop=2.5", r"crop=2.5: \[RandomCrop\] padding must be a whole number of at least 0, got 2.5"),
        ("crop=28", r"crop=28: \[RandomCrop\] an image of 32 x 28 pixels has no reflection 28 pixels wide"),
        ("shift=-1", r"shift=-1: \[RandomShift\] pixels"),
        ("rotate=nan", r"rotate=nan: \[RandomRotation\] degrees must be a number of at least 0, got nan"),
        ("color=-0.1", r"color=-0.1: \[ColorJitter\] brightness"),
        ("cutout=0", r"cutout=0: \[Cutout\] size must be a whole number of at least 1, got 0"),
        ("mixup=0", r"mixup=0: \[Mixup\] alpha must be above 0; leave the augmentation out"),
        ("cutmix=inf", r"cutmix=inf: \[CutMix\] alpha must be a number of at least 0, got inf"),
    ],
)  # fmt: skip
def test_names_refused(names: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        parse_augment(names, 10, SHAPE)
    assert "\n" not in str(caught.value)


def test_names_that_do_not_fit_the_images() -> None:
    with pytest.raises(ValueError, match=r"color: \[ColorJitter\] images must have 1 channel or 3.*got 2"):
        parse_augment("color", 10, (2, 8, 8))
    with pytest.raises(ValueError, match=r"mixup: \[Mixup\] num_classes must be a whole number of at least 1, got 0"):
        parse_augment("mixup", 0, SHAPE)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomHorizontalFlip(True), "p must be a number from 0 to 1, got True"),
        (lambda: RandomHorizontalFlip("0.5"), "p must be a number"),  # type: ignore[arg-type]
        (lambda: RandomCrop(1, padding_mode="symmetric"), "padding_mode must be 'reflect', 'edge', 'constant'"),
        (lambda: RandomRotation(10, padding_mode="border"), "padding_mode must be 'zeros' or 'reflection'"),
        (lambda: RandomRotation((3, 1)), "degrees must be two numbers in order"),
        (lambda: RandomRotation((1, 2, 3)), "degrees must be a number or two"),  # type: ignore[arg-type]
        (lambda: ColorJitter(contrast=(-1, 1)), "contrast must be a number of at least 0, got -1"),
        (lambda: Normalize([0.5], [0.0]), "std not 0"),
        (lambda: Normalize([0.5], [-1.0]), "std must be a number of at least 0"),
        (lambda: Normalize([0.5, 0.5], [1.0]), "one number for each channel"),
        (lambda: Normalize([], []), "one number for each channel"),
        (lambda: Normalize(0.5, 1.0), "mean must be numbers, one for each channel, got 0.5"),  # type: ignore[arg-type]
        (lambda: RandomChoice([]), "nothing to choose from"),
    ],
)  # fmt: skip
def test_values_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


IMAGES, LABELS = np.zeros((2, 3, 4, 4), "f4"), np.arange(2)


@pytest.mark.parametrize(
    ("augmentation", "images", "labels", "message"),
    [
        (RandomHorizontalFlip(), IMAGES.astype("i8"), LABELS, "images must be .* of a floating dtype.*int64"),
        (RandomHorizontalFlip(), IMAGES[0], LABELS, r"images must be \(n, channels, height, width\).*\(3, 4, 4\)"),
        (RandomHorizontalFlip(), IMAGES[:, :, :0], LABELS, "not without pixels"),
        (RandomHorizontalFlip(), IMAGES, np.arange(3), r"labels must be .* got \(3,\) for images \(2, 3, 4, 4\)"),
        (RandomCrop(4), IMAGES, LABELS, "4 x 4 pixels has no reflection 4 pixels wide; use a padding below 4"),
        (RandomCrop(1), IMAGES[..., :1], LABELS, "4 x 1 pixels has no reflection"),
        (ColorJitter(0.5), IMAGES[:, :2], LABELS, "1 channel or 3"),
        (Normalize([0.5] * 2, [1.0] * 2), IMAGES, LABELS, "of 2 channels, but the images have 3"),
        (Mixup(1.0, 4), IMAGES, LABELS.astype("f4"), r"labels must be integers \(n,\) or floats \(n, 4\)"),
        (CutMix(1.0, 4), IMAGES, np.zeros((2, 3), "f4"), r"labels must be .* got \(2, 3\) float32"),
    ],
)
def test_batches_refused(augmentation: Any, images: np.ndarray, labels: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        augmentation(gf.tensor(images, device="cpu"), gf.tensor(labels, device="cpu"), np.random.default_rng(0))


def test_arrays_and_labels_out_of_range_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(TypeError, match=r"\[Cutout\] images and labels must be Tensors, got ndarray and ndarray"):
        Cutout(1)(IMAGES, LABELS, rng)  # type: ignore[arg-type]
    with pytest.raises(IndexError, match="there are classes 0 to 2"):
        Mixup(1.0, 3)(gf.tensor(IMAGES, device="cpu"), gf.tensor([0, 3], device="cpu"), rng)
    with pytest.raises(TypeError, match=r"\[Compose\] transforms must be a list of functions"):
        Compose(RandomHorizontalFlip())  # type: ignore[arg-type]
