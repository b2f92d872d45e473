"""Each augmentation against loops over single images and pixels that take the same random numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from kernels.harness import DEVICES

import gradflow as gf
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
)

Rng = np.random.Generator
Batch = tuple[np.ndarray, np.ndarray]
HALVES = ["float16", *(["bfloat16"] if find_spec("ml_dtypes") else [])]
CLASSES = 5

# -- the references: float64, an image and a pixel at a time -----------------------------------------------------------


def flipped(x: np.ndarray, y: np.ndarray, rng: Rng, p: float) -> Batch:
    return np.array([image[:, :, ::-1] if u < p else image for image, u in zip(x, rng.random(len(x)), strict=True)]), y


def moved(x: np.ndarray, first: np.ndarray, padding: int, mode: str) -> np.ndarray:
    height, width = x.shape[2:]
    wide = [np.pad(image, ((0, 0), (padding, padding), (padding, padding)), mode=mode) for image in x]  # type: ignore[call-overload]
    return np.array([w[:, r : r + height, c : c + width] for w, r, c in zip(wide, *first, strict=True)])


def cropped(x: np.ndarray, y: np.ndarray, rng: Rng, padding: int, mode: str) -> Batch:
    return moved(x, rng.integers(0, 2 * padding + 1, (2, len(x))), padding, mode), y


def shifted(x: np.ndarray, y: np.ndarray, rng: Rng, pixels: int, share: float) -> Batch:
    first, some = rng.integers(0, 2 * pixels + 1, (2, len(x))), rng.random(len(x)) < share
    return moved(x, np.where(some, first, pixels), pixels, "constant"), y


def cut(x: np.ndarray, y: np.ndarray, rng: Rng, size: int) -> Batch:
    x = x.copy()
    rows, columns = rng.integers(0, x.shape[2], len(x)), rng.integers(0, x.shape[3], len(x))
    for image, r, c in zip(x, rows, columns, strict=True):
        for i in range(r - size // 2, r - size // 2 + size):
            for j in range(c - size // 2, c - size // 2 + size):
                if 0 <= i < x.shape[2] and 0 <= j < x.shape[3]:
                    image[:, i, j] = 0
    return x, y


def bilinear(image: np.ndarray, row: float, column: float) -> np.ndarray:
    """The image at a point, zero outside of it."""
    top, left = math.floor(row), math.floor(column)
    total = np.zeros(len(image))
    for i, down in ((top, top + 1 - row), (top + 1, row - top)):
        for j, across in ((left, left + 1 - column), (left + 1, column - left)):
            if 0 <= i < image.shape[1] and 0 <= j < image.shape[2]:
                total += image[:, i, j] * down * across
    return total


def reflected(at: float, n: int) -> float:
    """A place mirrored at the edges, -0.5 and n - 0.5, and then held on the pixels' centres."""
    at = (at + 0.5) % (2 * n)
    return min(max(min(at, 2 * n - at) - 0.5, 0.0), n - 1.0)


def turned(x: np.ndarray, y: np.ndarray, rng: Rng, low: float, high: float, mode: str) -> Batch:
    out, (height, width) = np.zeros_like(x), x.shape[2:]
    for image, result, degrees in zip(x, out, rng.uniform(low, high, len(x)), strict=True):
        cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        for i in range(height):
            for j in range(width):
                across, down = j - (width - 1) / 2, i - (height - 1) / 2
                row = across * sin + down * cos + (height - 1) / 2
                column = across * cos - down * sin + (width - 1) / 2
                if mode == "reflection":
                    row, column = reflected(row, height), reflected(column, width)
                result[:, i, j] = bilinear(image, row, column)
    return out, y


def grey(image: np.ndarray) -> np.ndarray:
    return image[0] if len(image) == 1 else 0.2989 * image[0] + 0.587 * image[1] + 0.114 * image[2]


def colored(x: np.ndarray, y: np.ndarray, rng: Rng, *spans: tuple[float, float]) -> Batch:
    low, high = np.array(spans).T
    factors = rng.uniform(low[:, None], high[:, None], (3, len(x)))
    order, out = rng.permutation(3), []
    for image, own in zip(x, factors.T, strict=True):
        for change in order:
            if (change == 2 and len(image) == 1) or spans[change] == (1, 1):
                continue
            other = (0.0, grey(image).mean(), grey(image))[change]
            image = np.clip(own[change] * image + (1 - own[change]) * other, 0, 1)
        out.append(image)
    return np.array(out), y


def normal(x: np.ndarray, y: np.ndarray, rng: Rng, mean: Any, std: Any) -> Batch:
    return (x - np.reshape(mean, (-1, 1, 1))) / np.reshape(std, (-1, 1, 1)), y


def soft(y: np.ndarray) -> np.ndarray:
    return np.eye(CLASSES)[y] if y.ndim == 1 else y


def mixed(x: np.ndarray, y: np.ndarray, rng: Rng, alpha: float) -> Batch:
    ratio, partners, y = rng.beta(alpha, alpha), rng.permutation(len(x)), soft(y)
    pairs = list(enumerate(partners))
    return tuple(np.array([ratio * a[i] + (1 - ratio) * a[j] for i, j in pairs]) for a in (x, y))  # type: ignore[return-value]


def boxed(x: np.ndarray, y: np.ndarray, rng: Rng, alpha: float) -> Batch:
    height, width = x.shape[2:]
    part, row, column = math.sqrt(1 - rng.beta(alpha, alpha)), rng.integers(height), rng.integers(width)
    partners, down, across = rng.permutation(len(x)), int(height * part) // 2, int(width * part) // 2
    out, kept, y = x.copy(), height * width, soft(y)
    for i in range(height):
        for j in range(width):
            if row - down <= i < row + down and column - across <= j < column + across:
                kept -= 1
                for image, partner in zip(out, partners, strict=True):
                    image[:, i, j] = x[partner, :, i, j]
    share = kept / (height * width)
    return out, np.array([share * y[i] + (1 - share) * y[j] for i, j in enumerate(partners)])


# -- the table ---------------------------------------------------------------------------------------------------------

NUMBERS = (0.4, 0.5, 0.3), (0.2, 0.25, 0.3)
CASES: dict[str, tuple[Any, Callable[[np.ndarray, np.ndarray, Rng], Batch]]] = {
    "flip": (RandomHorizontalFlip(0.4), lambda *b: flipped(*b, 0.4)),
    "flip none": (RandomHorizontalFlip(0), lambda x, y, rng: (x, y)),
    "flip all": (RandomHorizontalFlip(1), lambda x, y, rng: (x[..., ::-1], y)),
    "crop": (RandomCrop(2), lambda *b: cropped(*b, 2, "reflect")),
    "crop by nothing": (RandomCrop(0), lambda x, y, rng: (x, y)),
    "crop edge": (RandomCrop(9, padding_mode="edge"), lambda *b: cropped(*b, 9, "edge")),
    "crop constant": (RandomCrop(3, "constant"), lambda *b: cropped(*b, 3, "constant")),
    "shift": (RandomShift(1, 0.5), lambda *b: shifted(*b, 1, 0.5)),
    "shift far": (RandomShift(7, 1.0), lambda *b: shifted(*b, 7, 1.0)),
    "shift none": (RandomShift(3, 0), lambda x, y, rng: (x, y)),
    "cutout": (Cutout(2), lambda *b: cut(*b, 2)),
    "cutout odd": (Cutout(3), lambda *b: cut(*b, 3)),
    "cutout all": (Cutout(100), lambda *b: cut(*b, 100)),
    "rotate": (RandomRotation(30), lambda *b: turned(*b, -30, 30, "zeros")),
    "rotate far": (RandomRotation((90, 400)), lambda *b: turned(*b, 90, 400, "zeros")),
    "rotate reflected": (RandomRotation(180, "reflection"), lambda *b: turned(*b, -180, 180, "reflection")),
    "color": (ColorJitter(0.4, 0.3, 1.5), lambda *b: colored(*b, (0.6, 1.4), (0.7, 1.3), (0, 2.5))),
    "color spans": (ColorJitter((1, 3), (0.5, 0.5)), lambda *b: colored(*b, (1, 3), (0.5, 0.5), (1, 1))),
    "normalize": (Normalize(*NUMBERS), lambda *b: normal(*b, *NUMBERS)),
    "normalize all": (Normalize([0.5], [0.25]), lambda *b: normal(*b, 0.5, 0.25)),
    "mixup": (Mixup(0.7, CLASSES), lambda *b: mixed(*b, 0.7)),
    "cutmix": (CutMix(1.0, CLASSES), lambda *b: boxed(*b, 1.0)),
}  # fmt: skip
QUIET = ["flip none", "flip all", "crop by nothing", "shift none"]  # their references draw nothing
FEW = ["flip", "crop", "shift", "cutout", "rotate", "color", "normalize", "mixup", "cutmix"]
ONE_PIXEL = [name for name in CASES if name not in ("crop", "rotate reflected")] + ["rotate reflected"]
AWAY = [(name, device) for name in FEW for device in DEVICES]


def batch(n: int = 6, c: int = 3, height: int = 5, width: int = 7) -> Batch:
    rng = np.random.default_rng(n)
    return rng.random((n, c, height, width)), rng.integers(0, CLASSES, n)


def check(name: str, x: Any, y: Any, seed: int = 3, tolerance: float = 2e-5) -> None:
    """Compare what a case makes of Tensors with its reference."""
    augmentation, reference = CASES[name]
    before, ours, theirs = x.detach().numpy(), np.random.default_rng(seed), np.random.default_rng(seed)
    images, labels = augmentation(x, y, ours)
    expected = reference(before.astype("f8"), y.numpy(), theirs)
    assert ours.bit_generator.state == theirs.bit_generator.state or name in QUIET
    assert (images.dtype, images.shape, images.device) == (x.dtype, x.shape, x.device)
    assert not images.requires_grad
    np.testing.assert_allclose(images.numpy().astype("f8"), expected[0], rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(labels.numpy(), expected[1], rtol=1e-6, atol=1e-6)
    assert labels.ndim == 2 or labels is y
    np.testing.assert_array_equal(x.detach().numpy(), before)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", CASES)
def test_on_the_cpu(name: str, seed: int) -> None:
    x, y = batch()
    check(name, gf.tensor(x, dtype="float32", device="cpu"), gf.tensor(y, device="cpu"), seed)


@pytest.mark.parametrize(("name", "device"), AWAY)
def test_elsewhere(name: str, device: str) -> None:
    x, y = batch(4, 3, 4, 4)
    check(name, gf.tensor(x, dtype="float32", device=device), gf.tensor(y, device=device))


@pytest.mark.parametrize("name", FEW)
def test_with_cupys_functions_and_without_waiting(name: str, fake_cuda: Any) -> None:
    world = fake_cuda(devices=2).world
    x, y = batch()
    images, labels = [gf.tensor(a, device="cuda:1") for a in (x.astype("f4"), y)]
    CASES[name][0](images, labels, np.random.default_rng(0))  # compiles
    before = world.waits
    CASES[name][0](images, labels, np.random.default_rng(0))
    assert world.waits == before
    check(name, images, labels)


@pytest.mark.parametrize("layout", ["channels last", "columns", "every other", "tracked"])
@pytest.mark.parametrize("name", FEW)
def test_memory_of_any_layout(name: str, layout: str) -> None:
    x, y = [gf.tensor(a, device="cpu") for a in batch()]
    if layout == "channels last":
        x = x.contiguous(memory_format=gf.channels_last)
    elif layout == "columns":
        x = x.transpose(2, 3)
    elif layout == "every other":
        x, y = x[::2, :, 1:], y[::2]
    check(name, x.requires_grad_() if layout == "tracked" else x, y, tolerance=1e-9)


@pytest.mark.parametrize("dtype", [*HALVES, "float64"])
@pytest.mark.parametrize("name", FEW)
def test_dtypes(name: str, dtype: str) -> None:
    """One rounding, from exact numbers: so all random choices are those of float32."""
    x, y = batch()
    tolerance = {"float16": 6e-4, "bfloat16": 5e-3, "float64": 1e-9}[dtype]
    check(name, gf.tensor(x, device="cpu").to(getattr(gf, dtype)), gf.tensor(y, device="cpu"), tolerance=tolerance)


@pytest.mark.parametrize("n", [0, 1])
@pytest.mark.parametrize("name", FEW)
def test_few_images(name: str, n: int) -> None:
    x, y = gf.tensor(batch(1)[0][:n], device="cpu"), gf.tensor(batch(1)[1][:n], device="cpu")
    if n:
        check(name, x, y)
    else:
        images, labels = CASES[name][0](x, y, np.random.default_rng(0))
        assert (images.shape, images.dtype) == (x.shape, x.dtype)
        assert tuple(labels.shape) == ((0, CLASSES) if "mi" in name and name != "normalize" else (0,))


@pytest.mark.parametrize("name", ONE_PIXEL)
def test_images_of_one_pixel(name: str) -> None:
    x, y = batch(3, 3, 1, 1)
    check(name, gf.tensor(x, device="cpu"), gf.tensor(y, device="cpu"))


@pytest.mark.parametrize("name", ["color", "color spans", "normalize all", "rotate"])
def test_grey_images(name: str) -> None:
    x, y = batch(4, 1, 6, 3)
    check(name, gf.tensor(x, device="cpu"), gf.tensor(y, device="cpu"))


@pytest.mark.parametrize("name", FEW)
def test_a_seed_decides(name: str) -> None:
    x, y = [gf.tensor(a, device="cpu") for a in batch()]
    rng = np.random.default_rng(5)
    first, again = [CASES[name][0](x, y, r)[0].numpy() for r in (rng, np.random.default_rng(5))]
    np.testing.assert_array_equal(first, again)
    others = [CASES[name][0](x, y, rng)[0].numpy() for _ in range(3)]
    assert (name == "normalize") == all([np.array_equal(first, other) for other in others])


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_labels_that_are_mixed_already(name: str, dtype: str) -> None:
    x, _ = batch()
    y = np.random.default_rng(0).dirichlet(np.ones(CLASSES), len(x))
    check(name, gf.tensor(x, device="cpu"), gf.tensor(y, dtype=dtype, device="cpu"))


# -- how often, and how much -------------------------------------------------------------------------------------------

MANY = 4000


def many(augmentation: Any, x: np.ndarray) -> np.ndarray:
    images = gf.tensor(np.broadcast_to(x, (MANY, *x.shape)), device="cpu")
    return augmentation(images, gf.zeros(MANY, dtype="int64", device="cpu"), np.random.default_rng(0))[0].numpy()  # type: ignore[no-any-return]


@pytest.mark.parametrize("p", [0.2, 0.5])
def test_the_share_of_mirrored_images(p: float) -> None:
    assert abs((many(RandomHorizontalFlip(p), np.arange(2.0).reshape(1, 1, 2))[:, 0, 0, 0] == 1).mean() - p) < 0.03


def test_all_crops_are_as_frequent() -> None:
    corner = many(RandomCrop(1), np.arange(9.0).reshape(1, 3, 3))[:, 0, 1, 1]  # what came to the centre
    assert np.abs(np.bincount(corner.astype(int), minlength=9) / MANY - 1 / 9).max() < 0.02


def test_shifts_leave_a_share_in_place_and_move_the_others_evenly() -> None:
    centre = many(RandomShift(1, 0.5), np.arange(9.0).reshape(1, 3, 3))[:, 0, 1, 1]
    shares = np.bincount(centre.astype(int), minlength=9) / MANY
    assert abs(shares[4] - 5 / 9) < 0.03
    assert np.abs(np.delete(shares, 4) - 1 / 18).max() < 0.015


def test_every_pixel_is_the_centre_of_a_square() -> None:
    holes = many(Cutout(1), np.ones((1, 3, 4))) == 0
    assert (holes.sum((1, 2, 3)) == 1).all()
    assert np.abs(holes.mean(0) - 1 / 12).max() < 0.02


def test_angles_and_factors_fill_their_ranges() -> None:
    bright = many(ColorJitter(brightness=0.5), np.full((1, 1, 1), 0.5))[:, 0, 0, 0] / 0.5
    assert 0.5 <= bright.min() < 0.52 and 1.48 < bright.max() <= 1.5 and abs(bright.mean() - 1) < 0.02
    x = np.zeros((1, 3, 3))
    x[0, 1, 2] = 1  # the pixel at the right of the centre goes up
    up = many(RandomRotation((0, 90)), x)
    assert up[:, 0, 2].max() < 1e-12 and up[:, 0, 0, 1].max() > 0.99


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("augmentation", [Mixup(0.3, CLASSES), CutMix(1.0, CLASSES)], ids=["mixup", "cutmix"])
def test_labels_say_how_much_of_each_image_there_is(augmentation: Any, dtype: str) -> None:
    own = []
    for seed in range(200):
        images = gf.eye(CLASSES, dtype=dtype, device="cpu").reshape(CLASSES, CLASSES, 1, 1).expand(-1, -1, 9, 8) * 1.0
        images, labels = augmentation(images, gf.arange(CLASSES, device="cpu"), np.random.default_rng(seed))
        shown, y = images.numpy().astype("f8").mean((2, 3)), labels.numpy()  # channel i: what there is of image i
        np.testing.assert_allclose(y, shown, rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(y.sum(1), 1, rtol=1e-6)
        if isinstance(augmentation, CutMix):  # exactly the share of the pixels
            np.testing.assert_array_equal(y.diagonal(), (np.rint(shown.diagonal() * 72) / 72).astype(dtype))
        own.append(y.diagonal().min())
    assert len(set(own)) > 15
    assert min(own) < 0.4 and max(own) > 0.9


# -- torchvision's operations, by numbers ------------------------------------------------------------------------------


def one(augmentation: Any, x: Any) -> np.ndarray:
    images = gf.tensor(np.asarray(x, "f8")[None], device="cpu")
    return augmentation(images, gf.zeros(1, dtype="int64", device="cpu"), np.random.default_rng(0))[0].numpy()[0]  # type: ignore[no-any-return]


RED_AND_WHITE = [[[1.0, 1.0]], [[0.0, 1.0]], [[0.0, 1.0]]]


@pytest.mark.parametrize(
    ("augmentation", "expected"),
    [
        (ColorJitter(brightness=(0.5, 0.5)), [[[0.5, 0.5]], [[0, 0.5]], [[0, 0.5]]]),
        (ColorJitter(brightness=(2, 2)), RED_AND_WHITE),
        (ColorJitter(contrast=(0, 0)), np.full((3, 1, 2), (0.2989 + 0.9999) / 2)),
        (ColorJitter(saturation=(0, 0)), [[[0.2989, 0.9999]]] * 3),
        (ColorJitter(saturation=(0.5, 0.5)), [[[0.64945, 0.99995]], [[0.14945, 0.99995]], [[0.14945, 0.99995]]]),
        (ColorJitter(), RED_AND_WHITE),
    ],
)
def test_colours_by_hand(augmentation: ColorJitter, expected: Any) -> None:
    np.testing.assert_allclose(one(augmentation, RED_AND_WHITE), expected, atol=1e-12)


def test_grey_images_have_no_saturation_to_change() -> None:
    assert one(ColorJitter(saturation=(0, 0)), [[[2.0, 0.3]]]).tolist() == [[[2.0, 0.3]]]


@pytest.mark.parametrize("turns", [-1, 1, 2, 3])
def test_quarter_turns_go_counter_clockwise(turns: int) -> None:
    x = np.arange(16.0).reshape(1, 4, 4)
    found = one(RandomRotation((90 * turns, 90 * turns)), x)
    np.testing.assert_allclose(found, np.rot90(x, turns, (1, 2)), atol=1e-12)


def test_places_are_exact_under_autocast() -> None:
    x, y = [gf.tensor(a, device="cpu") for a in (batch()[0].astype("f4"), batch()[1])]
    with gf.autocast("cpu", dtype=gf.float16):
        check("rotate", x, y)


def test_one_of_several_by_chance_and_all_in_order() -> None:
    x, y = gf.ones(2, 1, 3, 3, device="cpu"), gf.arange(2, device="cpu")
    halves, add = Normalize([0.0], [2.0]), Normalize([-1.0], [1.0])
    values = {RandomChoice([halves, add])(x, y, np.random.default_rng(s))[0].numpy()[0, 0, 0, 0] for s in range(20)}
    assert values == {0.5, 2.0}
    rng = np.random.default_rng(0)
    assert Compose([halves, add])(x, y, rng)[0].numpy()[0, 0, 0, 0] == 1.5
    assert Compose([add, Compose([halves])])(x, y, rng)[0].numpy()[0, 0, 0, 0] == 1.0
    assert Compose([])(x, y, rng) == (x, y)
