"""Resampling along one axis: each element of the result is a weighted sum of a few of x's.

One primitive does it and its transpose. Indices and weights are worked out on the host, once per pair of sizes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy

from ..autograd.batch import shifted
from ..autograd.define import primitive
from .elementwise import wide

Layer = tuple[Any, Any, Any]


class Resampling(NamedTuple):
    """How `size` elements become `out`: number i is read at scale (i + 1/2) - 1/2, or at scale i if `align`.

    mode    'nearest', 'nearest-exact', 'linear', 'cubic', or 'linear-smooth' and 'cubic-smooth' (antialiased)
    scale   elements of x per element of the result, where it is not size / out
    align   whether the first and last elements of both lie on each other
    """

    mode: str
    size: int
    out: int
    scale: float | None = None
    align: bool = False


def _step(how: Resampling, real: Any) -> Any:
    """Elements of x per element of the result."""
    if how.align:
        return real((how.size - 1) / (how.out - 1)) if how.out > 1 else real(0)
    return real(how.size) / real(how.out) if how.scale is None else real(how.scale)


def cubic(t: Any, a: float = -0.75) -> list[Any]:
    """Weights of the elements at -1, 0, 1 and 2 for a point at t in [0, 1] (Keys, 1981)."""

    def near(s: Any) -> Any:
        return ((a + 2) * s - (a + 3)) * s * s + 1

    def far(s: Any) -> Any:
        return ((a * s - 5 * a) * s + 8 * a) * s - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def _entries(how: Resampling, real: Any) -> tuple[Any, Any, Any]:
    """(out, taps) arrays: which elements, their weights, and whether they count.

    Positions are worked out in the precision of the values, as PyTorch does: where one falls between two elements may
    depend on it.
    """
    step, i, last = _step(how, real), numpy.arange(how.out), how.size - 1
    if how.mode.startswith("nearest"):
        at = step * i.astype(real)
        if how.mode == "nearest-exact":
            at = numpy.maximum(step * (i + real(0.5)) - real(0.5), 0) + real(0.5)
        index = numpy.minimum(numpy.floor(at.astype("f4")).astype(int), last)[:, None]
        return index, numpy.ones(index.shape), numpy.ones(index.shape, bool)
    if how.mode.endswith("smooth"):
        return _smooth(how, real, step)
    if how.size == how.out and how.mode == "linear":
        return i[:, None], numpy.ones((how.out, 1)), numpy.ones((how.out, 1), bool)
    at = step * i.astype(real) if how.align else step * (i + real(0.5)) - real(0.5)
    if how.mode == "linear":
        at = numpy.maximum(at, 0)
    first = numpy.minimum(numpy.floor(at.astype("f4")).astype(int), last)
    t = numpy.clip(at - first, 0, 1)
    index = first[:, None] + (numpy.arange(2) if how.mode == "linear" else numpy.arange(-1, 3))
    weights = numpy.stack([1 - t, t] if how.mode == "linear" else cubic(t), 1)
    return numpy.clip(index, 0, last), weights, numpy.ones(index.shape, bool)


def _smooth(how: Resampling, real: Any, step: Any) -> tuple[Any, Any, Any]:
    """The filter is stretched to cover `step` elements where these are more than one."""
    reach = real(1 if how.mode == "linear-smooth" else 2)
    wider = max(step, real(1))
    center = step * (numpy.arange(how.out) + real(0.5))
    start = numpy.maximum((center - reach * wider + real(0.5)).astype(int), 0)
    stop = numpy.minimum((center + reach * wider + real(0.5)).astype(int), how.size)
    index = start[:, None] + numpy.arange(max(int((stop - start).max()), 1))
    s = numpy.abs((index - center[:, None] + real(0.5)) / wider)
    inside = index < stop[:, None]
    if how.mode == "linear-smooth":
        weights = numpy.maximum(1 - s, 0)
    else:
        near, far = cubic(s, -0.5)[1], cubic(s - 1, -0.5)[0]
        weights = numpy.where(s < 1, near, numpy.where(s < 2, far, 0))
    weights = numpy.where(inside, weights, 0)
    total = weights.sum(1, keepdims=True)
    return numpy.minimum(index, how.size - 1), weights / numpy.where(total == 0, 1, total), inside


def nearest(how: Resampling, precision: str) -> Any:
    """Which element of x each of the result is, of the modes that take one."""
    return _entries(how, numpy.dtype(precision).type)[0][:, 0]


@lru_cache(512)
def layers(how: Resampling, transpose: bool, precision: str) -> tuple[Layer, ...]:
    """The sums in layers of (rows of the result or None for all, elements of x, weights or None for ones).

    Layer k has the k-th summand of each row that has so many.
    """
    index, weights, counts = _entries(how, numpy.dtype(precision).type)
    rows = numpy.broadcast_to(numpy.arange(how.out)[:, None], index.shape)[counts]
    columns, values, size = index[counts], weights[counts], how.out
    if transpose:
        order = numpy.argsort(columns, kind="stable")
        rows, columns, values, size = columns[order], rows[order], values[order], how.size
    starts = numpy.searchsorted(rows, numpy.arange(size))
    place = numpy.arange(len(rows)) - starts[rows]
    found: list[Layer] = []
    for k in range(int(place.max(initial=-1)) + 1):
        here = place == k
        row, value = rows[here], values[here]
        found.append((None if len(row) == size else row, columns[here], None if (value == 1).all() else value))
    return tuple(found)


@primitive(
    vjps=(lambda xp, g, axis, how, transpose: xp.resample(g, axis=axis, how=how, transpose=not transpose),),
    batch=shifted(lambda size, ndim, s: dict(s, axis=s["axis"] + 1)),
    linear=(0,),
)
def resample(np: Any, x: Any, *, axis: int, how: Resampling, transpose: bool = False) -> Any:
    """x with how.size elements along an axis -> how.out of them, each a weighted sum; or the transpose of that."""
    wider, shape = wide(x), [1] * x.ndim
    precision = "f8" if x.dtype.itemsize == 8 else "f4"
    y: Any = None
    for rows, elements, weights in layers(how, transpose, precision):
        part = np.take(wider, np.asarray(elements), axis=axis)
        if weights is not None:
            shape[axis] = -1
            part *= np.asarray(weights.astype(part.dtype, copy=False)).reshape(shape)
        if rows is None:
            y = part if y is None else np.add(y, part, out=y)
            continue
        if y is None:
            size = how.size if transpose else how.out
            y = np.zeros((*x.shape[:axis], size, *x.shape[axis + 1 :]), wider.dtype)
        y[(slice(None),) * axis + (np.asarray(rows),)] += part
    return y.astype(x.dtype, copy=False)
