"""How much memory a process uses on a device, and how much it can have."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ..backend import Backend
from ..backend.base import guarded

PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
UNLIMITED = 1 << 60  # bytes: what version 1 of cgroups gives where there is no limit is a little below 2**63


def memory_used(backend: Backend) -> int | None:
    """Bytes in use on a device now, without waiting for it; None where that is not known.

    On a GPU those that arrays have of CuPy's default pool; on a CPU those of the process in physical memory: on macOS
    the most there have been.
    """
    if backend.device.type == "cuda":
        with guarded(backend):
            return int(backend.module.get_default_memory_pool().used_bytes())
    sizes = _sizes()
    if sizes is not None:
        return sizes[1]
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def memory_limit(backend: Backend) -> int | None:
    """Bytes that this process could have in use on a device, those in use among them; None where that is not known.

    On a GPU the pool's and what is free, or the limit of the pool where one is set and lower. On a CPU what is
    available of the machine's memory, or what limits of the process and of its cgroups leave.
    """
    if backend.device.type == "cuda":
        with guarded(backend):
            pool = backend.module.get_default_memory_pool()
            free, _ = backend.module.cuda.runtime.memGetInfo()
            return int(min(free + pool.total_bytes(), pool.get_limit() or UNLIMITED))
    limits = [limit for limit in (_available(), _address_space(), _cgroup_limit()) if limit is not None]
    return min(limits, default=None)


def _sizes() -> tuple[int, int] | None:
    """The bytes of this process's address space, and those in physical memory; None where there is no /proc."""
    try:
        pages = (PROC / "self/statm").read_text().split()[:2]
    except OSError:
        return None
    size = os.sysconf("SC_PAGE_SIZE")
    return int(pages[0]) * size, int(pages[1]) * size


def _available() -> int | None:
    """What the machine can give this process, with what it has."""
    sizes = _sizes()
    try:
        lines = (PROC / "meminfo").read_text().splitlines()
    except OSError:
        return None
    kilobytes = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    return 1024 * kilobytes[0] + sizes[1] if kilobytes and sizes else None


def _address_space() -> int | None:
    """What `ulimit -v` leaves: it counts addresses, of which a process has many more than it uses."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return None
    sizes = _sizes()
    return limit if sizes is None else sizes[1] + max(0, limit - sizes[0])


def _cgroup_limit() -> int | None:
    """The lowest limit of this process's cgroups and of those they are in, of version 1 or 2."""
    try:
        lines = (PROC / "self/cgroup").read_text().splitlines()
    except OSError:
        return None
    limits = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            root, name = CGROUPS, "memory.max"
        elif "memory" in controllers.split(","):
            root, name = CGROUPS / "memory", "memory.limit_in_bytes"
        else:
            continue
        folder = root / path.strip("/")  # in a container this may be the host's name, and only `root` be there
        limits += [_read_limit(above / name) for above in (folder, *folder.parents) if above.is_relative_to(root)]
    return min([limit for limit in limits if limit is not None], default=None)


def _read_limit(path: Path) -> int | None:
    try:
        limit = path.read_text().strip()
    except OSError:
        return None
    return int(limit) if limit.isdecimal() and int(limit) < UNLIMITED else None
