"""How much memory is used, and how much could be, on a CPU and on a GPU that is not there."""

from __future__ import annotations

import mmap
import sys
from pathlib import Path

import pytest

from gradflow.backend import get_backend
from gradflow.train import memory
from gradflow.train.memory import memory_limit, memory_used

PAGE = mmap.PAGESIZE
CPU = get_backend("cpu")
GIB = 1 << 30


@pytest.fixture
def machine(tmp_path: Path, monkeypatch):
    """A machine whose files are those given: 300 pages of 1,000 are in memory, 9,000 kB are available."""
    resource = pytest.importorskip("resource")
    limits = [resource.RLIM_INFINITY, resource.RLIM_INFINITY]
    monkeypatch.setattr(memory, "PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "CGROUPS", tmp_path / "cgroups")
    monkeypatch.setattr(resource, "getrlimit", lambda which: tuple(limits))

    def build(address_space: int | None = None, **files: str) -> None:
        if address_space is not None:
            limits[0] = address_space
        texts = {"proc/self/statm": "1000 300 50 1 0 90 0\n", "proc/meminfo": "MemTotal: 1 kB\nMemAvailable: 9000 kB\n"}
        for name, text in (texts | files).items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)

    return build


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only the peak is known here")
def test_what_this_process_uses_grows_with_it():
    before = memory_used(CPU)
    block = bytearray(64 << 20)
    block[::PAGE] = b"x" * len(block[::PAGE])
    after = memory_used(CPU)
    assert before is not None and after is not None
    assert 50 << 20 <= after - before <= 80 << 20
    limit = memory_limit(CPU)
    assert limit is None or limit >= after


def test_what_statm_says(machine):
    machine()
    assert memory_used(CPU) == 300 * PAGE


@pytest.mark.parametrize(("platform", "unit"), [("linux", 1024), ("darwin", 1)])
def test_where_there_is_no_proc_the_peak_counts(machine, monkeypatch, platform: str, unit: int):
    import resource

    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(resource, "getrusage", lambda who: resource.struct_rusage([0, 0, 5000, *[0] * 13]))
    assert memory_used(CPU) == 5000 * unit
    assert memory_limit(CPU) is None


def test_where_nothing_can_be_asked(machine, monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)
    assert memory_used(CPU) is None
    assert memory_limit(CPU) is None


AVAILABLE = 9000 * 1024 + 300 * PAGE
FIRST, IN_BYTES = "cgroups/memory", "memory.limit_in_bytes"  # version 1 of cgroups
LIMITS = [
    ({}, AVAILABLE),
    ({"address_space": 1400 * PAGE}, 700 * PAGE),  # 400 pages more than it has
    ({"address_space": 500 * PAGE}, 300 * PAGE),  # lowered to less than it has
    ({"address_space": 1 << 50}, AVAILABLE),
    ({"proc/self/cgroup": "0::/\n"}, AVAILABLE),  # the root group has no limit
    ({"proc/self/cgroup": "0::/a/b\n", "cgroups/a/b/memory.max": "5000\n"}, 5000),
    ({"proc/self/cgroup": "0::/a/b\n", "cgroups/a/b/memory.max": "max\n", "cgroups/a/memory.max": "6000\n"}, 6000),
    ({"proc/self/cgroup": "0::/a\n", "cgroups/memory.max": "7000\n"}, 7000),  # in a container, by the host's name
    ({"proc/self/cgroup": "0::/../a:b\n", "cgroups/memory.max": "7000\n"}, 7000),
    ({"proc/self/cgroup": "5:cpu:/x\n4:hugetlb,memory:/x\n0::/\n", f"{FIRST}/x/{IN_BYTES}": "8000\n"}, 8000),
    ({"proc/self/cgroup": "4:memory:/\n", f"{FIRST}/{IN_BYTES}": f"{2**63 - 4096}\n", "proc/meminfo": ""}, None),
]  # fmt: skip


@pytest.mark.parametrize(("files", "limit"), LIMITS)
def test_the_lowest_limit_counts(machine, files: dict, limit: int | None):
    machine(**files)
    assert memory_limit(CPU) == limit


def test_a_gpu_is_asked_for_its_own_pool_without_waiting(fake_cuda):
    world = fake_cuda(devices=2, used={0: 1, 1: 5 * GIB}, cached={1: 2 * GIB}).world
    second = get_backend("cuda:1")
    waits = world.waits
    assert memory_used(second) == 5 * GIB
    assert memory_limit(second) == 80 * GIB
    assert memory_used(get_backend("cuda:0")) == 1
    assert world.waits == waits


def test_the_memory_that_others_have_of_a_gpu_cannot_be_had(fake_cuda):
    module = fake_cuda(used={0: 5 * GIB}, cached={0: 2 * GIB})
    module.cuda.runtime.memGetInfo = lambda: (3 * GIB, 80 * GIB)
    assert memory_limit(get_backend("cuda")) == 10 * GIB


def test_the_limit_of_a_pool(fake_cuda):
    fake_cuda(used={0: 5 * GIB}, limits={0: 6 * GIB})
    assert memory_limit(get_backend("cuda")) == 6 * GIB
