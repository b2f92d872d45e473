"""Elements in another order, repeated, or chosen by their place in a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd.tape import MAIN
from ..autograd.value import Value, backend_under, host_array, make
from ..backend.device import DeviceLike, get_backend
from ..backend.dtypes import as_dtype
from ..ops import arrange as ops
from ..ops import shape as shapes
from ..ops.elementwise import contiguous
from ..ops.index import ARRAY, getitem
from .arguments import one_dim, sizes_of
from .joining import WHOLE, cat
from .shape import integers, loose_dim, ravel, reshape, transpose, unsqueeze

BACKWARDS = (None, None, -1)

# -- another order -----------------------------------------------------------------------------------------------------


def flip(x: Any, *along: Any, dims: Any = None) -> Any:
    """x in reverse order along dimensions: a copy."""
    given = integers("flip", along, dims)
    along = tuple([loose_dim("flip", x, d) for d in given])
    if len(set(along)) != len(along):
        raise ValueError(f"[flip] dims {given} name a dimension twice (x {tuple(x.shape)})")
    return contiguous(getitem(x, spec=tuple([BACKWARDS if d in along else WHOLE for d in range(x.ndim)])))


def fliplr(x: Any) -> Any:
    """x in reverse order along dim 1."""
    if x.ndim < 2:
        raise ValueError(f"[fliplr] needs two dimensions or more, got x {tuple(x.shape)}")
    return flip(x, 1)


def flipud(x: Any) -> Any:
    """x in reverse order along dim 0."""
    if x.ndim < 1:
        raise ValueError("[flipud] needs one dimension or more, got x ()")
    return flip(x, 0)


def rot90(x: Any, k: int = 1, dims: Sequence[int] = (0, 1)) -> Any:
    """x turned by k times 90 degrees in the plane of two dimensions, from the first towards the second."""
    if len(dims) != 2 or x.ndim < 2:
        raise ValueError(f"[rot90] turns in two dimensions, got dims {dims} for x {tuple(x.shape)}")
    a, b = [one_dim("rot90", x, d) for d in dims]
    if a == b:
        raise ValueError(f"[rot90] dims {dims} name a dimension twice (x {tuple(x.shape)})")
    turns = k % 4
    if turns in (0, 2):
        return flip(x, (a, b) if turns else ())
    return transpose(flip(x, b if turns == 1 else a), a, b)


def roll(x: Any, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> Any:
    """x moved on by `shifts` along dimensions, what leaves at the end coming back at the start; without dims, x is
    moved as if it were flat."""
    by = sizes_of("roll", (shifts,))
    if dims is None or (isinstance(dims, (tuple, list)) and not dims):
        if len(by) != 1:
            raise ValueError(f"[roll] without dims takes one shift, got {shifts}")
        return reshape(roll(ravel(x), by, 0), tuple(x.shape))
    along = [one_dim("roll", x, d) for d in sizes_of("roll", (dims,))]
    if len(by) != len(along):
        raise ValueError(f"[roll] needs one shift for each dimension, got {shifts} for dims {dims}")
    total: dict[int, int] = {}
    for d, n in zip(along, by, strict=True):
        total[d] = total.get(d, 0) + n
    for d, n in total.items():
        cut = -n % x.shape[d] if x.shape[d] else 0
        lead = (WHOLE,) * d
        x = cat([getitem(x, spec=(*lead, (cut, None, None))), getitem(x, spec=(*lead, (None, cut, None)))], d)
    return x


# -- repeated ----------------------------------------------------------------------------------------------------------


def repeat(x: Any, *times: Any, repeats: Any = None) -> Any:
    """x repeated as a whole, a number of times along each dimension; further numbers are for new leading dimensions."""
    times = integers("repeat", times, repeats)
    lead = len(times) - x.ndim
    if lead < 0 or any(n < 0 for n in times):
        raise ValueError(f"[repeat] needs a number, 0 or more, for each dimension of x {tuple(x.shape)}, got {times}")
    shape = ((1,) * lead) + tuple(x.shape)
    pairs = [size for n, size in zip(times, shape, strict=True) for size in (n, size)]
    apart = shapes.reshape(x, shape=tuple([size for n in shape for size in (1, n)]))
    copied = contiguous(shapes.broadcast_to(apart, shape=tuple(pairs)))
    return shapes.reshape(copied, shape=tuple([n * size for n, size in zip(times, shape, strict=True)]))


def tile(x: Any, *times: Any, dims: Any = None) -> Any:
    """x repeated as a whole; where fewer numbers than dimensions are given, they are for the last ones."""
    times = integers("tile", times, dims)
    return repeat(x, (*(1,) * (x.ndim - len(times)), *times))


def repeat_interleave(
    x: Any, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Any:  # fmt: skip
    """Each slice of x along a dimension (of x flattened, without one) repeated in its place: all equally often, or as
    often as the integers in `repeats` say, which has to wait for the device. `output_size` is not needed.

    Without `repeats`, x holds them, for the indices 0, 1, 2, ...
    """
    if repeats is None:
        index = make(backend_under(x).from_host(np.arange(len(x))), MAIN)
        return repeat_interleave(index, x, 0, output_size=output_size)
    if dim is None:
        x, dim = ravel(x), 0
    d = one_dim("repeat_interleave", x, dim)
    n = x.shape[d]
    if isinstance(repeats, int):
        if repeats < 0:
            raise ValueError(f"[repeat_interleave] repeats must not be negative, got {repeats}")
        apart = unsqueeze(x, d + 1)
        grown = shapes.broadcast_to(apart, shape=(*x.shape[: d + 1], repeats, *x.shape[d + 1 :]))
        return shapes.reshape(contiguous(grown), shape=(*x.shape[:d], n * repeats, *x.shape[d + 1 :]))
    counts = host_array(repeats, "repeat_interleave") if isinstance(repeats, Value) else np.asarray(repeats)
    if counts.dtype.kind not in "iu" or counts.ndim > 1 or counts.size not in (1, n) or (counts < 0).any():
        raise ValueError(
            f"[repeat_interleave] repeats must be one integer, 0 or more, or one for each of the {n} slices, got "
            f"{counts.tolist()}"
        )
    index = np.repeat(np.arange(n), counts if counts.size == n else counts.reshape(-1)[0])
    if output_size is not None and output_size != len(index):
        raise ValueError(f"[repeat_interleave] output_size is {output_size}, but the repeats add up to {len(index)}")
    return getitem(x, backend_under(x).from_host(index), spec=(*(WHOLE,) * d, ARRAY))


def unfold(x: Any, dimension: int, size: int, step: int) -> Any:
    """The windows of `size` elements that begin every `step` along a dimension, their elements in a new last one: a
    read-only view."""
    if not x.ndim:
        return getitem(unfold(reshape(x, 1), dimension, size, 1), spec=(0,))
    d = one_dim("unfold", x, dimension)
    if not 0 <= size <= x.shape[d] or step <= 0:
        raise ValueError(
            f"[unfold] needs 0 <= size <= {x.shape[d]} and step > 0, got size {size}, step {step} (x {tuple(x.shape)})"
        )
    return ops.windows(x, axis=d, size=size, step=step)


# -- parts of matrices -------------------------------------------------------------------------------------------------


def _matrix(op: str, x: Any) -> Any:
    if x.ndim < 2:
        raise ValueError(f"[{op}] needs two dimensions or more, got x {tuple(x.shape)}")
    return x


def tril(x: Any, diagonal: int = 0) -> Any:
    """x (..., n, m) with zeros above a diagonal: above the main one is 1 and further, below it -1."""
    return ops.tril(_matrix("tril", x), k=diagonal)


def triu(x: Any, diagonal: int = 0) -> Any:
    """x (..., n, m) with zeros below a diagonal: above the main one is 1 and further, below it -1."""
    return ops.triu(_matrix("triu", x), k=diagonal)


def _indices(op: str, of: Any, row: int, col: int, offset: int, dtype: Any, device: DeviceLike) -> Any:
    rows, columns, k = sizes_of(op, (row, col, offset))
    if rows < 0 or columns < 0:
        raise ValueError(f"[{op}] row and col must not be negative, got {row} and {col}")
    return make(get_backend(device).from_host(np.stack(of(rows, k, columns)).astype(as_dtype(dtype))), MAIN)


def tril_indices(row: int, col: int, offset: int = 0, *, dtype: Any = np.int64, device: DeviceLike = None) -> Any:
    """(2, k): rows and columns of the elements of a (row, col) matrix on and below a diagonal."""
    return _indices("tril_indices", np.tril_indices, row, col, offset, dtype, device)


def triu_indices(row: int, col: int, offset: int = 0, *, dtype: Any = np.int64, device: DeviceLike = None) -> Any:
    """(2, k): rows and columns of the elements of a (row, col) matrix on and above a diagonal."""
    return _indices("triu_indices", np.triu_indices, row, col, offset, dtype, device)


def diagonal(x: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """A diagonal of two dimensions, as the last dimension of the result: a view."""
    a, b = one_dim("diagonal", x, dim1), one_dim("diagonal", x, dim2)
    if a == b:
        raise ValueError(f"[diagonal] dim1 {dim1} and dim2 {dim2} are the same dimension (x {tuple(x.shape)})")
    return ops.diagonal(x, offset=offset, axis1=a, axis2=b)


def diag_embed(x: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Zeros with x's last dimension on a diagonal of two new dimensions, which stand at dim1 and dim2 of the result."""
    if not x.ndim:
        raise ValueError("[diag_embed] needs one dimension or more, got x ()")
    n = x.ndim + 1
    for d in (dim1, dim2):
        if not -n <= d < n:
            raise IndexError(f"[diag_embed] dim {d} is out of range for a result of {n} dimensions")
    a, b = dim1 % n, dim2 % n
    if a == b:
        raise ValueError(f"[diag_embed] dim1 {dim1} and dim2 {dim2} are the same dimension")
    size = x.shape[-1] + abs(offset)
    return ops.place_diagonal(x, offset=offset, axis1=a, axis2=b, sizes=(size, size))


def diag(x: Any, diagonal: int = 0) -> Any:
    """A matrix's diagonal, or a matrix with the vector x on its diagonal."""
    if x.ndim not in (1, 2):
        raise ValueError(f"[diag] needs a vector or a matrix, got x {tuple(x.shape)}")
    if x.ndim == 1:
        return diag_embed(x, diagonal)
    return contiguous(ops.diagonal(x, offset=diagonal, axis1=0, axis2=1))


def diagflat(x: Any, offset: int = 0) -> Any:
    """A matrix with the elements of x on a diagonal."""
    return diag_embed(ravel(x), offset)


__all__ = [
    "diag", "diag_embed", "diagflat", "diagonal", "flip", "fliplr", "flipud", "repeat_interleave", "roll", "rot90",
    "tile", "tril", "tril_indices", "triu", "triu_indices",
]  # fmt: skip
