"""The parts of the check, in order of worth: a run that is cut short has the most telling ones."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """A module with a function `run(book)`, and the seconds it may take; it gets a process of its own."""

    name: str
    title: str
    module: str
    budget: float


PARTS = (
    Part("environment", "Environment", "bench.gpu_check.environment", 15),
    Part("ceilings", "Ceilings: copies and matrix products", "bench.gpu_check.ceilings", 20),
    Part("tests", "Test suite", "bench.gpu_check.suite", 130),
    Part("sanitizer", "compute-sanitizer", "bench.gpu_check.sanitizer", 60),
    Part("audit", "Parity audit", "bench.gpu_check.audits", 40),
    Part("kernels", "Kernels against a copy and against PyTorch", "bench.gpu_check.kernels", 75),
    Part("convolutions", "Convolutions against PyTorch", "bench.gpu_check.convolutions", 55),
    Part("steps", "Training steps against PyTorch", "bench.gpu_check.steps", 90),
    Part("resume", "Killed and resumed runs", "bench.gpu_check.resume", 20),
    Part("fashion", "Fashion-MNIST: time to 91.5 %", "bench.gpu_check.fashion", 25),
)
BUDGET = sum([part.budget for part in PARTS])
