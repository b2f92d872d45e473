"""Choosing elements: by index, by position along a dimension, by mask."""

from __future__ import annotations

import math
from typing import Any

from ..autograd.primitive import BIND
from ..autograd.tape import MAIN
from ..autograd.value import make
from ..ops import gather as ops
from ..ops import shape as shapes
from ..ops.index import ARRAY, check_range, has_flags, open_flags, parse
from ..ops.index import getitem as _getitem
from ..ops.index import nonzero as _nonzero
from .arguments import numpy_names, one_dim
from .joining import WHOLE, stack
from .shape import atleast_1d, broadcast_shapes, integer, loose_dim, ravel, reshape


def getitem(x: Any, index: Any) -> Any:
    """x[index], with NumPy's rules for slices, None, ellipsis, integers, and integer and boolean arrays."""
    if has_flags(index):
        shape, index = open_flags(x, index)
        x = shapes.reshape(x, shape=shape)
    spec, arrays = parse(x, index)
    return _getitem(x, *arrays, spec=spec)


@numpy_names
def select(x: Any, dim: int, index: int) -> Any:
    """Slice number `index` along a dimension, which leaves: a view."""
    d, index = one_dim("select", x, dim), integer("select", "index", index)
    if not -x.shape[d] <= index < x.shape[d]:
        raise IndexError(f"[select] index {index} is out of range for dim {d} of x {tuple(x.shape)}")
    return _getitem(x, spec=(*(WHOLE,) * d, index))


@numpy_names
def narrow(x: Any, dim: int, start: Any, length: int) -> Any:
    """`length` elements along a dimension, from `start` on (from the end, if negative): a view."""
    d = one_dim("narrow", x, dim)
    n, first, length = x.shape[d], integer("narrow", "start", start), integer("narrow", "length", length)
    first = first + n if -n <= first < 0 else first
    if length < 0 or not 0 <= first <= n - length:
        raise ValueError(f"[narrow] {length} elements from {start} on leave dim {d} of size {n} (x {tuple(x.shape)})")
    return _getitem(x, spec=(*(WHOLE,) * d, (first, first + length, None)))


# -- by position -------------------------------------------------------------------------------------------------------


def positions(op: str, index: Any) -> Any:
    """An index tensor as int64."""
    if not hasattr(index, "dtype") or index.dtype.kind not in "iu":
        got = getattr(index, "dtype", type(index).__name__)
        raise TypeError(f"[{op}] index must be a tensor of integers, got {got}")
    return index if index.dtype.itemsize == 8 and index.dtype.kind == "i" else BIND.astype(index, dtype="int64")


def vector(op: str, x: Any, d: int, index: Any) -> Any:
    """An index tensor of one dimension at most, in range of x's dimension d, as a vector of int64."""
    index = positions(op, index)
    if index.ndim > 1:
        raise IndexError(f"[{op}] index must be a vector, got {tuple(index.shape)}")
    check_range(x, index, d, op, 0)
    return index if index.ndim else shapes.reshape(index, shape=(1,))


def block(x: Any, shape: tuple[int, ...], but: int = -1) -> tuple[Any, ...]:
    """The spec of the part of x that has the sizes `shape` in all dimensions but one."""
    return tuple([WHOLE if d == but or n == x.shape[d] else (0, n, None) for d, n in enumerate(shape)])


def part(x: Any, spec: tuple[Any, ...]) -> Any:
    """x at a spec of slices: x itself where they take all."""
    return x if all([e is WHOLE for e in spec]) else _getitem(x, spec=spec)


@numpy_names
def index_select(x: Any, dim: int, index: Any) -> Any:
    """The slices of x along a dimension that the vector `index` names, in its order: a copy."""
    d = loose_dim("index_select", x, dim)
    whole = atleast_1d(x)
    y = _getitem(whole, vector("index_select", whole, d, index), spec=(*(WHOLE,) * d, ARRAY))
    return y if x.ndim else shapes.reshape(y, shape=())


@numpy_names
def gather(x: Any, dim: int, index: Any, *, sparse_grad: bool = False) -> Any:
    """y[i, j, k] = x[i, index[i, j, k], k] for dim=1, and so on: y and `index` have one shape.

    `index` has as many dimensions as x, and may be smaller in those other than `dim`.
    """
    if sparse_grad:
        raise NotImplementedError("[gather] there are no sparse gradients; leave sparse_grad out")
    d, index = loose_dim("gather", x, dim), positions("gather", index)
    shape = tuple(index.shape)
    x, index = atleast_1d(x, index)
    fits("gather", x, d, index)
    if 0 in shape:
        return shapes.reshape(_getitem(ravel(x), spec=((0, 0, None),)), shape=shape)
    check_range(x, index, d, "gather", 0)
    y = ops.take_along(part(x, block(x, index.shape, d)), index, axis=d)
    return y if y.shape == shape else shapes.reshape(y, shape=shape)


def fits(op: str, x: Any, d: int, index: Any, src: Any = None) -> None:
    """Refuse an index, not empty, of other rank than x, or larger than x (but in d), or larger than src."""
    if 0 in index.shape:
        return
    many = [k for k in range(min(x.ndim, index.ndim)) if k != d and index.shape[k] > x.shape[k]]
    if src is not None:
        many += [k for k in range(min(src.ndim, index.ndim)) if index.shape[k] > src.shape[k]]
    if many or index.ndim != x.ndim or (src is not None and src.ndim != x.ndim):
        also, given = ("", "") if src is None else (", and no larger than src", f", src {tuple(src.shape)}")
        raise ValueError(
            f"[{op}] index must have x's rank and be no larger than x but in dim {d}{also} (x {tuple(x.shape)}, "
            f"index {tuple(index.shape)}{given})"
        )


def take(x: Any, index: Any) -> Any:
    """The elements of x that `index` names in x flattened, in the shape of `index`."""
    flat, index = ravel(x), positions("take", index)
    check_range(flat, index, 0, "take")
    return _getitem(flat, index, spec=(ARRAY,))


@numpy_names
def take_along_dim(x: Any, indices: Any, dim: int | None = None) -> Any:
    """`gather` with x and `indices` broadcast to each other but in `dim`; without one, both are flattened."""
    if dim is None:
        return gather(ravel(x), 0, ravel(indices))
    d = one_dim("take_along_dim", x, dim)
    if indices.ndim != x.ndim:
        raise ValueError(
            f"[take_along_dim] x {tuple(x.shape)} and indices {tuple(indices.shape)} must have as many dimensions"
        )
    shape = list(broadcast_shapes(*[[1 if k == d else n for k, n in enumerate(t.shape)] for t in (x, indices)]))
    sizes = [tuple([t.shape[d] if k == d else n for k, n in enumerate(shape)]) for t in (x, indices)]
    x, indices = [shapes.broadcast_to(t, shape=s) for t, s in zip((x, indices), sizes, strict=True)]
    return gather(x, d, indices)


# -- by mask -----------------------------------------------------------------------------------------------------------


def mask_for(op: str, mask: Any) -> Any:
    """A mask, which must be boolean."""
    if not hasattr(mask, "dtype") or mask.dtype.kind != "b":
        got = getattr(mask, "dtype", type(mask).__name__)
        raise TypeError(f"[{op}] mask must be a boolean tensor, got {got}")
    return mask


def masked_select(x: Any, mask: Any) -> Any:
    """The elements of x where the mask is true, both broadcast: a vector, whose size has to wait for the device."""
    shape = broadcast_shapes(x.shape, mask_for("masked_select", mask).shape)
    x, mask = [reshape(shapes.broadcast_to(t, shape=shape), math.prod(shape)) for t in (x, mask)]
    return getitem(x, mask)


def nonzero(x: Any, *, as_tuple: bool = False) -> Any:
    """(k, x.ndim): the indices of the elements that are not zero, as int64; as_tuple: a vector for each dimension.

    Their number has to wait for the device.
    """
    found = [make(i, MAIN) for i in _nonzero(x if x.ndim else reshape(x, 1), "nonzero")]
    if as_tuple:
        return tuple(found)
    return stack(found, 1) if x.ndim else found[0].reshape(-1, 1)[:, :0]


def argwhere(x: Any) -> Any:
    """(k, x.ndim): the indices of the elements that are not zero."""
    return nonzero(x)


__all__ = [
    "argwhere", "gather", "getitem", "index_select", "masked_select", "narrow", "nonzero", "select", "take",
    "take_along_dim",
]  # fmt: skip
