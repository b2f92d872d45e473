"""Primitives for parts of matrices, and for sliding windows."""

from __future__ import annotations

from typing import Any

import numpy

from ..autograd.batch import shifted
from ..autograd.define import primitive
from ..autograd.value import backend_under
from .index import ARRAY


def _behind(size: int, ndim: int, static: dict[str, Any]) -> dict[str, Any]:
    return dict(static, axis1=static["axis1"] + 1, axis2=static["axis2"] + 1)


@primitive(
    vjps=(
        lambda xp, g, x_shape, offset, axis1, axis2: xp.place_diagonal(
            g, offset=offset, axis1=axis1, axis2=axis2, sizes=(x_shape[axis1], x_shape[axis2])
        ),
    ),
    batch=shifted(_behind),
    linear=(0,),
    view=True,
)
def diagonal(np: Any, x: Any, *, offset: int, axis1: int, axis2: int) -> Any:
    """x[i, i + offset] along two axes (counted from 0), which leave; the diagonal comes last. A view, which can be
    written, as NumPy's own cannot."""
    part = np.moveaxis(x, (axis1, axis2), (-2, -1))[..., max(-offset, 0) :, max(offset, 0) :]
    *strides, row, column = part.strides
    shape = (*part.shape[:-2], min(part.shape[-2:]))
    return np.lib.stride_tricks.as_strided(part, shape, (*strides, row + column))


@primitive(
    vjps=(lambda xp, g, offset, axis1, axis2: xp.diagonal(g, offset=offset, axis1=axis1, axis2=axis2),),
    batch=shifted(_behind),
    linear=(0,),
)
def place_diagonal(np: Any, g: Any, *, offset: int, axis1: int, axis2: int, sizes: tuple[int, int]) -> Any:
    """Zeros with g's last axis on a diagonal of two axes of the given sizes: the transpose of `diagonal`."""
    out = np.zeros((*g.shape[:-1], *sizes), g.dtype)
    steps = np.arange(g.shape[-1])
    out[..., steps - min(offset, 0), steps + max(offset, 0)] = g
    return np.moveaxis(out, (-2, -1), (axis1, axis2))


@primitive(vjps=(lambda xp, g, k: xp.tril(g, k=k),), batch=shifted(lambda size, ndim, s: s), linear=(0,))
def tril(np: Any, x: Any, *, k: int) -> Any:
    """Zeros above the k-th diagonal of the last two axes."""
    return np.tril(x, k)


@primitive(vjps=(lambda xp, g, k: xp.triu(g, k=k),), batch=shifted(lambda size, ndim, s: s), linear=(0,))
def triu(np: Any, x: Any, *, k: int) -> Any:
    """Zeros below the k-th diagonal of the last two axes."""
    return np.triu(x, k)


def _windows_vjp(xp: Any, g: Any, x_shape: Any, axis: int, size: int, step: int) -> Any:
    ndim = len(g.shape)
    seen = (numpy.arange(g.shape[axis]) * step)[:, None] + numpy.arange(size)
    g = xp.transpose(g, axes=(*range(axis + 1), ndim - 1, *range(axis + 1, ndim - 1)))
    spec = (*((None, None, None),) * axis, ARRAY)
    return xp.scatter_add(g, backend_under(g).from_host(seen), spec=spec, shape=x_shape)


@primitive(
    vjps=(_windows_vjp,),
    batch=shifted(lambda size, ndim, s: dict(s, axis=s["axis"] + 1)),
    linear=(0,),
    view=True,
)
def windows(np: Any, x: Any, *, axis: int, size: int, step: int) -> Any:
    """The windows of `size` elements that begin every `step` along an axis (counted from 0), their elements in a new
    last axis: a read-only view."""
    view = np.lib.stride_tricks.sliding_window_view(x, size, axis)
    return view[tuple([slice(None)] * axis + [slice(None, None, step)])]


__all__ = ["diagonal", "place_diagonal", "tril", "triu", "windows"]
