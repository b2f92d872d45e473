"""Named arrays and a few texts in a safetensors file, with a checksum over every byte.

The format (https://github.com/huggingface/safetensors): 8 bytes with the length of a JSON header, the header, the
arrays as they lie in memory. It is written and read by hand so that arrays stream between memory and disk with no
second copy, the checksum is taken on the way, bfloat16 works, and nothing is allocated that the file does not hold.

The checksum is the SHA-256 of the whole file with the checksum's own 64 digits as zeros; it stands in the header.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..backend.dtypes import as_dtype
from .atomic import cannot_write, replacing

METADATA, DIGEST = "__metadata__", "gradflow.sha256"
ZEROS = "0" * 64
LONGEST_HEADER = 100_000_000  # bytes; the safetensors library reads none longer
PIECE = 1 << 24  # bytes hashed and written at a time

# NumPy's names of dtypes and the format's.
NAMES = {
    "bool": "BOOL", "bfloat16": "BF16", "float16": "F16", "float32": "F32", "float64": "F64",
    "int8": "I8", "int16": "I16", "int32": "I32", "int64": "I64",
    "uint8": "U8", "uint16": "U16", "uint32": "U32", "uint64": "U64",
}  # fmt: skip
DTYPES = {short: name for name, short in NAMES.items()}


class CheckpointError(OSError):
    """A file that cannot be written or read; the message names it, the reason and the cure."""


class Entry(NamedTuple):
    """Where an array stands in a file, in bytes after the header."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class Header(NamedTuple):
    """A header as it was read: its bytes, with the 8 of its length, and what they say."""

    raw: bytes
    metadata: dict[str, str]
    entries: list[Entry]


def write_tensors(path: str | Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write `arrays` and `metadata` to the file `path`, which is then the old one or the new one, whole.

    Arrays of any layout; one that does not lie in C order is copied while it is written. CheckpointError where the file
    cannot be written; TypeError and ValueError for dtypes and names that the format has not.
    """
    # Wide elements first, so that each array stands at a multiple of its element's size.
    order = sorted(arrays, key=lambda name: -arrays[name].itemsize)
    header = _header(arrays, order, {DIGEST: ZEROS, **metadata})
    if len(header) > LONGEST_HEADER:
        raise CheckpointError(
            f"[checkpoint] {path} would need a header of {len(header):,} bytes, and no more than "
            f"{LONGEST_HEADER:,} can be read again; keep long lists of numbers as arrays"
        )
    needed = len(header) + sum(array.nbytes for array in arrays.values())
    try:
        with replacing(Path(path)) as file:
            digest = hashlib.sha256(header)
            file.write(header)
            for name in order:
                for piece in _pieces(arrays[name]):
                    digest.update(piece)
                    file.write(piece)
            file.seek(header.index(ZEROS.encode()))
            file.write(digest.hexdigest().encode())
    except OSError as error:
        failure = CheckpointError(f"[checkpoint] {cannot_write(path, error, needed)}")
        failure.errno = error.errno
        raise failure from error


def read_tensors(
    path: str | Path, accept: Callable[[dict[str, str]], dict[str, Any]]
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays in a safetensors file, the checksum verified where there is one, and what `accept` makes of the rest.

    accept  called with the metadata before any array is read; raises where they are not what is wanted

    CheckpointError where the file is missing, of another format, not whole or damaged.
    """
    with _opened(path) as file:
        header = _read_header(file, path)
        accepted = accept(header.metadata)
        stated = header.metadata.get(DIGEST)
        digest = hashlib.sha256(header.raw.replace(stated.encode(), ZEROS.encode(), 1)) if stated else None
        arrays = {entry.name: _empty(entry, path) for entry in header.entries}
        for entry in sorted(header.entries, key=lambda e: e.begin):
            flat = _bytes_of(arrays[entry.name])
            if file.readinto(flat) != len(flat):
                raise CheckpointError(f"[checkpoint] {path} became shorter while it was read; read it again")
            if digest:
                digest.update(flat)
            if sys.byteorder == "big":
                arrays[entry.name].byteswap(inplace=True)
    if digest and digest.hexdigest() != stated:
        raise CheckpointError(
            f"[checkpoint] {path} is damaged: its SHA-256 is not the one it was written with; take another copy of it"
        )
    return arrays, accepted


def read_metadata(path: str | Path) -> dict[str, str]:
    """The metadata alone of a safetensors file that is as long as it should be; the checksum is not verified."""
    with _opened(path) as file:
        return _read_header(file, path).metadata


def _header(arrays: Mapping[str, np.ndarray], order: list[str], metadata: Mapping[str, str]) -> bytes:
    places: dict[str, list[int]] = {}
    at = 0
    for name in order:
        places[name] = [at, at := at + arrays[name].nbytes]
    entries: dict[str, Any] = {METADATA: metadata}
    for name, array in arrays.items():
        if array.dtype.name not in NAMES:
            raise TypeError(f"[checkpoint] {name} is of {array.dtype}; only booleans, integers and floats can be saved")
        if name == METADATA:
            raise ValueError(f"[checkpoint] an array cannot be named {METADATA} in a safetensors file; rename it")
        entries[name] = {"dtype": NAMES[array.dtype.name], "shape": array.shape, "data_offsets": places[name]}
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _pieces(array: np.ndarray) -> Iterator[memoryview]:
    """The bytes of an array in C order, little end first."""
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    flat = _bytes_of(np.asarray(array.byteswap() if sys.byteorder == "big" else array, order="C"))
    for start in range(0, len(flat), PIECE):
        yield flat[start : start + PIECE]


def _bytes_of(array: np.ndarray) -> memoryview:
    """The memory of an array that lies in C order."""
    return array.reshape(-1).view(np.uint8).data  # by way of bytes, as bfloat16 has no buffer of its own


def _empty(entry: Entry, path: str | Path) -> np.ndarray:
    if entry.dtype not in DTYPES:
        raise CheckpointError(
            f"[checkpoint] {path}: {entry.name} is of dtype {entry.dtype}, which gradflow has not; convert it first"
        )
    try:
        return np.empty(entry.shape, as_dtype(DTYPES[entry.dtype]))
    except ImportError as error:
        raise CheckpointError(f"[checkpoint] cannot read {entry.name} of {path}: {error}") from error
    except (ValueError, OverflowError) as error:
        raise CheckpointError(
            f"[checkpoint] {path}: {entry.name} has a shape no array can have: {error}; take another copy of the file"
        ) from error


@contextmanager
def _opened(path: str | Path) -> Iterator[BufferedReader]:
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):  # opening a pipe would wait for a writer
            kind = "a folder" if stat.S_ISDIR(mode) else "no regular file"
            raise CheckpointError(f"[checkpoint] {path} is {kind}; give a safetensors file")
        with open(path, "rb") as file:
            yield file
    except CheckpointError:
        raise
    except (FileNotFoundError, NotADirectoryError):
        raise CheckpointError(f"[checkpoint] there is no file {path}; check the path") from None
    except OSError as error:
        failure = CheckpointError(
            f"[checkpoint] cannot read {path}: {error.strerror or error}; check the disk and who may read the file"
        )
        failure.errno = error.errno
        raise failure from error


def _read_header(file: BufferedReader, path: str | Path) -> Header:
    """The header, checked against the length of the file before anything is allocated."""
    size = os.fstat(file.fileno()).st_size
    if size == 0:
        raise CheckpointError(f"[checkpoint] {path} is empty; take another copy of it")
    first = file.read(8)
    length = int.from_bytes(first, "little")
    try:
        if len(first) < 8:
            raise ValueError(f"it has {size} bytes, too few for any")
        if length > LONGEST_HEADER:
            raise ValueError(f"its header would have {length:,} bytes")
        if length > size - 8:
            raise ValueError(f"its header has {length:,} bytes, and only {size - 8:,} are there")
        raw = file.read(length)
        metadata, entries = _parse(raw)
        held, stated = size - 8 - length, max([e.end for e in entries], default=0)
        if held != stated:
            raise ValueError(f"it has {held:,} bytes of arrays where its header says {stated:,}")
    except (ValueError, RecursionError) as error:
        file.seek(0)
        kind = _foreign(file.read(256))
        cut = f"not a whole safetensors file: {error}; it is truncated or damaged, take another copy of it"
        raise CheckpointError(f"[checkpoint] {path} is {kind or cut}") from error
    return Header(first + raw, metadata, entries)


def _parse(raw: bytes) -> tuple[dict[str, str], list[Entry]]:
    """What a header says. ValueError where the arrays do not fill the file without gaps."""
    found = json.loads(raw.decode())
    if not isinstance(found, dict):
        raise ValueError("its header is not an object")
    metadata = found.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise ValueError("its metadata are not texts")
    if not re.fullmatch("[0-9a-f]{64}", metadata.get(DIGEST, ZEROS)):
        raise ValueError("its checksum is not one")
    entries = [_entry(name, fields) for name, fields in found.items()]
    at = 0
    for entry in sorted(entries, key=lambda e: (e.begin, e.end)):
        if entry.begin != at:
            raise ValueError(f"there is a gap or an overlap before {entry.name}")
        at = entry.end
    return metadata, entries


def _entry(name: str, fields: Any) -> Entry:
    if not isinstance(fields, dict) or set(fields) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"the header does not describe {name}")
    dtype, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
    if not isinstance(dtype, str) or not _sizes(shape) or not _sizes(offsets) or len(offsets) != 2:
        raise ValueError(f"the header does not describe {name}")
    begin, end = offsets
    # The format's other dtypes (F8_E4M3 and the like) are refused where arrays are made: their files are whole.
    if begin > end or (dtype in DTYPES and end - begin != prod(shape) * _width(dtype)):
        raise ValueError(f"{name}, {dtype} {tuple(shape)}, does not fill its {end - begin:,} bytes")
    return Entry(name, dtype, tuple(shape), begin, end)


def _width(dtype: str) -> int:
    return 1 if dtype == "BOOL" else int(dtype.lstrip("BFIU")) // 8


def _sizes(value: Any) -> bool:
    """Whether it is a list that can be a shape: no longer and no larger, or its product could take long."""
    return isinstance(value, list) and len(value) <= 64 and all(type(n) is int and 0 <= n < 2**63 for n in value)


def _foreign(head: bytes) -> str | None:
    """What else a file is, by its first bytes."""
    if head.startswith(b"PK") and b".pkl" in head:  # the first member of PyTorch's archives is data.pkl
        return f"PyTorch's .pt, {PICKLED}"
    return next((kind for magic, kind in MAGIC.items() if head.startswith(magic)), None)


PICKLED = "a pickle-based file, which gradflow does not read; save its weights with safetensors"
MAGIC = {
    **{b"\x80" + bytes([protocol]): PICKLED for protocol in range(2, 6)},
    b"PK": "a zip archive (.npz, .zip), not a safetensors file; unpack it or save its weights with safetensors",
    b"\x89HDF": "an HDF5 file; save its weights with safetensors",
    b"\x93NUMPY": "a NumPy .npy file; save its array with safetensors",
    b"GGUF": "a GGUF file; save its weights with safetensors",
    b"\x1f\x8b": "compressed by gzip; unpack it first",
}
