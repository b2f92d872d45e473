"""`gradflow data`: the data sets there are, where their files are, and fetching them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.catalog import SOURCES, known
from ..data.errors import DataError
from ..data.meter import megabytes
from ..data.source import Source, data_home, fetch, locate

if TYPE_CHECKING:
    from rich.console import Console

OTHERS = "or your own: --data FOLDER with a folder of images for each class, or --data FILE.npz with arrays x and y"


@dataclass(frozen=True)
class Place:
    """Where the files of a data set are; `folder` is None where they are nowhere, `begun` counts bytes in the cache."""

    source: Source
    kind: str  # "embedded", "cached", "installed", "given" or "absent"
    folder: Path | None
    begun: int


def places(data_dir: Path | None = None) -> list[Place]:
    """All data sets that are known by name, and where they are; `data_dir` is looked at first."""
    return [_place(source, data_dir) for source in SOURCES.values()]


def run(*, data_dir: Path | None = None, as_json: bool = False) -> int:
    """List the data sets as a table, or with `as_json` as one JSON document."""
    found = places(data_dir)
    if as_json:
        print(json.dumps([_facts(place) for place in found], indent=2, ensure_ascii=False))
        return 0
    from rich.console import Console

    render(found, Console(highlight=False))
    return 0


def run_fetch(*, names: Sequence[str], data_dir: Path | None = None) -> int:
    """Download data sets, or check those that are downloaded, in `data_dir`/NAME or the cache; say where each is."""
    for name in names:
        if name not in SOURCES:
            raise DataError(f"[data] there is no data set {name}; {known(name)}")
    for name in names:
        source = SOURCES[name]
        if not source.files:
            print(f"{name} is part of the package")
            continue
        try:
            paths = fetch(source, data_dir)
        except KeyboardInterrupt:
            print(f'what came of {name} is kept; "gradflow data fetch {name}" goes on', file=sys.stderr)
            raise
        folder = next(iter(paths.values())).parent
        print(f"{name} is in {folder}, {megabytes(sum([path.stat().st_size for path in paths.values()]))}, checked")
    return 0


def render(found: Sequence[Place], console: Console) -> None:
    """The table of data sets, and what to do with it."""
    from rich.table import Table

    wide = console.width >= 110
    table = Table(box=None, pad_edge=False)
    for column in ("name", *(["what"] if wide else []), "images", "pixels", "classes", "size", "here", "licence"):
        table.add_column(column, justify="right" if column in ("images", "classes", "size") else "left")
    for place in found:
        source = place.source
        table.add_row(
            source.name,
            *([source.title] if wide else []),
            f"{sum(source.images):,}",
            "x".join([str(size) for size in source.shape]),
            str(source.classes),
            megabytes(source.size) if source.size else "",
            place.kind if place.kind != "absent" else "no",
            source.licence,
        )
    console.print(table)
    untried = [place.source.name for place in found if not place.source.checked]
    lines = [""]
    lines += [f"{place.source.name} is in {place.folder}" for place in found if place.folder is not None]
    lines += [
        f"{megabytes(place.begun)} of {place.source.name} are downloaded"
        for place in found
        if place.begun and place.folder is None
    ]
    lines += [f"downloads are kept in {data_home()}"]
    lines += [f"never downloaded with this code, only read from made-up files: {', '.join(untried)}"] if untried else []
    lines += ['where addresses and checksums come from: "gradflow data --json"']
    lines += ['get one with "gradflow data fetch NAME"; "gradflow train --data NAME" does it too', OTHERS]
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)


def _place(source: Source, data_dir: Path | None) -> Place:
    if not source.files:
        return Place(source, "embedded", None, 0)
    paths = locate(source, data_dir)
    cache = (data_home() if data_dir is None else data_dir) / source.name
    begun = sum([path.stat().st_size for path in _downloads(cache, source)])
    if paths is None:
        return Place(source, "absent", None, begun)
    folder = next(iter(paths.values())).parent
    kind = "cached" if folder == data_home() / source.name else "installed" if folder in source.folders else "given"
    return Place(source, kind, folder, begun)


def _downloads(folder: Path, source: Source) -> list[Path]:
    """The files of a download that is not complete."""
    paths = [folder / f"{file.name}{ending}" for file in source.files for ending in ("", ".part")]
    return [path for path in paths if path.is_file()]


def _facts(place: Place) -> dict[str, Any]:
    """What is known of a data set, for programs."""
    source = place.source
    return {
        "name": source.name,
        "title": source.title,
        "train": source.images[0],
        "test": source.images[1],
        "shape": source.shape,
        "classes": source.classes,
        "size": source.size,
        "licence": source.licence,
        "homepage": source.homepage,
        "origin": source.origin,
        "checked": source.checked,
        "here": place.kind,
        "folder": None if place.folder is None else str(place.folder),
        "files": [
            {"name": file.name, "urls": file.urls, "checksum": file.checksum, "size": file.size}
            for file in source.files
        ],
    }
