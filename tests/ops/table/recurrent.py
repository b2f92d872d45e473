"""The table's part on recurrent layers: two steps of each kind, some of packed sequences."""

from __future__ import annotations

from typing import Any

import numpy as np
from ops.case import Case, case

import gradflow as gf
from gradflow.nn import functional as F
from gradflow.nn import steps


def run(kind: Any, sizes: list[int], backwards: bool, x: Any, wi: Any, wh: Any, bi: Any, bh: Any, *states: Any) -> Any:
    """(outputs, last states) of steps over the rows x, of which `sizes` belong to each step."""
    y, last = steps.walk(kind(wh * 0.5, bh, None), F.linear(x, wi * 0.5, bi), sizes, states, backwards)
    return y, *last


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def walked(
    step: Any, sizes: list[int], backwards: bool, x: Any, wi: Any, wh: Any, bi: Any, bh: Any, *states: Any
) -> Any:
    """Each example on its own."""
    starts, ys, lasts = np.cumsum([0, *sizes]), np.zeros((len(x), 2)), []
    for n in range(sizes[0]):
        rows = [starts[t] + n for t, size in enumerate(sizes) if n < size]
        state = [s[n : n + 1] for s in states]
        for row in rows[::-1] if backwards else rows:
            state = step(x[row : row + 1] @ wi.T / 2 + bi, state[0] @ wh.T / 2 + bh, *state)
            ys[row] = state[0][0]
        lasts.append(state)
    return ys, *[np.concatenate(kind) for kind in zip(*lasts, strict=True)]


def lstm(a: Any, b: Any, h: Any, c: Any) -> Any:
    i, f, g, o = np.split(a + b, 4, 1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru(a: Any, b: Any, h: Any) -> Any:
    (r, z, n), (s, t, m) = np.split(a, 3, 1), np.split(b, 3, 1)
    new = np.tanh(n + sigmoid(r + s) * m)
    return ((1 - sigmoid(z + t)) * new + sigmoid(z + t) * h,)


def layer(name: str, kind: Any, step: Any, gates: int, sizes: list[int], backwards: bool, states: int = 1) -> Case:
    rows = 2 * gates
    return case(f"recurrent-{name}", lambda *xs: run(kind, sizes, backwards, *xs), (sum(sizes), 2), (rows, 2),
        (rows, 2), (rows,), (rows,), *[(sizes[0], 2)] * states, light=True, mixed=False,
        ref=lambda *xs: walked(step, sizes, backwards, *xs))  # fmt: skip


def elman(weight: Any, bias: Any, projection: Any) -> Any:
    return steps.plain(gf.tanh, weight, bias, projection)


CASES: list[Case] = [
    layer("plain", elman, lambda a, b, h: (np.tanh(a + b),), 1, [2, 2], False),
    layer("gru", steps.gru, gru, 3, [2, 1], True),
    layer("lstm", steps.lstm, lstm, 4, [2, 1], False, 2),
]
