"""Matrix multiplication."""

from __future__ import annotations

import math
from typing import Any

from ..autograd.batch import elementwise
from ..autograd.define import primitive
from ..backend.dtypes import is_half
from ..backend.threads import one_blas_thread

SMALL = 1 << 24
"""Multiplications below which a second BLAS thread gains less than it may lose where cores are shared."""


def swap_last(xp: Any, x: Any) -> Any:
    """x with its last two axes exchanged."""
    n = x.ndim
    return xp.transpose(x, axes=(*range(n - 2), n - 1, n - 2))


@primitive(
    vjps=(
        lambda xp, g, b: xp.matmul(g, swap_last(xp, b)),
        lambda xp, g, a: xp.matmul(swap_last(xp, a), g),
    ),
    batch=elementwise,
    linear=(0, 1),
    promote="same",
)
def matmul(np: Any, a: Any, b: Any) -> Any:
    """a @ b for operands of two or more dimensions: (..., n, k) @ (..., k, m) -> (..., n, m), leading axes broadcast.

    16-bit floats are multiplied in float32: NumPy has no BLAS for them.
    """
    if is_half(a.dtype):
        return np.matmul(a.astype("f4"), b.astype("f4")).astype(a.dtype)
    if np.__name__ == "numpy" and a.size * b.shape[-1] < SMALL:
        with one_blas_thread:
            return np.matmul(a, b)
    return np.matmul(a, b)


def product(xp: Any, a: Any, b: Any) -> Any:
    """a @ b in all ranks, as NumPy and PyTorch define it.

    Raises ValueError where the inner sizes differ, or an operand is 0-d.
    """
    na, nb = a.ndim, b.ndim
    if not na or not nb or a.shape[-1] != b.shape[-2 if nb > 1 else 0]:
        raise ValueError(
            f"[matmul] the last axis of a must match the {'second last' if nb > 1 else 'only'} axis of b "
            f"(a {tuple(a.shape)}, b {tuple(b.shape)})"
        )
    if nb == 2 and na > 2:  # one product of two matrices rather than many small ones
        y = xp.matmul(xp.reshape(a, shape=(math.prod(a.shape[:-1]), a.shape[-1])), b)
        return xp.reshape(y, shape=(*a.shape[:-1], b.shape[-1]))
    left = xp.reshape(a, shape=(1, *a.shape)) if na == 1 else a
    right = xp.reshape(b, shape=(*b.shape, 1)) if nb == 1 else b
    y = xp.matmul(left, right)
    if na > 1 and nb > 1:
        return y
    shape = tuple(y.shape)
    return xp.reshape(y, shape=shape[:-2] + (() if na == 1 else shape[-2:-1]) + (() if nb == 1 else shape[-1:]))
