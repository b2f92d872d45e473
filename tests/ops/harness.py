"""From a case to the scalar functions that are differentiated, and from numbers to verdicts."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from ops.cases import Case

import gradflow as gf
from gradflow.autograd.value import unwrap
from gradflow.backend.dtypes import is_floating

STEP = 5e-4  # of differences: their error h^4 is about as large as the rounding error 1e-16 / h
FORWARD, REVERSE, TAPE = "forward", "reverse", "tape"


@functools.cache
def random(shape: tuple[int, ...], *key: Any) -> np.ndarray:
    """Standard normal numbers that depend on the shape and the key alone."""
    return np.asarray(np.random.default_rng(zlib.crc32(repr((shape, key)).encode())).standard_normal(shape))


def tensor(array: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """A tensor on `device`; a floating array's in `dtype`, where one is given."""
    array = np.asarray(array)
    kind = dtype if is_floating(array.dtype) else None
    return gf.tensor(array, dtype=kind, device=device or "cpu", requires_grad=requires_grad)


def tensors(arrays: Sequence[Any], **options: Any) -> list[Any]:
    return [tensor(a, **options) for a in arrays]


def leaves(case: Case, **options: Any) -> list[Any]:
    """The case's inputs as leaves."""
    return tensors(case.inputs, requires_grad=True, **options)


def constants(case: Case, **options: Any) -> list[Any]:
    return tensors(case.constants, **options)


def many(out: Any) -> tuple[Any, ...]:
    return out if isinstance(out, tuple) else (out,)


def floating(out: Any) -> list[Any]:
    """The differentiable outputs."""
    return [y for y in many(out) if is_floating(y.dtype)]


def to_host(value: Any) -> np.ndarray:
    """A result's numbers, in float64 if they are floating."""
    array = value if isinstance(value, np.ndarray) else value.detach().numpy()
    return array.astype("f8") if is_floating(array.dtype) else array


def dot(values: Sequence[Any], others: Sequence[Any]) -> Any:
    """Sum of products over all elements of all values."""
    return functools.reduce(lambda a, b: a + b, [(x * y).sum() for x, y in zip(values, others, strict=True)])


def curve(y: Any, k: int = 0) -> Any:
    """A scalar that curves in every element of output number k: sum u y (y + 2), with random u."""
    return (tensor(random(tuple(y.shape), "project", k), y.dtype, y.device) * (y * (y + 2.0))).sum()


def project(ys: Sequence[Any]) -> Any:
    """The same of several outputs."""
    return functools.reduce(lambda a, b: a + b, [curve(y, k) for k, y in enumerate(ys)])


def scalar(case: Case, fixed: Sequence[Any] | None = None) -> Callable[..., Any]:
    """The case as a scalar function of its inputs, and of its constants unless they are given here."""
    if fixed is None:
        return lambda *values: project(floating(case.call(*values)))
    return lambda *xs: project(floating(case.call(*xs, *fixed)))


def gradients(y: Any, xs: Sequence[Any], create_graph: bool = False) -> tuple[Any, ...]:
    """On the tape; zeros where y does not depend on an input."""
    if not y.requires_grad:
        return tuple([gf.zeros_like(x) for x in xs])
    return gf.autograd.grad(y, list(xs), create_graph=create_graph, materialize_grads=True)


def derivative(f: Callable[..., Any], mode: str, directions: Sequence[Any]) -> Callable[..., Any]:
    """x -> <f'(x), directions>, by one way of differentiating; extra arguments are constants.

    The three ways agree, and nest: `derivative(derivative(f, a, d), b, e)`.
    """
    n = len(directions)

    def forward(*xs: Any) -> Any:
        return gf.func.jvp(lambda *v: f(*v, *xs[n:]), tuple(xs[:n]), tuple(directions))[1]

    def reverse(*xs: Any) -> Any:
        return dot(gf.func.grad(f, argnums=tuple(range(n)))(*xs), directions)

    def tape(*xs: Any) -> Any:
        live = [x if x.requires_grad else x.detach().requires_grad_() for x in xs[:n]]
        return dot(gradients(f(*live, *xs[n:]), live, create_graph=True), directions)

    return {FORWARD: forward, REVERSE: reverse, TAPE: tape}[mode]


def slope(f: Callable[..., Any], xs: Sequence[np.ndarray], directions: Sequence[np.ndarray], h: float = STEP) -> float:
    """The numeric derivative of a scalar function along directions, from four points, in O(h^4)."""

    def at(step: float) -> float:
        return float(f(*[tensor(x + step * d) for x, d in zip(xs, directions, strict=True)]).item())

    return (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)


def close(found: Any, expected: Any, tolerance: float, what: str = "") -> None:
    """Shapes equal, and the difference's norm at most `tolerance` of the expected one's (or of 1, if that is less)."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape, f"{what}: shape {found.shape}, expected {expected.shape}"
    off = np.linalg.norm(found.astype("f8").ravel() - expected.astype("f8").ravel())
    scale = max(np.linalg.norm(expected.astype("f8").ravel()), 1.0)
    assert off <= tolerance * scale, f"{what}: off by {off / scale:.2e}\nfound\n{found}\nexpected\n{expected}"


def all_close(found: Sequence[Any], expected: Sequence[Any], tolerance: float, what: str = "") -> None:
    """`close`, tensor by tensor."""
    assert len(found) == len(expected), f"{what}: {len(found)} values, expected {len(expected)}"
    for k, (a, b) in enumerate(zip(found, expected, strict=True)):
        close(to_host(a), to_host(b), tolerance, f"{what} {k}")


def array_types(values: Sequence[Any]) -> set[type]:
    """The types of the raw arrays under values."""
    return {type(unwrap(v)) for v in values}
