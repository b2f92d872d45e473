"""Linear algebra as methods."""

from __future__ import annotations

from ..functions import classic as C
from ..functions import linalg as L
from ..functions import matrix as M


class LinalgMethods:
    """The linear algebra of `Tensor`."""

    __slots__ = ()

    matmul, mm, bmm, mv, dot, vdot = L.matmul, L.mm, L.bmm, L.mv, L.dot, L.vdot
    inner, outer, ger, kron, cross, trace = L.inner, L.outer, L.ger, L.kron, L.cross, L.trace
    addmm, addmv, addr, baddbmm, addbmm = L.addmm, L.addmv, L.addr, L.baddbmm, L.addbmm
    det, slogdet, logdet, inverse, pinverse = M.det, M.slogdet, M.logdet, C.inverse, C.pinverse
    cholesky, cholesky_solve, qr, svd = C.cholesky, M.cholesky_solve, C.qr, C.svd
    matrix_power, matrix_exp = M.matrix_power, M.matrix_exp
