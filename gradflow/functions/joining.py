"""Joining tensors, and cutting them apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from ..autograd.value import Value, host_array
from ..backend.dtypes import result_type
from ..ops import shape as ops
from ..ops.elementwise import astype
from ..ops.index import getitem
from .arguments import numpy_names, one_dim, sizes_of
from .shape import atleast_1d, atleast_2d, atleast_3d, broadcast_tensors, integer, reshape, transpose, unsqueeze

WHOLE = (None, None, None)
"""A slice of all, in the spec of an index."""


def _several(op: str, tensors: Any) -> Sequence[Any]:
    if not isinstance(tensors, (tuple, list)) or not tensors:
        raise ValueError(f"[{op}] expects a non-empty list or tuple of tensors")
    for i, t in enumerate(tensors):
        if not hasattr(t, "ndim"):
            raise TypeError(f"[{op}] expects tensors, but number {i} is a {type(t).__name__}")
    return tensors


@numpy_names
def cat(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Tensors joined along a dimension they have; the other sizes must agree."""
    given = tensors = _several("cat", tensors)
    if any([t.ndim != 1 for t in tensors]):  # as in PyTorch, tensors of shape (0,) count for the dtype only
        tensors = [t for t in tensors if tuple(t.shape) != (0,)]
    first = tensors[0]
    d = one_dim("cat", first, dim)
    for i, t in enumerate(tensors):
        if t.ndim != first.ndim or any(
            a != b for k, (a, b) in enumerate(zip(t.shape, first.shape, strict=True)) if k != d
        ):
            raise ValueError(
                f"[cat] tensor 0 {tuple(first.shape)} and tensor {i} {tuple(t.shape)} may differ in dim {dim} only"
            )
    out = ops.cat(*tensors, axis=d)
    dtype = out.dtype if len(tensors) == len(given) else result_type(*given)
    return out if out.dtype == dtype else astype(out, dtype=dtype)


concat = concatenate = cat


@numpy_names
def stack(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Tensors of one shape joined along a new dimension."""
    tensors = _several("stack", tensors)
    for i, t in enumerate(tensors):
        if tuple(t.shape) != tuple(tensors[0].shape):
            raise ValueError(
                f"[stack] tensor {i} {tuple(t.shape)} has not the shape {tuple(tensors[0].shape)} of tensor 0"
            )
    return cat([unsqueeze(t, dim) for t in tensors], dim)


def hstack(tensors: Sequence[Any]) -> Any:
    """Tensors joined along dim 1, those of one dimension along it."""
    parts = [atleast_1d(t) for t in _several("hstack", tensors)]
    return cat(parts, 0 if parts[0].ndim == 1 else 1)


def vstack(tensors: Sequence[Any]) -> Any:
    """Tensors of two dimensions or more (others count as rows), joined along the first."""
    return cat([atleast_2d(t) for t in _several("vstack", tensors)], 0)


row_stack = vstack


def dstack(tensors: Sequence[Any]) -> Any:
    """Tensors of three dimensions or more (see `atleast_3d`), joined along the third."""
    return cat([atleast_3d(t) for t in _several("dstack", tensors)], 2)


def column_stack(tensors: Sequence[Any]) -> Any:
    """Tensors joined along dim 1; those of fewer than two dimensions are columns."""
    return cat([t if t.ndim > 1 else reshape(t, -1, 1) if t.ndim else reshape(t, 1, 1)
                for t in _several("column_stack", tensors)], 1)  # fmt: skip


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Any, ...]:
    """Grids of the coordinates in 1-D tensors of sizes n, m, ...: each (n, m, ...), or (m, n, ...) if indexing="xy"."""
    given = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else tensors
    _several("meshgrid", given)
    if indexing not in ("ij", "xy"):
        raise ValueError(f"[meshgrid] indexing must be 'ij' or 'xy', got {indexing!r}")
    if any(t.ndim > 1 for t in given):
        raise ValueError(f"[meshgrid] needs tensors of one dimension, got {[tuple(t.shape) for t in given]}")
    if len({t.dtype for t in given}) > 1:
        raise TypeError(f"[meshgrid] needs tensors of one dtype, got {[str(t.dtype) for t in given]}")
    n = len(given)
    grids = broadcast_tensors(*[reshape(t, *[-1 if k == i else 1 for k in range(n)]) for i, t in enumerate(given)])
    return tuple([transpose(g, 0, 1) for g in grids]) if indexing == "xy" and n > 1 else grids


def cartesian_prod(*tensors: Any) -> Any:
    """All combinations of one element of each 1-D tensor, (product of their sizes, number of tensors); of a single
    tensor, that tensor."""
    if any(t.ndim != 1 for t in _several("cartesian_prod", tensors)):
        raise ValueError(f"[cartesian_prod] needs tensors of one dimension, got {[tuple(t.shape) for t in tensors]}")
    if len(tensors) == 1:
        return tensors[0]
    return reshape(stack(meshgrid(*tensors), -1), math.prod([t.shape[0] for t in tensors]), len(tensors))


# -- cutting -----------------------------------------------------------------------------------------------------------


@numpy_names
def split(x: Any, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Any, ...]:
    """x cut along a dimension: into pieces of a size (the last may be smaller), or into pieces of the sizes given."""
    d = one_dim("split", x, dim)
    n = x.shape[d]
    if not isinstance(split_size_or_sections, (tuple, list)):
        step = integer("split", "the size of a piece", split_size_or_sections)
        if step < 0 or (step == 0 and n):
            raise ValueError(f"[split] the size of a piece must be positive, got {step}")
        sizes = [n] if step == 0 else [step] * (n // step) + ([n % step] if n % step else []) or [0]
    else:
        sizes = list(sizes_of("split", tuple(split_size_or_sections)))
        total = 0
        for size in sizes:
            total += size
        if total != n or any(size < 0 for size in sizes):
            raise ValueError(f"[split] sizes {sizes} do not add up to dim {dim} of x {tuple(x.shape)}")
    return ops.split(x, sizes=tuple(sizes), axis=d)  # type: ignore[no-any-return]


@numpy_names
def chunk(x: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """x cut along a dimension into `chunks` pieces of one size, the last smaller; or into fewer, where that leaves
    nothing for the last."""
    if integer("chunk", "chunks", chunks) < 1:
        raise ValueError(f"[chunk] chunks must be positive, got {chunks}")
    n = x.shape[one_dim("chunk", x, dim)]
    return split(x, -(-n // chunks) if n else [0] * chunks, dim)


@numpy_names
def tensor_split(x: Any, indices_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """x cut along a dimension: into a number of pieces whose sizes differ by one at most, larger ones first, or before
    the indices given."""
    d = one_dim("tensor_split", x, dim)
    n = x.shape[d]
    if isinstance(indices_or_sections, Value):
        if indices_or_sections.ndim > 1 or indices_or_sections.dtype.kind not in "iu":
            raise ValueError("[tensor_split] indices must be an integer tensor of one dimension at most")
        indices_or_sections = host_array(indices_or_sections, "tensor_split").tolist()
    if not isinstance(indices_or_sections, (tuple, list)):
        count = integer("tensor_split", "the number of pieces", indices_or_sections)
        if count < 1:
            raise ValueError(f"[tensor_split] the number of pieces must be positive, got {count}")
        return ops.split(x, sizes=tuple([n // count + (i < n % count) for i in range(count)]), axis=d)  # type: ignore[no-any-return]
    cuts = [None, *sizes_of("tensor_split", tuple(indices_or_sections)), None]
    return tuple([getitem(x, spec=(*(WHOLE,) * d, (a, b, None))) for a, b in pairwise(cuts)])


def _split_along(op: str, x: Any, indices_or_sections: Any, dim: int, least: int) -> tuple[Any, ...]:
    if x.ndim < least:
        raise ValueError(f"[{op}] needs {least} dimensions or more, got x {tuple(x.shape)}")
    if isinstance(indices_or_sections, int) and (indices_or_sections < 1 or x.shape[dim] % indices_or_sections):
        raise ValueError(f"[{op}] dim {dim} of x {tuple(x.shape)} cannot be cut into {indices_or_sections} equal parts")
    return tensor_split(x, indices_or_sections, dim)


def hsplit(x: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """x cut along dim 1 (of one dimension: along it), into equal pieces or before indices."""
    return _split_along("hsplit", x, indices_or_sections, 0 if x.ndim == 1 else 1, 1)


def vsplit(x: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """x cut along dim 0, into equal pieces or before indices."""
    return _split_along("vsplit", x, indices_or_sections, 0, 2)


def dsplit(x: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """x cut along dim 2, into equal pieces or before indices."""
    return _split_along("dsplit", x, indices_or_sections, 2, 3)


@numpy_names
def unbind(x: Any, dim: int = 0) -> tuple[Any, ...]:
    """The slices of x along a dimension, which leaves: views."""
    d = one_dim("unbind", x, dim)
    rest = (*x.shape[:d], *x.shape[d + 1 :])
    return tuple([ops.reshape(part, shape=rest) for part in ops.split(x, sizes=(1,) * x.shape[d], axis=d)])


__all__ = [
    "cartesian_prod", "cat", "chunk", "column_stack", "concat", "concatenate", "dsplit", "dstack", "hsplit", "hstack",
    "meshgrid", "row_stack", "split", "stack", "tensor_split", "unbind", "vsplit", "vstack",
]  # fmt: skip
