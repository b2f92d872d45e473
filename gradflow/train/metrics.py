"""The metrics file of a run: JSON lines, one for each epoch and a last one for the whole."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from .atomic import cannot_write, write_atomically


class MetricsFile:
    """Appends records to a file, each a line of JSON that is on its way to the disk when `write` returns."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def write(self, event: str, **values: Any) -> None:
        """Append `{"event": event, **values}`. JSON has no NaN and no infinity: they become null."""
        line = _record(event, values)
        needed = len(line)
        try:
            with open(self.path, "ab", buffering=0) as file:
                start = file.tell()
                try:
                    while line:  # a nearly full disk takes a part first
                        line = line[file.write(line) :]
                except OSError:
                    with suppress(OSError):  # half a line would spoil the file for the lines after it
                        file.truncate(start)
                    raise
        except OSError as error:
            raise OSError(f"[metrics] {cannot_write(self.path, error, needed)}") from error

    def rewrite(self, records: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """Have the file hold these records, (event, values), and no others; the old file or the new one, whole."""
        data = b"".join([_record(event, values) for event, values in records])
        try:
            write_atomically(self.path, data)
        except OSError as error:
            raise OSError(f"[metrics] {cannot_write(self.path, error, len(data))}") from error


def read_metrics(path: str | Path) -> list[dict[str, Any]]:
    """The records of a metrics file. A last line cut short, as a crash may leave, is passed over."""
    records = []
    lines = Path(path).read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise ValueError
            records.append(record)
        except ValueError:
            if number < len(lines):
                raise ValueError(
                    f"[metrics] {path}: line {number} is not a JSON object: {line[:60]!r}; mend or remove that line"
                ) from None
    return records


def _record(event: str, values: Mapping[str, Any]) -> bytes:
    record = {"event": event, **{name: _plain(value) for name, value in values.items()}}
    return json.dumps(record).encode() + b"\n"


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
