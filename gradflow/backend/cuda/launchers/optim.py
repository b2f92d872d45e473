"""Launchers of optimiser steps: all parameters of a group in one launch, their pointers in a table passed by value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..launcher import launcher
from ..operand import Operand
from ..plan import Planner, Struct

CHUNK = 4096
"""Elements that a block takes at a time, as optimizer.cu has it."""

CAPACITIES = (32, 72, 600)
"""Parameters that a table may hold. Up to 72 fit the 4096 bytes that kernel arguments may always have, 600 the 32764
bytes of `_large_arguments`."""


def _large_arguments(backend: Any) -> bool:
    """Whether kernel arguments may have 32764 bytes: since CUDA 12.1, on compute capability 7.0 and higher."""
    cuda = getattr(getattr(backend, "module", None), "cuda", None)
    if cuda is None:  # no GPU
        return True
    capability = int(cuda.Device(backend.device.index).compute_capability)
    return cuda.nvrtc.getVersion() >= (12, 1) and cuda.runtime.driverGetVersion() >= 12010 and capability >= 70


def _tables(plan: Planner, arrays: int, operands: tuple[Operand, ...]) -> Iterator[tuple[Struct, list[Any], int]]:
    """(table, template arguments, chunks) of each launch, for operands sorted by kind: values, gradients, state."""
    n = len(operands) // arrays
    together = [_together(plan, *operands[i::n]) for i in range(n)]
    ready = [each for each in together if each[0].size]
    capacities = CAPACITIES if _large_arguments(plan.backend) else CAPACITIES[:-1]
    capacity = next((c for c in capacities if c >= len(ready)), capacities[-1])
    for start in range(0, len(ready), capacity):
        part = ready[start : start + capacity]
        sizes = [each[0].size for each in part]
        first = [0]
        for size in sizes:
            first.append(first[-1] + -(-size // CHUNK))
        at = [operand for each in part for operand in each]
        table = plan.struct("Table", at=at, size=sizes, first=first[:-1], count=len(part), chunks=first[-1])
        yield table, [operands[0].dtype, arrays, arrays * capacity, capacity], first[-1]


def _together(plan: Planner, value: Operand, grad: Operand, *state: Operand) -> tuple[Operand, ...]:
    """One parameter's arrays in its own memory order, the gradient copied where it has another."""
    plan.require(value.is_dense, "a parameter whose memory has gaps")
    plan.require(grad.shape == value.shape, "a gradient of another shape than its parameter")
    plan.require(all([s.has_layout_of(value) for s in state]), "state in another layout than its parameter")
    plan.require(len({a.dtype for a in (value, grad, *state)}) == 1, "state of another dtype than its parameter")
    return *plan.dense(value, grad), *state


@launcher("optimizer.cu", inplace=True, runtime=("lr", "momentum", "undamped", "decay"))
def sgd_step(
    plan: Planner, *operands: Operand, arrays: int, first: bool, nesterov: bool, maximize: bool, lr: Any,
    momentum: Any, undamped: Any, decay: Any,
) -> None:  # fmt: skip
    """values, gradients and, where arrays is 3, velocities, which `first` makes; undamped is 1 - dampening."""
    for table, template, chunks in _tables(plan, arrays, operands):
        plan.launch(
            "sgd_step", template, table, lr, momentum, undamped, decay, first, nesterov, maximize,
            grid=(min(chunks, plan.max_blocks),),
        )  # fmt: skip


@launcher(
    "optimizer.cu", inplace=True,
    runtime=("step_size", "correction", "rest1", "b2", "rest2", "eps", "decay", "keep"),
)  # fmt: skip
def adam_step(plan: Planner, *operands: Operand, arrays: int, maximize: bool, **numbers: Any) -> None:
    """values, gradients, means of them and of their squares and, where arrays is 5, the largest of these.

    The numbers are step_size = lr / (1 - b1^t), correction = sqrt(1 - b2^t), rest1 = 1 - b1, b2, rest2 = 1 - b2, eps,
    decay, and keep, which w is multiplied by.
    """
    order = ("step_size", "correction", "rest1", "b2", "rest2", "eps", "decay", "keep")
    for table, template, chunks in _tables(plan, arrays, operands):
        plan.launch(
            "adam_step", template, table, *[numbers[name] for name in order], maximize,
            grid=(min(chunks, plan.max_blocks),),
        )  # fmt: skip
