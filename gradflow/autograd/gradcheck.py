"""Numeric gradients, and the check of analytic ones against them (the lectures' gradient check)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .api import grad
from .grad_mode import no_grad
from .tape import MAIN
from .value import Value, backend_under, make


class GradcheckError(AssertionError):
    """Analytic and numeric gradients differ."""


def numeric_gradient(func: Callable[..., Any], inputs: Sequence[Any], index: int, eps: float = 1e-6) -> np.ndarray:
    """d func / d inputs[index] by central differences, (f(x + eps) - f(x - eps)) / (2 eps), one element at a time.

    `func` returns a scalar tensor. The result is on the host, of the input's shape.
    """
    values = [x.detach() for x in inputs]
    backend = backend_under(values[index])
    base = values[index].numpy()
    result = np.zeros(base.shape)

    def at(position: Any, step: float) -> float:
        moved = base.copy()
        moved[position] += step
        values[index] = make(backend.from_host(moved), MAIN)
        with no_grad():
            return float(func(*values).item())

    for position in np.ndindex(base.shape):
        result[position] = (at(position, eps) - at(position, -eps)) / (2 * eps)
    return result


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    order: int = 1,
    raise_exception: bool = True,
) -> bool:
    """Whether func's gradients with respect to its float64 inputs that require grad equal numeric ones.

    Each output is projected on a fixed random direction. With `order` above 1 the gradients are checked in turn.
    Raises GradcheckError with both gradients, or returns False.
    """
    args = list(inputs) if isinstance(inputs, (tuple, list)) else [inputs]
    chosen = [i for i, x in enumerate(args) if isinstance(x, Value) and x.tracked]
    if not chosen:
        raise ValueError("[gradcheck] at least one input must require grad")
    for i in chosen:
        if args[i].dtype != np.float64:
            raise TypeError(f"[gradcheck] input {i} is {args[i].dtype}; differences need float64")
    try:
        _check(func, args, chosen, eps, atol, rtol, order, np.random.default_rng(0))
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _check(
    func: Any, args: list[Any], chosen: list[int], eps: float, atol: float, rtol: float, order: int, rng: Any
) -> None:
    outputs = func(*args)
    outputs = outputs if isinstance(outputs, (tuple, list)) else (outputs,)
    kept = [k for k, y in enumerate(outputs) if y.tracked]
    directions = [
        make(backend_under(outputs[k]).from_host(rng.standard_normal(outputs[k].shape).astype(outputs[k].dtype)), MAIN)
        for k in kept
    ]

    def projected(*values: Any) -> Any:
        ys = func(*values)
        ys = ys if isinstance(ys, (tuple, list)) else (ys,)
        parts = [(ys[k] * u).sum() for k, u in zip(kept, directions, strict=True)]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total

    if not kept:
        return
    wanted = [args[i] for i in chosen]
    analytic = grad(projected(*args), wanted, allow_unused=True, materialize_grads=True)
    for i, a in zip(chosen, analytic, strict=True):
        numeric = numeric_gradient(projected, args, i, eps)
        found = a.numpy()
        if found.shape != numeric.shape or not np.allclose(found, numeric, rtol=rtol, atol=atol, equal_nan=True):
            raise GradcheckError(
                f"[gradcheck] input {i}, order from the top {order}: analytic\n{found}\nnumeric\n{numeric}"
            )
    if order > 1:

        def gradients(*values: Any) -> Any:
            fresh = list(args)
            for k, v in enumerate(values):
                fresh[k] = v
            live = [v if v.tracked else v.detach().requires_grad_() for v in [fresh[i] for i in chosen]]
            for i, v in zip(chosen, live, strict=True):
                fresh[i] = v
            from .grad_mode import enable_grad

            with enable_grad():
                found = grad(projected(*fresh), live, create_graph=True, allow_unused=True, materialize_grads=True)
            return tuple(found)

        _check(gradients, args, chosen, eps, atol, rtol, order - 1, rng)
