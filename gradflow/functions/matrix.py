"""Matrices: inverses, determinants, factorisations. The last two dimensions are a matrix's, those before a batch's.

Two or more dimensions, float32 or float64. These are `gradflow.linalg`'s; some have older names beside `gf.exp`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy

from ..autograd.primitive import BIND
from ..autograd.value import unwrap
from ..backend.device import backend_of
from ..backend.dtypes import is_floating, is_half, result_type
from ..ops import determinant, elementwise, factorization, reduce, shape
from ..ops import linalg as products
from ..ops.index import getitem
from .arguments import check_tensors
from .linalg import matmul


class Eigh(NamedTuple):
    """What eigh returns."""

    eigenvalues: Any
    eigenvectors: Any


class SVD(NamedTuple):
    """What linalg.svd returns."""

    U: Any
    S: Any
    Vh: Any


class QR(NamedTuple):
    """What qr returns."""

    Q: Any
    R: Any


class SlogDet(NamedTuple):
    """What slogdet returns."""

    sign: Any
    logabsdet: Any


class LeastSquares(NamedTuple):
    """What lstsq returns."""

    solution: Any
    residuals: Any
    rank: Any
    singular_values: Any


def check_matrix(op: str, square: bool = True, floating: bool = True, **operands: Any) -> None:
    """Refuse what is no matrix (or no square one), and dtypes that are not factorised."""
    check_tensors(op, **operands)
    for name, x in operands.items():
        what = f"({', '.join([f'{n} {tuple(v.shape)} {v.dtype}' for n, v in operands.items()])})"
        if x.ndim < 2:
            raise ValueError(f"[{op}] {name} must have two dimensions or more {what}")
        if square and x.shape[-1] != x.shape[-2]:
            raise ValueError(f"[{op}] {name} must have square matrices {what}")
        if floating and (not is_floating(x.dtype) or is_half(x.dtype)):
            raise TypeError(f"[{op}] is for float32 and float64; cast {name} with .to(gf.float32) {what}")


def mT(x: Any) -> Any:
    """x with its last two dimensions exchanged."""
    return products.swap_last(BIND, x)


# -- inverses and solutions ------------------------------------------------------------------------------------------


def inv(A: Any) -> Any:
    """The inverse of square matrices (..., n, n). LinAlgError where one is singular."""
    check_matrix("inv", A=A)
    return factorization.inv(A)


def _check_sides(op: str, A: Any, B: Any, left: bool) -> None:
    n = B.shape[-2 if left else -1]
    if n != A.shape[-1]:
        raise ValueError(
            f"[{op}] B must have {A.shape[-1]} {'rows' if left else 'columns'} (A {tuple(A.shape)}, B {tuple(B.shape)})"
        )


def solve(A: Any, B: Any, *, left: bool = True) -> Any:
    """X with A X = B (or X A = B, if not `left`), for A (..., n, n) and B (..., n, k), or vectors B of shape (n,) or
    A.shape[:-1]. LinAlgError where a matrix is singular."""
    check_matrix("solve", A=A)
    if B.ndim == 1 or (B.ndim == A.ndim - 1 and tuple(B.shape) == tuple(A.shape[:-1])):
        if not left:
            raise ValueError(f"[solve] vectors have no right side (A {tuple(A.shape)}, B {tuple(B.shape)})")
        X = solve(A, shape.reshape(B, shape=(*B.shape, 1)))
        return shape.reshape(X, shape=tuple(X.shape[:-1]))
    check_matrix("solve", square=False, B=B)
    _check_sides("solve", A, B, left)
    return factorization.solve(A, B) if left else mT(factorization.solve(mT(A), mT(B)))


def solve_triangular(A: Any, B: Any, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Any:
    """X with A X = B (or X A = B, if not `left`), for triangular A (..., n, n) and B (..., n, k).

    One triangle of A is read, and not its diagonal, if `unitriangular`. Zeros on the diagonal give infinities and NaN.
    """
    check_matrix("solve_triangular", A=A)
    check_matrix("solve_triangular", square=False, B=B)
    _check_sides("solve_triangular", A, B, left)
    run = factorization.solve_triangular
    if left:
        return run(A, B, upper=bool(upper), unitriangular=bool(unitriangular))
    return mT(run(mT(A), mT(B), upper=not upper, unitriangular=bool(unitriangular)))


def cholesky_solve(B: Any, L: Any, upper: bool = False) -> Any:
    """X with L L' X = B, for Cholesky's L (U' U X = B, if `upper`)."""
    check_matrix("cholesky_solve", L=L)
    check_matrix("cholesky_solve", square=False, B=B)
    L = mT(L) if upper else L
    return solve_triangular(mT(L), solve_triangular(L, B, upper=False), upper=True)


def _tolerances(op: str, A: Any, atol: Any, rtol: Any) -> tuple[float, float]:
    if any(hasattr(t, "dtype") and t.ndim for t in (atol, rtol)):
        raise NotImplementedError(f"[{op}] takes one atol and one rtol, not a tensor for each matrix")
    smallest = float(numpy.finfo(A.dtype).eps) * max(A.shape[-2:])
    return float(atol or 0.0), float(rtol) if rtol is not None else 0.0 if atol else smallest


def pinv(A: Any, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None) -> Any:
    """The pseudoinverse (..., n, m) of matrices (..., m, n).

    Singular values up to max(atol, rtol * largest) count as 0. rtol is the dtype's eps times max(m, n), unless atol is
    given; rcond is its older name. `hermitian` reads the lower triangles of symmetric matrices.
    """
    check_matrix("pinv", square=hermitian, A=A)
    if rcond is not None and rtol is not None:
        raise TypeError("[pinv] give rcond or rtol, not both")
    a, r = _tolerances("pinv", A, atol, rtol if rcond is None else rcond)
    return factorization.pinv(A, atol=a, rtol=r, hermitian=bool(hermitian))


def lstsq(A: Any, B: Any, rcond: float | None = None, *, driver: str | None = None) -> LeastSquares:
    """(X, residuals, rank, singular values) with the smallest X that minimises |A X - B|, for A (..., m, n) and
    B (..., m, k), or vectors of A.shape[:-1].

    Always by singular values ("gelsd"), of which those up to rcond * largest count as 0; other drivers are accepted,
    and give the same. residuals, sums of squares, are empty unless m > n and all ranks are n.
    """
    check_matrix("lstsq", square=False, A=A)
    if driver not in (None, "gels", "gelsy", "gelsd", "gelss"):
        raise ValueError(f"[lstsq] driver must be 'gels', 'gelsy', 'gelsd' or 'gelss', got {driver!r}")
    vectors = B.ndim == A.ndim - 1 and tuple(B.shape) == tuple(A.shape[:-1])
    right = shape.reshape(B, shape=(*B.shape, 1)) if vectors else B
    check_matrix("lstsq", square=False, B=right)
    dtype = result_type(A, right)
    _check_sides("lstsq", mT(A), right, True)
    A, right = (x if x.dtype == dtype else elementwise.astype(x, dtype=dtype) for x in (A, right))
    m, n = A.shape[-2:]
    atol, rtol = _tolerances("lstsq", A, None, rcond)
    X = matmul(factorization.pinv(A, atol=atol, rtol=rtol), right)
    values = factorization.svdvals(A)
    rank = _above(values, atol, rtol)
    ranks = unwrap(rank)  # of all examples, where vmap maps
    if m > n and bool((backend_of(ranks).to_host(ranks) == n).all()):
        off = matmul(A, X) - right
        residuals = reduce.sum(off * off, axis=off.ndim - 2)
    else:
        residuals = getitem(shape.reshape(values, shape=(math.prod(values.shape),)), spec=((0, 0, None),))
    if vectors:
        X = shape.reshape(X, shape=tuple(X.shape[:-1]))
    return LeastSquares(X, residuals, rank, values)


def _above(values: Any, atol: float, rtol: float) -> Any:
    """How many of the values along the last dimension are above max(atol, rtol * largest)."""
    if not values.shape[-1]:
        return reduce.sum(elementwise.greater(values, 0), axis=values.ndim - 1)
    largest = reduce.amax(values, axis=values.ndim - 1, keepdims=True)
    return reduce.sum(elementwise.greater(values, elementwise.maximum(largest * rtol, atol)), axis=values.ndim - 1)


def matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None) -> Any:
    """How many singular values are above max(atol, rtol * largest), whose defaults are those of `pinv`; `tol` is atol's
    older name. `hermitian` reads the lower triangles of symmetric matrices."""
    check_matrix("matrix_rank", square=hermitian, A=A)
    a, r = _tolerances("matrix_rank", A, atol if tol is None else tol, rtol if tol is None else 0.0)
    values = elementwise.absolute(factorization.eigvalsh(A, lower=True)) if hermitian else factorization.svdvals(A)
    return _above(values, a, r)


# -- determinants and powers -----------------------------------------------------------------------------------------


def det(A: Any) -> Any:
    """The determinants of square matrices (..., n, n), 1 for n = 0."""
    check_matrix("det", A=A)
    return determinant.det(A)


def slogdet(A: Any) -> SlogDet:
    """(sign, log |det|) of square matrices, (0, -inf) of singular ones; those have no gradient: LinAlgError."""
    check_matrix("slogdet", A=A)
    return SlogDet(*determinant.slogdet(A))


def logdet(A: Any) -> Any:
    """log det of square matrices, NaN where the determinant is negative and -inf where it is 0."""
    sign, logarithm = slogdet(A)
    return elementwise.where(elementwise.less(sign, 0), math.nan, logarithm)


def matrix_power(A: Any, n: int) -> Any:
    """The product of n times A; its inverse's, where n is negative."""
    if not isinstance(n, int):
        raise TypeError(f"[matrix_power] n must be an integer, got {n!r}")
    check_matrix("matrix_power", floating=n < 0, A=A)
    if n < 0:
        return matrix_power(factorization.inv(A), -n)
    result, square = None, A
    if n == 0:
        return elementwise.astype(factorization.eye_like(A), dtype=A.dtype)
    while n:
        if n & 1:
            result = square if result is None else products.matmul(result, square)
        n >>= 1
        if n:
            square = products.matmul(square, square)
    return result


def matrix_exp(A: Any) -> Any:
    """The exponential of square matrices, I + A + A A / 2 + ..."""
    check_matrix("matrix_exp", A=A)
    return determinant.matrix_exp(A)


# -- factorisations --------------------------------------------------------------------------------------------------


def cholesky(A: Any, *, upper: bool = False) -> Any:
    """The lower triangular L with A = L L' (or U with A = U' U, if `upper`), for symmetric positive-definite matrices,
    of which one triangle is read. LinAlgError for others."""
    check_matrix("cholesky", A=A)
    return mT(factorization.cholesky(mT(A))) if upper else factorization.cholesky(A)


def qr(A: Any, mode: str = "reduced") -> QR:
    """(Q, R) with A = Q R, the columns of Q orthonormal and R upper triangular, for matrices (..., m, n).

    "reduced" gives Q (..., m, k) and R (..., k, n) with k = min(m, n); "complete" (..., m, m) and (..., m, n), without
    gradients if m > n; "r" an empty Q, and R as in "reduced". The first k columns must be independent where gradients
    are taken.
    """
    check_matrix("qr", square=False, A=A)
    if mode not in ("reduced", "complete", "r"):
        raise ValueError(f"[qr] mode must be 'reduced', 'complete' or 'r', got {mode!r}")
    m, n = A.shape[-2:]
    if m < n:  # the rest of R follows from the first columns
        parts = shape.split(A, sizes=(m, n - m), axis=A.ndim - 1)
        q, r = factorization.qr(parts[0])
        r = shape.cat(r, products.matmul(mT(q), parts[1]), axis=A.ndim - 1)
    else:
        q, r = factorization.qr(A, complete=mode == "complete" and m > n)
    return QR(getitem(shape.reshape(q, shape=(math.prod(q.shape),)), spec=((0, 0, None),)) if mode == "r" else q, r)


def _triangle(op: str, UPLO: str) -> bool:
    if UPLO not in ("L", "U", "l", "u"):
        raise ValueError(f"[{op}] UPLO must be 'L' or 'U', got {UPLO!r}")
    return UPLO in ("L", "l")


def eigh(A: Any, UPLO: str = "L") -> Eigh:
    """(eigenvalues, ascending, and eigenvectors, in columns) of symmetric matrices, of which the lower ("L") or upper
    ("U") triangle is read.

    Eigenvectors have any sign. The gradient through them needs distinct eigenvalues, and a function that does not
    depend on the signs.
    """
    check_matrix("eigh", A=A)
    return Eigh(*factorization.eigh(A, lower=_triangle("eigh", UPLO)))


def eigvalsh(A: Any, UPLO: str = "L") -> Any:
    """The eigenvalues of symmetric matrices, ascending; one triangle is read, as by `eigh`."""
    check_matrix("eigvalsh", A=A)
    return factorization.eigvalsh(A, lower=_triangle("eigvalsh", UPLO))


def _check_driver(op: str, driver: str | None) -> None:
    if driver is not None:
        raise NotImplementedError(f"[{op}] has one driver; leave driver=None")


def svd(A: Any, full_matrices: bool = True, *, driver: str | None = None) -> SVD:
    """(U, S, Vh) with A = U diag(S) Vh, S descending, for matrices (..., m, n); with k = min(m, n), U is (..., m, k)
    and Vh (..., k, n), or both square, if `full_matrices`.

    U and Vh have any signs. The gradient through them needs distinct singular values, and a function that does not
    depend on the signs; the vectors that full_matrices adds have no gradient. LinAlgError where A is not finite.
    """
    check_matrix("svd", square=False, A=A)
    _check_driver("svd", driver)
    return SVD(*factorization.svd(A, full=bool(full_matrices)))


def svdvals(A: Any, *, driver: str | None = None) -> Any:
    """The singular values of matrices (..., m, n), descending. LinAlgError where A is not finite."""
    check_matrix("svdvals", square=False, A=A)
    _check_driver("svdvals", driver)
    return factorization.svdvals(A)


__all__ = ["cholesky_solve", "det", "logdet", "matrix_exp", "matrix_power", "slogdet"]
