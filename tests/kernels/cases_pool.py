"""Kernel cases of pooling."""

from __future__ import annotations

from typing import Any

import numpy as np
from kernels.harness import DTYPES, KernelCase, kernel_case, randoms

from gradflow.ops.pool import Walk, adaptive, strided

Pair = tuple[int, int]


def maxima(
    x: tuple[int, ...], kernel: Pair, stride: Pair, padding: Pair = (0, 0), dilation: Pair = (1, 1),
    dtypes: tuple[str, ...] = DTYPES,
) -> list[KernelCase]:  # fmt: skip
    """max_pool2d, and what carries its cotangents, with one geometry."""
    rows, cols = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(x[2:], kernel, stride, padding, dilation, strict=True)
    ]
    static: dict[str, Any] = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    static |= {"out": (rows, cols), "dtypes": dtypes}
    y, positions = (*x[:2], rows, cols), kernel[0] * kernel[1]
    where = np.random.default_rng(positions).integers(positions, size=y).astype("u1" if positions <= 256 else "i4")
    geometry = f"{'x'.join(map(str, x))}-{kernel}-{stride}-{padding}-{dilation}".replace(" ", "")
    return [
        kernel_case("max_pool2d", x, id=f"max_pool2d-{geometry}", **static),
        kernel_case("pool_pick", x, where, id=f"pool_pick-{geometry}", **static),
        kernel_case("pool_place", y, where, id=f"pool_place-{geometry}", x_shape=x, **static),
    ]


def averages(
    name: str, x: tuple[int, ...], rows: Walk, cols: Walk, divisor: int | None = None, padding: bool = False,
    dtypes: tuple[str, ...] = DTYPES,
) -> list[KernelCase]:  # fmt: skip
    """avg_pool2d and its transpose."""
    static: dict[str, Any] = {"rows": rows, "cols": cols, "divisor": divisor, "padding": padding, "dtypes": dtypes}
    y = (*x[:2], rows.windows, cols.windows)
    return [
        kernel_case("avg_pool2d", x, id=f"avg_pool2d-{name}", **static),
        kernel_case("avg_pool2d_backward", y, id=f"avg_pool2d_backward-{name}", x_shape=x, **static),
    ]


F4, F4_F2 = ("f4",), ("f4", "f2")
LOW = np.where(randoms((2, 3, 6, 7)) > 1, randoms((2, 3, 6, 7), "low"), -np.inf)
LOW_WINDOWS: dict[str, Any] = {"kernel": (3, 2), "stride": (1, 2), "padding": (1, 1), "dilation": (2, 1), "out": (4, 4)}
CASES = [
    *maxima((2, 8, 6, 6), (2, 2), (2, 2)),
    *maxima((3, 16, 24, 25), (2, 2), (2, 2), dtypes=F4),
    *maxima((2, 3, 7, 5), (3, 3), (2, 2), (1, 1), dtypes=F4),
    *maxima((1, 4, 6, 7), (3, 3), (1, 1), (1, 1)),
    *maxima((1, 5, 6, 7), (2, 3), (1, 2), (0, 1), (2, 1), dtypes=F4_F2),
    *maxima((2, 6, 9, 11), (3, 2), (2, 3), (1, 0), (3, 4), dtypes=F4),
    *maxima((1, 2, 7, 8), (2, 2), (3, 4), dtypes=F4),
    *maxima((1, 2, 17, 18), (16, 16), (1, 2), dtypes=F4),
    *maxima((1, 8, 20, 18), (17, 16), (2, 1), (8, 0), dtypes=F4_F2),
    *maxima((1, 1, 1, 1), (1, 1), (1, 1), dtypes=F4),
    *maxima((0, 3, 4, 4), (2, 2), (2, 2), dtypes=F4),
    kernel_case("max_pool2d", LOW, id="max_pool2d-windows-of-infinity", dtypes=F4_F2, **LOW_WINDOWS),
    *averages("plain", (2, 8, 6, 6), strided(2, 2, 0, 3), strided(2, 2, 0, 3)),
    *averages("large", (3, 16, 24, 25), strided(2, 2, 0, 12), strided(2, 2, 0, 12), dtypes=F4),
    *averages("padded", (2, 3, 7, 5), strided(3, 2, 1, 4), strided(3, 2, 1, 3), padding=True),
    *averages("padding-not-counted", (1, 4, 7, 6), strided(3, 1, 1, 7), strided(2, 1, 1, 7), dtypes=F4),
    *averages("ceil", (1, 2, 6, 7), strided(4, 3, 1, 3), strided(4, 3, 1, 3), padding=True, dtypes=F4),
    *averages("divisor", (1, 2, 5, 7), strided(2, 3, 0, 2), strided(2, 3, 0, 2), divisor=3, dtypes=F4),
    *averages("adaptive", (2, 4, 5, 7), adaptive(5, 3), adaptive(7, 2)),
    *averages("adaptive-growing", (1, 3, 3, 4), adaptive(3, 6), adaptive(4, 6), dtypes=F4),
    *averages("global", (5, 40, 9, 7), adaptive(9, 1), adaptive(7, 1)),
    *averages("global-few-channels", (5, 3, 12, 11), adaptive(12, 1), adaptive(11, 1), dtypes=F4_F2),
    *averages("huge", (1, 2, 66, 65), adaptive(66, 1), adaptive(65, 1), dtypes=F4),
    *averages("wide-windows", (1, 17, 13, 12), strided(6, 3, 2, 4), strided(7, 2, 3, 6), padding=True, dtypes=F4),
    *averages("one", (1, 1, 1, 1), adaptive(1, 1), adaptive(1, 1), dtypes=F4),
    *averages("empty", (0, 3, 4, 4), adaptive(4, 2), adaptive(4, 2), dtypes=F4),
]
