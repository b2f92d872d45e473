"""Every case of the table under vmap: alone, over and under the other transforms, and nested in itself.

The reference is always the function applied to one example after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from ops.cases import CASES, Case
from ops.harness import (
    FORWARD,
    REVERSE,
    TAPE,
    all_close,
    derivative,
    gradients,
    many,
    random,
    scalar,
    tensor,
    tensors,
    to_host,
)

import gradflow as gf

pytestmark = pytest.mark.parametrize("case", CASES, ids=repr)

SIZE = 3


def rows(array: np.ndarray, count: int = SIZE) -> np.ndarray:
    """`count` arrays like the one given, stacked: its elements moved on, and floats scaled a little."""
    found = [np.roll(array, b) * (1 + 0.03 * b) if array.dtype.kind == "f" else np.roll(array, b) for b in range(count)]
    return np.stack(found)


def arguments(case: Case) -> list[np.ndarray]:
    return [*case.inputs, *case.constants]


def mappable(case: Case) -> list[bool]:
    return [True] * len(case.inputs) + [case.mapped] * len(case.constants)


def choices(case: Case) -> list[tuple[Any, ...]]:
    """in_dims: everything that can be mapped over; and each argument alone, over its last axis."""
    can = mappable(case)
    found = [tuple([0 if m else None for m in can])]
    if len(can) > 1:
        found += [tuple([-1 if i == k else None for i in range(len(can))]) for k, m in enumerate(can) if m]
    else:
        found.append((-1,))
    return found


def mapped(f: Callable[..., Any], case: Case, in_dims: Any = 0, **options: Any) -> Callable[..., Any]:
    return gf.func.vmap(f, in_dims, randomness=case.randomness, **options)


def batched(case: Case, in_dims: Sequence[Any]) -> list[np.ndarray]:
    """The case's arguments, those that are mapped over with an axis more."""
    return [
        a if d is None else np.moveaxis(rows(a), 0, d) for a, d in zip(arguments(case), in_dims, strict=True)
    ]  # fmt: skip


def one_by_one(f: Callable[..., Any], args: Sequence[np.ndarray], in_dims: Sequence[Any]) -> list[np.ndarray]:
    """f of each example, stacked."""
    found = []
    for b in range(SIZE):
        example = [a if d is None else np.take(a, b, axis=d) for a, d in zip(args, in_dims, strict=True)]
        found.append([to_host(y) for y in many(f(*tensors(example)))])
    return [np.stack(each) for each in zip(*found, strict=True)]


def test_vmap(case: Case) -> None:
    for in_dims in choices(case):
        args = batched(case, in_dims)
        expected = one_by_one(case.call, args, in_dims)
        for out_dims in (0, -1):
            out = many(mapped(case.call, case, in_dims, out_dims=out_dims)(*tensors(args)))
            turned = [np.moveaxis(y, 0, out_dims) for y in expected]
            all_close(out, turned, 1e-6 if case.out_dtype == gf.float32 else 1e-12, f"{in_dims} to {out_dims}, output")


FIRST = [(FORWARD,), (REVERSE,)]
SECOND = [(FORWARD, REVERSE), (REVERSE, FORWARD)]


def nested(f: Callable[..., Any], modes: Sequence[str], directions: Sequence[Any]) -> Callable[..., Any]:
    for mode, d in zip(modes, directions, strict=False):
        f = derivative(f, mode, d)
    return f


def test_vmap_of_derivatives(case: Case) -> None:
    f, n = scalar(case), len(case.inputs)
    directions = [random((SIZE, *x.shape), "vmap", i) for i, x in enumerate(case.inputs)]
    others = tensors([random(x.shape, "second", i) for i, x in enumerate(case.inputs)])

    def along(modes: Sequence[str]) -> Callable[..., Any]:
        return lambda *values: nested(f, modes, (values[-n:], others))(*values[:-n])

    for k, in_dims in enumerate(choices(case)):
        args, dims = [*batched(case, in_dims), *directions], (*in_dims, *[0] * n)
        for nestings in (FIRST, SECOND)[: 2 if k == 0 else 1]:
            expected = one_by_one(along((TAPE,) * len(nestings[0])), args, dims)
            for modes in nestings:
                found = mapped(along(modes), case, dims)(*tensors(args))
                all_close([found], expected, 1e-9 if case.numeric else 1e-5, f"vmap of {modes}, in_dims {in_dims}")


def test_derivatives_of_vmap(case: Case) -> None:
    n, u = len(case.inputs), tensor(random((SIZE,), "rows"))
    dims = [choices(case)[0]]
    if n > 1:
        dims.append((0, *[None] * (n - 1), *dims[0][n:]))
    for in_dims in dims:
        args = batched(case, in_dims)
        xs, fixed = tensors(args[:n]), tensors(args[n:])
        directions = [tensors([random(x.shape, "over", o, i) for i, x in enumerate(args[:n])]) for o in range(2)]

        def total(*values: Any, in_dims: Any = in_dims, fixed: Any = fixed) -> Any:
            return (u * mapped(scalar(case), case, in_dims)(*values, *fixed)).sum()

        def slowly(*values: Any, in_dims: Any = in_dims, fixed: Any = fixed) -> Any:
            result = 0.0
            for b in range(SIZE):
                row = [v if d is None else v[b] for v, d in zip((*values, *fixed), in_dims, strict=True)]
                result = result + u[b] * scalar(case)(*row)
            return result

        for nestings in (FIRST, SECOND)[: 2 if in_dims is dims[0] else 1]:
            on_tape = (TAPE,) * len(nestings[0])
            expected = nested(slowly, on_tape, directions)(*xs)
            for modes in [on_tape, *nestings]:
                found = nested(total, modes, directions)(*xs)
                all_close([found], [expected], 1e-9 if case.numeric else 1e-5, f"{modes} over vmap {in_dims}")


def test_gradients_through_vmap_reach_each_row(case: Case) -> None:
    f, n = scalar(case), len(case.inputs)
    in_dims = choices(case)[0]
    args = batched(case, in_dims)
    xs, fixed = tensors(args[:n], requires_grad=True), tensors(args[n:])
    found = gradients(mapped(f, case, in_dims)(*xs, *fixed).sum(), xs)

    def each(*values: Any) -> Any:
        live = [v.detach().requires_grad_() for v in values[:n]]
        return gradients(f(*live, *values[n:]), live)

    all_close(found, one_by_one(each, args, in_dims), 1e-10, "gradient")
    inside = mapped(gf.func.grad(f, argnums=tuple(range(n))), case, in_dims)(*[x.detach() for x in xs], *fixed)
    all_close(inside, found, 1e-10, "gradient inside")


def test_vmap_of_vmap(case: Case) -> None:
    can = mappable(case)
    for outer_only in (False, True):
        inner = tuple([0 if m and (i == 0 or not outer_only) else None for i, m in enumerate(can)])
        outer = tuple([-1 if m and d == 0 else 0 if m else None for m, d in zip(can, inner, strict=True)])
        args = []
        for a, d, o in zip(arguments(case), inner, outer, strict=True):
            grown = a if d is None else rows(a, 2)
            args.append(grown if o is None else np.moveaxis(rows(grown), 0, o))
        once = mapped(case.call, case, inner)

        def slowly(*values: Any, inner: Any = inner) -> Any:
            found = []
            for b in range(2):
                row = [v if d is None else v[b] for v, d in zip(values, inner, strict=True)]
                found.append([to_host(y) for y in many(case.call(*row))])
            return tuple([np.stack(each) for each in zip(*found, strict=True)])

        out = many(mapped(once, case, outer)(*tensors(args)))
        expected = one_by_one(slowly, args, outer)
        all_close(out, expected, 1e-6 if case.out_dtype == gf.float32 else 1e-12, f"{inner} in {outer}, output")


def test_no_examples(case: Case) -> None:
    in_dims = choices(case)[0]
    args = [a if d is None else rows(a)[:0] for a, d in zip(arguments(case), in_dims, strict=True)]
    example = many(case.call(*tensors(arguments(case))))
    out = many(mapped(case.call, case, in_dims)(*tensors(args)))
    assert [(y.shape, y.dtype) for y in out] == [((0, *y.shape), y.dtype) for y in example]
    n = len(case.inputs)
    inside = mapped(gf.func.grad(scalar(case), argnums=tuple(range(n))), case, in_dims)(*tensors(args))
    assert [g.shape for g in inside] == [(0, *x.shape) for x in case.inputs]
    xs = tensors(args[:n], requires_grad=True)
    outside = gradients(mapped(scalar(case), case, in_dims)(*xs, *tensors(args[n:])).sum(), xs)
    assert [g.shape for g in outside] == [(0, *x.shape) for x in case.inputs]
