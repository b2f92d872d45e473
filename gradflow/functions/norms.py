"""Norms of vectors and matrices, and distances."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..backend.dtypes import as_dtype, float32, is_floating, is_half
from ..ops import determinant, elementwise, factorization, reduce, shape
from ..ops import linalg as products
from . import reduction
from .arguments import Dims, check_tensors, many_dims, numpy_names, one_dim
from .matrix import check_matrix, mT, svdvals


@numpy_names
def vector_norm(x: Any, ord: float = 2, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """(sum |x|^ord)^(1 / ord) over dimensions, all by default, with the gradient 0 where that is 0.

    The largest |x| for ord = inf, the smallest for -inf, how many are not 0 for 0.
    """
    if isinstance(ord, bool) or not isinstance(ord, (int, float)):
        raise TypeError(f"[vector_norm] ord must be a number, got {ord!r}")
    return reduction.norm(_floats("vector_norm", x, dtype), float(ord), dim, keepdim)


def _floats(op: str, x: Any, dtype: Any) -> Any:
    check_tensors(op, x=x)
    if not is_floating(x.dtype) or (dtype is not None and not is_floating(as_dtype(dtype))):
        what = f"got {x.dtype}" if dtype is None else f"got {x.dtype} and dtype={dtype}"
        raise TypeError(f"[{op}] needs floats, {what}; cast with .to(gf.float32)")
    return x if dtype is None else elementwise.astype(x, dtype=as_dtype(dtype))


@numpy_names
def matrix_norm(
    A: Any, ord: Any = "fro", dim: Sequence[int] = (-2, -1), keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """A norm of the matrices in two dimensions: "fro", the root of the sum of squares; "nuc", the sum of the singular
    values; 2 and -2, the largest and smallest of those; 1 and -1, of the columns' sums of |A|; inf and -inf, of the
    rows'."""
    A = _floats("matrix_norm", A, dtype)
    dims = many_dims("matrix_norm", A, dim) or ()
    if len(dims) != 2:
        raise ValueError(f"[matrix_norm] dim must name two dimensions, got {dim} (A {tuple(A.shape)})")
    if isinstance(ord, str) and ord == "fro":
        return vector_norm(A, 2, dims, keepdim)
    if ord not in ("nuc", 1, -1, 2, -2, math.inf, -math.inf):
        raise ValueError(f"[matrix_norm] ord must be 'fro', 'nuc', 1, -1, 2, -2, inf or -inf, got {ord!r}")
    rest = tuple([d for d in range(A.ndim) if d not in dims])
    x = shape.transpose(A, axes=(*rest, *dims))
    if ord in ("nuc", 2, -2):
        values = svdvals(x)
    elif is_half(x.dtype):
        values = elementwise.astype(x, dtype=float32)
    else:
        values = x
    if ord in (1, -1, math.inf, -math.inf):
        values = reduce.sum(elementwise.absolute(values), axis=x.ndim - (2 if abs(ord) == 1 else 1))
    last = values.ndim - 1
    empty = not values.shape[last]
    if empty and ord in (-1, -2, -math.inf):
        raise ValueError(f"[matrix_norm] with ord={ord} has no value for an empty matrix (A {tuple(A.shape)})")
    run = reduce.sum if ord == "nuc" or empty else reduce.amax if ord > 0 else reduce.amin
    y = run(values, axis=last)
    if is_half(A.dtype):
        y = elementwise.astype(y, dtype=A.dtype)
    return shape.reshape(y, shape=tuple([1 if d in dims else n for d, n in enumerate(A.shape)])) if keepdim else y


@numpy_names
def norm(A: Any, ord: Any = None, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """`vector_norm` of all elements or, with one dimension or a 1-D tensor, of order `ord` along it; `matrix_norm` of
    order `ord`, with two dimensions or a 2-D tensor."""
    if dim is not None and not isinstance(dim, int) and len(dim) not in (1, 2) and ord is not None:
        raise ValueError(f"[norm] dim must be one or two dimensions, got {dim}")
    if ord is None:
        return vector_norm(A, 2, dim, keepdim, dtype=dtype)
    if dim is None and A.ndim not in (1, 2):
        raise ValueError(f"[norm] with ord={ord!r} and no dim, A must be 1-D or 2-D (A {tuple(A.shape)})")
    pair = A.ndim == 2 if dim is None else not isinstance(dim, int) and len(dim) == 2
    if pair:
        return matrix_norm(A, ord, (-2, -1) if dim is None else dim, keepdim, dtype=dtype)  # type: ignore[arg-type]
    if isinstance(ord, str):
        raise ValueError(f"[norm] ord={ord!r} is for matrices; give two dimensions (A {tuple(A.shape)})")
    return vector_norm(A, ord, dim, keepdim, dtype=dtype)


def cond(A: Any, p: Any = None) -> Any:
    """norm(A, p) norm(inv(A), p), the condition number; by singular values for p None (as 2), 2 and -2. inf where A is
    singular."""
    check_matrix("cond", square=p not in (None, 2, -2), A=A)
    if p in (None, 2, -2):
        values = svdvals(A)
        last = values.ndim - 1
        if not values.shape[last]:
            return reduce.sum(values, axis=last)
        high, low = reduce.amax(values, axis=last), reduce.amin(values, axis=last)
        return low / high if p == -2 else high / low
    singular = elementwise.equal(determinant.slogdet(A)[0], 0)  # the determinant itself may underflow
    regular = elementwise.where(shape.reshape(singular, shape=(*singular.shape, 1, 1)), factorization.eye_like(A), A)
    return elementwise.where(singular, math.inf, matrix_norm(A, p) * matrix_norm(factorization.inv(regular), p))


@numpy_names
def vecdot(x: Any, y: Any, *, dim: int = -1) -> Any:
    """Sums of products along a dimension, the others broadcast."""
    product = x * y
    return reduce.sum(product, axis=one_dim("vecdot", product, dim))


MODES = ("use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist")


def cdist(x1: Any, x2: Any, p: float = 2.0, compute_mode: str = MODES[0]) -> Any:
    """The p-norms of the differences of all rows, (..., n, m) and (..., k, m) -> (..., n, k), leading dimensions
    broadcast. The gradient where a distance is 0 is 0.

    For p = 2 and more than 25 rows, |a|^2 + |b|^2 - 2 a b is computed by a matrix product, which is faster and less
    exact; compute_mode "donot_use_mm_for_euclid_dist" forbids it, "use_mm_for_euclid_dist" asks for it always.
    """
    if compute_mode not in MODES:
        raise ValueError(f"[cdist] compute_mode must be one of {', '.join(MODES)}, got {compute_mode!r}")
    check_tensors("cdist", x1=x1, x2=x2)
    what = f"(x1 {tuple(x1.shape)} {x1.dtype}, x2 {tuple(x2.shape)} {x2.dtype})"
    if x1.ndim < 2 or x2.ndim < 2 or x1.shape[-1] != x2.shape[-1]:
        raise ValueError(f"[cdist] x1 and x2 must have rows of the same size, in two dimensions or more {what}")
    if not is_floating(x1.dtype) or not is_floating(x2.dtype):
        raise TypeError(f"[cdist] needs floating tensors {what}")
    if not isinstance(p, (int, float)) or not p >= 0:
        raise ValueError(f"[cdist] p must be a number from 0 on, got {p!r}")
    many = x1.shape[-2] > 25 or x2.shape[-2] > 25
    if p == 2 and (compute_mode == MODES[1] or (many and compute_mode == MODES[0])):
        squares = reduce.sum(x1 * x1, axis=x1.ndim - 1, keepdims=True)
        others = reduce.sum(x2 * x2, axis=x2.ndim - 1, keepdims=True)
        total = squares + mT(others) - 2.0 * products.matmul(x1, mT(x2))
        return reduction.root(elementwise.where(elementwise.less(total, 0), 0.0, total))
    left = shape.reshape(x1, shape=(*x1.shape[:-1], 1, x1.shape[-1]))
    right = shape.reshape(x2, shape=(*x2.shape[:-2], 1, *x2.shape[-2:]))
    off = left - right
    if not off.shape[-1]:
        return reduce.sum(off, axis=off.ndim - 1)
    return vector_norm(off, float(p), -1)


__all__ = ["cdist"]
