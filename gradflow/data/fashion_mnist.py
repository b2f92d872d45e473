"""Fashion-MNIST: 70,000 pictures of clothes, 28x28 pixels, from the four idx files it is published as."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .dataset import DataError, Dataset, Split, scaled
from .idx import read_idx

DEBIAN_DIR = Path("/usr/share/datasets/fashion-mnist")
CLASSES = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
SIDE = 28
CURE = (
    'install the files with "apt-get install dataset-fashion-mnist" (Debian, Ubuntu), '
    "or name a folder that holds good ones (--data-dir)"
)


def load_fashion_mnist(data_dir: str | Path | None = None) -> Dataset:
    """60,000 training and 10,000 test images, float32 (n, 1, 28, 28), of ten kinds of clothing.

    Reads `{train,t10k}-{images-idx3,labels-idx1}-ubyte`, gzipped (`.gz`) or not, from `data_dir`, by default where the
    Debian package dataset-fashion-mnist puts them. DataError where a file is missing or damaged.
    Source: H. Xiao, K. Rasul and R. Vollgraf, Fashion-MNIST, 2017, https://arxiv.org/abs/1708.07747.
    """
    folder = DEBIAN_DIR if data_dir is None else Path(data_dir)
    paths = _find(folder)
    return Dataset(name="fashion-mnist", train=_split(*paths[:2]), test=_split(*paths[2:]), classes=CLASSES)


def _find(folder: Path) -> list[Path]:
    """The paths of the four files, training images first; DataError names all that are missing."""
    if not folder.is_dir():
        raise DataError(f"[fashion-mnist] there is no folder {folder}; {CURE}")
    names = [f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
    found = [next((p for p in (folder / f"{name}.gz", folder / name) if p.is_file()), None) for name in names]
    missing = [f"{name}.gz" for name, path in zip(names, found, strict=True) if path is None]
    if missing:
        raise DataError(f"[fashion-mnist] {', '.join(missing)} not found in {folder}; {CURE}")
    return [path for path in found if path is not None]


def _split(images_path: Path, labels_path: Path) -> Split:
    images = read_idx(images_path, ndim=3, cure=CURE)
    labels = read_idx(labels_path, ndim=1, cure=CURE)
    if images.shape[1:] != (SIDE, SIDE):
        raise DataError(
            f"[fashion-mnist] {images_path}: expected images of {SIDE}x{SIDE} pixels, found {images.shape}; {CURE}"
        )
    if len(images) != len(labels) or not len(labels):
        raise DataError(
            f"[fashion-mnist] {images_path} has {len(images)} images and {labels_path} {len(labels)} labels, "
            f"expected as many of both; {CURE}"
        )
    if labels.max() >= len(CLASSES):
        raise DataError(f"[fashion-mnist] {labels_path}: expected labels 0 to 9, found {labels.max()}; {CURE}")
    return Split(scaled(images[:, None], 255), labels.astype(np.int64))
