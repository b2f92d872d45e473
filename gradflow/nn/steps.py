"""Single steps of recurrent networks, and the walk over the steps of a sequence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..functions import cat, matmul, sigmoid, split, tanh, transpose

State = tuple[Any, ...]
Step = Callable[[Any, State], State]
"""step(products with the input, states) -> states, all (N, features)."""


def plain(activation: Callable[[Any], Any], weight: Any, bias: Any, projection: Any) -> Step:
    """h' = activation(a + h W^T + b)."""
    turned = transpose(weight, 0, 1)

    def step(a: Any, state: State) -> State:
        return (activation(a + _plus(matmul(state[0], turned), bias)),)

    return step


def lstm(weight: Any, bias: Any, projection: Any) -> Step:
    """With i, f, g, o = a + h W^T + b: c' = s(f) c + s(i) tanh(g), h' = s(o) tanh(c') P^T, where s is the sigmoid."""
    turned = transpose(weight, 0, 1)
    projected = None if projection is None else transpose(projection, 0, 1)

    def step(a: Any, state: State) -> State:
        h, c = state
        i, f, g, o = split(a + _plus(matmul(h, turned), bias), c.shape[1], 1)
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        h = sigmoid(o) * tanh(c)
        return (h if projected is None else matmul(h, projected)), c

    return step


def gru(weight: Any, bias: Any, projection: Any) -> Step:
    """With r, z, n = a and r', z', n' = h W^T + b: h' = (1 - t) m + t h, where t = s(z + z') and
    m = tanh(n + s(r + r') n')."""
    turned = transpose(weight, 0, 1)

    def step(a: Any, state: State) -> State:
        h = state[0]
        size = h.shape[1]
        gates, new = split(a, (2 * size, size), 1)
        more, old = split(_plus(matmul(h, turned), bias), (2 * size, size), 1)
        reset, update = split(sigmoid(gates + more), size, 1)
        m = tanh(new + reset * old)
        return (m + update * (h - m),)

    return step


def _plus(x: Any, bias: Any) -> Any:
    return x if bias is None else x + bias


def walk(step: Step, inputs: Any, sizes: list[int], state: State, backwards: bool) -> tuple[Any, State]:
    """(outputs, last states) of steps over inputs (sum of sizes, ...): `sizes[t]` examples, never more than before,
    take part in step t. `state` holds (N, features) each."""
    steps, outputs = list(enumerate(split(inputs, sizes))), []
    done: list[State] = []
    start = state
    if backwards:
        steps.reverse()
        state = tuple([s[: sizes[-1]] for s in start]) if sizes[-1] < sizes[0] else start
    size = sizes[-1] if backwards else sizes[0]
    for t, a in steps:
        if sizes[t] < size:  # some have come to their end
            done.append(tuple([s[sizes[t] :] for s in state]))
            state = tuple([s[: sizes[t]] for s in state])
        elif sizes[t] > size:  # backwards, some begin
            state = tuple([cat([s, first[size : sizes[t]]]) for s, first in zip(state, start, strict=True)])
        size = sizes[t]
        state = step(a, state)
        outputs.append(state[0])
    if backwards:
        outputs.reverse()
    for ended in reversed(done):
        state = tuple([cat(pair) for pair in zip(state, ended, strict=True)])
    return cat(outputs), state
