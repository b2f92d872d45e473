"""CIFAR's binary archives, whole, damaged and malicious."""

from __future__ import annotations

import gzip
import io
import tarfile
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gradflow.data import DataError, cifar, load_data
from gradflow.data.cifar import LAYOUTS, PIXELS, Layout, read_cifar

SMALL = {
    "cifar10": replace(LAYOUTS["cifar10"], train_records=4, test_records=3),
    "cifar100": replace(LAYOUTS["cifar100"], train_records=5, test_records=2),
}
Members = list[tuple[str, bytes]]


def contents(layout: Layout, seed: int = 0) -> Members:
    """The members of an archive, with random records."""
    rng = np.random.default_rng(seed)
    members = []
    for name, size in layout.sizes().items():
        records = rng.integers(0, 256, (size // (layout.labels + PIXELS), layout.labels + PIXELS), dtype=np.uint8)
        records[:, : layout.labels] %= 10 if layout.classes == 10 else 20
        members.append((name, records.tobytes()))
    names = "\n".join([f"thing_{i}" for i in range(layout.classes)]) + "\n\n"
    return [*members, (f"{layout.top}/{layout.names}", names.encode()), (f"{layout.top}/readme.html", b"<html>")]


def tar(members: Members, mode: str = "w:gz", change: Callable[[tarfile.TarInfo], None] = lambda info: None) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            change(info)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


@pytest.mark.parametrize("name", SMALL)
def test_images_labels_and_names(name: str, tmp_path: Path, monkeypatch):
    layout = SMALL[name]
    members = contents(layout)
    archive = {"cifar10": "cifar-10-binary.tar.gz", "cifar100": "cifar-100-binary.tar.gz"}[name]
    (tmp_path / archive).write_bytes(tar(members))
    monkeypatch.setitem(LAYOUTS, name, layout)
    data = load_data(name, tmp_path)
    assert (data.name, data.input_shape) == (name, (3, 32, 32))
    assert data.classes == tuple([f"thing_{i}" for i in range(layout.classes)])
    for split, wanted in ((data.train, layout.train), (data.test, (layout.test,))):
        raw = b"".join([content for member, content in members if member.split("/")[1] in wanted])
        records = np.frombuffer(raw, np.uint8).reshape(len(split), -1)
        np.testing.assert_array_equal(split.labels, records[:, layout.label])
        np.testing.assert_array_equal(split.pixels.reshape(len(split), -1), records[:, layout.labels :])
        assert split.pixels.dtype == np.uint8
        assert split.pixels.flags.c_contiguous


def test_the_sizes_are_those_of_the_format():
    assert LAYOUTS["cifar10"].sizes()["cifar-10-batches-bin/data_batch_5.bin"] == 30_730_000
    assert LAYOUTS["cifar100"].sizes() == {
        "cifar-100-binary/train.bin": 50_000 * 3074,
        "cifar-100-binary/test.bin": 10_000 * 3074,
    }


def without(name: str) -> Callable[[Members], Members]:
    return lambda members: [member for member in members if not member[0].endswith(name)]


def resized(name: str, change: Callable[[bytes], bytes]) -> Callable[[Members], Members]:
    return lambda members: [(n, change(content) if n.endswith(name) else content) for n, content in members]


def linked(name: str, kind: bytes, target: str) -> Callable[[tarfile.TarInfo], None]:
    def change(info: tarfile.TarInfo) -> None:
        if info.name.endswith(name):
            info.type, info.linkname, info.size = kind, target, 0

    return change


TOP = SMALL["cifar10"].top
BATCH = "data_batch_3.bin"
WRONG = {
    "missing": (without(BATCH), f"it has no {TOP}/{BATCH}"),
    "no names": (without(".txt"), f"it has no {TOP}/batches.meta.txt"),
    "shorter": (resized(BATCH, lambda content: content[:-1]), f"{BATCH} in it has 12,291 bytes, expected 12,292"),
    "longer": (resized(BATCH, lambda content: content + b"x"), f"{BATCH} in it has 12,293 bytes, expected 12,292"),
    "labels": (resized(BATCH, lambda content: b"\x0a" + content[1:]), f"{BATCH} in it has label 10, expected 0 to 9"),
    "names": (resized(".txt", lambda content: b"one\ntwo"), "has 2 names of classes, expected 10"),
    "long names": (resized(".txt", lambda content: content * 1000), "batches.meta.txt in it has"),
    "twice": (lambda members: [*members, members[0]], "or comes twice"),
    "other top": (lambda members: [(f"x/{n}", c) for n, c in members], "it has no cifar-10-batches-bin/data_batch_1"),
    "too much else": (lambda m: [("filler", bytes(2 << 20)), *m], "it unpacks to more than the"),
    "too many": (lambda m: [*[(f"f{i}", b"") for i in range(1001)], *m], "it has more than 1000 members"),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_archive_of_other_things(name: str, tmp_path: Path):
    change, reason = WRONG[name]
    path = tmp_path / "archive.tar.gz"
    path.write_bytes(tar(change(contents(SMALL["cifar10"]))))
    refused(path, reason)


def refused(path: Path, reason: str) -> None:
    with pytest.raises(DataError) as caught:
        read_cifar(path, SMALL["cifar10"], "cifar10", "ask the author")
    message = str(caught.value)
    assert message.startswith(f"[cifar10] {path}: ")
    assert reason in message
    assert message.endswith("; ask the author")
    assert "\n" not in message


def flip(packed: bytes, at: int) -> bytes:
    return packed[:at] + bytes([packed[at] ^ 1]) + packed[at + 1 :]


def entry(kind: bytes, content: bytes) -> bytes:
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, len(content)
    return info.tobuf(tarfile.USTAR_FORMAT) + content.ljust(512, b"\0")


LONG_NAME = entry(tarfile.GNUTYPE_LONGNAME, b"abc\0")
SPARSE = entry(tarfile.XHDTYPE, b"26 GNU.sparse.map=1,2,3,x\n")
DAMAGE = {
    "empty": (lambda packed: b"", "empty file"),
    "html": (lambda packed: b"<!DOCTYPE html>", "Not a gzipped file"),
    "gzip of html": (lambda packed: gzip.compress(b"<!DOCTYPE html>" * 99), "invalid header"),
    "cut": (lambda packed: packed[:-100], "end"),
    "half": (lambda packed: packed[: len(packed) // 2], "end"),
    "gzip's checksum": (lambda packed: flip(packed, len(packed) - 6), "CRC check failed"),
    "tar's checksum": (lambda packed: gzip.compress(flip(gzip.decompress(packed), 3)), "bad checksum"),
    "headers of headers": (lambda packed: gzip.compress(LONG_NAME * 1500 + gzip.decompress(packed)), "recursion depth"),
    "sparse": (lambda packed: gzip.compress(SPARSE + gzip.decompress(packed)), "invalid literal for int"),
    "cut before packing": (lambda packed: gzip.compress(gzip.decompress(packed)[:50_000]), "unexpected end of data"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_archive(name: str, tmp_path: Path):
    damage, reason = DAMAGE[name]
    path = tmp_path / "archive.tar.gz"
    path.write_bytes(damage(tar(contents(SMALL["cifar10"]))))
    refused(path, reason)


@pytest.mark.parametrize(
    "kind", [b"2", b"1", b"3", b"6", b"5", b"S"], ids=["soft", "hard", "device", "fifo", "folder", "sparse"]
)
def test_a_member_that_is_no_file_is_refused(kind: bytes, tmp_path: Path):
    path = tmp_path / "archive.tar.gz"
    path.write_bytes(tar(contents(SMALL["cifar10"]), change=linked(BATCH, kind, "/etc/passwd")))
    refused(path, f"{BATCH} in it is a link")


def test_nothing_is_unpacked_to_the_disk(tmp_path: Path, monkeypatch):
    place = tmp_path / "a" / "b"
    place.mkdir(parents=True)
    monkeypatch.chdir(place)
    path = place / "archive.tar.gz"
    evil = [
        ("../escaped", b"x"),
        (str(tmp_path / "absolute"), b"x"),
        (f"{TOP}/../../escaped", b"x"),
        (f"./{TOP}/{BATCH}", b"another file"),
        ("link", b""),
        ("link/through", b"x"),
    ]
    layout = SMALL["cifar10"]
    path.write_bytes(tar([*evil, *contents(layout)], change=linked("link", tarfile.SYMTYPE, str(tmp_path))))
    data = read_cifar(path, layout, "cifar10")
    assert len(data.train) == 20
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "a", place, path]


def test_a_bomb_takes_no_memory(tmp_path: Path, monkeypatch):
    """A long name of 64 MB, and a member that says it has 8 GB: either would be read whole by tarfile alone."""
    monkeypatch.setattr(cifar, "SLACK", 1 << 16)
    long = tarfile.TarInfo("././@LongLink")
    long.type, long.size = tarfile.GNUTYPE_LONGNAME, 64 << 20
    huge = tarfile.TarInfo(f"{TOP}/{BATCH}")
    huge.size = 8 << 30
    for info in (long, huge):
        path = tmp_path / "bomb.tar.gz"
        path.write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(64 << 20), 1))
        tracemalloc.start()
        try:
            refused(path, "it unpacks to more than the" if info is long else "has 8,589,934,592 bytes, expected 12,292")
            assert tracemalloc.get_traced_memory()[1] < 4 << 20
        finally:
            tracemalloc.stop()
