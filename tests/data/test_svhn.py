"""SVHN's MATLAB files, made with SciPy, whole and damaged."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from gradflow.data import DataError, load_data, svhn
from gradflow.data.svhn import read_svhn

X = np.random.default_rng(0).integers(0, 256, (32, 32, 3, 12), dtype=np.uint8)
Y = (np.arange(12, dtype=np.uint8) % 10 + 1)[:, None]


def mat(packed: bool = True, **variables: object) -> bytes:
    out = io.BytesIO()
    savemat(out, variables, do_compression=packed)
    return out.getvalue()


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("kind", [np.uint8, np.float64])
def test_images_and_labels(packed: bool, kind: type, tmp_path: Path):
    for name in ("train_32x32.mat", "test_32x32.mat"):
        (tmp_path / name).write_bytes(mat(packed, X=X, y=Y.astype(kind)))
    data = load_data("svhn", tmp_path)
    assert (data.name, data.input_shape, len(data.classes)) == ("svhn", (3, 32, 32), 10)
    for split in (data.train, data.test):
        np.testing.assert_array_equal(split.pixels[5, 2], X[:, :, 2, 5])
        assert split.labels.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2]  # 10 stands for the digit 0
        assert split.pixels.dtype == np.uint8
        assert split.pixels.flags.c_contiguous


def test_other_variables_do_no_harm(tmp_path: Path):
    path = tmp_path / "x.mat"
    path.write_bytes(mat(X=X, y=Y, info={"a": 1}, names=np.array(["a", "b"], object)))
    assert len(read_svhn(path)) == 12


def element(kind: int, size: int, content: bytes) -> bytes:
    return struct.pack("<II", kind, size) + content


HEADER = mat(X=X, y=Y)[:128]
BAD = {
    "empty": (b"", "it is no MATLAB file of level 5"),
    "html": (b"<!DOCTYPE html>" * 20, "it is no MATLAB file of level 5"),
    "nothing": (HEADER, "expected the variables X and y, found []"),
    "no y": (mat(X=X), "expected the variables X and y, found ['X']"),
    "cut": (mat(X=X, y=Y)[:-9], "it ends too early"),
    "cut in a tag": (mat(X=X, y=Y) + b"abc", "it ends too early"),
    "cut, not packed": (mat(False, X=X, y=Y)[:2000], "it ends too early"),
    "shape": (mat(X=X[:28], y=Y), "expected X of uint8 (32, 32, 3, n), found uint8 (28, 32, 3, 12)"),
    "grey": (mat(X=X[:, :, 0], y=Y), "found uint8 (32, 32, 12)"),
    "type": (mat(X=X.astype(float), y=Y), "found double (32, 32, 3, 12)"),
    "cells": (mat(X=np.zeros((2, 3), object), y=Y), "found cell (2, 3)"),
    "text": (mat(X="X", y=Y), "found char (1"),
    "count": (mat(X=X, y=Y[:11]), "expected y of uint8 (12, 1), found uint8 (11, 1)"),
    "label 0": (mat(X=X, y=Y - 1), "a label in y is not 1 to 10"),
    "label 11": (mat(X=X, y=Y + 1), "a label in y is not 1 to 10"),
    "label 1.5": (mat(X=X, y=Y / 2 + 0.5), "a label in y is not 1 to 10"),
    "label NaN": (mat(X=X, y=Y * np.nan), "a label in y is not 1 to 10"),
    "stream cut": (HEADER + element(15, 10, zlib.compress(bytes(1000))[:10]), "a variable in it ends too early"),
    "no stream": (HEADER + element(15, 8, b"12345678"), "incorrect header check"),
    "type of numbers": (  # SciPy crashes at it
        mat(False, X=X, y=Y).replace(element(2, X.size, b""), element(255, X.size, b"")),
        "X in it has values of an unknown type, 255",
    ),
    "fewer numbers": (
        mat(False, X=X, y=Y).replace(element(2, X.size, b""), element(2, X.size - 8, b"")),
        f"X in it has {X.size - 8:,} bytes, too few or many",
    ),
    "twice": (mat(X=X, y=Y) + mat(X=X)[128:], "expected the variables X and y, found ['X', 'y', 'X']"),
    "size": (HEADER + element(14, 2**32 - 1, b"x"), "it ends too early, it is truncated"),
    "declares 4 GB": (HEADER + element(15, 2**32 - 1, b"x"), "it ends too early, it is truncated"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_named_with_the_reason_and_the_cure(name: str, tmp_path: Path):
    content, reason = BAD[name]
    path = tmp_path / "train_32x32.mat"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_svhn(path, "ask the author")
    message = str(caught.value)
    assert message.startswith(f"[svhn] {path}: ")
    assert reason in message
    assert message.endswith("; ask the author")
    assert "\n" not in message


def test_flipped_bits_are_found_or_do_no_harm(tmp_path: Path):
    rng = np.random.default_rng(0)
    path = tmp_path / "x.mat"
    good = mat(False, X=X[..., :1], y=Y[:1])
    found = 0
    for at in rng.integers(128, 128 + 100, 60).tolist():
        path.write_bytes(good[:at] + bytes([good[at] ^ (1 << int(rng.integers(8)))]) + good[at + 1 :])
        try:
            read_svhn(path)
        except DataError:
            found += 1
    assert found > 20


def test_a_bomb_takes_no_memory(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(svhn, "LIMIT", 1 << 20)
    path = tmp_path / "bomb.mat"
    stream = zlib.compress(bytes(64 << 20))
    path.write_bytes(HEADER + element(15, len(stream), stream))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="it unpacks to more than the 1,048,576 bytes expected"):
            read_svhn(path)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
