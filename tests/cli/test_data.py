"""`gradflow data`: what it lists, and fetching from a server on this machine."""

from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_site import Site, serve

from gradflow.cli import data as command
from gradflow.data import DataError
from gradflow.data.catalog import SOURCES
from gradflow.data.download import RemoteFile
from gradflow.data.mnist import FASHION_MNIST, MNIST, NAMES


def content(name: str) -> bytes:
    """A small file of MNIST's kind."""
    count = 8 if name.startswith("train") else 4
    images = "images" in name
    shape = (count, 28, 28) if images else (count,)
    header = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()
    return gzip.compress(header + bytes(int(np.prod(shape))), mtime=0)


@pytest.fixture
def site(tmp_path: Path, monkeypatch):
    """A server that has MNIST, an empty cache, and no package of the system."""
    monkeypatch.setenv("GRADFLOW_DATA", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setitem(SOURCES, "fashion-mnist", replace(FASHION_MNIST, folders=()))
    with Site() as site:
        files = []
        for name in NAMES:
            md5 = hashlib.md5(content(name)).hexdigest()
            files.append(
                RemoteFile(name, (site.put(f"/{name}", serve(content(name))),), f"md5:{md5}", len(content(name)))
            )
        monkeypatch.setitem(SOURCES, "mnist", replace(MNIST, files=tuple(files)))
        yield site


def rows(out: str) -> dict[str, str]:
    """The lines of the table by the name they begin with."""
    return {line.split()[0]: line for line in out.split("\n\n")[0].splitlines()}


def test_the_list(site: Site, capsys):
    assert command.run() == 0
    out, err = capsys.readouterr()
    assert err == ""
    table = rows(out)
    assert list(table) == ["name", *SOURCES]
    assert all(len(line) <= 80 for line in table.values())
    assert "embedded" in table["digits"]
    assert table["cifar10"].split() == ["cifar10", "60,000", "3x32x32", "10", "170.1", "MB", "no", "none", "stated"]
    assert "non-commercial use" in table["svhn"]
    assert "gradflow data fetch NAME" in out


def test_a_wide_terminal_shows_what_the_sets_are(site: Site, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    command.run()
    assert "cursive Japanese characters" in rows(capsys.readouterr().out)["kmnist"]


def test_fetch_then_list(site: Site, tmp_path: Path, capsys):
    assert command.run_fetch(names=["digits", "mnist"]) == 0
    out, err = capsys.readouterr()
    folder = tmp_path / "home" / "mnist"
    size = sum([len(content(name)) for name in NAMES])
    assert out == f"digits is part of the package\nmnist is in {folder}, {size} bytes, checked\n"
    assert len(err.splitlines()) == 4
    command.run()
    out = capsys.readouterr().out
    assert rows(out)["mnist"].split()[6] == "cached"
    assert f"mnist is in {folder}" in out
    command.run_fetch(names=["mnist"])
    assert len(site.requests) == 4  # the second time all was there


def test_a_download_that_is_not_complete_is_listed(site: Site, tmp_path: Path, capsys):
    del site.answers[f"/{NAMES[2]}"]
    with pytest.raises(DataError, match=f"{NAMES[2]} could not be had"):
        command.run_fetch(names=["mnist"])
    capsys.readouterr()
    command.run()
    out = capsys.readouterr().out
    assert rows(out)["mnist"].split()[6] == "no"
    assert f"{sum([len(content(name)) for name in NAMES[:2]])} bytes of mnist are downloaded" in out


def test_another_folder(site: Site, tmp_path: Path, capsys):
    command.run_fetch(names=["mnist"], data_dir=tmp_path / "own")
    capsys.readouterr()
    for folder in (tmp_path / "own", tmp_path / "own" / "mnist"):
        command.run(data_dir=folder)
        out = capsys.readouterr().out
        assert rows(out)["mnist"].split()[6] == "given"
        assert f"mnist is in {tmp_path / 'own' / 'mnist'}" in out
    command.run()
    assert rows(capsys.readouterr().out)["mnist"].split()[6] == "no"


def test_json_says_all(site: Site, tmp_path: Path, capsys):
    command.run_fetch(names=["mnist"])
    capsys.readouterr()
    command.run(as_json=True)
    found = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert list(found) == list(SOURCES)
    assert (found["mnist"]["here"], found["mnist"]["folder"]) == ("cached", str(tmp_path / "home" / "mnist"))
    assert (found["kmnist"]["here"], found["kmnist"]["folder"]) == ("absent", None)
    cifar = found["cifar100"]
    assert (cifar["licence"], cifar["checked"], cifar["size"]) == ("none stated", False, 168_513_733)
    assert cifar["files"][0]["checksum"] == "md5:03b5dce01913d631647c71ecec9e9cb8"
    assert "mindspore-lab/mindcv" in cifar["origin"]


def test_a_name_that_is_none_is_refused_before_anything_is_fetched(site: Site):
    with pytest.raises(DataError, match=r"there is no data set minst; did you mean mnist\? There are digits, mnist"):
        command.run_fetch(names=["mnist", "minst"])
    assert site.requests == []


def test_ctrl_c_says_how_to_go_on(site: Site, capsys, monkeypatch):
    def interrupted(source: object, data_dir: Path | None) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "fetch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        command.run_fetch(names=["mnist"])
    assert capsys.readouterr().err == 'what came of mnist is kept; "gradflow data fetch mnist" goes on\n'
