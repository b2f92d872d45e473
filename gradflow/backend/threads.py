"""Work on the CPU in parallel: one Python thread per core, each with a BLAS of one thread.

NumPy releases the GIL while it copies and multiplies, so that chunks of a batch run side by side. OpenBLAS's own
threads serve badly here: they wait by spinning, and a product of a few hundred microseconds takes ten milliseconds
as soon as another process wants the core.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


def cores() -> int:
    """How many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def workers() -> int:
    """How many threads `spread` uses: the cores this process may run on, or what the usual variables say."""
    for name in ("GRADFLOW_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        value = os.environ.get(name, "")
        if value.isdecimal() and int(value) > 0:
            return int(value)
    return cores()


def spread(work: Callable[[Sequence[T]], R], items: Iterable[T]) -> list[R]:
    """[work(part) for part in items cut into one run of neighbours per worker], side by side.

    The cut depends on the number of workers only, so that results are the same from run to run.
    """
    jobs = list(items)
    count = min(_setup()[0], len(jobs))
    with one_blas_thread:
        if count <= 1 or threading.current_thread().name.startswith("gradflow-worker"):
            return [work(jobs)]
        cuts = [len(jobs) * i // count for i in range(count + 1)]
        parts = [jobs[a:b] for a, b in pairwise(cuts)]
        pool = _setup()[1]
        futures = [pool.submit(work, part) for part in parts[1:]]
        first = work(parts[0])
        return [first, *[f.result() for f in futures]]


@lru_cache(maxsize=1)
def _setup() -> tuple[int, Any]:
    from concurrent.futures import ThreadPoolExecutor  # not needed to import gradflow

    count = workers()
    return count, ThreadPoolExecutor(max(1, count - 1), thread_name_prefix="gradflow-worker")


class _OneBlasThread:
    """Holds OpenBLAS to one thread while any thread is inside."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before: int | None = None
        self._library: Any = None
        self._looked = False

    def __enter__(self) -> None:
        with self._lock:
            if not self._looked:
                from .blas import find_openblas

                self._library, self._looked = find_openblas(), True
            self._inside += 1
            if self._inside == 1 and self._library is not None:
                self._before = self._library.threads
                if self._before != 1:
                    self._library.set_threads(1)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0 and self._library is not None and self._before not in (None, 1):
                self._library.set_threads(self._before)


one_blas_thread = _OneBlasThread()

if hasattr(os, "register_at_fork"):  # a forked child has the pool's object but not its threads
    os.register_at_fork(after_in_child=_setup.cache_clear)
