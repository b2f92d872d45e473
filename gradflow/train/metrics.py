"""The metrics file of a run: JSON lines, one for each epoch and a last one for the whole."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any


class MetricsFile:
    """Appends records to a file, each a line of JSON that is on its way to the disk when `write` returns."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def write(self, event: str, **values: Any) -> None:
        """Append `{"event": event, **values}`. JSON has no NaN and no infinity: they become null."""
        line = json.dumps({"event": event, **{name: _plain(value) for name, value in values.items()}})
        try:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            raise OSError(
                f"[metrics] cannot write {self.path}: {error.strerror or error}; "
                "free some space or choose another folder"
            ) from error


def read_metrics(path: str | Path) -> list[dict[str, Any]]:
    """The records of a metrics file. A last line cut short, as a crash may leave, is passed over."""
    records = []
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        try:
            records.append(json.loads(line))
        except ValueError:
            if number < len(lines):
                raise ValueError(f"[metrics] {path}: line {number} is not JSON: {line[:60]!r}") from None
    return records


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
