"""Arguments that are one integer, or one for each of an image's axes; and images of one, two or three axes."""

from __future__ import annotations

from numbers import Integral
from typing import Any

from ...functions.shape import unsqueeze

Size = int | tuple[int, ...]
Sizes = tuple[int, ...]
AXES = {1: "L", 2: "H, W", 3: "D, H, W"}
_MANY = {1: "", 2: " or two", 3: " or three"}


def ndim_of(op: str, x: Any, name: str = "") -> int:
    """How many dimensions a tensor or array has."""
    if not hasattr(x, "ndim"):
        raise TypeError(f"[{op}] expected a tensor{name and ' as ' + name}, got {type(x).__name__}")
    return int(x.ndim)


def several(op: str, name: str, value: Any, rank: int) -> Sizes:
    """An argument that is one integer, or one per axis, as one per axis."""
    if type(value) is int:
        return (value,) * rank
    if type(value) is tuple and len(value) == rank and {*map(type, value)} == {int}:
        return value
    each = value if isinstance(value, (tuple, list)) else (value,)
    if len(each) not in (1, rank) or not all([whole(v) for v in each]):
        raise TypeError(f"[{op}] {name} must be an integer{_MANY[rank]}, got {value!r}")
    return tuple(map(int, each)) * (rank // len(each))


def whole(value: Any) -> bool:
    """Whether it is an integer, Python's or NumPy's, and no bool."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def pair(op: str, name: str, value: Any) -> tuple[int, int]:
    """An argument that is one integer or two."""
    rows, cols = several(op, name, value, 2)
    return rows, cols


def batched(op: str, x: Any, rank: int) -> tuple[Any, bool]:
    """x (N, C, *axes), and whether it was one image (C, *axes)."""
    if ndim_of(op, x) == rank + 1:
        return unsqueeze(x, 0), True
    if x.ndim != rank + 2:
        raise ValueError(f"[{op}] expected x (N, C, {AXES[rank]}) or (C, {AXES[rank]}), got {tuple(x.shape)}")
    return x, False
