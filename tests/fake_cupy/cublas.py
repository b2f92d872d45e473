"""The fake's cuBLAS: its one call for products of matrices, column-major on raw addresses, as the library has it."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from typing import Any

import numpy as np

from gradflow.backend.dtypes import as_dtype

from . import cuda

TYPES = {0: np.dtype("f4"), 1: np.dtype("f8"), 2: np.dtype("f2")}
with suppress(ImportError):  # of ml_dtypes
    TYPES[14] = as_dtype("bfloat16")
COMPUTE = {68: np.dtype("f4"), 77: np.dtype("f4"), 75: np.dtype("f4"), 70: np.dtype("f8")}
INT = 2**31
WIDE_SUMS = 16  # CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION

modes: dict[int, int] = {}
"""The math mode of each handle that has had one set."""

precisions: list[int] = []
"""The compute types of all calls so far."""


def gemmStridedBatchedEx(
    handle: int, transa: int, transb: int, m: int, n: int, k: int, alpha: int, a: int, atype: int, lda: int,
    stridea: int, b: int, btype: int, ldb: int, strideb: int, beta: int, c: int, ctype: int, ldc: int, stridec: int,
    count: int, compute: int, algo: int,
) -> None:  # fmt: skip
    """C = alpha op(A) op(B) + beta C for each matrix of a batch."""
    if handle != 1 + cuda.current_device():
        raise RuntimeError("CUBLAS_STATUS_NOT_INITIALIZED")
    if not all([type(v) is int and -INT <= v < INT for v in (transa, transb, m, n, k, lda, ldb, ldc, count, algo)]):
        raise TypeError("an integer is required")
    rows = (k if transa else m), (n if transb else k), m
    if min(m, n, k, count) < 0 or any([ld < max(1, r) for ld, r in zip((lda, ldb, ldc), rows, strict=True)]):
        raise RuntimeError("CUBLAS_STATUS_INVALID_VALUE")
    wide = COMPUTE[compute]
    if atype != btype or TYPES[ctype] not in (TYPES[atype], np.dtype("f4")) or (wide.name == "float64") != (ctype == 1):
        raise RuntimeError("CUBLAS_STATUS_NOT_SUPPORTED")
    if TYPES[atype].itemsize == 2 and modes.get(handle) != WIDE_SUMS:
        raise AssertionError("partial sums may be added up in 16 bits")
    cuda.world().finish()
    precisions.append(compute)
    one, zero = [_matrix(p, wide, 1, 1, 1)[0, 0] for p in (alpha, beta)]
    for i in range(count):
        x = _matrix(a + i * stridea * TYPES[atype].itemsize, TYPES[atype], *((k, m) if transa else (m, k)), lda)
        y = _matrix(b + i * strideb * TYPES[btype].itemsize, TYPES[btype], *((n, k) if transb else (k, n)), ldb)
        z = _matrix(c + i * stridec * TYPES[ctype].itemsize, TYPES[ctype], m, n, ldc)
        with np.errstate(all="ignore"):
            product = one * ((x.T if transa else x).astype(wide) @ (y.T if transb else y).astype(wide))
        z[...] = product if zero == 0 else product + zero * z.astype(wide)


def setMathMode(handle: int, mode: int) -> None:
    modes[handle] = mode


def getVersion(handle: int) -> int:
    return 130000


def _matrix(address: int, dtype: np.dtype, rows: int, columns: int, leading: int) -> Any:
    """A column-major matrix at an address."""
    size = ((columns - 1) * leading + rows) * dtype.itemsize if rows and columns else 0
    flat = np.frombuffer((ctypes.c_char * size).from_address(address), np.uint8)
    strides = (dtype.itemsize, leading * dtype.itemsize)
    return np.lib.stride_tricks.as_strided(flat.view(dtype), (rows, columns), strides)
