"""Determinants, and the exponential of a matrix."""

from __future__ import annotations

from typing import Any

from ..autograd.batch import elementwise
from ..autograd.define import primitive
from .factorization import raising
from .linalg import swap_last


def _matrix_of(xp: Any, v: Any) -> Any:
    """(...) -> (..., 1, 1)."""
    return xp.reshape(v, shape=(*v.shape, 1, 1))


@primitive(vjps=(lambda xp, g, x: _matrix_of(xp, g) * xp.cofactors(x),), batch=elementwise)
def det(np: Any, x: Any) -> Any:
    """The determinant of (..., n, n), 1 for n = 0."""
    with raising(np):
        return np.linalg.det(x)


def _cofactors_vjp(xp: Any, g: Any, x: Any, y: Any) -> Any:
    inner = _matrix_of(xp, xp.sum(g * y, axis=(-2, -1)))
    return (inner * y - xp.matmul(y, xp.matmul(swap_last(xp, g), y))) / _matrix_of(xp, xp.det(x))


@primitive(vjps=(_cofactors_vjp,), batch=elementwise)
def cofactors(np: Any, x: Any) -> Any:
    """det(x) inv(x)', the derivative of det, of singular matrices too (whose second derivatives are NaN)."""
    with raising(np):
        d = np.linalg.det(x)[..., None, None]
        singular = d == 0
        if not bool(singular.any()):
            return (d * np.linalg.inv(x).swapaxes(-1, -2)).astype(x.dtype, copy=False)
        eye = np.eye(x.shape[-1], dtype=x.dtype)
        u, s, vh = np.linalg.svd(np.where(singular, x, eye))
        others = np.where(eye.astype(bool), 1, s[..., None, :]).prod(-1).astype(x.dtype)
        sign = (np.linalg.det(u) * np.linalg.det(vh))[..., None, None]
        regular = np.where(singular, eye, x)
        return np.where(
            singular, sign * np.matmul(u * others[..., None, :], vh), d * np.linalg.inv(regular).swapaxes(-1, -2)
        )


def _slogdet_vjp(xp: Any, g1: Any, x: Any) -> Any:
    return xp.zeros_like(x) if g1 is None else _matrix_of(xp, g1) * swap_last(xp, xp.inv(x))


@primitive(vjps=(_slogdet_vjp,), batch=elementwise)
def slogdet(np: Any, x: Any) -> Any:
    """(sign, log |det|) of (..., n, n): (0, -inf) of a singular matrix."""
    with raising(np):
        sign, logarithm = np.linalg.slogdet(x)
    return sign, logarithm


def _matrix_exp_vjp(xp: Any, g: Any, x: Any) -> Any:
    n, t = x.shape[-1], swap_last(xp, x)
    scale = xp.constant(xp.sum(xp.absolute(g), axis=(-2, -1), keepdims=True))
    scale = xp.where(xp.equal(scale, 0), 1.0, scale)  # a large g would decide how often the block is halved
    top = xp.cat(t, g / scale, axis=x.ndim - 1)
    bottom = xp.cat(xp.zeros_like(x), t, axis=x.ndim - 1)
    block = xp.matrix_exp(xp.cat(top, bottom, axis=x.ndim - 2))
    everything = ((None, None, None),) * (x.ndim - 2)
    return xp.getitem(block, spec=(*everything, (None, n, None), (n, None, None))) * scale


PADE = (
    64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0, 129060195264000.0,
    10559470521600.0, 670442572800.0, 33522128640.0, 1323241920.0, 40840800.0, 960960.0, 16380.0, 182.0, 1.0,
)  # fmt: skip


@primitive(vjps=(_matrix_exp_vjp,), batch=elementwise)
def matrix_exp(np: Any, x: Any) -> Any:
    """The exponential of (..., n, n): a Pade approximant of order 13, scaled and squared (Higham, 2005). Its derivative
    is a block of the exponential of twice the size."""
    if not x.size:
        return np.zeros(x.shape, x.dtype)
    with raising(np):
        sizes = np.abs(x).astype("f8").sum(-2).max(-1)[..., None, None]
        halvings = np.ceil(np.log2(np.where(np.isfinite(sizes), np.maximum(sizes / 5.37, 1), 1)))
        a = x.astype("f8") / 2.0**halvings
        eye = np.eye(x.shape[-1])
        a2 = np.matmul(a, a)
        a4 = np.matmul(a2, a2)
        a6 = np.matmul(a4, a2)
        b = PADE
        odd = np.matmul(a6, b[13] * a6 + b[11] * a4 + b[9] * a2) + b[7] * a6 + b[5] * a4 + b[3] * a2 + b[1] * eye
        odd = np.matmul(a, odd)
        even = np.matmul(a6, b[12] * a6 + b[10] * a4 + b[8] * a2) + b[6] * a6 + b[4] * a4 + b[2] * a2 + b[0] * eye
        y = np.linalg.solve(even - odd, even + odd)
        for i in range(int(halvings.max())):
            y = np.where(halvings > i, np.matmul(y, y), y)
        return y.astype(x.dtype)
