"""Batches and the transforms of their images."""

from __future__ import annotations

import numpy as np
import pytest

import gradflow as gf
from gradflow.data import DataLoader, Split, random_shift

SPLIT = Split(np.arange(23 * 4, dtype=np.float32).reshape(23, 1, 2, 2), np.arange(23))


def orders(loader: DataLoader, epochs: int = 1) -> list[list[int]]:
    return [[label for _, labels in loader for label in labels.tolist()] for _ in range(epochs)]


def test_batches_are_tensors_in_order():
    loader = DataLoader(SPLIT, 5, device="cpu")
    batches = list(loader)
    assert len(batches) == len(loader) == 5
    assert [tuple(labels.shape) for _, labels in batches] == [(5,)] * 4 + [(3,)]
    images, labels = batches[1]
    assert isinstance(images, gf.Tensor)
    assert not images.requires_grad
    np.testing.assert_array_equal(images.numpy(), SPLIT.images[5:10])
    assert images.numpy().dtype == np.float32
    assert labels.numpy().dtype == np.int64
    assert orders(loader) == [list(range(23))]


def test_drop_last():
    assert len(DataLoader(SPLIT, 5, drop_last=True)) == 4
    assert len(orders(DataLoader(SPLIT, 5, shuffle=True, drop_last=True, seed=0))[0]) == 20
    assert orders(DataLoader(SPLIT, 23, drop_last=True)) == [list(range(23))]
    assert orders(DataLoader(SPLIT, 24, drop_last=True)) == [[]]


def test_shuffle_draws_a_new_order_for_each_epoch_from_the_seed():
    first, second = orders(DataLoader(SPLIT, 4, shuffle=True, seed=3), epochs=2)
    assert sorted(first) == sorted(second) == list(range(23))
    assert first != second != list(range(23))
    assert orders(DataLoader(SPLIT, 7, shuffle=True, seed=3), epochs=2) == [first, second]
    assert orders(DataLoader(SPLIT, 4, shuffle=True, seed=4)) != [first]


def test_images_stay_with_their_labels():
    for images, labels in DataLoader(SPLIT, 4, shuffle=True, seed=0):
        np.testing.assert_array_equal(images.numpy(), SPLIT.images[labels.numpy()])


def test_without_a_seed_the_order_follows_from_manual_seed():
    gf.manual_seed(5)
    first, other = (orders(DataLoader(SPLIT, 4, shuffle=True)) for _ in range(2))
    gf.manual_seed(5)
    assert orders(DataLoader(SPLIT, 4, shuffle=True)) == first != other


def test_a_batch_shares_no_memory_with_the_split():
    before = SPLIT.images.copy()
    for images, _ in DataLoader(SPLIT, 5, device="cpu"):
        images.zero_()
    np.testing.assert_array_equal(SPLIT.images, before)


def test_transform_is_seeded_too():
    def noise(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return images + rng.random(images.shape, np.float32)

    first, second = ([x.numpy() for x, _ in DataLoader(SPLIT, 5, seed=1, transform=noise)] for _ in range(2))
    assert all(map(np.array_equal, first, second))
    assert not np.array_equal(first[0], SPLIT.images[:5])


def test_batch_size_must_be_positive():
    with pytest.raises(ValueError, match=r"\[DataLoader\] batch_size must be at least 1, got 0"):
        DataLoader(SPLIT, 0)


def test_random_shift_moves_some_images_by_up_to_a_pixel():
    images = np.random.default_rng(0).random((400, 2, 5, 4), np.float32) + 1
    shifted = random_shift(images, np.random.default_rng(1), pixels=1, share=0.5)
    assert shifted.shape == images.shape
    assert shifted.dtype == images.dtype
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    moves = [(dy, dx) for dy in range(3) for dx in range(3)]
    seen = []
    for i in range(len(images)):
        fits = [m for m in moves if np.array_equal(shifted[i], padded[i, :, m[0] : m[0] + 5, m[1] : m[1] + 4])]
        assert len(fits) == 1
        seen += fits
    assert set(seen) == set(moves)
    assert 0.4 < seen.count((1, 1)) / len(seen) < 0.7  # half of them unmoved, and a ninth of the others


def test_random_shift_of_a_share_of_nothing_changes_nothing():
    np.testing.assert_array_equal(random_shift(SPLIT.images, np.random.default_rng(0), share=0), SPLIT.images)
