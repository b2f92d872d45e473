"""The table's part on normalisation by groups, examples, mean squares and neighbours, and on dropout of channels."""

from __future__ import annotations

from typing import Any

import numpy as np
from ops import reference as ref
from ops.case import Case, Positive, case

import gradflow as gf
from gradflow.nn import functional as F


def grouped(x: Any, groups: int, w: Any = None, b: Any = None) -> Any:
    """Group norm in NumPy; by instances where there are as many groups as channels."""
    y = ref.layer_norm(x.reshape(len(x), groups, -1), 1, None, None, 1e-2).reshape(x.shape)
    shape = (-1, *(1,) * (x.ndim - 2))
    return y * (1 if w is None else w.reshape(shape)) + (0 if b is None else b.reshape(shape))


def neighbours(x: Any, size: int, alpha: float, beta: float, k: float) -> Any:
    c = x.shape[1]
    sums = [np.square(x[:, max(i - size // 2, 0) : i + (size + 1) // 2]).sum(1) for i in range(c)]
    return x / (k + alpha / size * np.stack(sums, 1)) ** beta


def chance(shape: tuple[int, ...]) -> Any:
    return gf.rand(*shape, generator=gf.Generator(3), dtype=gf.float32, device="cpu").numpy()


def dropped(name: str, shape: tuple[int, ...], kept: tuple[int, ...]) -> Case:
    """Dropout of channels with p = 0.4."""
    return case(name, lambda x: getattr(F, name)(x, 0.4, True, generator=gf.Generator(3)), shape, randomness="same",
        light=True, ref=lambda x: x / 0.6 * (chance(kept) >= 0.4))  # fmt: skip


def selu_dropped(name: str, shape: tuple[int, ...], kept: tuple[int, ...]) -> Case:
    floor = -1.0507009873554805 * 1.6732632423543772
    a = (0.6 * (1 + 0.4 * floor**2)) ** -0.5
    return case(name, lambda x: getattr(F, name)(x, 0.4, True, generator=gf.Generator(3)), shape, randomness="same",
        light=True, ref=lambda x: a * np.where(chance(kept) >= 0.4, x, floor) - a * 0.4 * floor)  # fmt: skip


CASES: list[Case] = [
    case("group_norm", lambda x, w, b: F.group_norm(x, 2, w, b, 1e-2), (2, 4, 3), (4,), (4,), light=True,
        ref=lambda x, w, b: grouped(x, 2, w, b), rows=(0,)),
    case("group_norm-bare", lambda x: F.group_norm(x, 2, eps=1e-2), (2, 4), light=True, ref=lambda x: grouped(x, 2),
        rows=(0,)),
    case("instance_norm", lambda x, w, b: F.instance_norm(x, weight=w, bias=b, eps=1e-2), (2, 2, 3, 2), (2,), (2,),
        light=True, ref=lambda x, w, b: grouped(x, 2, w, b), rows=(0,)),
    case("instance_norm-running", lambda x, w, m, v: F.instance_norm(x, m, v, w, None, False, eps=1e-2), (2, 2, 3),
        (2,), (2,), Positive((2,)), light=True, ref=lambda x, w, m, v: ref.batch_norm(x, w, None, m, v, 1e-2)),
    case("rms_norm", lambda x, w: F.rms_norm(x, (3, 2), w, 1e-2), (2, 3, 2), (3, 2), light=True, rows=(0,), mixed=False,
        ref=lambda x, w: x / np.sqrt(np.square(x).mean((1, 2), keepdims=True) + 1e-2) * w),
    case("rms_norm-bare", lambda x: F.rms_norm(x, 4, eps=1e-2), (4,), light=True,
        ref=lambda x: x / np.sqrt(np.square(x).mean() + 1e-2)),
    case("local_response_norm", lambda x: F.local_response_norm(x, 4, 0.5, 0.6, 1.5), (2, 5, 3, 1), light=True,
        ref=lambda x: neighbours(x, 4, 0.5, 0.6, 1.5), rows=(0,)),
    dropped("dropout1d", (2, 3, 4), (2, 3, 1)),
    dropped("dropout2d", (2, 3, 2, 2), (2, 3, 1, 1)),
    dropped("dropout3d", (3, 2, 1, 2), (3, 1, 1, 1)),
    selu_dropped("alpha_dropout", (3, 4), (3, 4)),
    selu_dropped("feature_alpha_dropout", (2, 3, 2), (2, 3, 1)),
    case("alpha_dropout-all", lambda x: F.alpha_dropout(x, 1.0, True) + F.feature_alpha_dropout(x, 1.0), (3, 4),
        randomness="same", light=True, ref=lambda x: x),
]  # fmt: skip
