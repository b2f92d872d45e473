"""The tape: the level that records primitives as nodes of a graph, for the backward pass in `engine.py`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np

from ..backend.device import get_backend
from ..backend.dtypes import is_floating
from .grad_mode import MODE
from .primitive import BIND, EXPLAINED, Primitive, bind, explain, prepare, raw_of, raw_over
from .value import Level, Value, make, next_sequence

Edge = Any  # None, a leaf Value, a Node (its first output), or (Node, output index)

PACKAGE = str(Path(__file__).parents[1])
CPU = raw_over(get_backend("cpu"))


class Node:
    """One recorded call. It holds arrays, never its output's Tensor, so the graph has no reference cycles.

    prim, static   what was called
    edges          per input: where its cotangent goes
    args, outs     saved inputs and outputs, None where not needed; () and () when the node saves nothing at all;
                   args is None once a backward pass has freed them
    shapes, dtypes of the inputs
    residual       what the body kept for a first-order backward pass
    raw            the raw namespace, when all inputs were raw arrays; None when some belong to a lower level
    counters       version counters of inputs and outputs, None for those not saved
    seq            creation order
    hooks          {output index: functions}, for tensor hooks
    made           (code, instruction) of the call, for messages
    uniform        inputs and output have one shape and dtype, so that cotangents of elementwise vjps fit as they are
    """

    __slots__ = (
        "__weakref__",
        "args",
        "counters",
        "dtypes",
        "edges",
        "hooks",
        "level",
        "made",
        "nout",
        "outs",
        "prim",
        "raw",
        "residual",
        "seq",
        "shapes",
        "static",
        "uniform",
    )  # fmt: skip

    prim: Primitive
    static: dict[str, Any]
    edges: tuple[Edge, ...]
    args: tuple[Any, ...] | None
    outs: tuple[Any, ...]
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[Any, ...]
    residual: Any
    raw: Any
    counters: tuple[list[int] | None, ...]
    seq: int
    hooks: dict[int, list[Callable[..., Any]]] | None
    made: tuple[CodeType, int]
    nout: int
    level: Level
    uniform: bool

    def free(self) -> None:
        if self.args:
            self.args = None
            self.outs = ()
            self.residual = None
        if self.prim.short is None:
            self.prim.release()

    def name(self) -> str:
        return self.prim.name

    def place(self) -> str:
        """File and line of the call that made this node, outside the package where there was such a frame."""
        code, instruction = self.made
        line = code.co_firstlineno
        for start, end, number in code.co_lines():
            if start <= instruction < end and number is not None:
                line = number
        return f"{code.co_filename}:{line}"

    def __repr__(self) -> str:
        return f"<{self.prim.name} made at {self.place()}>"


def caller(depth: int = 2) -> tuple[CodeType, int]:
    """The innermost frame outside the package from `depth` on, as (code, instruction)."""
    frame = sys._getframe(depth)
    inner = frame
    while frame.f_code.co_filename.startswith(PACKAGE):
        if frame.f_back is None:
            return inner.f_code, inner.f_lasti
        frame = frame.f_back
    return frame.f_code, frame.f_lasti


class Tape(Level):
    """Records. The tape at the bottom, `MAIN`, is the one ordinary tensors live on; gf.func makes others above it."""

    def __init__(self, name: str = "grad") -> None:
        super().__init__()
        self.name = name

    def process(self, prim: Primitive, args: tuple[Any, ...], static: dict[str, Any]) -> Any:
        if self.ended:
            self.check(prim)
        track, raw, host, inner = False, True, True, []
        for a in args:
            if isinstance(a, Value):
                if a.level is self:
                    track = track or a.tracked
                    a = a.below
                if type(a) is not np.ndarray:
                    host = False
                    if isinstance(a, Value):
                        raw = False
            elif a is not None:
                host = False
            inner.append(a)
        track = track and self.depth > MODE.cutoff
        if track and prim.formula is not None:
            return prim.formula(BIND, *args, **static)
        track = track and prim.differentiable
        residual = xp = None
        if raw:
            xp = CPU if host else raw_of(prim.name, inner)
            try:
                ready = inner if host and prim.promote is None else prepare(prim, inner, xp.backend)
                out, residual = xp.run(prim, ready, static, residual=track)
            except EXPLAINED as error:
                raise explain(prim, inner, error) from error
        else:
            out = bind(prim, tuple(inner), static)
        if not track:
            if type(out) is tuple:
                return tuple([make(o, self, version=version_of(prim, o, args, inner)) for o in out])
            return make(out, self, version=version_of(prim, out, args, inner))
        return self.record(prim, args, tuple(inner), static, out, residual, xp)

    def record(
        self,
        prim: Primitive,
        args: tuple[Any, ...],
        inner: tuple[Any, ...],
        static: dict[str, Any],
        out: Any,
        residual: Any,
        xp: Any,
    ) -> Any:
        """Wrap the outputs and make the node that links them to the arguments."""
        node = object.__new__(Node)
        node.prim, node.static, node.level, node.raw, node.residual = prim, static, self, xp, residual
        node.hooks, node.uniform = None, False
        edges: list[Edge] = []
        shapes: list[tuple[int, ...]] = []
        dtypes: list[Any] = []
        for a, x in zip(args, inner, strict=True):
            tracked = isinstance(a, Value) and a.level is self and a.tracked
            edges.append(None if not tracked else a if a.edge is None else a.edge)
            if hasattr(x, "dtype"):
                shapes.append(x.shape)
                dtypes.append(x.dtype)
            else:
                shapes.append(())
                dtypes.append(None)
        node.edges, node.shapes, node.dtypes = tuple(edges), tuple(shapes), tuple(dtypes)
        node.made = caller(4)
        outs = out if type(out) is tuple else (out,)
        node.nout = len(outs)
        kept, rest, kept_outs = prim.keep(tuple([e is not None for e in edges]))
        saves = residual is not None
        counters: list[list[int] | None] = [None] * (len(inner) + len(outs))
        saved: list[Any] = [None] * len(inner)
        for i, x in enumerate(inner):
            if i in kept or i >= rest:
                saved[i], saves = x, True
                a = args[i]
                if isinstance(a, Value):
                    counters[i] = a.version
        values = []
        for i, o in enumerate(outs):
            live = is_floating(o.dtype) and i not in prim.constant_outputs
            version = version_of(prim, o, args, inner) if prim.view else None
            value = make(o, self, (node if i == 0 else (node, i)) if live else None, version=version)
            if i in kept_outs:
                counters[len(inner) + i], saves = value.version, True
            values.append(value)
        node.args = tuple(saved) if saves else ()
        node.outs = (
            tuple([o if i in kept_outs else None for i, o in enumerate(outs)]) if kept_outs else (None,) * len(outs)
        )
        node.counters = tuple(counters) if saves else ()
        node.seq = next_sequence()
        return tuple(values) if type(out) is tuple else values[0]


def version_of(prim: Primitive, out: Any, args: Sequence[Any], inner: Sequence[Any]) -> list[int] | None:
    """The version counter of an output that shares an argument's memory: that argument's. None for a new one."""
    if prim.view and not isinstance(out, Value):
        for a, array in zip(args, inner, strict=True):
            if isinstance(a, Value) and not isinstance(array, Value) and np.may_share_memory(out, array):
                return a.version
    return None


MAIN = Tape()
assert MAIN.depth == 0
