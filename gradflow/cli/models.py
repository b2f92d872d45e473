"""`gradflow models`: the models there are, a line each."""

from __future__ import annotations

import json
from dataclasses import asdict

from ..models import MODELS
from ..models.build import REFERENCE

HEADER = ("model", "parameters", "width", "images", "")
RIGHT = (1, 2)  # the columns of numbers


def run(*, as_json: bool = False) -> int:
    """Print the table, or with `as_json` a list of objects; 0."""
    print(json.dumps(facts(), indent=1) if as_json else "\n".join(lines()))
    return 0


def facts() -> list[dict[str, object]]:
    """What there is to know about each model, as JSON has it."""
    found = []
    for info in MODELS.values():
        known = asdict(info)
        del known["build"]
        known["images"] = info.takes
        found.append(known)
    return found


def lines() -> list[str]:
    """The table and what to know about it."""
    rows = [HEADER]
    for info in MODELS.values():
        rows.append((info.name, f"{info.parameters:,}", str(info.width or "-"), info.takes, info.about))
    widths = [max([len(row[i]) for row in rows]) for i in range(len(HEADER))]
    table = []
    for row in rows:
        cells = [
            cell.rjust(w) if i in RIGHT else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        table.append("  ".join(cells).rstrip())
    classes, shape = REFERENCE
    return [
        *table,
        f"Parameters are those for {classes} classes and images of {'x'.join([str(n) for n in shape])}.",
        "Another width: gradflow train --model resnet9 --width 16",
        "Your own:      gradflow train --model path/to/file.py:function",
    ]
