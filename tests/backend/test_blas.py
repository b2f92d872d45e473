"""What is said about NumPy's BLAS."""

from __future__ import annotations

import numpy as np
import pytest

from gradflow.backend import blas
from gradflow.backend.blas import BlasFacts, blas_facts, find_openblas


class Library:
    """Stands for an OpenBLAS that takes the CPU for a Haswell."""

    core, config, threads = "Haswell", "OpenBLAS 0.3 Haswell", 2


def test_facts_of_this_numpy():
    facts = blas_facts({})
    assert facts.name
    assert facts.pins == ()
    assert facts.advice is None
    if "openblas" in facts.name and find_openblas() is not None:
        assert facts.core
        assert facts.core == facts.free_core
        assert facts.threads
        assert "OpenBLAS" in str(facts.config)


def test_threads_can_be_set():
    library = find_openblas()
    if library is None or library.threads is None:
        pytest.skip("NumPy uses another BLAS here")
    before = library.threads
    try:
        assert library.set_threads(1)
        assert library.threads == 1
        assert np.allclose(np.eye(3) @ np.eye(3), np.eye(3))
    finally:
        library.set_threads(before)
    assert library.threads == before


def test_a_pinned_core_is_reported_with_the_cure(monkeypatch):
    monkeypatch.setattr(blas, "find_openblas", Library)
    monkeypatch.setattr(blas, "core_without_pins", lambda: "SkylakeX")
    facts = blas_facts({"OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_L2_SIZE": "512", "OMP_NUM_THREADS": "2"})
    assert (facts.core, facts.free_core) == ("Haswell", "SkylakeX")
    assert facts.thread_variables == (("OMP_NUM_THREADS", "2"),)
    assert facts.advice == (
        "OPENBLAS_CORETYPE=Haswell pins it to Haswell, this CPU is SkylakeX and OPENBLAS_L2_SIZE=512 stands in for the "
        "CPU's real cache size; matrix products may run at half speed. "
        "Cure: env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE gradflow train"
    )


def test_a_pin_to_the_right_core_is_no_matter(monkeypatch):
    monkeypatch.setattr(blas, "find_openblas", Library)
    monkeypatch.setattr(blas, "core_without_pins", lambda: "Haswell")
    assert blas_facts({"OPENBLAS_CORETYPE": "Haswell"}).advice is None


def test_the_free_core_comes_from_a_process_without_the_pins(monkeypatch):
    library = find_openblas()
    if library is None:
        pytest.skip("NumPy uses another BLAS here")
    expected = blas.core_without_pins()
    assert expected
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Nehalem" if expected != "Nehalem" else "Haswell")
    assert blas.core_without_pins() == expected


def test_another_blas(monkeypatch):
    monkeypatch.setattr(blas, "find_openblas", lambda: None)
    monkeypatch.setattr(blas, "_built_with", lambda: {"name": "accelerate", "version": "1"})
    assert blas_facts({"OPENBLAS_CORETYPE": "Haswell"}) == BlasFacts("accelerate", "1")


def test_an_unreadable_library_is_passed_over(monkeypatch, tmp_path):
    broken = tmp_path / "libopenblas.so"
    broken.write_bytes(b"no library")
    monkeypatch.setattr(blas, "_candidates", lambda: [str(broken)])
    assert find_openblas() is None
