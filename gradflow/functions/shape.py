"""Shapes: the elements of tensors in other arrangements, as views wherever the layout allows it."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..ops import shape as ops
from .arguments import Dims, many_dims, one_dim, sizes_of


def loose_dim(op: str, x: Any, dim: Any) -> int:
    """`one_dim`, for which a 0-d tensor has one dimension, as in PyTorch."""
    return 0 if x.ndim == 0 and dim in (0, -1) else one_dim(op, x, dim)


def _filled_in(op: str, x: Any, total: int, target: tuple[int, ...]) -> tuple[int, ...]:
    """`target`, a shape for `total` elements of x, with -1 replaced."""
    known, wild = math.prod([n for n in target if n != -1]), target.count(-1)
    fits = known == total if not wild else wild == 1 and known > 0 and total % known == 0
    if not fits or [n for n in target if n < -1]:
        raise ValueError(f"[{op}] x {tuple(x.shape)} has {total} elements and cannot take the shape {target}")
    return tuple([total // known if n == -1 else n for n in target])


def integer(op: str, name: str, value: Any) -> int:
    """An argument that must be an integer, or a 0-d tensor of one."""
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"[{op}] {name} must be an integer, got {value!r}") from None


def integers(op: str, listed: tuple[Any, ...], named: Any) -> tuple[int, ...]:
    """Integers given one by one, as a list, or by name."""
    return sizes_of(op, listed if named is None else (*listed, named))


def reshape(x: Any, *sizes: Any, shape: Any = None) -> Any:
    """The elements of x in another shape, of which one size may be -1; a view where the layout allows it."""
    return ops.reshape(x, shape=_filled_in("reshape", x, math.prod(x.shape), integers("reshape", sizes, shape)))


def reshape_as(x: Any, other: Any) -> Any:
    """x in other's shape."""
    return reshape(x, tuple(other.shape))


def flatten(x: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Dimensions start_dim to end_dim as one."""
    start, end = loose_dim("flatten", x, start_dim), loose_dim("flatten", x, end_dim)
    if start > end:
        raise ValueError(f"[flatten] start_dim {start_dim} comes after end_dim {end_dim} (x {tuple(x.shape)})")
    joined = math.prod(x.shape[start : end + 1])
    return ops.reshape(x, shape=(*x.shape[:start], joined, *x.shape[end + 1 :]))


def ravel(x: Any) -> Any:
    """All elements in one dimension."""
    return ops.reshape(x, shape=(math.prod(x.shape),))


def unflatten(x: Any, dim: int, sizes: Any) -> Any:
    """A dimension as several, of the given sizes, of which one may be -1."""
    d, sizes = one_dim("unflatten", x, dim), sizes_of("unflatten", (sizes,))
    if not sizes:
        raise ValueError("[unflatten] sizes must not be empty")
    return ops.reshape(x, shape=(*x.shape[:d], *_filled_in("unflatten", x, x.shape[d], sizes), *x.shape[d + 1 :]))


# -- dimensions in another order ---------------------------------------------------------------------------------------


def permute(x: Any, *order: Any, dims: Any = None) -> Any:
    """x with its dimensions in another order: a view."""
    order = integers("permute", order, dims)
    axes = many_dims("permute", x, order) or ()
    if len(axes) != x.ndim:
        raise ValueError(f"[permute] {order} does not name every dimension of x {tuple(x.shape)} once")
    return ops.transpose(x, axes=axes)


def transpose(x: Any, dim0: int, dim1: int) -> Any:
    """x with two dimensions exchanged: a view."""
    a, b = loose_dim("transpose", x, dim0), loose_dim("transpose", x, dim1)
    axes = list(range(x.ndim))
    if axes:
        axes[a], axes[b] = b, a
    return ops.transpose(x, axes=tuple(axes))


swapaxes = swapdims = transpose


def movedim(x: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Any:
    """x with the dimensions `source` at the places `destination`, the others in their order: a view."""
    old = [loose_dim("movedim", x, d) for d in sizes_of("movedim", (source,))]
    new = [loose_dim("movedim", x, d) for d in sizes_of("movedim", (destination,))]
    if not len(old) == len(new) == len(set(old)) == len(set(new)):
        raise ValueError(
            f"[movedim] needs as many places as dimensions, each named once, got {source} to {destination}"
        )
    order = [d for d in range(x.ndim) if d not in old]
    for place, d in sorted(zip(new, old, strict=True)):
        order.insert(place, d)
    return ops.transpose(x, axes=tuple(order[: x.ndim]))


moveaxis = movedim


def t(x: Any) -> Any:
    """A matrix transposed; what has fewer dimensions as it is."""
    if x.ndim > 2:
        raise ValueError(f"[t] needs two dimensions at most, got x {tuple(x.shape)}; use transpose() or permute()")
    return ops.transpose(x, axes=tuple(reversed(range(x.ndim))))


def adjoint(x: Any) -> Any:
    """The last two dimensions exchanged (and conjugated, if there were complex numbers)."""
    if x.ndim < 2:
        raise ValueError(f"[adjoint] needs two dimensions or more, got x {tuple(x.shape)}")
    return transpose(x, -2, -1)


# -- dimensions of size 1 ----------------------------------------------------------------------------------------------


def unsqueeze(x: Any, dim: int) -> Any:
    """x with a new dimension of size 1."""
    if not -x.ndim - 1 <= integer("unsqueeze", "dim", dim) <= x.ndim:
        raise IndexError(f"[unsqueeze] dim {dim} is out of range for x {tuple(x.shape)}")
    d = dim % (x.ndim + 1)
    return ops.reshape(x, shape=(*x.shape[:d], 1, *x.shape[d:]))


def squeeze(x: Any, dim: Dims = None) -> Any:
    """x without its dimensions of size 1, or without those of `dim` that have size 1."""
    if dim is None:
        dims: Sequence[int] = range(x.ndim)
    else:
        dims = [loose_dim("squeeze", x, d) for d in sizes_of("squeeze", (dim,))]
        if len(set(dims)) != len(dims):
            raise ValueError(f"[squeeze] dim {dim} names a dimension twice (x {tuple(x.shape)})")
    return ops.reshape(x, shape=tuple([n for i, n in enumerate(x.shape) if n != 1 or i not in dims]))


def _each(one: Any, tensors: tuple[Any, ...]) -> Any:
    """`one` of a tensor; of several, or of a list, a tuple of results."""
    if len(tensors) == 1 and not isinstance(tensors[0], (tuple, list)):
        return one(tensors[0])
    return tuple([one(x) for x in (tensors[0] if len(tensors) == 1 else tensors)])


def atleast_1d(*tensors: Any) -> Any:
    """Tensors of one dimension or more; a 0-d one gets it."""
    return _each(lambda x: x if x.ndim else reshape(x, 1), tensors)


def atleast_2d(*tensors: Any) -> Any:
    """Tensors of two dimensions or more; missing ones come first."""
    return _each(lambda x: x if x.ndim > 1 else ops.reshape(x, shape=(1, *(x.shape or (1,)))), tensors)


def atleast_3d(*tensors: Any) -> Any:
    """Tensors of three dimensions or more: (n,) becomes (1, n, 1), and (n, m) becomes (n, m, 1)."""
    return _each(lambda x: x if x.ndim > 2 else unsqueeze(atleast_2d(x), -1), tensors)


# -- broadcasting ------------------------------------------------------------------------------------------------------


def broadcast_to(x: Any, size: int | Sequence[int]) -> Any:
    """x repeated to a shape, as broadcasting does: a read-only view."""
    return expand(x, size)


def expand(x: Any, *sizes: Any, size: Any = None) -> Any:
    """x repeated along dimensions of size 1 and new leading ones; -1 keeps a size. A read-only view."""
    target = integers("expand", sizes, size)
    lead = len(target) - x.ndim
    full = tuple([x.shape[i - lead] if n == -1 and i >= lead else n for i, n in enumerate(target)])
    if lead < 0 or any(n not in (1, full[i + lead]) for i, n in enumerate(x.shape)) or any(n < 0 for n in full):
        raise ValueError(f"[expand] x {tuple(x.shape)} cannot be repeated to {target}")
    return ops.broadcast_to(x, shape=full)


def expand_as(x: Any, other: Any) -> Any:
    """x repeated to other's shape: a read-only view."""
    return expand(x, tuple(other.shape))


def broadcast_shapes(*shapes: Any) -> tuple[int, ...]:
    """The shape that operands of these shapes are broadcast to."""
    given = [(s,) if isinstance(s, int) else tuple(s) for s in shapes]
    if any(n < 0 for s in given for n in s):
        raise ValueError(f"[broadcast_shapes] sizes must not be negative, got {shapes}")
    try:
        return np.broadcast_shapes(*given)
    except ValueError:
        raise ValueError(f"[broadcast_shapes] {', '.join(map(str, given))} do not fit each other") from None


def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """Tensors repeated to the shape they have in common: read-only views."""
    given = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else tensors
    shape = broadcast_shapes(*[x.shape for x in given])
    return tuple([ops.broadcast_to(x, shape=shape) for x in given])


__all__ = [
    "adjoint", "atleast_1d", "atleast_2d", "atleast_3d", "broadcast_shapes", "broadcast_tensors", "broadcast_to",
    "expand", "flatten", "moveaxis", "movedim", "permute", "ravel", "reshape", "squeeze", "swapaxes", "swapdims", "t",
    "transpose", "unflatten", "unsqueeze",
]  # fmt: skip
