"""The project's own tests, with the kernels' and the table of operations' on the device."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

from gradflow.backend.threads import cores

from .book import Book
from .runner import ROOT

PROCESSES = 12  # that share the GPU; most of their time goes into compiling
SHOWN = 40  # kinds of failures
LEAVE_OUT = (  # what would say nothing about a GPU
    "--ignore=tests/bench",
    "--ignore=tests/parity",
    "--ignore=tests/kernels/test_compile_only.py",
    "--ignore=tests/kernels/test_emulator.py",
    "--ignore=tests/kernels/test_emulator_build.py",
    "--deselect=tests/kernels/test_kernels.py::test_the_order_of_threads_does_not_matter",
)
REHEARSAL = ("tests/backend/test_cache.py", "tests/backend/test_sources.py")
PAUSE = 3.0  # seconds between two looks at how far the processes are
LEAST = 5.0  # seconds for which a share is begun again
COUNTS = ("collected", "passed", "failed", "skipped", "xfailed", "done")


def run(book: Book) -> None:
    """Count what passes; a fault for each test that fails."""
    what = REHEARSAL if book.small else ("tests", *LEAVE_OUT)

    def keep(counts: dict[str, Any]) -> None:
        faults = grouped(counts["failures"])
        faults = faults[:SHOWN] + [f"and {len(faults) - SHOWN} more"] * (len(faults) > SHOWN)
        row = {"device": book.device, **{name: counts[name] for name in COUNTS[:-1]}}
        slowest = [{"test": name, "s": None if book.small else seconds} for seconds, name in counts["slowest"]]
        book.found.update(tables={"": [row], "The slowest tests": slowest}, faults=faults)
        book.save()

    count = 2 if book.small else processes(PROCESSES)
    counts, said = pytest(what, book, book.left() - 10, processes=count, keep=keep)
    keep(counts)
    book.note(f"In {count} processes. Not run: {', '.join([text.split('tests/')[1] for text in LEAVE_OUT])}.")
    if counts["done"] < counts["collected"]:
        book.leave_out(f"{counts['collected'] - counts['done']} of {counts['collected']} tests")
    if not counts["done"]:
        book.fault(f"no test was run: {said[-1500:]}")


def grouped(failures: Sequence[str]) -> list[str]:
    """Failures that say the same, but for numbers, as one: the name of the first test, and how many more there are."""
    groups: dict[str, list[str]] = {}
    for failure in failures:
        groups.setdefault(re.sub(r"\d+", "0", failure.partition(": ")[2])[:120], []).append(failure)
    return [same[0] + f" (and {len(same) - 1} more like it)" * (len(same) > 1) for same in groups.values()]


def processes(most: int) -> int:
    """How many to use of this machine's cores."""
    return max(1, min(most, cores() - 2))


def pytest(
    arguments: Sequence[str],
    book: Book,
    seconds: float,
    *,
    processes: int = 1,
    under: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
    keep: Callable[[dict[str, Any]], None] | None = None,
) -> tuple[dict[str, Any], str]:
    """Run pytest for so many seconds, in processes that share the tests: (counts of outcomes, what they printed).

    `under` is a command to run it with; `keep` is called now and then with the counts so far. Tensors go to the CPU
    unless a test says otherwise, and the tests that choose a device use the book's.
    """
    command = [*under, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "bench.gpu_check.tally"]
    command += ["-W", "default"]  # other versions of packages may warn
    command += ["--continue-on-collection-errors", *arguments]
    threads = {} if processes == 1 else {"GRADFLOW_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    environ = {
        **os.environ,
        "GRADFLOW_DEVICE": "cpu",
        "GRADFLOW_TEST_DEVICES": book.device,
        "GPU_CHECK_DEVICE": book.device,
        **threads,
        **(variables or {}),
    }
    with TemporaryDirectory() as scratch, ThreadPoolExecutor(processes) as pool:
        end = monotonic() + seconds
        numbers = range(processes)
        work = [pool.submit(_share, command, environ, Path(scratch, str(i)), f"{i}/{processes}", end) for i in numbers]
        while wait(work, PAUSE).not_done:
            if keep is not None:
                tallies = Path(scratch).glob("*/*.json")
                keep(_merged([json.loads(tally.read_text(encoding="utf-8")) for tally in tallies]))
        parts = [each.result() for each in work]
    return _merged([counts for counts, _ in parts]), "\n".join([said for _, said in parts])


def _share(
    command: Sequence[str], environ: Mapping[str, str], folder: Path, share: str, end: float
) -> tuple[dict[str, Any], str]:  # fmt: skip
    """One share of the tests: begun again after the test that ended the process or broke the GPU for it."""
    folder.mkdir()
    runs: list[dict[str, Any]] = []
    done, told = 0, ""
    while True:
        counts, said, ending = _once(command, environ, folder / f"{len(runs)}.json", f"{share}/{done}", end)
        runs.append(counts)
        told += said
        done += counts["done"]
        if (counts["finished"] and counts["stopped"] != "lost") or monotonic() > end:
            break
        if not counts["finished"]:
            counts["failures"].append(f"{counts['running'] or 'pytest'}: {ending}")
            counts["failed"] += 1
            done += 1
        if done >= counts["collected"] or end - monotonic() < LEAST:
            break
    collected = max([counts["collected"] for counts in runs])
    return {**_merged(runs), "collected": collected, "done": min(done, collected)}, told


def _once(
    command: Sequence[str], environ: Mapping[str, str], tally: Path, share: str, end: float
) -> tuple[dict[str, Any], str, str]:  # fmt: skip
    """pytest in one process: (counts, what it printed, how it ended)."""
    given = {"GPU_CHECK_TALLY": str(tally), "GPU_CHECK_SHARE": share, "GPU_CHECK_END": f"{end:.1f}"}
    code: int | None = None
    log = tally.with_suffix(".txt")
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**environ, **given},
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
        try:
            code = process.wait(max(end - monotonic(), 1.0) + 6)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    counts: dict[str, Any] = {**dict.fromkeys(COUNTS, 0), "failures": [], "slowest": []}
    counts.update(stopped="", running="", finished=False)
    with suppress(FileNotFoundError):
        counts = json.loads(tally.read_text(encoding="utf-8"))
    said, stack = log.read_text(encoding="utf-8", errors="replace"), ""
    with suppress(FileNotFoundError):
        stack = tally.with_suffix(".hung").read_text(encoding="utf-8", errors="replace")
    return counts, said, f"its process ended with {code}: {stack[:1200] or said[-1200:]}"


def _merged(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Counts of several processes together."""
    found: dict[str, Any] = {name: sum([part[name] for part in parts]) for name in COUNTS}
    found["failures"] = sorted([failure for part in parts for failure in part["failures"]])
    found["slowest"] = sorted([each for part in parts for each in part["slowest"]], reverse=True)[:5]
    return found
