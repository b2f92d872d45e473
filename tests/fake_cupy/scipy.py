"""The fake's `cupyx.scipy`: SciPy's functions behind CuPy's types and refusals. A function that is not listed here is
missing; add it when something uses it, after a look at CuPy's source."""

from __future__ import annotations

import types
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from . import linalg
from .array import host, ndarray, wrap

# cupyx.scipy.special: the floats each ufunc has loops for; float16 and integers take the loop for double, if any.
SPECIAL = {
    "digamma": "e f d", "erf": "e f d", "erfc": "e f d", "erfcx": "e f d", "erfinv": "f d", "gammaln": "e f d",
    "ndtr": "e f d", "zeta": "f d",
}  # fmt: skip


def special(name: str) -> Callable[..., Any]:
    """One of CuPy's special functions: arrays of the current device and Python numbers in, arrays out."""
    function = getattr(import_module("scipy.special"), name)

    def call(*args: Any) -> Any:
        if not any(isinstance(a, ndarray) for a in args):
            raise TypeError(f"cupyx.scipy.special.{name} expects a cupy.ndarray")
        values = []
        for a in args:
            if not isinstance(a, ndarray) and type(a) not in (int, float):
                raise TypeError(f"Unsupported type {type(a)}")
            value = host(a)
            if isinstance(a, ndarray) and a.dtype.char not in SPECIAL[name].split():
                raise TypeError(f"the fake of cupyx.scipy.special.{name} is for {SPECIAL[name]}, got {a.dtype}")
            values.append(value.astype("f8") if isinstance(a, ndarray) and a.dtype.char == "e" else value)
        with np.errstate(all="ignore"):
            return wrap(function(*values))

    return call


def build() -> dict[str, types.ModuleType]:
    """The modules `cupyx`, `cupyx.scipy` and those below, by name."""
    names = ("cupyx", "cupyx.scipy", "cupyx.scipy.linalg", "cupyx.scipy.special")
    modules = {name: types.ModuleType(name) for name in names}
    for name in SPECIAL:
        setattr(modules["cupyx.scipy.special"], name, special(name))
    modules["cupyx"].errstate = linalg.errstate  # type: ignore[attr-defined]
    modules["cupyx.scipy.linalg"].solve_triangular = linalg.solve_triangular  # type: ignore[attr-defined]
    for name in names[1:]:
        parent, _, child = name.rpartition(".")
        setattr(modules[parent], child, modules[name])
    return modules
