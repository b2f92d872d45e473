"""The table of epochs at the end of a run, as lines of text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .report import EpochReport, best
from .wording import GAP, percent, size, that_fit

MARK = f"{GAP}best"
HEAD, BEST, GAP_STYLE = "bold", "bold green", "dim"
FEWEST = 5  # rows: the first, the last, the best and two gaps

Column = Callable[[EpochReport], str]
COLUMNS: dict[str, Column] = {
    "epoch": lambda r: str(r.epoch),
    "loss": lambda r: f"{r.train.loss:.4f}",
    "accuracy": lambda r: percent(r.train.accuracy),
    "test loss": lambda r: f"{r.test.loss:.4f}" if r.test else "",
    "test accuracy": lambda r: percent(r.test.accuracy) if r.test else "",
    "lr": lambda r: f"{r.lr:.3g}",
    "images/s": lambda r: f"{r.images_per_second:,.0f}",
    "seconds": lambda r: f"{r.seconds:,.1f}",
    "memory": lambda r: size(r.memory) if r.memory is not None else "",
}
RANKS = ("epoch", "test accuracy", "loss", "accuracy", "seconds", "test loss", "lr", "images/s", "memory")


def table_lines(
    reports: Sequence[EpochReport], width: int | None = None, rows: int | None = None
) -> list[tuple[str, str | None]]:
    """The lines of a table with a row for each epoch, and the style to show each in.

    The first epoch with the highest test accuracy is marked. Columns that say nothing are left out, and so are those
    for which `width` has no room; where there are more than `rows` epochs, those in the middle but for the best one.
    """
    if not reports:
        return []
    top = best(reports)
    marked = None if top is None else next(i for i, report in enumerate(reports) if report is top)
    kept = _kept(len(reports), marked, rows)
    cells = {name: [column(reports[i]) for i in kept] for name, column in COLUMNS.items()}
    widths = {name: max(len(name), *map(len, texts)) for name, texts in cells.items() if any(texts)}
    if width is not None:
        names = that_fit(widths, RANKS, width - (len(MARK) if marked is not None else 0))
        widths = {name: widths[name] for name in names}
    lines: list[tuple[str, str | None]] = [(GAP.join([name.rjust(widths[name]) for name in widths]), HEAD)]
    before = -1
    for place, i in enumerate(kept):
        if i != before + 1:
            lines.append(("...".rjust(widths["epoch"]), GAP_STYLE))
        row = GAP.join([cells[name][place].rjust(widths[name]) for name in widths])
        lines.append((row + MARK, BEST) if i == marked else (row.rstrip(), None))
        before = i
    return lines


def _kept(count: int, best: int | None, rows: int | None) -> list[int]:
    """Which of `count` epochs are shown in `rows` lines: the first ones, the last ones, the best one."""
    if rows is None or count <= max(rows, FEWEST):
        return list(range(count))
    rows = max(rows, FEWEST)

    def ends(room: int) -> set[int]:
        first = max(1, room // 3)
        return {*range(first), *range(count - (room - first), count)}

    kept = ends(rows - 1)  # with one gap
    if best is not None and best not in kept:
        kept = ends(rows - 3) | {best}  # with two
    alone = [i for i in range(count) if i not in kept and {i - 1, i + 1} <= kept]  # a gap takes as much room
    return sorted({*kept, *alone})
