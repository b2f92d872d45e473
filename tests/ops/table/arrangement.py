"""The table's part on elements in another order, repeated, padded, and on parts of matrices."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from ops.case import case

import gradflow as gf
from gradflow.autograd.primitive import BIND as P
from gradflow.nn import functional as F


def on_diagonal(x: np.ndarray, offset: int, size: int) -> np.ndarray:
    """Matrices (..., size, size) with x's last axis on a diagonal."""
    return np.stack([np.diag(row, offset) for row in x.reshape(-1, x.shape[-1])]).reshape(*x.shape[:-1], size, size)


CASES = [
    case("flip", lambda x: gf.flip(x, (0, -1)), (2, 3, 2), ref=lambda x: x[::-1, :, ::-1], light=True),
    case("flip-named", lambda x: (gf.fliplr(x), gf.flipud(x)), (2, 3), ref=lambda x: (x[:, ::-1], x[::-1]), light=True),
    case("rot90", lambda x: (gf.rot90(x, -1), gf.rot90(x, 2)), (2, 3), ref=lambda x: (np.rot90(x, -1), np.rot90(x, 2)),
        light=True),
    case("roll", lambda x: (gf.roll(x, 4), gf.roll(x, (1, -1), (0, 1))), (3, 2),
        ref=lambda x: (np.roll(x, 4), np.roll(x, (1, -1), (0, 1))), light=True),
    case("tile", lambda x: gf.tile(x, (2,)), (2, 3), ref=lambda x: np.tile(x, (2,)), light=True),
    case("repeat", lambda x: x.repeat(2, 1, 3), (2, 3), ref=lambda x: np.tile(x, (2, 1, 3)), light=True),
    case("repeat_interleave", lambda x: gf.repeat_interleave(x, 2, 1), (2, 3), ref=lambda x: np.repeat(x, 2, 1),
        light=True),
    case("repeat_interleave-many", lambda x, n: gf.repeat_interleave(x, n, 0), (3, 2), c=np.array([2, 0, 1]),
        mapped=False,
        ref=lambda x, n: np.repeat(x, n, 0), light=True),
    case("windows", lambda x: x.unfold(1, 3, 2), (2, 7), ref=lambda x: sliding_window_view(x, 3, 1)[:, ::2]),
    case("windows-first", lambda x: P.windows(x, axis=0, size=2, step=1), (3, 2), ref=lambda x: sliding_window_view(x,
        2, 0)),
    case("tril", gf.tril, (3, 3), ref=np.tril),
    case("triu", lambda x: gf.triu(x, 1), (2, 3, 3), ref=lambda x: np.triu(x, 1)),
    case("tril_indices", lambda x: x[tuple(gf.tril_indices(3, 3, -1, device=x.device))], (3, 3),
        ref=lambda x: x[np.tril_indices(3, -1)], light=True),
    case("triu_indices", lambda x: x[tuple(gf.triu_indices(3, 2, device=x.device))], (3, 2),
        ref=lambda x: x[np.triu_indices(3, 0, 2)], light=True),
    case("diagonal", lambda x: gf.diagonal(x, 1, -1, 0), (4, 2, 3), ref=lambda x: x.diagonal(1, -1, 0)),
    case("diagonal-below", lambda x: gf.diagonal(x, -1), (3, 3), ref=lambda x: x.diagonal(-1)),
    case("diag_embed", lambda x: gf.diag_embed(x, -1), (2, 3), ref=lambda x: on_diagonal(x, -1, 4)),
    case("diag_embed-dims", lambda x: gf.diag_embed(x, 1, 2, 0), (2, 2), ref=lambda x: on_diagonal(x, 1,
        3).transpose(2, 0, 1)),
    case("diag", lambda x: (gf.diag(x), gf.diag(x[0], 1)), (3, 2), ref=lambda x: (np.diag(x), np.diag(x[0], 1)),
        light=True),
    case("diagflat", gf.diagflat, (2, 2), ref=np.diagflat, light=True),
    case("pad", lambda x: F.pad(x, (1, 2, 0, 1)), (2, 3), ref=lambda x: np.pad(x, ((0, 1), (1, 2))), light=True),
    case("pad-value", lambda x: F.pad(x, (-1, 2), value=0.5), (2, 3),
        ref=lambda x: np.pad(x[:, 1:], ((0, 0), (0, 2)), constant_values=0.5), light=True),
    *[
        case(f"pad-{mode}", lambda x, m=mode: F.pad(x, (1, 2, 1, 0), m), (2, 2, 3),
            ref=lambda x, m=theirs: np.pad(x, ((0, 0), (1, 0), (1, 2)), m), light=True)
        for mode, theirs in (("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap"))
    ],
]  # fmt: skip
