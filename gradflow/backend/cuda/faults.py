"""Faults: what kernels found wrong, such as an index out of range, told at the next synchronisation.

Each kind of fault, an op and what should have been, has a 64-bit word in memory that both sides see. A kernel writes
2 i + 1 into it for an offending index i; checking costs the host one look at memory it owns, once it waits anyway.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from ..kernels import Declined, run

WORDS = 4096


class Faults:
    """The words of one device, kept in `memory`, an int64 array of zeros that its kernels can write to."""

    def __init__(self, memory: np.ndarray) -> None:
        self.memory = memory
        self._kinds: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()

    def word(self, op: str, what: str) -> int:
        """The address of the word for one kind of fault. Kinds for which there is no room share the last one."""
        with self._lock:
            last = len(self.memory) - 1
            if (op, what) not in self._kinds and len(self._kinds) >= last:
                op, what = "index", "indices must be in range"
            number = self._kinds.setdefault((op, what), min(len(self._kinds), last))
        return int(self.memory.ctypes.data) + 8 * number

    def check(self, device: object) -> None:
        """Raise IndexError for the faults that kernels found, and forget them; to be called once they are done."""
        if not self._kinds or not self.memory[: len(self._kinds)].any():
            return
        with self._lock:
            found = [(n, f"[{op}] {what}") for (op, what), n in self._kinds.items() if self.memory[n]]
            told = [f"{what}, got {(int(self.memory[n]) - 1) // 2}" for n, what in found]
            self.memory[[n for n, _ in found]] = 0
        if not told:
            return  # another thread has raised it
        raise IndexError(
            f"{'; '.join(told)} (found on {device} by an operation before this one; results since then, gradients "
            "included, are not to be used)"
        )


def check_on_device(backend: Any, index: Any, low: int, high: int, op: str) -> None:
    """Have a kernel look for values of an integer array outside [low, high), without waiting for what it finds."""
    outcome = run(backend.kernels, "check_index", backend.as_array(index), low=low, high=high, op=op)
    if type(outcome) is Declined:
        raise TypeError(f"[{op}] cannot check the range of an index: {outcome.reason}")
