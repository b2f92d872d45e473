"""Launchers of embedding, its gradient, indexing's transpose, and of checks of an index's range."""

from __future__ import annotations

from functools import partial
from math import gcd, isqrt, prod
from typing import Any

from numpy import broadcast_shapes

from ...dtypes import is_floating
from ..launcher import launcher
from ..operand import Operand
from ..plan import Planner

INDICES = ("int64", "int32", "uint8")
"""Dtypes of indices and labels that kernels read; others are cast."""


def as_index(plan: Planner, index: Operand) -> Operand:
    """Indices or labels in C order, in a dtype that kernels read."""
    return plan.contiguous(index if index.dtype.name in INDICES else plan.cast(index, "i8"))


THREADS = 1 << 16
"""How many threads keep a large GPU busy."""


@launcher("index.cu")
def check_index(plan: Planner, index: Operand, *, low: int, high: int, op: str) -> None:
    """Record a fault where an element of `index` is outside [low, high)."""
    index = as_index(plan, index)
    fault = plan.fault(op, f"indices must be in [{low}, {high})")
    plan.launch("check_index", [index.dtype], index, index.size, low, high, fault, threads=index.size)


@launcher("index.cu")
def embedding(plan: Planner, weight: Operand, index: Operand, *, padding_idx: int | None = None) -> Operand:
    weight, index = plan.contiguous(weight), as_index(plan, index)
    y = plan.empty((*index.shape, *weight.shape[1:]), weight.dtype)
    if y.size:
        n, width = weight.shape[0], prod(weight.shape[1:])
        vector = gcd(plan.vector_width(weight, y), width)
        plan.launch(
            "embedding", [weight.dtype, index.dtype, vector, plan.index_type(y)], weight, index, y, y.size // vector,
            plan.fast_div(width // vector), n, plan.fault("embedding", f"indices must be in [0, {n})"),
            threads=y.size // vector,
        )  # fmt: skip
    return y


@launcher("index.cu")
def embedding_backward(
    plan: Planner, g: Operand, index: Operand, *, rows: int, padding_idx: int | None = None
) -> Operand:
    return _scatter_rows(plan, g, index, (rows,), g.shape[index.ndim :], padding_idx)


def _scatter_rows(
    plan: Planner, g: Operand, index: Operand, picked: tuple[int, ...], rest: tuple[int, ...], skip: int | None = None
) -> Operand:
    """Zeros (*picked, *rest) with row number i of g added at place `index[i]` among `picked`, but for `skip`."""
    n, width, count = prod(picked), prod(rest), index.size
    plan.require(n < 2**31, "2**31 rows or more")
    out = plan.zeros((*picked, *rest), g.dtype)
    if out.size == 0 or count == 0:
        return out
    g = plan.contiguous(g)
    keys, order = plan.empty((count,), "i4"), plan.empty((count,), "i8")
    plan.call(partial(_sort, n=n), index, keys, order)
    vector = gcd(plan.vector_width(g, out), width)
    # as long as leaves THREADS at work, but no longer than a run of all rows has parts
    length = max(min(count * width // vector // THREADS, isqrt(count), 1024), 16)
    blocks = -(-count // length)
    parts = None if blocks == 1 else plan.empty((2 * blocks, width), g.sum_dtype)
    left_out = -1 if skip is None else skip
    plan.launch(
        "scatter_rows", [g.dtype, vector], g, keys, order, out, parts, count, n, width, length, left_out,
        threads=blocks * width // vector,
    )  # fmt: skip
    if parts is not None:
        plan.launch(
            "scatter_rows_join", [g.dtype], keys, parts, out, count, n, width, length, left_out,
            threads=blocks * width,
        )  # fmt: skip
    return out


def _sort(np: Any, index: Any, keys: Any, order: Any, n: int) -> None:
    """Sort indices, those from the end counted from the start; equal ones stay in their order (CuPy's sort is stable,
    too, and takes no other)."""
    flat = index.reshape(-1).astype("i8", copy=False)  # a small dtype may not hold n
    flat = np.where(flat < 0, flat + n, flat).astype("i4")
    order[...] = np.argsort(flat, kind="stable")
    np.take(flat, order, out=keys)


@launcher("index.cu")
def scatter_add(plan: Planner, g: Operand, *indices: Operand, spec: Any, shape: tuple[int, ...]) -> Operand:
    entries = [e for e in spec if e is not None]
    entries += [(None, None, None)] * (len(shape) - len(entries))
    whole = tuple([slice(*e) if type(e) is tuple else slice(None) if type(e) is str else e for e in entries])
    arrays = [a for a, e in enumerate(entries) if type(e) is str]
    others = [a for a, e in enumerate(entries) if type(e) is tuple]
    if not indices:
        out = plan.zeros(shape, g.dtype)
        plan.copy(out[whole], _arrays_first(g, spec, 0))
        return out
    plan.require(is_floating(g.dtype), f"g is of dtype {g.dtype}")
    picked, rest = tuple([shape[a] for a in arrays]), tuple([len(range(shape[a])[whole[a]]) for a in others])
    index = indices[0] if len(indices) == 1 else _joined(plan, indices, picked)
    axes = [*arrays, *others]
    sums = _scatter_rows(plan, _arrays_first(g, spec, index.ndim), index, picked, rest)
    sums = sums.transpose(*[axes.index(a) for a in sorted(axes)])
    if sums.shape == shape:
        return sums
    out = plan.zeros(shape, g.dtype)
    plan.copy(out[whole], sums)
    return out


def _arrays_first(g: Operand, spec: Any, ndim: int) -> Operand:
    """g with the `ndim` axes that index arrays made in front, where NumPy puts them if other entries part the arrays;
    and without its new axes."""
    advanced = [i for i, e in enumerate(spec) if type(e) is str or type(e) is int]
    together = bool(advanced) and advanced[-1] - advanced[0] == len(advanced) - 1
    lead = advanced[0] if ndim and together else 0
    kept = [i for i, e in enumerate([e for e in spec if type(e) is tuple or e is None]) if e is not None]
    kept += range(len(kept) + sum([e is None for e in spec]), g.ndim - ndim)
    return g.transpose(*range(lead, lead + ndim), *[a if a < lead else a + ndim for a in kept])


def _joined(plan: Planner, indices: tuple[Operand, ...], picked: tuple[int, ...]) -> Operand:
    """One index into dimensions `picked` taken together."""
    joined = plan.empty(broadcast_shapes(*[i.shape for i in indices]), "i8")
    plan.call(partial(_join, picked=picked), joined, *indices)
    return joined


def _join(np: Any, joined: Any, *indices: Any, picked: tuple[int, ...]) -> None:
    total: Any = 0
    for index, n in zip(indices, picked, strict=True):
        wide = index.astype("i8", copy=False)
        total = total * n + np.where(wide < 0, wide + n, wide)
    joined[...] = total


@launcher("index.cu")
def pick(plan: Planner, x: Operand, index: Operand, *, axis: int) -> Operand:
    x, index = plan.contiguous(x), as_index(plan, index)
    y, n = plan.empty(index.shape, x.dtype), x.shape[axis]
    if y.size:
        plan.launch(
            "pick", [x.dtype, index.dtype, plan.index_type(x)], x, index, y, y.size, n,
            plan.fast_div(prod(x.shape[axis + 1 :])), plan.fault("pick", f"indices must be in [{-n}, {n})"),
            threads=y.size,
        )  # fmt: skip
    return y


@launcher("index.cu")
def place(plan: Planner, g: Operand, index: Operand, *, axis: int, n: int) -> Operand:
    g, index = plan.contiguous(g), as_index(plan, index)
    out = plan.empty((*g.shape[:axis], n, *g.shape[axis:]), g.dtype)
    if out.size:
        plan.launch(
            "place", [g.dtype, index.dtype, plan.index_type(out)], g, index, out, out.size, plan.fast_div(n),
            plan.fast_div(prod(g.shape[axis:])), threads=out.size,
        )  # fmt: skip
    return out
