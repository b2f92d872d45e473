"""Kernel cases of batch norm and layer norm."""

from __future__ import annotations

from typing import Any

import numpy as np
from kernels.harness import KernelCase, kernel_case, randoms

EPS = 1e-3
LONG = {"f4": 1e-5, "f8": 1e-13, "f2": 4e-3, "bfloat16": 3e-2}
"""Sums over many elements, which the array code takes in another order."""


DTYPES = ("f4", "f8", "f2", "bfloat16")


def batch_norms(*shape: int, dtypes: tuple[str, ...] = ("f4",)) -> list[KernelCase]:
    """All kernels of batch norm on x of one shape."""
    c, name, axes = (shape[1],), "x".join(map(str, shape)), (0, *range(2, len(shape)))
    var, x = np.abs(randoms(c, name)) + 0.1, randoms(shape, name)
    y, own = np.maximum(randoms(shape, name, 1), 0), (x.mean(axes), x.var(axes))
    given: Any = {"eps": EPS, "dtypes": dtypes}
    # Among many 16-bit numbers one is the mean to the last bit, and 0 * inf then NaN.
    long: Any = {**given, "tolerance": LONG, "specials": x.size < 5000}
    return [
        kernel_case("batch_norm", shape, c, c, id=f"batch_norm-{name}", **given, tolerance=LONG),
        kernel_case("batch_norm_relu", shape, None, c, id=f"batch_norm_relu-{name}", **given, tolerance=LONG),
        kernel_case("batch_norm_inference", shape, c, var, c, c, id=f"batch_norm_inference-{name}", relu=True, **given),
        kernel_case("batch_norm_backward", shape, x, None, c, *own, id=f"batch_norm_backward-{name}", **long),
        kernel_case("batch_norm_backward", shape, x, y, None, *own, id=f"batch_norm_backward-{name}-relu", **long),
    ]


def layer_norms(*shape: int, dims: int = 1, dtypes: tuple[str, ...] = ("f4",)) -> list[KernelCase]:
    """All kernels of layer norm on x of one shape."""
    last, name = shape[-dims:], f"{'x'.join(map(str, shape))}-{dims}"
    given: Any = {"dims": dims, "eps": EPS, "dtypes": dtypes, "tolerance": LONG}
    return [
        kernel_case("layer_norm", shape, last, last, id=f"layer_norm-{name}", **given),
        kernel_case("layer_norm", shape, None, None, id=f"layer_norm-{name}-bare", **given),
        kernel_case("layer_norm_backward", shape, shape, last, id=f"layer_norm_backward-{name}", **given),
        kernel_case("layer_norm_backward", shape, shape, None, id=f"layer_norm_backward-{name}-bare", **given),
    ]


def far_away(*shape: int) -> list[KernelCase]:
    """A mean of 10000 and a standard deviation of 0.01, of which float32 holds three digits: no more may be lost."""
    x, c = 1e4 + 1e-2 * randoms(shape, "far away"), (shape[1],)
    mean, var = np.full(c, 1e4), np.full(c, 1e-4)
    near = {"f4": 2e-5, "f8": 1e-9}
    options = {"eps": 1e-8, "dtypes": ("f4", "f8"), "tolerance": near, "specials": False}
    name = "x".join(map(str, shape))
    return [
        kernel_case("batch_norm", x, None, None, id=f"batch_norm-far-{name}", **options),
        kernel_case("batch_norm_backward", shape, x, None, None, mean, var, id=f"batch_norm_backward-far-{name}",
            **options),
        kernel_case("layer_norm", x, None, None, id=f"layer_norm-far-{name}", dims=len(shape) - 1, **options),
        kernel_case("layer_norm_backward", shape, x, None, id=f"layer_norm_backward-far-{name}", dims=len(shape) - 1,
            **options),
    ]  # fmt: skip


def loud(*shape: int) -> list[KernelCase]:
    """Numbers whose squares, products and sums float16 does not hold."""
    x, g, c = 200 * randoms(shape, "loud"), 30 * randoms(shape, "loud", 1), (shape[1],)
    options: Any = {"eps": EPS, "dtypes": ("f2",), "tolerance": LONG, "specials": False, "layouts": False}
    return [
        kernel_case("batch_norm", x, None, None, id="batch_norm-loud", **options),
        kernel_case("batch_norm_backward", g, x, None, None, np.zeros(c), np.full(c, 4e4),
            id="batch_norm_backward-loud", **options),
        kernel_case("layer_norm", x, None, None, id="layer_norm-loud", dims=len(shape) - 1, **options),
        kernel_case("layer_norm_backward", g, x, None, id="layer_norm_backward-loud", dims=len(shape) - 1, **options),
    ]  # fmt: skip


CASES = [
    *batch_norms(2, 1, 1, 1),
    *batch_norms(1, 3, 1, 2),
    *batch_norms(5, 7, dtypes=DTYPES),
    *batch_norms(3, 5, 7),
    *batch_norms(4, 8, 6, 4, dtypes=DTYPES),
    *batch_norms(2, 3, 2, 3, 3),
    *batch_norms(6, 70, 9, 8),  # more channels than a block takes side by side
    *batch_norms(3, 20, 4, 4),  # a block's threads are no multiple of the channels
    *batch_norms(40, 4, 16, 16, dtypes=("f4", "bfloat16")),  # several blocks to a channel, and loops
    kernel_case("batch_norm", (0, 3, 2, 2), (3,), (3,), eps=EPS, dtypes=("f4",)),
    kernel_case("batch_norm", (4, 3, 5), (3,), None, eps=EPS, dtypes=("f4",)),
    kernel_case("batch_norm_backward", (0, 3), (0, 3), None, (3,), (3,), np.ones(3), eps=EPS, dtypes=("f4",),
        specials=False),
    kernel_case("batch_norm_inference", (0, 3, 2, 2), (3,), np.ones(3), (3,), (3,), eps=EPS, relu=False,
        dtypes=("f4",)),
    kernel_case("batch_norm_inference", (4, 3, 5), (3,), np.ones(3), None, None, eps=EPS, relu=False),
    kernel_case("batch_norm_inference", (4, 3, 5), (3,), np.ones(3), (3,), None, eps=EPS, relu=False, dtypes=("f4",)),
    *layer_norms(1, 1),
    *layer_norms(0, 4),
    *layer_norms(3, 7, dtypes=DTYPES),
    *layer_norms(2, 3, 4, dims=2),
    *layer_norms(6),
    *layer_norms(150, 40, dtypes=DTYPES),  # several rows to a warp
    *layer_norms(9, 1100, dtypes=("f4", "bfloat16")),  # a block to a row
    *layer_norms(2, 13000, dtypes=("f4", "f2")),  # more than shared memory holds
    *layer_norms(40, 300),  # more columns than a block takes side by side
    kernel_case("layer_norm_backward", (320, 256), (320, 256), (256,), dims=1, eps=EPS, dtypes=("f4",),
        tolerance=LONG),  # many parts of a column
    kernel_case("layer_norm", (3, 7), (7,), None, dims=1, eps=EPS, dtypes=("f4",)),
    kernel_case("layer_norm", (3, 7), None, (7,), dims=1, eps=EPS, dtypes=("f4",)),
    *far_away(8, 3, 9, 5),
    *far_away(30, 4, 8, 8),
    *loud(64, 2, 16, 16),
]  # fmt: skip
