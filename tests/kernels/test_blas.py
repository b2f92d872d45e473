"""Products of matrices in memory of any layout: what cuBLAS is told, and that it is told nothing it cannot do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import fake_cupy.cublas
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels.harness import DTYPES

import gradflow as gf
from gradflow.backend import get_backend
from gradflow.backend.base import guarded
from gradflow.backend.cuda import blas
from gradflow.backend.cuda.operand import Operand
from gradflow.backend.cuda.plan import LaunchError, Plan, Planner
from gradflow.backend.dtypes import as_dtype

HALVES = [as_dtype(d) for d in ("f2", "bfloat16") if d in DTYPES]
KINDS = [("f4", "f4"), ("f8", "f8"), (HALVES[0], "f4"), *[(half, half) for half in HALVES]]


@st.composite
def matrices(draw: Any, count: int | None, rows: int, columns: int) -> np.ndarray:
    """Whole numbers in a layout that BLAS reads: either axis contiguous, rows padded, batches apart or in between."""
    n = 1 if count is None else count
    by_columns = draw(st.booleans())
    inner = (columns, rows) if by_columns else (rows, columns)
    pad = draw(st.integers(0, 2))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    if draw(st.booleans()):  # the matrices of a batch side by side in rows of one memory
        whole = rng.integers(-4, 5, (inner[0], n, inner[1] + pad)).transpose(1, 0, 2)
    else:
        whole = rng.integers(-4, 5, (n, inner[0], inner[1] + pad))
    found = whole[:, :, : inner[1]]
    found = found.transpose(0, 2, 1) if by_columns else found
    return found[0] if count is None else found


@st.composite
def products(draw: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    count = draw(st.none() | st.integers(1, 3))
    n, k, m = [draw(st.integers(1, 4)) for _ in range(3)]
    return draw(matrices(count, n, k)), draw(matrices(count, k, m)), draw(matrices(count, n, m))


def run(device: str, a: np.ndarray, b: np.ndarray, out: np.ndarray) -> np.ndarray:
    """out = a @ b as a plan does it, with the layouts of the host arrays."""
    backend = get_backend(device)
    buffers, operands = [], []
    for slot, x in enumerate((a, b, out)):
        base = x
        while isinstance(base.base, np.ndarray):
            base = base.base
        flat = backend.from_host(np.array(base.ravel(order="K"), x.dtype))
        offset = x.__array_interface__["data"][0] - base.__array_interface__["data"][0]
        buffers.append(flat)
        operands.append(Operand(slot, x.shape, x.dtype, x.strides, offset))
    planner = Planner("test", None, backend, 3, True)
    planner.matmul(*operands)
    Plan(planner, None).run(buffers, {})
    result = operands[2]
    return backend.to_host(backend.view(buffers[2], result.offset, result.shape, result.strides))


@pytest.mark.parametrize("device", ["cuda:0", "emulated"])
@pytest.mark.parametrize("kinds", KINDS, ids=str)
def test_any_readable_layout(device: str, kinds: tuple[Any, Any], fake_cuda: Callable[..., Any]) -> None:
    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(products())
    def check(operands: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
        a, b, out = operands
        given = [_as(x, np.dtype(kind)) for x, kind in zip((a, b, out), (kinds[0], kinds[0], kinds[1]), strict=True)]
        assert np.array_equal(run(device, *given).astype("i8"), a @ b)

    check()


def _as(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """x in another dtype and the same layout, padding included."""
    base = x.base if x.base is not None else x
    while base.base is not None:
        base = base.base
    cast = base.astype(dtype)
    offset = (x.__array_interface__["data"][0] - base.__array_interface__["data"][0]) // x.itemsize * dtype.itemsize
    strides = [s // x.itemsize * dtype.itemsize for s in x.strides]
    return np.ndarray(x.shape, dtype, cast, offset, strides)


def operand(shape: tuple[int, ...], strides: tuple[int, ...], dtype: str = "f4") -> Operand:
    return Operand(0, shape, np.dtype(dtype), strides)


A, B, OUT = operand((2, 3), (12, 4)), operand((3, 4), (16, 4)), operand((2, 4), (16, 4))


@pytest.mark.parametrize(
    ("a", "b", "out", "match"),
    [
        (A, B, operand((2, 5), (20, 4)), "shapes do not match"),
        (A, operand((2, 4), (16, 4)), OUT, "shapes do not match"),
        (A, B, operand((1, 2, 4), (32, 16, 4)), "two dimensions"),
        (A, operand((3, 4), (32, 8), "f8"), OUT, "one floating dtype"),
        (A, B, operand((2, 4), (32, 8), "f8"), "one floating dtype"),
        (operand((2, 3), (12, 4), "i4"), operand((3, 4), (16, 4), "i4"), operand((2, 4), (16, 4), "i4"), "floating"),
        (operand((2, 3), (24, 8)), B, OUT, "neither rows nor columns"),
        (operand((2, 3), (0, 4)), B, OUT, "neither rows nor columns"),
        (operand((2, 3), (-12, 4)), B, OUT, "neither rows nor columns"),
        (operand((2, 3), (14, 4)), B, OUT, "neither rows nor columns"),
        (operand((2**31, 3), (12, 4)), B, operand((2**31, 4), (16, 4)), "longer than"),
    ],
)
def test_what_blas_cannot_do_is_refused(a: Operand, b: Operand, out: Operand, match: str) -> None:
    with pytest.raises(ValueError, match=rf"(?s)\[matmul\].*{match}"):
        blas.gemm(a, b, out)


@pytest.mark.parametrize("device", ["cuda:1", "emulated"])
def test_batches_in_reverse_order(device: str, fake_cuda: Callable[..., Any]) -> None:
    backend, a = get_backend(device), np.arange(12.0).reshape(3, 2, 2)
    with guarded(backend):
        x = backend.from_host(a)
        for left, right in ((slice(None, None, -1), slice(None)), (slice(None), slice(None, None, -1))):
            found = backend.kernels["matmul"](x[left], x[right])
            assert np.array_equal(backend.to_host(found), a[left] @ a[right])


def test_a_launcher_without_a_source_launches_nothing() -> None:
    planner = Planner("mine", None, get_backend("emulated"), 0, False)
    with pytest.raises(LaunchError, match=r"\[mine\] its launcher names no source"):
        planner.launch("kernel", [], threads=1)


def test_precision_of_float32_is_as_asked(fake_cuda: Callable[..., Any]) -> None:
    used = fake_cupy.cublas.precisions
    x = {d: gf.ones(2, 2, device="cuda", dtype=getattr(gf, d)) for d in ("float32", "float64", "float16")}
    try:
        for precision, number in (("highest", 68), ("high", 77), ("medium", 75), ("highest", 68)):
            gf.set_float32_matmul_precision(precision)
            assert gf.get_float32_matmul_precision() == precision
            used.clear()
            for dtype in x:
                assert (x[dtype] @ x[dtype]).tolist() == [[2.0, 2.0], [2.0, 2.0]]
            assert used == [number, 70, 68]
    finally:
        gf.set_float32_matmul_precision("highest")
    with pytest.raises(ValueError, match=r"expected one of .*'high'.*got 'low'"):
        gf.set_float32_matmul_precision("low")
