"""What every benchmark here shares: the facts that stand beside saved numbers, and the way to `nets`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradflow as gf
from gradflow.backend.blas import blas_facts
from gradflow.cli.doctor import machine

sys.path.insert(0, str(Path(__file__).parent))


def facts() -> dict[str, Any]:
    """Machine, versions and BLAS."""
    blas = blas_facts()
    computing = f", computing for {blas.core}" if blas.core else ""
    return {
        **machine(),
        "gradflow": gf.__version__,
        "numpy": np.__version__,
        "blas": f"{blas.name} {blas.version}{computing}, {blas.threads} threads",
        "pins": dict(blas.pins),
    }


def pytest_benchmark_update_machine_info(config: Any, machine_info: dict[str, Any]) -> None:
    machine_info["gradflow"] = facts()


def pytest_report_header(config: Any) -> list[str]:
    advice = blas_facts().advice
    return [f"{name}: {value}" for name, value in facts().items()] + ([f"warning: {advice}"] if advice else [])


@pytest.fixture
def tell(benchmark: Any) -> Callable[[str, Callable[[float], float]], None]:
    """Keep a figure that follows from the median seconds beside the others: `tell("images/s", lambda s: 128 / s)`."""

    def keep(name: str, figure: Callable[[float], float]) -> None:
        if benchmark.stats is not None:  # there are none under --benchmark-disable
            benchmark.extra_info[name] = figure(benchmark.stats["median"])

    return keep
