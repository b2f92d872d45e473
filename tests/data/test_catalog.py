"""The data sets that are known by name: what is said of them, where their files are looked for, and the real ones."""

from __future__ import annotations

import gzip
import hashlib
import re
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_site import Site, serve

import gradflow
from gradflow.data import DataError, ImageData, data_home, find_files, load_data, load_fashion_mnist, mnist
from gradflow.data.catalog import SOURCES
from gradflow.data.download import RemoteFile
from gradflow.data.mnist import DEBIAN_DIR, FASHION_MNIST
from gradflow.data.source import fetch, locate

BARE = replace(FASHION_MNIST, folders=())
FASHION_FILES = [file.name for file in FASHION_MNIST.files]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch) -> Path:
    """An empty cache, no package of the system, and no way out."""
    monkeypatch.setenv("GRADFLOW_DATA", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setitem(SOURCES, "fashion-mnist", BARE)
    monkeypatch.setattr(mnist, "FASHION_MNIST", BARE)
    return tmp_path / "home"


@pytest.mark.parametrize("name", SOURCES)
def test_what_is_said_of_a_source(name: str):
    source = SOURCES[name]
    assert source.name == name
    assert source.licence
    assert source.origin
    assert source.homepage.startswith("http")
    for file in source.files:
        assert re.fullmatch(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}", file.checksum)
        assert all(url.startswith(("https://", "http://")) and url.endswith(f"/{file.name}") for url in file.urls)
        assert file.size is not None
    assert len({file.checksum for file in source.files}) == len(source.files)


def test_only_what_was_read_here_is_said_to_be():
    assert {name for name, source in SOURCES.items() if source.checked} == {"digits", "fashion-mnist"}


@pytest.mark.skipif(not DEBIAN_DIR.is_dir(), reason="dataset-fashion-mnist is not installed")
@pytest.mark.parametrize("file", FASHION_MNIST.files, ids=lambda file: file.name)
def test_the_installed_files_are_the_published_ones(file: RemoteFile):
    packed = (DEBIAN_DIR / file.name).read_bytes()
    assert packed[:4] == b"\x1f\x8b\x08\x00"  # a header without a name: ten bytes
    time = 1504176606 if file.name.startswith("train") else 1504176627
    name = file.name.removesuffix(".gz").encode()
    published = b"\x1f\x8b\x08\x08" + struct.pack("<I", time) + b"\0\3" + name + b"\0" + packed[10:]
    assert len(published) == file.size
    assert f"md5:{hashlib.md5(published).hexdigest()}" == file.checksum


@pytest.mark.skipif(not DEBIAN_DIR.is_dir(), reason="dataset-fashion-mnist is not installed")
def test_the_real_fashion_mnist():
    data = load_fashion_mnist(DEBIAN_DIR)
    assert (len(data.train), len(data.test)) == FASHION_MNIST.images
    assert data.input_shape == FASHION_MNIST.shape
    assert np.bincount(data.train.labels).tolist() == [6000] * 10
    assert data.train.pixels.dtype == np.uint8
    assert data.train.pixels.max() == 255


def test_the_catalogue_loads_no_package_that_only_some_sources_need():
    code = "import sys, gradflow.data.catalog; print({'PIL', 'filelock', 'pooch', 'rich', 'scipy'} & set(sys.modules))"
    root = Path(gradflow.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_digits_need_no_file():
    data = load_data("digits", download=False)
    assert (len(data.train), len(data.test)) == SOURCES["digits"].images
    assert data.input_shape == SOURCES["digits"].shape
    assert len(data.classes) == SOURCES["digits"].classes


def test_the_cache_is_where_it_is_said_to_be(monkeypatch, home: Path):
    assert data_home() == home
    monkeypatch.delenv("GRADFLOW_DATA")
    monkeypatch.setenv("GRADFLOW_CACHE", "/somewhere")
    assert data_home() == Path("/somewhere/data")


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "kmnist"])
def test_a_set_of_the_mnist_family(fashion_dir: Path, name: str):
    data = load_data(name, fashion_dir)
    assert isinstance(data, ImageData)
    assert (data.name, len(data.train), len(data.test), data.input_shape) == (name, 40, 20, (1, 28, 28))
    assert len(data.classes) == 10
    assert data.train.pixels.dtype == np.uint8


def put(files: dict[str, bytes], folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def test_where_files_are_looked_for(tmp_path: Path, home: Path):
    files = dict.fromkeys(FASHION_FILES, b"")
    assert locate(BARE) is None
    package = put(files, tmp_path / "package")
    source = replace(BARE, folders=(package,))

    def folder(data_dir: Path | None = None) -> Path:
        found = locate(source, data_dir)
        assert found is not None
        assert list(found) == FASHION_FILES
        return next(iter(found.values())).parent

    assert folder() == package
    partial = put(dict.fromkeys(FASHION_FILES[:3], b""), home / "fashion-mnist")
    assert folder() == package  # the files come from one folder
    (partial / FASHION_FILES[3]).write_bytes(b"")
    assert folder() == partial
    given = put(files, tmp_path / "given")
    assert folder(given) == given
    inner = put(files, given / "fashion-mnist")
    assert folder(given) == inner
    assert folder(tmp_path / "nowhere") == partial  # else as without a folder of one's own


def test_missing_files_are_named_with_the_cure(fashion_dir: Path, tmp_path: Path):
    for name in ("train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz"):
        (fashion_dir / name).unlink()
    cases = [
        (load_fashion_mnist, tmp_path / "nowhere", "there is no folder"),
        (load_fashion_mnist, fashion_dir, "train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz not found in"),
        (load_fashion_mnist, None, "there is no folder"),  # downloads only if told to
    ]
    for load, folder, reason in cases:
        with pytest.raises(DataError) as caught:
            load(folder)
        message = str(caught.value)
        assert message.startswith(f"[fashion-mnist] {reason}")
        assert "apt-get install dataset-fashion-mnist" in message
        assert "gradflow data fetch fashion-mnist" in message
        assert "--data-dir" in message
    with pytest.raises(DataError, match=r"^\[kmnist\] there is no folder .*; fetch them with"):
        find_files(SOURCES["kmnist"], download=False)


@pytest.fixture
def site():
    with Site() as site:
        yield site


def on(site: Site, folder: Path):
    """Fashion-MNIST as small as in `folder`, published on `site`."""
    files = []
    for name in FASHION_FILES:
        content = (folder / name).read_bytes()
        url = site.put(f"/{name}", serve(content))
        files.append(RemoteFile(name, (url,), f"md5:{hashlib.md5(content).hexdigest()}", len(content)))
    return replace(BARE, files=tuple(files))


def test_what_is_nowhere_is_downloaded_once(site: Site, fashion_dir: Path, home: Path, monkeypatch, capsys):
    monkeypatch.setitem(SOURCES, "fashion-mnist", on(site, fashion_dir))
    for _ in range(2):
        data = load_data("fashion-mnist")
        np.testing.assert_array_equal(data.train.images, load_fashion_mnist(fashion_dir).train.images)
    assert [request.path for request in site.requests] == [f"/{name}" for name in FASHION_FILES]
    assert sorted(path.name for path in (home / "fashion-mnist").iterdir()) == sorted([".lock", *FASHION_FILES])
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 4
    load_data("fashion-mnist", progress=False, download=False)


def test_offline_says_what_to_put_where(fashion_dir: Path, home: Path, tmp_path: Path):
    with Site() as gone:
        source = on(gone, fashion_dir)
    with pytest.raises(DataError) as caught:
        find_files(source, progress=False)
    message = str(caught.value)
    assert "could not be had" in message
    assert "no connection (" in message
    assert f"put {', '.join(FASHION_FILES)} into {home / 'fashion-mnist'}" in message
    assert "apt-get install" in message


def test_fetching_checks_what_is_there(site: Site, fashion_dir: Path, tmp_path: Path):
    source = on(site, fashion_dir)
    paths = fetch(source, tmp_path / "new", progress=False)
    assert [path.parent for path in paths.values()] == [tmp_path / "new" / "fashion-mnist"] * 4
    paths[FASHION_FILES[1]].write_bytes(b"damaged")
    fetch(source, tmp_path / "new", progress=False)
    assert [request.path for request in site.requests[4:]] == [f"/{FASHION_FILES[1]}"]


def test_by_path_or_by_name(fashion_dir: Path, tmp_path: Path, monkeypatch):
    (tmp_path / "mnist").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_data("mnist", fashion_dir).name == "mnist"
    with pytest.raises(DataError, match="a folder for each class"):
        load_data("./mnist")
    np.savez(tmp_path / "own.npz", x=np.zeros((10, 4, 4), np.uint8), y=np.arange(10) % 2)
    assert load_data(tmp_path / "own.npz").name == "own"
    for name, hint in (("fashion", "did you mean fashion-mnist?"), ("qqq", "there are digits, mnist, fashion-mnist")):
        with pytest.raises(DataError, match=rf"^\[data\] {name} is neither .*{re.escape(hint)}"):
            load_data(name)
    for name in ("digits", "own.npz"):
        with pytest.raises(DataError, match="image_size resizes the images of a folder"):
            load_data(name, image_size=8)


def test_a_damaged_set_names_the_file_and_the_cure(fashion_dir: Path):
    path = fashion_dir / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(b"<!DOCTYPE html>"))
    with pytest.raises(DataError, match=rf"{path}: expected the magic number .*gradflow data fetch kmnist"):
        load_data("kmnist", fashion_dir)
