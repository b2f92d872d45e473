"""Reading idx files, the format of MNIST and its relatives: a magic number, the sizes, then the bytes."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from .errors import ContentError, DataError, reason

UINT8 = 0x08  # the code for unsigned bytes, the one type these data sets use
GZIP_MAGIC = b"\x1f\x8b"
LIMIT = 1 << 31


def read_idx(path: str | Path, ndim: int, cure: str = "fetch the file again", *, limit: int = LIMIT) -> np.ndarray:
    """The uint8 array with `ndim` dimensions in an idx file, gzipped or not.

    Format (http://yann.lecun.com/exdb/mnist/): 0, 0, the type's code, the number of dimensions, each size as a
    big-endian 32-bit integer, the data in C order. DataError names the file, what was expected and the `cure`; more
    than `limit` bytes of data are not read, as a small gzip file can unpack to any size.
    """
    try:
        with open(path, "rb") as raw:
            zipped = raw.read(2) == GZIP_MAGIC
            raw.seek(0)
            if not zipped:
                return _parse(raw, ndim, limit)
            with gzip.open(raw, "rb") as unzipped:
                return _parse(unzipped, ndim, limit)
    except EOFError:
        raise DataError(f"[idx] {path}: the gzip file ends too early, it is truncated; {cure}") from None
    except (OSError, zlib.error, ContentError) as error:
        raise DataError(f"[idx] {path}: {reason(error)}; {cure}") from error


def _parse(file: IO[bytes] | gzip.GzipFile, ndim: int, limit: int) -> np.ndarray:
    expected = bytes([0, 0, UINT8, ndim])
    magic = file.read(4)
    if magic != expected:
        found = f"0x{magic.hex()}" if magic else "an empty file"
        raise ContentError(f"expected the magic number 0x{expected.hex()} (uint8, {ndim}-d), found {found}")
    header = file.read(4 * ndim)
    if len(header) < 4 * ndim:
        raise ContentError(f"expected {ndim} sizes in the header, the file ends after {len(header) // 4}")
    shape = tuple([int(size) for size in np.frombuffer(header, ">u4")])
    size = math.prod(shape)
    if size > limit:
        raise ContentError(f"expected at most {limit:,} bytes, the header says {size:,} for shape {shape}")
    # One byte more than needed: it shows excess data, and reading to the end checks gzip's checksum.
    data = _read_up_to(file, size + 1)
    if len(data) != size:
        found = f"only {len(data):,}, so it is truncated" if len(data) < size else "more"
        raise ContentError(f"expected {size:,} bytes for shape {shape}, found {found}")
    return np.frombuffer(data, np.uint8).reshape(shape)


def _read_up_to(file: IO[bytes] | gzip.GzipFile, size: int, chunk: int = 1 << 24) -> bytes:
    """At most `size` bytes, in chunks, so that a corrupt header cannot ask for more memory than the file fills."""
    parts = []
    while size > 0 and (part := file.read(min(size, chunk))):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
