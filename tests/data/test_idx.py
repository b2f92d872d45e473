"""idx files, whole and damaged, and Fashion-MNIST made of them."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from gradflow.data import DataError, load_fashion_mnist, read_idx

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 4, 3)).astype(np.uint8)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_read_idx(tmp_path: Path, encode, pack):
    path = tmp_path / "images"
    path.write_bytes(pack(encode(IMAGES)))
    read = read_idx(path, ndim=3)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, IMAGES)


def test_read_idx_without_elements(tmp_path: Path, encode):
    path = tmp_path / "empty"
    path.write_bytes(encode(IMAGES[:0]))
    assert read_idx(path, ndim=3).shape == (0, 4, 3)


def _flip_last_bit_of_data(packed: bytes) -> bytes:
    return packed[:-9] + bytes([packed[-9] ^ 1]) + packed[-8:]  # the 8 bytes after it are gzip's checksum and size


DAMAGE = {
    "empty": (lambda data: b"", "found an empty file"),
    "html": (lambda data: b"<!DOCTYPE html>", "expected the magic number 0x00000803 (uint8, 3-d), found 0x3c21444f"),
    "labels": (lambda data: data[:3] + b"\x01" + data[4:], "found 0x00000801"),
    "float": (lambda data: data[:2] + b"\x0d" + data[3:], "found 0x00000d03"),
    "header": (lambda data: data[:9], "expected 3 sizes in the header, the file ends after 1"),
    "cut": (lambda data: data[:-7], "expected 60 bytes for shape (5, 4, 3), found only 53, so it is truncated"),
    "longer": (lambda data: data + b"x", "expected 60 bytes for shape (5, 4, 3), found more"),
    "larger": (lambda data: data[:4] + b"\0\0\0\xff" * 3 + data[16:], "found only 60, so it is truncated"),
    "huge": (lambda data: data[:4] + b"\xff" * 12 + data[16:], "expected at most 2,147,483,648 bytes, the header says"),
    "gzip cut": (lambda data: gzip.compress(data)[:-20], "truncated"),
    "gzip header cut": (lambda data: gzip.compress(data)[:5], "truncated"),
    "gzip damaged": (lambda data: _flip_last_bit_of_data(gzip.compress(data, 0)), "CRC check failed"),
    "gzip of html": (lambda data: gzip.compress(b"<!DOCTYPE html>"), "found 0x3c21444f"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_file_is_named_with_the_reason_and_the_cure(tmp_path: Path, encode, name: str):
    damage, reason = DAMAGE[name]
    path = tmp_path / "train-images"
    path.write_bytes(damage(encode(IMAGES)))
    with pytest.raises(DataError) as caught:
        read_idx(path, ndim=3, cure="ask the author")
    message = str(caught.value)
    assert message.startswith(f"[idx] {path}: ")
    assert reason in message
    assert message.endswith("; ask the author")


def test_a_small_file_that_unpacks_to_much_is_not_unpacked(tmp_path: Path, encode):
    path = tmp_path / "train-images"
    path.write_bytes(gzip.compress(encode(np.zeros((100, 100, 100)))))
    with pytest.raises(DataError, match=r"expected at most 999,999 bytes, the header says 1,000,000 for shape"):
        read_idx(path, ndim=3, limit=999_999)


def test_missing_file_and_folder(tmp_path: Path):
    for path, reason in ((tmp_path / "nothing", "No such file"), (tmp_path, "directory")):
        with pytest.raises(DataError, match=f"{path}: .*{reason}"):
            read_idx(path, ndim=1)


def test_fashion_mnist(fashion_dir: Path):
    data = load_fashion_mnist(fashion_dir)
    assert (len(data.train), len(data.test), data.input_shape) == (40, 20, (1, 28, 28))
    assert len(data.classes) == 10
    assert data.classes[9] == "ankle boot"
    assert data.train.images.dtype == np.float32
    assert 0.99 < data.train.images.max() <= 1
    assert data.test.labels.tolist() == [*range(10), *range(10)]


def test_fashion_mnist_from_unpacked_files(fashion_dir: Path):
    packed = load_fashion_mnist(fashion_dir)
    for path in list(fashion_dir.iterdir()):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    np.testing.assert_array_equal(load_fashion_mnist(str(fashion_dir)).train.images, packed.train.images)


@pytest.mark.parametrize(
    ("name", "array", "reason"),
    [
        ("train-images-idx3", np.zeros((40, 32, 32)), "expected images of 28x28 pixels, found (40, 32, 32)"),
        ("train-images-idx3", np.zeros((39, 28, 28)), "has 39 images and"),
        ("train-labels-idx1", np.full(40, 10), "expected labels 0 to 9, found 10"),
    ],
)
def test_fashion_mnist_that_does_not_fit(fashion_dir: Path, encode, name: str, array: np.ndarray, reason: str):
    (fashion_dir / f"{name}-ubyte.gz").write_bytes(gzip.compress(encode(array)))
    with pytest.raises(DataError) as caught:
        load_fashion_mnist(fashion_dir)
    assert reason in str(caught.value)
    assert name in str(caught.value)
    assert "--data-dir" in str(caught.value)
