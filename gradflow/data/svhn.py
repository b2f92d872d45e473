"""SVHN's cropped digits: 99,289 colour images of 32x32 pixels, from house numbers, published as MATLAB files."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .download import RemoteFile
from .errors import ContentError, DataError, reason
from .images import ImageData, Split
from .source import Paths, Source

SHAPE = (3, 32, 32)
MOST = 73_257  # images in the larger file
LIMIT = MOST * 3 * 32 * 32 + MOST * 8 + (1 << 16)  # bytes of a file's variables, with room for labels of any type
HEADER, MATRIX, COMPRESSED = 128, 14, 15
CLASSES = (  # their numbers begin at 1
    *("cell", "struct", "object", "char", "sparse", "double", "single"),
    *("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
)
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
TRUNCATED = "it ends too early, it is truncated"


def load(source: Source, paths: Paths) -> ImageData:
    """The data of the two files. Raises DataError where one is damaged or not what it should be."""
    train, test = [read_svhn(paths[file.name], source.cure) for file in source.files]
    return ImageData(source.name, train, test, tuple("0123456789"))


def read_svhn(path: Path, cure: str = "fetch the file again") -> Split:
    """The images, uint8 (n, 3, 32, 32), and labels of a MATLAB file with X (32, 32, 3, n) and y (n, 1).

    In the file the label of the digit 0 is 10. Raises DataError, with `cure`, where the file is damaged.
    """
    try:
        x, y = _arrays(_variables(path))
    except (OSError, zlib.error, ContentError) as error:
        raise DataError(f"[svhn] {path}: {reason(error)}; {cure}") from error
    return Split(np.ascontiguousarray(x.transpose(3, 2, 0, 1)), y.astype(np.int64) % 10)


@dataclass(frozen=True)
class _Variable:
    """A variable, whose numbers are in `values`, an element, not yet looked at."""

    name: str
    kind: str
    shape: tuple[int, ...]
    values: memoryview


# SciPy's loadmat is not used: a damaged type of numbers makes it read memory that is not its own (a crash, in 1.17).
def _variables(path: Path) -> tuple[str, list[_Variable]]:
    """The byte order of a file, and its variables, unpacked as far as they are as large as SVHN's.

    The format (MATLAB's "MAT-File Format", level 5): a header of 128 bytes, then elements, each a type and a size in
    32 bits and its data. A variable is one element, most often a zlib stream of one.
    """
    with open(path, "rb") as file:
        header = file.read(HEADER)
        if len(header) < HEADER or header[126:] not in (b"IM", b"MI"):
            raise ContentError("it is no MATLAB file of level 5")
        order = "<" if header[126:] == b"IM" else ">"
        found, left = [], LIMIT
        while tag := file.read(8):
            kind, size = np.frombuffer(tag, f"{order}u4").tolist() if len(tag) == 8 else (0, 0)
            data = file.read(min(size, LIMIT + 1))
            if len(tag) < 8 or len(data) < size:
                raise ContentError(TRUNCATED)
            if kind == COMPRESSED:
                stream = zlib.decompressobj()
                data = stream.decompress(data, left + 1)
                if len(data) <= left and not stream.eof:
                    raise ContentError("a variable in it ends too early")
            left -= len(data)
            if left < 0:
                raise ContentError(f"it unpacks to more than the {LIMIT:,} bytes expected")
            content = memoryview(data)
            if kind == COMPRESSED:
                kind, content, _ = _element(content, order)
            if kind == MATRIX:
                found.append(_variable(content, order))
    return order, found


def _element(data: memoryview, order: str) -> tuple[int, memoryview, memoryview]:
    """The type and the content of the first element in `data`, and what comes after it."""
    if len(data) < 8:
        raise ContentError(TRUNCATED)
    kind, size = np.frombuffer(data[:8], f"{order}u4").tolist()
    start, end = 8, 8 + size + -size % 8
    if kind >> 16:  # a small one, whose content is in the place of the size
        kind, size, start, end = kind & 0xFFFF, kind >> 16, 4, 8
    if start + size > min(end, len(data)):
        raise ContentError(TRUNCATED)
    return kind, data[start : start + size], data[end:]


def _variable(content: memoryview, order: str) -> _Variable:
    """A variable: elements of its class, its shape, its name and its values."""
    _, flags, rest = _element(content, order)
    _, shape, rest = _element(rest, order)
    _, name, values = _element(rest, order)
    if len(flags) < 4 or len(shape) % 4:
        raise ContentError("a variable in it has no class or shape")
    number = np.frombuffer(flags[:4], f"{order}u4").item() & 0xFF
    kind = CLASSES[number - 1] if 0 < number <= len(CLASSES) else f"class {number}"
    return _Variable(str(name, "latin-1"), kind, tuple(np.frombuffer(shape, f"{order}i4").tolist()), values)


def _arrays(file: tuple[str, list[_Variable]]) -> tuple[np.ndarray, np.ndarray]:
    """X and y. Raises unless there is one of each, of the shape, type and values that they should have."""
    order, variables = file
    found = {variable.name: variable for variable in variables if variable.name in ("X", "y")}
    if len(found) != 2 or sum([variable.name in found for variable in variables]) != 2:
        raise ContentError(f"expected the variables X and y, found {[variable.name for variable in variables]}")
    x, y = found["X"], found["y"]
    count = x.shape[-1] if x.shape else 0
    if x.kind != "uint8" or x.shape != (32, 32, 3, count) or not 0 < count <= MOST:
        raise ContentError(f"expected X of uint8 (32, 32, 3, n), found {x.kind} {x.shape}")
    if y.kind not in ("uint8", "double") or y.shape not in ((count, 1), (1, count)):
        raise ContentError(f"expected y of uint8 ({count}, 1), found {y.kind} {y.shape}")
    pixels, labels = _numbers(x, order), _numbers(y, order).reshape(-1)
    if pixels.dtype != np.uint8 or not np.isin(labels, np.arange(1, 11)).all():
        raise ContentError("X is not of uint8, or a label in y is not 1 to 10")
    return pixels, labels


def _numbers(variable: _Variable, order: str) -> np.ndarray:
    """The values, of the type that they are stored in, which may be narrower than their class."""
    kind, content, _ = _element(variable.values, order)
    if kind not in NUMBERS:
        raise ContentError(f"{variable.name} in it has values of an unknown type, {kind}")
    dtype = np.dtype(order + NUMBERS[kind])
    if len(content) != math.prod(variable.shape) * dtype.itemsize:
        raise ContentError(f"{variable.name} in it has {len(content):,} bytes, too few or many for {variable.shape}")
    return np.frombuffer(content, dtype).reshape(variable.shape, order="F")


def _file(name: str, md5: str, size: int) -> RemoteFile:
    return RemoteFile(name, (f"http://ufldl.stanford.edu/housenumbers/{name}",), f"md5:{md5}", size)


SVHN = Source(
    name="svhn",
    title="digits of house numbers",
    files=(
        _file("train_32x32.mat", "e26dedcc434d2e4c54c9b2d4a06d8373", 182_040_794),
        _file("test_32x32.mat", "eb5a983be6a315427106f1b164d9cef3", 64_275_384),
    ),
    licence="non-commercial use",
    homepage="http://ufldl.stanford.edu/housenumbers/",
    origin="addresses and MD5: torchvision/datasets/svhn.py of pytorch/vision, commit "
    "212ff5169af7b4473b2be94370f865f97efcfc9b; sizes: tensorflow_datasets/url_checksums/svhn_cropped.txt of "
    "tensorflow/datasets, commit 333639b37af6c6fedf3610a4a2d42f1c6ef6f7d5; licence: the publisher's page",
    classes=10,
    images=(73_257, 26_032),
    shape=SHAPE,
    load=load,
)
