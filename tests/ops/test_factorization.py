"""What cannot be factorised raises, on a GPU too; gradients of singular matrices; refusals and their wording."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradflow as gf
from gradflow.functions import linalg

L = gf.linalg
SINGULAR = np.stack([np.eye(2), np.ones((2, 2)), np.zeros((2, 2))])[:, None]
NAN = np.full((2, 2), np.nan)

both_devices = pytest.mark.parametrize("device", ["cpu", "cuda:1"])


def test_the_error_is_numpys_and_pytorchs() -> None:
    assert issubclass(L.LinAlgError, np.linalg.LinAlgError)
    assert issubclass(L.LinAlgError, RuntimeError)


@both_devices
@pytest.mark.parametrize(
    ("call", "array", "message"),
    [
        (L.inv, SINGULAR, r"\[inv\] matrix 1, 0 of the batch is singular \(x \(3, 1, 2, 2\)\)"),
        (L.inv, SINGULAR[1, 0], r"\[inv\] the matrix is singular \(x \(2, 2\)\)"),
        (lambda x: L.solve(x, x), SINGULAR, r"\[solve\] matrix 1, 0 of the batch is singular \(x \(3, 1, 2, 2\)\)"),
        (lambda x: L.solve(x[1, 0], x), SINGULAR, r"\[solve\] the matrix is singular \(x \(2, 2\)\)"),
        (L.cholesky, -SINGULAR[:, 0], r"\[cholesky\] matrix 0 of the batch is not positive-definite"),
        (L.cholesky, NAN, r"\[cholesky\] the matrix is not positive-definite"),
        (L.cholesky, np.array([[1, 0], [np.nan, 1]]), r"\[cholesky\] the matrix is not positive-definite"),
        (L.svd, NAN, r"\[svd\] the matrix is not finite, or did not converge"),
        (L.svdvals, np.stack([np.eye(2), NAN]), r"\[svdvals\] matrix 1 of the batch is not finite"),
        (L.pinv, NAN, r"\[pinv\] the matrix is not finite"),
    ],
)
def test_failures_raise(
    device: str, call: Any, array: np.ndarray, message: str, fake_cuda: Callable[..., Any]
) -> None:  # fmt: skip
    with pytest.raises(L.LinAlgError, match=message):
        call(gf.tensor(array, device=device))


@both_devices
def test_what_does_not_fail_gives_what_it_should(device: str, fake_cuda: Callable[..., Any]) -> None:
    nan, singular = gf.tensor(NAN, device=device), gf.tensor(SINGULAR[:, 0], device=device)
    assert np.isnan(L.inv(nan).cpu().numpy()).all()
    assert np.isnan(L.det(nan).item())
    assert L.det(singular).tolist() == [1.0, 0.0, 0.0]
    assert [v.tolist() for v in L.slogdet(singular)] == [[1.0, 0.0, 0.0], [0.0, -np.inf, -np.inf]]
    assert L.cond(singular, 1).tolist() == [1.0, np.inf, np.inf]
    assert L.matrix_rank(singular).tolist() == [2, 1, 0]
    zero = gf.tensor([[1.0, 2.0], [0.0, 0.0]], device=device)
    assert L.solve_triangular(zero, zero * 0 + 1, upper=True).tolist() == [[-np.inf] * 2, [np.inf] * 2]


@both_devices
@pytest.mark.parametrize("shape", [(0, 0), (0, 2, 2), (3, 0, 0)])
def test_empty_matrices(device: str, shape: tuple[int, ...], fake_cuda: Callable[..., Any]) -> None:
    x = gf.zeros(*shape, device=device, requires_grad=True)
    lead = shape[:-2]
    for call in (L.inv, L.cholesky, L.pinv, L.matrix_exp, lambda x: L.solve(x, x), lambda x: L.eigh(x)[1],
        lambda x: L.solve_triangular(x, x, upper=True), lambda x: L.svd(x)[0], lambda x: L.qr(x).Q):  # fmt: skip
        y = call(x)
        assert tuple(y.shape) == shape
        assert tuple(gf.autograd.grad(y.sum(), x)[0].shape) == shape
    assert tuple(L.det(x).shape) == tuple(L.slogdet(x)[1].shape) == lead
    assert tuple(L.solve(x, gf.zeros(*shape[:-1], 5, device=device)).shape) == (*shape[:-1], 5)


@both_devices
def test_complete_qr(device: str, fake_cuda: Callable[..., Any]) -> None:
    x = gf.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]], device=device, requires_grad=True)
    q, r = L.qr(x, "complete")
    assert np.allclose((q @ r).detach().cpu().numpy(), x.detach().cpu().numpy(), atol=1e-5)
    assert np.allclose((q.mT @ q).detach().cpu().numpy(), np.eye(3), atol=1e-5)
    with pytest.raises(NotImplementedError, match=r"\[qr\] mode='complete' has no gradient for more rows than columns"):
        r.sum().backward()
    q, r = L.qr(gf.zeros(3, 0, device=device), "complete")
    assert (q.tolist(), tuple(r.shape)) == (np.eye(3).tolist(), (3, 0))
    assert [tuple(v.shape) for v in L.qr(gf.zeros(0, 2, device=device))] == [(0, 0), (0, 2)]


@both_devices
@pytest.mark.parametrize("rank", [1, 2])
def test_the_gradient_of_det_is_that_of_singular_matrices_too(
    device: str, rank: int, fake_cuda: Callable[..., Any]
) -> None:  # fmt: skip
    rng = np.random.default_rng(rank)
    singular = rng.standard_normal((3, rank)) @ rng.standard_normal((rank, 3))
    singular[0] = singular[1] * 2 if rank == 1 else 0
    a = np.stack([singular, rng.standard_normal((3, 3))])
    x = gf.tensor(a, device=device, requires_grad=True)
    found = gf.autograd.grad(L.det(x).sum(), x)[0].cpu().numpy()
    minors = [[[np.linalg.det(np.delete(np.delete(m, i, 0), j, 1)) * (-1) ** (i + j) for j in range(3)]
        for i in range(3)] for m in a]  # fmt: skip
    assert np.allclose(found, minors, atol=1e-12)


def test_the_gradient_of_det_beside_nan() -> None:
    x = gf.tensor(np.stack([NAN, SINGULAR[1, 0]]), requires_grad=True)
    found = gf.autograd.grad(L.det(x).sum(), x)[0].numpy()
    assert np.isnan(found[0]).all()
    assert np.allclose(found[1], [[1, -1], [-1, 1]])


def test_the_gradient_of_matrix_exp_is_exact_whatever_is_multiplied() -> None:
    x = gf.tensor([[1.0, -2.0], [0.5, 0.3]], dtype=gf.float64, requires_grad=True)
    large, small = (gf.autograd.grad((L.matrix_exp(x) * k).sum(), x)[0].numpy() for k in (2.0**60, 1.0))
    assert np.allclose(large / 2.0**60, small, rtol=1e-12)


def test_repeated_singular_values_have_gradients_where_they_should() -> None:
    eye = gf.eye(3, dtype=gf.float64, requires_grad=True)
    for call in (L.pinv, L.det, L.matrix_exp, lambda x: L.lstsq(x, gf.ones(3, 1, dtype=gf.float64)).solution):
        assert gf.autograd.gradcheck(call, eye, order=2)


def test_the_order_of_a_chain() -> None:
    cut = linalg._orders([30, 35, 15, 5, 10, 20, 25])  # the example of Cormen et al., 15.2
    assert (cut[0, 5], cut[0, 2], cut[3, 5]) == (2, 0, 4)


def test_distances_of_a_product_are_not_nan() -> None:
    x = gf.tensor(np.random.default_rng(0).standard_normal((30, 3)) + 1e3, dtype=gf.float32)
    assert not gf.isnan(gf.cdist(x, x)).any()


def test_least_squares_under_vmap() -> None:
    a, b = gf.randn(3, 4, 2, dtype=gf.float64), gf.randn(3, 4, 1, dtype=gf.float64)
    found = gf.func.vmap(lambda a, b: tuple(L.lstsq(a, b)))(a, b)
    expected = L.lstsq(a, b)
    for y, e in zip(found, expected, strict=True):
        assert np.allclose(y.numpy(), e.numpy())


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: L.inv(gf.zeros(2, 3)), ValueError, r"\[inv\] A must have square matrices \(A \(2, 3\) float32\)"),
        (lambda: L.det(gf.zeros(3)), ValueError, r"\[det\] A must have two dimensions or more \(A \(3,\) float32\)"),
        (lambda: L.inv([[1.0]]), TypeError, r"\[inv\] A must be a tensor, got list"),
        (lambda: gf.mm(gf.eye(2), [[1.0]]), TypeError, r"\[mm\] mat2 must be a tensor, got list"),
        (lambda: L.eigh(gf.zeros(2, 2).half()), TypeError, r"\[eigh\] is for float32 and float64; cast A with .to"),
        (lambda: L.eigh(gf.zeros(2, 2), "M"), ValueError, r"\[eigh\] UPLO must be 'L' or 'U', got 'M'"),
        (lambda: L.solve(gf.eye(2), gf.zeros(3, 2)), ValueError,
            r"\[solve\] B must have 2 rows \(A \(2, 2\), B \(3, 2\)"),
        (lambda: L.pinv(gf.eye(2), rtol=gf.ones(2)), NotImplementedError, r"\[pinv\] takes one atol and one rtol"),
        (lambda: gf.mm(gf.eye(2), gf.zeros(2, 2, 2)), ValueError,
            r"\[mm\] mat2 must be a matrix \(input \(2, 2\), mat2"),
        (lambda: gf.bmm(gf.zeros(2, 2, 3), gf.zeros(2, 2, 3)), ValueError, r"\[bmm\] the sizes of the operands do not"),
        (lambda: gf.addmm(gf.zeros(3), gf.eye(2), gf.eye(2)), ValueError,
            r"\[addmm\] input \(3,\) cannot be repeated to"),
        (lambda: gf.einsum("ij,jk->ik", gf.eye(2), gf.eye(3)), ValueError,
            r"\[einsum\] dimension 'j' of 'ij,jk->ik' has the sizes 2 and 3 \(\(2, 2\), \(3, 3\)\)"),
        (lambda: gf.einsum("ij->ik", gf.eye(2)), ValueError, r"\[einsum\] 'k' is in no operand \('ij->ik'\)"),
        (lambda: gf.einsum("ij,jk", gf.eye(2)), ValueError, r"\[einsum\] 'ij,jk' is for 2 operands, got 1"),
        (lambda: gf.einsum("ijk", gf.eye(2)), ValueError,
            r"\[einsum\] 'ijk' in 'ijk' does not fit operand 0, which has 2"),
        (lambda: gf.cdist(gf.eye(2), gf.eye(3)), ValueError, r"\[cdist\] x1 and x2 must have rows of the same size"),
        (lambda: L.matrix_norm(gf.eye(2), 3), ValueError,
            r"\[matrix_norm\] ord must be 'fro', 'nuc', 1, -1, 2, -2, inf"),
    ],
)  # fmt: skip
def test_refusals(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_three_operands_are_multiplied_in_the_cheaper_order() -> None:
    sizes: list[int] = []
    a, b, c = gf.randn(50, 2), gf.randn(2, 60), gf.randn(60, 1)
    for x in (a, b, c):
        x.requires_grad_()
    y = gf.einsum("ij,jk,kl->il", a, b, c)
    node: Any = y.edge
    while node is not None:
        sizes.append(max(int(np.prod(s)) for s in node.shapes))
        node = next((e for e in node.edges if hasattr(e, "edges")), None)
    assert max(sizes) <= 120  # not a @ b, of 3000 elements
