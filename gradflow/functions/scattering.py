"""Writing elements at positions, out of place. In PyTorch's words `src` or `source` is what is written."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd.primitive import BIND
from ..autograd.value import backend_under
from ..backend.dtypes import is_floating
from ..ops import gather as ops
from ..ops import shape as shapes
from ..ops.elementwise import add, astype, divide, logical_not, maximum, multiply, negative, subtract, where
from ..ops.index import ARRAY, check_range, has_flags, parse
from ..ops.index import scatter_add as _scatter_add
from .arguments import numpy_names, one_dim
from .indexing import block, fits, getitem, mask_for, part, positions, vector
from .joining import WHOLE
from .shape import atleast_1d, broadcast_shapes, integer, loose_dim, ravel


def _alike(op: str, x: Any, src: Any, name: str = "src") -> Any:
    """src, which must be of x's dtype."""
    if not hasattr(src, "dtype"):
        raise TypeError(f"[{op}] {name} must be a tensor, got {type(src).__name__}")
    if src.dtype != x.dtype:
        raise TypeError(f"[{op}] {name} must be of x's dtype {x.dtype}, got {src.dtype}")
    return src


def constant_for(op: str, x: Any, value: Any) -> Any:
    """A number or a 0-d tensor, to be written into x."""
    if hasattr(value, "dtype"):
        if value.ndim:
            raise ValueError(f"[{op}] value must be a number or a 0-d tensor, got {tuple(value.shape)}")
        return value if value.dtype == x.dtype else astype(value, dtype=x.dtype)
    if not isinstance(value, (bool, int, float)):
        raise TypeError(f"[{op}] value must be a number or a 0-d tensor, got {type(value).__name__}")
    if x.dtype.kind in "iu":
        whole = int(value) if math.isfinite(value) else None
        if whole is None or not np.iinfo(x.dtype).min <= whole <= np.iinfo(x.dtype).max:
            raise ValueError(f"[{op}] {value} does not fit into {x.dtype}")
        return whole
    return bool(value) if x.dtype.kind == "b" else value


def scalar_for(op: str, x: Any, value: Any) -> Any:
    """The same as a 0-d array or tensor on x's device."""
    value = constant_for(op, x, value)
    return value if hasattr(value, "dtype") else backend_under(x).from_host(np.asarray(value).astype(x.dtype))


# -- along a dimension -------------------------------------------------------------------------------------------------


def _prepared(op: str, x: Any, dim: int, index: Any, src: Any = None) -> tuple[Any, int, Any, Any]:
    """x, the dimension, the index and the part of src it takes, all checked and none of them 0-d."""
    d = loose_dim(op, x, dim)
    x, index = atleast_1d(x, positions(op, index))
    src = src if src is None else atleast_1d(src)
    fits(op, x, d, index, src)
    if 0 not in index.shape:
        check_range(x, index, d, op, 0)
        src = src if src is None else part(src, block(src, index.shape))
    return x, d, index, src


def _untouched(x: Any, src: Any) -> Any:
    """x, recorded as a function of src too, of which nothing was written."""
    return add(x, BIND.sum(getitem(ravel(src), slice(0)))) if is_floating(x.dtype) else x


def _assigned(x: Any, d: int, index: Any, v: Any) -> Any:
    """x with v where `index` points to along dimension d."""
    from_host = backend_under(x).from_host
    rest = (1,) * (x.ndim - 1)
    grid = [from_host(np.arange(n).reshape(*rest[:k], n, *rest[k:])) for k, n in enumerate(index.shape)]
    return ops.assign(x, v, *[index if k == d else i for k, i in enumerate(grid)], spec=(ARRAY,) * x.ndim)


@numpy_names
def scatter(x: Any, dim: int, index: Any, src: Any = None, value: Any = None, *, reduce: str | None = None) -> Any:
    """x with y[i, index[i, j, k], k] = src[i, j, k] for dim=1, and so on; src is a tensor or a number (`value`).

    `index` has as many dimensions as x and src, and may be smaller. Where it names a place twice, one of the elements
    gets there, and both get the gradient. reduce="add" adds them up.
    """
    if (src is None) == (value is None):
        raise TypeError("[scatter] give src or value")
    src = value if src is None else src
    if reduce == "multiply":
        raise NotImplementedError("[scatter] reduce='multiply' is not supported")
    if reduce not in (None, "add"):
        raise ValueError(f"[scatter] reduce must be None or 'add', got {reduce!r}")
    if not hasattr(src, "dtype") or (value is not None and not src.ndim):
        src = constant_for("scatter", x, src)
        if reduce is None:
            whole, d, index, _ = _prepared("scatter", x, dim, index)
            y = whole if 0 in index.shape else _assigned(whole, d, index, src)
            return shapes.reshape(y, shape=tuple(x.shape))
        src = shapes.broadcast_to(scalar_for("scatter", x, src), shape=tuple(index.shape))
    if reduce == "add":
        return scatter_add(x, dim, index, src)
    whole, d, index, src = _prepared("scatter", x, dim, index, _alike("scatter", x, src))
    if 0 in index.shape:
        return _untouched(x, src)
    return shapes.reshape(_assigned(whole, d, index, src), shape=tuple(x.shape))


@numpy_names
def scatter_add(x: Any, dim: int, index: Any, src: Any) -> Any:
    """x with src[i, j, k] added to y[i, index[i, j, k], k] for dim=1, and so on.

    `index` has as many dimensions as x and src, and may be smaller.
    """
    whole, d, index, src = _prepared("scatter_add", x, dim, index, _alike("scatter_add", x, src))
    if 0 in index.shape:
        return _untouched(x, src)
    return shapes.reshape(add(whole, _summed(whole, d, index, src)), shape=tuple(x.shape))


def _summed(x: Any, d: int, index: Any, src: Any) -> Any:
    """Zeros like x with src added where `index` points to along dimension d."""
    sums = ops.put_along(src, index, axis=d, n=x.shape[d])
    return sums if sums.shape == x.shape else _scatter_add(sums, spec=block(x, sums.shape), shape=tuple(x.shape))


@numpy_names
def scatter_reduce(x: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True) -> Any:
    """x with what `index` sends to y[i, index[i, j, k], k] (see `scatter`) reduced there: "sum", "mean", "amax" or
    "amin" of the elements of src, and of x where include_self."""
    if reduce == "prod":
        raise NotImplementedError("[scatter_reduce] reduce='prod' is not supported")
    if reduce not in ("sum", "mean", "amax", "amin"):
        raise ValueError(f"[scatter_reduce] reduce must be 'sum', 'mean', 'amax' or 'amin', got {reduce!r}")
    whole, d, index, src = _prepared("scatter_reduce", x, dim, index, _alike("scatter_reduce", x, src))
    if 0 in index.shape:
        return _untouched(x, src)
    if reduce in ("amax", "amin"):
        y = _extreme(whole, d, index, src, reduce == "amin", include_self)
    else:
        y = add(whole if include_self else _assigned(whole, d, index, 0), _summed(whole, d, index, src))
        if reduce == "mean":
            if not is_floating(x.dtype):
                raise TypeError(f"[scatter_reduce] a mean needs a floating tensor, got {x.dtype}")
            ones = shapes.broadcast_to(BIND.ones_like(BIND.sum(src)), shape=tuple(src.shape))
            count = _summed(whole, d, index, ones)
            y = divide(y, add(count, 1) if include_self else maximum(count, 1))
    return shapes.reshape(y, shape=tuple(x.shape))


def _extreme(x: Any, d: int, index: Any, src: Any, smallest: bool, include_self: bool) -> Any:
    if smallest:
        return _mirrored(_extreme(_mirrored(x), d, index, _mirrored(src), False, include_self))
    spec = block(x, index.shape, d)
    y = ops.put_largest(part(x, spec), src, index, axis=d, include=include_self)
    return y if y.shape == x.shape else ops.assign(x, y, spec=spec)


def _mirrored(x: Any) -> Any:
    """x in an order turned around, without overflow."""
    if x.dtype.kind in "iu":
        return subtract(-1 if x.dtype.kind == "i" else int(np.iinfo(x.dtype).max), x)
    return logical_not(x) if x.dtype.kind == "b" else negative(x)


# -- whole slices ------------------------------------------------------------------------------------------------------


def _slices(op: str, x: Any, dim: int, index: Any, source: Any) -> tuple[Any, int, Any, Any]:
    """x, the dimension, the index and the source of slices, checked."""
    d = loose_dim(op, x, dim)
    x, source = atleast_1d(x, _alike(op, x, source, "source"))
    index = vector(op, x, d, index)
    wanted = (*x.shape[:d], index.shape[0], *x.shape[d + 1 :])
    if tuple(source.shape) != wanted:
        raise ValueError(f"[{op}] source must be {wanted}, got {tuple(source.shape)} (x {tuple(x.shape)}, dim {dim})")
    return x, d, index, source


@numpy_names
def index_add(x: Any, dim: int, index: Any, source: Any, *, alpha: float = 1) -> Any:
    """x with alpha times the slices of `source` added to those that the vector `index` names along a dimension."""
    whole, d, index, source = _slices("index_add", x, dim, index, source)
    source = source if alpha == 1 else multiply(source, constant_for("index_add", x, alpha))
    sums = _scatter_add(source, index, spec=(*(WHOLE,) * d, ARRAY), shape=tuple(whole.shape))
    return shapes.reshape(add(whole, sums), shape=tuple(x.shape))


@numpy_names
def index_copy(x: Any, dim: int, index: Any, source: Any) -> Any:
    """x with the slices of `source` in the place of those that the vector `index` names along a dimension."""
    whole, d, index, source = _slices("index_copy", x, dim, index, source)
    return shapes.reshape(ops.assign(whole, source, index, spec=(*(WHOLE,) * d, ARRAY)), shape=tuple(x.shape))


@numpy_names
def index_fill(x: Any, dim: int, index: Any, value: Any) -> Any:
    """x with one value in the slices that the vector `index` names along a dimension."""
    d, value = loose_dim("index_fill", x, dim), constant_for("index_fill", x, value)
    whole = atleast_1d(x)
    none = backend_under(x).from_host(np.zeros(whole.shape[d], bool))
    named = ops.assign(none, True, vector("index_fill", whole, d, index), spec=(ARRAY,))
    named = shapes.reshape(named, shape=(whole.shape[d], *(1,) * (whole.ndim - d - 1)))
    return shapes.reshape(where(named, value, whole), shape=tuple(x.shape))


def index_put(x: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    """x with `values` (broadcast) in the place of x[indices], or added to it, as often as a place is named, if
    `accumulate`. `indices` is a tuple of index tensors or masks."""
    if not isinstance(indices, (tuple, list)):
        raise TypeError(f"[index_put] indices must be a tuple of tensors, got {type(indices).__name__}")
    if has_flags(tuple(indices)):
        raise NotImplementedError("[index_put] takes no single bools among the indices; use where()")
    spec, arrays = parse(x, tuple(indices), "index_put")
    values = _alike("index_put", x, values, "values")
    if not accumulate:
        return ops.assign(x, values, *arrays, spec=spec)
    shape = tuple(BIND.getitem(x, *arrays, spec=spec).shape)
    spread = shapes.broadcast_to(values, shape=shape)
    return add(x, _scatter_add(spread, *arrays, spec=spec, shape=tuple(x.shape)))


@numpy_names
def select_scatter(x: Any, src: Any, dim: int, index: int) -> Any:
    """x with src in the place of x.select(dim, index)."""
    d, index = one_dim("select_scatter", x, dim), integer("select_scatter", "index", index)
    if not -x.shape[d] <= index < x.shape[d]:
        raise IndexError(f"[select_scatter] index {index} is out of range for dim {d} of x {tuple(x.shape)}")
    return _embedded("select_scatter", x, src, (*(WHOLE,) * d, index), (*x.shape[:d], *x.shape[d + 1 :]))


@numpy_names
def slice_scatter(
    x: Any, src: Any, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Any:  # fmt: skip
    """x with src in the place of the slice start:end:step along a dimension."""
    d = one_dim("slice_scatter", x, dim)
    if step < 1:
        raise ValueError(f"[slice_scatter] step must be positive, got {step}")
    count = len(range(x.shape[d])[start:end:step])
    spec = (*(WHOLE,) * d, (start, end, step))
    return _embedded("slice_scatter", x, src, spec, (*x.shape[:d], count, *x.shape[d + 1 :]))


def _embedded(op: str, x: Any, src: Any, spec: Any, shape: tuple[int, ...]) -> Any:
    if tuple(src.shape) != tuple(shape):
        raise ValueError(f"[{op}] src must be {tuple(shape)}, got {tuple(src.shape)} (x {tuple(x.shape)})")
    return ops.assign(x, src if src.dtype == x.dtype else astype(src, dtype=x.dtype), spec=spec)


def diagonal_scatter(x: Any, src: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """x with src in the place of x.diagonal(offset, dim1, dim2)."""
    a, b = one_dim("diagonal_scatter", x, dim1), one_dim("diagonal_scatter", x, dim2)
    below, above = max(-offset, 0), max(offset, 0)
    count = max(min(x.shape[a] - below, x.shape[b] - above), 0)
    shape = (*[n for d, n in enumerate(x.shape) if d not in (a, b)], count)
    if a == b or tuple(src.shape) != shape:
        raise ValueError(f"[diagonal_scatter] src must be {shape}, got {tuple(src.shape)} (x {tuple(x.shape)})")
    axes = (*[d for d in range(x.ndim) if d not in (a, b)], a, b)
    at = [backend_under(x).from_host(np.arange(count) + start) for start in (below, above)]
    spec = (*(WHOLE,) * (x.ndim - 2), ARRAY, ARRAY)
    y = ops.assign(shapes.transpose(x, axes=axes), _alike("diagonal_scatter", x, src), *at, spec=spec)
    return shapes.transpose(y, axes=shapes.inverse(axes))


# -- by mask -----------------------------------------------------------------------------------------------------------


def masked_fill(x: Any, mask: Any, value: Any) -> Any:
    """x with one value where the mask is true; both are broadcast."""
    return where(mask_for("masked_fill", mask), constant_for("masked_fill", x, value), x)


def masked_scatter(x: Any, mask: Any, source: Any) -> Any:
    """x with the first elements of `source`, in order, where the mask is true; x and mask are broadcast.

    The number of elements has to wait for the device.
    """
    shape = broadcast_shapes(x.shape, mask_for("masked_scatter", mask).shape)
    x, mask = [ravel(shapes.broadcast_to(t, shape=shape)) for t in (x, mask)]
    spec, arrays = parse(x, mask, "masked_scatter")
    count, source = arrays[0].shape[0], ravel(_alike("masked_scatter", x, source, "source"))
    if source.shape[0] < count:
        raise ValueError(f"[masked_scatter] the mask has {count} places for {source.shape[0]} elements of source")
    y = ops.assign(x, getitem(source, slice(count)), *arrays, spec=spec)
    return shapes.reshape(y, shape=shape)


__all__ = [
    "diagonal_scatter", "index_add", "index_copy", "index_fill", "index_put", "masked_fill", "masked_scatter",
    "scatter", "scatter_add", "scatter_reduce", "select_scatter", "slice_scatter",
]  # fmt: skip
