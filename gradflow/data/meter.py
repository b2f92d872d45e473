"""How far a download is: a bar on a terminal, one line elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit


class Meter:
    """Shows nothing."""

    def start(self, name: str, url: str, have: int, total: int | None) -> None:
        """The file `name` comes from `url` now; `have` of its `total` bytes are there already."""

    def advance(self, count: int) -> None:
        """`count` bytes more have come."""

    def note(self, line: str) -> None:
        """Something a person who waits should know."""


class Line(Meter):
    """A line a file, on stderr."""

    def __init__(self) -> None:
        self._started = ""

    def start(self, name: str, url: str, have: int, total: int | None) -> None:
        if name != self._started:  # a transfer that broke and goes on is no news
            self._started = name
            size = f", {megabytes(total)}," if total is not None else ""
            self.note(f"downloading {name}{size} from {urlsplit(url).netloc}")

    def note(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)


class Bar(Meter):
    """rich's progress bar, on stderr."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.progress import TransferSpeedColumn as Speed

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), Speed(), TimeRemainingColumn())
        self._bars = Progress(*columns, console=Console(stderr=True))
        self._tasks: dict[str, object] = {}
        self._now: object = None

    def __enter__(self) -> Bar:
        self._bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bars.stop()

    def start(self, name: str, url: str, have: int, total: int | None) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=total)
        self._now = self._tasks[name]
        self._bars.update(self._now, completed=have, total=total)  # type: ignore[arg-type]

    def advance(self, count: int) -> None:
        self._bars.advance(self._now, count)  # type: ignore[arg-type]

    def note(self, line: str) -> None:
        self._bars.console.print(line, markup=False, highlight=False)


@contextmanager
def open_meter(progress: bool | None) -> Iterator[Meter]:
    """A bar where stderr is a terminal, else a line; nothing where `progress` is False, a bar where it is True."""
    if progress is False:
        yield Meter()
    elif progress or sys.stderr.isatty():
        with Bar() as bar:
            yield bar
    else:
        yield Line()


def megabytes(count: int) -> str:
    """A number of bytes for people: "26.4 MB", "5.1 kB", "812 bytes"."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
