"""compute-sanitizer on the kernels' tests: memcheck for accesses out of bounds, racecheck for shared memory."""

from __future__ import annotations

import glob
import os
import re
import shutil
import sys
from pathlib import Path

from .book import Book, Skip
from .suite import processes, pytest

TOOLS = {"memcheck": ("--report-api-errors", "no"), "racecheck": ()}
"""The tools and their own options; CuPy asks of the driver what it may refuse, which is no error."""

FOLDERS = ("/usr/local/cuda/bin", "/usr/local/cuda/compute-sanitizer", "/opt/cuda/bin")
ONE = re.compile(r"^={9} (Invalid|Misaligned|Error|Warning|Potential|Uninitialized|Barrier|Race|.*hazard detected)")
SUMMARY = re.compile(r"^={9} (?:ERROR|RACECHECK) SUMMARY: (.*)$", re.MULTILINE)
CLEAN = re.compile(r"0 (errors|hazards)")
PROCESSES = 8
TESTS = ("tests/kernels/test_kernels.py", "-k", "test_kernel_is_the_array_code and (f4 or bfloat16)")
REHEARSAL = ("tests/backend/test_cache.py",)


def find() -> str | None:
    """The tool: on the path, in a CUDA toolkit, or in NVIDIA's wheels."""
    home = [os.environ[name] + "/bin" for name in ("CUDA_HOME", "CUDA_PATH") if os.environ.get(name)]
    for folder in [None, *home, *FOLDERS]:
        found = shutil.which("compute-sanitizer", path=folder)
        if found:
            return found
    wheels = [f for path in sys.path for f in glob.glob(f"{path}/nvidia/**/compute-sanitizer", recursive=True)]
    return next((f for f in wheels if os.access(f, os.X_OK) and Path(f).is_file()), None)


def run(book: Book) -> None:
    """Each tool for half of the time, with what it found; it slows the tests down many times, so not all may run."""
    tool = find()
    if tool is None:
        raise Skip("compute-sanitizer was not found")
    for i, name in enumerate(TOOLS):
        under = [tool, "--tool", name, *TOOLS[name], "--target-processes", "all", "--print-limit", "20"]
        counts, said = pytest(
            REHEARSAL if book.small else TESTS,
            book,
            book.left() / (len(TOOLS) - i) - 8,
            processes=1 if book.small else processes(PROCESSES),
            under=under,
            variables={"GPU_CHECK_NO_POOL": "1"} if name == "memcheck" and not book.small else {},
        )
        lines = [line for line in said.splitlines() if ONE.match(line)]
        summaries = SUMMARY.findall(said)
        cells = {"tool": name, "tests": counts["passed"], "of": counts["collected"]}
        cells["ran"] = "all" if counts["done"] == counts["collected"] else "not all, for want of time"
        book.add("", {**cells, "result": "; ".join(sorted(set(summaries))) or "no summary"})
        if any([not CLEAN.match(text) for text in summaries]) or lines:
            excerpt = said[said.find(lines[0]) :][:2500] if lines else said[-1500:]
            book.fault(f"{name} complains:\n{excerpt}")
        elif not summaries:
            book.fault(f"{name} gave no summary:\n{said[-1500:]}")
        for failure in counts["failures"][:5]:
            book.fault(f"under {name}: {failure}")
