"""Products, contractions, norms and factorisations beside PyTorch's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from parity.same import floats, integers, same

pytestmark = pytest.mark.filterwarnings("ignore:.*torch")  # PyTorch's, of functions it will drop


def positive(*shape: int) -> np.ndarray:
    """Symmetric positive-definite matrices."""
    a = floats(*shape)
    return a @ a.swapaxes(-1, -2) + np.eye(shape[-1])


PRODUCTS: dict[str, tuple[tuple[int, ...], ...]] = {
    "mm": ((2, 3), (3, 4)), "bmm": ((2, 2, 3), (2, 3, 4)), "mv": ((2, 3), (3,)), "dot": ((3,), (3,)), "vdot": ((3,),
    (3,)), "inner": ((2, 3), (4, 3)), "outer": ((2,), (3,)), "ger": ((2,), (3,)), "kron": ((2, 3), (3, 1, 2)),
    "matmul": ((2, 1, 3), (4, 3, 2)), "tensordot": ((2, 3, 4), (3, 4, 2)), "addmm": ((4,), (2, 3), (3, 4)), "addmv":
    ((2,), (2, 3), (3,)), "addr": ((2, 1), (2,), (3,)), "baddbmm": ((1, 4), (2, 2, 3), (2, 3, 4)), "addbmm": ((2, 4),
    (2, 2, 3), (2, 3, 4)), "chain_matmul": ((2, 3), (3, 4), (4, 1)), "cross": ((2, 3), (1, 3)), "trace": ((2, 3),),
    "block_diag": ((2, 3), (2,), ()),
}  # fmt: skip


@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.parametrize("kind", ["f8", "f4", "f2", "i8", "i4", "u1"])
def test_products(name: str, kind: str) -> None:
    make = integers if np.dtype(kind).kind in "iu" else floats
    xs = [make(*s, dtype=kind, seed=i) for i, s in enumerate(PRODUCTS[name])]
    same(lambda t, *xs: getattr(t, name)(*xs), *xs, second=kind == "f8", rtol=1e-2 if kind == "f2" else None)


@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.parametrize("change", ["axis more", "axis less", "longer", "empty", "transposed"])
def test_products_of_other_shapes(name: str, change: str) -> None:
    for k in range(len(PRODUCTS[name])):
        xs = [floats(*s, seed=i) for i, s in enumerate(PRODUCTS[name])]
        if change == "axis more":
            xs[k] = xs[k][None]
        elif not xs[k].ndim:
            continue
        else:
            changed = (np.asarray(xs[k][0]), np.concatenate([xs[k], xs[k]], -1), xs[k][:0], xs[k].swapaxes(0, -1))
            xs[k] = changed[("axis less", "longer", "empty", "transposed").index(change)]
        if (name, change) in (("block_diag", "empty"), ("kron", "transposed")):
            continue  # PyTorch gives the gradient of another place, and fails
        same(lambda t, *xs: getattr(t, name)(*xs), *xs)


def test_products_over_nothing() -> None:
    for name, a, b in (
        ("mm", (2, 0), (0, 3)), ("bmm", (2, 2, 0), (2, 0, 3)), ("dot", (0,), (0,)), ("mv", (2, 0), (0,)),
        ("inner", (2, 0), (3, 0)), ("kron", (2, 0), (2, 2)), ("matmul", (0, 3), (3, 0)), ("outer", (0,), (2,)),
    ):  # fmt: skip
        same(lambda t, x, y, name=name: getattr(t, name)(x, y), floats(*a), floats(*b))


def test_scalars_beside_products() -> None:
    m, a, b = floats(2, 4), floats(2, 3), floats(3, 4, seed=1)
    for beta, alpha in ((0.5, 2), (0, 1), (1, 0), (2, -1)):
        same(lambda t, m, a, b, k=(beta, alpha): t.addmm(m, a, b, beta=k[0], alpha=k[1]), m, a, b)
        same(lambda t, m, a, b, k=(beta, alpha): m.addmm(a, b, beta=k[0], alpha=k[1]), m * np.nan, a, b)
    whole = [integers(*s) for s in ((2, 4), (2, 3), (3, 4))]
    same(lambda t, m, a, b: t.addmm(m, a, b, beta=2, alpha=3), *whole)


EQUATIONS = [
    ("ij,jk->ik", (2, 3), (3, 4)), ("ij,jk", (2, 3), (3, 4)), ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)), ("ii->i", (3,
    3)), ("ii", (3, 3)), ("iij->ji", (2, 2, 3)), ("iii", (2, 2, 2)), ("ij->", (2, 3)), ("ij", (2, 3)), ("ba", (2, 3)),
    ("Ba", (2, 3)), ("i,j->ij", (2,), (3,)), ("i,i->", (3,), (3,)), (" i j , j k -> k i ", (2, 3), (3, 4)),
    ("...ij,...jk->...ik", (5, 1, 2, 3), (4, 3, 2)), ("...ij,jk", (5, 2, 3), (3, 4)), ("...a->a...", (2, 3, 4)),
    ("...a->a", (2, 3, 4)), ("a...b,b->a...", (2, 3, 4), (4,)), ("bhid,bhjd->bhij", (2, 3, 4, 5), (2, 3, 6, 5)),
    ("bsi,oi->bso", (2, 3, 4), (5, 4)), ("ij,kl->ik", (2, 3), (4, 5)), ("ij,ij->ij", (2, 3), (2, 3)), ("ij,ij->i", (2,
    3), (2, 3)), ("ij,ij->i", (2, 1), (2, 3)), ("ij,jk->ik", (2, 1), (3, 4)), ("ij,jk->ik", (2, 0), (0, 3)),
    ("ij,jk->ik", (0, 2), (2, 3)), ("i,->i", (3,), ()), (",->", (), ()), ("ij,jk,kl->il", (2, 3), (3, 4), (4, 5)),
    ("ijk,jil,kl->", (2, 3, 4), (3, 2, 5), (4, 5)), ("i,ij,ij,j->", (2,), (2, 3), (2, 3), (3,)), ("abc,cbd,dae->e",
    (2, 3, 4), (4, 3, 5), (5, 2, 2)), ("ii,ij->i", (3, 3), (3, 2)), ("ij,jk->ik", (2, 3), (4, 3)), ("ij,jk->iz", (2,
    3), (3, 4)), ("ij->ii", (2, 3)), ("ij", (2, 3, 4)), ("i.j", (2, 3)), ("ij,jk", (2, 3)), ("i1", (2, 3)),
    ("...i...", (2, 3)), ("ii", (2, 3)), ("ij->j->i", (2, 3)), ("", ()), ("->", ()), ("...,...", (2, 3), (3,)),
    ("...->", (2, 3)), ("ab,ab,ab->ba", (2, 3), (2, 3), (1, 3)),
]  # fmt: skip


@pytest.mark.parametrize("line", EQUATIONS, ids=lambda line: "-".join(map(str, line)))
def test_einsum(line: Any) -> None:
    equation, *shapes = line
    same(lambda t, *xs: t.einsum(equation, *xs), *[floats(*s, seed=i) for i, s in enumerate(shapes)], second=True)


def test_einsum_in_other_forms() -> None:
    a, b = floats(2, 3), floats(3, 4)
    same(lambda t, a, b: t.einsum(a, [0, 1], b, [1, 2], [2, 0]), a, b)
    same(lambda t, a, b: t.einsum(a, [30, 1], b, [1, 2]), a, b)
    same(lambda t, a, b: t.einsum(a, [..., 1], b, [1, 2], [..., 2]), a, b)
    same(lambda t, a, b: t.einsum("ij,jk", [a, b]), a, b)
    same(lambda t, a: t.einsum(a, [0, 52]), a)
    for kind in ("i8", "f2", "f4"):
        make = integers if kind == "i8" else floats
        same(lambda t, a, b: t.einsum("ij,jk->k", a, b), make(2, 3, dtype=kind), make(3, 4, dtype=kind), rtol=1e-2)


@pytest.mark.parametrize(
    "dims", [0, 1, 2, 3, -1, ([0], [1]), ([1, -1], [0, 1]), ([0, 0], [0, 1]), ([0], [0, 1]), ([9], [0])]
)
def test_tensordot(dims: Any) -> None:
    same(lambda t, a, b: t.tensordot(a, b, dims), floats(2, 3, 4), floats(3, 4, 2))
    same(lambda t, a, b: t.tensordot(a, b, dims), floats(2, 1), floats(1, 2))


@pytest.mark.parametrize("p", [0, 0.5, 1, 1.5, 2, 3, math.inf, -1.0])
def test_cdist(p: float) -> None:
    for a, b in (
        ((2, 3), (4, 3)), ((2, 3, 2), (2, 2, 2)), ((2, 1, 3, 2), (3, 2, 2)), ((0, 3), (2, 3)), ((2, 0), (3, 0)),
        ((2, 3), (3, 2)), ((30, 3), (2, 3)), ((3,), (3,)),
    ):  # fmt: skip
        same(lambda t, x, y: t.cdist(x, y, p=p), floats(*a), floats(*b, seed=1), grad=p > 0, rtol=1e-7)
    if p != math.inf:  # where PyTorch gives each of several largest differences the whole gradient
        x = floats(3, 2)
        same(lambda t, x, y: t.cdist(x, y, p=p), x, x, grad=p > 0, rtol=1e-7)


ORDERS = [0, 0.5, 1, 2, 3, -1, -2, math.inf, -math.inf]


@pytest.mark.parametrize("ord", ORDERS)
def test_vector_norm(ord: float) -> None:
    for dim in (None, 0, -1, (0, 2), (), 5):
        for x in (floats(2, 3, 4), floats(2, 0, 4), np.maximum(floats(2, 3, 2), 0)):
            smooth = ord > 0 or (ord != 0 and bool((x != 0).all()))
            same(lambda t, x, dim=dim: t.linalg.vector_norm(x, ord, dim, keepdim=True), x, grad=smooth)
            same(lambda t, x, dim=dim: t.linalg.norm(x, ord, dim), x, grad=smooth and ord != 0)
    for x in (floats(), floats(3, dtype="f2"), floats(4, dtype="f4"), integers(3), np.zeros(3)):
        same(lambda t, x: t.linalg.vector_norm(x, ord), x, grad=ord > 0)
    same(lambda t, x: t.linalg.vector_norm(x, ord, dtype=t.float64), floats(4, dtype="f4"), grad=ord != 0)


@pytest.mark.parametrize("ord", ["fro", "nuc", *ORDERS, "other"])
def test_matrix_norm(ord: Any) -> None:
    for shape, dim in (
        ((3, 4), (-2, -1)), ((2, 3, 4), (-2, -1)), ((2, 3, 4), (2, 0)), ((2, 3), (1, 1)), ((2, 0), (0, 1)),
        ((0, 2), (0, 1)), ((0, 2, 3), (1, 2)), ((3,), (0, 1)), ((2, 3), (0,)),
    ):  # fmt: skip
        for keep in (False, True):
            same(
                lambda t, x, dim=dim, keep=keep: t.linalg.matrix_norm(x, ord, dim, keep),
                floats(*shape),
                grad=0 not in shape,
            )
        same(lambda t, x, dim=dim: t.linalg.norm(x, ord, dim), floats(*shape), grad=ord != 0 and 0 not in shape)
    same(lambda t, x: t.linalg.norm(x, ord), floats(3, 2))
    same(lambda t, x: t.linalg.norm(x, ord), floats(3, 2, 2))
    same(lambda t, x: t.linalg.matrix_norm(x, ord), floats(3, 2, dtype="f2"))
    same(lambda t, x: t.linalg.matrix_norm(x, ord), integers(3, 2))


@pytest.mark.parametrize("p", [None, "fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf])
def test_cond(p: Any) -> None:
    for x in (floats(3, 3), floats(2, 2, 2), floats(3, 2), np.zeros((2, 2, 2)), np.zeros((0, 2, 2))):
        if p != "nuc" or x.any():  # of PyTorch's inf and NaN
            same(lambda t, x: t.linalg.cond(x, p), x, grad=False, rtol=1e-6)


def test_of_matrices_whose_determinant_underflows() -> None:
    same(lambda t, x: t.linalg.cond(x, 1), positive(3, 3) * 1e-150, grad=False)


def test_exponential_beside_an_infinite_matrix() -> None:
    both = np.stack([positive(2, 2) * 30, [[math.inf, 1], [1, 2]]])
    same(lambda t, x: t.linalg.matrix_exp(x), both, grad=False, rtol=1e-7)


FACTORS: dict[str, Any] = {
    "inv": lambda t, a: t.linalg.inv(a),
    "inverse": lambda t, a: a.inverse(),
    "det": lambda t, a: t.linalg.det(a),
    "slogdet": lambda t, a: t.linalg.slogdet(a),
    "logdet": lambda t, a: t.logdet(a),
    "cholesky": lambda t, a: t.linalg.cholesky(a),
    "cholesky upper": lambda t, a: t.linalg.cholesky(a, upper=True),
    "older cholesky": lambda t, a: t.cholesky(a, upper=True),
    "eigvalsh": lambda t, a: t.linalg.eigvalsh(a),
    "eigvalsh U": lambda t, a: t.linalg.eigvalsh(a, UPLO="U"),
    "eigh": lambda t, a: [t.linalg.eigh(a)[0], t.linalg.eigh(a).eigenvectors ** 2],
    "svd": lambda t, a: [t.linalg.svd(a, full_matrices=False).S, t.linalg.svd(a, full_matrices=False)[0] ** 2],
    "svd full": lambda t, a: t.linalg.svd(a).Vh[..., : min(a.shape[-2:]), :] ** 2,
    "older svd": lambda t, a: [t.svd(a)[1], t.svd(a)[2] ** 2],
    "svdvals": lambda t, a: t.linalg.svdvals(a),
    "pinv": lambda t, a: t.linalg.pinv(a),
    "pinv hermitian": lambda t, a: t.linalg.pinv(a, hermitian=True),
    "pinv atol": lambda t, a: t.linalg.pinv(a, atol=1.0),
    "pinv rtol": lambda t, a: t.linalg.pinv(a, rtol=0.2),
    "pinverse": lambda t, a: t.pinverse(a),
    "matrix_rank": lambda t, a: t.linalg.matrix_rank(a),
    "matrix_rank hermitian": lambda t, a: t.linalg.matrix_rank(a, hermitian=True),
    "matrix_rank atol": lambda t, a: t.linalg.matrix_rank(a, atol=1.0),
    "matrix_rank rtol": lambda t, a: t.linalg.matrix_rank(a, rtol=0.5),
    "matrix_power": lambda t, a: [t.linalg.matrix_power(a, n) for n in (1, 2, 5, -1, -2)],
    "matrix_exp": lambda t, a: t.linalg.matrix_exp(a),
    "matrix_exp large": lambda t, a: t.linalg.matrix_exp(a * 5),
    "qr": lambda t, a: list(t.linalg.qr(a)),
    "older qr": lambda t, a: list(t.qr(a)),
    "diagonal": lambda t, a: t.linalg.diagonal(a, offset=1),
    "multi_dot": lambda t, a: t.linalg.multi_dot([a, a, a]),
}  # fmt: skip
MATRICES: dict[str, np.ndarray] = {
    "square": floats(3, 3), "positive": positive(3, 3), "batch": positive(2, 1, 2, 2), "one": positive(1, 1), "tall":
    floats(4, 2), "wide": floats(2, 3), "batch of tall": floats(2, 3, 2), "float32": positive(2, 2).astype("f4"),
    "empty": floats(0, 0), "no batch": floats(0, 3, 3), "no rows": floats(0, 2), "no columns": floats(2, 0),
    "batch of empty": floats(2, 0, 0), "vector": floats(3), "integers": integers(2, 2), "half": floats(2, 2,
    dtype="f2"), "fortran": positive(3, 3).T, "dependent": np.outer([1.0, 2, 3], [1.0, 2, 3]), "zero": np.zeros((2,
    2)), "one of a batch": np.stack([np.eye(2), np.ones((2, 2)), -np.eye(2)]), "indefinite": np.diag([1.0, -1, 2]),
    "nan": np.full((2, 2), np.nan), "infinite": np.array([[math.inf, 1], [1, 2]]),
}  # fmt: skip
SINGULAR = ("dependent", "zero", "one of a batch")


def undefined(name: str, kind: str) -> bool:
    """What has no one answer, or where PyTorch makes numbers of what is refused here."""
    vectors = "svd" in name and name != "svdvals"
    return (
        (kind == "infinite" and any(word in name for word in ("svd", "pinv", "rank", "qr")))
        or (kind == "dependent" and vectors)
        or (kind in ("no rows", "no columns", "nan") and "hermitian" in name)
        or (kind == "half" and "matrix_exp" in name)
        or (kind == "nan" and name == "slogdet")
    )


def without_gradient(name: str, kind: str) -> bool:
    """Where the derivative does not exist; PyTorch gives numbers (for the determinant, of a batch only: 0s)."""
    if name == "det":
        return kind == "one of a batch"
    logarithm, spectrum = name in ("slogdet", "logdet"), any(word in name for word in ("svd", "eig"))
    return ((logarithm or spectrum) and kind in SINGULAR) or ("qr" in name and kind == "dependent") or (
        spectrum and kind in ("nan", "infinite"))  # fmt: skip


@pytest.mark.parametrize("kind", MATRICES)
@pytest.mark.parametrize("name", FACTORS)
def test_matrices(name: str, kind: str) -> None:
    if undefined(name, kind):
        return
    rtol = {"float32": 2e-4, "half": 1e-2}.get(kind, 1e-7)
    same(FACTORS[name], MATRICES[kind], grad=not without_gradient(name, kind), rtol=rtol, atol=1e-9)


@pytest.mark.parametrize("name", FACTORS)
def test_second_derivatives(name: str) -> None:
    if name not in ("matrix_rank", "matrix_rank hermitian", "matrix_rank atol", "matrix_rank rtol"):
        same(FACTORS[name], positive(3, 3), second=True, rtol=1e-6, atol=1e-8)


SIDES = [
    ((3, 3), (3,)), ((3, 3), (3, 2)), ((2, 3, 3), (3, 2)), ((2, 3, 3), (2, 3)), ((3, 3), (2, 3, 2)), ((2, 1, 3, 3),
    (4, 3, 1)), ((2, 3, 3), (3,)), ((0, 0), (0, 2)), ((3, 3), (3, 0)), ((0, 3, 3), (0, 3, 1)), ((3, 3), (2, 2)), ((3,
    2), (3, 2)),
]  # fmt: skip


@pytest.mark.parametrize("shapes", SIDES, ids=str)
def test_solutions(shapes: Any) -> None:
    a, b = (floats(*s, seed=i) for i, s in enumerate(shapes))
    same(lambda t, a, b: t.linalg.solve(a, b), a, b, second=True, rtol=1e-7)
    if b.ndim >= 2:
        right = b.swapaxes(-1, -2)
        same(lambda t, a, b: t.linalg.solve(a, b, left=False), a, right, rtol=1e-7)
        for upper in (False, True):
            for unit in (False, True):
                kind = {"upper": upper, "unitriangular": unit}
                same(lambda t, a, b, k=kind: t.linalg.solve_triangular(a, b, **k), a, b, second=True, rtol=1e-6)
            same(lambda t, a, b, k=upper: t.linalg.solve_triangular(a, b, upper=k, left=False), a, right, rtol=1e-7)
            same(lambda t, a, b, k=upper: t.cholesky_solve(b, t.triu(a) if k else t.tril(a), k), a, b, rtol=1e-7)


def test_solve_triangular_with_a_zero_on_the_diagonal() -> None:
    a = np.array([[1.0, 2], [0, 0]])
    same(lambda t, a, b: t.linalg.solve_triangular(a, b, upper=True), a, floats(2, 2), grad=False)


OVERDETERMINED = [
    ((4, 2), (4, 3)), ((2, 4), (2, 1)), ((3, 3), (3, 2)), ((2, 4, 2), (2, 4, 1)), ((2, 4, 2), (2, 4)), ((4, 2), (4,)),
    ((2, 4), (3, 1)), ((4, 0), (4, 1)), ((0, 2), (0, 1)),
]  # fmt: skip


@pytest.mark.parametrize("shapes", OVERDETERMINED, ids=str)
def test_lstsq(shapes: Any) -> None:
    a, b = (floats(*s, seed=i) for i, s in enumerate(shapes))
    same(lambda t, a, b: t.linalg.lstsq(a, b, driver="gelsd"), a, b, grad=False, rtol=1e-7)
    same(lambda t, a, b: t.linalg.lstsq(a, b, driver="gelsd").solution, a, b, rtol=1e-7)
    flat = np.outer(np.arange(1.0, 5), [1.0, 2])
    same(lambda t, a, b: t.linalg.lstsq(a, b, driver="gelsd"), flat, floats(4, 1), grad=False, rtol=1e-7)


def test_others() -> None:
    same(lambda t, x, y: t.linalg.cross(x, y), floats(2, 3), floats(1, 3))
    same(lambda t, x, y: t.linalg.cross(x, y, dim=0), floats(3, 2), floats(3, 1))
    same(lambda t, x, y: t.linalg.cross(x, y), floats(2, 2), floats(2, 2))
    same(lambda t, x, y: t.linalg.vecdot(x, y), floats(2, 3), floats(3))
    same(lambda t, x: t.linalg.vander(x), floats(2, 3))
    same(lambda t, x: t.linalg.vander(x, N=5), floats(3))
    for make in (
        integers(3),
        integers(3, dtype="u1"),
        floats(4),
        floats(3, dtype="f2"),
        floats(0),
        floats(2, 3)[:, :1],
    ):
        same(lambda t, x: t.vander(x), make, grad=False)  # PyTorch changes what its gradient needs
        same(lambda t, x: t.vander(x, 2, increasing=True), make, grad=False)
        same(lambda t, x: t.vander(x, 0), make, grad=False)
    same(lambda t, *xs: t.linalg.multi_dot(xs), floats(3), floats(3, 4), floats(4, 2), floats(2), second=True)
    same(lambda t, *xs: t.linalg.multi_dot(xs), floats(10, 2), floats(2, 9), floats(9, 1), floats(1, 5))
    same(lambda t, x: t.linalg.matrix_power(x, 3), integers(2, 2))
    same(lambda t, x: [t.linalg.matrix_rank(x, tol=k) for k in (0.0, 0.5)], np.diag([1.0, 1e-17, 0.3]))
    same(lambda t, x: [t.linalg.pinv(x, atol=k) for k in (0.0, 1e-20)], np.diag([1.0, 1e-17, 0.3]), grad=False)
    same(lambda t, x: list(t.linalg.qr(x, "complete")), floats(4, 2), grad=False)
    same(lambda t, x: list(t.linalg.qr(x, "complete")), floats(4, 2))
    same(lambda t, x: list(t.linalg.qr(x, "complete")), floats(2, 4))
    same(lambda t, x: list(t.linalg.qr(x, "r")), floats(3, 2), grad=False)
    same(lambda t, x: t.linalg.qr(x, "other"), floats(3, 2))
