"""Kernel cases of softmax and cross entropy: rows that fit in registers, in shared memory, and in neither."""

from __future__ import annotations

from typing import Any

import numpy as np
from kernels.harness import KernelCase, kernel_case, randoms

ROWS = ((5, 1), (7, 2), (33, 10), (3, 31), (1000, 3), (3, 1000), (2, 1025), (2, 5003), (1, 60_000), (0, 4), (4, 0))
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
    """Both, forward and backward."""
    shape = x.shape if isinstance(x, np.ndarray) else x
    y = np.exp(randoms(shape, "y") - 5.0)
    return [
        kernel_case("softmax", x, axis=axis, id=f"softmax-{name}", **options),
        kernel_case("log_softmax", x, axis=axis, id=f"log_softmax-{name}", **options),
        kernel_case("softmax_backward", shape, y, axis=axis, id=f"softmax_backward-{name}", **options),
        kernel_case("log_softmax_backward", shape, np.log(y), axis=axis, id=f"log_softmax_backward-{name}", **options),
    ]


def cross_entropies(name: str, x: Any, target: Any, weight: Any = None, **static: Any) -> list[KernelCase]:
    """The losses alone, and with the gradient."""
    made = f"softmax_cross_entropy-{name}"
    return [
        kernel_case("softmax_cross_entropy", x, target, weight, id=made, **static),
        kernel_case("softmax_cross_entropy", x, target, weight, residual=True, id=f"{made}-gradient", **static),
    ]


def soft(name: str, x: Any, target: Any, weight: Any = None, **static: Any) -> list[KernelCase]:
    """The same with probabilities."""
    made, given = f"softmax_cross_entropy_probabilities-{name}", (x, target, weight)
    return [
        kernel_case("softmax_cross_entropy_probabilities", *given, id=made, **static),
        kernel_case("softmax_cross_entropy_probabilities", *given, residual=True, id=f"{made}-gradient", **static),
    ]


def mean(rows: int, target: np.ndarray, weight: Any = None, **options: Any) -> KernelCase:
    name = f"cross_entropy_mean-{rows}-{target.dtype}{'' if weight is None else '-weight'}"
    loss = np.abs(randoms((rows,), "loss"))
    return kernel_case("cross_entropy_mean", loss, target, weight, id=name, residual=True, **options)


EXTREMES = np.array(
    [[1e30, -1e30, 0.0, 2e30], [-INF] * 4, [-INF, 1.0, 2.0, -INF], [INF, 1.0, -INF, 0.0], [88.0, -88.0, 89.0, 0.0]]
)
WIDE = {"dtypes": ("f4", "f8"), "specials": False, "layouts": False}
SIZES = [(7, 2), (33, 10), (4, 1000), (2, 5003)]

CASES = [
    *[case for shape in ROWS for case in softmaxes("x".join(map(str, shape)), shape, 1)],
    *softmaxes("2x200000", LONG, 1, layouts=False),
    *softmaxes("first", (6, 5, 4), 0),
    *softmaxes("middle", (3, 40, 5), 1),
    *softmaxes("last", (2, 3, 4, 17), -1),
    *softmaxes("vector", (13,), 0),
    *softmaxes("extremes", EXTREMES, 1, **WIDE),
    *[
        case
        for rows, n in SIZES
        for case in cross_entropies(f"{rows}x{n}", (rows, n), labels(rows, n, ignored=-100))
    ],
    *cross_entropies("0x5", (0, 5), labels(0, 5)),
    *cross_entropies("1x60000", (1, 60_000), labels(1, 60_000)),
    *cross_entropies("1x60000-smooth-weight", (1, 60_000), labels(1, 60_000), randoms((60_000,)), label_smoothing=0.1),
    *cross_entropies("200000", LONG, labels(*LONG), layouts=False),
    *cross_entropies(
        "200000-all", LONG, labels(*LONG), np.abs(randoms(LONG[1:])), label_smoothing=0.1, layouts=False
    ),
    *cross_entropies("int32", (9, 6), labels(9, 6, "i4", 2), ignore_index=2),
    *cross_entropies("uint8", (9, 6), labels(9, 6, "u1", 0), ignore_index=0),
    *cross_entropies("uint8-long", (4, 3000), labels(4, 3000, "u1")),
    *cross_entropies("int16", (9, 6), labels(9, 6, "i2", -1), ignore_index=-1),
    *cross_entropies("smooth", (8, 12), labels(8, 12, ignored=-100), label_smoothing=0.1),
    *cross_entropies("smooth-1", (8, 12), labels(8, 12), label_smoothing=1.0),
    *cross_entropies("weight", (8, 12), labels(8, 12, ignored=3), np.abs(randoms((12,))), ignore_index=3),
    *cross_entropies(
        "everything", (40, 11), labels(40, 11, ignored=-7), np.abs(randoms((11,))), ignore_index=-7, label_smoothing=0.3
    ),
    *cross_entropies("everything-long", (5, 2000), labels(5, 2000, ignored=-7), np.abs(randoms((2000,))),
        ignore_index=-7, label_smoothing=0.3),
    *cross_entropies("all-ignored", (6, 5), np.full(6, -100)),
    *cross_entropies("extremes", EXTREMES, np.array([1, 0, 1, 1, 3]), **WIDE),
    *cross_entropies("extremes-at", EXTREMES, np.array([0, 3, 0, 0, 2]), label_smoothing=0.1, **WIDE),
    *cross_entropies("extremes-ignored", EXTREMES, np.array([-100, -100, 2, -100, 0]), **WIDE),
    *[case for shape in SIZES for case in soft("x".join(map(str, shape)), shape, probabilities(*shape))],
    *soft("0x5", (0, 5), (0, 5)),
    *soft("1x60000", (1, 60_000), probabilities(1, 60_000)),
    *soft("200000", LONG, probabilities(*LONG), layouts=False),
    *soft("everything", (40, 11), probabilities(40, 11), np.abs(randoms((11,))), label_smoothing=0.3),
    *soft("everything-long", (3, 2000), probabilities(3, 2000), np.abs(randoms((2000,))), label_smoothing=0.1),
    *soft("smooth-1", (8, 12), probabilities(8, 12), label_smoothing=1.0),
    *soft("extremes", EXTREMES, np.eye(4)[[1, 0, 1, 1, 3]], **WIDE),
    *soft("extremes-at", EXTREMES, np.eye(4)[[0, 3, 0, 0, 2]], **WIDE),
    kernel_case("cross_entropy_scale", (9,), (9, 4), labels(9, 4, ignored=-100), ignore_index=-100),
    kernel_case("cross_entropy_scale", (9,), (9, 7), labels(9, 7, "u1", 3), ignore_index=3),
    kernel_case("cross_entropy_scale", (300,), (300, 30), labels(300, 30, "i4"), ignore_index=-100),
    kernel_case("cross_entropy_scale", (0,), (0, 4), labels(0, 4), ignore_index=-100),
    kernel_case("cross_entropy_scale", np.full(3, np.nan), (3, 4), np.full(3, -1), ignore_index=-1, id="scale-ignored"),
    mean(1, labels(1, 5), ignore_index=-100),
    mean(77, labels(77, 5, ignored=-100), ignore_index=-100),
    mean(77, labels(77, 5, "u1", 2), np.abs(randoms((5,))), ignore_index=2),
    mean(3000, labels(3000, 9, "i4"), ignore_index=-100),
    mean(0, labels(0, 9), ignore_index=-100),
    mean(4, np.full(4, -100), ignore_index=-100),
    mean(40_000, labels(40_000, 9, ignored=-100), ignore_index=-100),
    mean(40_001, labels(40_001, 9), np.abs(randoms((9,))), ignore_index=-100),
]  # fmt: skip
