"""Timing libraries beside each other: each lives in a process of its own, and they take turns over pipes.

In one process the spinning threads of one library slow the next one down several times; in runs one after the other
the machine's speed drifts. Peers that take turns see the same machine.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter, sleep
from types import TracebackType
from typing import Any

from . import bench_peers
from .bench_peers import CASES

PATIENCE = 300.0  # seconds to wait for an answer
PAUSE = 0.01  # between turns, in which the threads of the last peer fall asleep
BLOCK = 0.1  # seconds of work in a turn, of which the first step is not timed

# A new process finds what this one finds, gradflow in a checkout included; another interpreter has its own packages.
PATHS = "import json, sys; sys.path += [p for p in json.loads(sys.argv.pop()) if p not in sys.path]; "
SERVE = PATHS + "import runpy; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
IMPORT = PATHS + "from time import perf_counter as t; s = t(); import {}; print(t() - s)"


def paths_for(python: str) -> str:
    """The argument that PATHS reads."""
    return json.dumps(sys.path if python == sys.executable else [])


def environ_for(without: Sequence[str]) -> dict[str, str]:
    """This process's environment less some variables, with gradflow on the CPU."""
    return {**{k: v for k, v in os.environ.items() if k not in without}, "GRADFLOW_DEVICE": "cpu"}


class PeerError(RuntimeError):
    """A peer failed or two disagree."""


class Peer:
    """A process that serves one library; `facts` are its version, threads and the like.

    `python` may be another interpreter, one that has the library. The variables `without` are unset in the process.
    """

    def __init__(self, library: str, python: str = sys.executable, without: Sequence[str] = ()) -> None:
        self.library = library
        self._stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the peer
        self._process = subprocess.Popen(
            [python, "-c", SERVE, bench_peers.__file__, library, paths_for(python)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            env=environ_for(without),
        )
        try:
            self.facts: dict[str, Any] = self._answer()
        except BaseException:
            self._process.kill()
            self.close()
            raise

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and wait for its answer; PeerError where there is none, or where it is an error."""
        assert self._process.stdin is not None
        try:
            print(json.dumps(request), file=self._process.stdin, flush=True)
        except OSError:
            raise self._failed("has ended") from None
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        timer = threading.Timer(PATIENCE, self._process.kill)
        timer.start()
        try:
            line = self._process.stdout.readline()
        finally:
            timer.cancel()
        if not line:
            raise self._failed("has ended without an answer")
        found: dict[str, Any] = json.loads(line)
        if "error" in found:
            raise self._failed(f"failed with {found['error']}")
        return found

    def _failed(self, how: str) -> PeerError:
        self._stderr.seek(0)
        lines = self._stderr.read().split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return PeerError(f"[bench] the process of {self.library} {how}{f' ({last})' if last else ''}")

    def close(self) -> None:
        """End the process."""
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):  # what could not be sent to a process that has ended
                if stream is not None:
                    stream.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stderr.close()

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._process.kill()
        self.close()


@dataclass(frozen=True)
class Timing:
    """All seconds measured of one step. `layout` is the memory format they were taken in, if there is one."""

    seconds: tuple[float, ...]
    layout: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles, as a share of the median."""
        if len(self.seconds) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.seconds, n=4)
        return (high - low) / 2 / self.median


def race(name: str, peers: Sequence[Peer], seconds: float = 4.0, turns: int = 20) -> dict[str, Timing]:
    """Time a case of `bench_peers` on every peer, in turns, until `turns` or `seconds` are up, three turns at least.

    First all peers compute the same numbers: PeerError where they differ. Of a library with two memory formats the
    faster one is returned.
    """
    entries: dict[str, tuple[Peer, str, int]] = {}  # key: (peer, layout, runs a turn)
    times: dict[str, list[float]] = {}
    agreed: list[float] | None = None
    for peer in peers:
        both = CASES[name].layouts and peer.library == "torch"
        for layout in ("contiguous", "channels_last") if both else ("",):
            key = f"{peer.library} {layout}".strip()
            found = peer.ask(load=key, case=name, channels_last=layout == "channels_last")
            agreed = agreed or found["check"]
            if not agree(agreed, found["check"]):
                raise PeerError(f"[bench] {name}: {key} computes {found['check']}, {next(iter(entries))} {agreed}")
            entries[key] = (peer, layout, max(1, min(20, round(BLOCK / max(found["seconds"], 1e-9)))))
            times[key] = []
    start = perf_counter()
    for turn in range(turns):
        if turn >= 3 and perf_counter() - start > seconds:
            break
        for key, (peer, _, runs) in entries.items():
            times[key] += peer.ask(time=key, runs=runs)["seconds"]
            sleep(PAUSE)
    best: dict[str, Timing] = {}
    for key, (peer, layout, _) in entries.items():
        timing = Timing(tuple(times[key]), layout)
        known = best.get(peer.library)
        if known is None or timing.median < known.median:
            best[peer.library] = timing
    for peer in peers:
        peer.ask(clear=True)
    return best


def agree(a: Sequence[float], b: Sequence[float]) -> bool:
    """Whether two libraries computed the same, but for float32's roundings."""
    return len(a) == len(b) and all([math.isclose(x, y, rel_tol=2e-3, abs_tol=1e-5) for x, y in zip(a, b, strict=True)])


def race_imports(modules: Mapping[str, str], without: Sequence[str] = (), turns: int = 5) -> dict[str, Timing]:
    """Seconds that `import` of each module takes in a fresh process of the interpreter named, in turns."""
    environ = environ_for([*without, "PYTHONDONTWRITEBYTECODE"])  # which has a checkout compiled every time
    times: dict[str, list[float]] = {module: [] for module in modules}
    for turn in range(turns + 1):
        for module, python in modules.items():
            command = [python, "-c", IMPORT.format(module), paths_for(python)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=environ)
            if done.returncode:
                raise PeerError(f"[bench] import {module} fails: {' '.join(done.stderr.strip().splitlines()[-1:])}")
            if turn:  # the first round finds nothing compiled and nothing in the system's cache
                times[module].append(float(done.stdout))
    return {module: Timing(tuple(found)) for module, found in times.items()}
