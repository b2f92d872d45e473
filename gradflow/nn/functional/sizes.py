"""Arguments that are one integer, or one for rows and one for columns."""

from __future__ import annotations

from typing import Any

Size = int | tuple[int, int]


def ndim_of(op: str, x: Any) -> int:
    """How many dimensions a tensor or array has."""
    if not hasattr(x, "ndim"):
        raise TypeError(f"[{op}] expected a tensor, got {type(x).__name__}")
    return int(x.ndim)


def pair(op: str, name: str, value: Any) -> tuple[int, int]:
    """An argument that is one integer or two."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value, value
    if isinstance(value, (tuple, list)) and len(value) in (1, 2) and all(isinstance(v, int) for v in value):
        return value[0], value[-1]
    raise TypeError(f"[{op}] {name} must be an integer or two, got {value!r}")
