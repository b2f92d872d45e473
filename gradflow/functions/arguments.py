"""Arguments of the public functions: dimensions and sizes, under PyTorch's names and NumPy's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy

Dims = int | Sequence[int] | None

P = ParamSpec("P")
R = TypeVar("R")


def numpy_names(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function of `dim` and `keepdim` also take NumPy's keywords `axis` and `keepdims`, and its first operand as
    PyTorch's `input`."""

    @wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        if "axis" in options or "keepdims" in options:
            options = _renamed(function.__name__, options)
        if "input" in options:
            args = (options.pop("input"), *args)
        return function(*args, **options)

    return call


def _renamed(op: str, options: dict[str, Any]) -> dict[str, Any]:
    for numpys, name in (("axis", "dim"), ("keepdims", "keepdim")):
        if numpys in options:
            if name in options:
                raise TypeError(f"[{op}] give {name} or {numpys}, not both")
            options[name] = options.pop(numpys)
    return options


def check_tensors(op: str, **operands: Any) -> None:
    """Raise TypeError, naming the operand, for what is neither a tensor nor an array."""
    for name, x in operands.items():
        if not hasattr(x, "ndim"):
            raise TypeError(f"[{op}] {name} must be a tensor, got {type(x).__name__}")


def one_dim(op: str, x: Any, dim: Any) -> int:
    """A dimension argument counted from 0. IndexError where x has no such dimension."""
    if not isinstance(dim, (int, numpy.integer)) or isinstance(dim, bool):
        raise TypeError(f"[{op}] dim must be an integer, got {dim!r}")
    if not -x.ndim <= dim < x.ndim:
        raise IndexError(f"[{op}] dim {dim} is out of range for x {tuple(x.shape)}, which has {x.ndim} dimensions")
    return int(dim) % x.ndim


def many_dims(op: str, x: Any, dim: Dims) -> tuple[int, ...] | None:
    """Dimension arguments counted from 0, None for all (as PyTorch has it, () too). One named twice is an error."""
    if dim is None or (isinstance(dim, (tuple, list)) and not dim):
        return None
    dims = [one_dim(op, x, d) for d in dim] if isinstance(dim, (tuple, list)) else [one_dim(op, x, dim)]
    if len(set(dims)) != len(dims):
        raise ValueError(f"[{op}] dim {dim} names a dimension twice (x {tuple(x.shape)})")
    return tuple(dims)


def sizes_of(op: str, given: tuple[Any, ...]) -> tuple[int, ...]:
    """Sizes given one by one, or as one list or tuple."""
    if len(given) == 1 and isinstance(given[0], (tuple, list)):
        given = tuple(given[0])
    for n in given:
        if not hasattr(n, "__index__"):
            raise TypeError(f"[{op}] sizes must be integers, got {n!r}")
    return tuple([n.__index__() for n in given])
