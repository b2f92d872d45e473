"""Images and labels from a NumPy archive (.npz) of anybody's, whose shapes, types and values are checked first."""

from __future__ import annotations

import io
import math
import os
import zipfile
import zlib
from pathlib import Path

import numpy as np

from .errors import ContentError, DataError, reason
from .images import ImageData, Split
from .meter import megabytes

CHANNELS = (1, 3, 4)
TEST_SHARE, SPLIT_SEED = 0.2, 0
MOST_CLASSES = 1000  # or as many as there are images, where that is more
RATIO = 1032  # deflate packs no byte further than this
CHUNK = 1 << 22
HEADER = 1 << 14  # bytes; NumPy refuses headers of more than 10,000, but would read them first
PAIRS = (("x_train", "y_train"), ("x_test", "y_test"))


def load_npz(path: str | Path) -> ImageData:
    """The data in an .npz file with arrays `x` and `y`, or `x_train`, `y_train`, `x_test` and `y_test`.

    x is (n, height, width), (n, height, width, channels) or (n, channels, height, width) with 1, 3 or 4 channels; where
    both of the last could be meant, the last axis is the channels. Its values are integers from 0 to 255 or floats
    from 0 to 1. y has the number of each image's class, integers from 0 on, as (n,) or (n, 1). Of a lone x and y
    every fifth image is the test part, drawn of each class in proportion, the same each time.
    Nothing is unpickled. Raises DataError where the file is damaged, too large for memory, or other than that.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            splits = [_split(_read(archive, x), _read(archive, y), x, y) for x, y in _pairs(archive)]
        count = _class_count(splits)
        train, test = splits if len(splits) == 2 else divide(splits[0])
        if train.pixels.shape[1:] != test.pixels.shape[1:] or train.pixels.dtype != test.pixels.dtype:
            raise ContentError(
                f"x_train and x_test differ: {train.pixels.dtype} {train.pixels.shape[1:]} and "
                f"{test.pixels.dtype} {test.pixels.shape[1:]}"
            )
    except zipfile.BadZipFile as error:
        raise DataError(f"[npz] {path}: {error}; give what np.savez wrote, or copy the file again") from error
    except (OSError, EOFError, RuntimeError, ValueError, zlib.error, ContentError) as error:
        raise DataError(f"[npz] {path}: {reason(error)}") from error
    return ImageData(path.stem, train, test, tuple([str(label) for label in range(count)]))


def divide(split: Split) -> tuple[Split, Split]:
    """A training and a test part of a split, a fifth of it, with each class in proportion; always the same."""
    if len(split) < 2:
        raise ContentError("there is one image only; training and testing need one each")
    return split.divided(max(1, round(TEST_SHARE * len(split))), SPLIT_SEED)


def check_memory(size: int, what: str) -> None:
    """Raises where `size` bytes are more than this machine's memory."""
    total = _memory()
    if total is not None and size > total:
        raise ContentError(f"{what} would take {megabytes(size)}, this machine has {megabytes(total)} of memory")


def _memory() -> int | None:
    """The machine's memory in bytes, None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def _pairs(archive: zipfile.ZipFile) -> tuple[tuple[str, str], ...]:
    """The names of the arrays of images and labels that there are."""
    names = {info.filename.removesuffix(".npy") for info in archive.infolist() if info.filename.endswith(".npy")}
    for pairs in (PAIRS, (("x", "y"),)):
        if names.issuperset([name for pair in pairs for name in pair]):
            return pairs
    found = ", ".join(sorted(names)[:8]) or "nothing"
    raise ContentError(f"expected arrays x and y, or x_train, y_train, x_test and y_test; found {found}")


def _read(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """An array of an archive; its declared size is held against what the archive says before memory is taken."""
    info = archive.getinfo(f"{name}.npy")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 1:
        raise ContentError(f"{name} is packed in a way that NumPy does not use, or encrypted")
    with archive.open(info) as file:
        head = io.BytesIO(file.read(HEADER))
    shape, fortran, dtype = _header(head, name)
    with archive.open(info) as file:
        file.read(head.tell())
        size = math.prod(shape) * dtype.itemsize
        rest = info.file_size - head.tell()
        if size != rest or info.file_size > RATIO * max(1, info.compress_size):
            raise ContentError(f"{name}: {dtype} {shape} takes {size:,} bytes, the archive has {rest:,}")
        check_memory(size, name)
        flat = np.empty(size, np.uint8)
        filled = 0
        while chunk := file.read(min(CHUNK, size - filled + 1)):  # one more shows excess; the end checks the CRC
            flat[filled : filled + len(chunk)] = np.frombuffer(chunk, np.uint8)
            filled += len(chunk)
        if filled != size:
            raise ContentError(f"{name}: expected {size:,} bytes, found {filled:,}; it is truncated")
    array = flat != 0 if dtype.kind == "b" else flat.view(dtype)
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)


def _header(file: io.BytesIO, name: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        shape, fortran, dtype = readers[np.lib.format.read_magic(file)](file)
    except Exception as error:  # of a damaged header, its parser raises whatever comes about
        raise ContentError(f"{name} has no header of the npy format: {' '.join(str(error).split())}") from error
    if dtype.kind not in "biuf" or any(length < 0 for length in shape):
        raise ContentError(f"{name} has {dtype} {shape}, expected numbers (objects would need pickle, which is unsafe)")
    return shape, fortran, dtype


def _split(x: np.ndarray, y: np.ndarray, x_name: str, y_name: str) -> Split:
    pixels = _pixels(x, x_name)
    labels = _labels(y, y_name)
    if len(pixels) != len(labels) or not len(labels):
        raise ContentError(f"{x_name} has {len(pixels)} images and {y_name} {len(labels)} labels, expected as many")
    return Split(pixels, labels)


def _pixels(x: np.ndarray, name: str) -> np.ndarray:
    """`x` as (n, channels, height, width), of uint8 or of float32 from 0 to 1."""
    if x.ndim == 3:
        x = x[:, None]
    elif x.ndim == 4 and x.shape[3] in CHANNELS:
        x = x.transpose(0, 3, 1, 2)
    elif not (x.ndim == 4 and x.shape[1] in CHANNELS):
        raise ContentError(
            f"{name} has shape {x.shape}, expected (n, height, width), (n, height, width, channels) or "
            "(n, channels, height, width) with 1, 3 or 4 channels"
        )
    if not x.size:
        raise ContentError(f"{name} has shape {x.shape}: there is nothing in it")
    if x.dtype == bool:
        return np.ascontiguousarray(x) * np.uint8(255)
    low, high = x.min(), x.max()
    top, kind = (1, "floats") if x.dtype.kind == "f" else (255, "integers")
    if not (low >= 0 and high <= top):  # NaN is neither
        raise ContentError(f"{name} has {kind} from {low} to {high}, expected 0 to {top}; scale them")
    return np.ascontiguousarray(x, np.float32 if x.dtype.kind == "f" else np.uint8)


def _labels(y: np.ndarray, name: str) -> np.ndarray:
    """`y` as int64 (n,)."""
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise ContentError(
            f"{name} has shape {y.shape}, expected (n,), the numbers of classes (argmax of one-hot rows)"
        )
    if y.dtype.kind not in "iu":
        raise ContentError(f"{name} is of {y.dtype}, expected integers, the numbers of classes")
    if y.size and not (y.min() >= 0 and y.max() < 2**31):
        raise ContentError(f"{name} has labels from {y.min()} to {y.max()}, expected 0 on, below 2**31")
    return y.astype(np.int64)


def _class_count(splits: list[Split]) -> int:
    count = max([int(split.labels.max()) for split in splits]) + 1
    images = sum([len(split) for split in splits])
    if count > max(MOST_CLASSES, images):
        raise ContentError(
            f"the largest label is {count - 1} with only {images} images; number the classes 0, 1, 2, ..."
        )
    return count
