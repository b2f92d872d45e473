"""Indexing: `getitem` and its transpose `scatter_add`; picking one element along an axis, and placing it back; rows of
a table.

An index is a hashable `spec` beside positional index arrays. Each entry of a spec is an integer, None (a new axis), a
triple (start, stop, step) for a slice, or ARRAY, which stands for the next of the arrays.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy

from ..autograd.batch import elementwise, fold, loop, pad_rank, spread
from ..autograd.define import primitive
from ..autograd.primitive import BIND, bind
from ..autograd.value import TransformError, Value, backend_under, host_array, is_mapped, shape_of, unwrap
from ..backend.base import guarded
from .elementwise import accumulation_dtype

ARRAY = "array"
Spec = tuple[Any, ...]


def build(spec: Spec, arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    """The index NumPy understands."""
    left = iter(arrays)
    return tuple([slice(*e) if type(e) is tuple else next(left) if e is ARRAY else e for e in spec])


def batched_indices(level: Any, arrays: list[Any], flags: list[bool], like: Any) -> tuple[list[Any], int]:
    """Index arrays with the hidden axis in front, an arange over that axis before them, and their visible rank."""
    ndim = max([len(shape_of(a)) - f for a, f in zip(arrays, flags, strict=True)])
    rows = numpy.arange(level.size).reshape(level.size, *(1,) * ndim)
    padded = [pad_rank(a, ndim) if f else a for a, f in zip(arrays, flags, strict=True)]
    return [backend_under(like).from_host(rows), *padded], ndim


def axes_before(spec: Spec) -> int:
    """How many result axes precede the block of index-array axes (NumPy puts a split block in front)."""
    advanced = [i for i, e in enumerate(spec) if e is ARRAY or type(e) is int]
    contiguous = advanced == list(range(advanced[0], advanced[-1] + 1))
    return advanced[0] if contiguous else 0


def arrays_first(lead: int, block: int, ndim: int) -> tuple[int, ...]:
    """The axes of a batched x[index] with the block of index-array axes before the `lead` axes that precede it."""
    return (0, *range(1 + lead, 1 + lead + block), *range(1, 1 + lead), *range(1 + lead + block, ndim))


def _getitem_batch(prim: Any, level: Any, values: list[Any], flags: list[bool], static: Any) -> Any:
    x, *arrays = values
    spec = static["spec"]
    if not arrays:
        return bind(prim, (x,), {"spec": ((None, None, None), *spec)})
    indices, ndim = batched_indices(level, arrays, flags[1:], x)
    y = bind(prim, (spread(x, flags[0], level.size), *indices), {"spec": (ARRAY, *spec)})
    lead = axes_before(spec)
    moved = (0, *range(1 + ndim, 1 + ndim + lead), *range(1, 1 + ndim), *range(1 + ndim + lead, len(y.shape)))
    return BIND.transpose(y, axes=moved) if lead else y


def _scatter_batch(prim: Any, level: Any, values: list[Any], flags: list[bool], static: Any) -> Any:
    g, *arrays = values
    spec, shape = static["spec"], (level.size, *static["shape"])
    g = spread(g, flags[0], level.size)
    if not arrays:
        return bind(prim, (g,), {"spec": ((None, None, None), *spec), "shape": shape})
    indices, ndim = batched_indices(level, arrays, flags[1:], g)
    lead = axes_before(spec)
    if lead:
        g = BIND.transpose(g, axes=arrays_first(lead, ndim, len(g.shape)))
    return bind(prim, (g, *indices), {"spec": (ARRAY, *spec), "shape": shape})


@primitive(
    vjps=(lambda xp, g, indices, x_shape, spec: xp.scatter_add(g, *indices, spec=spec, shape=x_shape),),
    batch=_getitem_batch,
    linear=(0,),
    view=True,
)
def getitem(np: Any, x: Any, *indices: Any, spec: Spec) -> Any:
    """x[index]: a view for slices and integers, a copy where index arrays take part."""
    return x[build(spec, indices)]


@primitive(
    vjps=(lambda xp, g, indices, spec: xp.getitem(g, *indices, spec=spec),),
    batch=_scatter_batch,
    linear=(0,),
)
def scatter_add(np: Any, g: Any, *indices: Any, spec: Spec, shape: tuple[int, ...]) -> Any:
    """Zeros of `shape` with g added at an index, once for each time an element is named: the transpose of getitem."""
    index = build(spec, indices)
    if not indices:
        out = np.zeros(shape, g.dtype)
        out[index] = g
        return out
    return _added(np, g, index, shape)


def _added(np: Any, g: Any, index: tuple[Any, ...], shape: tuple[int, ...]) -> Any:
    """Zeros of `shape` with g added, in its order, at an index with arrays: at flat positions, where add.at is fast."""
    named = sum([e is not None for e in index])
    places = np.arange(math.prod(shape[:named])).reshape(shape[:named])[index]
    row = math.prod(shape[named:])
    places = places.reshape(-1, 1) * row + np.arange(row)
    out = np.zeros(math.prod(shape), accumulation_dtype(g))
    np.add.at(out, places.reshape(-1), g.reshape(-1).astype(out.dtype, copy=False))
    return out.reshape(shape).astype(g.dtype, copy=False)


def _expand(index: Any, axis: int) -> Any:
    return index.reshape(*index.shape[:axis], 1, *index.shape[axis:])


def along_batch(prim: Any, level: Any, values: list[Any], flags: list[bool], static: Any) -> Any:
    """Batch rule of primitives whose operands agree in all axes but `axis` (counted from 0)."""
    full = [spread(v, f, level.size) for v, f in zip(values, flags, strict=True)]
    return bind(prim, tuple(full), dict(static, axis=static["axis"] + 1))


@primitive(
    vjps=(lambda xp, g, index, axis, x_shape: xp.place(g, index, axis=axis, n=x_shape[axis]), None),
    batch=along_batch,
    linear=(0,),
)
def pick(np: Any, x: Any, index: Any, *, axis: int) -> Any:
    """One element of x per position along `axis`, the one `index` names; `index` has x's shape without that axis."""
    return np.take_along_axis(x, _expand(index, axis), axis).reshape(index.shape)


@primitive(
    vjps=(lambda xp, g, index, axis: xp.pick(g, index, axis=axis), None),
    batch=along_batch,
    linear=(0,),
)
def place(np: Any, g: Any, index: Any, *, axis: int, n: int) -> Any:
    """Zeros with g put where `index` says along a new axis of size n: the transpose of `pick`."""
    steps = np.arange(n).reshape(n, *(1,) * (g.ndim - axis))
    return np.where(steps == _expand(index, axis), _expand(g, axis), np.zeros((), g.dtype))


# -- rows of a table ---------------------------------------------------------------------------------------------------


def equals(xp: Any, index: Any, number: int) -> Any:
    """index == number, also where the dtype of `index` does not reach so far, which CuPy refuses to compare."""
    small = index.dtype.itemsize < 8 or index.dtype.kind == "u"
    return xp.equal(xp.astype(index, dtype="int64") if small else index, number)


def _less_padding(xp: Any, rows: Any, index: Any, padding_idx: int | None) -> Any:
    """Rows (*index, ...), zeros where the index is `padding_idx`."""
    if padding_idx is None:
        return rows
    padding = equals(xp, index, padding_idx)
    return xp.where(xp.reshape(padding, shape=(*index.shape, *(1,) * (rows.ndim - index.ndim))), 0.0, rows)


def _rows_apart(level: Any, index: Any, flag: bool, n: int) -> Any:
    """A batched index into the tables of all examples, one under the other."""
    index = spread(index, flag, level.size)
    first = numpy.arange(level.size).reshape(level.size, *(1,) * (len(shape_of(index)) - 1)) * n
    return BIND.add(index, backend_under(index).from_host(first))


def _embedding_batch(prim: Any, level: Any, values: list[Any], flags: list[bool], static: Any) -> Any:
    weight, index = values
    if not flags[0]:
        return bind(prim, (weight, index), static)
    if static["padding_idx"] is not None:
        return loop(prim, level, values, flags, static)
    index = _rows_apart(level, index, flags[1], shape_of(weight)[1])
    return bind(prim, (fold(weight, level.size, True), index), static)


def _embedding_backward_batch(prim: Any, level: Any, values: list[Any], flags: list[bool], static: Any) -> Any:
    rows, padding_idx = static["rows"], static["padding_idx"]
    g, index = spread(values[0], flags[0], level.size), spread(values[1], flags[1], level.size)
    g = _less_padding(BIND, g, index, padding_idx)
    out = bind(prim, (g, _rows_apart(level, index, True, rows)), {"rows": level.size * rows, "padding_idx": None})
    return BIND.reshape(out, shape=(level.size, rows, *shape_of(out)[1:]))


def _embedding_jvp(xp: Any, primals: Any, tangents: Any, outs: Any, *, padding_idx: int | None) -> Any:
    rows = xp.embedding(tangents[0], primals[1], padding_idx=padding_idx)
    return _less_padding(xp, rows, primals[1], padding_idx)


def _embedding_backward_vjp(xp: Any, g: Any, index: Any, padding_idx: int | None) -> Any:
    return _less_padding(xp, xp.embedding(g, index, padding_idx=padding_idx), index, padding_idx)


@primitive(
    vjps=(
        lambda xp, g, index, weight_shape, padding_idx: xp.embedding_backward(
            g, index, rows=weight_shape[0], padding_idx=padding_idx
        ),
        None,
    ),
    jvp=_embedding_jvp,
    batch=_embedding_batch,
)
def embedding(np: Any, weight: Any, index: Any, *, padding_idx: int | None = None) -> Any:
    """Rows of a table, weight (n, ...) and index (...) -> (*index, ...). Row `padding_idx` gets no gradient."""
    return weight[index]


@primitive(vjps=(_embedding_backward_vjp, None), batch=_embedding_backward_batch, linear=(0,))
def embedding_backward(np: Any, g: Any, index: Any, *, rows: int, padding_idx: int | None = None) -> Any:
    """(rows, ...): g (*index, ...) summed over the places that name each row; zeros for row `padding_idx`."""
    out = _added(np, g, (index,), (rows, *g.shape[index.ndim :]))
    if padding_idx is not None:
        out[padding_idx] = 0
    return out


@primitive(
    vjps=(lambda xp, g, scale: g * scale, None),
    jvp=lambda xp, primals, tangents, outs: xp.multiply(tangents[0], primals[1]),
    batch=elementwise,
    view=True,
)
def scale_gradient(np: Any, x: Any, scale: Any) -> Any:
    """x as it is, whose cotangents are multiplied by `scale`."""
    return x[...]


# -- from Python's index to a spec -------------------------------------------------------------------------------------


def parse(x: Any, index: Any, op: str = "getitem") -> tuple[Spec, tuple[Any, ...]]:
    """(spec, index arrays) of Python's `x[index]`, checked against x's shape.

    Raises IndexError for an index out of range, too many indices, or a mask that does not fit.
    """
    shape = x.shape
    entries = [_entry(e, op) for e in (index if isinstance(index, tuple) else (index,))]
    used = sum([_used(e) for e in entries])
    dots = [i for i, e in enumerate(entries) if e is Ellipsis]
    if used > len(shape) or len(dots) > 1:
        what = f"{used} indices for {len(shape)} dimensions" if used > len(shape) else "more than one ellipsis"
        raise IndexError(f"[{op}] {what} (x {tuple(shape)})")
    if dots:
        entries[dots[0] : dots[0] + 1] = [slice(None)] * (len(shape) - used)
    spec: list[Any] = []
    arrays: list[Any] = []
    dim = 0
    for e in entries:
        if e is None:
            spec.append(None)
            continue
        if isinstance(e, slice):
            spec.append(_slice_entry(e, op))
        elif isinstance(e, int):
            if not -shape[dim] <= e < shape[dim]:
                raise IndexError(
                    f"[{op}] index {e} is out of range for dim {dim} of size {shape[dim]} (x {tuple(shape)})"
                )
            spec.append(e)
        elif _is_mask(e):
            if tuple(e.shape) != tuple(shape[dim : dim + e.ndim]):
                raise IndexError(
                    f"[{op}] a mask of shape {tuple(e.shape)} does not fit dimensions {dim} to {dim + e.ndim - 1} "
                    f"of x {tuple(shape)}"
                )
            for positions in nonzero(e, op):
                spec.append(ARRAY)
                arrays.append(positions)
            dim += e.ndim - 1
        else:
            check_range(x, e, dim, op)
            spec.append(ARRAY)
            arrays.append(e)
        dim += 1
    backend = backend_under(x)
    if backend.array_type is not numpy.ndarray:
        arrays = [backend.from_host(a) if type(a) is numpy.ndarray else a for a in arrays]
    return tuple(spec), tuple(arrays)


def check_range(x: Any, index: Any, dim: int, op: str, low: int | None = None) -> None:
    """Raise IndexError if an index array leaves the range of x's dimension `dim`: CuPy would wrap it silently.

    It may count from the end, unless `low` is 0.
    """
    n = x.shape[dim]
    backend = backend_under(index)
    with guarded(backend):
        bad = backend.check_index(unwrap(index), -n if low is None else low, n, op)
    if bad is not None:
        raise IndexError(f"[{op}] index {bad} is out of range for dim {dim} of size {n} (x {tuple(x.shape)})")


def _entry(e: Any, op: str) -> Any:
    if e is None or e is Ellipsis or isinstance(e, slice):
        return e
    if isinstance(e, (list, tuple, range)):
        e = _from_list(e, op)
    if hasattr(e, "dtype") and hasattr(e, "shape"):
        if e.dtype.kind == "b" or (e.dtype.kind == "i" and e.shape != ()):
            return e
        if e.dtype.kind in "iu" and (isinstance(e, numpy.generic) or not isinstance(e, Value)) and e.shape == ():
            return int(e)
        if e.dtype.kind == "i":
            return e
        cure = "; make it .bool() for a mask, or .long() for positions" if e.dtype.kind == "u" else ""
        raise IndexError(f"[{op}] an index array must be of a signed integer or bool dtype, got {e.dtype}{cure}")
    try:
        return operator.index(e)
    except TypeError:
        raise IndexError(f"[{op}] {type(e).__name__} is no index; use integers, slices, None, ... or arrays") from None


def _from_list(items: Any, op: str) -> Any:
    """An index array from nested lists, of numbers or of tensors."""

    def plain(v: Any) -> Any:
        if isinstance(v, (list, tuple, range)):
            return [plain(w) for w in v]
        return host_array(v, op) if isinstance(v, Value) else v

    try:
        array = numpy.asarray(plain(items))
    except ValueError as error:
        raise IndexError(f"[{op}] a list that is no index: {error}") from None
    return array if array.size or array.dtype.kind == "b" else array.astype(numpy.int64)


def is_flag(e: Any) -> bool:
    """Whether a part of an index is a single bool."""
    return isinstance(e, (bool, numpy.bool_)) or (getattr(e, "shape", None) == () and e.dtype.kind == "b")


def has_flags(index: Any) -> bool:
    return any([is_flag(e) for e in index]) if type(index) is tuple else is_flag(index)


def open_flags(x: Any, index: Any, op: str = "getitem") -> tuple[tuple[int, ...], tuple[Any, ...]]:
    """(shape, index) without single bools: in their places x is to have new axes of size 1, indexed by [0] or []."""
    entries = [e if is_flag(e) else _entry(e, op) for e in (index if type(index) is tuple else (index,))]
    dots = [i for i, e in enumerate(entries) if e is Ellipsis]
    shape, out, axis = list(x.shape), list(entries), 0
    for i, e in enumerate(entries):
        if is_flag(e):
            true = host_array(e, op).item() if isinstance(e, Value) else bool(e)
            shape.insert(axis, 1)
            out[i] = numpy.zeros(int(true), numpy.int64)
            axis += 1
        elif e is Ellipsis and i == dots[0]:
            axis = len(shape) - sum([_used(later) for later in entries[i + 1 :] if not is_flag(later)])
        else:
            axis += _used(e)
    return tuple(shape), tuple(out)


def _used(e: Any) -> int:
    """How many dimensions a part of an index takes up."""
    return 0 if e is None or e is Ellipsis else e.ndim if _is_mask(e) else 1


def _slice_entry(e: slice, op: str) -> tuple[Any, Any, Any]:
    try:
        return tuple([None if v is None else operator.index(v) for v in (e.start, e.stop, e.step)])  # type: ignore[return-value]
    except TypeError:
        raise IndexError(f"[{op}] slice bounds must be integers or None, got {e}") from None


def _is_mask(e: Any) -> bool:
    return not isinstance(e, (int, slice)) and e is not None and e is not Ellipsis and e.dtype.kind == "b"


def nonzero(mask: Any, op: str) -> tuple[Any, ...]:
    """Where a raw array or a value that is not 0-d is true (not zero): one raw index array per dimension."""
    if is_mapped(mask):
        raise TransformError(
            f"[{op}] a mask that vmap maps over selects a different number of elements per example; use where()"
        )
    backend = backend_under(mask)
    with guarded(backend):
        return tuple([backend.as_array(places) for places in unwrap(mask).nonzero()])


__all__ = [
    "ARRAY", "along_batch", "arrays_first", "axes_before", "batched_indices", "build", "check_range", "embedding",
    "embedding_backward", "getitem", "has_flags", "nonzero", "open_flags", "parse", "pick", "place", "scale_gradient",
    "scatter_add",
]  # fmt: skip
