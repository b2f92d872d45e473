"""Where the cache folder is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gradflow.backend.cache import cache_dir

HOME = Path("/home/ada")


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    for name in ("GRADFLOW_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: HOME)


def test_the_variable_decides(monkeypatch, tmp_path):
    monkeypatch.setenv("GRADFLOW_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path


@pytest.mark.parametrize(
    ("system", "variables", "expected"),
    [
        ("linux", {}, HOME / ".cache" / "gradflow"),
        ("linux", {"XDG_CACHE_HOME": "/var/cache/ada"}, Path("/var/cache/ada/gradflow")),
        ("linux", {"XDG_CACHE_HOME": "not/absolute"}, HOME / ".cache" / "gradflow"),
        ("darwin", {"XDG_CACHE_HOME": "/elsewhere"}, HOME / "Library" / "Caches" / "gradflow"),
        ("win32", {"LOCALAPPDATA": "/c/local"}, Path("/c/local/gradflow/Cache")),
        ("win32", {}, HOME / "AppData" / "Local" / "gradflow" / "Cache"),
    ],
)
def test_each_platform_has_its_place(monkeypatch, system, variables, expected):
    monkeypatch.setattr(sys, "platform", system)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_dir() == expected
