"""Products of matrices by cuBLAS: what its one call for all of them is to be told about memory of any layout."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..dtypes import is_half
from ..precision import get_float32_matmul_precision
from .operand import Operand
from .signature import dtype_key

# Numbers of CUDA's interface: cudaDataType, cublasComputeType_t.
DATA_TYPES = {"f4": 0, "f8": 1, "f2": 2, "bfloat16": 14}
COMPUTE_FLOAT, COMPUTE_DOUBLE = 68, 70
COMPUTE_PRECISION = {"highest": COMPUTE_FLOAT, "high": 77, "medium": 75}  # float32, in TF32, in bfloat16
LIMIT = 2**31 - 1


class Matrix(NamedTuple):
    """One operand of the call: the columns are `leading` elements apart, the matrices of a batch `stride`."""

    transposed: int
    leading: int
    stride: int


class Gemm(NamedTuple):
    """c = a b in column-major terms, a (m, k), b (k, n), c (m, n), for each matrix of a batch.

    exchanged: cuBLAS's a is the caller's b and the other way round, as rows of out are the columns of its transpose.
    """

    exchanged: bool
    m: int
    n: int
    k: int
    a: Matrix
    b: Matrix
    c: Matrix
    batch: int


def gemm(a: Operand, b: Operand, out: Operand) -> Gemm:
    """The call for out = a @ b. Raises ValueError for shapes, dtypes or layouts that cannot be multiplied so."""
    _check(a, b, out)
    (n, m), k = out.shape[-2:], a.shape[-1]
    if not out.size or not a.size:
        nothing = Matrix(0, 1, 0)
        return Gemm(False, n, m, k, nothing, nothing, nothing, 0)
    exchanged = _leading(out) is not None
    first, second, result = (b, a, out) if exchanged else (a, b, out)
    # A matrix in rows is, read in columns, its transpose; which is what is wanted if the product is turned round.
    a_matrix, b_matrix, c_matrix = [_matrix(x, by_rows=exchanged) for x in (first, second, result)]
    n, m = (n, m) if exchanged else (m, n)
    return Gemm(exchanged, m, n, k, a_matrix, b_matrix, c_matrix, out.shape[0] if out.ndim == 3 else 1)


def readable(x: Operand) -> bool:
    """Whether cuBLAS can read the matrices of an operand: the rows or the columns of each are contiguous."""
    matrices = _leading(x) is not None or _leading(x, columns=True) is not None
    return matrices and (x.ndim == 2 or x.strides[0] >= 0)


def compute_type(dtype: np.dtype) -> int:
    """The precision to multiply and add in."""
    if dtype == np.float64:
        return COMPUTE_DOUBLE
    return COMPUTE_PRECISION[get_float32_matmul_precision()] if dtype == np.float32 else COMPUTE_FLOAT


def _check(a: Operand, b: Operand, out: Operand) -> None:
    what = f"[matmul] out {out} = a {a} @ b {b}"
    if {a.ndim, b.ndim, out.ndim} not in ({2}, {3}):
        raise ValueError(f"{what}: all of two dimensions, or all of three")
    if (*a.shape[:-1], b.shape[-1]) != out.shape or (*a.shape[:-2], a.shape[-1]) != b.shape[:-1]:
        raise ValueError(f"{what}: shapes do not match")
    wider = is_half(a.dtype) and out.dtype == np.float32
    if a.dtype != b.dtype or dtype_key(a.dtype) not in DATA_TYPES or (out.dtype != a.dtype and not wider):
        raise ValueError(f"{what}: takes one floating dtype, out may be float32 where that is 16-bit")
    for x in (a, b, out):
        if x.size and not readable(x):
            raise ValueError(f"{what}: neither rows nor columns of {x} are contiguous")
        if max(x.shape) > LIMIT:
            raise ValueError(f"{what}: an axis is longer than {LIMIT}")


def _matrix(x: Operand, by_rows: bool) -> Matrix:
    leading = _leading(x, columns=not by_rows)
    stride = x.strides[0] // x.itemsize if x.ndim == 3 else 0
    if leading is not None:
        return Matrix(0, leading, stride)
    leading = _leading(x, columns=by_rows)
    assert leading is not None
    return Matrix(1, leading, stride)


def _leading(x: Operand, columns: bool = False) -> int | None:
    """Elements from one row to the next where rows are contiguous, else None; or the same of columns."""
    axes = (-1, -2) if columns else (-2, -1)
    (rows, length), (step, unit) = [(v[axes[0]], v[axes[1]]) for v in (x.shape, x.strides)]
    if (length > 1 and unit != x.itemsize) or step % x.itemsize:
        return None
    leading = step // x.itemsize if rows > 1 else max(length, 1)
    return leading if max(length, 1) <= leading <= LIMIT else None
