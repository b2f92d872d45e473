"""Runs killed on the device and taken up again, against runs that were not, by `gradflow verify-resume`."""

from __future__ import annotations

import subprocess
import sys

from .book import Book
from .runner import ROOT

OPTIONS = (
    "--model cnn --augment --ema 0.9 --steps 20 --kills 2",
    "--model resnet9 --width 16 --optimizer sgd --dtype float16 --accumulate 2 --steps 12 --kills 1",
)
REHEARSAL = ("--model mlp --width 16 --steps 4 --kills 1",)


def run(book: Book) -> None:
    """A row for each set of options; a fault where the two runs do not end in the same bits."""
    for options in REHEARSAL if book.small else OPTIONS:
        command = [sys.executable, "-m", "gradflow.cli", "verify-resume", "--device", book.device, *options.split()]
        try:
            done = subprocess.run(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=max(1, book.left())
            )
        except subprocess.TimeoutExpired:
            book.leave_out(options)
            continue
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        book.add("", {"options": options, "verdict": lines[-1] if lines else "no output"})
        if done.returncode:
            book.fault(f"{options}: exit status {done.returncode}: {' '.join(lines[-6:])[:1500]}")
