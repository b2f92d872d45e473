"""SciPy, which CuPy has a twin of; loaded when first needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def scipy(np: Any, part: str) -> Any:
    """A part of SciPy ("special", "linalg") for the arrays of module `np`: scipy.special or cupyx.scipy.special."""
    return import_module(f"scipy.{part}" if np.__name__ == "numpy" else f"cupyx.scipy.{part}")
