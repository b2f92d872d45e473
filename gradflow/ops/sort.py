"""Orders: the permutation that sorts, places in sorted sequences, and distinct elements. None of them has a gradient;
what is sorted gets its gradient from gathering by the permutation."""

from __future__ import annotations

from typing import Any

from ..autograd.batch import shifted
from ..autograd.define import primitive
from ..autograd.primitive import BIND, bind
from ..autograd.value import shape_of
from .elementwise import wide


@primitive(batch=shifted(lambda size, ndim, static: dict(static, axis=static["axis"] + 1)))
def argsort(np: Any, x: Any, *, axis: int, descending: bool = False) -> Any:
    """The indices that sort x along an axis (counted from 0), equal elements in their order; NaN counts as largest."""
    if not descending:
        return np.argsort(wide(x), axis=axis, kind="stable")
    order = np.argsort(np.flip(wide(x), axis), axis=axis, kind="stable")
    return (x.shape[axis] - 1) - np.flip(order, axis)


def _searchsorted_batch(prim: Any, level: Any, values: list[Any], flags: list[bool], static: dict[str, Any]) -> Any:
    rows = [v if f else BIND.reshape(v, shape=(1, *shape_of(v))) for v, f in zip(values, flags, strict=True)]
    return bind(prim, tuple(rows), static)


@primitive(batch=_searchsorted_batch)
def searchsorted(np: Any, ordered: Any, x: Any, *, right: bool = False) -> Any:
    """How many elements of a row of `ordered` (..., n) are less than (right: at most) each of x's (..., m) -> (..., m).

    All axes but the last broadcast. A search by halving, in which nothing is less than NaN's place at the end.
    """
    n = ordered.shape[-1]
    lead = np.broadcast_shapes(ordered.shape[:-1], x.shape[:-1])
    ordered, x = np.broadcast_to(ordered, (*lead, n)), np.broadcast_to(x, (*lead, x.shape[-1]))
    low, high = np.zeros(x.shape, "i8"), np.full(x.shape, n, "i8")
    for _ in range(n.bit_length()):
        middle = (low + high) // 2
        at = np.take_along_axis(ordered, np.minimum(middle, n - 1), -1)
        behind = (low < high) & ~(at > x if right else at >= x)
        low, high = np.where(behind, middle + 1, low), np.where(behind, high, np.minimum(middle, high))
    return low


@primitive()
def distinct(np: Any, x: Any, *, axis: int | None = None, consecutive: bool = False) -> Any:
    """(values, inverse, counts) of the distinct elements of x, or of its distinct slices along an axis, in order; or
    of its runs of equal ones, as they come. values[inverse] is x; each NaN is distinct from the others."""
    n = x.size if axis is None else x.shape[axis]
    rows = (x if axis is None else np.moveaxis(x, axis, 0)).reshape(n, x.size // max(n, 1))
    if consecutive or rows.size == 0:
        order = np.arange(n)
    else:
        keys = wide(rows.astype("u1") if rows.dtype.kind == "b" else rows)
        order = np.argsort(keys[:, 0], kind="stable") if axis is None else np.lexsort(np.flip(keys, 1).T)
    ordered = rows[order]
    first = np.concatenate((np.ones(min(n, 1), "?"), np.any(ordered[1:] != ordered[:-1], axis=1)))
    at = np.nonzero(first)[0]
    inverse = np.empty(n, "i8")
    inverse[order] = np.cumsum(first.astype("i8")) - 1
    counts = np.diff(np.concatenate((at, np.full(1, n, at.dtype))))
    values = np.take(x.reshape(-1) if axis is None else x, order[at], axis=axis or 0)
    return values, inverse.reshape(x.shape) if axis is None else inverse, counts
