"""The user's own kernels: `gf.cuda_kernel`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradflow as gf
from gradflow.custom import CheckError
from gradflow.nn import functional as F

SOURCE = """
#include "common.cuh"
template <typename T> __global__ void wave(const T* x, T* y, acc_t<T> k, long long n) {
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < n; i += (long long)gridDim.x * blockDim.x)
        y[i] = narrow<T>(sin(k * widen(x[i])));
}
template <typename T> __global__ void wave_grad(const T* g, const T* x, T* dx, acc_t<T> k, long long n) {
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < n; i += (long long)gridDim.x * blockDim.x)
        dx[i] = narrow<T>(widen(g[i]) * k * cos(k * widen(x[i])));
}
"""


def make(wrong: bool = False, name: str = "wave") -> Any:
    def wave(plan: Any, x: Any, *, k: float = 1.0) -> Any:
        x = plan.dense(x)
        y = plan.empty_like(x)
        plan.launch("wave", [x.dtype], x, y, 1.01 * k if wrong else k, x.size, threads=x.size)
        return y

    def reference(np: Any, x: Any, *, k: float = 1.0) -> Any:
        """sin(k x)."""
        return np.sin(k * x)

    wave.__name__ = name
    op = gf.cuda_kernel(source=SOURCE, reference=reference, dtypes=("f4", "f8", "f2", "bfloat16"))(wave)

    def gradient(xp: Any, g: Any, x: Any, *, k: float) -> Any:
        # cosine by what differentiable formulas have: exp of the sigmoid's and tanh's family would not do, so
        # cos(kx) is taken from the op itself, a quarter period on
        return g * k * op(x + 1.5707963267948966 / k, k=k)

    def wave_grad(plan: Any, g: Any, x: Any, *, k: float) -> Any:
        g, x = plan.dense(g, x)
        dx = plan.empty_like(x)
        plan.launch("wave_grad", [x.dtype], g, x, dx, k, x.size, threads=x.size)
        return dx

    wave_grad.__name__ = f"{name}_grad"
    op.backward(reference=gradient)(wave_grad)
    return op


def test_it_is_an_operation_with_gradients_of_every_order() -> None:
    wave = make()
    for device in ("cpu", "emulated"):
        x = gf.tensor(np.linspace(-1, 1, 7), device=device, requires_grad=True)
        gf.kernels.reset()
        y = wave(x, k=2.0)
        y.sum().backward()
        assert np.allclose(y.detach().numpy(), np.sin(2 * np.linspace(-1, 1, 7)))
        assert np.allclose(x.grad.numpy(), 2 * np.cos(2 * np.linspace(-1, 1, 7)))
        assert gf.kernels.launches() == ({"wave": 1, "wave_grad": 1} if device == "emulated" else {})
        assert gf.autograd.gradcheck(lambda x: wave(x, k=2.0), [x], order=3)
    hessian = gf.func.hessian(lambda x: wave(x).sum())(gf.tensor([0.5, 1.0], dtype=gf.float64))
    assert np.allclose(hessian.numpy(), np.diag(-np.sin([0.5, 1.0])))


def test_transforms_and_modules() -> None:
    wave = make()
    x = gf.tensor(np.arange(6.0).reshape(3, 2), device="emulated")
    assert np.allclose(gf.func.vmap(lambda r: wave(r, k=0.5))(x).numpy(), np.sin(0.5 * np.arange(6.0).reshape(3, 2)))
    primal, tangent = gf.func.jvp(wave, (x,), (gf.ones_like(x),))
    assert np.allclose(tangent.numpy(), np.cos(x.numpy())) and primal.shape == (3, 2)
    assert F.relu(wave(x)).shape == (3, 2)


def test_check_compares_kernels_with_references() -> None:
    report = make().check((33,), k=0.7)
    assert {(c.kernel, c.dtype) for c in report} == {
        (k, d) for k in ("wave", "wave_grad") for d in ("f4", "f8", "f2", "bfloat16")
    }
    assert all([c.error < 3e-2 and c.seconds > 0 and c.bandwidth > 0 and "GB/s" in str(c) for c in report])
    with pytest.raises(CheckError, match=r"\[bad_wave\] differs from its reference in f4"):
        make(wrong=True, name="bad_wave").check((33,))


def forgets(plan: Any, x: Any) -> None:
    plan.empty(x.shape, x.dtype)


LOGARITHM = """
__global__ void logarithm(const float* x, float* y, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = logf(x[i]);
}
"""


def test_nan_and_infinities_must_be_the_references() -> None:
    def logarithm(plan: Any, x: Any, *, wrong: str = "") -> Any:
        y = plan.empty((x.size + 1,) if wrong == "shape" else x.shape, x.dtype)
        plan.launch("logarithm", [], x, y, x.size, threads=x.size)
        return (y, y) if wrong == "count" else y

    def reference(np: Any, x: Any, *, wrong: str = "") -> Any:
        return np.where(x < 0, np.inf, np.log(x)) if wrong == "infinite" else np.log(x)

    op = gf.cuda_kernel(source=LOGARITHM, reference=reference, dtypes=("f4",))(logarithm)
    x = np.array([1.0, 0.0, -2.0, 0.5], "f4")
    assert op.check(x)[0].error < 1e-6
    with pytest.raises(CheckError, match="differs from its reference in f4 by inf"):
        op.check(x, wrong="infinite")
    with pytest.raises(CheckError, match="gives 2 results, its reference 1"):
        op.check(abs(x) + 1, wrong="count")
    with pytest.raises(CheckError, match=r"gives the shape \(5,\), its reference \(4,\)"):
        op.check(abs(x) + 1, wrong="shape")


@pytest.mark.parametrize(
    "one, other", [(0.0, -0.0), (1.0, True), ((0.0,), (-0.0,)), (1, True), (np.float32(0), np.float32(-0.0))]
)
def test_statics_that_are_equal_and_not_the_same_have_plans_of_their_own(one: Any, other: Any) -> None:
    seen = []

    def launch(plan: Any, x: Any, *, k: Any) -> Any:
        seen.append(repr(k))
        return plan.zeros(x.shape, x.dtype)

    op = gf.cuda_kernel(source=SOURCE, reference=lambda np, x, *, k: x)(launch)
    for k in (one, other, one, other):
        op(gf.ones(3, device="emulated"), k=k)
    assert seen == [repr(one), repr(other)]


def test_integers_go_to_the_reference() -> None:
    half = gf.cuda_kernel(source=SOURCE, reference=lambda np, x: x / 2)(lambda plan, x: plan.zeros(x.shape, x.dtype))
    y = half(gf.tensor([1, 2], device="emulated"))
    assert y.tolist() == [0.5, 1.0]


@pytest.mark.parametrize("dtype", [gf.float32, "float32", "f4", np.float32])
def test_dtypes_are_spelled_in_any_way(dtype: Any) -> None:
    def three(plan: Any, x: Any) -> Any:
        y = plan.empty(x.shape, x.dtype)
        plan.fill(y, 3)
        return y

    op = gf.cuda_kernel(source=SOURCE, reference=lambda np, x: x, dtypes=(dtype,))(three)
    assert op(gf.ones(2, dtype=gf.float32, device="emulated")).tolist() == [3.0, 3.0]
    assert op(gf.ones(2, dtype=gf.float64, device="emulated")).tolist() == [1.0, 1.0]


def test_errors_are_clear() -> None:
    wave = make()
    with pytest.raises(TypeError, match=r"\[wave\] check takes shapes, which are tuples, and arrays"):
        wave.check(1000)
    with pytest.raises(ValueError, match=r"\[wave\] there are no kernels on cpu; check on cuda or emulated"):
        wave.check((3,), device="cpu")
    with pytest.raises(TypeError, match=r"\[forgets\] its launcher returns nothing"):
        gf.cuda_kernel(source=SOURCE, reference=lambda np, x: x)(forgets)(gf.ones(2, device="emulated"))
    with pytest.raises(TypeError, match="takes a source, which is text, and a reference"):
        gf.cuda_kernel(source=SOURCE, reference=None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"dtypes are of .* one at least, got"):
        gf.cuda_kernel(source=SOURCE, reference=lambda np, x: x, dtypes=())
    with pytest.raises(TypeError, match=r"\[wave\] takes 1 operands \(x\), got 0"):
        wave.check()
    with pytest.raises(TypeError, match=r"\[wave\] has no option q"):
        wave.check((2,), q=1)
    with pytest.raises(TypeError, match=r"\[wave\] takes 1 operands \(x\), got 2"):
        wave(gf.ones(2), gf.ones(2))
    with pytest.raises(TypeError, match=r"\[wave\] has no option q"):
        wave(gf.ones(2), q=1)
    with pytest.raises(ValueError, match="gradflow itself has an operation called 'softmax'"):
        make(name="softmax")
    with pytest.raises(ValueError, match="gradflow itself has a kernel called 'adam_step'"):
        make(name="adam_step")
    with pytest.raises(TypeError, match="no __global__ function"):
        gf.cuda_kernel(source="int x;", reference=lambda np, x: x)(lambda plan, x: x)
    with pytest.raises(TypeError, match=r"takes \(xp, g, ...\)"):
        wave.backward(reference=lambda xp, grad: grad)(lambda plan, g: g)
    with pytest.raises(ValueError, match="dtypes are of"):
        gf.cuda_kernel(source=SOURCE, reference=lambda np, x: x, dtypes=("i4",))


def test_source_that_does_not_compile_names_its_line() -> None:
    broken = "\n__global__ void broken(const float* x, float* y) {\n    y[0] = x[0] +;\n}\n"

    def run(plan: Any, x: Any) -> Any:
        y = plan.empty_like(x)
        plan.launch("broken", [], x, y, threads=1)
        return y

    op = gf.cuda_kernel(source=broken, reference=lambda np, x: x)(run)
    with pytest.raises(RuntimeError, match=r"run\.cu:3|needs a C\+\+ compiler"):
        op(gf.ones(2, device="emulated"))


def test_kernels_of_one_name_are_not_mixed_up() -> None:
    x = gf.tensor([0.5], device="emulated")
    old, other = make(), make(name="another_wave")
    new = make()
    assert np.allclose(new(x).numpy(), np.sin(0.5), atol=1e-6)
    for use in (lambda: old(x), lambda: old.check((3,))):
        with pytest.raises(RuntimeError, match=r"\[wave\] was defined anew; use the new one"):
            use()
    with pytest.raises(ValueError, match="'wave' already has a kernel called 'wave_grad'; name this one otherwise"):
        other.backward(reference=lambda xp, g, x: g)(named("wave_grad"))
    with pytest.raises(ValueError, match="'wave' already has a kernel called 'wave_grad'; name this one otherwise"):
        make(name="wave_grad")
    with pytest.raises(ValueError, match="the backward kernel of 'another_wave' needs a name of its own"):
        other.backward(reference=lambda xp, g, x: g)(named("another_wave"))
    with pytest.raises(ValueError, match="gradflow itself has an operation called 'exp'"):
        other.backward(reference=lambda xp, g, x: g)(named("exp"))
    assert np.allclose(gf.exp(x).numpy(), np.exp(0.5))


def named(name: str) -> Any:
    def plan(plan: Any, g: Any, x: Any) -> Any:
        raise AssertionError("it is never launched")

    plan.__name__ = name
    return plan
