"""Launchers and plans: what is checked, what is cached, what is counted, and how a wrong call is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gradflow.backend import get_backend
from gradflow.backend.base import guarded
from gradflow.backend.cuda import launcher
from gradflow.backend.cuda.launcher import Launcher, PlanCache, forget_plans
from gradflow.backend.cuda.operand import Operand, strides_of
from gradflow.backend.cuda.plan import LaunchError, Planner, fast_div
from gradflow.backend.cuda.program import Program
from gradflow.backend.cuda.signature import SignatureError
from gradflow.backend.kernels import Declined

SOURCE = """
#include "common.cuh"
template <typename T> __global__ void scale(const T* x, T* y, float factor, long long n) {
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < n; i += (long long)gridDim.x * blockDim.x)
        y[i] = narrow<T>(widen(x[i]) * factor);
}
struct Lists { float* at[4]; int sizes[4]; float factor; };
__global__ void scale_all(Lists lists) {
    for (int i = threadIdx.x; i < lists.sizes[blockIdx.x]; i += blockDim.x) lists.at[blockIdx.x][i] *= lists.factor;
}
__global__ void divide(const int* x, int* y, FastDiv d, int n) {
    if (threadIdx.x < n) y[threadIdx.x] = quotient(x[threadIdx.x], d);
}
__global__ void look(const int* x, long long* fault, int n) {
    if (threadIdx.x < n && x[threadIdx.x] < 0) raise_fault(fault, x[threadIdx.x]);
}
struct Inner { int a; short b; };
struct Outer { int first; Inner inner; long long last; };
__global__ void nested(Outer outer, int* y) {
    y[0] = outer.first + outer.inner.a;
    y[1] = outer.inner.b + int(outer.last);
}
"""
PROGRAM = Program(SOURCE, "test.cu")
BACKEND: Any = get_backend("emulated")


def on_device(value: Any) -> Any:
    return BACKEND.from_host(np.asarray(value))


def made(plan: Callable[..., Any], inplace: bool = False, runtime: tuple[str, ...] = ()) -> PlanCache:
    return Launcher(plan, lambda: PROGRAM, ("f4", "f8"), inplace, runtime).on(BACKEND, plan.__name__)


def scale(plan: Planner, x: Operand, *, factor: Any = 2.0) -> Operand:
    x = plan.dense(x)
    y = plan.empty_like(x)
    plan.launch("scale", [x.dtype], x, y, factor, x.size, threads=x.size)
    return y


def test_a_plan_is_made_once_for_dtype_shape_layout_and_statics() -> None:
    calls: list[Any] = []

    def noted(plan: Planner, x: Operand, *, factor: float) -> Operand:
        calls.append((x.shape, factor))
        return scale(plan, x, factor=factor)

    run, x = made(noted), on_device(np.arange(6.0, dtype="f4"))
    for factor in (2.0, 2.0, 3.0):
        assert np.array_equal(run(x, factor=factor), np.arange(6) * factor)
    assert len(calls) == 2
    run(x[::2], factor=2.0)
    run(x.astype("f8"), factor=2.0)
    run(x.reshape(2, 3), factor=2.0)
    assert len(calls) == 5
    forget_plans()
    run(x, factor=2.0)
    assert len(calls) == 6


def test_runtime_statics_make_no_plans() -> None:
    run, x = made(scale, runtime=("factor",)), on_device(np.ones(3, "f4"))
    assert [run(x, factor=f)[0] for f in (0.5, 1.5, 2.5)] == [0.5, 1.5, 2.5]
    assert len(run.plans) == 1
    with pytest.raises(SignatureError, match=r"\[scale\] factor takes a float, got 'x'"):
        run(x, factor="x")


@pytest.mark.parametrize("layout", [(0, 1, 2), (0, 2, 1), (2, 0, 1)], ids=["C order", "channels last", "another order"])
def test_a_result_keeps_its_operands_layout(layout: tuple[int, ...]) -> None:
    x = on_device(np.arange(24.0, dtype="f4").reshape(2, 3, 4)).transpose(layout)
    y = made(scale)(x)
    assert y.strides == x.strides
    assert np.array_equal(y, x * 2)


def test_operands_that_are_not_dense_are_copied() -> None:
    x = on_device(np.arange(24.0, dtype="f4").reshape(4, 6))
    for view in (x[:, ::2], x[::-1], np.broadcast_to(x[:1], (5, 6), subok=True), x[1:3, 1:2], x[:0]):
        assert np.array_equal(made(scale)(view), view * 2)


def test_declining_has_a_reason() -> None:
    def picky(plan: Planner, x: Operand) -> Operand:
        plan.require(x.ndim == 2, "an operand that is no matrix")
        return x

    outcome = made(picky)(on_device(np.ones(3, "f4")))
    assert isinstance(outcome, Declined) and outcome.reason == "an operand that is no matrix"
    outcome = made(scale)(on_device(np.ones(3, "f2")))
    assert isinstance(outcome, Declined) and "float16" in outcome.reason


def go(plan: Planner, x: Any, y: Any, factor: Any = 1.0, n: Any = 3, dtype: str = "f4", **geometry: Any) -> None:
    plan.launch("scale", [dtype], x, y, factor, n, **(geometry or {"threads": 3}))


WRONG: dict[str, tuple[Callable[..., Any], str]] = {
    "dtype": (lambda p, x, y: go(p, x, y, dtype="f8"), "x takes a pointer to double, got"),
    "count": (lambda p, x, y: p.launch("scale", ["f4"], x, y, 1.0, threads=3), "got 3 arguments, it takes 4"),
    "scalar for pointer": (lambda p, x, y: go(p, x, 2), "y takes a pointer to float, got 2"),
    "pointer for scalar": (lambda p, x, y: go(p, x, y, x), "factor takes a float by value"),
    "float for integer": (lambda p, x, y: go(p, x, y, n=3.0), "n takes a long long, got 3.0"),
    "bool for number": (lambda p, x, y: go(p, x, y, True), "factor takes a float, got True"),
    "writes an input": (lambda p, x, y: go(p, y, x), "y would write to an input"),
    "struct for number": (lambda p, x, y: go(p, x, y, p.fast_div(3)), "takes float, got a struct"),
    "number for struct": (lambda p, x, y: p.launch("divide", [], None, None, 3, 3, threads=3), "d takes a struct"),
    "negative threads": (lambda p, x, y: go(p, x, y, threads=-5), "-5 threads; it must be 0 or more"),
    "no geometry": (lambda p, x, y: p.launch("scale", ["f4"], x, y, 1.0, 3), "say how many threads"),
    "oversize grid": (lambda p, x, y: go(p, x, y, grid=(1, 70000)), "over the limit"),
    "oversize block": (lambda p, x, y: go(p, x, y, grid=(1,), block=2048), "1 to 1024"),
    "deep block": (lambda p, x, y: go(p, x, y, grid=(1,), block=(2, 2, 65)), r"within \(1024, 1024, 64\)"),
    "empty block": (lambda p, x, y: go(p, x, y, threads=3, block=0), r"a block of \(0, 1, 1\) threads"),
    "shared memory": (lambda p, x, y: go(p, x, y, grid=(1,), shared=1 << 20), "bytes of shared memory"),
    "division by 0": (lambda p, x, y: p.fast_div(0), "cannot divide by 0"),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_argument_is_an_error_that_names_it(wrong: str) -> None:
    call, message = WRONG[wrong]

    def plan_it(plan: Planner, x: Operand) -> None:
        call(plan, x, plan.empty(x.shape, x.dtype))

    with pytest.raises((SignatureError, LaunchError), match=message):
        made(plan_it)(on_device(np.ones(3, "f4")))


def test_lists_of_pointers_are_passed_by_value() -> None:
    def scale_all(plan: Planner, *arrays: Operand, factor: Any) -> None:
        lists = plan.struct("Lists", at=list(arrays), sizes=[a.size for a in arrays], factor=factor)
        plan.launch("scale_all", [], lists, grid=(len(arrays),), block=32)

    arrays = [on_device(np.ones(n, "f4")) for n in (3, 40, 1)]
    run = made(scale_all, inplace=True, runtime=("factor",))
    run(*arrays, factor=2.0)
    run(*arrays, factor=3.0)
    assert [a.tolist() for a in arrays] == [[6.0] * 3, [6.0] * 40, [6.0]]


def test_a_struct_with_other_fields_is_refused() -> None:
    def wrong(plan: Planner, x: Operand) -> None:
        plan.launch("scale_all", [], plan.struct("Lists", at=[x], factor=1.0), grid=(1,))

    with pytest.raises(SignatureError, match="has the fields"):
        made(wrong, inplace=True)(on_device(np.ones(3, "f4")))


def test_fast_division_is_exact() -> None:
    rng = np.random.default_rng(0)
    for divisor in [1, 2, 3, 5, 7, 9, 10, 64, 2**20 + 1, 2**30, 2**31 - 1, *rng.integers(1, 2**31, 200).tolist()]:
        f = fast_div(divisor).fields
        assert f["multiplier"] < 2**32
        for n in [0, 1, divisor - 1, divisor, 2**31 - 1, *rng.integers(0, 2**31, 100).tolist()]:
            found = n if divisor == 1 else (n * f["multiplier"] >> 32) >> f["shift"]
            assert found == n // divisor, (n, divisor)


def test_fast_division_on_the_device() -> None:
    def divide(plan: Planner, x: Operand, *, by: int) -> Operand:
        y = plan.empty_like(x)
        plan.launch("divide", [], x, y, plan.fast_div(by), x.size, threads=x.size)
        return y

    x = np.array([0, 1, 6, 7, 8, 2**31 - 1], np.int32)
    for by in (1, 2, 7, 1000003):
        assert np.array_equal(made(divide)(on_device(x), by=by), x // by)


def test_a_fault_is_raised_at_the_next_synchronisation() -> None:
    def look(plan: Planner, x: Operand) -> Operand:
        plan.launch("look", [], x, plan.fault("look", "an index must not be negative"), x.size, threads=x.size)
        return x

    run = made(look)
    run(on_device(np.array([1, -5, 2], np.int32)))
    with pytest.raises(IndexError, match=r"\[look\] an index must not be negative, got -5"):
        BACKEND.synchronize()
    run(on_device(np.array([1, 5], np.int32)))
    BACKEND.synchronize()


def test_operands_are_seen_as_arrays_would_be() -> None:
    array = np.arange(120, dtype="f4").reshape(4, 5, 6)
    x = Operand(0, array.shape, array.dtype, array.strides)
    for index in (1, slice(1, 3), (slice(None), 2), (slice(None, None, 2), slice(4, 0, -2), 3), (slice(5, 9),), -1):
        view, expected = x[index], array[index]
        assert view.shape == expected.shape and (view.strides == expected.strides or 0 in expected.shape)
        if expected.size:
            start = array.__array_interface__["data"][0]
            assert view.offset == expected.__array_interface__["data"][0] - start
    assert x.transpose(2, 0, 1).strides == array.transpose(2, 0, 1).strides
    assert x.transpose(2, 0, 1).is_dense and not x.transpose(2, 0, 1).is_c and not x[:, ::2].is_dense
    assert x.reshape(20, -1).shape == (20, 6)
    with pytest.raises(ValueError, match="cannot see"):
        x.transpose(1, 0, 2).reshape(20, 6)
    assert strides_of((2, 3, 4), 4, (0, 2, 1)) == (48, 4, 12)


# -- what a plan is found by --------------------------------------------------------------------------------------


def test_statics_that_are_equal_but_not_the_same_have_plans_of_their_own() -> None:
    run, x = made(scale), on_device(np.ones(3, "f4"))
    assert [bool(np.signbit(run(x, factor=f)[0])) for f in (0.0, -0.0, 0.0, 0, np.float64(-0.0))] == [0, 1, 0, 0, 1]
    assert run(x, factor=1)[0] == run(x, factor=1.0)[0] == 1
    with pytest.raises(SignatureError, match=r"\[scale\] factor takes a float, got True"):
        run(x, factor=True)


def test_nan_finds_its_plan_again() -> None:
    run, x = made(scale), on_device(np.ones(3, "f4"))
    for _ in range(3):
        assert np.isnan(run(x, factor=float("nan"))).all()
    assert len(run.plans) == 1


def test_numbers_as_operands_are_part_of_what_a_plan_is_found_by() -> None:
    def times(plan: Planner, x: Operand, factor: Any) -> Operand:
        return scale(plan, x, factor=factor)

    run, x = made(times), on_device(np.ones(3, "f4"))
    assert [float(run(x, f)[0]) for f in (2.0, 3.0, 1, 1.0, 2.0)] == [2.0, 3.0, 1.0, 1.0, 2.0]
    assert [bool(np.signbit(run(x, f)[0])) for f in (0.0, -0.0)] == [False, True]
    with pytest.raises(SignatureError, match=r"\[scale\] factor takes a float, got True"):
        run(x, True)
    with pytest.raises(SignatureError, match=r"\[scale\] factor takes a float by value, got \(3,\)"):
        run(x, on_device(np.ones(3, "f4")))


def test_alignment_of_every_operand_is_part_of_what_a_plan_is_found_by() -> None:
    seen: list[tuple[bool, bool]] = []

    def look(plan: Planner, x: Operand, y: Operand) -> Operand:
        seen.append((x.aligned, y.aligned))
        return scale(plan, x)

    whole = on_device(np.ones(64, "f4"))
    start = -(-BACKEND.address(whole) // 16) * 16 - BACKEND.address(whole)
    even, odd = whole[start // 4 :][:8], whole[start // 4 + 1 :][:8]
    run = made(look)
    for _ in range(2):
        run(even, even), run(even, odd), run(odd, even)
    assert seen == [(True, True), (True, False), (False, True)]


def test_a_runtime_static_may_be_left_out() -> None:
    run, x = made(scale, runtime=("factor",)), on_device(np.ones(3, "f4"))
    assert [float(y[0]) for y in (run(x, factor=5.0), run(x), run(x, factor=7.0))] == [5.0, 2.0, 7.0]


def test_plans_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "MAX_PLANS", 3)
    run, x = made(scale), on_device(np.ones(3, "f4"))
    for i in range(10):
        assert run(x, factor=float(i))[0] == i
        assert len(run.plans) <= 3


def test_a_plan_made_under_an_old_setting_is_not_kept() -> None:
    def forgetful(plan: Planner, x: Operand) -> Operand:
        forget_plans()  # as another thread may at any time
        return scale(plan, x)

    run = made(forgetful)
    run(on_device(np.ones(3, "f4")))
    assert not run.plans


def test_what_no_kernel_can_read_is_declined() -> None:
    swapped = np.arange(3).astype(">i4").view(BACKEND.array_type)
    outcome = made(scale)(swapped)
    assert isinstance(outcome, Declined) and "bytes are in another order" in outcome.reason
    outcome = made(scale)(np.ones(3, "f4"))
    assert isinstance(outcome, Declined) and "neither an array of emulated nor hashable" in outcome.reason


# -- memory -------------------------------------------------------------------------------------------------------


def test_what_an_operand_cannot_be_seen_as() -> None:
    x = Operand(0, (2, 3), np.dtype("f4"), (12, 4))
    for index in (2, -3, (0, 3), (0, 0, 0)):
        with pytest.raises(IndexError, match=r"is out of range of axis|3 indices into"):
            x[index]
    with pytest.raises(ValueError, match="cannot see"):
        x.reshape(0, -1)
    empty = Operand(0, (0, 3), np.dtype("f4"), (12, 4))
    assert empty.reshape(3, -1).shape == (3, 0)
    planner = Planner("mine", PROGRAM, BACKEND, 0, False)
    with pytest.raises(ValueError, match=r"\[mine\] \(0, 0\) is no order of the axes of \(2, 3\)"):
        planner.empty((2, 3), "f4", (0, 0))


@pytest.mark.parametrize("name", ["emulated", "cuda:1"])
def test_views_of_nothing(name: str, fake_cuda: Callable[..., Any]) -> None:
    backend = get_backend(name)

    def rows(plan: Planner, x: Operand) -> Operand:
        y = plan.zeros(x.shape, x.dtype)
        plan.launch("scale", [x.dtype], x[1, :], y[1, :], 2.0, 0, grid=(1,))
        plan.copy(y, x)
        return y[1]

    run = Launcher(rows, lambda: PROGRAM, ("f4",), False, ()).on(backend, "rows")
    with guarded(backend):
        assert run(backend.from_host(np.zeros((2, 0), "f4"))).shape == (0,)


def test_what_a_kernel_leaves_out_shows() -> None:
    run = made(lambda plan, x: plan.empty(x.shape, x.dtype))
    assert run(on_device(np.ones(2, "f4"))).tobytes() == b"\xcd" * 8


@pytest.mark.parametrize("name", ["emulated", "cuda:1"])
def test_views_further_on(name: str, fake_cuda: Callable[..., Any]) -> None:
    backend = get_backend(name)

    def swapped(plan: Planner, x: Operand) -> Operand:
        y = plan.empty((3, *x.shape[1:]), x.dtype)
        for i in range(2):
            plan.launch("scale", [x.dtype], x[i], y[2 - i], 2.0, x[i].size, threads=x[i].size)
        return y[1:]

    run = Launcher(swapped, lambda: PROGRAM, ("f4",), False, ()).on(backend, "swapped")
    with guarded(backend):
        found = run(backend.from_host(np.arange(6, dtype="f4").reshape(2, 3)))
    assert backend.to_host(found).tolist() == [[6.0, 8.0, 10.0], [0.0, 2.0, 4.0]]
