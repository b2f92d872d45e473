"""Products of vectors and matrices."""

from __future__ import annotations

from typing import Any

from ..autograd.primitive import BIND
from ..ops import linalg


def matmul(a: Any, b: Any) -> Any:
    """a @ b in all ranks."""
    return linalg.product(BIND, a, b)


__all__ = ["matmul"]
