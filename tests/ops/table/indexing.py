"""The table's part on indexing."""

from __future__ import annotations

from typing import Any

import numpy as np
from ops import reference as ref
from ops.case import Case, case

import gradflow as gf
from gradflow.autograd.primitive import BIND as P
from gradflow.ops.index import parse


def indexed(name: str, shape: tuple[int, ...], index: Any, *arrays: Any, mapped: bool = True) -> list[Case]:
    """getitem, and its transpose scatter_add, at an index. `index` builds it from the index arrays."""

    def scatter(g: Any, *indices: Any) -> Any:
        x = P.zeros_like(P.broadcast_to(P.sum(g), shape=shape))
        spec, found = parse(x, index(*indices))
        return P.scatter_add(g, *found, spec=spec, shape=shape)

    hosts = tuple([np.asarray(a) for a in arrays])
    return [
        case(f"getitem-{name}", lambda x, *i: x[index(*i)], shape, c=hosts,
            ref=lambda x, *i: x[index(*i)], mapped=mapped),
        case(
            f"scatter_add-{name}", scatter, np.zeros(shape)[index(*hosts)].shape, c=hosts, mapped=mapped,
            ref=lambda g, *i: ref.scatter(g, index(*i), shape),
        ),
    ]  # fmt: skip


I4 = np.array([2, 0, 3, 0])
PICKED = np.array([[1, 0, 2], [3, 3, 0]])  # for axis 1 of (2, 4, 3)
MASK = np.array([[True, False, True], [False, True, True]])
SIGNS = np.array([[0, 1, -1], [2, 0, 0]])

CASES = [
    *indexed("int", (3, 4), lambda: 1),
    *indexed("negative", (3, 4), lambda: (-1, -2)),
    *indexed("slice", (3, 4), lambda: slice(1, None)),
    *indexed("steps", (5, 4), lambda: (slice(4, None, -2), slice(None, None, 3))),
    *indexed("empty-slice", (3, 4), lambda: slice(2, 1)),
    *indexed("none", (3, 4), lambda: (None, slice(None), None, 2)),
    *indexed("ellipsis", (2, 3, 2), lambda: (..., 1)),
    *indexed("array", (4, 3), lambda i: i, I4),
    *indexed("array-last", (3, 4), lambda i: (slice(None), i), I4 - 4),
    *indexed("array-2d", (2, 4, 2), lambda i: (slice(None), i, slice(1, None)), PICKED),
    *indexed("array-none", (4, 2), lambda i: (None, i, None), I4),
    *indexed("two-arrays", (4, 3), lambda i, j: (i, j), PICKED, np.array([0, 2, 0])),
    *indexed("arrays-apart", (4, 2, 3), lambda i, j: (i, slice(None), j), np.array([3, 0]), np.array([[1, 1], [2, 0]])),
    *indexed("arrays-apart-inside", (2, 3, 2, 3), lambda i, j: (slice(None), i, slice(None), j), I4[:2], I4[1:3] % 3),
    *indexed("arrays-around-none", (2, 4, 3), lambda i, j: (slice(None), i, None, j), I4, I4 % 3),
    *indexed("int-apart", (2, 3, 2, 4), lambda i: (slice(None), 1, slice(None), i), I4),
    *indexed("array-and-int", (2, 3, 4), lambda i: (1, slice(None), i), I4),
    *indexed("int-beside-array", (2, 3, 4), lambda i: (slice(None), 2, i), I4),
    *indexed("0d-array", (4, 2), lambda i: i, np.array(2)),
    *indexed("empty-array", (4, 2), lambda i: i, np.zeros((0,), int)),
    *indexed("mask", (2, 3), lambda m: m, MASK, mapped=False),
    *indexed("mask-part", (2, 2, 3), lambda m: (slice(None), m), MASK, mapped=False),
    *indexed("bool", (2, 3), lambda: (slice(None), True))[:1],
    *indexed("mask-and-array", (3, 4), lambda m, i: (m, i), MASK[0], np.array([1, 3]), mapped=False),
    case("getitem-function", lambda x: gf.getitem(x, [[0, 2]]), (3, 2), ref=lambda x: x[[[0, 2]]]),
    case("pick", lambda x, i: P.pick(x, i, axis=1), (2, 4, 3), c=PICKED,
        ref=lambda x, i: np.take_along_axis(x, i[:, None], 1)[:, 0]),
    case("pick-last", lambda x, i: P.pick(x, i, axis=2), (2, 3, 4), c=PICKED,
        ref=lambda x, i: np.take_along_axis(x, i[..., None], 2)[..., 0]),
    case("place", lambda g, i: P.place(g, i, axis=1, n=4), (2, 3), c=PICKED, ref=lambda g, i: ref.place(g, i, 1, 4)),
    case("place-first", lambda g, i: P.place(g, i, axis=0, n=5), (2, 3), c=PICKED,
        ref=lambda g, i: ref.place(g, i, 0, 5)),
]  # fmt: skip
