"""Shapes: the elements of tensors in other arrangements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..ops import shape
from .arguments import Dims, many_dims, one_dim, sizes_of


def reshape(x: Any, *sizes: Any) -> Any:
    """The elements of x in another shape, of which one size may be -1; a view where the layout allows it."""
    target = sizes_of("reshape", sizes)
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
    order = sizes_of("permute", dims)
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
    target = sizes_of("expand", sizes)
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


__all__ = [
    "broadcast_to", "cat", "expand", "flatten", "permute", "reshape", "split", "squeeze", "stack", "transpose",
    "unsqueeze",
]  # fmt: skip
