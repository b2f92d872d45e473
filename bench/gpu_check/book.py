"""What a part writes down while it runs, in a file that is whole at every moment."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from time import monotonic
from typing import Any

SPEED = re.compile(r"\b(ms|s|seconds|[GT]B/s|TFLOP/s|of copy|ratio|images/s)$")
"""Columns that say how fast something is: a rehearsal leaves them empty, because it tells nothing about a GPU."""


class Skip(Exception):  # noqa: N818 - not an error
    """Raised by a part that has nothing to do here, with the reason."""


def write_whole(path: Path, text: str) -> None:
    """Write a file such that a reader, or a crash, finds the old text or the new one."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.new")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)


class Book:
    """A part's results: tables of rows, notes, and faults, any of which makes the part fail.

    small    whether this is a rehearsal, without a GPU: sizes are small and no speed is kept
    left()   seconds until the part must end
    """

    def __init__(self, path: Path, device: str, budget: float, data: str | None = None) -> None:
        self.path, self.device, self.data = path, device, data
        self.small = device != "cuda"
        self._end = monotonic() + budget
        self.found: dict[str, Any] = {
            "status": None,
            "reason": "",
            "notes": [],
            "faults": [],
            "left out": [],
            "tables": {},
        }

    def left(self) -> float:
        return self._end - monotonic()

    def row(self, table: str, **cells: Any) -> None:
        """Add a row to a table; the names of the cells are its columns, an underscore for a space."""
        named = {name.replace("_", " "): value for name, value in cells.items()}
        self.add(table, named)

    def add(self, table: str, cells: dict[str, Any]) -> None:
        """The same for names that are no identifiers."""
        if self.small:
            cells = {name: None if SPEED.search(name) else value for name, value in cells.items()}
        self.found["tables"].setdefault(table, []).append(cells)
        self.save()

    def note(self, text: str) -> None:
        self.found["notes"].append(text)
        self.save()

    def fault(self, text: str) -> None:
        """Something is wrong; the part goes on."""
        self.found["faults"].append(text)
        self.save()

    def leave_out(self, what: str) -> None:
        """There was no time for something; without faults the part is out of time."""
        self.found["left out"].append(what)
        self.save()

    def end(self, status: str, reason: str = "") -> None:
        self.found.update(status=status, reason=reason)
        self.save()

    def save(self) -> None:
        write_whole(self.path, json.dumps(self.found, default=str))
