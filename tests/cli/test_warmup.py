"""`gradflow warmup`: what it compiles, and what it says where there is nothing to compile for."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from gradflow.backend.base import DeviceError
from gradflow.cli.warmup import warm_up

from .conftest import process


def test_the_second_time_all_is_in_the_cache(tmp_path: Path) -> None:
    command = ("warmup", "--device", "emulated", "--model", "mlp", "--optimizer", "sgd", "--batch-size", "4")
    first, second = [process(*command, cwd=tmp_path, GRADFLOW_CACHE=str(tmp_path / "cache")) for _ in range(2)]
    if "needs a C++ compiler" in first.stderr:
        pytest.skip(first.stderr)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    made = re.search(r"^compiled  (\d+) new files in (.+)$", first.stdout, re.M)
    assert made is not None
    assert len(list(Path(made[2]).glob("*.so"))) == int(made[1]) > 0
    assert f"compiled  nothing: all was in {made[2]}" in second.stdout
    for out in (first.stdout, second.stdout):
        assert "model     mlp, batches of 4, sgd, on emulated" in out
        assert re.search(r"^kernels   [1-9]\d* instances for [1-9]\d* computations$", out, re.M)
        assert re.search(r"^ready in  \d+\.\d s; a training step now takes \d+\.\d ms$", out, re.M)
        assert "no kernel" not in out


def test_without_a_gpu_it_says_what_is_missing(no_cupy: Callable[[int], None]) -> None:
    with pytest.raises(DeviceError, match="cuda:0 cannot be had: CuPy is not installed"):
        warm_up("mlp", "cuda", None, "adam")


def test_nothing_is_compiled_for_the_cpu(tmp_path: Path) -> None:
    done = process("warmup", "--device", "cpu", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "error: [warmup] nothing is compiled for the CPU; say --device cuda or --device emulated\n"
