"""Kernel cases of activations, of bias and activation, and of sums per channel."""

from __future__ import annotations

import numpy as np
from kernels.harness import DTYPES, KernelCase, kernel_case, randoms

FORWARD = ("sigmoid", "tanh", "relu", "silu", "normal_cdf")
BACKWARD = ("sigmoid", "tanh", "relu", "silu")
SMOOTH = {"f4": 4e-6}  # of exp and erfc, at arguments of a few units
TAILS = np.concatenate([randoms((300,), "tails") * 4, [-1e4, -300.0, -40.0, -12.5, -0.0, 0.0, 6.0, 300.0]])
SINGLE = ("f4",)
UNLIKE = ("f4", "f2")


def functions(shape: tuple[int, ...]) -> list[KernelCase]:
    """Every activation, forward and backward, in the layout that they come in; `geometry` has the others."""
    statics: list[dict[str, str]] = [{}, {"approximate": "tanh"}]
    return [
        *[kernel_case(n, shape, tolerance=SMOOTH, layouts=False) for n in FORWARD],
        *[kernel_case(f"{n}_backward", shape, shape, layouts=False) for n in BACKWARD],
        *[kernel_case("gelu", shape, layouts=False, tolerance=SMOOTH, **s) for s in statics],
        *[kernel_case("gelu_backward", shape, shape, layouts=False, **s) for s in statics],
    ]


def geometry(shape: tuple[int, ...], dtypes: tuple[str, ...]) -> list[KernelCase]:
    """What all activations share: whole vectors, the rest, and as many threads as it takes."""
    return [kernel_case("silu", shape, dtypes=dtypes), kernel_case("silu_backward", shape, shape, dtypes=dtypes)]


def tails() -> list[KernelCase]:
    """Where exponentials overflow and vanish."""
    statics = [(name, {}) for name in ("sigmoid", "silu", "gelu", "normal_cdf")] + [("gelu", {"approximate": "tanh"})]
    g = randoms(TAILS.shape, "tails", 1)
    pulled = [("silu", {}), ("gelu", {}), ("gelu", {"approximate": "tanh"})]
    return [
        *[kernel_case(n, TAILS, id=f"{n}-tails{len(s)}", dtypes=UNLIKE, **s) for n, s in statics],
        *[kernel_case(f"{n}_backward", g, TAILS, id=f"{n}_backward-tails{len(s)}", dtypes=UNLIKE, **s)
            for n, s in pulled],
    ]  # fmt: skip


# (shape, axis): the last axis; planes of few elements and of many; one channel; one element each; several stages
CHANNELS = [
    ((5, 3), 1), ((700, 10), 1), ((130, 33), 1), ((2000, 1), 1), ((3, 70), 0), ((6,), 0), ((2, 3, 4, 5), 1),
    ((3, 4, 8, 8), 1), ((2, 5, 7, 9), 1), ((400, 2, 3, 5), 1), ((2, 3, 8), 2), ((0, 4), 1), ((3, 0, 2), 1), ((1, 1), 1),
]  # fmt: skip
WIDE = [((33, 128), 1), ((9, 3, 31, 33), 1), ((5, 2, 32, 24), 1)]
"""Those that every dtype reads in vectors of its own width, or in none."""

SUMS = {"f4": 1e-5}  # of thousands of numbers of either sign


def sums(shape: tuple[int, ...], axis: int, dtypes: tuple[str, ...]) -> list[KernelCase]:
    bias = (shape[axis],)
    return [
        kernel_case("channel_sum", shape, axis=axis, tolerance=SUMS, dtypes=dtypes),
        kernel_case("bias_act", shape, bias, axis=axis, activation="relu", dtypes=dtypes),
        kernel_case("bias_act_backward", shape, shape, axis=axis, activation="relu", tolerance=SUMS, dtypes=dtypes),
    ]


def gated(shape: tuple[int, ...], axis: int, dtypes: tuple[str, ...]) -> KernelCase:
    """Where the backward pass adds the bias again."""
    return kernel_case(
        "bias_gated_backward", shape, shape, (shape[axis],), axis=axis, activation="silu", tolerance=SUMS, dtypes=dtypes
    )


def each_activation(shape: tuple[int, ...], axis: int) -> list[KernelCase]:
    bias, one = (shape[axis],), {"axis": axis, "dtypes": SINGLE, "layouts": False}
    return [
        kernel_case("bias_add", shape, bias, axis=axis, layouts=False),
        *[kernel_case("bias_act", shape, bias, activation=a, **one) for a in ("sigmoid", "tanh")],
        *[kernel_case("bias_gated", shape, bias, activation=a, **one) for a in ("gelu", "gelu_tanh", "silu")],
        *[kernel_case("bias_act_backward", shape, shape, activation=a, **one) for a in ("sigmoid", "tanh")],
        *[kernel_case("bias_gated_backward", shape, shape, bias, activation=a, **one) for a in ("gelu", "gelu_tanh")],
    ]


CASES = [
    *functions((7, 11)),
    *[case for shape in [(), (0,), (1,), (8,), (2, 3, 4, 5)] for case in geometry(shape, SINGLE)],
    *geometry((9, 2003), DTYPES),
    *tails(),
    kernel_case("gelu_backward", (2,), np.array([1e25, -1e25]), id="gelu_backward-tanh-huge", dtypes=SINGLE,
        specials=False, approximate="tanh"),
    *[case for shape, axis in CHANNELS for case in sums(shape, axis, SINGLE)],
    *[case for shape, axis in WIDE for case in sums(shape, axis, DTYPES)],
    *[gated(shape, axis, SINGLE) for shape, axis in CHANNELS[4:11]],
    gated(*WIDE[0], DTYPES),
    gated(*WIDE[1], SINGLE),
    *each_activation((2, 3, 4, 5), 1),
]  # fmt: skip
