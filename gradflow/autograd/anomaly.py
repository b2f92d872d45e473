"""`detect_anomaly`: backward passes that look for NaN after every operation, as in torch.autograd.

The mode changes which class walks the graph, so that it costs nothing where it is off. Forward passes run as always:
every node notes where it was made in any case.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..backend.base import guarded
from ..backend.dtypes import is_floating
from . import engine
from .engine import Pass
from .tape import Edge, Node
from .value import backend_under, describe, unwrap

_mode = [False, True]  # enabled, check_nan


class _CheckedPass(Pass):
    """A backward pass that looks at what every node's vjps return."""

    short_way = False

    def pull(self, node: Node, gs: list[Any]) -> Iterable[tuple[Edge, Any]]:
        try:
            results = list(super().pull(node, gs))
        except Exception as error:
            note = getattr(error, "add_note", None)  # since Python 3.11
            if note is not None:
                note(f"in the vjp of {node.name()}, called at {node.place()}")
            raise
        if _mode[1]:
            _check(node, gs, results)
        return results


def _check(node: Node, gs: Sequence[Any], results: Sequence[tuple[Edge, Any]]) -> None:
    """Raise RuntimeError where a vjp returned NaN."""
    i = -1
    for edge, g in results:
        i = next(k for k in range(i + 1, len(node.edges)) if node.edges[k] is edge)
        if has_nan(g):
            given = [g for g in gs if g is not None]
            held = "held NaN already" if any([has_nan(g) for g in given]) else "held none"
            raise RuntimeError(
                f"[backward] the vjp of {node.name()} returned NaN as the gradient of its input {i}, {describe(g)}; "
                f"what it was given, {', '.join([describe(g) for g in given])}, {held}; {node.name()} was called at "
                f"{node.place()}"
            )


def has_nan(value: Any) -> bool:
    """Whether a value or array of any dtype holds NaN; on a GPU this waits."""
    array = unwrap(value)
    if not is_floating(array.dtype):
        return False
    backend = backend_under(array)
    with guarded(backend):
        if array.dtype.kind == "V":
            array = array.astype(np.float32)
        return bool(backend.module.isnan(array).any())


def _switch(enabled: bool, check_nan: bool) -> None:
    _mode[:] = enabled, check_nan
    engine.passes[0] = _CheckedPass if enabled else Pass


class detect_anomaly:
    """Inside this `with` block a backward pass stops at the first operation whose gradient is NaN.

    RuntimeError then names the operation and the line that called it. With check_nan=False nothing is looked at. In
    either case an error raised in a vjp, say in a Function's backward, gets a note of where that operation was called
    (Python 3.11 and later). For all threads; it slows backward passes down, and on a GPU makes them wait after every
    operation.
    """

    def __init__(self, check_nan: bool = True) -> None:
        self.check_nan = check_nan
        self._before: list[list[bool]] = []

    def __enter__(self) -> None:
        self._before.append(_mode[:])
        _switch(True, self.check_nan)

    def __exit__(self, *_: object) -> None:
        _switch(*self._before.pop())


class set_detect_anomaly:
    """Turn `detect_anomaly` on or off from the call on; as a `with` block, until its end."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._before = _mode[:]
        _switch(mode, check_nan)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        _switch(*self._before)


def is_anomaly_enabled() -> bool:
    """Whether backward passes are watched, by `detect_anomaly` or `set_detect_anomaly`."""
    return _mode[0]
