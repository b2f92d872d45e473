"""The table's part on convolutions of one and three axes, and on transposed ones. Of two axes: `layers.py`."""

from __future__ import annotations

from typing import Any

import numpy as np
from ops.case import Case, case

from gradflow.nn import functional as F


def convolve(
    x: np.ndarray, w: np.ndarray, b: Any = None, stride: int = 1, before: Any = 0, after: Any = None, dilation: int = 1,
    groups: int = 1,
) -> np.ndarray:  # fmt: skip
    """Convolution over any number of axes, one output pixel at a time; `before` and `after`: zeros around each axis."""
    rank, (k, cg, *kernel) = x.ndim - 2, w.shape
    around = [(before, before if after is None else after)] * rank
    x = np.pad(x, [(0, 0), (0, 0), *around])
    size = [(n - dilation * (s - 1) - 1) // stride + 1 for n, s in zip(x.shape[2:], kernel, strict=True)]
    y = np.zeros((len(x), k, *size))
    for out, *at in np.ndindex(k, *size):
        first = out // (k // groups) * cg
        seen = [
            slice(a * stride, a * stride + dilation * (s - 1) + 1, dilation) for a, s in zip(at, kernel, strict=True)
        ]
        window = x[(slice(None), slice(first, first + cg), *seen)]
        y[(slice(None), out, *at)] = (window * w[out]).sum(axis=tuple(range(1, rank + 2)))
    return y if b is None else y + b.reshape(-1, *[1] * rank)


def transposed(g: np.ndarray, w: np.ndarray, b: Any, size: Any, **options: Any) -> np.ndarray:
    """The transpose of `convolve`, to x of `size`, by linearity, plus a bias."""
    shape = (w.shape[1] * options.get("groups", 1), *size)
    units = np.eye(int(np.prod(shape))).reshape(-1, *shape)
    y = convolve(units, w, **options).reshape(len(units), -1)
    return (g.reshape(len(g), -1) @ y.T).reshape(len(g), *shape) + b.reshape(-1, *[1] * len(size))


CASES: list[Case] = [
    case("conv1d", lambda x, w, b: F.conv1d(x, w, b, 2, 1, 2, 2), (2, 4, 7), (2, 2, 3), (2,), rows=(0,), light=True,
        ref=lambda x, w, b: convolve(x, w, b, 2, 1, None, 2, 2)),
    case("conv1d-one-image", lambda x, w: F.conv1d(x, w, padding="same"), (2, 5), (3, 2, 2), light=True,
        ref=lambda x, w: convolve(x[None], w, before=0, after=1)[0]),
    case("conv3d", lambda x, w, b: F.conv3d(x, w, b, 2, 1, 1, 2), (2, 2, 3, 4, 3), (2, 1, 2, 3, 2), (2,), rows=(0,),
        light=True, ref=lambda x, w, b: convolve(x, w, b, 2, 1, groups=2)),
    case("conv3d-one-image", lambda x, w: F.conv3d(x, w, dilation=2, padding="same"), (1, 2, 3, 3), (1, 1, 2, 2, 2),
        light=True, ref=lambda x, w: convolve(x[None], w, before=1, dilation=2)[0]),
    case("conv_transpose1d", lambda x, w, b: F.conv_transpose1d(x, w, b, 2, 1, 1, 2, 2), (2, 4, 3), (4, 1, 3), (2,),
        rows=(0,), light=True, ref=lambda g, w, b: transposed(g, w, b, (8,), stride=2, before=1, dilation=2, groups=2)),
    case("conv_transpose1d-dilated", lambda x, w, b: F.conv_transpose1d(x, w, b, 1, 1, 2, 1, 3), (2, 3), (2, 2, 2),
        (2,), light=True,
        ref=lambda g, w, b: transposed(np.pad(g, ((0, 0), (0, 2)))[None], w, b, (6,), before=1, dilation=3)[0]),
    case("conv_transpose2d", lambda x, w, b: F.conv_transpose2d(x, w, b, 2), (2, 2, 2, 3), (2, 3, 2, 2), (3,),
        rows=(0,), light=True, ref=lambda g, w, b: transposed(g, w, b, (4, 6), stride=2)),
    case("conv_transpose2d-one-image", lambda x, w, b: F.conv_transpose2d(x, w, b), (1, 2, 2), (1, 1, 2, 2), (1,),
        light=True, ref=lambda g, w, b: transposed(g[None], w, b, (3, 3))[0]),
    case("conv_transpose3d", lambda x, w, b: F.conv_transpose3d(x, w, b, 2, 1, 1, 2), (1, 2, 2, 2, 1), (2, 1, 3, 3, 3),
        (2,), rows=(0,), light=True,
        ref=lambda g, w, b: transposed(g, w, b, (4, 4, 2), stride=2, before=1, groups=2)),
    case("conv_transpose3d-one-image", lambda x, w, b: F.conv_transpose3d(x, w, b), (1, 2, 1, 1), (1, 1, 2, 1, 2), (1,),
        light=True, ref=lambda g, w, b: transposed(g[None], w, b, (3, 1, 2))[0]),
]  # fmt: skip
