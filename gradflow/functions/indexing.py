"""Indexing, gathering and scattering."""

from __future__ import annotations

from typing import Any

from ..ops.index import getitem as _getitem
from ..ops.index import parse


def getitem(x: Any, index: Any) -> Any:
    """x[index], with NumPy's rules for slices, None, ellipsis, integers, and integer and boolean arrays."""
    spec, arrays = parse(x, index)
    return _getitem(x, *arrays, spec=spec)


__all__ = ["getitem"]
