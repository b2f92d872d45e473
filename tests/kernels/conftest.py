"""Compiles all that the kernel cases need of a source when its first kernel is wanted, which beats one at a time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gradflow.backend.cuda.emulated import EmulatedBackend, with_all_floats
from gradflow.backend.cuda.program import Program
from kernels import compiled


@pytest.fixture(scope="package", autouse=True)
def kernels_of_a_source_together() -> Iterator[None]:
    def companions(program: Program, instance: str) -> set[str]:
        traits = EmulatedBackend.multiprocessors, EmulatedBackend.max_blocks, EmulatedBackend.shared_optin
        known = compiled.instances(*traits).get(program, {})
        return set(known) if instance in known else set(with_all_floats(program, instance))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EmulatedBackend, "companions", staticmethod(companions))
        yield
