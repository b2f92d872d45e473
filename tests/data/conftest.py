"""Small idx files in the shape of Fashion-MNIST."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest


def idx_bytes(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture
def encode() -> Callable[[np.ndarray], bytes]:
    """The content of an idx file."""
    return idx_bytes


@pytest.fixture
def fashion_dir(tmp_path: Path) -> Path:
    """A folder with 40 training and 20 test images of Fashion-MNIST's kind."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 40), ("t10k", 20)):
        images, labels = rng.integers(0, 256, (count, 28, 28)), np.arange(count) % 10
        (tmp_path / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(images)))
        (tmp_path / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes(labels)))
    return tmp_path
