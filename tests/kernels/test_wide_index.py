"""Kernels count in 64 bits where arrays have some 2^31 elements or more: forced here on small ones."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kernels.harness import DEVICES, KernelCase, compare, launch, reference, rounded

from gradflow.backend.cuda import plan
from gradflow.backend.cuda.emulated import EmulatedBackend, with_all_floats
from gradflow.backend.cuda.launcher import forget_plans
from kernels import cases_activation, cases_index, cases_norm, cases_softmax

NAMES = {"silu_backward": {(9, 2003)}, "bias_act": {(33, 128), (9, 3, 31, 33)}}
NAMES["bias_gated_backward"] = NAMES["bias_act"]
NAMES |= {"batch_norm": {(4, 8, 6, 4), (5, 7)}, "batch_norm_backward": {(4, 8, 6, 4)}}
NAMES |= {"embedding": {(11, 3)}, "pick": {(5, 3, 4)}, "place": {(3, 4)}}
NAMES |= {"softmax": {(2, 7, 6, 8)}, "softmax_backward": {(2, 7, 6, 8)}, "cross_entropy_scale": {(300,)}}
CASES = [*cases_activation.CASES, *cases_index.CASES, *cases_norm.CASES, *cases_softmax.CASES]
PICKED = [case for case in CASES if case.args[0].shape in NAMES.get(case.name, ())]


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """All arrays count as those of 2^31 elements and more; the index types that launchers are told."""
    told: list[str] = []
    index_type = plan.Planner.index_type
    monkeypatch.setattr(plan, "INT_SIZE", 0)
    monkeypatch.setattr(EmulatedBackend, "companions", staticmethod(with_all_floats))
    monkeypatch.setattr(plan.Planner, "index_type", lambda *xs: told.append(index_type(*xs)) or told[-1])
    forget_plans()
    yield told
    forget_plans()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("case", PICKED, ids=repr)
def test_64_bit_indices_give_the_same(case: KernelCase, device: str, wide: list[str]) -> None:
    operands = rounded(case, "f4")
    compare(case, launch(case, operands, device), reference(case, operands), "f4")
    assert wide == ["long long"]
