"""`python -m bench.gpu_check`: see `--help`."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import Any

from .parts import BUDGET, PARTS
from .runner import ROOT, run


def main() -> int:
    """Read the options and run; 0 where nothing failed, else 1."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.gpu_check",
        description="Test and time gradflow on this machine's GPU; results go to OUT as JSON and as a page.",
        epilog=f"Parts: {', '.join([f'{p.name} ({p.budget:.0f} s)' for p in PARTS])}.",
    )
    names = [p.name for p in PARTS]
    parser.add_argument("--only", action="append", choices=names, metavar="PART", help="a part to run; may be repeated")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results", help="folder of the results")
    parser.add_argument(
        "--device", choices=("cuda", "emulated", "cpu"), default="cuda", help="anything but cuda is a rehearsal"
    )
    parser.add_argument("--data", help="folder with the files of Fashion-MNIST")
    parser.add_argument("--budget", type=float, default=BUDGET, help="seconds for all parts together")
    options = parser.parse_args()
    chosen = [p for p in PARTS if not options.only or p.name in options.only or p.name == "environment"]
    signal.signal(signal.SIGTERM, _stop)
    try:
        path, found = run(chosen, options.device, options.out, budget=options.budget, data=options.data, say=_say)
    except KeyboardInterrupt:
        return 130
    _say(f"results: {path} and {path.with_suffix('.md').name}")
    return 0 if all([p["status"] in ("passed", "skipped") for p in found["parts"]]) else 1


def _stop(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
