"""The table's part on inverses, determinants and factorisations: float32 and float64 only, of well-conditioned matrices
with distinct eigenvalues, and of what does not depend on the signs of vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
from ops.case import Case, case

import gradflow as gf
from gradflow.autograd.primitive import BIND as P

L = gf.linalg
BASE = np.diag([3.0, 4.5, 6.0]) + 0.1
TALL = np.vstack([BASE, [[0.3, -0.2, 0.5]]])
WIDE = BASE[:2]


def factor(name: str, call: Any, *shapes: Any, c: Any = BASE, ref: Any = None, light: bool = False) -> Case:
    """A case of a function of matrices: the first input is added to `c`, which vmap does not map over."""

    def run(x: Any, *rest: Any) -> Any:
        return call(x + rest[-1], *rest[:-1])

    def reference(x: Any, *rest: Any) -> Any:
        return ref(x + rest[-1], *rest[:-1])

    return case(
        name, run, *shapes, c=(c,), ref=ref and reference, light=light, half=False, mapped=False,
        rows=(0,) if len(shapes) == 1 and len(shapes[0]) == 3 else (),
    )  # fmt: skip


def symmetric(x: Any) -> Any:
    return x + x.mT


def singular(a: Any, full: bool = False) -> Any:
    u, s, vh = L.svd(a, full_matrices=full)
    k = s.shape[-1]
    u, vh = u[..., :k], vh[..., :k, :]
    return u * u, s, vh * vh, (u[..., :2] * s[..., None, :2]) @ vh[..., :2, :]


def np_singular(a: Any) -> Any:
    u, s, vh = np.linalg.svd(a, full_matrices=False)
    return u * u, s, vh * vh, (u[..., :2] * s[..., None, :2]) @ vh[..., :2, :]


def eigen(a: Any, UPLO: str = "L") -> Any:
    w, v = L.eigh(a, UPLO)
    return w, v * v, v[..., :1] @ v[..., :1].mT


def np_eigen(a: Any) -> Any:
    w, v = np.linalg.eigh(a)
    return w, v * v, v[..., :1] @ v[..., :1].mT


def triangular(upper: bool, unit: bool = False) -> Any:
    def reference(a: Any, b: Any) -> Any:
        a, b = np.broadcast_arrays(a, np.zeros((*b.shape[:-2], 1, 1)))[0], b
        flat = [scipy.linalg.solve_triangular(m, r, lower=not upper, unit_diagonal=unit)
            for m, r in zip(a.reshape(-1, 3, 3), b.reshape(-1, 3, 2), strict=True)]  # fmt: skip
        return np.reshape(flat, b.shape)

    return lambda a, b: L.solve_triangular(a, b, upper=upper, unitriangular=unit), reference


def least_squares(a: Any, b: Any) -> Any:
    return tuple(L.lstsq(a, b))


upper, np_upper = triangular(True)
lower, np_lower = triangular(False, True)

CASES = [
    factor("inv", L.inv, (2, 3, 3), ref=np.linalg.inv),
    factor("solve", L.solve, (3, 3), (3, 2), ref=np.linalg.solve),
    factor("solve-batch", L.solve, (2, 1, 3, 3), (2, 3, 1), ref=np.linalg.solve),
    factor("solve-one-matrix", L.solve, (3, 3), (2, 3, 1), ref=np.linalg.solve),
    factor("solve-vector", L.solve, (3, 3), (3,), ref=np.linalg.solve, light=True),
    factor("solve-right", lambda a, b: L.solve(a, b, left=False), (3, 3), (2, 3),
        ref=lambda a, b: b @ np.linalg.inv(a), light=True),
    factor("solve_triangular-upper", upper, (3, 3), (3, 2), ref=np_upper),
    factor("solve_triangular-lower-unit", lower, (3, 3), (2, 3, 2), ref=np_lower),
    factor("solve_triangular-right", lambda a, b: L.solve_triangular(a, b, upper=True, left=False), (3, 3), (2, 3),
        ref=lambda a, b: b @ np.linalg.inv(np.triu(a)), light=True),
    factor("cholesky", lambda a: L.cholesky(symmetric(a)), (2, 3, 3), ref=lambda a: np.linalg.cholesky(symmetric(a))),
    factor("cholesky-upper", lambda a: gf.cholesky(symmetric(a), upper=True), (3, 3),
        ref=lambda a: np.linalg.cholesky(symmetric(a)).mT, light=True),
    factor("cholesky_solve", lambda a, b: gf.cholesky_solve(b, a, upper=True), (3, 3), (3, 2),
        ref=lambda a, b: np.linalg.solve(np.triu(a).mT @ np.triu(a), b), light=True),
    factor("qr", lambda a: tuple(L.qr(a)), (2, 4, 3), c=TALL, ref=lambda a: tuple(np.linalg.qr(a))),
    factor("qr-wide", lambda a: tuple(gf.qr(a)), (2, 3), c=WIDE, ref=lambda a: tuple(np.linalg.qr(a)), light=True),
    factor("qr-r", lambda a: L.qr(a, "r").R, (3, 3), ref=lambda a: np.linalg.qr(a, "r"), light=True),
    factor("eigh", lambda a: eigen(symmetric(a)), (2, 3, 3), ref=lambda a: np_eigen(symmetric(a))),
    factor("eigh-upper", lambda a: eigen(symmetric(a), "U"), (3, 3), ref=lambda a: np_eigen(symmetric(a)), light=True),
    factor("eigvalsh", lambda a: L.eigvalsh(symmetric(a)), (3, 3), ref=lambda a: np.linalg.eigvalsh(symmetric(a))),
    factor("svd-tall", singular, (2, 4, 3), c=TALL, ref=np_singular),
    factor("svd-wide", singular, (2, 3), c=WIDE, ref=np_singular),
    factor("svd-full", lambda a: singular(a, True), (4, 3), c=TALL, ref=np_singular, light=True),
    factor("svd-older", lambda a: gf.svd(a)[2] ** 2, (2, 3), c=WIDE, light=True),
    factor("svdvals", L.svdvals, (2, 3), c=WIDE, ref=lambda a: np.linalg.svd(a, compute_uv=False)),
    factor("pinv-tall", L.pinv, (2, 4, 3), c=TALL, ref=np.linalg.pinv),
    factor("pinv-wide", gf.pinverse, (2, 3), c=WIDE, ref=np.linalg.pinv),
    factor("pinv-hermitian", lambda a: L.pinv(symmetric(a), hermitian=True), (3, 3),
        ref=lambda a: np.linalg.pinv(symmetric(a)), light=True),
    factor("lstsq", least_squares, (4, 3), (4, 2), c=TALL, ref=np.linalg.lstsq, light=True),
    factor("lstsq-vector", lambda a, b: L.lstsq(a, b).solution, (2, 3), (2,), c=WIDE,
        ref=lambda a, b: np.linalg.lstsq(a, b)[0], light=True),
    factor("matrix_rank", lambda a: a * L.matrix_rank(a), (2, 3), c=WIDE, ref=lambda a: a * 2, light=True),
    factor("det", L.det, (2, 3, 3), ref=np.linalg.det),
    factor("cofactors", lambda a: L.det(a)[:, None, None] * P.cofactors(a), (2, 3, 3),
        ref=lambda a: np.linalg.det(a)[:, None, None] ** 2 * np.linalg.inv(a).swapaxes(1, 2)),
    factor("slogdet", lambda a: tuple(L.slogdet(a)), (2, 3, 3), ref=lambda a: tuple(np.linalg.slogdet(a))),
    factor("logdet", gf.logdet, (3, 3), ref=lambda a: np.linalg.slogdet(a)[1], light=True),
    factor("inverse-power", lambda a: L.matrix_power(gf.inverse(a), -3), (3, 3),
        ref=lambda a: np.linalg.matrix_power(a, 3), light=True),
    factor("matrix_exp", lambda a: L.matrix_exp(a * 0.4), (2, 3, 3), ref=lambda a: scipy.linalg.expm(a * 0.4)),
    factor("cond", lambda a: L.cond(a) + L.cond(a, 1), (3, 3),
        ref=lambda a: np.linalg.cond(a) + np.linalg.cond(a, 1), light=True),
]  # fmt: skip
