"""Linear algebra under the names PyTorch had before torch.linalg."""

from __future__ import annotations

from typing import Any

from . import matrix


def inverse(input: Any) -> Any:
    """`linalg.inv`: the inverse of square matrices."""
    return matrix.inv(input)


def pinverse(input: Any, rcond: float = 1e-15) -> Any:
    """`linalg.pinv`: the pseudoinverse; singular values up to rcond * largest count as 0."""
    return matrix.pinv(input, rcond)


def cholesky(input: Any, upper: bool = False) -> Any:
    """`linalg.cholesky`: the lower triangular L with input = L L', or U with input = U' U."""
    return matrix.cholesky(input, upper=upper)


def qr(input: Any, some: bool = True) -> matrix.QR:
    """`linalg.qr` in its mode "reduced", or else "complete"."""
    return matrix.qr(input, "reduced" if some else "complete")


def svd(input: Any, some: bool = True, compute_uv: bool = True) -> tuple[Any, Any, Any]:
    """(U, S, V) with input = U diag(S) V'; `linalg.svd` gives V' instead."""
    if not compute_uv:
        raise NotImplementedError("[svd] compute_uv=False: use gf.linalg.svdvals")
    U, S, Vh = matrix.svd(input, full_matrices=not some)
    return U, S, matrix.mT(Vh)


__all__ = ["cholesky", "inverse", "pinverse", "qr", "svd"]
