"""How numbers of a run are written, and which of them are shown where room is short."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .report import EpochReport, StepReport

GAP = "  "  # between columns
UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def percent(share: float) -> str:
    """A share in [0, 1] as it is printed everywhere: `98.61 %`."""
    return f"{100 * share:.2f} %"


def duration(seconds: float) -> str:
    """`0:07`, `12:34` or `1:02:03`; `?` for what is not finite."""
    if not math.isfinite(seconds):
        return "?"
    minutes, rest = divmod(max(0, round(seconds)), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


def size(count: int) -> str:
    """A number of bytes: `512 bytes`, `412 MiB`, `1.2 GiB`."""
    amount, unit = float(count), 0
    while round(amount) >= 1024 and unit < len(UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{amount:.1f} {UNITS[unit]}" if unit >= 3 else f"{amount:.0f} {UNITS[unit]}"


def numbered(epoch: int, epochs: int | None) -> str:
    """`epoch  3/30`, or `epoch 3` where it is not known how many there will be."""
    return f"epoch {epoch}" if epochs is None else f"epoch {epoch:{len(str(epochs))}}/{epochs}"


def seen_share(report: StepReport) -> float:
    """The share of its epoch that a step has come to, in [0, 1]."""
    return min(1.0, report.seen / max(1, report.images))


def step_cells(report: StepReport) -> dict[str, str]:
    """What there is to show of a step, by name, from left to right."""
    cells = {
        "epoch": numbered(report.epoch, report.epochs),
        "share": f"{seen_share(report):4.0%}",
        "loss": f"loss {report.scores.loss:.4f}",
        "accuracy": f"accuracy {percent(report.scores.accuracy)}",
    }
    return cells | _pace(report)


def epoch_cells(report: EpochReport) -> dict[str, str]:
    """What there is to show of an epoch, by name, from left to right."""
    cells = {
        "epoch": numbered(report.epoch, report.epochs),
        "loss": f"loss {report.train.loss:.4f}",
        "accuracy": f"accuracy {percent(report.train.accuracy)}",
    }
    if report.test is not None:
        cells["test"] = f"test {percent(report.test.accuracy)}"
    return cells | _pace(report)


def _pace(report: StepReport | EpochReport) -> dict[str, str]:
    cells = {"speed": f"{report.images_per_second:,.0f} images/s"}
    if report.memory is not None:
        cells["memory"] = size(report.memory)
    cells["lr"] = f"lr {report.lr:.3g}"
    if report.seconds_left is not None and math.isfinite(report.seconds_left):
        cells["left"] = f"{duration(report.seconds_left)} left"
    return cells


def that_fit(widths: Mapping[str, int], ranks: Sequence[str], room: int) -> list[str]:
    """The names in `widths` whose columns, with gaps between them, fit in `room`.

    They are taken as `ranks` has them, the most wanted first, until one finds no room; the first is always taken.
    """
    taken: list[str] = []
    used = -len(GAP)
    for name in ranks:
        if name in widths:
            used += len(GAP) + widths[name]
            if used > room and taken:
                break
            taken.append(name)
    return [name for name in widths if name in taken]


def labelled(label: str, text: str) -> str:
    """A line with its label: `weights   runs/digits/weights.safetensors`."""
    return f"{label:<9} {text}"


def aligned(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """Rows of cells as lines, in columns as wide as they must be; those numbered in `right` end at their right."""
    widths = [max([len(row[i]) for row in rows]) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        lines.append(GAP.join(cells).rstrip())
    return lines


def worded(name: str, value: Any) -> str:
    """A value of a run's outcome: accuracies as percentages, seconds as durations, others as they read best."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, Mapping):
        return ", ".join([f"{key} {worded(str(key), item)}" for key, item in value.items()])
    if isinstance(value, (list, tuple)):
        return ", ".join([worded(name, item) for item in value])
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        if name.endswith("accuracy"):
            return percent(value)
        return duration(value) if name.endswith("seconds") else f"{value:.4g}"
    return str(value)


def visible(text: str) -> str:
    """`text` with control characters spelled out, so that no file's name moves the cursor; new lines and tabs stay."""
    return "".join([c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text])


def encodable(text: str, encoding: str | None) -> str:
    """`text` with characters that `encoding` has not spelled out."""
    encoding = encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
