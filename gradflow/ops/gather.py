"""Elements chosen one by one along an axis, and put back; elements written at an index."""

from __future__ import annotations

import math
from typing import Any

import numpy

from ..autograd.batch import pad_rank, spread
from ..autograd.define import fused, primitive
from ..autograd.primitive import BIND, bind
from ..autograd.value import backend_under, shape_of
from .elementwise import wide
from .index import ARRAY, Spec, along_batch, arrays_first, axes_before, batched_indices, build


@primitive(
    vjps=(lambda xp, g, index, x_shape, axis: xp.put_along(g, index, axis=axis, n=x_shape[axis]), None),
    batch=along_batch,
    linear=(0,),
)
def take_along(np: Any, x: Any, index: Any, *, axis: int) -> Any:
    """y[..., i, ...] = x[..., index[..., i, ...], ...]: along `axis` (counted from 0), the elements `index` names.

    `index` (int64, in range, from the end where negative) has x's shape but for `axis`.
    """
    return np.take_along_axis(x, index, axis)


def flat_positions(xp: Any, index: Any, axis: int, n: int) -> Any:
    """Where `index` along an axis of size n points to in a flattened array, as a flat array of int64."""
    before, behind = math.prod(index.shape[:axis]), math.prod(index.shape[axis + 1 :])
    from_host = backend_under(index).from_host
    index = xp.reshape(index, shape=(before, index.shape[axis], behind))
    index = xp.where(xp.less(index, 0), xp.add(index, n), index)
    rows = from_host((numpy.arange(before) * (n * behind)).reshape(before, 1, 1))
    flat = xp.add(xp.add(xp.multiply(index, behind), rows), from_host(numpy.arange(behind)))
    return xp.reshape(flat, shape=(math.prod(flat.shape),))


@fused(batch=along_batch)
def put_along(xp: Any, g: Any, index: Any, *, axis: int, n: int) -> Any:
    """Zeros with g added along `axis`, of size n, where `index` says: the transpose of take_along."""
    shape = (*g.shape[:axis], n, *g.shape[axis + 1 :])
    rows = xp.reshape(g, shape=(math.prod(g.shape),))
    out = xp.scatter_add(rows, flat_positions(xp, index, axis, n), spec=(ARRAY,), shape=(math.prod(shape),))
    return xp.reshape(out, shape=shape)


# -- elements written at an index --------------------------------------------------------------------------------------


def _assign_batch(prim: Any, level: Any, values: list[Any], flags: list[bool], static: dict[str, Any]) -> Any:
    x, v, *arrays = values
    spec = static["spec"]
    ndim = len(shape_of(x)) - flags[0]
    x = spread(x, flags[0], level.size)
    named = sum([e is not None for e in spec])
    kept = sum([e is None or type(e) is tuple for e in spec]) + ndim - named  # axes of x[index] but the arrays'
    if not arrays:
        v = pad_rank(v, kept) if flags[1] else v
        return bind(prim, (x, v), {"spec": ((None, None, None), *spec)})
    indices, block = batched_indices(level, arrays, flags[2:], x)
    lead = axes_before(spec)
    if len(shape_of(v)) > flags[1]:  # not one element for all
        v = pad_rank(spread(v, flags[1], level.size), kept + block)
        v = BIND.transpose(v, axes=arrays_first(lead, block, len(v.shape)))
    elif flags[1]:
        v = pad_rank(v, kept + block)
    return bind(prim, (x, v, *indices), {"spec": (ARRAY, *spec)})


def _assign_jvp(xp: Any, primals: Any, tangents: Any, outs: Any, *, spec: Spec) -> Any:
    x, _, *indices = primals
    dx = xp.zeros_like(x) if tangents[0] is None else tangents[0]
    return xp.assign(dx, 0.0 if tangents[1] is None else tangents[1], *indices, spec=spec)


@primitive(
    vjps=(
        lambda xp, g, indices, spec: xp.assign(g, 0.0, *indices, spec=spec),
        lambda xp, g, indices, spec: xp.getitem(g, *indices, spec=spec),
    ),
    batch=_assign_batch,
    jvp=_assign_jvp,
)
def assign(np: Any, x: Any, v: Any, *indices: Any, spec: Spec) -> Any:
    """x with v, of x's dtype and broadcast, in the place of x[index].

    Of values written to one place an arbitrary one stays, and all of them get its cotangent.
    """
    out = np.array(x, order="C")
    out[build(spec, indices)] = v
    return out


def _largest_joint(
    xp: Any, needs: Any, g: Any, x: Any, src: Any, index: Any, y: Any, axis: int, include: bool
) -> tuple[Any, Any, None]:
    n = x.shape[axis]
    hit = xp.equal(src, xp.take_along(y, index, axis=axis))
    if include:
        stays = xp.equal(x, y)
    else:
        stays = xp.equal(xp.put_along(xp.ones_like(index), index, axis=axis, n=n), 0)
    count = xp.put_along(xp.astype(hit, dtype="int64"), index, axis=axis, n=n)
    count = xp.add(count, xp.astype(stays, dtype="int64"))
    share = xp.divide(g, xp.astype(count, dtype=g.dtype))
    dx = xp.where(stays, share, 0.0) if needs[0] else None
    return dx, xp.where(hit, xp.take_along(share, index, axis=axis), 0.0) if needs[1] else None, None


@primitive(joint=_largest_joint, batch=along_batch)
def put_largest(np: Any, x: Any, src: Any, index: Any, *, axis: int, include: bool = True) -> Any:
    """x with, in each place that `index` names along `axis`, the largest of the src sent there, and of x if `include`.

    src and `index` (int64, in range) have x's shape but for `axis`. NaN counts as largest; equal ones share the
    gradient. By sorting, as array modules differ in what they make of maxima at repeated places.
    """
    before, n, behind = math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :])
    rows = np.arange(before).reshape(before, 1, 1) * (n * behind)
    place = (index.reshape(before, index.shape[axis], behind) * behind + rows + np.arange(behind)).reshape(-1)
    values = src.reshape(-1)
    order = np.argsort(wide(values), kind="stable")
    order = order[np.argsort(place[order], kind="stable")]
    place, values = place[order], values[order]
    last = np.ones(place.shape, bool)
    last[:-1] = place[1:] != place[:-1]
    place = np.where(last, place, x.size)  # where what is not the largest goes, to be cut off
    out = np.zeros(x.size + 1, x.dtype)
    out[: x.size] = x.reshape(-1)
    out[place] = np.maximum(out[place], values) if include else values
    return out[: x.size].reshape(x.shape)


__all__ = ["assign", "flat_positions", "put_along", "put_largest", "take_along"]
