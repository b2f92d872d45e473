"""What a parity audit found: a row for each operation, and the table of them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from .wording import aligned

FORWARD, BACKWARD, INSIDE = "forward", "backward", "inside"
HEADINGS = {FORWARD: "forward", BACKWARD: "backward: the vjps of these", INSIDE: "called by those"}
DIVERGES = "DIVERGES"


@dataclass
class Row:
    """All calls of one operation in one part of the step.

    part           "forward"; "backward", the vjp of the operation; "inside", called by either
    ran            how its calls ran: {"kernel": 2, "fallback": 1, "array code": 1}, or, of vjps, the kernels they ran
    refusals       why its kernel was not taken in those that fell back
    device_error   largest relative error of the device against float64
    numpy_error    that of NumPy in the operands' own dtype (float32, usually), None where nothing was compared
    seconds        of all calls together, `bytes` read and written by them, each operand and result counted once
    """

    op: str
    part: str
    calls: int = 0
    ran: dict[str, int] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)
    device_error: float | None = None
    numpy_error: float | None = None
    seconds: float = 0.0
    bytes: int = 0
    diverges: bool = False

    @property
    def bandwidth(self) -> float:
        """Bytes a second; 0 for views, which move nothing."""
        return self.bytes / self.seconds if self.seconds else 0.0


@dataclass
class Audit:
    """What an audit found: its rows, in the order of their first calls, and the first call that diverges, if any."""

    device: str
    tolerance: float
    copy_bandwidth: float
    rows: list[Row] = field(default_factory=list)
    diverged: str | None = None

    @property
    def ok(self) -> bool:
        return self.diverged is None

    def summary(self) -> list[str]:
        """What the table amounts to, in lines."""
        whole = [row for row in self.rows if row.part != INSIDE]
        seconds, moved = sum([row.seconds for row in whole]), sum([row.bytes for row in whole])
        refused = [f"{row.op} ran as array code: {reason}" for row in self.rows for reason in row.refusals]
        return [
            *refused,
            f"{sum([row.calls for row in whole])} operations on {self.device}: {seconds * 1e3:.2f} ms one by one, "
            f"{moved / 1e6:.1f} MB; a copy moves {self.copy_bandwidth / 1e9:.1f} GB/s",
            f"first that {DIVERGES}: {self.diverged}" if self.diverged else "nothing diverges",
        ]

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON; an infinite error is None in a row that diverges."""
        rows = [{**asdict(row), "device_error": _finite(row.device_error)} for row in self.rows]
        rows = [{**row, "numpy_error": _finite(row["numpy_error"])} for row in rows]
        return {**asdict(self), "rows": rows, "ok": self.ok}

    def lines(self) -> list[str]:
        """The table, the parts of the step under headings, and the summary below it."""
        header = ["op", "calls", "device error", "NumPy error", "ms", "MB", "of copy", "ran as"]
        cells = [header, *[_cells(row, self.copy_bandwidth) for row in self.rows]]
        table = aligned(cells, right=range(1, 7))
        found = [table[0]]
        for part, heading in HEADINGS.items():
            inside = [line for row, line in zip(self.rows, table[1:], strict=True) if row.part == part]
            found += [heading, *inside] if inside else []
        return [*found, *self.summary()]

    def __str__(self) -> str:
        return "\n".join(self.lines())


def _finite(error: float | None) -> float | None:
    return error if error is None or math.isfinite(error) else None


def _cells(row: Row, copy_speed: float) -> list[str]:
    several = len(row.ran) > 1 and row.part != BACKWARD
    ran = ", ".join([f"{n} {how}" if several else how for how, n in row.ran.items()])
    errors = ["" if e is None else f"{e:.1e}" for e in (row.device_error, row.numpy_error)]
    size, share = (f"{row.bytes / 1e6:.2f}", f"{row.bandwidth / copy_speed:.0%}") if row.bytes else ("", "")
    mark = f"  {DIVERGES}" if row.diverges else ""
    return [row.op, str(row.calls), *errors, f"{row.seconds * 1e3:.3f}", size, share, ran + mark]
