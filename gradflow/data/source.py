"""A data set that others publish: what is known of it, where its files are, and fetching those that are nowhere."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..backend.cache import cache_dir
from .download import RemoteFile, download
from .errors import DataError
from .images import ImageData

Paths = Mapping[str, Path]


@dataclass(frozen=True)
class Source:
    """A data set by name, and all that is known of it.

    `load(source, paths)` makes the data of the files, which `paths` gives by their names in `files`. `origin` says
    where the files' addresses, checksums and sizes come from. `checked` is True where files of those checksums have
    been read by this code; of the others only the code that downloads and reads them has been tried, on made-up files.
    `folders` are places where a system's package puts the files, `remedy` how to get that package.
    """

    name: str
    title: str
    files: tuple[RemoteFile, ...]
    licence: str
    homepage: str
    origin: str
    classes: int
    images: tuple[int, int]
    shape: tuple[int, int, int]
    load: Callable[[Source, Paths], ImageData]
    checked: bool = False
    folders: tuple[Path, ...] = ()
    remedy: str = ""

    @property
    def size(self) -> int | None:
        """The bytes of all files, None where one's size is not known."""
        sizes = [file.size for file in self.files]
        return None if None in sizes else sum([size or 0 for size in sizes])

    @property
    def cure(self) -> str:
        """What to do where a file is missing or damaged."""
        package = f"{self.remedy}, " if self.remedy else ""
        return (
            f'{package}fetch them with "gradflow data fetch {self.name}", or name a folder with good ones (--data-dir)'
        )


def data_home() -> Path:
    """The folder that downloads are kept in, each data set in one of its own: `GRADFLOW_DATA`, or gradflow's cache."""
    chosen = os.environ.get("GRADFLOW_DATA")
    return Path(chosen).expanduser() if chosen else cache_dir() / "data"


def locate(source: Source, data_dir: str | Path | None = None) -> dict[str, Path] | None:
    """The paths of all files of `source` by their names, from the first folder that has all of them; None if none has.

    That is `data_dir`, a folder in it with the set's name first, then the cache, then where a system's package puts
    them. A gzip file may lie there unpacked.
    """
    for folder in _places(source, data_dir):
        paths = _in(folder, source)
        if len(paths) == len(source.files):
            return paths
    return None


def find_files(
    source: Source, data_dir: str | Path | None = None, *, download: bool = True, progress: bool | None = None
) -> dict[str, Path]:
    """The paths of all files of `source` by their names, downloaded where they are nowhere: to `data_dir` or the cache.

    Looks where `locate` does. Raises DataError, which names the missing files and says what to do, where `data_dir` is
    no folder, where nothing may be downloaded, and where that fails.
    """
    if data_dir is not None and not Path(data_dir).is_dir():
        raise DataError(f"[{source.name}] there is no folder {data_dir}; {source.cure}")
    found = locate(source, data_dir)
    if found is not None:
        return found
    if download:
        return fetch(source, data_dir, progress=progress)
    folder = max(_places(source, data_dir), key=lambda place: (place.is_dir(), len(_in(place, source))))
    if not folder.is_dir():
        raise DataError(f"[{source.name}] there is no folder {folder}; {source.cure}")
    missing = ", ".join([file.name for file in source.files if file.name not in _in(folder, source)])
    raise DataError(f"[{source.name}] {missing} not found in {folder}; {source.cure}")


def fetch(source: Source, data_dir: str | Path | None = None, *, progress: bool | None = None) -> dict[str, Path]:
    """Download to `data_dir`/NAME, or the cache, what is not there with the right checksum; the paths by name."""
    folder = (data_home() if data_dir is None else Path(data_dir)) / source.name
    names = ", ".join([file.name for file in source.files])
    package = f", or {source.remedy}" if source.remedy else ""
    cure = f"with a connection the same command goes on; by hand: put {names} into {folder}{package}"
    return {file.name: download(file, folder, cure=cure, progress=progress) for file in source.files}


def _places(source: Source, data_dir: str | Path | None) -> list[Path]:
    given = [] if data_dir is None else [Path(data_dir) / source.name, Path(data_dir)]
    return [*given, data_home() / source.name, *source.folders]


def _in(folder: Path, source: Source) -> dict[str, Path]:
    """The files of `source` that are in `folder`."""
    found = {}
    for file in source.files:
        names = [file.name]
        if file.name.endswith(".gz") and not file.name.endswith(".tar.gz"):
            names.append(file.name.removesuffix(".gz"))
        paths = [folder / name for name in names if (folder / name).is_file()]
        if paths:
            found[file.name] = paths[0]
    return found
