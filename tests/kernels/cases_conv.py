"""Kernel cases of convolution, unfold and fold."""

from __future__ import annotations

from typing import Any

from kernels.harness import DTYPES, KernelCase, kernel_case

Pair = tuple[int, int]

SUMS = {"f4": 5e-6, "f2": 4e-3, "bfloat16": 3e-2}
"""Columns and cotangents of columns are rounded to 16 bits on the way."""


def places(x: tuple[int, ...], kernel: Any, stride: Pair, padding: Pair, dilation: Pair) -> Pair:
    rows, cols = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(x[2:], kernel, stride, padding, dilation, strict=True)
    ]
    return rows, cols


def conv(
    x: tuple[int, ...], w: tuple[int, ...], stride: Pair = (1, 1), padding: Pair = (0, 0), dilation: Pair = (1, 1),
    groups: int = 1, dtypes: tuple[str, ...] = DTYPES,
) -> list[KernelCase]:  # fmt: skip
    """conv2d and its two transposes."""
    y = (x[0], w[0], *places(x, w[2:], stride, padding, dilation))
    static: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    name = f"{x}-{w}-{stride}{padding}{dilation}-{groups}".replace(" ", "")
    static |= {"tolerance": SUMS, "dtypes": dtypes}
    # At stride 1 the array code convolves, where an infinite weight times padding is NaN. Columns are added back where
    # the convolution's would be twice as large, without padding.
    same = stride != (1, 1) or w[0] * x[2] * x[3] < 2 * x[1] * y[2] * y[3]
    seen = 0 not in x[2:]  # of an image without rows, kernels do not multiply the padding
    return [
        kernel_case("conv2d", x, w, (w[0],), id=f"conv2d-{name}", specials=seen, **static),
        kernel_case("conv2d_input_grad", y, w, id=f"conv2d_input_grad-{name}", x_shape=x, specials=same, **static),
        kernel_case("conv2d_weight_grad", x, y, id=f"conv2d_weight_grad-{name}", w_shape=w, specials=seen, **static),
    ]


def windows(
    x: tuple[int, ...], kernel: Pair, stride: Pair = (1, 1), padding: Pair = (0, 0), dilation: Pair = (1, 1),
    dtypes: tuple[str, ...] = DTYPES,
) -> list[KernelCase]:  # fmt: skip
    """unfold and its transpose; unfold moves numbers as they are."""
    rows, cols = places(x, kernel, stride, padding, dilation)
    static: dict[str, Any] = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    name = f"{x}-{kernel}-{stride}{padding}{dilation}".replace(" ", "")
    static["dtypes"] = dtypes
    columns = (x[0], x[1] * kernel[0] * kernel[1], rows * cols)
    return [
        kernel_case("unfold", x, id=f"unfold-{name}", exact=True, **static),
        kernel_case("fold", columns, id=f"fold-{name}", size=x[2:], **static),
    ]


F4, F4_F8 = ("f4",), ("f4", "f8")
CASES = [
    *conv((2, 1, 8, 9), (3, 1, 3, 3), padding=(1, 1)),
    *conv((3, 3, 9, 8), (8, 3, 5, 5), padding=(2, 1), dtypes=F4_F8),
    *conv((2, 8, 7, 6), (8, 8, 3, 2), stride=(2, 1), padding=(1, 0)),
    *conv((2, 4, 7, 9), (6, 4, 3, 3), stride=(3, 2), padding=(0, 2), dilation=(1, 2), dtypes=F4_F8),
    *conv((1, 8, 9, 9), (8, 8, 3, 3), padding=(2, 2), dilation=(2, 2), dtypes=F4),
    *conv((2, 6, 6, 5), (4, 6, 2, 3), stride=(2, 2), dtypes=F4),
    *conv((2, 64, 6, 6), (32, 64, 3, 3), padding=(1, 1), dtypes=F4),
    *conv((2, 16, 24, 24), (16, 16, 3, 3), stride=(1, 2), padding=(1, 1), dtypes=F4),
    *conv((1, 2, 2, 3), (2, 2, 4, 5), padding=(2, 2), dtypes=F4),
    *conv((1, 2, 3, 2), (3, 2, 1, 2), padding=(2, 3), dtypes=F4),
    *conv((2, 8, 5, 4), (6, 8, 1, 1)),
    *conv((2, 3, 5, 4), (4, 3, 1, 1), stride=(2, 2), dtypes=F4),
    *conv((2, 4, 3, 5), (4, 4, 1, 1), padding=(1, 0), dtypes=F4),
    *conv((2, 8, 5, 4), (6, 4, 1, 1), groups=2, dtypes=F4),
    *conv((2, 8, 6, 5), (6, 4, 3, 3), padding=(1, 1), groups=2),
    *conv((2, 8, 6, 5), (4, 4, 3, 2), stride=(2, 1), padding=(1, 1), groups=2, dtypes=F4_F8),
    *conv((1, 6, 5, 5), (9, 2, 2, 2), stride=(1, 2), groups=3, dtypes=F4),
    *conv((2, 8, 6, 5), (8, 1, 3, 3), padding=(1, 1), groups=8),
    *conv((2, 3, 7, 6), (3, 1, 3, 2), stride=(2, 3), padding=(1, 0), dilation=(2, 1), groups=3, dtypes=F4_F8),
    *conv((3, 16, 9, 8), (16, 1, 3, 3), stride=(2, 2), padding=(1, 1), groups=16),
    *conv((6, 16, 21, 20), (16, 1, 3, 3), stride=(2, 2), padding=(1, 1), groups=16, dtypes=F4),
    *conv((1, 256, 4, 3), (256, 1, 3, 3), padding=(1, 1), groups=256, dtypes=F4),
    *conv((2, 4, 5, 5), (8, 1, 3, 3), padding=(1, 1), groups=4, dtypes=F4),
    *conv((2, 4, 4, 4), (4, 1, 1, 1), groups=4, dtypes=F4),
    *conv((1, 1, 1, 1), (1, 1, 1, 1), dtypes=F4),
    *conv((0, 3, 4, 4), (2, 3, 3, 3), padding=(1, 1), dtypes=F4),
    *conv((2, 3, 4, 4), (0, 3, 3, 3), dtypes=F4),
    *conv((2, 0, 4, 4), (3, 0, 3, 3), dtypes=F4),
    *conv((2, 3, 0, 4), (4, 3, 3, 3), padding=(2, 2), dtypes=F4),
    *conv((2, 3, 4, 0), (3, 1, 3, 3), padding=(2, 2), groups=3, dtypes=F4),
    *windows((2, 3, 5, 6), (3, 2), (1, 2), (1, 0)),
    *windows((1, 4, 7, 8), (3, 3), padding=(1, 1), dtypes=F4_F8),
    *windows((2, 1, 9, 7), (2, 3), (2, 3), (2, 1), (3, 2), dtypes=F4),
    *windows((2, 8, 20, 24), (3, 3), padding=(1, 1)),
    *windows((1, 2, 6, 6), (2, 2), (3, 3), dtypes=F4),
    *windows((1, 1, 1, 1), (1, 1), dtypes=F4),
    *windows((0, 2, 4, 4), (2, 2), dtypes=F4),
    *windows((2, 0, 4, 4), (2, 2), dtypes=F4),
]
