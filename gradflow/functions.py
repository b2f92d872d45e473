"""The public functions, under PyTorch's names: `dim` and `keepdim`, with NumPy's `axis` and `keepdims` accepted.

Elementwise functions are the primitives themselves; these here check and translate arguments.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from .autograd.primitive import BIND
from .backend.dtypes import as_dtype, float32, is_floating, is_half
from .ops import elementwise, linalg, reduce, shape
from .ops import softmax as softmax_ops
from .ops.index import getitem as _getitem
from .ops.index import parse

Dims = int | Sequence[int] | None


class Selected(NamedTuple):
    """What max and min along a dimension return."""

    values: Any
    indices: Any


def one_dim(op: str, x: Any, dim: Any) -> int:
    """A dimension argument counted from 0. IndexError where x has no such dimension."""
    if not isinstance(dim, int) or isinstance(dim, bool):
        raise TypeError(f"[{op}] dim must be an integer, got {dim!r}")
    if not -x.ndim <= dim < x.ndim:
        raise IndexError(f"[{op}] dim {dim} is out of range for x {tuple(x.shape)}, which has {x.ndim} dimensions")
    return dim % x.ndim


def many_dims(op: str, x: Any, dim: Dims) -> tuple[int, ...] | None:
    """Dimension arguments counted from 0, None for all (as PyTorch has it, () too). One named twice is an error."""
    if dim is None or (isinstance(dim, (tuple, list)) and not dim):
        return None
    dims = [one_dim(op, x, d) for d in dim] if isinstance(dim, (tuple, list)) else [one_dim(op, x, dim)]
    if len(set(dims)) != len(dims):
        raise ValueError(f"[{op}] dim {dim} names a dimension twice (x {tuple(x.shape)})")
    return tuple(dims)


def _either(op: str, first: Any, second: Any, default: Any, names: str) -> Any:
    """PyTorch's keyword or NumPy's, not both."""
    if second is None:
        return first
    if first is not default and first != default:
        raise TypeError(f"[{op}] give {names}, not both")
    return second


# -- reductions --------------------------------------------------------------------------------------------------------


def sum(
    x: Any, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None, axis: Dims = None, keepdims: Any = None
) -> Any:
    """Sum over dimensions, all by default. Integers and booleans are summed in int64."""
    dims = many_dims("sum", x, _either("sum", dim, axis, None, "dim or axis"))
    keep = bool(_either("sum", keepdim, keepdims, False, "keepdim or keepdims"))
    if dtype is not None:
        x = elementwise.astype(x, dtype=as_dtype(dtype))
    return reduce.sum(x, axis=dims, keepdims=keep)


def mean(
    x: Any, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None, axis: Dims = None, keepdims: Any = None
) -> Any:
    """Mean over dimensions, all by default: NaN over none."""
    dims = many_dims("mean", x, _either("mean", dim, axis, None, "dim or axis"))
    keep = bool(_either("mean", keepdim, keepdims, False, "keepdim or keepdims"))
    if dtype is not None:
        x = elementwise.astype(x, dtype=as_dtype(dtype))
    if is_half(x.dtype):  # their sums leave the range of 16 bits
        return elementwise.astype(mean(elementwise.astype(x, dtype=float32), dims, keep), dtype=x.dtype)
    if not is_floating(x.dtype):
        raise TypeError(f"[mean] needs a floating tensor, got {x.dtype}; pass dtype=gf.float32")
    count = math.prod([x.shape[d] for d in (range(x.ndim) if dims is None else dims)])
    return reduce.sum(x, axis=dims, keepdims=keep) / float(count)


def var(
    x: Any, dim: Dims = None, *, correction: float = 1, keepdim: bool = False, axis: Dims = None, keepdims: Any = None
) -> Any:
    """Variance over dimensions: sum((x - mean)^2) / (n - correction)."""
    dims = many_dims("var", x, _either("var", dim, axis, None, "dim or axis"))
    keep = bool(_either("var", keepdim, keepdims, False, "keepdim or keepdims"))
    if is_half(x.dtype):
        wide = elementwise.astype(x, dtype=float32)
        return elementwise.astype(var(wide, dims, correction=correction, keepdim=keep), dtype=x.dtype)
    count = math.prod([x.shape[d] for d in (range(x.ndim) if dims is None else dims)])
    d = x - mean(x, dims, True)
    return reduce.sum(d * d, axis=dims, keepdims=keep) / float(builtins_max(count - correction, 0))


def builtins_max(a: float, b: float) -> float:
    return a if a > b else b


def _extreme(op: str, along: Any, over: Any, pairwise: Any, x: Any, dim: Any, keep: bool) -> Any:
    if dim is None:
        if x.size_ == 0 if hasattr(x, "size_") else x.size == 0:
            raise ValueError(f"[{op}] of an empty tensor has no value (x {tuple(x.shape)})")
        return over(x, axis=None)
    if hasattr(dim, "dtype"):
        return pairwise(x, dim)
    d = one_dim(op, x, dim)
    if x.shape[d] == 0:
        raise ValueError(f"[{op}] over dim {dim} of size 0 has no value (x {tuple(x.shape)})")
    values, indices = along(x, axis=d)
    if keep:
        values, indices = unsqueeze(values, d), unsqueeze(indices, d)
    return Selected(values, indices)


def max(x: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: Any = None) -> Any:
    """max(x): the largest element, whose gradient equal ones share. max(x, dim): (values, indices) along a dimension.
    max(x, other): elementwise maximum."""
    chosen = _either("max", dim, axis, None, "dim or axis")
    keep = bool(_either("max", keepdim, keepdims, False, "keepdim or keepdims"))
    return _extreme("max", reduce.max, reduce.amax, elementwise.maximum, x, chosen, keep)


def min(x: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: Any = None) -> Any:
    """min(x): the smallest element, whose gradient equal ones share. min(x, dim): (values, indices) along a dimension.
    min(x, other): elementwise minimum."""
    chosen = _either("min", dim, axis, None, "dim or axis")
    keep = bool(_either("min", keepdim, keepdims, False, "keepdim or keepdims"))
    return _extreme("min", reduce.min, reduce.amin, elementwise.minimum, x, chosen, keep)


def amax(x: Any, dim: Dims = None, keepdim: bool = False) -> Any:
    """The largest element over dimensions; equal largest elements share the gradient."""
    return reduce.amax(x, axis=many_dims("amax", x, dim), keepdims=keepdim)


def amin(x: Any, dim: Dims = None, keepdim: bool = False) -> Any:
    """The smallest element over dimensions; equal smallest elements share the gradient."""
    return reduce.amin(x, axis=many_dims("amin", x, dim), keepdims=keepdim)


def argmax(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """Index of the largest element along a dimension, or of the flattened tensor."""
    if dim is None:
        return reduce.max(flatten(x), axis=0)[1]
    return max(x, dim, keepdim).indices


def softmax(x: Any, dim: int) -> Any:
    """exp(x) / sum(exp(x)) along a dimension."""
    return softmax_ops.softmax(x, axis=one_dim("softmax", x, dim))


def log_softmax(x: Any, dim: int) -> Any:
    """log(softmax(x)) along a dimension, without overflow."""
    return softmax_ops.log_softmax(x, axis=one_dim("log_softmax", x, dim))


# -- shapes ------------------------------------------------------------------------------------------------------------


def _sizes(op: str, given: tuple[Any, ...]) -> tuple[int, ...]:
    if len(given) == 1 and isinstance(given[0], (tuple, list)):
        given = tuple(given[0])
    for n in given:
        if not hasattr(n, "__index__"):
            raise TypeError(f"[{op}] sizes must be integers, got {n!r}")
    return tuple([n.__index__() for n in given])


def reshape(x: Any, *sizes: Any) -> Any:
    """The elements of x in another shape, of which one size may be -1; a view where the layout allows it."""
    target = _sizes("reshape", sizes)
    known, total = math.prod([n for n in target if n != -1]), math.prod(x.shape)
    wild = target.count(-1)
    fits = known == total if not wild else wild == 1 and known > 0 and total % known == 0
    if not fits or [n for n in target if n < -1]:
        raise ValueError(f"[reshape] x {tuple(x.shape)} has {total} elements and cannot take the shape {target}")
    return shape.reshape(x, shape=tuple([total // known if n == -1 else n for n in target]))


def flatten(x: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Dimensions start_dim to end_dim as one."""
    if x.ndim == 0:
        return shape.reshape(x, shape=(1,))
    start, end = one_dim("flatten", x, start_dim), one_dim("flatten", x, end_dim)
    if start > end:
        raise ValueError(f"[flatten] start_dim {start_dim} comes after end_dim {end_dim} (x {tuple(x.shape)})")
    joined = math.prod(x.shape[start : end + 1])
    return shape.reshape(x, shape=(*x.shape[:start], joined, *x.shape[end + 1 :]))


def permute(x: Any, *dims: Any) -> Any:
    """x with its dimensions in another order: a view."""
    order = _sizes("permute", dims)
    axes = many_dims("permute", x, order) or ()
    if len(axes) != x.ndim:
        raise ValueError(f"[permute] {order} does not name every dimension of x {tuple(x.shape)} once")
    return shape.transpose(x, axes=axes)


def transpose(x: Any, dim0: int, dim1: int) -> Any:
    """x with two dimensions exchanged: a view."""
    a, b = one_dim("transpose", x, dim0), one_dim("transpose", x, dim1)
    axes = list(range(x.ndim))
    axes[a], axes[b] = b, a
    return shape.transpose(x, axes=tuple(axes))


def unsqueeze(x: Any, dim: int) -> Any:
    """x with a new dimension of size 1."""
    if not -x.ndim - 1 <= dim <= x.ndim:
        raise IndexError(f"[unsqueeze] dim {dim} is out of range for x {tuple(x.shape)}")
    d = dim % (x.ndim + 1)
    return shape.reshape(x, shape=(*x.shape[:d], 1, *x.shape[d:]))


def squeeze(x: Any, dim: Dims = None) -> Any:
    """x without its dimensions of size 1, or without those of `dim` that have size 1."""
    dims = range(x.ndim) if dim is None else many_dims("squeeze", x, dim) or ()
    return shape.reshape(x, shape=tuple([n for i, n in enumerate(x.shape) if n != 1 or i not in dims]))


def broadcast_to(x: Any, size: Sequence[int]) -> Any:
    """x repeated to a shape, as broadcasting does: a read-only view."""
    return expand(x, *size)


def expand(x: Any, *sizes: Any) -> Any:
    """x repeated along dimensions of size 1 and new leading ones; -1 keeps a size. A read-only view."""
    target = _sizes("expand", sizes)
    lead = len(target) - x.ndim
    full = tuple([x.shape[i - lead] if n == -1 and i >= lead else n for i, n in enumerate(target)])
    if lead < 0 or any(n not in (1, full[i + lead]) for i, n in enumerate(x.shape)) or -1 in full:
        raise ValueError(f"[expand] x {tuple(x.shape)} cannot be repeated to {target}")
    return shape.broadcast_to(x, shape=full)


def cat(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Tensors joined along a dimension they have; the other sizes must agree."""
    if not isinstance(tensors, (tuple, list)) or not tensors:
        raise ValueError("[cat] expects a non-empty list or tuple of tensors")
    first = tensors[0]
    d = one_dim("cat", first, dim)
    for i, t in enumerate(tensors):
        if t.ndim != first.ndim or any(
            a != b for k, (a, b) in enumerate(zip(t.shape, first.shape, strict=True)) if k != d
        ):
            raise ValueError(
                f"[cat] tensor 0 {tuple(first.shape)} and tensor {i} {tuple(t.shape)} may differ in dim {dim} only"
            )
    return shape.cat(*tensors, axis=d)


def stack(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Tensors of one shape joined along a new dimension."""
    if not isinstance(tensors, (tuple, list)) or not tensors:
        raise ValueError("[stack] expects a non-empty list or tuple of tensors")
    for i, t in enumerate(tensors):
        if tuple(t.shape) != tuple(tensors[0].shape):
            raise ValueError(
                f"[stack] tensor {i} {tuple(t.shape)} has not the shape {tuple(tensors[0].shape)} of tensor 0"
            )
    return cat([unsqueeze(t, dim) for t in tensors], dim)


def split(x: Any, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Any, ...]:
    """x cut along a dimension: into pieces of a size (the last may be smaller), or into pieces of the sizes given."""
    d = one_dim("split", x, dim)
    n = x.shape[d]
    if isinstance(split_size_or_sections, int):
        step = split_size_or_sections
        if step <= 0:
            raise ValueError(f"[split] the size of a piece must be positive, got {step}")
        sizes = [step] * (n // step) + ([n % step] if n % step else []) or [0]
    else:
        sizes = list(split_size_or_sections)
        total = 0
        for size in sizes:
            total += size
        if total != n or any(size < 0 for size in sizes):
            raise ValueError(f"[split] sizes {sizes} do not add up to dim {dim} of x {tuple(x.shape)}")
    return shape.split(x, sizes=tuple(sizes), axis=d)


def getitem(x: Any, index: Any) -> Any:
    """x[index], with NumPy's rules for slices, None, ellipsis, integers, and integer and boolean arrays."""
    spec, arrays = parse(x, index)
    return _getitem(x, *arrays, spec=spec)


def matmul(a: Any, b: Any) -> Any:
    """a @ b in all ranks."""
    return linalg.product(BIND, a, b)


def clone(x: Any) -> Any:
    """A differentiable copy in memory of its own."""
    return elementwise.copy(x)
