"""The table's part on pooling of one and three axes, on indices of maxima and on what is made of pooling."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from ops.case import Case, Positive, case

from gradflow.nn import functional as F


def windows(
    x: np.ndarray, k: int, s: int, p: int = 0, d: int = 1, *, reduce: Any = np.max, fill: float = -np.inf
) -> Any:
    """`reduce` of each window of x (N, C, *axes) as (N, C, -1), one window at a time."""
    rank = x.ndim - 2
    x = np.pad(x, [(0, 0), (0, 0), *[(p, p)] * rank], constant_values=fill)
    size = [(n - d * (k - 1) - 1) // s + 1 for n in x.shape[2:]]
    y = np.zeros((*x.shape[:2], *size))
    for at in np.ndindex(*size):
        seen = x[(slice(None), slice(None), *[slice(a * s, a * s + d * (k - 1) + 1, d) for a in at])]
        y[(slice(None), slice(None), *at)] = reduce(seen.reshape(*seen.shape[:2], -1), axis=-1)
    return y


def shares(x: np.ndarray, out: Any, reduce: Any) -> np.ndarray:
    """Adaptive pooling over any number of axes, one window at a time."""
    y = np.zeros((*x.shape[:2], *out))
    for at in np.ndindex(*out):
        seen = [slice(i * n // o, math.ceil((i + 1) * n / o)) for i, n, o in zip(at, x.shape[2:], out, strict=True)]
        y[(slice(None), slice(None), *at)] = reduce(x[(slice(None), slice(None), *seen)], axis=tuple(range(2, x.ndim)))
    return y


def placed(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The product of y and the numbers of its elements, which are all different, in the flattened images of x."""
    flat = x.reshape(*x.shape[:2], 1, -1)
    return y * (flat == y.reshape(*y.shape[:2], -1, 1)).argmax(-1).reshape(y.shape)


def product(found: Any) -> Any:
    return found[0] * found[1]


def put(x: np.ndarray, index: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    out = np.zeros((*x.shape[:2], math.prod(size)))
    np.put_along_axis(out, index.reshape(*x.shape[:2], -1), x.reshape(*x.shape[:2], -1), -1)
    return out.reshape(*x.shape[:2], *size)


PLACES = np.array([[0, 3], [4, 2]]).reshape(1, 2, 2)


CASES: list[Case] = [
    case("max_pool1d", lambda x: F.max_pool1d(x, 3, 2, 1, 2), (2, 2, 7), rows=(0,), light=True,
        ref=lambda x: windows(x, 3, 2, 1, 2)),
    case("max_pool1d-indices", lambda x: product(F.max_pool1d(x, 2, 2, 1, return_indices=True)), (2, 5), light=True,
        ref=lambda x: placed(x[None], windows(x[None], 2, 2, 1))[0]),
    case("max_pool2d-indices", lambda x: product(F.max_pool2d(x, 3, 2, 1, return_indices=True)), (2, 2, 4, 5),
        rows=(0,), light=True, ref=lambda x: placed(x, windows(x, 3, 2, 1))),
    case("max_pool3d", lambda x: F.max_pool3d(x, 2, 1, 1), (1, 2, 2, 3, 2), rows=(0,), light=True,
        ref=lambda x: windows(x, 2, 1, 1)),
    case("max_pool3d-indices", lambda x: product(F.max_pool3d(x, 2, 2, 1, return_indices=True)), (1, 2, 3, 2, 3),
        rows=(0,), light=True, ref=lambda x: placed(x, windows(x, 2, 2, 1))),
    case("avg_pool1d", lambda x: F.avg_pool1d(x, 3, 2, 1), (2, 2, 5), rows=(0,), light=True,
        ref=lambda x: windows(x, 3, 2, 1, reduce=np.mean, fill=0.0)),
    case("avg_pool3d", lambda x: F.avg_pool3d(x, 2, 1, 1), (1, 2, 2, 3, 2), rows=(0,), light=True,
        ref=lambda x: windows(x, 2, 1, 1, reduce=np.mean, fill=0.0)),
    case("avg_pool3d-divisor", lambda x: F.avg_pool3d(x, 2, divisor_override=3), (2, 2, 2, 3), light=True,
        ref=lambda x: windows(x[None], 2, 2, reduce=np.sum)[0] / 3),
    case("adaptive_avg_pool1d", lambda x: F.adaptive_avg_pool1d(x, 3), (2, 2, 7), rows=(0,), light=True,
        ref=lambda x: shares(x, (3,), np.mean)),
    case("adaptive_avg_pool3d", lambda x: F.adaptive_avg_pool3d(x, (2, None, 3)), (1, 2, 3, 2, 4), rows=(0,),
        light=True, ref=lambda x: shares(x, (2, 2, 3), np.mean)),
    case("adaptive_max_pool1d", lambda x: F.adaptive_max_pool1d(x, 3), (2, 2, 7), rows=(0,), light=True,
        ref=lambda x: shares(x, (3,), np.max)),
    case("adaptive_max_pool2d-indices", lambda x: product(F.adaptive_max_pool2d(x, (2, 3), True)), (1, 2, 3, 4),
        rows=(0,), light=True, ref=lambda x: placed(x, shares(x, (2, 3), np.max))),
    case("adaptive_max_pool3d", lambda x: product(F.adaptive_max_pool3d(x, 2, True)), (1, 2, 3, 2, 4), rows=(0,),
        light=True, ref=lambda x: placed(x, shares(x, (2, 2, 2), np.max))),
    case("lp_pool1d", lambda x: F.lp_pool1d(x, 3, 2, 1), Positive((2, 2, 4)), rows=(0,), light=True,
        ref=lambda x: np.cbrt(windows(x**3, 2, 1, reduce=np.sum))),
    case("lp_pool2d", lambda x: F.lp_pool2d(x, 2.0, 2), (2, 2, 2, 4), rows=(0,), light=True,
        ref=lambda x: np.sqrt(windows(x**2, 2, 2, reduce=np.sum))),
    case("lp_pool2d-largest", lambda x: F.lp_pool2d(x, math.inf, 2), (2, 2, 4), light=True,
        ref=lambda x: windows(np.abs(x)[None], 2, 2)[0]),
    case("lp_pool3d", lambda x: F.lp_pool3d(x, 2.0, 2), (1, 1, 2, 4, 2), rows=(0,), light=True,
        ref=lambda x: np.sqrt(windows(x**2, 2, 2, reduce=np.sum))),
    case("max_unpool1d", lambda x, i: F.max_unpool1d(x, i, 2, output_size=(5,)), (1, 2, 2), c=PLACES, light=True,
        ref=lambda x, i: put(x, i, (5,))),
    case("max_unpool2d", lambda x, i: F.max_unpool2d(x, i, 2), (1, 2, 2), c=PLACES, light=True,
        ref=lambda x, i: put(x[None], i[None], (4, 4))[0]),
    case("max_unpool3d", lambda x, i: F.max_unpool3d(x, i, 2), (1, 2, 1, 1, 2), c=PLACES.reshape(1, 2, 1, 1, 2),
        light=True, ref=lambda x, i: put(x, i, (2, 2, 4))),
]  # fmt: skip
