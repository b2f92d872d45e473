"""What recording and replaying cost: a chain of multiplies, and one small operation of each kind at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import gradflow as gf
from gradflow.cli.bench_peers import CHAIN, tape

OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "add": lambda x: x + x,
    "multiply": lambda x: x * x,
    "multiply by a number": lambda x: x * 0.5,
    "sigmoid": gf.sigmoid,
    "exp": gf.exp,
    "relu": gf.relu,
    "where": lambda x: gf.where(x > 0, x, 0.0),
    "sum": lambda x: x.sum(),
    "sum of rows": lambda x: x.sum(1),
    "max of rows": lambda x: x.max(1).values,
    "reshape": lambda x: x.reshape(16),
    "permute": lambda x: x.permute(1, 0),
    "getitem": lambda x: x[1:, 0],
    "broadcasting add": lambda x: x + x[0],
    "cat": lambda x: gf.cat([x, x]),
    "matmul": lambda x: x @ x,
    "softmax": lambda x: gf.softmax(x, 1),
}


def test_chain_of_multiplies(benchmark: Any, tell: Any) -> None:
    step, check = tape(gf)
    assert check() == [4.0, 4.0 * CHAIN]
    benchmark(step)
    tell("microseconds per multiply", lambda seconds: round(seconds * 1e6 / CHAIN, 3))


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation(benchmark: Any, name: str) -> None:
    operation = OPERATIONS[name]
    gf.manual_seed(0)
    assert gf.autograd.gradcheck(operation, gf.randn(4, 4, dtype=gf.float64, requires_grad=True))
    x = gf.randn(4, 4, requires_grad=True)
    cotangent = gf.ones_like(operation(x).detach())

    def step() -> None:
        x.grad = None
        operation(x).backward(cotangent)

    benchmark(step)


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation_unrecorded(benchmark: Any, name: str) -> None:
    operation, x = OPERATIONS[name], gf.randn(4, 4)
    assert not operation(x).requires_grad
    benchmark(operation, x)
