"""Every case of the table in float64: values, gradients to order 3 against differences, and every nesting.

A gradient is pulled on raw arrays, or recorded so that it can be differentiated; where each nesting of forward and
reverse mode gives the same number, and that number is the slope of what lies one order below, all of them are right.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from ops.cases import CASES, Case
from ops.harness import (
    FORWARD,
    REVERSE,
    STEP,
    TAPE,
    all_close,
    close,
    constants,
    curve,
    derivative,
    floating,
    gradients,
    leaves,
    many,
    project,
    random,
    scalar,
    slope,
    tensors,
    to_host,
)

import gradflow as gf

every_case = pytest.mark.parametrize("case", CASES, ids=repr)
smooth_case = pytest.mark.parametrize("case", [c for c in CASES if c.numeric], ids=repr)  # to take differences of


@every_case
def test_value_is_the_reference(case: Case) -> None:
    out = many(case.call(*tensors(case.inputs), *constants(case)))
    for y in out:
        assert np.isfinite(to_host(y)).all()
    if case.reference is not None:
        expected = [np.asarray(r) for r in many(case.reference(*case.inputs, *case.constants))]
        all_close(out, expected, 1e-6 if case.out_dtype == gf.float32 else 1e-12, "output")


@every_case
def test_recorded_value_is_the_plain_one(case: Case) -> None:
    plain = many(case.call(*tensors(case.inputs), *constants(case)))
    recorded = many(case.call(*leaves(case), *constants(case)))
    with gf.no_grad():
        silent = many(case.call(*leaves(case), *constants(case)))
    assert not any(y.requires_grad for y in (*plain, *silent))
    for a, b, c in zip(plain, recorded, silent, strict=True):
        assert a.dtype == b.dtype == c.dtype
        assert np.array_equal(to_host(a), to_host(b))
        assert np.array_equal(to_host(a), to_host(c))


@every_case
def test_raw_gradient_is_the_recorded_one(case: Case) -> None:
    f = scalar(case, constants(case))
    xs = leaves(case)
    raw = gradients(f(*xs), xs)
    assert not any(g.requires_grad for g in raw)
    all_close(raw, gradients(f(*xs), xs, create_graph=True), 1e-10, "recorded")
    if f(*xs).requires_grad:
        f(*xs).backward()
        reached = [(x.grad, g) for x, g in zip(xs, raw, strict=True) if x.grad is not None]
        all_close([a for a, _ in reached], [b for _, b in reached], 1e-12, "deposited")


@every_case
def test_gradient_of_one_input_or_output_is_part_of_the_whole(case: Case) -> None:
    xs = leaves(case)
    whole = gradients(project(floating(case.call(*xs, *constants(case)))), xs)
    for create_graph in (False, True):
        for i in range(len(xs)):
            alone = [x if k == i else x.detach() for k, x in enumerate(xs)]
            y = project(floating(case.call(*alone, *constants(case))))
            all_close(gradients(y, [xs[i]], create_graph), [whole[i]], 1e-10, f"input {i} alone")
        parts = []
        for k in range(len(floating(case.call(*xs, *constants(case))))):
            y = floating(case.call(*xs, *constants(case)))[k]
            parts.append(gradients(curve(y, k), xs, create_graph))
        sums = [sum(to_host(g) for g in each) for each in zip(*parts, strict=True)]
        all_close(whole, [np.asarray(s) for s in sums], 1e-10, "one output at a time")


@smooth_case
def test_all_orders_against_differences(case: Case) -> None:
    f = scalar(case, constants(case))
    for order in (1, 2, 3):
        directions = [random(x.shape, "direction", order, i) for i, x in enumerate(case.inputs)]
        g = derivative(f, TAPE, tensors(directions))
        expected = slope(f, case.inputs, directions)
        close(g(*tensors(case.inputs)).item(), expected, 2e-8, f"order {order}")
        f = g


@smooth_case
def test_jvp_against_differences(case: Case) -> None:
    directions = [random(x.shape, "jvp", i) for i, x in enumerate(case.inputs)]
    xs, fixed, h = case.inputs, constants(case), STEP

    def at(step: float) -> list[np.ndarray]:
        moved = tensors([x + step * d for x, d in zip(xs, directions, strict=True)])
        return [to_host(y) for y in floating(case.call(*moved, *fixed))]

    out, tangents = gf.func.jvp(
        lambda *v: tuple(floating(case.call(*v, *fixed))), tuple(tensors(xs)), tuple(tensors(directions))
    )
    all_close(out, at(0.0), 1e-14, "primal")
    steps = zip(at(h), at(-h), at(2 * h), at(-2 * h), strict=True)
    all_close(tangents, [np.asarray((8 * (a - b) - (c - d)) / (12 * h)) for a, b, c, d in steps], 1e-8, "tangent")


@every_case
def test_one_tangent_at_a_time_adds_up(case: Case) -> None:
    fixed = constants(case)
    xs, directions = tensors(case.inputs), tensors([random(x.shape, "jvp", i) for i, x in enumerate(case.inputs)])

    def f(*v):
        return tuple(floating(case.call(*v, *fixed)))

    whole = gf.func.jvp(f, tuple(xs), tuple(directions))[1]
    parts = []
    for i in range(len(xs)):
        one = gf.func.jvp(lambda v, i=i: f(*xs[:i], v, *xs[i + 1 :]), (xs[i],), (directions[i],))[1]
        parts.append([to_host(t) for t in one])
    all_close(whole, [np.asarray(sum(each)) for each in zip(*parts, strict=True)], 1e-10, "tangents")


@every_case
def test_every_nesting_gives_the_same(case: Case) -> None:
    f = scalar(case, constants(case))
    xs = tensors(case.inputs)
    for order in (1, 2, 3):
        directions = [
            tensors([random(x.shape, "direction", o, i) for i, x in enumerate(case.inputs)]) for o in range(order)
        ]
        found = {}
        for modes in [(TAPE,) * order, *product((FORWARD, REVERSE), repeat=order)]:
            g = f
            for mode, d in zip(modes, directions, strict=True):
                g = derivative(g, mode, d)
            found[modes] = g(*xs).item()
        expected = found[(TAPE,) * order]
        for modes, value in found.items():
            close(value, expected, 1e-9 if case.numeric else 1e-5, " over ".join(reversed(modes)))


@every_case
def test_recording_outside_of_a_transform(case: Case) -> None:
    fixed, xs = constants(case), leaves(case)
    directions = tensors([random(x.shape, "outside", i) for i, x in enumerate(case.inputs)])
    expected = gradients(derivative(scalar(case, fixed), TAPE, directions)(*xs), xs)
    for mode in (FORWARD, REVERSE):
        y = derivative(scalar(case, fixed), mode, directions)(*xs)
        all_close(gradients(y, xs), expected, 1e-9 if case.numeric else 1e-5, f"tape over {mode}")
