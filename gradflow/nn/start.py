"""What parameters start from."""

from __future__ import annotations

from typing import Any

from ..creation import rand
from .module import Parameter


def uniform(shape: tuple[int, ...], bound: float, device: Any, dtype: Any) -> Parameter:
    """A parameter drawn uniformly from [-bound, bound)."""
    start = rand(*shape, dtype=dtype, device=device)
    return Parameter(start.mul_(2 * bound).sub_(bound))
