"""Every case of the table to the first order: in other dtypes, memory layouts and sizes, on the stand-in for a GPU, and
with kernels as without them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from ops.cases import CASES, Case
from ops.harness import (
    all_close,
    array_types,
    constants,
    floating,
    gradients,
    leaves,
    many,
    project,
    random,
    scalar,
    tensor,
    tensors,
    to_host,
)

import gradflow as gf
from gradflow.backend import get_backend
from gradflow.backend.dtypes import as_dtype, is_floating

every_case = pytest.mark.parametrize("case", CASES, ids=repr)

GPU = "cuda:1"  # not the current one: arrays of another device than the current one are refused
TOLERANCES = {"float32": 2e-6, "float16": 1e-2, "bfloat16": 8e-2}


def rounded(arrays: Sequence[np.ndarray], dtype: Any) -> list[np.ndarray]:
    """Floating arrays in `dtype`; others as they are."""
    return [a.astype(dtype) if is_floating(a.dtype) else a for a in arrays]


def widened(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [a.astype("f8") if is_floating(a.dtype) else a for a in arrays]


def check_gradients(case: Case, inputs: Sequence[np.ndarray], fixed: Sequence[np.ndarray], tolerance: float) -> None:
    """Raw and recorded gradients are of their leaf's dtype, and near those in float64 at the same values."""
    exact = tensors(widened(inputs), requires_grad=True)
    expected = gradients(scalar(case, tensors(widened(fixed)))(*exact), exact)
    xs = tensors(inputs, requires_grad=True)
    for create_graph in (False, True):
        found = gradients(scalar(case, tensors(fixed))(*xs), xs, create_graph)
        assert [g.dtype for g in found] == [x.dtype for x in xs]
        all_close(found, expected, tolerance, f"gradient, create_graph={create_graph}")


@every_case
@pytest.mark.parametrize("name", TOLERANCES)
def test_dtypes(case: Case, name: str) -> None:
    if name == "bfloat16":
        pytest.importorskip("ml_dtypes")
    dtype = as_dtype(name)
    inputs, fixed = rounded(case.inputs, dtype), rounded(case.constants, dtype)
    if not case.half and dtype.itemsize == 2:
        with pytest.raises(TypeError, match=r"is for float32 and float64"):
            case.call(*tensors(inputs), *tensors(fixed))
        return
    exact = many(case.call(*tensors(widened(inputs)), *tensors(widened(fixed))))
    for xs in (tensors(inputs), tensors(inputs, requires_grad=True)):
        out = many(case.call(*xs, *tensors(fixed)))
        for y, e in zip(out, exact, strict=True):
            assert y.dtype == (case.out_dtype or dtype if is_floating(y.dtype) else e.dtype)
        all_close(out, exact, TOLERANCES[name], "output")
    check_gradients(case, inputs, fixed, TOLERANCES[name])


@pytest.mark.parametrize("case", [c for c in CASES if len(c.inputs) > 1 and c.mixed], ids=repr)
def test_leaves_of_two_dtypes(case: Case) -> None:
    for narrow in range(len(case.inputs)):
        inputs = [x.astype("f4") if i == narrow else x for i, x in enumerate(case.inputs)]
        wide = [x.dtype for x in inputs if x.ndim] or [np.dtype("f8")]
        out = case.call(*tensors(inputs), *tensors(rounded(case.constants, np.dtype("f4"))))
        assert {y.dtype for y in floating(out)} == {case.out_dtype or max(wide)}
        check_gradients(case, inputs, rounded(case.constants, np.dtype("f4")), 2e-6)


def fortran(a: np.ndarray) -> np.ndarray:
    return np.array(a, order="F")


def every_other(a: np.ndarray) -> np.ndarray:
    view = np.ones([2 * n + 1 for n in a.shape], a.dtype)[(*[slice(1, None, 2)] * a.ndim, ...)]
    view[...] = a
    return view


def backwards(a: np.ndarray) -> np.ndarray:
    back = (*[slice(None, None, -1)] * a.ndim, ...)
    return np.array(a[back], order="C")[back]


def channels_last(a: np.ndarray) -> np.ndarray:
    return np.moveaxis(np.array(np.moveaxis(a, 1, -1), order="C"), -1, 1) if a.ndim == 4 else a


def check_layout(case: Case, layout: Callable[[np.ndarray], np.ndarray]) -> None:
    def leaf(a: np.ndarray) -> Any:
        return gf.from_numpy(layout(a)).requires_grad_()

    what = f"{layout.__name__}:"

    xs, fixed = [leaf(a) for a in case.inputs], [gf.from_numpy(layout(k)) for k in case.constants]
    plain, expected = leaves(case), many(case.call(*leaves(case), *constants(case)))
    out = many(case.call(*xs, *fixed))
    all_close(out, expected, 1e-13, f"{what} output")
    for create_graph in (False, True):
        wanted = gradients(scalar(case, constants(case))(*plain), plain, create_graph)
        all_close(gradients(scalar(case, fixed)(*xs), xs, create_graph), wanted, 1e-12, f"{what} gradient")
    kept = [(y, tensor(random(tuple(y.shape), "cotangent"), y.dtype)) for y in floating(out) if y.requires_grad]
    for y, u in kept[:1]:  # a cotangent laid out as no one would expect it
        odd = gf.from_numpy(layout(u.numpy()))
        for create_graph in (True, False):
            found = gf.autograd.grad(y, xs, odd, retain_graph=True, create_graph=create_graph, materialize_grads=True)
            straight = gf.autograd.grad(y, xs, u, retain_graph=True, create_graph=create_graph, materialize_grads=True)
            all_close(found, straight, 1e-12, f"{what} odd cotangent")


@every_case
def test_layouts(case: Case) -> None:
    for layout in (fortran, every_other, backwards, channels_last):
        if layout is not channels_last or any(x.ndim == 4 for x in case.inputs):
            check_layout(case, layout)


@pytest.mark.slow
@every_case
def test_numpy_does_not_warn_of_overflow(case: Case) -> None:
    """Warnings are errors here, and only those that NumPy gives in gradflow's own name are silenced."""
    for dtype, size in (("f8", 1e300), ("f4", 1e38)):
        with np.errstate(over="ignore"):
            xs = tensors([(size * x).astype(dtype) for x in case.inputs], requires_grad=True)
        with suppress(ValueError):  # that a matrix is not finite, or probabilities are larger than 1
            out = floating(case.call(*xs, *tensors(rounded(case.constants, np.dtype(dtype)))))
            gradients(project(out), xs)


@every_case
def test_expanded_inputs(case: Case) -> None:
    """Arrays that repeat one element by a stride of 0, and cannot be written."""
    flat = [np.broadcast_to(np.asarray(0.7 + 0.1 * i), x.shape) for i, x in enumerate(case.inputs)]
    out, grads = [], []
    for arrays in (flat, [a.copy() for a in flat]):
        xs = [gf.from_numpy(a).requires_grad_() for a in arrays]
        y = many(case.call(*xs, *constants(case)))
        out.append(y)
        grads.append(gradients(project(floating(y)), xs) if floating(y) else ())
    all_close(out[0], out[1], 1e-13, "output")
    all_close(grads[0], grads[1], 1e-12, "gradient")


@pytest.mark.parametrize("case", [c for c in CASES if c.rows], ids=repr)
def test_no_rows(case: Case) -> None:
    arrays = [x[:0] if i in case.rows else x for i, x in enumerate(case.inputs)]
    fixed = [k[:0] if i in case.constant_rows else k for i, k in enumerate(case.constants)]
    full = many(case.call(*tensors(case.inputs), *constants(case)))
    once_more = [np.concatenate([x, x[:1]]) if i in case.rows else x for i, x in enumerate(case.inputs)]
    constants_too = [np.concatenate([k, k[:1]]) if i in case.constant_rows else k for i, k in enumerate(case.constants)]
    longer = many(case.call(*tensors(once_more), *tensors(constants_too)))
    shapes = [f.shape if f.shape == y.shape else (0, *f.shape[1:]) for f, y in zip(full, longer, strict=True)]
    for create_graph in (False, True):
        xs = tensors(arrays, requires_grad=True)
        out = many(case.call(*xs, *tensors(fixed)))
        for y, f, s in zip(out, full, shapes, strict=True):
            assert y.dtype == f.dtype
            assert y.shape == s
        for x, g in zip(xs, gradients(project(floating(out)), xs, create_graph), strict=True):
            assert g.shape == x.shape
            assert not to_host(g).any()
    directions = tuple(tensors([random(a.shape, "empty") for a in arrays]))
    f = lambda *v: tuple(floating(case.call(*v, *tensors(fixed))))  # noqa: E731
    tangents = gf.func.jvp(f, tuple(tensors(arrays)), directions)[1]
    assert [t.shape for t in tangents] == [y.shape for y in floating(out)]


@every_case
def test_on_the_stand_in_for_a_gpu(case: Case, fake_cuda: Callable[..., Any]) -> None:
    module = fake_cuda(devices=2)
    kind = {np.ndarray} if case.lands == "cpu" else {module.ndarray}
    expected = many(case.call(*tensors(case.inputs), *constants(case)))
    plain = leaves(case)
    wanted = gradients(scalar(case, constants(case))(*plain), plain)
    fixed = constants(case, device=GPU)
    out = many(case.call(*tensors(case.inputs, device=GPU), *fixed))
    assert array_types(out) == kind
    all_close(out, expected, 1e-12, "output")
    for create_graph in (False, True):
        xs = leaves(case, device=GPU)
        assert array_types(xs) == {module.ndarray}
        recorded = many(case.call(*xs, *fixed))
        assert array_types(recorded) == kind
        found = gradients(scalar(case, fixed)(*xs), xs, create_graph)
        assert array_types(found) == {module.ndarray}
        all_close(found, wanted, 1e-12, f"gradient, create_graph={create_graph}")


@every_case
def test_transforms_on_the_stand_in(case: Case, fake_cuda: Callable[..., Any]) -> None:
    module = fake_cuda(devices=2)
    kind = {np.ndarray} if case.lands == "cpu" else {module.ndarray}
    directions = [random(x.shape, "gpu", i) for i, x in enumerate(case.inputs)]
    in_dims = (*[0] * len(case.inputs), *[None] * len(case.constants))

    def work(device: str) -> tuple[Any, Any, Any]:
        fixed, xs = constants(case, device=device), tensors(case.inputs, device=device)
        out, tangents = gf.func.jvp(
            lambda *v: tuple(floating(case.call(*v, *fixed))), tuple(xs), tuple(tensors(directions, device=device))
        )
        many_xs = [gf.stack([x, x * 1.1]) for x in xs]
        rows = gf.func.vmap(case.call, in_dims, randomness=case.randomness)(*many_xs, *fixed)
        return out, tangents, many(rows)

    expected = work("cpu")
    for found, wanted in zip(work(GPU), expected, strict=True):
        assert array_types(found) == kind
        all_close(found, wanted, 1e-12)


@every_case
def test_kernels_give_what_the_array_code_gives(case: Case) -> None:
    def work() -> list[Any]:
        xs = leaves(case)
        return [*many(case.call(*xs, *constants(case))), *gradients(scalar(case, constants(case))(*xs), xs)]

    found = work()
    with patch.dict(get_backend("cpu").kernels, clear=True):
        all_close(found, work(), 1e-12, "output or gradient")
