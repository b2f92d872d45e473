"""CIFAR-10 and CIFAR-100: 60,000 colour images of 32x32 pixels, from the publisher's binary archives."""

from __future__ import annotations

import gzip
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .download import RemoteFile
from .errors import ContentError, DataError, reason
from .images import ImageData, Split
from .source import Paths, Source

SHAPE = (3, 32, 32)
PIXELS = 3 * 32 * 32
SLACK = 1 << 20  # bytes of an archive beside the members that are read
MOST_MEMBERS = 1000
NAMES_SIZE = 1 << 14  # bytes of the names of classes, at most


@dataclass(frozen=True)
class Layout:
    """What an archive holds: members of `records` records each, in folder `top`; a record is labels, then pixels.

    The label at place `label` of the `labels` bytes is the class, whose names stand in member `names`, one a line.
    """

    top: str
    train: tuple[str, ...]
    test: str
    names: str
    classes: int
    labels: int
    label: int
    train_records: int
    test_records: int

    def sizes(self) -> dict[str, int]:
        """The size in bytes of every member of records, by its full name."""
        record = self.labels + PIXELS
        sizes = {f"{self.top}/{name}": self.train_records * record for name in self.train}
        return {**sizes, f"{self.top}/{self.test}": self.test_records * record}


LAYOUTS = {
    "cifar10": Layout(
        top="cifar-10-batches-bin",
        train=tuple([f"data_batch_{i}.bin" for i in range(1, 6)]),
        test="test_batch.bin",
        names="batches.meta.txt",
        classes=10,
        labels=1,
        label=0,
        train_records=10_000,
        test_records=10_000,
    ),
    "cifar100": Layout(  # the first label is one of 20 groups of classes
        top="cifar-100-binary",
        train=("train.bin",),
        test="test.bin",
        names="fine_label_names.txt",
        classes=100,
        labels=2,
        label=1,
        train_records=50_000,
        test_records=10_000,
    ),
}


def load(source: Source, paths: Paths) -> ImageData:
    """The data of the archive. Raises DataError where it is damaged or not what it should be."""
    path = paths[source.files[0].name]
    return read_cifar(path, LAYOUTS[source.name], source.name, source.cure)


def read_cifar(path: Path, layout: Layout, name: str, cure: str = "fetch the file again") -> ImageData:
    """The images, uint8 (n, 3, 32, 32), and labels of a binary archive of CIFAR. Raises DataError, with `cure`.

    Format: https://www.cs.toronto.edu/~kriz/cifar.html. Nothing is unpacked to the disk: of the archive's members only
    those with the expected names and sizes are read, whatever else it holds.
    """
    try:
        members = _members(path, layout)
        train = _split(members, layout, layout.train)
        test = _split(members, layout, (layout.test,))
        classes = _classes(members[f"{layout.top}/{layout.names}"], layout)
    except MemoryError:
        raise
    except Exception as error:  # of a damaged archive, tarfile raises whatever comes about, RecursionError too
        raise DataError(f"[{name}] {path}: {reason(error)}; {cure}") from error
    return ImageData(name, train, test, classes)


class _Limited:
    """The first `limit` bytes of a gzip file; more of them is an error, which ends what unpacks to any size."""

    def __init__(self, file: gzip.GzipFile, limit: int) -> None:
        self._file, self._left, self._limit = file, limit, limit

    def read(self, size: int) -> bytes:
        data = self._file.read(min(size, self._left + 1))
        self._left -= len(data)
        if self._left < 0:
            raise ContentError(f"it unpacks to more than the {self._limit:,} bytes expected")
        return data


def _members(path: Path, layout: Layout) -> dict[str, bytes]:
    """The content of the members that are wanted, by full name."""
    sizes, names = layout.sizes(), f"{layout.top}/{layout.names}"
    found: dict[str, bytes] = {}
    with gzip.open(path, "rb") as unzipped:
        stream = _Limited(unzipped, sum(sizes.values()) + SLACK)
        with tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload]
            for count, member in enumerate(archive):
                if count > MOST_MEMBERS:
                    raise ContentError(f"it has more than {MOST_MEMBERS} members")
                if member.name not in sizes and member.name != names:
                    continue
                expected = sizes.get(member.name)
                if not member.isreg() or member.issparse() or member.name in found:
                    raise ContentError(f"{member.name} in it is a link, or comes twice")
                if member.size != expected and (expected is not None or member.size > NAMES_SIZE):
                    wanted = f"at most {NAMES_SIZE:,}" if expected is None else f"{expected:,}"
                    raise ContentError(f"{member.name} in it has {member.size:,} bytes, expected {wanted}")
                found[member.name] = archive.extractfile(member).read()
        while stream.read(1 << 16):  # to the end, where gzip's checksum is
            pass
    missing = [member for member in [*sizes, names] if member not in found]
    if missing:
        raise ContentError(f"it has no {', '.join(missing)}")
    return found


def _split(members: dict[str, bytes], layout: Layout, names: tuple[str, ...]) -> Split:
    """The images, uint8 (n, 3, 32, 32), and labels of some members."""
    parts = []
    for name in names:
        records = np.frombuffer(members[f"{layout.top}/{name}"], np.uint8).reshape(-1, layout.labels + PIXELS)
        if (top := records[:, layout.label].max()) >= layout.classes:
            raise ContentError(f"{name} in it has label {top}, expected 0 to {layout.classes - 1}")
        parts.append(records)
    pixels = np.concatenate([records[:, layout.labels :] for records in parts])
    labels = np.concatenate([records[:, layout.label] for records in parts])
    return Split(pixels.reshape(-1, *SHAPE), labels.astype(np.int64))


def _classes(content: bytes, layout: Layout) -> tuple[str, ...]:
    names = tuple(content.decode("utf-8", "replace").split())
    if len(names) != layout.classes:
        raise ContentError(f"{layout.names} in it has {len(names)} names of classes, expected {layout.classes}")
    return names


def _source(name: str, title: str, archive: str, md5: str, size: int, classes: int) -> Source:
    bases = ("https://www.cs.toronto.edu/~kriz/", "https://cave.cs.toronto.edu/kriz/")
    return Source(
        name=name,
        title=title,
        files=(RemoteFile(archive, tuple([base + archive for base in bases]), f"md5:{md5}", size),),
        licence="none stated",
        homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
        origin="address and MD5: the publisher's page, the same in mindcv/data/dataset_download.py of "
        "mindspore-lab/mindcv, commit 214daec40ec1eaa79fadcfaee8cca93c5cd8c1a5; size: "
        f"tensorflow_datasets/url_checksums/{name}.txt of tensorflow/datasets, commit "
        "333639b37af6c6fedf3610a4a2d42f1c6ef6f7d5; the second address is where the publisher's page has moved",
        classes=classes,
        images=(50_000, 10_000),
        shape=SHAPE,
        load=load,
    )


CIFAR10 = _source(
    "cifar10",
    "photos of animals and vehicles",
    "cifar-10-binary.tar.gz",
    "c32a1d4ab5d03f1284b67883e8d87530",
    170_052_171,
    10,
)
CIFAR100 = _source(
    "cifar100",
    "photos of a hundred kinds of things",
    "cifar-100-binary.tar.gz",
    "03b5dce01913d631647c71ecec9e9cb8",
    168_513_733,
    100,
)
