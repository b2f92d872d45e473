"""Results as a page."""

from __future__ import annotations

from typing import Any


def markdown(found: dict[str, Any]) -> str:
    """A run as a page: how each part went, then its tables, notes and faults."""
    if found["rehearsal"]:
        title = f"Rehearsal of the GPU check on the {found['device']} device, {found['date']}: no GPU was there"
        intro = "Nothing on this page says anything about a GPU. Sizes were small, and no times were kept."
    else:
        title = f"gradflow on {found['gpu'] or 'an unknown GPU'}, {found['date']}"
        intro = "By `python -m bench.gpu_check`. Times are medians; libraries took turns, each in its own process."
    cut = "" if found["finished"] else " The run was not finished when this was written."
    lines = [f"# {title}", "", f"{intro} All parts together took {found['seconds']:.0f} s.{cut}", ""]
    lines += table([_outcome(part) for part in found["parts"]])
    for part in found["parts"]:
        tables, notes, faults = [part.get(key) or () for key in ("tables", "notes", "faults")]
        if not (tables or notes or faults or part.get("output")):
            continue
        lines += ["", f"## {part['title']}"]
        for heading, rows in dict(tables).items():
            lines += ["", *([f"### {heading}", ""] if heading else []), *table(rows)]
        notes = [*notes, *[f"Left out, for want of time: {what}." for what in part.get("left out") or ()]]
        for note in notes:
            lines += ["", note]
        for text in [*faults, *([part["output"]] if part.get("output") and not faults else [])]:
            lines += ["", "```text", text.strip().replace("```", "'''"), "```"]
    return "\n".join(lines) + "\n"


def _outcome(part: dict[str, Any]) -> dict[str, Any]:
    seconds = part.get("seconds")
    return {
        "part": part["title"],
        "outcome": part["status"],
        "seconds": None if seconds is None else f"{seconds:.0f} of {part['budget']:.0f}",
        "remark": part.get("reason", ""),
    }


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Rows as lines of a table; columns in the order in which they first appear."""
    columns = list(dict.fromkeys([name for row in rows for name in row]))
    cells = [[cell(row.get(name)) for name in columns] for row in rows]
    numeric = [any([isinstance(row.get(name), (int, float)) for row in rows]) for name in columns]
    rule = ["---:" if right else "---" for right in numeric]
    return [f"| {' | '.join(line)} |" for line in (columns, rule, *cells)]


def cell(value: Any) -> str:
    """A value as it is shown: numbers with three significant digits."""
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, float):
        return " ".join(str(value).split()).replace("|", "\\|")
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        digits = 3 if abs(value) < 1 else 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
        return f"{value:.{digits}f}"
    return f"{value:.2e}" if abs(value) < 1e-3 else f"{value:,.0f}"
