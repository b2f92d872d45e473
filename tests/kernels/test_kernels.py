"""Every kernel against the array code of its name: values, layouts, NaN and infinities, and both orders of threads."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from kernels.harness import DEVICES, KernelCase, compare, launch, reference, rounded

from gradflow.autograd.primitive import PRIMITIVES, raw_over
from gradflow.backend import get_backend, kernels
from kernels import harness

FILES = sorted(Path(__file__).parent.glob("cases_*.py"))
CASES: list[KernelCase] = [c for f in FILES for c in importlib.import_module(f"kernels.{f.stem}").CASES]
PAIRS = [(case, dtype) for case in CASES for dtype in case.dtypes]

every_device = pytest.mark.parametrize("device", DEVICES)
every_pair = pytest.mark.parametrize("case, dtype", PAIRS, ids=[f"{c}-{d}" for c, d in PAIRS])


@pytest.fixture
def reverse() -> Iterator[None]:
    """Threads in reverse order."""
    backend = get_backend("emulated")
    backend.reverse = True
    yield
    backend.reverse = False


@every_device
@every_pair
def test_kernel_is_the_array_code(case: KernelCase, dtype: str, device: str) -> None:
    operands = rounded(case, dtype)
    found = launch(case, operands, device)
    compare(case, found, reference(case, operands), dtype)
    if case.exact:
        for a, b in zip(found, reference(case, operands, wide=False), strict=True):
            assert a.tobytes() == b.tobytes()


@every_device
@every_pair
def test_layouts_do_not_matter(case: KernelCase, dtype: str, device: str) -> None:
    if not case.layouts:
        return
    operands = rounded(case, dtype)
    expected = reference(case, operands)
    for layout, place in harness.layouts_of(get_backend(device)):
        compare(case, launch(case, operands, device, place), expected, dtype, layout)


@every_device
@every_pair
def test_nan_and_infinities_are_the_array_codes(case: KernelCase, dtype: str, device: str) -> None:
    if not case.specials:
        return
    operands = harness.with_specials(rounded(case, dtype), case)
    compare(case, launch(case, operands, device), reference(case, operands), dtype, "specials")


@every_pair
def test_the_order_of_threads_does_not_matter(case: KernelCase, dtype: str, reverse: None) -> None:
    operands = rounded(case, dtype)
    backwards = launch(case, operands, "emulated")
    get_backend("emulated").reverse = False
    for a, b in zip(backwards, launch(case, operands, "emulated"), strict=True):
        assert a.tobytes() == b.tobytes()


@every_device
@pytest.mark.parametrize("case", CASES, ids=repr)
def test_launches_are_counted(case: KernelCase, device: str) -> None:
    backend = get_backend(device)
    raw, prim = raw_over(backend), PRIMITIVES[case.name]
    static, residual = dict(case.static), bool(case.static.get("residual"))
    static.pop("residual", None)
    operands = [backend.from_host(a) if isinstance(a, np.ndarray) else a for a in rounded(case, case.dtypes[0])]
    kernels.reset()
    raw.run(prim, operands, static, residual)
    assert kernels.launches().get(case.name) == 1
    assert kernels.fallbacks() == {}


def test_every_launcher_has_a_case() -> None:
    computations = set(get_backend("emulated").kernels) & set(PRIMITIVES)
    assert computations - {case.name for case in CASES} == set()
