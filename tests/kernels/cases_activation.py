"""Kernel cases of activations, of bias and activation, and of sums per channel."""

from __future__ import annotations

import numpy as np
from kernels.harness import KernelCase, kernel_case, randoms

SMOOTH = {"f4": 4e-6}  # of exp and erfc, at arguments of a few units
TAILS = np.concatenate([randoms((300,), "tails") * 4, [-1e4, -40.0, -12.5, -0.0, 0.0, 6.0, 300.0]])


def elementwise(shape: tuple[int, ...]) -> list[KernelCase]:
    """Every activation, forward and backward, at one shape."""
    return [
        *[kernel_case(name, shape, tolerance=SMOOTH) for name in ("sigmoid", "silu", "gelu", "normal_cdf")],
        kernel_case("gelu", shape, approximate="tanh"),
        *[kernel_case(f"{name}_backward", shape, shape) for name in ("sigmoid", "tanh", "relu", "silu", "gelu")],
        kernel_case("gelu_backward", shape, shape, approximate="tanh"),
    ]


def tails() -> list[KernelCase]:
    """Where exponentials overflow and vanish."""
    found = [kernel_case(name, TAILS, id=f"{name}-tails") for name in ("sigmoid", "silu", "gelu", "normal_cdf")]
    found += [kernel_case("gelu", TAILS, id="gelu-tanh-tails", dtypes=("f4", "f8"), approximate="tanh")]
    g = randoms(TAILS.shape, "tails", 1)
    found += [kernel_case(f"{name}_backward", g, TAILS, id=f"{name}_backward-tails") for name in ("silu", "gelu")]
    return found


# (shape, axis): the last axis; planes of few elements and of many; one channel; one element each; several stages
CHANNELS = [
    ((5, 3), 1), ((7, 128), 1), ((700, 10), 1), ((130, 33), 1), ((2000, 1), 1), ((4, 8), 0), ((3, 70), 0), ((6,), 0),
    ((2, 3, 4, 5), 1), ((3, 4, 8, 8), 1), ((2, 5, 7, 9), 1), ((9, 3, 31, 33), 1), ((50, 6, 2, 2), 1), ((2, 3, 8), 2),
    ((0, 4), 1), ((3, 0, 2), 1), ((1, 1), 1),
]  # fmt: skip


SUMS = {"f4": 1e-5}  # of thousands of numbers of either sign


def sums(shape: tuple[int, ...], axis: int) -> list[KernelCase]:
    two = ("f4", "bfloat16")
    return [
        kernel_case("channel_sum", shape, axis=axis, tolerance=SUMS),
        kernel_case("bias_act", shape, (shape[axis],), axis=axis, activation="relu", dtypes=two),
        kernel_case("bias_act_backward", shape, shape, axis=axis, activation="relu", tolerance=SUMS, dtypes=two),
    ]


def with_bias(shape: tuple[int, ...], axis: int) -> list[KernelCase]:
    bias = (shape[axis],)
    return [
        kernel_case("bias_add", shape, bias, axis=axis),
        kernel_case("bias_act", shape, bias, axis=axis, activation="sigmoid"),
        kernel_case("bias_act_backward", shape, shape, axis=axis, activation="tanh", tolerance=SUMS),
        kernel_case("bias_gated", shape, bias, axis=axis, activation="gelu"),
        kernel_case("bias_gated_backward", shape, shape, bias, axis=axis, activation="silu", tolerance=SUMS),
    ]


CASES = [
    *[case for shape in [(3, 5), (2, 3, 4, 5), (9, 1001)] for case in elementwise(shape)],
    *[kernel_case("silu", shape) for shape in [(), (0,), (1,), (8,)]],
    *[kernel_case("silu_backward", shape, shape) for shape in [(), (0,), (1,), (8,)]],
    *tails(),
    *[case for shape, axis in CHANNELS for case in sums(shape, axis)],
    *[case for shape, axis in CHANNELS[1::8] for case in with_bias(shape, axis)],
    kernel_case("bias_act", (3, 4), (4,), axis=1, activation="tanh"),
    kernel_case("bias_act_backward", (6, 4), (6, 4), axis=1, activation="sigmoid"),
    *[kernel_case("bias_gated", (3, 4), (4,), axis=1, activation=a) for a in ("silu", "gelu_tanh")],
    *[
        kernel_case("bias_gated_backward", (3, 4, 5, 7), (3, 4, 5, 7), (4,), axis=1, activation=a)
        for a in ("gelu", "gelu_tanh")
    ],
]
