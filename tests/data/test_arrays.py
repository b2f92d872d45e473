"""Images and labels from .npz files: layouts, types, and files that are damaged or malicious."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from gradflow.data import DataError, load_npz
from gradflow.data import arrays as module

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (20, 6, 5), dtype=np.uint8)
Y = np.arange(20) % 4


def save(path: Path, **arrays: object) -> Path:
    np.savez(path, **arrays)
    return path


def refused(path: Path, reason: str) -> None:
    with pytest.raises(DataError) as caught:
        load_npz(path)
    message = str(caught.value)
    assert message.startswith(f"[npz] {path}: ")
    assert reason in message
    assert "\n" not in message


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_x_and_y_are_divided(write, tmp_path: Path):
    write(tmp_path / "own.npz", x=X, y=Y)
    data = load_npz(str(tmp_path / "own.npz"))
    assert (data.name, data.input_shape, data.classes) == ("own", (1, 6, 5), ("0", "1", "2", "3"))
    assert (len(data.train), len(data.test)) == (16, 4)
    assert sorted(data.test.labels.tolist()) == [0, 1, 2, 3]  # a fifth of each class
    together = np.concatenate([data.train.pixels, data.test.pixels])[:, 0]
    assert {image.tobytes() for image in together} == {image.tobytes() for image in X}
    np.testing.assert_array_equal(load_npz(tmp_path / "own.npz").test.pixels, data.test.pixels)


def test_keras_arrays_are_taken_as_they_are(tmp_path: Path):
    names = {"x_train": X[:15], "y_train": Y[:15, None], "x_test": X[15:], "y_test": Y[15:].astype(np.uint8)}
    data = load_npz(save(tmp_path / "own.npz", **names, x=X[:1], y=Y[:1]))
    np.testing.assert_array_equal(data.train.pixels[:, 0], X[:15])
    np.testing.assert_array_equal(data.test.labels, Y[15:])
    assert data.test.labels.dtype == np.int64


LAYOUTS = {  # the shape of x, and that of an image
    "grey": ((20, 6, 5), (1, 6, 5)),
    "last 1": ((20, 6, 5, 1), (1, 6, 5)),
    "last 3": ((20, 6, 5, 3), (3, 6, 5)),
    "last 4": ((20, 6, 5, 4), (4, 6, 5)),
    "first 1": ((20, 1, 6, 5), (1, 6, 5)),
    "first 3": ((20, 3, 6, 5), (3, 6, 5)),
    "both: last": ((20, 3, 6, 3), (3, 3, 6)),
}


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts(name: str, order: str, tmp_path: Path):
    shape, image = LAYOUTS[name]
    x = np.asarray(RNG.integers(0, 256, shape), np.uint8, order=order)
    data = load_npz(save(tmp_path / "own.npz", x_train=x, y_train=Y, x_test=x, y_test=Y))
    assert data.input_shape == image
    wanted = x if x.ndim == 4 and not name.startswith(("last", "both")) else x.reshape(*x.shape[:3], -1)
    if wanted is not x:
        wanted = np.moveaxis(wanted, 3, 1)
    np.testing.assert_array_equal(data.train.pixels, wanted)
    assert data.train.pixels.flags.c_contiguous


TYPES = {
    "int64": (X.astype(np.int64), np.uint8, X / 255),
    "big-endian": (X.astype(">i4"), np.uint8, X / 255),
    "bool": (X > 99, np.uint8, X > 99),
    "float64": (X / 255, np.float32, X / 255),
    "float16": ((X > 99).astype(np.float16), np.float32, X > 99),
}


@pytest.mark.parametrize("name", TYPES)
def test_types_of_pixels(name: str, tmp_path: Path):
    x, kind, images = TYPES[name]
    data = load_npz(save(tmp_path / "own.npz", x_train=x, y_train=Y, x_test=x, y_test=Y))
    assert data.train.pixels.dtype == kind
    np.testing.assert_allclose(data.train.images[:, 0], images, rtol=1e-6)


OTHERS = {
    "names": ({"images": X, "labels": Y}, "expected arrays x and y, or x_train, y_train, x_test and y_test; found"),
    "half": ({"x_train": X, "y_train": Y}, "found x_train, y_train"),
    "flat": ({"x": X.reshape(20, -1), "y": Y}, "x has shape (20, 30), expected (n, height, width)"),
    "channels": ({"x": np.zeros((20, 6, 5, 2)), "y": Y}, "with 1, 3 or 4 channels"),
    "empty": ({"x": X[:0], "y": Y[:0]}, "there is nothing in it"),
    "no pixels": ({"x": X[:, :0], "y": Y}, "there is nothing in it"),
    "lengths": ({"x": X, "y": Y[:19]}, "x has 20 images and y 19 labels, expected as many"),
    "one": ({"x": X[:1], "y": Y[:1]}, "there is one image only"),
    "range": ({"x": X.astype(float), "y": Y}, "x has floats from 0.0 to"),
    "below": ({"x": -(X / 255.0), "y": Y}, "expected 0 to 1; scale them"),
    "NaN": ({"x": X * np.nan, "y": Y}, "x has floats from nan to nan, expected 0 to 1"),
    "16 bits": ({"x": X.astype(np.uint16) * 257, "y": Y}, "x has integers from"),
    "negative": ({"x": X.astype(int) - 1, "y": Y}, "expected 0 to 255; scale them"),
    "complex": ({"x": X * 1j, "y": Y}, "x has complex128 (20, 6, 5), expected numbers"),
    "text": ({"x": X, "y": np.array(["cat"] * 20)}, "y has <U3 (20,), expected numbers"),
    "floats": ({"x": X, "y": Y.astype(float)}, "y is of float64, expected integers"),
    "bools": ({"x": X, "y": Y > 1}, "y is of bool, expected integers"),
    "one-hot": ({"x": X, "y": np.eye(4, dtype=int)[Y]}, "y has shape (20, 4), expected (n,), the numbers of classes"),
    "label -1": ({"x": X, "y": Y - 1}, "y has labels from -1 to 2, expected 0 on"),
    "label 2**31": ({"x": X, "y": Y + 2**31}, "below 2**31"),
    "label 2**64-1": ({"x": X, "y": Y.astype(np.uint64) + np.uint64(2**64 - 4)}, "below 2**31"),
    "label 1000": ({"x": X, "y": Y + 997}, "the largest label is 1000 with only 20 images"),
    "differ": ({"x_train": X, "y_train": Y, "x_test": X[:, 1:], "y_test": Y}, "x_train and x_test differ: uint8 (1,"),
    "differ in type": ({"x_train": X, "y_train": Y, "x_test": X / 255, "y_test": Y}, "and float32 (1, 6, 5)"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_other_arrays_are_refused(name: str, tmp_path: Path):
    arrays, reason = OTHERS[name]
    refused(save(tmp_path / "own.npz", **arrays), reason)


def test_objects_are_not_unpickled(tmp_path: Path):
    path = tmp_path / "own.npz"
    np.savez(path, x=X, y=np.array([print] * 20, object))
    refused(path, "y has object (20,), expected numbers (objects would need pickle, which is unsafe)")


def npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def pack(path: Path, x: bytes, method: int = zipfile.ZIP_STORED) -> Path:
    """An archive whose x.npy has any content."""
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("x.npy", x)
        archive.writestr("y.npy", npy(Y))
    return path


def header(*shape: int) -> bytes:
    """The beginning of an array of bytes."""
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return out.getvalue()


CONTENTS = {
    "empty": (b"", "x has no header of the npy format"),
    "html": (b"<!DOCTYPE html>", "x has no header of the npy format"),
    "header cut": (npy(X)[:40], "x has no header of the npy format"),
    "header damaged": (npy(X).replace(b"{'descr'", b"{{{{{{{{"), "x has no header of the npy format"),
    "header with code": (npy(X).replace(b"(20, 6, 5)", b"(9**9, 65)"), "x has no header of the npy format"),
    "version": (npy(X)[:6] + b"\x09" + npy(X)[7:], "x has no header of the npy format"),
    "cut": (npy(X)[:-5], "x: uint8 (20, 6, 5) takes 600 bytes, the archive has 595"),
    "longer": (npy(X) + b"x", "takes 600 bytes, the archive has 601"),
    "huge": (header(2**40, 2**40) + bytes(600), "takes 1,208,925,819,614,629,174,706,176 bytes, the archive has 600"),
    "negative": (header(-20, -30) + bytes(600), "x has uint8 (-20, -30), expected numbers"),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_a_damaged_array(name: str, tmp_path: Path):
    content, reason = CONTENTS[name]
    refused(pack(tmp_path / "own.npz", content), reason)


def test_a_damaged_archive(tmp_path: Path):
    good = save(tmp_path / "good.npz", x=X, y=Y).read_bytes()
    path = tmp_path / "bad.npz"
    at = good.index(X.tobytes()) + 100
    cases = [
        (b"", "File is not a zip file"),
        (npy(X), "File is not a zip file"),
        (good[: len(good) // 2], "File is not a zip file; give what np.savez wrote, or copy the file again"),
        (good.replace(b"x.npy", b"x_npy"), "expected arrays x and y"),
        (good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :], "Bad CRC-32 for file 'x.npy'"),
    ]
    for content, reason in cases:
        path.write_bytes(content)
        refused(path, reason)
    refused(tmp_path / "nothing.npz", "No such file or directory")
    refused(pack(tmp_path / "bzip2.npz", npy(X), zipfile.ZIP_BZIP2), "x is packed in a way that NumPy does not use")


def lie(content: bytes, declared: int) -> bytes:
    """An archive's bytes, in which the unpacked size of x.npy is another, in both of its places."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        info = archive.getinfo("x.npy")
    old, new = info.file_size.to_bytes(4, "little"), declared.to_bytes(4, "little")
    size = info.compress_size.to_bytes(4, "little")
    assert content.count(size + old) >= 1
    return content.replace(size + old, size + new)


@pytest.mark.parametrize("declared", [300 << 20, 1 << 31])
def test_a_declared_size_that_is_not_there_takes_no_memory(declared: int, tmp_path: Path):
    path = pack(tmp_path / "bomb.npz", header(declared - 128) + bytes(600), zipfile.ZIP_DEFLATED)
    path.write_bytes(lie(path.read_bytes(), declared))
    tracemalloc.start()
    try:
        refused(path, "bytes, the archive has")
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_a_giant_header_takes_no_memory(tmp_path: Path):
    content = b"\x93NUMPY\x02\x00" + (64 << 20).to_bytes(4, "little") + b" " * (64 << 20)
    path = pack(tmp_path / "bomb.npz", content, zipfile.ZIP_DEFLATED)
    del content
    tracemalloc.start()
    try:
        refused(path, "x has no header of the npy format")
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_an_archive_that_ends_before_its_declared_size(tmp_path: Path):
    path = pack(tmp_path / "own.npz", header(20, 50, 50) + bytes(32_000), zipfile.ZIP_DEFLATED)
    path.write_bytes(lie(path.read_bytes(), 128 + 20 * 50 * 50))
    refused(path, "x: expected 50,000 bytes, found 32,000; it is truncated")


def test_more_than_the_machine_has(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(module, "_memory", lambda: 500)
    refused(save(tmp_path / "own.npz", x=X, y=Y), "x would take 600 bytes, this machine has 500 bytes of memory")
