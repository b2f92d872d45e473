"""A pytest plugin that runs a share of the tests and keeps count in a file, whole after each test.

GPU_CHECK_TALLY     the file
GPU_CHECK_SHARE     "i/n/k": this process takes the i-th of n shares of the tests, and leaves out the first k of them
GPU_CHECK_DEVICE    tests with this as a parameter come first
GPU_CHECK_END       when the run ends by itself, by the monotonic clock; a test that hangs ends the process
GPU_CHECK_PATIENCE  how many seconds a test may take, by default 90
GPU_CHECK_NO_POOL   have CuPy allocate every array by itself, so that compute-sanitizer sees where it ends
"""

from __future__ import annotations

import faulthandler
import json
import os
import re
import zlib
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from .book import write_whole

LOST = re.compile(r"cudaError(IllegalAddress|MisalignedAddress|LaunchFailure|IllegalInstruction|HardwareStackError)\b|"
                  r"CUDA_ERROR_(ILLEGAL_ADDRESS|MISALIGNED_ADDRESS|LAUNCH_FAILED|ILLEGAL_INSTRUCTION)")  # fmt: skip
"""After these a process can do nothing more on the GPU."""

PATIENCE = float(os.environ.get("GPU_CHECK_PATIENCE", "90"))  # seconds for one test


class Tally:
    """Counts of outcomes, and what failed.

    `done` tests of the share are over; `running` is the last begun. `stopped` says why no more were run; `finished` is
    false where the process ended otherwise than by itself.
    """

    def __init__(self, path: Path, share: str, device: str, end: float) -> None:
        self.path, self.device, self.end = path, device, end
        self.hung = path.with_suffix(".hung").open("w")  # where the traceback of a test that hangs goes
        self.share, self.shares, self.skip = map(int, share.split("/"))
        self.counts: dict[str, Any] = dict.fromkeys(("collected", "passed", "failed", "skipped", "xfailed", "done"), 0)
        self.counts.update(stopped="", running="", finished=False, failures=[], slowest=[])

    @pytest.hookimpl(trylast=True)  # when others have deselected
    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        mine = [item for item in items if zlib.crc32(_key(item).encode()) % self.shares == self.share]
        mine.sort(key=lambda item: not self._on_device(item))
        self.counts["collected"] = len(mine)
        items[:] = mine[self.skip :]
        self.save()

    def _on_device(self, item: Any) -> bool:
        call = getattr(item, "callspec", None)
        return call is not None and any([isinstance(v, str) and v == self.device for v in call.params.values()])

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: Any, nextitem: Any) -> Any:
        self.counts["running"] = item.nodeid
        self.save()
        left = min(max(self.end - monotonic(), 0) + 3, PATIENCE)
        faulthandler.dump_traceback_later(left, exit=True, file=self.hung)
        result = yield
        self.counts["done"] += 1
        if monotonic() > self.end and nextitem is not None:
            self.counts["stopped"] = "time"
        if self.counts["stopped"]:
            item.session.shouldstop = f"stopped: {self.counts['stopped']}"
        self.save()
        return result

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed and self.share == self.skip == 0:  # all processes meet the same
            self._failed(report)

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when == "call":
            slowest = [*self.counts["slowest"], (round(report.duration, 2), report.nodeid)]
            self.counts["slowest"] = sorted(slowest, reverse=True)[:5]
        if hasattr(report, "wasxfail"):
            self.counts["xfailed"] += report.when == "call"
        elif report.failed:
            self._failed(report)
            if LOST.search(str(report.longrepr)):
                self.counts["stopped"] = "lost"
        elif report.skipped:
            self.counts["skipped"] += 1
        elif report.when == "call":
            self.counts["passed"] += 1

    def pytest_sessionfinish(self, session: Any) -> None:
        faulthandler.cancel_dump_traceback_later()
        self.counts["finished"] = True
        self.save()

    def _failed(self, report: Any) -> None:
        self.counts["failed"] += 1
        self.counts["failures"].append(f"{report.nodeid}: {_last_line(report)}")

    def save(self) -> None:
        write_whole(self.path, json.dumps(self.counts))


def _key(item: Any) -> str:
    """Tests of one case go to one process, which compiles its kernels once."""
    return str(item.nodeid.partition("[")[2] or item.nodeid)


def _last_line(report: Any) -> str:
    """What went wrong, in the words of the exception."""
    crash = getattr(report.longrepr, "reprcrash", None)
    return " ".join(crash.message.split())[:300] if crash is not None else " ".join(str(report.longrepr).split())[-300:]


def pytest_configure(config: Any) -> None:
    path, share, device, end = [os.environ[f"GPU_CHECK_{name}"] for name in ("TALLY", "SHARE", "DEVICE", "END")]
    config.pluginmanager.register(Tally(Path(path), share, device, float(end)))
    if os.environ.get("GPU_CHECK_NO_POOL"):
        import cupy

        cupy.cuda.set_allocator(None)
        cupy.cuda.set_pinned_memory_allocator(None)
