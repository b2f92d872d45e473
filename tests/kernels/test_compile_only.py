"""Every kernel compiles for sm_80 and sm_90, without warnings and without spilling registers. Needs no GPU."""

from __future__ import annotations

import pytest
from kernels.compiled import ARCHITECTURES, SHARED_OPTIN, Usage

from gradflow.backend.cuda.launcher import LAUNCHERS
from kernels import compiled

STATIC_SHARED = 48 << 10
"""Shared memory that a kernel may declare, on all GPUs."""


@pytest.fixture(scope="module")
def found() -> tuple[list[Usage], list[str]]:
    compiler = compiled.compiler()
    if compiler is None:
        pytest.skip(
            "neither NVRTC's wheels (pip install nvidia-cuda-nvrtc nvidia-cuda-runtime nvidia-cuda-crt) nor nvcc"
        )
    return compiled.usages(compiler)


def test_every_instance_compiles_without_warnings(found: tuple[list[Usage], list[str]]) -> None:
    usages, warnings = found
    wanted = {
        (p.filename, name, arch)
        for p, names in compiled.instances().items()
        for name in names
        for arch in ARCHITECTURES
    }
    assert {(u.file, u.instance, u.architecture) for u in usages} == wanted
    assert warnings == []


def test_no_instance_spills(found: tuple[list[Usage], list[str]]) -> None:
    assert [u for u in found[0] if u.spills or not u.registers] == []


def test_shared_memory_fits(found: tuple[list[Usage], list[str]]) -> None:
    assert [u for u in found[0] if u.shared > STATIC_SHARED or u.shared + u.dynamic_shared > SHARED_OPTIN] == []


def test_every_kernel_has_an_instance() -> None:
    found = compiled.instances()
    kernels = {
        (program.filename, kernel)
        for each in LAUNCHERS.values()
        for program in [each.program()]
        for kernel in (program.kernels if program else ())
    }
    wanted = {(program.filename, name.split("<")[0]) for program, names in found.items() for name in names}
    assert kernels - wanted == set()
