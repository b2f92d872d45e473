"""What a data set is: images and labels in two splits, as NumPy arrays on the host."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


class DataError(ValueError):
    """A data file that is missing, truncated, corrupt or not what it should be; the message names it and the cure."""


@dataclass(frozen=True, eq=False)
class Split:
    """`images`, float32 (n, channels, height, width) in [0, 1], and their `labels`, int64 (n,)."""

    images: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.labels.shape != self.images.shape[:1]:
            raise DataError(
                f"[Split] expected images (n, channels, height, width) and labels (n,), "
                f"got {self.images.shape} and {self.labels.shape}"
            )

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set for classification: `classes[label]` is the name of a label."""

    name: str
    train: Split
    test: Split
    classes: tuple[str, ...]

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of one image."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width


def scaled(pixels: np.ndarray, top: int) -> np.ndarray:
    """`pixels / top` as float32, for integer pixels in [0, top]."""
    return np.divide(pixels, np.float32(top), dtype=np.float32)


def stratified_split(labels: np.ndarray, test_size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sorted, disjoint indices of a training and a test part, drawn so that both hold each class in equal proportion.

    Each class gives the test part its share of `test_size`, rounded down; those that lost most by it give one more
    each until `test_size` is reached.
    """
    # RandomState, because NumPy has frozen its stream: the split is the same everywhere and for good.
    rng = np.random.RandomState(seed)
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    shares = np.array([len(m) * test_size / len(labels) for m in members])
    counts = np.floor(shares).astype(int)
    counts[np.argsort(counts - shares, kind="stable")[: test_size - counts.sum()]] += 1
    test = np.sort(np.concatenate([rng.permutation(m)[:n] for m, n in zip(members, counts, strict=True)]))
    return np.setdiff1d(np.arange(len(labels)), test), test
