"""Factorisations of matrices and what is solved with them, on the last two axes; leading axes are a batch.

float32 and float64. What cannot be factorised raises LinAlgError on every device: on CuPy too, which by default gives
numbers instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any

import numpy

from ..autograd.batch import elementwise
from ..autograd.define import primitive
from ..backend.scipy import scipy
from .linalg import swap_last


class LinAlgError(numpy.linalg.LinAlgError, RuntimeError):
    """A matrix that cannot be factorised: singular, not positive-definite, or without convergence. It is NumPy's error
    (a ValueError) and, as PyTorch's is, a RuntimeError."""


def raising(np: Any) -> AbstractContextManager[Any]:
    """The context in which linear algebra raises where it fails, and floats overflow in silence."""
    if np.__name__ == "numpy":
        return numpy.errstate(all="ignore")
    return import_module("cupyx").errstate(linalg="raise")  # type: ignore[no-any-return]


def attempt(np: Any, op: str, reason: str, run: Callable[..., Any], *xs: Any) -> Any:
    """run(*xs); where that fails, LinAlgError with the reason and the first matrix of the batch that is to blame."""
    try:
        with raising(np):
            return run(*xs)
    except numpy.linalg.LinAlgError:
        pass
    shape = tuple(xs[0].shape)
    for index in numpy.ndindex(shape[:-2]):
        try:
            with raising(np):
                run(*[x[index] for x in xs])
        except numpy.linalg.LinAlgError:
            where = f"matrix {', '.join(map(str, index))} of the batch" if index else "the matrix"
            break
    else:
        where = "a matrix"
    raise LinAlgError(f"[{op}] {where} {reason} (x {shape})")


def column(xp: Any, v: Any) -> Any:
    """(..., n) -> (..., n, 1)."""
    return xp.reshape(v, shape=(*v.shape, 1))


def row(xp: Any, v: Any) -> Any:
    """(..., n) -> (..., 1, n)."""
    return xp.reshape(v, shape=(*v.shape[:-1], 1, v.shape[-1]))


@primitive(batch=elementwise)
def eye_like(np: Any, x: Any) -> Any:
    """Whether an element of a matrix is on its main diagonal, in x's shape."""
    return np.broadcast_to(np.eye(*x.shape[-2:], dtype=bool), x.shape)


# -- inverses --------------------------------------------------------------------------------------------------------


def _inv_vjp(xp: Any, g: Any, y: Any) -> Any:
    t = swap_last(xp, y)
    return -xp.matmul(t, xp.matmul(g, t))


@primitive(vjps=(_inv_vjp,), batch=elementwise)
def inv(np: Any, x: Any) -> Any:
    """The inverse of (..., n, n)."""
    return attempt(np, "inv", "is singular", np.linalg.inv, x)


def _solve_joint(xp: Any, needs: Any, g: Any, a: Any, y: Any) -> tuple[Any, Any]:
    gb = xp.solve(swap_last(xp, a), g)
    return -xp.matmul(gb, swap_last(xp, y)) if needs[0] else None, gb


def _broadcast(np: Any, a: Any, b: Any) -> tuple[Any, Any]:
    lead = numpy.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return np.broadcast_to(a, lead + a.shape[-2:]), np.broadcast_to(b, lead + b.shape[-2:])


@primitive(joint=_solve_joint, batch=elementwise, promote="same")
def solve(np: Any, a: Any, b: Any) -> Any:
    """x with a x = b for (..., n, n) and (..., n, k), leading axes broadcast."""
    if a.ndim == 2 and b.ndim > 2:  # one matrix is factorised once, whatever the number of right sides
        sides = np.moveaxis(b, -2, 0)
        return np.moveaxis(solve_raw(np, a, sides.reshape(len(a), -1)).reshape(sides.shape), 0, -2)
    return solve_raw(np, *_broadcast(np, a, b))


def solve_raw(np: Any, a: Any, b: Any) -> Any:
    return attempt(np, "solve", "is singular", np.linalg.solve, a, b) if b.size else np.zeros(b.shape, b.dtype)


def _solve_triangular_joint(
    xp: Any, needs: Any, g: Any, a: Any, y: Any, upper: bool, unitriangular: bool
) -> tuple[Any, Any]:
    gb = xp.solve_triangular(swap_last(xp, a), g, upper=not upper, unitriangular=unitriangular)
    if not needs[0]:
        return None, gb
    k = int(unitriangular)
    ga = -xp.matmul(gb, swap_last(xp, y))
    return xp.triu(ga, k=k) if upper else xp.tril(ga, k=-k), gb


@primitive(joint=_solve_triangular_joint, batch=elementwise, promote="same")
def solve_triangular(np: Any, a: Any, b: Any, *, upper: bool, unitriangular: bool = False) -> Any:
    """x with a x = b, where only one triangle of a (..., n, n) is read, b is (..., n, k), and leading axes are
    broadcast. Zeros on the diagonal give infinities and NaN."""
    a, b = _broadcast(np, a, b)
    if not b.size:
        return np.zeros(b.shape, b.dtype)
    linalg = scipy(np, "linalg")
    if np.__name__ != "numpy":
        return linalg.solve_triangular(a, b, lower=not upper, unit_diagonal=unitriangular)
    trsm = linalg.get_blas_funcs("trsm", (a, b))
    x = np.empty(b.shape, b.dtype)
    for index in np.ndindex(b.shape[:-2]):  # BLAS wants columns: it is given x' a' = b', in which all are rows
        x[index] = trsm(1.0, a[index].T, b[index].T, side=1, lower=upper, diag=unitriangular).T
    return x


def _skew(xp: Any, x: Any) -> Any:
    return x - swap_last(xp, x)


# -- factorisations --------------------------------------------------------------------------------------------------


def _cholesky_vjp(xp: Any, g: Any, y: Any) -> Any:
    t = swap_last(xp, y)
    p = xp.matmul(t, g)
    p = (xp.tril(p, k=0) + xp.tril(p, k=-1)) * 0.5
    p = xp.solve_triangular(t, p, upper=True)
    p = xp.solve_triangular(t, swap_last(xp, p), upper=True)  # transposed
    return (p + swap_last(xp, p)) * 0.5


@primitive(vjps=(_cholesky_vjp,), batch=elementwise)
def cholesky(np: Any, x: Any) -> Any:
    """The lower triangular L with x = L L', for positive-definite (..., n, n) of which the lower triangle is read.

    The gradient is symmetric, as x is.
    """

    def run(x: Any) -> Any:
        y = np.linalg.cholesky(x)
        if x.size and bool(np.isnan(y[..., -1, -1]).any()):
            raise numpy.linalg.LinAlgError
        return y

    return attempt(np, "cholesky", "is not positive-definite", run, x)


def _qr_vjp(xp: Any, g: Any, g1: Any, y: Any, y1: Any, complete: bool) -> Any:
    if complete:
        raise NotImplementedError(
            "[qr] mode='complete' has no gradient for more rows than columns, where Q is not unique; use "
            f"mode='reduced' (Q {tuple(y.shape)}, R {tuple(y1.shape)})"
        )
    r, q = swap_last(xp, y1), swap_last(xp, y)
    m = None if g1 is None else xp.matmul(g1, r)
    if g is not None:
        part = xp.matmul(q, g)
        m = -part if m is None else m - part
    m = xp.matmul(y, xp.triu(m, k=0) + swap_last(xp, xp.triu(m, k=1)))
    if g is not None:
        m = g + m
    return swap_last(xp, xp.solve_triangular(y1, swap_last(xp, m), upper=True))


@primitive(vjps=(_qr_vjp,), batch=elementwise)
def qr(np: Any, x: Any, *, complete: bool = False) -> Any:
    """(Q, R) with x = Q R for (..., m, n), m >= n: Q is (..., m, n) with orthonormal columns, R upper triangular; or,
    complete, (..., m, m) and (..., m, n)."""
    with raising(np):
        q, r = np.linalg.qr(x, "complete" if complete else "reduced")
    if complete and np.__name__ != "numpy" and not min(x.shape[-2:]):
        r = np.zeros(r.shape, r.dtype)  # CuPy leaves it as it finds it
    return q, r


def _eigh_vjp(xp: Any, g: Any, g1: Any, y: Any, y1: Any) -> Any:
    t = swap_last(xp, y1)
    if g1 is None:
        return xp.matmul(y1 * row(xp, g), t)
    gaps = row(xp, y) - column(xp, y)
    diagonal = xp.eye_like(gaps)
    turn = _skew(xp, xp.matmul(t, g1)) * 0.5 / xp.where(diagonal, 1.0, gaps)
    inner = xp.where(diagonal, 0.0 if g is None else row(xp, g), turn)
    return xp.matmul(y1, xp.matmul(inner, t))


@primitive(vjps=(_eigh_vjp,), batch=elementwise)
def eigh(np: Any, x: Any, *, lower: bool = True) -> Any:
    """(w, V) with x = V diag(w) V' and w ascending, for symmetric (..., n, n), of which one triangle is read.

    The gradient is symmetric, as x is.
    """
    return tuple(attempt(np, "eigh", "did not converge", lambda x: np.linalg.eigh(x, "L" if lower else "U"), x))


def _eigvalsh_vjp(xp: Any, g: Any, x: Any, lower: bool) -> Any:
    v = xp.eigh(x, lower=lower)[1]
    return xp.matmul(v * row(xp, g), swap_last(xp, v))


@primitive(vjps=(_eigvalsh_vjp,), batch=elementwise)
def eigvalsh(np: Any, x: Any, *, lower: bool = True) -> Any:
    """The eigenvalues of symmetric (..., n, n), ascending."""
    return attempt(np, "eigvalsh", "did not converge", lambda x: np.linalg.eigvalsh(x, "L" if lower else "U"), x)


def _cut(xp: Any, x: Any, rows: int, columns: int) -> Any:
    everything = ((None, None, None),) * (x.ndim - 2)
    return xp.getitem(x, spec=(*everything, (None, rows, None), (None, columns, None)))


def _svd_vjp(xp: Any, g: Any, g1: Any, g2: Any, y: Any, y1: Any, y2: Any, full: bool) -> Any:
    m, n, k = y.shape[-2], y2.shape[-1], y1.shape[-1]
    if full:  # the other vectors are any basis of what is left
        y, y2 = _cut(xp, y, m, k), _cut(xp, y2, k, n)
        g, g2 = None if g is None else _cut(xp, g, m, k), None if g2 is None else _cut(xp, g2, k, n)
    if g is None and g2 is None:
        return xp.matmul(y * row(xp, g1), y2)
    rows, columns = row(xp, y1), column(xp, y1)
    gaps = (rows - columns) * (rows + columns)
    diagonal = xp.eye_like(gaps)
    gaps = xp.where(diagonal, 1.0, gaps)
    inner = 0.0 if g1 is None else row(xp, g1)
    parts, outer = 0.0, None
    if g is not None:
        turn = xp.matmul(swap_last(xp, y), g)
        parts = parts + _skew(xp, turn) / gaps * rows
        if m > k:
            outer = xp.matmul((g - xp.matmul(y, turn)) / rows, y2)
    if g2 is not None:
        turn = xp.matmul(g2, swap_last(xp, y2))
        parts = parts + columns * (_skew(xp, swap_last(xp, turn)) / gaps)
        if n > k:
            right = xp.matmul(y, (g2 - xp.matmul(turn, y2)) / columns)
            outer = right if outer is None else outer + right
    result = xp.matmul(y, xp.matmul(xp.where(diagonal, inner, parts), y2))
    return result if outer is None else result + outer


def _svd(np: Any, x: Any, **options: bool) -> Any:
    """np.linalg.svd of finite numbers; with infinities, LAPACK may never return."""
    if bool(np.isfinite(x).all()):
        found = np.linalg.svd(x, **options)
        if not bool(np.isnan(found[1] if isinstance(found, tuple) else found).any()):
            return found
    raise numpy.linalg.LinAlgError


@primitive(vjps=(_svd_vjp,), batch=elementwise)
def svd(np: Any, x: Any, *, full: bool) -> Any:
    """(U, S, Vh) with x = U diag(S) Vh and S descending, for (..., m, n); U and Vh square if `full`.

    The gradients of what is only in the full U and Vh are taken as 0.
    """

    def run(x: Any) -> Any:
        return tuple(_svd(np, x, full_matrices=full))

    return attempt(np, "svd", "is not finite, or did not converge", run, x)


def _svdvals_vjp(xp: Any, g: Any, x: Any) -> Any:
    u, _, vh = xp.svd(x, full=False)
    return xp.matmul(u * row(xp, g), vh)


@primitive(vjps=(_svdvals_vjp,), batch=elementwise)
def svdvals(np: Any, x: Any) -> Any:
    """The singular values of (..., m, n), descending."""

    def run(x: Any) -> Any:
        return _svd(np, x, compute_uv=False)

    return attempt(np, "svdvals", "is not finite, or did not converge", run, x)


def _pinv_vjp(xp: Any, g: Any, x: Any, y: Any) -> Any:
    t, k = swap_last(xp, y), xp.matmul(swap_last(xp, g), y)
    rest = xp.matmul(k, t)
    return (
        rest
        - swap_last(xp, xp.matmul(y, k))
        - xp.matmul(x, xp.matmul(y, rest))
        + xp.matmul(t, xp.matmul(y, swap_last(xp, g) - xp.matmul(k, x)))
    )


@primitive(vjps=(_pinv_vjp,), batch=elementwise)
def pinv(np: Any, x: Any, *, atol: float, rtol: float, hermitian: bool = False) -> Any:
    """The pseudoinverse (..., n, m) of (..., m, n), with singular values up to max(atol, rtol * largest) taken as 0.

    Its gradient needs no distinct singular values (Golub and Pereyra, 1973); x keeps its rank nearby.
    """
    if hermitian:
        x = np.tril(x) + np.tril(x, -1).swapaxes(-1, -2)
    m, n = x.shape[-2:]
    if not math.prod(x.shape):
        return np.zeros((*x.shape[:-2], n, m), x.dtype)

    def run(x: Any) -> Any:
        u, s, vh = _svd(np, x, full_matrices=False)
        keep = s > np.maximum(s[..., :1] * rtol, atol)
        s = np.where(keep, 1 / np.where(keep, s, 1), 0).astype(x.dtype)
        return np.matmul(vh.swapaxes(-1, -2), s[..., None] * u.swapaxes(-1, -2))

    return attempt(np, "pinv", "is not finite, or did not converge", run, x)
