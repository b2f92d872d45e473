"""The project's own tests, with the kernels' on the device."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .book import Book
from .runner import ROOT

WORKERS = 6  # processes that share the GPU, where pytest-xdist is installed
SHOWN = 40  # failures
REHEARSAL = ("tests/backend/test_cache.py", "tests/backend/test_sources.py")


def run(book: Book) -> None:
    """Count what passes; a fault for each test that fails."""
    command: list[str] = list(REHEARSAL) if book.small else ["tests", "--ignore=tests/bench"]
    if not book.small and find_spec("xdist") is not None:
        command += ["-n", str(WORKERS)]
    with TemporaryDirectory() as scratch:
        counts, said, code = pytest(command, book, Path(scratch), book.left() - 8)
    book.add("", {"device": book.device, **{k: v for k, v in counts.items() if k != "failures"}})
    for failure in counts["failures"][:SHOWN]:
        book.fault(failure)
    if len(counts["failures"]) > SHOWN:
        book.fault(f"and {len(counts['failures']) - SHOWN} more")
    done = sum([counts[k] for k in ("passed", "failed", "skipped", "xfailed")])
    if done < counts["collected"]:
        book.leave_out(f"{counts['collected'] - done} of {counts['collected']} tests")
    if code not in (0, 1, 2, None) or (code == 1 and not counts["failures"]):  # 2: stopped by the clock
        book.fault(f"pytest ended with {code}: {said[-1500:]}")


def pytest(
    arguments: Sequence[str],
    book: Book,
    scratch: Path,
    seconds: float,
    *,
    under: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
) -> tuple[dict[str, Any], str, int | None]:
    """Run pytest for so many seconds: (counts of outcomes, what it printed, exit status or None where it was killed).

    `under` is a command to run it with. GRADFLOW_TEST_DEVICES names the device for the tests that choose by it.
    """
    tally, log = scratch / "tally.json", scratch / "log.txt"
    command = [*under, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "bench.gpu_check.tally"]
    environ = {
        **os.environ,
        "GRADFLOW_TEST_DEVICES": book.device,
        "GPU_CHECK_TALLY": str(tally),
        "GPU_CHECK_SECONDS": f"{seconds:.1f}",
        **(variables or {}),
    }
    code: int | None = None
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command, *arguments],
            cwd=ROOT,
            env=environ,
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
        try:
            code = process.wait(max(seconds, 1.0) + 6)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    said = log.read_text(encoding="utf-8", errors="replace")
    empty = {"collected": 0, "passed": 0, "failed": 0, "skipped": 0, "xfailed": 0, "failures": []}
    return (json.loads(tally.read_text(encoding="utf-8")) if tally.exists() else empty), said, code
