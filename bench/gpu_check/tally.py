"""A pytest plugin that keeps count in a file, so that a run which is stopped still tells how far it came.

GPU_CHECK_TALLY     the file
GPU_CHECK_SECONDS   after so many the run ends by itself, with what it has
GPU_CHECK_NO_POOL   have CuPy allocate every array by itself, so that compute-sanitizer sees where it ends
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from .book import write_whole

PAUSE = 0.5  # seconds between two writes


class Tally:
    """Counts of outcomes, and what failed."""

    def __init__(self, path: Path) -> None:
        self.path, self.written = path, 0.0
        self.counts = {"collected": 0, "passed": 0, "failed": 0, "skipped": 0, "xfailed": 0}
        self.failures: list[str] = []

    def pytest_collection_finish(self, session: Any) -> None:
        self.counts["collected"] = len(session.items)
        self.save()

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: list[str]) -> None:
        self.counts["collected"] = len(ids)

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.counts["failed"] += 1
            self.failures.append(f"{report.nodeid}: {_last_line(report)}")

    def pytest_runtest_logreport(self, report: Any) -> None:
        if hasattr(report, "wasxfail"):
            self.counts["xfailed"] += report.when == "call"
        elif report.failed:
            self.counts["failed"] += 1
            self.failures.append(f"{report.nodeid}: {_last_line(report)}")
        elif report.skipped:
            self.counts["skipped"] += 1
        elif report.when == "call":
            self.counts["passed"] += 1
        if monotonic() - self.written > PAUSE:
            self.save()

    def pytest_sessionfinish(self, session: Any) -> None:
        self.save()

    def save(self) -> None:
        self.written = monotonic()
        write_whole(self.path, json.dumps({**self.counts, "failures": self.failures}))


class Clock:
    """Ends the run, or with xdist a worker's share of it, before the first test that would begin too late."""

    def __init__(self, seconds: float) -> None:
        self.end = monotonic() + seconds

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: Any, nextitem: Any) -> Any:
        result = yield
        if monotonic() > self.end:
            item.session.shouldstop = "time is up"
        return result


def _last_line(report: Any) -> str:
    """What went wrong, in the words of the exception."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash is not None else str(report.longrepr or "")
    return " ".join(text.split())[:300]


def pytest_configure(config: Any) -> None:
    path, seconds = os.environ.get("GPU_CHECK_TALLY"), os.environ.get("GPU_CHECK_SECONDS")
    if os.environ.get("GPU_CHECK_NO_POOL"):
        import cupy

        cupy.cuda.set_allocator(None)
        cupy.cuda.set_pinned_memory_allocator(None)
    if seconds:
        config.pluginmanager.register(Clock(float(seconds)))
    if path and not hasattr(config, "workerinput"):  # with xdist, the process that collects the reports
        config.pluginmanager.register(Tally(Path(path)))
