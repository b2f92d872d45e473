"""Faults: what kernels found wrong, such as an index out of range, told at the next synchronisation.

Each kind of fault, an op and what should have been, has a 64-bit word in memory that both sides see. A kernel writes
2 i + 1 into it for an offending index i; checking costs the host one look at memory it owns, once it waits anyway.
"""

from __future__ import annotations

import threading

import numpy as np

WORDS = 4096


class Faults:
    """The words of one device, kept in `memory`, an int64 array of WORDS zeros that its kernels can write to."""

    def __init__(self, memory: np.ndarray) -> None:
        self.memory = memory
        self._kinds: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()

    def word(self, op: str, what: str) -> int:
        """The address of the word for one kind of fault. Past the last word, kinds share it."""
        with self._lock:
            number = self._kinds.setdefault((op, what), min(len(self._kinds), WORDS - 1))
        return int(self.memory.ctypes.data) + 8 * number

    def check(self, device: object) -> None:
        """Raise IndexError for a fault that kernels found, and forget all; to be called once they are done."""
        count = len(self._kinds)
        if not count or not self.memory[:count].any():
            return
        with self._lock:
            found = int(np.flatnonzero(self.memory[:count])[0])
            index = (int(self.memory[found]) - 1) // 2
            self.memory[:] = 0
            op, what = next(kind for kind, number in self._kinds.items() if number == found)
        raise IndexError(
            f"[{op}] {what}, got {index} (found on {device} by an operation before this one; results since then, "
            "gradients included, are not to be used)"
        )
