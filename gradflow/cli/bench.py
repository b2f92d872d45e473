"""`gradflow bench`: what the engine costs on this machine, beside PyTorch where that is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ..backend.blas import blas_facts
from .bench_peers import CASES
from .bench_turns import Peer, Timing, race, race_imports
from .doctor import machine

if TYPE_CHECKING:
    from rich.console import Console

UNITS = {"us": (1e6, "µs"), "ms": (1e3, "ms")}
NAMES = {"gradflow": "gradflow", "torch": "PyTorch"}


@dataclass(frozen=True)
class Result:
    """One row: what was timed and each library's time, shown in `unit` ("us" or "ms") per `per` parts."""

    label: str
    timings: Mapping[str, Timing]
    unit: str = "ms"
    per: int = 1

    def shown(self, library: str) -> str:
        """A time as it is printed: `4.31 ms ±2 %`."""
        timing = self.timings.get(library)
        if timing is None:
            return ""
        factor, unit = UNITS[self.unit]
        value = timing.median * factor / self.per
        digits = 2 if value < 10 else 1 if value < 100 else 0
        return f"{value:.{digits}f} {unit} ±{100 * timing.spread:.0f} %"

    @property
    def ratio(self) -> str:
        """gradflow's time over PyTorch's, as it is printed."""
        ours, theirs = self.timings.get("gradflow"), self.timings.get("torch")
        return f"{ours.median / theirs.median:.2f}" if ours and theirs else ""


@dataclass
class Bench:
    """A whole run: where and with what, the rows, and what to know about them."""

    facts: list[tuple[str, str]] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def columns(self) -> list[str]:
        """The libraries that were timed, by their names."""
        return ["gradflow"] + ["torch"] * any(["torch" in r.timings for r in self.results])

    def rows(self) -> list[list[str]]:
        """The table's cells, its header first."""
        both = len(self.columns) > 1
        header = ["", *[NAMES[c] for c in self.columns]] + ["ratio"] * both
        return [header] + [[r.label, *[r.shown(c) for c in self.columns]] + [r.ratio] * both for r in self.results]


def measure(
    cases: Sequence[str],
    torch_python: str | None,
    *,
    without: Sequence[str] = (),
    seconds: float = 2.0,
    turns: int = 20,
    say: Callable[[str], None] = lambda text: None,
) -> Bench:
    """Time cases of `bench_peers`, then imports. `torch_python` is the interpreter that has PyTorch, where one has.

    The environment variables `without` are unset in the processes that are timed. `seconds` and `turns` limit the time
    for each case; `say` is told what is being done.
    """
    bench = Bench()
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    say("starting")
    interpreters = {"gradflow": sys.executable, **({"torch": torch_python} if torch_python else {})}
    with ExitStack() as stack:
        peers = [stack.enter_context(Peer(library, python, without)) for library, python in interpreters.items()]
        bench.facts = _facts(peers)
        for name in cases:
            case = CASES[name]
            say(case.label)
            timings = race(name, peers, seconds, turns)
            bench.results.append(Result(case.label, timings, case.unit, case.per))
    say("import")
    imports = race_imports({"numpy": sys.executable, **interpreters}, without)
    alone = imports["numpy"].median
    label = f"import, {imports['gradflow'].median / alone:.2f} times NumPy's {alone * 1e3:.0f} ms"
    bench.results.append(Result(label, imports))
    if torch_python:
        last = [r.label for r in bench.results if r.timings["torch"].layout == "channels_last"]
        bench.notes.append(
            f"PyTorch in its faster memory format, which is channels-last in {'; '.join(last) or 'none'}."
        )
    bench.notes.append("Medians, ± half the distance between the quartiles. Peers take turns, each in its own process.")
    if busy > 0.5:
        bench.notes.append(f"The machine was busy with other work before (load {busy:.1f}): the times may be too long.")
    return bench


def _facts(peers: Sequence[Peer]) -> list[tuple[str, str]]:
    """Machine, versions, threads and BLAS, as the peers see them."""
    here = machine()
    ours = peers[0].facts
    rows = [
        ("machine", f"{here['cpu']}, {here['cores'].replace('usable', 'cores')}, {here['system']}"),
        ("gradflow", f"{ours['version']}{commit()}, on the CPU, NumPy {ours['numpy']}, Python {ours['python']}"),
        ("BLAS", f"{ours['blas']}{_threads(ours['threads'])}"),
    ]
    for peer in peers[1:]:
        found = peer.facts
        rows.append((NAMES[peer.library], f"{found['version']}{_threads(found['threads'])}, Python {found['python']}"))
    return rows


def _threads(count: int | None) -> str:
    return "" if count is None else f", {count} thread{'s' * (count != 1)}"


def commit() -> str:
    """In a checkout, its commit, and whether files differ from it."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return ""
    try:
        head, changes = [
            subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=True).stdout.strip()
            for words in (("rev-parse", "--short", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
        ]
    except (OSError, subprocess.SubprocessError):
        return ""
    return f" (commit {head}{', with changes' if changes else ''})"


def render(bench: Bench, console: Console) -> None:
    """Print a run: the machine, the table, the notes."""
    from rich.table import Table
    from rich.text import Text

    def line(text: str, style: str = "") -> None:
        console.print(Text(text, style=style), soft_wrap=not console.is_terminal)

    for name, value in bench.facts:
        line(f"{name:<9} {value}")
    header, *rows = bench.rows()
    if console.is_terminal:
        table = Table(box=None, pad_edge=False)
        for i, title in enumerate(header):
            table.add_column(title, justify="right" if i else "left", no_wrap=i > 0)
        for row in rows:
            table.add_row(*[Text(cell) for cell in row])
        console.print(table)
    else:
        widths = [max([len(row[i]) for row in (header, *rows)]) for i in range(len(header))]
        for row in (header, *rows):
            line("  ".join([cell.ljust(w) for cell, w in zip(row, widths, strict=True)]).rstrip())
    for note in bench.notes:
        line(note, "dim")


def run() -> int:
    """Measure and print; 0."""
    from rich.console import Console

    console = Console()
    advice = blas_facts().advice
    if advice:
        console.print(f"warning: {advice.replace('gradflow train', 'gradflow bench')}", style="yellow", markup=False)
    has_torch = find_spec("torch") is not None
    with console.status("") as status:
        bench = measure(list(CASES), sys.executable if has_torch else None, say=lambda text: status.update(text))
    if not has_torch:
        bench.notes.append("With PyTorch installed (pip install torch) its times stand beside gradflow's.")
    render(bench, console)
    return 0
