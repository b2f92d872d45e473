"""The table of cases is complete: every primitive with all its rules, every public function, every kernel's name.

What a case covers is not declared but observed: a profiler notes which code runs.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any
from unittest.mock import patch

import pytest
from ops.cases import CASES, Case
from ops.harness import FORWARD, REVERSE, constants, derivative, floating, gradients, leaves, project, scalar, tensors

import gradflow as gf
from gradflow import functions
from gradflow.autograd.primitive import PRIMITIVES, Primitive
from gradflow.backend import get_backend
from gradflow.backend.cuda.launcher import USER_LAUNCHERS
from gradflow.nn import functional


class Observed:
    """The code objects that run inside a `with` block."""

    def __init__(self) -> None:
        self.codes: set[CodeType] = set()

    def __enter__(self) -> set[CodeType]:
        self.before = sys.getprofile()
        sys.setprofile(lambda frame, event, _: self.codes.add(frame.f_code) if event == "call" else None)
        return self.codes

    def __exit__(self, *_: object) -> None:
        sys.setprofile(self.before)


@pytest.fixture(scope="module")
def called() -> set[CodeType]:
    """What the cases run forward, on plain tensors, where no kernel takes a body's place."""
    with Observed() as codes, patch.dict(get_backend("cpu").kernels, clear=True):
        for case in CASES:
            case.call(*tensors(case.inputs), *constants(case))
    return codes


@pytest.fixture(scope="module")
def differentiated() -> set[CodeType]:
    """What the cases run under reverse mode, forward mode and vmap."""
    with Observed() as codes:
        for case in CASES:
            differentiate(case)
    return codes


def differentiate(case: Case) -> None:
    xs, f = leaves(case), scalar(case, constants(case))
    gradients(project(floating(case.call(*xs, *constants(case)))), xs, create_graph=True)
    plain = tensors(case.inputs)
    derivative(derivative(f, FORWARD, plain), REVERSE, plain)(*plain)
    derivative(f, FORWARD, plain)(*plain)
    batched = gf.func.vmap(case.call, (*[0] * len(plain), *[None] * len(case.constants)), randomness=case.randomness)
    batched(*[gf.stack([x, x]) for x in plain], *constants(case))


def rules(prim: Primitive) -> dict[str, Callable[..., Any]]:
    found = {f"vjp of input {i}": vjp for i, vjp in enumerate(prim.vjps) if vjp is not None}
    found |= {"joint vjp": prim.joint, "jvp": prim.jvp, "batching rule": prim.batch, "formula": prim.formula}
    return {name: rule for name, rule in found.items() if isinstance(rule, FunctionType)}


def public(module: Any) -> dict[str, FunctionType]:
    """Functions that a module defines or, by its `__all__`, gives out."""
    names = getattr(module, "__all__", None) or [
        n for n, f in vars(module).items() if inspect.isfunction(f) and f.__module__ == module.__name__
    ]
    return {n: getattr(module, n) for n in names if not n.startswith("_") and inspect.isfunction(getattr(module, n))}


def test_every_primitive_has_a_case(called: set[CodeType]) -> None:
    assert [p.name for p in PRIMITIVES.values() if p.body.__code__ not in called] == []


def test_every_rule_is_run_by_a_case(differentiated: set[CodeType]) -> None:
    never = [
        f"{p.name}: {what}"
        for p in PRIMITIVES.values()
        for what, rule in rules(p).items()
        if rule.__code__ not in differentiated
    ]
    assert never == []


@pytest.mark.parametrize("module", [functions, functional, gf.linalg], ids=["gradflow", "nn.functional", "linalg"])
def test_every_public_function_has_a_case(module: Any, called: set[CodeType]) -> None:
    found = public(module)
    assert len(found) > 10
    assert [name for name, f in found.items() if inspect.unwrap(f).__code__ not in called] == []


def test_names_are_unique() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)


ACTIONS = {"adam_step", "check_index", "sgd_step", "update_running"}
"""Kernels of what is no computation with a result: steps of optimisers, running statistics, checks."""


@pytest.mark.parametrize("device", ["cpu", "cuda", "emulated"])
def test_kernels_are_named_after_primitives(device: str, fake_cuda: Callable[..., Any]) -> None:
    own = set(get_backend(device).kernels) - set(USER_LAUNCHERS)
    assert own - set(PRIMITIVES) == (set() if device == "cpu" else ACTIONS)


def test_every_kernel_of_the_cpu_is_run_by_a_case() -> None:
    gf.kernels.reset()
    for case in CASES:
        xs = leaves(case)
        gradients(scalar(case, constants(case))(*xs), xs)
    assert set(gf.kernels.launches()) == set(get_backend("cpu").kernels)
