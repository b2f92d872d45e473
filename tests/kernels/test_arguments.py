"""Arguments of launches: numbers of every C type, and structs, checked field by field."""

from __future__ import annotations

import gc
import re
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from kernels.test_launcher import PROGRAM, made, on_device, scale

from gradflow.backend import get_backend
from gradflow.backend.base import guarded
from gradflow.backend.cuda.launcher import Launcher
from gradflow.backend.cuda.operand import Operand
from gradflow.backend.cuda.plan import Planner, Runtime, Struct, fast_div
from gradflow.backend.cuda.program import Program
from gradflow.backend.cuda.signature import SignatureError

NUMBERS = {
    "bool": True, "signed char": -3, "unsigned char": 200, "short": -300, "unsigned short": 60000, "int": -70000,
    "unsigned": 4000000000, "long long": -(2**40), "unsigned long long": 2**63 + 2**40, "float": 0.5, "double": -0.25,
}  # fmt: skip


@pytest.mark.parametrize("name", ["emulated", "cuda:0", "cuda:1"])
@pytest.mark.parametrize("late", [False, True])
def test_numbers_of_every_type_by_value(name: str, late: bool, fake_cuda: Callable[..., Any]) -> None:
    backend = get_backend(name)
    letters = dict(zip("abcdefghijk", NUMBERS, strict=True))
    assign = " ".join([f"y[{i}] = double({letter});" for i, letter in enumerate(letters)])
    takes = ", ".join([f"{kind} {letter}" for letter, kind in letters.items()])
    fields = " ".join([f"{kind} {letter};" for letter, kind in letters.items()])
    inside = re.sub(r"\((\w)\)", r"(s.\1)", assign).replace("y[", "y[11 + ")
    program = Program(
        f"struct S {{ {fields} }}; __global__ void f({takes}, S s, double* y) {{ {assign} {inside} }}", "f.cu"
    )

    def f(plan: Planner, **given: Any) -> Operand:
        y = plan.empty((22,), "f8")
        plan.launch("f", [], *given.values(), plan.struct("S", **given), y, grid=(1,), block=1)
        return y

    run = Launcher(f, lambda: program, ("f8",), False, tuple(letters) if late else ()).on(backend, "f")
    for sign in (1, 1, -1):
        numbers = {k: sign * v if k in "jk" else v for k, v in zip(letters, NUMBERS.values(), strict=True)}
        with guarded(backend):
            assert backend.to_host(run(**numbers)).tolist() == [float(v) for v in numbers.values()] * 2


@pytest.mark.parametrize("name", ["emulated", "cuda:1"])
def test_plans_hold_no_arrays(name: str, fake_cuda: Callable[..., Any]) -> None:
    backend = get_backend(name)

    def both(plan: Planner, x: Operand, *, factor: float) -> Operand:
        plan.launch("scale_all", [], plan.struct("Lists", at=[x], sizes=[3], factor=factor), grid=(1,))
        return scale(plan, x, factor=factor)

    run, x = Launcher(both, lambda: PROGRAM, ("f4",), True, ()).on(backend, "both"), backend.from_host(np.ones(3, "f4"))
    with guarded(backend):
        seen = [weakref.ref(run(x, factor=2.0)), weakref.ref(x)]
        assert len(run.plans) == 1
        del x
        gc.collect()
    assert [r() for r in seen] == [None, None]


WRONG_FIELDS: dict[str, tuple[dict[str, Any], str]] = {
    "another dtype": ({"at": ["double"]}, r"lists.at takes a pointer to float, got \(3,\) float64"),
    "an address": ({"at": [4096]}, "lists.at takes a pointer to float, got 4096"),
    "too many": ({"at": ["float"] * 5}, "lists.at takes a list of up to 4"),
    "no list": ({"sizes": 3}, "lists.sizes takes a list of up to 4, got 3"),
    "a list": ({"factor": [1.0]}, r"lists.factor takes one float, got \[1.0\]"),
    "a fraction": ({"sizes": [1.5]}, "lists.sizes takes a int, got 1.5"),
    "too large": ({"sizes": [2**31]}, "lists.sizes takes a int, got 2147483648"),
    "a NumPy number that is too large": ({"sizes": [np.int64(2**31)]}, "lists.sizes takes a int"),
    "a bool": ({"factor": True}, "lists.factor takes a float, got True"),
    "too large for a float": ({"factor": 10**400}, "lists.factor takes a float, which cannot hold"),
    "a struct": ({"factor": fast_div(3)}, "lists.factor takes float, got a struct FastDiv"),
}


@pytest.mark.parametrize("wrong", WRONG_FIELDS)
def test_a_wrong_field_is_an_error_that_names_it(wrong: str) -> None:
    fields, message = WRONG_FIELDS[wrong]

    def plan_it(plan: Planner, x: Operand, y: Operand) -> None:
        kinds = {"float": x, "double": y}
        given = {"at": [x], "sizes": [3], "factor": 1.0, **fields}
        given["at"] = [kinds.get(v, v) for v in given["at"]]
        plan.launch("scale_all", [], plan.struct("Lists", **given), grid=(1,))

    with pytest.raises(SignatureError, match=rf"\[scale_all\] {message}"):
        made(plan_it, inplace=True)(on_device(np.ones(3, "f4")), on_device(np.ones(3, "f8")))


def test_a_struct_of_pointers_to_inputs_needs_an_inplace_launcher() -> None:
    def plan_it(plan: Planner, x: Operand) -> None:
        plan.launch("scale_all", [], plan.struct("Lists", at=[x], sizes=[3], factor=1.0), grid=(1,))

    with pytest.raises(SignatureError, match=r"lists.at would write to an input"):
        made(plan_it)(on_device(np.ones(3, "f4")))


def test_structs_in_structs() -> None:
    def nested(plan: Planner, x: Operand, *, inner: Any) -> Operand:
        y = plan.empty((2,), "i4")
        plan.launch("nested", [], plan.struct("Outer", first=1, inner=inner, last=9), y, grid=(1,), block=1)
        return y

    assert made(nested)(on_device(np.ones(1)), inner=Struct("Inner", {"a": 7, "b": 8})).tolist() == [1 + 7, 8 + 9]
    for inner, message in (
        (fast_div(3), r"outer.inner takes Inner, got a struct FastDiv"),
        (3, r"outer.inner takes a struct Inner, got 3"),
        (Struct("Inner", {"a": 7}), r"outer.inner has the fields \('a', 'b'\), got \('a',\)"),
        (Struct("Inner", {"a": 7, "b": Runtime(lambda values: 0)}), r"outer.inner is a struct in a struct"),
    ):
        with pytest.raises(SignatureError, match=message):
            made(nested)(on_device(np.ones(1)), inner=inner)


def test_calls_fill_structs_of_their_own(fake_cuda: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """(Two threads may run one plan at a time.)"""
    backend, given = get_backend("cuda:0"), []
    monkeypatch.setattr(backend, "by_value", lambda value: given.append(value) or value)

    def scale_all(plan: Planner, x: Operand) -> None:
        plan.launch("scale_all", [], plan.struct("Lists", at=[x], sizes=[3], factor=2.0), grid=(1,))

    run = Launcher(scale_all, lambda: PROGRAM, ("f4",), True, ()).on(backend, "scale_all")
    arrays = [backend.from_host(x) for x in (np.ones(3, "f4"), np.zeros(3, "f4"))]
    for x in arrays:
        run(x)
    assert len(given) == 2 and not np.shares_memory(*given)
    assert given[0]["at"][0, 0] != given[1]["at"][0, 0] and given[0]["sizes"].tolist() == [[3, 0, 0, 0]]


def test_runtime_fields_are_checked_at_each_call() -> None:
    def scale_all(plan: Planner, x: Operand, *, factor: Any) -> None:
        plan.launch("scale_all", [], plan.struct("Lists", at=[x], sizes=[3], factor=factor), grid=(1,))

    run, x = made(scale_all, inplace=True, runtime=("factor",)), on_device(np.ones(3, "f4"))
    run(x, factor=2.0)
    with pytest.raises(SignatureError, match=r"\[scale_all\] lists.factor takes a float, got None"):
        run(x, factor=None)
    assert x.tolist() == [2.0] * 3
