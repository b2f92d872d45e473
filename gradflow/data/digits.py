"""The UCI handwritten digits, embedded in the package: 1,797 images of 8x8 pixels."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np

from .errors import DataError
from .images import ImageData, Split

FILE = Path(__file__).with_name("files") / "digits.csv.gz"
COUNT, SIDE, INK = 1797, 8, 16  # INK: the value of a pixel that is all ink
TEST_COUNT, SPLIT_SEED = 360, 0


def load_digits() -> ImageData:
    """1,437 training and 360 test images, float32 (n, 1, 8, 8), of the digits 0 to 9.

    The split is stratified and fixed. Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits,
    UCI Machine Learning Repository, 1998, https://doi.org/10.24432/C50P49.
    """
    table = _read(FILE)
    pixels = table[:, :-1].reshape(-1, 1, SIDE, SIDE)
    labels = table[:, -1].astype(np.int64)
    train, test = Split(pixels, labels, top=INK).divided(TEST_COUNT, SPLIT_SEED)
    return ImageData(
        name="digits",
        train=train,
        test=test,
        classes=tuple([str(digit) for digit in range(10)]),
    )


def _read(path: Path) -> np.ndarray:
    """The table in `path`, uint8 (1797, 65): the pixels of a digit, then its label."""
    cure = "the installation is damaged, reinstall gradflow"
    try:
        lines = gzip.decompress(path.read_bytes()).splitlines()
        if not lines:  # NumPy would only warn
            raise ValueError("the file is empty")
        table = np.loadtxt(lines, delimiter=",", dtype=np.uint8, ndmin=2)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise DataError(f"[digits] {path}: {error}; {cure}") from error
    shape = (COUNT, SIDE * SIDE + 1)
    if table.shape != shape:
        raise DataError(f"[digits] {path}: expected a table of shape {shape}, found {table.shape}; {cure}")
    return table
