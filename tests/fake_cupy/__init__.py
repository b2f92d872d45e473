"""A stand-in for CuPy 14 on NumPy: enough of it to run all of gradflow on machines that have no GPU.

It exists to fail where CuPy would. Results are arrays of its own type, never NumPy scalars; NumPy arrays are refused as
operands; out-of-range index arrays wrap silently; elementwise results are in C order; functions and arguments that CuPy
lacks are missing; work on an array of another GPU than the current one is refused; copies from pinned memory happen
later, when something waits or reads, so that memory let go too early shows as wrong numbers.

`build(...)` makes the module; the fixture `fake_cuda` puts it in place of `cupy`.
"""

from __future__ import annotations

import types
from typing import Any

import numpy as np

from . import cuda, functions, linalg
from .array import ndarray
from .cuda import World
from .functions import LACKING
from .raw import RawModule

__all__ = ["World", "build", "ndarray"]


def build(**options: Any) -> types.ModuleType:
    """A module that behaves as `cupy` on the machine that `options`, fields of World, describe."""
    world = cuda.enter(World(**options))
    module = types.ModuleType("cupy", __doc__)
    module.__version__ = "14.2.0"  # type: ignore[attr-defined]
    module.world = world  # type: ignore[attr-defined]
    module.ndarray = ndarray  # type: ignore[attr-defined]
    module.cuda = cuda.namespace(world)  # type: ignore[attr-defined]
    module.RawModule = RawModule  # type: ignore[attr-defined]
    module.get_default_memory_pool = cuda.MemoryPool  # type: ignore[attr-defined]
    module.linalg = linalg.namespace()  # type: ignore[attr-defined]
    tricks = types.SimpleNamespace(as_strided=functions.as_strided, sliding_window_view=functions.sliding_window_view)
    module.lib = types.SimpleNamespace(stride_tricks=tricks)  # type: ignore[attr-defined]
    for name in ("newaxis", "pi", "e", "inf", "nan"):
        setattr(module, name, getattr(np, name))

    def lookup(name: str) -> Any:
        if name.startswith("__") or name in LACKING:
            raise AttributeError(f"module 'cupy' has no attribute '{name}'")
        found = functions.find(name)
        setattr(module, name, found)
        return found

    module.__getattr__ = lookup  # type: ignore[method-assign]
    return module
