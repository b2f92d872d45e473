"""Primitives that move elements without changing them: reshape, transpose, broadcasting, joining and splitting."""

from __future__ import annotations

from typing import Any

from ..autograd.batch import shifted, spread
from ..autograd.define import primitive
from ..autograd.primitive import bind


@primitive(
    vjps=(lambda xp, g, x_shape: xp.reshape(g, shape=x_shape),),
    batch=shifted(lambda size, ndim, s: {"shape": (size, *s["shape"])}),
    linear=(0,),
    view=True,
)
def reshape(np: Any, x: Any, *, shape: tuple[int, ...]) -> Any:
    """The elements of x, in row-major order, in another shape; a view where the layout allows it."""
    return np.reshape(x, shape)


def inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    """The permutation that undoes `axes`."""
    return tuple(sorted(range(len(axes)), key=axes.__getitem__))


@primitive(
    vjps=(lambda xp, g, axes: xp.transpose(g, axes=inverse(axes)),),
    batch=shifted(lambda size, ndim, s: {"axes": (0, *[a + 1 for a in s["axes"]])}),
    linear=(0,),
    view=True,
)
def transpose(np: Any, x: Any, *, axes: tuple[int, ...]) -> Any:
    """x with its axes permuted: a view. Axes are counted from 0."""
    return np.transpose(x, axes)


def _broadcast_batch(prim: Any, level: Any, values: list[Any], flags: list[bool], static: dict[str, Any]) -> Any:
    from ..autograd.batch import pad_rank

    shape = static["shape"]
    return bind(prim, (pad_rank(values[0], len(shape)),), {"shape": (level.size, *shape)})


@primitive(vjps=(lambda xp, g: g,), batch=_broadcast_batch, linear=(0,), view=True)
def broadcast_to(np: Any, x: Any, *, shape: tuple[int, ...]) -> Any:
    """x repeated along axes of size 1 and new leading axes: a read-only view."""
    return np.broadcast_to(x, shape)


def _cat_joint(xp: Any, needs: Any, g: Any, xs_shapes: Any, axis: int) -> tuple[Any, ...]:
    results, start = [], 0
    for needed, shape in zip(needs, xs_shapes, strict=True):
        stop = start + shape[axis]
        spec = (*(((None, None, None),) * axis), (start, stop, None))
        results.append(xp.getitem(g, spec=spec) if needed else None)
        start = stop
    return tuple(results)


def _cat_batch(prim: Any, level: Any, values: list[Any], flags: list[bool], static: dict[str, Any]) -> Any:
    full = [spread(v, f, level.size) for v, f in zip(values, flags, strict=True)]
    return bind(prim, tuple(full), {"axis": static["axis"] + 1})


def _cat_jvp(xp: Any, primals: Any, tangents: Any, outs: Any, *, axis: int) -> Any:
    return xp.cat(
        *[xp.zeros_like(p) if t is None else t for p, t in zip(primals, tangents, strict=True)], axis=axis
    )  # fmt: skip


@primitive(joint=_cat_joint, batch=_cat_batch, jvp=_cat_jvp, promote="same")
def cat(np: Any, *xs: Any, axis: int) -> Any:
    """Arrays joined along an axis they already have (counted from 0)."""
    return np.concatenate(xs, axis=axis)


def _split_vjp(xp: Any, gs: Any, x_shape: Any, sizes: tuple[int, ...], axis: int) -> Any:
    example = next(g for g in gs if g is not None)
    parts = []
    for g, n in zip(gs, sizes, strict=True):
        if g is None:
            one = xp.getitem(example, spec=(*(((None, None, None),) * axis), (0, 0, None)))
            shape = (*x_shape[:axis], n, *x_shape[axis + 1 :])
            g = xp.broadcast_to(xp.reshape(xp.sum(one), shape=(1,) * len(shape)), shape=shape)
        parts.append(g)
    return xp.cat(*parts, axis=axis)


@primitive(
    vjps=(_split_vjp,),
    batch=shifted(lambda size, ndim, s: dict(s, axis=s["axis"] + 1)),
    linear=(0,),
    view=True,
)
def split(np: Any, x: Any, *, sizes: tuple[int, ...], axis: int) -> Any:
    """x cut along an axis (counted from 0) into views of the given sizes, which add up to the axis."""
    before, start, parts = (slice(None),) * axis, 0, []
    for n in sizes:
        parts.append(x[before + (slice(start, start + n),)])
        start += n
    return tuple(parts)
