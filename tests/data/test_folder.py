"""Folders of class-named folders of images, as people have them."""

from __future__ import annotations

import os
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from gradflow.data import DataError, arrays, load_data, load_folder
from gradflow.data.folder import read_image

Image = pytest.importorskip("PIL.Image")

RNG = np.random.default_rng(0)
CAT, DOG = RNG.integers(0, 256, (2, 7, 5, 3), dtype=np.uint8)


def save(path: Path, pixels: np.ndarray = CAT, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Five images of cats and five of dogs, 7x5."""
    root = tmp_path / "pets"
    for i in range(5):
        save(root / "cats" / f"{i}.png", CAT)
        save(root / "dogs" / f"{i}.png", DOG)
    return root


def refused(root: Path, reason: str, image_size: int | None = None) -> None:
    with pytest.raises(DataError) as caught:
        load_folder(root, image_size)
    message = str(caught.value)
    assert message.startswith("[folder] ")
    assert reason in message
    assert "\n" not in message


def test_classes_pixels_and_parts(pets: Path):
    data = load_data(pets)
    assert (data.name, data.classes, data.input_shape) == ("pets", ("cats", "dogs"), (3, 7, 5))
    assert sorted(data.train.labels.tolist()) == [0] * 4 + [1] * 4
    assert sorted(data.test.labels.tolist()) == [0, 1]
    for split in (data.train, data.test):
        assert split.pixels.dtype == np.uint8
        for pixels, label in zip(split.pixels, split.labels, strict=True):
            np.testing.assert_array_equal(pixels, (CAT, DOG)[label].transpose(2, 0, 1))


def test_the_division_is_the_same_each_time(tmp_path: Path):
    for i in range(30):
        save(tmp_path / "ab"[i % 2] / f"{i}.png", np.full((2, 2), i, np.uint8))
    first, second = load_folder(tmp_path), load_folder(tmp_path)
    np.testing.assert_array_equal(first.test.pixels, second.test.pixels)
    # The test images. Should these ever differ, test accuracies before and after cannot be compared.
    assert sorted(first.test.pixels[:, 0, 0, 0].tolist()) == [2, 10, 13, 15, 17, 22]


@pytest.mark.parametrize("name", ["test", "val", "valid", "validation"])
def test_train_and_test_folders(name: str, tmp_path: Path):
    for part, classes in (("train", "abc"), (name, "ca")):
        for label in classes:
            save(tmp_path / part / label / "x.png", np.full((2, 2), ord(label), np.uint8))
    data = load_folder(tmp_path)
    assert data.classes == ("a", "b", "c")
    assert data.train.labels.tolist() == [0, 1, 2]
    assert data.test.labels.tolist() == [0, 2]
    assert data.test.pixels[:, 0, 0, 0].tolist() == [ord("a"), ord("c")]


def test_what_is_passed_over(pets: Path):
    for name in ("notes.txt", "cats/Thumbs.db", "cats/.hidden.png", ".git/x.png", "dogs/notes.txt"):
        (pets / name).parent.mkdir(exist_ok=True)
        (pets / name).write_bytes(b"no image")
    if sys.platform != "win32":
        os.mkfifo(pets / "cats" / "pipe.png")  # opening it would wait for ever
        (pets / "cats" / "broken.png").symlink_to("nowhere")
    assert len(load_folder(pets).train) == 8


def test_images_in_folders_of_a_class_in_order(tmp_path: Path):
    for i, name in enumerate(("b.png", "a/z.PNG", "a/b/y.Jpeg", "c/x.bmp")):
        save(tmp_path / "train" / "one" / name, np.full((2, 2), 50 * i, np.uint8))
    save(tmp_path / "train" / "two" / "x.gif")
    save(tmp_path / "test" / "two" / "x.webp")
    data = load_folder(tmp_path, image_size=2)
    assert data.train.labels.tolist() == [0, 0, 0, 0, 1]
    assert sorted(data.train.pixels[:4, 0, 0, 0].tolist()) == [0, 50, 100, 150]


@pytest.mark.skipif(sys.platform == "win32", reason="makes links")
@pytest.mark.parametrize("target", [".", "..", "../dogs", "loop", "../../pets"])
def test_links_that_lead_in_circles(target: str, pets: Path):
    (pets / "cats" / "loop").symlink_to(target)
    data = load_folder(pets)
    assert sorted([*data.train.labels.tolist(), *data.test.labels.tolist()]) == [0] * 5 + [1] * 5


@pytest.mark.skipif(sys.platform == "win32", reason="makes links")
def test_links_elsewhere_are_followed(pets: Path, tmp_path: Path):
    save(tmp_path / "more" / "x.png")
    (pets / "cats" / "more").symlink_to(tmp_path / "more")
    (pets / "cats" / "back").symlink_to(tmp_path / "more")  # a second way to the same
    (pets / "birds").symlink_to(tmp_path / "more")
    data = load_folder(pets)
    assert data.classes == ("birds", "cats", "dogs")
    assert len(data.train) + len(data.test) == 11  # those of a folder that is a class count for it alone


def test_names_in_any_language(tmp_path: Path):
    composed, apart = "caf\u00e9", "cafe\u0301"
    for name in ("猫", "ねこ 2", "Ωmega", composed):
        save(tmp_path / "train" / name / f"{name}.png")
    for name in ("猫", "Ωmega", apart):  # as another system would write it
        save(tmp_path / "test" / name / "x.png")
    data = load_folder(tmp_path)
    assert data.classes == tuple(sorted(["猫", "ねこ 2", "Ωmega", composed]))
    assert [data.classes[label] for label in data.test.labels] == [composed, "Ωmega", "猫"]
    if sys.platform == "linux":
        save(tmp_path / "train" / apart / "x.png")
        refused(tmp_path, f"two folders have the name {composed}")


@pytest.mark.skipif(sys.platform != "linux", reason="names files with bytes that are no text")
def test_a_name_that_is_no_text(pets: Path):
    save(pets / os.fsdecode(b"b\xffrds") / "x.png")
    assert load_folder(pets).classes == ("b\ufffdrds", "cats", "dogs")


def wanted(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(array).resize(size, Image.Resampling.BILINEAR)).transpose(2, 0, 1)


def test_several_sizes(pets: Path):
    large = RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    save(pets / "cats" / "large.png", large)
    data = load_folder(pets)
    assert data.input_shape == (3, 7, 5)  # which most have
    pixels = np.concatenate([data.train.pixels, data.test.pixels])
    assert any(np.array_equal(image, wanted(large, (5, 7))) for image in pixels)
    assert load_folder(pets, 4).input_shape == (3, 4, 4)
    data = load_folder(pets, (6, 9))
    assert data.input_shape == (3, 6, 9)
    np.testing.assert_array_equal(data.test.pixels[1], wanted(DOG, (9, 6)))
    for size in (0, -1, 10**6):
        refused(pets, f"image_size must be 1 to 16384 pixels, got {size}x{size}", size)


def test_grey_where_all_are_grey(tmp_path: Path):
    grey = np.arange(4, dtype=np.uint8).reshape(2, 2) * 80
    save(tmp_path / "train" / "a" / "8 bits.png", grey)
    save(tmp_path / "train" / "a" / "16 bits.png", grey.astype(np.uint16) * 257)
    save(tmp_path / "train" / "a" / "alpha.png", np.stack([grey, grey], 2))
    save(tmp_path / "train" / "b" / "1 bit.png", grey > 99)
    save(tmp_path / "test" / "b" / "x.png", grey)
    data = load_folder(tmp_path)
    assert data.input_shape == (1, 2, 2)
    for pixels in data.train.pixels[:3]:
        np.testing.assert_array_equal(pixels[0], grey)
    np.testing.assert_array_equal(data.train.pixels[3, 0], (grey > 99) * 255)
    save(tmp_path / "test" / "a" / "colour.png", np.stack([grey, grey, grey * 0], 2))
    data = load_folder(tmp_path)
    assert data.input_shape == (3, 2, 2)
    np.testing.assert_array_equal(data.train.pixels[1], np.stack([grey] * 3))
    np.testing.assert_array_equal(data.test.pixels[0, 2], grey * 0)


@pytest.mark.parametrize("mode", ["RGBA", "P", "CMYK"])
def test_other_kinds_of_colour(mode: str, pets: Path):
    image = Image.fromarray(CAT).convert(mode)
    image.save(pets / "cats" / ("0.tif" if mode == "CMYK" else "0.png"))
    (pets / "cats" / "0.png").unlink(missing_ok=mode == "CMYK")
    image.save(pets / "cats" / ("0.tif" if mode == "CMYK" else "0.png"))
    data = load_folder(pets)
    pixels = np.concatenate([data.train.pixels, data.test.pixels])
    expected = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    assert any(np.array_equal(image, expected) for image in pixels)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int) -> bytes:
    """A PNG that says it is so large, and is not."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    )


def good(pets: Path) -> bytes:
    return (pets / "cats" / "0.png").read_bytes()


CORRUPT = {
    "empty": (lambda content: b"", "is no image of a kind that is read here (PNG, JPEG,"),
    "html": (lambda content: b"<!DOCTYPE html>", "is no image of a kind"),
    "cut": (lambda content: content[:70], "is corrupt: "),
    "header cut": (lambda content: content[:20], "is "),
    "damaged": (lambda content: content[:50] + b"\0\0\0\0\0\0\0\0" + content[58:], "is corrupt: "),
    "bomb": (lambda content: png(30_000, 30_000), "would unpack to a giant image"),
    "large": (lambda content: png(10_000, 10_000), "would unpack to a giant image"),
    "runs a program": (lambda content: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is no image of a kind"),
}


@pytest.mark.parametrize("name", CORRUPT)
def test_a_corrupt_image_is_named(name: str, pets: Path):
    damage, reason = CORRUPT[name]
    path = pets / "dogs" / "3.png"
    path.write_bytes(damage(good(pets)))
    refused(pets, f"{path} {reason}")


def test_an_image_of_floats(pets: Path):
    save(pets / "cats" / "0.tif", np.zeros((7, 5), np.float32))
    refused(pets, "0.tif has floats for pixels, whose range is not known; save it with 8 bits")


def test_folders_that_are_something_else(pets: Path, tmp_path: Path):
    (pets / "birds").mkdir()
    refused(pets, f"there is no image in {pets / 'birds'} (.bmp, .gif,")
    refused(pets / "cats", f"expected a folder for each class in {pets / 'cats'}, at least two, found none")
    refused(tmp_path, "at least two, found pets")
    refused(tmp_path / "nowhere", f"{tmp_path / 'nowhere'}: No such file")
    for part, label in (("train", "a"), ("train", "b"), ("test", "a"), ("test", "x")):
        save(tmp_path / "parts" / part / label / "x.png")
    refused(tmp_path / "parts", f"the classes in {tmp_path / 'parts' / 'test'} are not those in train: x")


def test_more_than_the_machine_has(pets: Path, monkeypatch):
    monkeypatch.setattr(arrays, "_memory", lambda: 1000)
    refused(pets, "10 images of 3x7x5 (choose a smaller image_size) would take 1.1 kB, this machine has 1.0 kB")


def test_without_pillow(pets: Path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(ImportError, match=r"reading images needs the package Pillow: pip install .*gradflow\[images\]"):
        load_folder(pets)


def test_one_image_as_a_model_takes_it(pets: Path):
    path = pets / "cats" / "0.png"
    np.testing.assert_array_equal(read_image(path, (5, 7), grey=False), CAT.transpose(2, 0, 1))
    assert read_image(str(path), (3, 2), grey=True).shape == (1, 2, 3)
    path.write_bytes(b"")
    with pytest.raises(DataError, match=rf"{path} is no image"):
        read_image(path, (5, 7), grey=False)
