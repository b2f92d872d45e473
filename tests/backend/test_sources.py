"""Where kernel sources are found: in a checkout, and inside an installed package."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradflow.backend import sources


def test_the_contract_is_found_wherever_gradflow_is_imported_from():
    assert sources.kernel_folder().is_dir()
    assert sources.kernel_source("README.md").startswith("# Kernels")


def test_sources_are_named_by_their_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("cuda/b.cu", "cuda/a.cu", "cpu/a.cpp", "README.md"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"// {name}", encoding="utf-8")
    monkeypatch.setattr(sources, "PACKAGED", tmp_path)
    assert sources.kernel_sources() == ["cpu/a.cpp", "cuda/a.cu", "cuda/b.cu"]
    assert sources.kernel_sources("cuda") == ["cuda/a.cu", "cuda/b.cu"]
    assert sources.kernel_sources("emulator") == []
    assert sources.kernel_source("cuda/a.cu") == "// cuda/a.cu"
    for missing in ("cuda/c.cu", "cuda"):
        with pytest.raises(FileNotFoundError, match=r"\[kernel_source\] there is no .* \(there are: cpu/a.cpp, cuda"):
            sources.kernel_source(missing)


def test_the_package_comes_before_a_folder_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sources, "PACKAGED", tmp_path / "inside")
    monkeypatch.setattr(sources, "CHECKOUT", tmp_path / "beside")
    assert sources.kernel_folder() == tmp_path / "beside"
    (tmp_path / "inside").mkdir()
    assert sources.kernel_folder() == tmp_path / "inside"


@pytest.mark.parametrize("name", ["../pyproject.toml", "/etc/hosts", "cuda/../../x"])
def test_a_path_stays_below_the_folder(name: str):
    with pytest.raises(ValueError, match="must be a path below kernels/"):
        sources.kernel_source(name)
