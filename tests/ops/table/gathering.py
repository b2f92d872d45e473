"""The table's part on gathering, scattering and masks."""

from __future__ import annotations

from typing import Any

import numpy as np
from ops.case import case

import gradflow as gf
from gradflow.autograd.primitive import BIND as P
from gradflow.nn import functional as F
from gradflow.ops.index import ARRAY

NAMED = np.array([[1, 0, 2, 0], [3, 3, 0, 1]])  # along axis 1 of (2, 4)
ONCE = np.array([[1, 0, 3], [3, 2, 0]])
ROWS = np.array([2, 0, 2])
MASK = np.array([[True, False, True], [False, True, True]])
FULL = (None, None, None)


def scattered(x: np.ndarray, index: np.ndarray, src: np.ndarray, reduce: Any, axis: int = 1) -> np.ndarray:
    """x with src put where `index` says along an axis, one element at a time: reduce(old, new)."""
    out = x.copy()
    for at in np.ndindex(index.shape):
        place = (*at[:axis], index[at], *at[axis + 1 :])
        out[place] = reduce(out[place], src[at])
    return out


def added(x: np.ndarray, index: np.ndarray, src: np.ndarray) -> np.ndarray:
    return scattered(x, index, src, lambda old, new: old + new)


def written(x: np.ndarray, index: Any, v: Any) -> np.ndarray:
    out = x.copy()
    out[index] = v
    return out


def mean(x: np.ndarray, index: np.ndarray, src: np.ndarray) -> np.ndarray:
    return added(x, index, src) / added(np.ones_like(x), index, np.ones_like(src))


def assigned(name: str, shape: tuple[int, ...], v: tuple[int, ...], index: Any, spec: Any, *arrays: Any) -> Any:
    return case(f"assign-{name}", lambda x, v, *i: P.assign(x, v, *i, spec=spec), shape, v, c=tuple(map(np.asarray,
        arrays)),
        ref=lambda x, v, *i: written(x, index(*i), v), mixed=False)  # fmt: skip


CASES = [
    case("take_along", lambda x, i: P.take_along(x, i, axis=1), (2, 4), c=NAMED[:, :3],
        ref=lambda x, i: np.take_along_axis(x, i, 1)),
    case("take_along-first", lambda x, i: P.take_along(x, i, axis=0), (4, 2, 2), c=NAMED.reshape(2, 2, 2) - 4,
        ref=lambda x, i: np.take_along_axis(x, i, 0)),
    case("put_along", lambda g, i: P.put_along(g, i, axis=1, n=4), (2, 4), c=NAMED,
        ref=lambda g, i: added(np.zeros((2, 4)), i, g)),
    case("put_along-middle", lambda g, i: P.put_along(g, i, axis=1, n=5), (2, 2, 2), c=NAMED.reshape(2, 2, 2) - 5,
        ref=lambda g, i: scattered(np.zeros((2, 5, 2)), i, g, np.add)),
    assigned("slice", (4, 3), (3,), lambda: slice(1, 3), ((1, 3, None),)),
    assigned("element", (4, 3), (), lambda i: i, (ARRAY,), ROWS[:2]),
    assigned("rows", (4, 3), (2, 3), lambda i: i, (ARRAY,), ROWS[:2]),
    assigned("inside", (2, 4, 2), (3, 2), lambda i: (slice(None), i), (FULL, ARRAY), np.array([0, 3, 1])),
    assigned("apart", (4, 2, 3), (2, 1), lambda i, j: (i, slice(None), j), (ARRAY, FULL, ARRAY), [3, 0], [[1], [2]]),
    assigned("none", (3, 4), (2, 1), lambda i: (1, None, i), (1, None, ARRAY), [2, 0]),
    case("put_largest", lambda x, s, i: P.put_largest(x, s, i, axis=1), (2, 4), (2, 4), c=NAMED,
        ref=lambda x, s, i: scattered(x, i, s, max), mixed=False),
    case("put_largest-alone", lambda x, s, i: P.put_largest(x, s, i, axis=1, include=False), (2, 4), (2, 3),
        c=NAMED[:, :3],
        ref=lambda x, s, i: scattered(written(x, (np.arange(2)[:, None], i), -9.0), i, s, max), mixed=False),
    case("gather", lambda x, i: gf.gather(x, 1, i), (3, 4, 2), c=np.array([[[3], [0]]]),
        ref=lambda x, i: np.take_along_axis(x[:1, :, :1], i, 1), light=True),
    case("gather-0d", lambda x, i: gf.gather(x, 0, i), (3,), c=np.array(2), ref=lambda x, i: x[i], light=True),
    case("gather-none", lambda x: gf.gather(x, 1, gf.zeros(2, 0, dtype=gf.int64, device=x.device)), (2, 3),
        ref=lambda x: x[:, :0], light=True),
    case("take", gf.take, (2, 4), c=ONCE, ref=lambda x, i: x.reshape(-1)[i], light=True),
    case("take_along_dim", lambda x, i: gf.take_along_dim(x, i, 1), (2, 4, 1), c=ONCE[:1, :, None],
        ref=lambda x, i: x[:, i[0, :, 0]], light=True),
    case("index_select", lambda x, i: gf.index_select(x, 1, i), (2, 3), c=ROWS, ref=lambda x, i: x[:, i], light=True),
    case("select", lambda x: gf.select(x, 1, -1), (2, 3), ref=lambda x: x[:, -1], light=True),
    case("narrow", lambda x: gf.narrow(x, 1, 1, 2), (2, 4), ref=lambda x: x[:, 1:3], light=True),
    case("masked_select", gf.masked_select, (2, 3), c=MASK, mapped=False, ref=lambda x, m: x[m], light=True),
    case("nonzero", lambda x, m: x * gf.nonzero(m).sum() + x[gf.nonzero(m, as_tuple=True)].sum() + gf.argwhere(m)[0,
        0], (2, 3),
        c=MASK, mapped=False, ref=lambda x, m: x * np.argwhere(m).sum() + x[m].sum(), light=True),
    case("scatter", lambda x, s, i: gf.scatter(x, 1, i, s), (2, 4), (3, 3), c=ONCE, mapped=False, mixed=False,
        ref=lambda x, s, i: scattered(x, i, s, lambda old, new: new), light=True),
    case("scatter-value", lambda x, i: gf.scatter(x, 0, i, 0.5), (4, 2), c=ONCE.T[:, :1] % 4,
        ref=lambda x, i: scattered(x, i, np.full(i.shape, 0.5), lambda old, new: new, 0), light=True),
    case("scatter-add", lambda x, i: gf.scatter(x, 1, i, 0.5, reduce="add"), (2, 4), c=NAMED,
        ref=lambda x, i: added(x, i, np.full(i.shape, 0.5)), light=True),
    case("scatter_add", lambda x, s, i: gf.scatter_add(x, 1, i, s), (3, 4), (2, 4), c=NAMED, ref=lambda x, s,
        i: added(x, i, s),
        mixed=False, light=True),
    case("scatter_reduce-sum", lambda x, s, i: gf.scatter_reduce(x, 1, i, s, "sum", include_self=False), (2, 4), (2, 3),
        c=NAMED[:, :3], mixed=False, light=True,
        ref=lambda x, s, i: added(written(x, (np.arange(2)[:, None], i), 0.0), i, s)),
    case("scatter_reduce-mean", lambda x, s, i: gf.scatter_reduce(x, 1, i, s, "mean"), (2, 4), (2, 4), c=NAMED,
        ref=lambda x, s, i: mean(x, i, s), mixed=False, light=True),
    case("scatter_reduce-amin", lambda x, s, i: gf.scatter_reduce(x, 1, i, s, "amin"), (3, 4), (2, 4), c=NAMED,
        ref=lambda x, s, i: scattered(x, i, s, min), mixed=False, light=True),
    case("index_add", lambda x, s, i: gf.index_add(x, 1, i, s, alpha=2.0), (2, 3), (2, 3), c=ROWS, mixed=False,
        light=True,
        ref=lambda x, s, i: added(x, np.stack([i, i]), 2 * s)),
    case("index_copy", lambda x, s, i: gf.index_copy(x, 0, i, s), (3, 2), (2, 2), c=ROWS[:2], mixed=False, light=True,
        ref=lambda x, s, i: written(x, i, s)),
    case("index_fill", lambda x, v, i: gf.index_fill(x, 1, i, v), (2, 3), (), c=ROWS, light=True, mixed=False,
        ref=lambda x, v, i: written(x, (slice(None), i), v)),
    case("index_put", lambda x, v, i: gf.index_put(x, (i,), v, True), (3, 2), (2,), c=ROWS, mixed=False, light=True,
        ref=lambda x, v, i: x + v * np.array([[1], [0], [2]])),
    case("select_scatter", lambda x, s: gf.select_scatter(x, s, 1, 0), (2, 3), (2,), mixed=False, light=True,
        ref=lambda x, s: written(x, (slice(None), 0), s)),
    case("slice_scatter", lambda x, s: gf.slice_scatter(x, s, 1, 0, None, 2), (2, 3), (2, 2), mixed=False, light=True,
        ref=lambda x, s: written(x, (slice(None), slice(0, None, 2)), s)),
    case("diagonal_scatter", lambda x, s: gf.diagonal_scatter(x, s, 1), (2, 3), (2,), mixed=False, light=True,
        ref=lambda x, s: written(x, ([0, 1], [1, 2]), s)),
    case("embedding-by-frequency", lambda w, i: F.embedding(i, w, 1, scale_grad_by_freq=True), (4, 3), c=NAMED,
        numeric=False,
        ref=lambda w, i: w[i]),
    *[
        case(f"embedding_bag-{m}", lambda w, i, m=m: F.embedding_bag(i, w, mode=m), (4, 3), c=NAMED, light=True,
            ref=lambda w, i, m=m: getattr(np, m)(w[i], axis=1), numeric=m != "max")
        for m in ("sum", "mean", "max")
    ],
    case("embedding_bag-offsets", lambda w, k, i: F.embedding_bag(i, w, gf.tensor([0, 3, 3], device=w.device),
        mode="sum",
            per_sample_weights=k, padding_idx=3), (4, 3), (8,), c=NAMED.reshape(-1), mapped=False, mixed=False,
            light=True,
        ref=lambda w, k, i: np.stack([(k[:3, None] * w[i[:3]]).sum(0), 0 * w[0], ((i != 3) * k)[3:] @ w[i[3:]]])),
    case("masked_fill", lambda x, v, m: gf.masked_fill(x, m, v), (2, 3), (), c=MASK, mixed=False, light=True,
        ref=lambda x, v, m: np.where(m, v, x)),
    case("masked_scatter", lambda x, s, m: gf.masked_scatter(x, m, s), (2, 3), (5,), c=MASK, mapped=False, mixed=False,
        light=True, ref=lambda x, s, m: written(x, m, s[:4])),
]  # fmt: skip
