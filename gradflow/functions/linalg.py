"""Products of vectors and matrices."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

from ..autograd.primitive import BIND
from ..backend.dtypes import int64, is_floating
from ..creation import zeros
from ..ops import elementwise, linalg, reduce, shape
from ..ops.arrange import diagonal
from .arguments import check_tensors, one_dim
from .contraction import einsum, tensordot

RANKS = ("a number", "a vector", "a matrix", "a batch of matrices (3-D)")


def _ranks(op: str, **operands: tuple[Any, int]) -> None:
    """Refuse operands that have not the number of dimensions an op is for."""
    check_tensors(op, **{name: x for name, (x, _) in operands.items()})
    for name, (x, rank) in operands.items():
        if x.ndim != rank:
            raise ValueError(f"[{op}] {name} must be {RANKS[rank]} ({_shapes(operands)})")


def _shapes(operands: dict[str, tuple[Any, int]]) -> str:
    return ", ".join([f"{name} {tuple(x.shape)}" for name, (x, _) in operands.items()])


def _inner(op: str, **operands: tuple[Any, int]) -> None:
    """Refuse two operands of other ranks, or whose product is not defined."""
    _ranks(op, **operands)
    (a, _), (b, rank) = operands.values()
    if a.shape[-1] != b.shape[0 if rank == 1 else -2] or (rank == 3 and a.shape[0] != b.shape[0]):
        raise ValueError(f"[{op}] the sizes of the operands do not fit ({_shapes(operands)})")


def matmul(a: Any, b: Any) -> Any:
    """a @ b in all ranks."""
    check_tensors("matmul", a=a, b=b)
    return linalg.product(BIND, a, b)


def mm(input: Any, mat2: Any) -> Any:
    """The product of two matrices, (n, k) and (k, m); `matmul` takes other ranks too."""
    _inner("mm", input=(input, 2), mat2=(mat2, 2))
    return linalg.matmul(input, mat2)


def bmm(input: Any, mat2: Any) -> Any:
    """Products of two batches of matrices, (b, n, k) and (b, k, m); `matmul` takes other ranks too."""
    _inner("bmm", input=(input, 3), mat2=(mat2, 3))
    return linalg.matmul(input, mat2)


def mv(input: Any, vec: Any) -> Any:
    """The product of a matrix (n, k) and a vector (k)."""
    _inner("mv", input=(input, 2), vec=(vec, 1))
    return matmul(input, vec)


def dot(input: Any, tensor: Any) -> Any:
    """The sum of the products of two vectors' elements."""
    _inner("dot", input=(input, 1), tensor=(tensor, 1))
    return matmul(input, tensor)


def vdot(input: Any, other: Any) -> Any:
    """`dot`, of real vectors."""
    _inner("vdot", input=(input, 1), other=(other, 1))
    return matmul(input, other)


def inner(input: Any, other: Any) -> Any:
    """Sums of products over the last dimensions of both; the product, where one has none."""
    check_tensors("inner", input=input, other=other)
    if not input.ndim or not other.ndim:
        return elementwise.multiply(input, other)
    if input.shape[-1] != other.shape[-1]:
        raise ValueError(
            f"[inner] the last dimensions must agree (input {tuple(input.shape)}, other {tuple(other.shape)})"
        )
    return tensordot(input, other, ([-1], [-1]))


def outer(input: Any, vec2: Any) -> Any:
    """The matrix of all products of two vectors' elements."""
    _ranks("outer", input=(input, 1), vec2=(vec2, 1))
    return elementwise.multiply(shape.reshape(input, shape=(*input.shape, 1)), vec2)


ger = outer


def _added(op: str, input: Any, product: Any, beta: Any, alpha: Any) -> Any:
    """beta * input + alpha * product; what is taken 0 times counts as 0, whatever it holds."""
    size = tuple(product.shape)
    fits = input.ndim <= len(size) and all(
        m in (1, n) for m, n in zip(reversed(input.shape), reversed(size), strict=False)
    )
    if not fits:
        raise ValueError(f"[{op}] input {tuple(input.shape)} cannot be repeated to the product's shape {size}")
    whole = not is_floating(input.dtype) and not is_floating(product.dtype)
    if whole and any(isinstance(k, float) for k in (beta, alpha)):
        raise TypeError(f"[{op}] beta and alpha must be integers for integers, got {beta} and {alpha}")
    if not hasattr(alpha, "dtype") and alpha != 1:
        product = product * alpha if alpha else elementwise.zeros_like(product)
    if not hasattr(beta, "dtype") and beta == 0:
        return product
    return product + (input if not hasattr(beta, "dtype") and beta == 1 else input * beta)


def addmm(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta * input + alpha * mat1 @ mat2, for matrices."""
    _inner("addmm", mat1=(mat1, 2), mat2=(mat2, 2))
    return _added("addmm", input, linalg.matmul(mat1, mat2), beta, alpha)


def addmv(input: Any, mat: Any, vec: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta * input + alpha * mat @ vec, for a matrix and a vector."""
    _inner("addmv", mat=(mat, 2), vec=(vec, 1))
    return _added("addmv", input, matmul(mat, vec), beta, alpha)


def addr(input: Any, vec1: Any, vec2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta * input + alpha * outer(vec1, vec2)."""
    _ranks("addr", vec1=(vec1, 1), vec2=(vec2, 1))
    return _added("addr", input, outer(vec1, vec2), beta, alpha)


def baddbmm(input: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta * input + alpha * batch1 @ batch2, for batches of matrices."""
    _inner("baddbmm", batch1=(batch1, 3), batch2=(batch2, 3))
    return _added("baddbmm", input, linalg.matmul(batch1, batch2), beta, alpha)


def addbmm(input: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta * input + alpha * (the sum of the products of two batches of matrices)."""
    _inner("addbmm", batch1=(batch1, 3), batch2=(batch2, 3))
    return _added("addbmm", input, einsum("bnk,bkm->nm", batch1, batch2), beta, alpha)


def kron(input: Any, other: Any) -> Any:
    """Kronecker's product: each element of input times all of other, in blocks."""
    check_tensors("kron", input=input, other=other)
    rank = builtins.max(input.ndim, other.ndim)
    a = (1,) * (rank - input.ndim) + tuple(input.shape)
    b = (1,) * (rank - other.ndim) + tuple(other.shape)
    left = shape.reshape(input, shape=tuple([n for size in a for n in (size, 1)]))
    right = shape.reshape(other, shape=tuple([n for size in b for n in (1, size)]))
    return shape.reshape(left * right, shape=tuple([n * m for n, m in zip(a, b, strict=True)]))


def trace(input: Any) -> Any:
    """The sum of a matrix's diagonal."""
    _ranks("trace", input=(input, 2))
    return reduce.sum(diagonal(input, offset=0, axis1=0, axis2=1))


def cross(input: Any, other: Any, dim: int | None = None) -> Any:
    """Cross products along a dimension of size 3, by default the first one; other dimensions are broadcast."""
    check_tensors("cross", input=input, other=other)
    if input.ndim != other.ndim:
        raise ValueError(
            f"[cross] both need the same number of dimensions (input {tuple(input.shape)}, other {tuple(other.shape)})"
        )
    if dim is None:
        dim = next((i for i, n in enumerate(input.shape) if n == 3), None)
        if dim is None:
            raise ValueError(f"[cross] input {tuple(input.shape)} has no dimension of size 3")
    d = one_dim("cross", input, dim)
    if input.shape[d] != 3 or other.shape[d] != 3:
        raise ValueError(
            f"[cross] dim {dim} must be of size 3 (input {tuple(input.shape)}, other {tuple(other.shape)})"
        )
    a, b = shape.split(input, sizes=(1, 1, 1), axis=d), shape.split(other, sizes=(1, 1, 1), axis=d)
    parts = [a[i - 2] * b[i - 1] - a[i - 1] * b[i - 2] for i in range(3)]
    return shape.cat(*parts, axis=d)


def multi_dot(tensors: Sequence[Any]) -> Any:
    """The product of two matrices or more, in the order that needs the fewest multiplications; the first and the last
    may be vectors."""
    if not isinstance(tensors, (tuple, list)) or len(tensors) < 2:
        raise ValueError("[multi_dot] expects a list or tuple of at least two tensors")
    for i, x in enumerate(tensors):
        if x.ndim != 2 and not (x.ndim == 1 and i in (0, len(tensors) - 1)):
            raise ValueError(f"[multi_dot] tensor {i} {tuple(x.shape)} must be a matrix; the first and last may be 1-D")
    first, last = tensors[0].ndim == 1, tensors[-1].ndim == 1
    xs = list(tensors)
    if first:
        xs[0] = shape.reshape(xs[0], shape=(1, *xs[0].shape))
    if last:
        xs[-1] = shape.reshape(xs[-1], shape=(*xs[-1].shape, 1))
    for i in range(1, len(xs)):
        if xs[i - 1].shape[1] != xs[i].shape[0]:
            raise ValueError(
                f"[multi_dot] tensors {i - 1} {tuple(xs[i - 1].shape)} and {i} {tuple(xs[i].shape)} do not fit"
            )
    y = _chain(xs, _orders([x.shape[0] for x in xs] + [xs[-1].shape[1]]), 0, len(xs) - 1)
    size = (() if first else tuple(y.shape[:1])) + (() if last else tuple(y.shape[1:]))
    return shape.reshape(y, shape=size) if first or last else y


def _orders(sizes: list[int]) -> dict[tuple[int, int], int]:
    """Where to part the product of matrices i to j (Cormen, Introduction to Algorithms, 15.2)."""
    count = len(sizes) - 1
    cost = {(i, i): 0 for i in range(count)}
    cut: dict[tuple[int, int], int] = {}
    for length in range(1, count):
        for i in range(count - length):
            j = i + length
            options = [(cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j)]
            cost[i, j], cut[i, j] = builtins.min(options)
    return cut


def _chain(xs: list[Any], cut: dict[tuple[int, int], int], i: int, j: int) -> Any:
    if i == j:
        return xs[i]
    k = cut[i, j]
    return linalg.matmul(_chain(xs, cut, i, k), _chain(xs, cut, k + 1, j))


def chain_matmul(*matrices: Any) -> Any:
    """The product of matrices, in the order that needs the fewest multiplications."""
    _ranks("chain_matmul", **{f"matrix {i}": (x, 2) for i, x in enumerate(matrices)})
    return matrices[0] if len(matrices) == 1 else multi_dot(matrices)


def block_diag(*tensors: Any) -> Any:
    """A matrix with those given along its diagonal, and zeros elsewhere; vectors count as rows."""
    blocks = []
    for i, x in enumerate(tensors):
        if x.ndim > 2:
            raise ValueError(f"[block_diag] tensor {i} {tuple(x.shape)} has more than two dimensions")
        blocks.append(shape.reshape(x, shape=(1,) * (2 - x.ndim) + tuple(x.shape)))
    if not blocks:
        return zeros(1, 0)
    width = builtins.sum([b.shape[1] for b in blocks])
    rows, before = [], 0
    for b in blocks:
        after = width - before - b.shape[1]
        parts = [_zeros(b, n) for n in (before, after)]
        rows.append(shape.cat(parts[0], b, parts[1], axis=1))
        before += b.shape[1]
    return shape.cat(*rows, axis=0)


def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """The powers x^(N - 1) ... x, 1 of a vector's elements in rows (1, x ... if `increasing`); N is x's size by
    default."""
    _ranks("vander", x=(x, 1))
    return powers(x, x.shape[0] if N is None else N, increasing)


def powers(x: Any, count: int, increasing: bool) -> Any:
    """`vander` along the last dimension."""
    if not x.ndim or not isinstance(count, int) or count < 0:
        shown = f"x {tuple(x.shape)}, N {count}"
        raise ValueError(f"[vander] x must have a dimension, and N be an integer from 0 on, got {shown}")
    base = shape.reshape(x, shape=(*x.shape, 1))
    base = base if is_floating(x.dtype) else elementwise.astype(base, dtype=int64)
    found = [elementwise.ones_like(base)]
    for _ in range(1, count):
        found.append(found[-1] * base)
    if not count:
        return BIND.getitem(found[0], spec=((None, None, None),) * x.ndim + ((0, 0, None),))
    return shape.cat(*(found if increasing else found[::-1]), axis=x.ndim)


def _zeros(like: Any, columns: int) -> Any:
    """Zeros in as many rows as a matrix has, in its dtype and on its device."""
    none = reduce.sum(BIND.getitem(like, spec=((None, None, None), (0, 0, None))), axis=1, keepdims=True)
    return shape.broadcast_to(elementwise.astype(none, dtype=like.dtype), shape=(like.shape[0], columns))


__all__ = [
    "addbmm", "addmm", "addmv", "addr", "baddbmm", "block_diag", "bmm", "chain_matmul", "cross", "dot", "ger", "inner",
    "kron", "matmul", "mm", "mv", "outer", "trace", "vander", "vdot",
]  # fmt: skip
