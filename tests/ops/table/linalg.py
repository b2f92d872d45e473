"""The table's part on products of vectors and matrices, and norms."""

from __future__ import annotations

from typing import Any

import numpy as np
from ops.case import Case, case

import gradflow as gf


def product(*pairs: tuple[tuple[int, ...], tuple[int, ...]]) -> list[Case]:
    return [case(f"matmul-{len(a)}d-{len(b)}d-{i}", gf.matmul, a, b, ref=np.matmul) for i, (a, b) in enumerate(pairs)]


def light(name: str, call: Any, *shapes: Any, **options: Any) -> Case:
    return case(name, call, *shapes, light=True, **options)


def contraction(equation: str, *shapes: tuple[int, ...]) -> Case:
    return light(f"einsum-{equation}", lambda *xs: gf.einsum(equation, *xs), *shapes,
        ref=lambda *xs: np.einsum(equation, *xs))  # fmt: skip


def of_norm(name: str, call: Any, shape: tuple[int, ...], ref: Any, **options: Any) -> Case:
    return light(f"linalg-{name}", call, shape, ref=ref, **options)


def distances(p: float) -> Any:
    return lambda x, y: (np.abs(x[..., :, None, :] - y[..., None, :, :]) ** p).sum(-1) ** (1 / p)


NAMED: list[tuple[str, Any, tuple[tuple[int, ...], ...], Any]] = [
    ("mm", gf.mm, ((2, 3), (3, 2)), np.matmul),
    ("bmm", gf.bmm, ((2, 2, 3), (2, 3, 1)), np.matmul),
    ("mv", gf.mv, ((2, 3), (3,)), np.matmul),
    ("dot", gf.dot, ((3,), (3,)), np.dot),
    ("vdot", gf.vdot, ((3,), (3,)), np.dot),
    ("inner", gf.inner, ((2, 3), (2, 1, 3)), np.inner),
    ("outer", gf.outer, ((2,), (3,)), np.outer),
    ("tensordot", gf.tensordot, ((2, 3, 2), (3, 2, 2)), np.tensordot),
    ("tensordot-pairs", lambda a, b: gf.tensordot(a, b, ([0, -1], [1, 0])), ((2, 3, 2), (2, 2, 3)),
        lambda a, b: np.tensordot(a, b, ([0, -1], [1, 0]))),
    ("einsum-lists", lambda a, b: gf.einsum(a, [..., 0, 1], b, [2, 1], [..., 2, 0]), ((2, 2, 3), (2, 3)),
        lambda a, b: np.einsum("bij,kj->bki", a, b)),
    ("kron", gf.kron, ((2, 2), (3, 2, 1)), np.kron),
    ("trace", gf.trace, ((2, 3),), np.trace),
    ("cross", gf.cross, ((3, 2), (3, 1)), lambda a, b: np.cross(a, b, axis=0)),
    ("linalg-cross", gf.linalg.cross, ((2, 3), (1, 3)), np.cross),
    ("chain_matmul", gf.chain_matmul, ((2, 3), (3, 1), (1, 2), (2, 2)), lambda *xs: np.linalg.multi_dot(xs)),
    ("multi_dot", lambda *xs: gf.linalg.multi_dot(xs), ((3,), (3, 2), (2,)), lambda *xs: np.linalg.multi_dot(xs)),
    ("block_diag", gf.block_diag, ((2, 1), (2,), ()),
        lambda a, b, c: np.block([[a, np.zeros((2, 3))], [np.zeros((1, 1)), b[None], np.zeros((1, 1))],
            [np.zeros((1, 3)), c[None, None]]])),
    ("vander", gf.vander, ((3,),), np.vander),
    ("linalg-vander", lambda x: gf.linalg.vander(x, N=4), ((3,),), lambda x: np.vander(x, 4, increasing=True)),
    ("linalg-diagonal", lambda x: gf.linalg.diagonal(x, offset=1), ((2, 2, 3),),
        lambda x: np.diagonal(x, 1, -2, -1)),
    ("linalg-vecdot", gf.linalg.vecdot, ((2, 3), (3,)), lambda x, y: (x * y).sum(-1)),
    ("addmm", lambda m, a, b: gf.addmm(m, a, b, beta=0.5, alpha=2), ((2,), (2, 3), (3, 2)),
        lambda m, a, b: 0.5 * m + 2 * (a @ b)),
    ("addmv", gf.addmv, ((2,), (2, 3), (3,)), lambda m, a, b: m + a @ b),
    ("addr", gf.addr, ((2, 1), (2,), (3,)), lambda m, a, b: m + np.outer(a, b)),
    ("baddbmm", lambda m, a, b: gf.baddbmm(m, a, b, alpha=0.5), ((2, 1, 2), (2, 2, 3), (2, 3, 2)),
        lambda m, a, b: m + 0.5 * (a @ b)),
    ("addbmm", gf.addbmm, ((2, 2), (2, 2, 3), (2, 3, 2)), lambda m, a, b: m + (a @ b).sum(0)),
]  # fmt: skip

CASES = [
    *product(
        ((3,), (3,)), ((3,), (3, 2)), ((2, 3), (3,)), ((2, 3), (3, 4)), ((2, 2, 3), (3, 2)), ((2, 3), (2, 3, 2)),
        ((2, 2, 3), (2, 3, 2)), ((2, 2, 3), (3,)), ((3,), (2, 3, 2)), ((2, 1, 2, 3), (3, 3, 1)),
    ),
    *[light(name, call, *shapes, ref=ref) for name, call, shapes, ref in NAMED],
    contraction("bij,bjk->bik", (2, 2, 3), (2, 3, 2)),
    contraction("bhid,bhjd->bhij", (2, 1, 2, 3), (2, 1, 2, 3)),
    contraction("ij,kl->lik", (2, 3), (2, 2)),
    contraction("ij,ij->i", (2, 3), (2, 3)),
    contraction("iij,jkk", (2, 2, 3), (3, 2, 2)),
    contraction("...ij,jk->...ki", (2, 2, 3), (3, 2)),
    contraction("ij,jk,kl,l->i", (2, 3), (3, 2), (2, 2), (2,)),
    contraction("bi,bj->bij", (2, 2), (1, 3)),
    contraction("ij->", (2, 3)),
    of_norm("vector_norm", lambda x: gf.linalg.vector_norm(x, 3, 1), (2, 3), lambda x: np.linalg.norm(x, 3, 1)),
    of_norm("norm", gf.linalg.norm, (2, 3), lambda x: np.linalg.norm(x)),
    of_norm("norm-1", lambda x: gf.linalg.norm(x, 1), (2, 3), lambda x: np.linalg.norm(x, 1)),
    of_norm("matrix_norm", lambda x: gf.linalg.matrix_norm(x, -np.inf, (0, 2), True), (2, 1, 3),
        lambda x: np.linalg.norm(x, -np.inf, (0, 2), True)),
    of_norm("matrix_norm-nuc", lambda x: gf.linalg.matrix_norm(x, "nuc", (0, 2)), (2, 2, 3),
        lambda x: np.linalg.norm(x, "nuc", (0, 2)), half=False),
    light("cdist", gf.cdist, (2, 2, 3), (1, 2, 3), ref=distances(2)),
    light("cdist-3", lambda x, y: gf.cdist(x, y, 3), (2, 3), (2, 3), ref=distances(3)),
    light("cdist-mm", lambda x, y: gf.cdist(x, y, compute_mode="use_mm_for_euclid_dist"), (2, 3), (3, 3),
        ref=distances(2)),
]  # fmt: skip
