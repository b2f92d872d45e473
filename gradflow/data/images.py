"""Labelled images: a split of them, and a data set for classification, which is two splits and the classes' names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backend import DeviceLike
from ..backend.base import Device
from ..backend.device import parse_device
from ..creation import as_tensor
from ..tensor import Tensor
from .dataset import Dataset, rows
from .errors import DataError


@dataclass(frozen=True, eq=False)
class Split(Dataset):
    """`pixels`, (n, channels, height, width), and their `labels`, int64 (n,): arrays on the host, Tensors elsewhere.

    Pixels are integers from 0 to `top` (uint8, four times smaller than float32), which samples and batches hold as
    float32 in [0, 1], or floats, which are taken as they are. Sample i is (image (c, h, w), label). Raises DataError
    where shapes, dtypes or devices do not fit, TypeError for what is neither.
    """

    pixels: np.ndarray | Tensor
    labels: np.ndarray | Tensor
    top: int = 255

    def __post_init__(self) -> None:
        for name in ("pixels", "labels"):
            value = getattr(self, name)
            if not isinstance(value, (Tensor, np.ndarray)):
                raise TypeError(
                    f"[Split] {name} are an array or a Tensor, got {type(value).__name__}; make them one with np.array"
                )
            if isinstance(value, Tensor) and value.device.type == "cpu":
                object.__setattr__(self, name, value.numpy())
        pixels, labels = self.pixels, self.labels
        if pixels.ndim != 4 or tuple(labels.shape) != tuple(pixels.shape[:1]):
            raise DataError(
                f"[Split] expected images (n, channels, height, width) and labels (n,), "
                f"got {tuple(pixels.shape)} and {tuple(labels.shape)}"
            )
        if isinstance(pixels, np.ndarray) and pixels.dtype.kind not in "iubfV":  # V: bfloat16's
            raise DataError(f"[Split] pixels are integers or floats, got {pixels.dtype}")
        if self.top < 1:
            raise DataError(f"[Split] top is the largest value of a pixel, at least 1; got {self.top}")
        if labels.dtype.kind not in "iu":
            raise DataError(f"[Split] labels are integers, the numbers of classes; got {labels.dtype}")
        places = [x.device if isinstance(x, Tensor) else parse_device("cpu") for x in (pixels, labels)]
        if places[0] != places[1]:
            raise DataError(
                f"[Split] pixels are on {places[0]} and labels on {places[1]}; move a whole split with .to()"
            )
        if labels.dtype != np.int64:
            wide = labels.astype(np.int64) if isinstance(labels, np.ndarray) else labels.to(np.int64)
            object.__setattr__(self, "labels", wide)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """(image, float32 (c, h, w), label): an array and an int on the host, Tensors elsewhere."""
        label = self.labels[index]
        return self._scaled(self.pixels[index]), label if isinstance(label, Tensor) else int(label)

    def __getitems__(self, indices: Any) -> tuple[Any, Any]:
        """The images, float32 (b, c, h, w), and labels, int64 (b,), of many indices, where the pixels are."""
        return self._scaled(rows(self.pixels, indices)), rows(self.labels, indices)

    @property
    def images(self) -> Any:
        """All images, float32 (n, c, h, w), where the pixels are; floating pixels themselves, if they are that."""
        return self._scaled(self.pixels)

    @property
    def device(self) -> Device:
        """Where the pixels are, and batches are made."""
        return self.pixels.device if isinstance(self.pixels, Tensor) else parse_device("cpu")

    def to(self, device: DeviceLike) -> Split:
        """The same split on a device. The pixels are as small there: a batch is gathered first, and then scaled."""
        if parse_device(device) == self.device:
            return self
        return Split(as_tensor(self.pixels, device=device), as_tensor(self.labels, device=device), self.top)

    def divided(self, test_size: int, seed: int) -> tuple[Split, Split]:
        """Two parts of a split on the host, the second of `test_size` images, as `stratified_split` draws them."""
        pixels, labels = np.asarray(self.pixels), np.asarray(self.labels)
        first, second = [Split(pixels[i], labels[i], self.top) for i in stratified_split(labels, test_size, seed)]
        return first, second

    def _scaled(self, pixels: Any) -> Any:
        if not isinstance(pixels, Tensor):
            return scaled(pixels, self.top)
        return pixels.to(np.float32) if pixels.is_floating_point() else pixels.to(np.float32) / self.top


@dataclass(frozen=True, eq=False)
class ImageData:
    """A data set for classification: `classes[label]` is the name of a label."""

    name: str
    train: Split
    test: Split
    classes: tuple[str, ...]

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of one image."""
        channels, height, width = self.train.pixels.shape[1:]
        return channels, height, width


def scaled(pixels: np.ndarray, top: int) -> np.ndarray:
    """`pixels / top` as float32, for integer pixels in [0, top]; floats as they are, as float32."""
    if pixels.dtype.kind not in "iub":
        return pixels.astype(np.float32, copy=False)
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
