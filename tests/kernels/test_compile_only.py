"""Every kernel compiles for sm_80 and sm_90, without warnings and without spilling registers. Needs no GPU."""

from __future__ import annotations

import pytest
from kernels.compiled import ARCHITECTURES, SHARED_OPTIN, Usage, kernel_of, kind_of
from kernels.harness import DTYPES

from gradflow.backend.cuda.launcher import LAUNCHERS
from gradflow.backend.cuda.signature import C_NAMES
from kernels import compiled

STATIC_SHARED = 48 << 10
"""Shared memory that a kernel may declare, on all GPUs."""

REGISTERS = 65536
"""What a block's threads may have together."""


@pytest.fixture(scope="module")
def found() -> tuple[list[Usage], list[str]]:
    compiler = compiled.compiler()
    if compiler is None:
        pytest.skip(
            "neither NVRTC's wheels (pip install nvidia-cuda-nvrtc nvidia-cuda-runtime nvidia-cuda-crt) nor nvcc"
        )
    return compiled.usages(compiler)


def test_every_kernel_compiles_in_every_dtype_without_warnings(found: tuple[list[Usage], list[str]]) -> None:
    usages, warnings = found
    wanted = {(p.filename, *kind_of(name)) for p, names in compiled.compiled_instances().items() for name in names}
    for architecture in ARCHITECTURES:
        assert {(u.file, *kind_of(u.instance)) for u in usages if u.architecture == architecture} == wanted
    assert any(["long long" in u.instance for u in usages])
    assert warnings == []


def test_no_instance_spills(found: tuple[list[Usage], list[str]]) -> None:
    assert [u for u in found[0] if u.spills or not u.registers] == []


def test_shared_memory_fits(found: tuple[list[Usage], list[str]]) -> None:
    assert [u for u in found[0] if u.shared > STATIC_SHARED or u.shared + u.dynamic_shared > SHARED_OPTIN] == []


def test_registers_suffice_for_the_blocks(found: tuple[list[Usage], list[str]]) -> None:
    """A warp's registers are given out by the 256."""
    warps = [(u, -(-u.threads // 32)) for u in found[0]]
    assert [u for u, n in warps if n == 0 or -(-u.registers // 8) * 8 * 32 * n > REGISTERS] == []


def test_every_kernel_has_an_instance() -> None:
    found = compiled.instances()
    kernels = {
        (program.filename, kernel)
        for each in LAUNCHERS.values()
        for program in [each.program()]
        for kernel in (program.kernels if program else ())
    }
    wanted = {(program.filename, kernel_of(name)) for program, names in found.items() for name in names}
    assert kernels - wanted == set()


def test_every_kernel_of_floats_is_compiled_for_all_of_them() -> None:
    kinds: dict[tuple[str, str], set[str]] = {}
    for program, names in compiled.compiled_instances().items():
        for name in names:
            kernel, *floats = kind_of(name)
            kinds.setdefault((program.filename, kernel), set()).update(floats)
    floats = {C_NAMES[d] for d in DTYPES}
    assert {kernel: found for kernel, found in kinds.items() if found not in (set(), floats)} == {}
