"""The data sets that are known by name, and data by name or by path."""

from __future__ import annotations

import difflib
from pathlib import Path

from .arrays import load_npz
from .cifar import CIFAR10, CIFAR100
from .digits import FILE, load_digits
from .errors import DataError
from .folder import load_folder
from .images import ImageData
from .mnist import FASHION_MNIST, KMNIST, MNIST
from .source import Source, data_home, fetch, find_files, locate
from .svhn import SVHN

__all__ = ["SOURCES", "Source", "data_home", "fetch", "find_files", "load_data", "locate"]

DIGITS = Source(
    name="digits",
    title="handwritten digits, small ones",
    files=(),  # they are part of the package
    licence="CC BY 4.0",
    homepage="https://doi.org/10.24432/C50P49",
    origin=f"{FILE.name} in this package; the README.md beside it says where it is from",
    classes=10,
    images=(1_437, 360),
    shape=(1, 8, 8),
    load=lambda source, paths: load_digits(),
    checked=True,
)

SOURCES: dict[str, Source] = {
    source.name: source for source in (DIGITS, MNIST, FASHION_MNIST, KMNIST, CIFAR10, CIFAR100, SVHN)
}


def load_data(
    name_or_path: str | Path,
    data_dir: str | Path | None = None,
    *,
    download: bool = True,
    progress: bool | None = None,
    image_size: int | tuple[int, int] | None = None,
) -> ImageData:
    """The data set of a name in `SOURCES`, or the images in a folder of class folders or in an .npz file.

    A set's files are looked for in `data_dir`, only there if it is given; else in the cache (`data_home`), then where
    a system's package puts them, and are downloaded to the cache where they are nowhere and `download` allows it. The
    name of a set comes before a path of the same name: write "./mnist" for the folder. `image_size` is for folders,
    see `load_folder`. Raises DataError where there is no such data, or it is damaged or cannot be had.
    """
    name = str(name_or_path)
    if name in SOURCES or Path(name_or_path).is_file():
        if image_size is not None:
            raise DataError(f"[data] image_size resizes the images of a folder; those of {name} have their size")
        if name not in SOURCES:
            return load_npz(name_or_path)
        source = SOURCES[name]
        return source.load(source, find_files(source, data_dir, download=download, progress=progress))
    if Path(name_or_path).is_dir():
        return load_folder(name_or_path, image_size)
    raise DataError(
        f"[data] {name} is neither a data set nor a folder or file; {known(name)}, "
        "or the path of a folder of class folders, or of an .npz file"
    )


def known(name: str) -> str:
    """The names that there are, and the one that may have been meant, for who asked for another."""
    close = difflib.get_close_matches(name, SOURCES, 1)
    hint = f"did you mean {close[0]}? There" if close else "there"
    return f"{hint} are {', '.join(SOURCES)}"
