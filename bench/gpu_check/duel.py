"""Libraries beside each other on one device, each in a process of its own, taking turns."""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from types import TracebackType
from typing import Any

from gradflow.cli.bench_turns import agree

from .book import Book
from .place import spread

PATIENCE = 60.0  # seconds to wait for an answer
TURNS = 3


@dataclass(frozen=True)
class Entry:
    """Something to time: a label, the library it belongs to, and what to load."""

    label: str
    library: str
    module: str
    options: dict[str, Any]


@dataclass
class Timed:
    """What came of it: seconds of one call (median, and the spread as a share of it), or an error."""

    seconds: float | None = None
    spread: float = 0.0
    memory: int = 0
    note: str = ""
    error: str | None = None

    @property
    def ms(self) -> float | None:
        return None if self.seconds is None else self.seconds * 1e3

    def over(self, other: Timed | None) -> float | None:
        """How many times the other's time."""
        return self.seconds / other.seconds if self.seconds and other is not None and other.seconds else None


class Peer:
    """A process that serves one library, started again when it has failed."""

    def __init__(self, library: str, device: str) -> None:
        self.library, self.device = library, device
        self.process: subprocess.Popen[str] | None = None

    def ask(self, patience: float = PATIENCE, **request: Any) -> dict[str, Any]:
        """Its answer, {"error": text} where there is none."""
        if self.process is None:
            command = [sys.executable, "-m", "bench.gpu_check.peer", self.library, self.device]
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            started = self._line(patience)
            if "error" in started:
                self.close()
                return started
        assert self.process.stdin is not None
        try:
            print(json.dumps(request), file=self.process.stdin, flush=True)
        except BrokenPipeError:
            self.close()
            return {"error": "the process has ended"}
        found = self._line(patience)
        if "error" in found and not found.get("missing"):
            self.close()  # a GPU that has met an error is of no more use to the process
        return found

    def _line(self, patience: float) -> dict[str, Any]:
        assert self.process is not None and self.process.stdout is not None
        timer = threading.Timer(max(patience, 1.0), self.process.kill)
        timer.start()
        line = self.process.stdout.readline()
        timer.cancel()
        if line:
            return json.loads(line)  # type: ignore[no-any-return]
        code = self.process.wait()
        return {"error": f"no answer within {patience:.0f} s" if code == -9 else f"the process ended with {code}"}

    def close(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            for stream in (self.process.stdin, self.process.stdout):
                if stream is not None:
                    stream.close()
            self.process = None


class Duel:
    """The peers of a part: gradflow, and PyTorch where that is installed."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.peers = {"gradflow": Peer("gradflow", book.device)}
        if find_spec("torch") is None:
            book.note("PyTorch is not installed: gradflow alone.")
        else:
            self.peers["torch"] = Peer("torch", book.device)

    def __enter__(self) -> Duel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for peer in self.peers.values():
            peer.close()

    def run(
        self, what: str, entries: Sequence[Entry], seconds: float, tolerant: bool = False
    ) -> dict[str, Timed]:  # fmt: skip
        """Time entries in turns, `seconds` for each in all.

        The first that gives numbers to check is what the others are held against; with `tolerant` (16-bit floats) they
        need only be near. Disagreements and gradflow's errors are faults of the part.
        """
        found: dict[str, Timed] = {}
        agreed: tuple[str, list[float]] | None = None
        for e in entries:
            if e.library not in self.peers:
                continue
            answer = self._ask(e.library, load=e.label, module=e.module, options=e.options)
            if "error" in answer:
                found[e.label] = Timed(error=answer["error"])
                if e.library == "gradflow":
                    self.book.fault(f"{what}, {e.label}: {answer['error']}")
                continue
            found[e.label] = Timed(memory=answer["memory"], note=answer["note"])
            numbers = answer["check"]
            if numbers is None:
                continue
            if agreed is None:
                agreed = e.label, numbers
            elif not (near(agreed[1], numbers) if tolerant else agree(agreed[1], numbers)):
                self.book.fault(f"{what}: {e.label} computes {numbers}, {agreed[0]} {agreed[1]}")
        times: dict[str, list[float]] = {label: [] for label in found}
        for _ in range(1 if self.book.small else TURNS):
            for e in entries:
                if e.label in found and found[e.label].error is None:
                    answer = self._ask(e.library, time=e.label, seconds=seconds / TURNS)
                    times[e.label] += answer.get("seconds", [])
                    if "error" in answer:
                        found[e.label].error = answer["error"]
                        self.book.fault(f"{what}, {e.label}: {answer['error']}")
        for label, taken in times.items():
            if taken and found[label].error is None:
                found[label].seconds, found[label].spread = statistics.median(taken), spread(taken)
        for peer in self.peers.values():
            if peer.process is not None:
                peer.ask(clear=True)
        return found

    def _ask(self, library: str, **request: Any) -> dict[str, Any]:
        return self.peers[library].ask(min(PATIENCE, self.book.left()), **request)


def near(a: Sequence[float], b: Sequence[float]) -> bool:
    """Whether two libraries computed the same in 16-bit floats."""
    return len(a) == len(b) and all([math.isclose(x, y, rel_tol=0.05, abs_tol=2e-3) for x, y in zip(a, b, strict=True)])
