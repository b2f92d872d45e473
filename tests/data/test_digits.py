"""The embedded digits and their split."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradflow.data import DataError, Split, digits, load_digits
from gradflow.data.images import stratified_split


def test_shapes_types_and_range():
    data = load_digits()
    assert (len(data.train), len(data.test)) == (1437, 360)
    assert data.input_shape == (1, 8, 8)
    assert data.classes == tuple("0123456789")
    for split in (data.train, data.test):
        assert split.images.dtype == np.float32
        assert split.labels.dtype == np.int64
        assert split.images.min() == 0
        assert split.images.max() == 1
        assert set(split.labels.tolist()) == set(range(10))


def test_the_images_are_those_of_the_file():
    data = load_digits()
    table = np.loadtxt(digits.FILE, delimiter=",")
    rows = {(*(16 * image).ravel().tolist(), label) for s in (data.train, data.test) for image, label in _pairs(s)}
    assert rows == {tuple(row) for row in table.tolist()}


def test_split_is_stratified_and_fixed():
    data = load_digits()
    share = np.bincount(data.test.labels) / np.bincount(np.concatenate([data.train.labels, data.test.labels]))
    assert np.abs(share - 360 / 1797).max() < 1 / 174  # within one image of the smallest class
    # The first test digits. Should these ever differ, test accuracies before and after cannot be compared.
    assert data.test.labels[:12].tolist() == [3, 7, 3, 9, 0, 8, 7, 0, 8, 0, 3, 3]


def _pairs(split: Split):
    return zip(split.images, split.labels.tolist(), strict=True)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.data())
def test_stratified_split_is_a_partition_in_proportion(labels, data):
    labels = np.array(labels)
    size = data.draw(st.integers(0, len(labels)))
    train, test = stratified_split(labels, size, seed=data.draw(st.integers(0, 9)))
    assert len(test) == size
    assert sorted([*train.tolist(), *test.tolist()]) == list(range(len(labels)))
    for label in np.unique(labels):
        share = (labels == label).sum() * size / len(labels)
        assert abs((labels[test] == label).sum() - share) < 1


def test_stratified_split_depends_on_the_seed():
    labels = np.arange(100) % 5
    assert not np.array_equal(stratified_split(labels, 20, 0)[1], stratified_split(labels, 20, 1)[1])


def test_shipped_files_are_small():
    assert sum([path.stat().st_size for path in digits.FILE.parent.iterdir()]) < 100_000


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"not gzip", "Not a gzipped file"),
        (digits.FILE.read_bytes()[:30_000], "end-of-stream"),
        (gzip.compress(b"1,2,3\n"), "found (1, 3)"),
        (gzip.compress(b"1,two,3\n"), "could not convert"),
    ],
)
def test_damaged_file(tmp_path: Path, monkeypatch, content: bytes, reason: str):
    path = tmp_path / "digits.csv.gz"
    path.write_bytes(content)
    monkeypatch.setattr(digits, "FILE", path)
    with pytest.raises(DataError) as caught:
        load_digits()
    assert reason in str(caught.value)
    assert str(path) in str(caught.value)
    assert "reinstall" in str(caught.value)


def test_split_checks_its_arrays():
    with pytest.raises(DataError, match=r"\(3, 8, 8\) and \(3,\)"):
        Split(np.zeros((3, 8, 8), np.float32), np.zeros(3, np.int64))
    with pytest.raises(DataError, match=r"\(3, 1, 8, 8\) and \(2,\)"):
        Split(np.zeros((3, 1, 8, 8), np.float32), np.zeros(2, np.int64))
