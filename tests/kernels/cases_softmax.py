"""Kernel cases of softmax and cross entropy: rows that fit in registers, in shared memory, and in neither."""

from __future__ import annotations

from typing import Any

import numpy as np
from kernels.harness import KernelCase, kernel_case, randoms

# Odd widths have one vector width for all dtypes, so that few instances need compiling. The emulator's blocks have
# 99 KiB of shared memory and its grids 8 blocks: LIMIT is the longest row that fits, and in (11, 1026) blocks take two.
ROWS = ((33, 10), (3, 300), (2, 5003))
LIMIT = ((99 << 10) - 32 * 8) // 4
OTHERS = ((5, 1), (70_000, 2), (1000, 3), (2, 1003), (2, 1024), (11, 1026), (1, LIMIT), (1, LIMIT + 1), (0, 10), (4, 0))
LONG = (2, 200_000)
INF = np.inf


def labels(rows: int, classes: int, dtype: str = "i8", ignored: int | None = None) -> np.ndarray:
    """Class indices, every third row's `ignored`."""
    found = np.random.default_rng(rows + classes).integers(min(classes, 250), size=rows).astype(dtype)
    if ignored is not None:
        found[1::3] = ignored
    return found


def probabilities(*shape: int) -> np.ndarray:
    """Class probabilities, some of them 0."""
    p = np.maximum(randoms(shape, "probabilities"), 0.0)
    return p / np.maximum(p.sum(axis=1, keepdims=True), 1.0)


def softmaxes(name: str, x: Any, axis: int, **options: Any) -> list[KernelCase]:
    """softmax and log_softmax, forward and backward."""
    shape = x.shape if isinstance(x, np.ndarray) else x
    y = np.exp(randoms(shape, "y") - 5.0)
    return [
        kernel_case("softmax", x, axis=axis, id=f"softmax-{name}", **options),
        kernel_case("log_softmax", x, axis=axis, id=f"log_softmax-{name}", **options),
        kernel_case("softmax_backward", shape, y, axis=axis, id=f"softmax_backward-{name}", **options),
        kernel_case("log_softmax_backward", shape, np.log(y), axis=axis, id=f"log_softmax_backward-{name}", **options),
    ]


def cross_entropy(name: str, x: Any, target: Any, weight: Any = None, **static: Any) -> KernelCase:
    """The losses and the gradient of logits."""
    made = f"softmax_cross_entropy-{name}"
    return kernel_case("softmax_cross_entropy", x, target, weight, id=made, **{"residual": True, **static})


def soft(name: str, x: Any, target: Any, weight: Any = None, **static: Any) -> KernelCase:
    """The same with probabilities."""
    made = f"softmax_cross_entropy_probabilities-{name}"
    static = {"residual": True, **static}
    return kernel_case("softmax_cross_entropy_probabilities", x, target, weight, id=made, **static)


def mean(rows: int, target: np.ndarray, weight: Any = None, **options: Any) -> KernelCase:
    name = f"cross_entropy_mean-{rows}-{target.dtype}{'' if weight is None else '-weight'}"
    loss = np.abs(randoms((rows,), "loss"))
    return kernel_case("cross_entropy_mean", loss, target, weight, id=name, residual=True, **options)


EXTREMES = np.pad(
    [[1e30, -1e30, 0.0, 2e30], [-INF] * 4, [-INF, 1.0, 2.0, -INF], [INF, 1.0, -INF, 0.0], [88.0, -88.0, 89.0, 0.0]],
    ((0, 0), (0, 6)),
    "edge",
)
WIDE: dict[str, Any] = {"dtypes": ("f4", "f8"), "specials": False, "layouts": False}
PLAIN: dict[str, Any] = {"dtypes": ("f4",), "layouts": False}
HALF: dict[str, Any] = {"dtypes": ("f4", "bfloat16"), "layouts": False}
SINGLE: dict[str, Any] = {"dtypes": ("f4",)}
FEW, SIZES = [(33, 10), (2, 5003)], [(70_000, 2), (4, 300), (11, 1026), (1, LIMIT), (1, LIMIT + 1)]
TEN, MANY = np.abs(randoms((10,))), np.abs(randoms((5003,)))

CASES = [
    *[case for shape in ROWS for case in softmaxes("x".join(map(str, shape)), shape, 1)],
    *[case for shape in OTHERS for case in softmaxes("x".join(map(str, shape)), shape, 1, **PLAIN)[::2]],
    *softmaxes("2x200000", LONG, 1, **HALF),
    *softmaxes("first", (10, 5, 3), 0, **SINGLE),
    *softmaxes("middle", (3, 10, 5), 1, **SINGLE),
    *softmaxes("last", (2, 3, 3, 10), -1, **SINGLE),
    *softmaxes("columns", (2, 7, 6, 8), 1),
    *softmaxes("columns-first", (5, 3000), 0, **PLAIN),
    *softmaxes("columns-of-one", (3, 1, 40), 1, **PLAIN),
    *softmaxes("columns-few", (70, 33), 0, **PLAIN),
    *softmaxes("columns-extremes", np.repeat(EXTREMES[..., None], 32, 2), 1, **WIDE),
    *softmaxes("vector", (10,), 0, **PLAIN),
    *softmaxes("extremes", EXTREMES, 1, **WIDE),
    *[cross_entropy(f"{m}x{n}", (m, n), labels(m, n, ignored=-100)) for m, n in FEW],
    *[cross_entropy(f"{m}x{n}", (m, n), labels(m, n, ignored=-100), **PLAIN) for m, n in SIZES],
    cross_entropy("0x10", (0, 10), labels(0, 10), **PLAIN),
    cross_entropy("2x200000", LONG, labels(*LONG), **HALF),
    cross_entropy("2x200000-all", LONG, labels(*LONG), np.abs(randoms(LONG[1:])), label_smoothing=0.1, **PLAIN),
    cross_entropy("int32", (9, 10), labels(9, 10, "i4", 2), ignore_index=2, **PLAIN),
    cross_entropy("uint8", (9, 10), labels(9, 10, "u1", 0), ignore_index=0, **PLAIN),
    cross_entropy("uint8-long", (4, 5003), labels(4, 5003, "u1"), **PLAIN),
    cross_entropy("int16", (9, 10), labels(9, 10, "i2", -1), ignore_index=-1, **PLAIN),
    cross_entropy("smooth", (8, 10), labels(8, 10, ignored=-100), label_smoothing=0.1, **SINGLE),
    cross_entropy("smooth-1", (8, 10), labels(8, 10), label_smoothing=1.0, **PLAIN),
    cross_entropy("weight", (8, 10), labels(8, 10, ignored=3), TEN, ignore_index=3, **HALF),
    cross_entropy("everything", (40, 10), labels(40, 10, ignored=-7), TEN, ignore_index=-7, label_smoothing=0.3),
    cross_entropy("everything-long", (5, 5003), labels(5, 5003, ignored=-7), MANY, ignore_index=-7,
        label_smoothing=0.3),
    cross_entropy("losses", (33, 10), labels(33, 10, ignored=-100), residual=False, **HALF),
    cross_entropy("losses-weight", (8, 10), labels(8, 10), TEN, residual=False, **PLAIN),
    cross_entropy("losses-everything", (40, 10), labels(40, 10, ignored=-7), TEN, ignore_index=-7, label_smoothing=0.3,
        residual=False, **PLAIN),
    cross_entropy("losses-everything-long", (5, 5003), labels(5, 5003, ignored=-7), MANY, ignore_index=-7,
        label_smoothing=0.3, residual=False, **PLAIN),
    cross_entropy("all-ignored", (6, 10), np.full(6, -100), **SINGLE),
    cross_entropy("extremes", EXTREMES, np.array([1, 0, 1, 1, 3]), **WIDE),
    cross_entropy("extremes-at", EXTREMES, np.array([0, 3, 0, 0, 2]), label_smoothing=0.1, **WIDE),
    cross_entropy("extremes-ignored", EXTREMES, np.array([-100, -100, 2, -100, 0]), **WIDE),
    *[soft(f"{m}x{n}", (m, n), probabilities(m, n)) for m, n in FEW],
    *[soft(f"{m}x{n}", (m, n), probabilities(m, n), **PLAIN) for m, n in SIZES],
    soft("0x10", (0, 10), (0, 10), **PLAIN),
    soft("2x200000", LONG, probabilities(*LONG), **PLAIN),
    soft("everything", (40, 10), probabilities(40, 10), TEN, label_smoothing=0.3),
    soft("everything-long", (3, 5003), probabilities(3, 5003), MANY, label_smoothing=0.1),
    soft("smooth-1", (8, 10), probabilities(8, 10), label_smoothing=1.0, **PLAIN),
    soft("losses", (40, 10), probabilities(40, 10), TEN, label_smoothing=0.3, residual=False, **HALF),
    soft("extremes", EXTREMES, np.eye(10)[[1, 0, 1, 1, 3]], **WIDE),
    soft("extremes-at", EXTREMES, np.eye(10)[[0, 3, 0, 0, 2]], **WIDE),
    kernel_case("cross_entropy_scale", (9,), (9, 4), labels(9, 4, ignored=-100), ignore_index=-100),
    kernel_case("cross_entropy_scale", (9,), (9, 7), labels(9, 7, "u1", 3), ignore_index=3, **SINGLE),
    kernel_case("cross_entropy_scale", (300,), (300, 31), labels(300, 31, "i4"), ignore_index=-100, **SINGLE),
    kernel_case("cross_entropy_scale", (0,), (0, 4), labels(0, 4), ignore_index=-100, **SINGLE),
    kernel_case("cross_entropy_scale", np.full(3, np.nan), (3, 4), np.full(3, -1), ignore_index=-1, id="scale-ignored",
        **PLAIN),
    mean(1, labels(1, 5), ignore_index=-100, **SINGLE),
    mean(77, labels(77, 5, ignored=-100), ignore_index=-100),
    mean(77, labels(77, 5, "u1", 2), np.abs(randoms((5,))), ignore_index=2, **SINGLE),
    mean(3000, labels(3000, 9, "i4"), ignore_index=-100, **SINGLE),
    mean(0, labels(0, 9), ignore_index=-100, **SINGLE),
    mean(4, np.full(4, -100), ignore_index=-100, **SINGLE),
    mean(10_000, labels(10_000, 9, ignored=-100), ignore_index=-100),
    mean(10_001, labels(10_001, 9), np.abs(randoms((9,))), ignore_index=-100, **SINGLE),
]  # fmt: skip
