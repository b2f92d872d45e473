"""Fixtures of the tests of kernels."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def module_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def own_cache(module_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of the module's own, and the compiler that is found without being told."""
    monkeypatch.setenv("GRADFLOW_CACHE", str(module_cache))
    for name in ("GRADFLOW_CXX", "CXX", "GRADFLOW_EMULATOR_ASAN"):
        monkeypatch.delenv(name, raising=False)
