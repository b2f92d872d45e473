"""gradflow beside PyTorch, in processes of their own that take turns; `--write` keeps the table in bench/results/.

    python bench/turns.py
    python bench/turns.py lenet cnn --seconds 20 --write
    python bench/turns.py --torch-python ~/torch/bin/python

The last names the interpreter of another virtual environment, where PyTorch is not in gradflow's own. Variables that
have OpenBLAS disregard the CPU are unset in the processes that are timed.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import re
import sys
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console

from gradflow.backend.blas import PINS
from gradflow.cli.bench import Bench, measure, render
from gradflow.cli.bench_peers import CASES

RESULTS = Path(__file__).parent / "results"


def markdown(bench: Bench, day: datetime.date) -> str:
    """A run as a page: machine, versions and commit beside the numbers."""
    header, *rows = [[cell or " " for cell in row] for row in bench.rows()]
    rule = ["---"] + ["---:"] * (len(header) - 1)
    lines = [f"# {day.isoformat()}", "", *[f"- {name}: {value}" for name, value in bench.facts], ""]
    lines += [f"| {' | '.join(row)} |" for row in (header, rule, *rows)]
    return "\n".join([*lines, "", *[f"{note}\n" for note in bench.notes]]).rstrip() + "\n"


def write(bench: Bench, folder: Path, day: datetime.date) -> Path:
    """Keep a run in a file named for its day and machine; a second run of a day gets a number."""
    machine = dict(bench.facts).get("machine", platform.machine())
    slug = re.sub(r"[^a-z0-9]+", "-", machine.split(", Linux")[0].lower()).strip("-")
    folder.mkdir(exist_ok=True)
    path = folder / f"{day.isoformat()}-{slug}.md"
    number = 1
    while path.exists():
        number += 1
        path = folder / f"{day.isoformat()}-{slug}-{number}.md"
    path.write_text(markdown(bench, day), encoding="utf-8")
    return path


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description="Time gradflow beside PyTorch, taking turns.")
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], help=f"what to time, of {', '.join(CASES)}")
    parser.add_argument("--seconds", type=float, default=10.0, help="time for each case")
    parser.add_argument("--turns", type=int, default=40, help="turns of each peer in a case, at most")
    parser.add_argument("--torch-python", help="interpreter that has PyTorch, if not this one")
    parser.add_argument("--write", action="store_true", help=f"keep the table in {RESULTS.parent.name}/{RESULTS.name}/")
    options = parser.parse_args()
    torch_python = options.torch_python or (sys.executable if find_spec("torch") else None)
    console = Console()
    with console.status("") as status:
        bench = measure(
            options.cases or list(CASES),
            torch_python,
            without=PINS,
            seconds=options.seconds,
            turns=options.turns,
            say=lambda text: status.update(text),
        )
    render(bench, console)
    if options.write:
        console.print(f"written to {write(bench, RESULTS, datetime.date.today())}", markup=False, soft_wrap=True)


if __name__ == "__main__":
    main()
