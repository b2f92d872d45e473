"""Linear algebra, as torch.linalg names it: on the last two dimensions, those before them being a batch.

For float32 and float64. A matrix that cannot be factorised (singular, not positive-definite, not finite where singular
values are asked for) raises LinAlgError on every device; to know that on a GPU, each factorisation waits for it. NaN in
other functions gives NaN.
"""

from __future__ import annotations

from typing import Any

from .functions.arguments import numpy_names, one_dim
from .functions.linalg import cross as _cross
from .functions.linalg import matmul, multi_dot
from .functions.linalg import powers as _powers
from .functions.matrix import (
    cholesky,
    det,
    eigh,
    eigvalsh,
    inv,
    lstsq,
    matrix_exp,
    matrix_power,
    matrix_rank,
    pinv,
    qr,
    slogdet,
    solve,
    solve_triangular,
    svd,
    svdvals,
)
from .functions.norms import cond, matrix_norm, norm, vecdot, vector_norm
from .ops.arrange import diagonal as _diagonal
from .ops.factorization import LinAlgError


@numpy_names
def cross(input: Any, other: Any, *, dim: int = -1) -> Any:
    """Cross products along a dimension of size 3, the last by default; other dimensions are broadcast."""
    return _cross(input, other, dim)


def diagonal(A: Any, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """A[i, i + offset] along two dimensions, the last ones by default; the diagonal becomes the last: a view."""
    a, b = one_dim("diagonal", A, dim1), one_dim("diagonal", A, dim2)
    if a == b:
        raise ValueError(f"[diagonal] dim1 and dim2 must differ, got {dim1} and {dim2} (A {tuple(A.shape)})")
    return _diagonal(A, offset=offset, axis1=a, axis2=b)


def vander(x: Any, *, N: int | None = None) -> Any:
    """1, x, x^2 ... x^(N - 1) in a new last dimension; N is x's last size by default."""
    return _powers(x, (x.shape[-1] if x.ndim else 0) if N is None else N, True)


__all__ = [
    "LinAlgError", "cholesky", "cond", "cross", "det", "diagonal", "eigh", "eigvalsh", "inv", "lstsq", "matmul",
    "matrix_exp", "matrix_norm", "matrix_power", "matrix_rank", "multi_dot", "norm", "pinv", "qr", "slogdet", "solve",
    "solve_triangular", "svd", "svdvals", "vander", "vecdot", "vector_norm",
]  # fmt: skip
