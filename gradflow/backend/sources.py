"""Kernel sources: the files under `kernels/`, which the wheel carries inside the package."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

PACKAGED = Path(__file__).parents[1] / "kernel_sources"
CHECKOUT = Path(__file__).parents[2] / "kernels"


def kernel_folder() -> Path:
    """The folder with the sources: the package's own, or that of the checkout it is imported from."""
    # Installed, the second would be a top-level "kernels" of somebody else's.
    return PACKAGED if PACKAGED.is_dir() else CHECKOUT


def kernel_source(name: str) -> str:
    """The text of one source, named by its path below `kernels/`: "cuda/sigmoid.cu", "cpu/common.h".

    FileNotFoundError where there is none, naming those there are; ValueError for a path that leaves the folder.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"[kernel_source] {name!r} must be a path below kernels/, such as 'cuda/sigmoid.cu'")
    folder = kernel_folder()
    try:
        return (folder / path).read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        known = ", ".join(kernel_sources()) or "none"
        raise FileNotFoundError(f"[kernel_source] there is no {name} in {folder} (there are: {known})") from None


def kernel_sources(kind: str = "") -> list[str]:
    """The names of all sources, or of those of a kind: "cuda", "cpu", "emulator"."""
    folder = kernel_folder()
    found = [p.relative_to(folder).as_posix() for p in (folder / kind).rglob("*") if p.is_file()]
    return sorted([name for name in found if not name.endswith((".md", ".pyc"))])
