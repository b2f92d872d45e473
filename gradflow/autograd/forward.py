"""Forward mode: the level whose values are pairs (primal, tangent)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backend.base import guarded
from ..backend.dtypes import is_floating
from .engine import Pass
from .primitive import BIND, Primitive, bind, raw_of
from .pull import pull
from .tape import MAIN, Node, Tape
from .value import Level, Value, backend_under, make, next_sequence, shape_of


class DualLevel(Level):
    """Values carry a tangent in `aux`. A tangent that is None is zero."""

    name = "jvp"

    def process(self, prim: Primitive, args: tuple[Any, ...], static: dict[str, Any]) -> Any:
        self.check(prim)
        mine = [isinstance(a, Value) and a.level is self for a in args]
        primals = tuple([a.below if m else a for a, m in zip(args, mine, strict=True)])
        tangents = [a.aux if m else None for a, m in zip(args, mine, strict=True)]
        if prim.formula is not None and any(t is not None for t in tangents):
            return prim.formula(BIND, *args, **static)
        out = bind(prim, primals, static)
        if not prim.differentiable or all(t is None for t in tangents):
            return tuple([_constant(o) for o in out]) if type(out) is tuple else _constant(out)
        outs = out if type(out) is tuple else (out,)
        with guarded(backend_under(outs[0])):
            results = tangents_of(prim, primals, tangents, outs, static)
        values = tuple(
            [_constant(o) if i in prim.constant_outputs else self.pair(o, results[i]) for i, o in enumerate(outs)]
        )  # fmt: skip
        return values if type(out) is tuple else values[0]

    def pair(self, primal: Any, tangent: Any) -> Any:
        if tangent is None or not is_floating(primal.dtype):
            return _constant(primal)
        if isinstance(tangent, np.generic):  # what NumPy's operators make of 0-d arrays
            tangent = np.asarray(tangent)
        if tangent.dtype != primal.dtype:
            tangent = BIND.astype(tangent, dtype=primal.dtype)
        if tangent.shape != primal.shape:
            tangent = BIND.broadcast_to(tangent, shape=primal.shape)
        value = make(primal, self)
        value.aux = tangent
        return value


def _constant(out: Any) -> Any:
    """A result without a tangent, as the tensor that users expect."""
    return out if isinstance(out, Value) else make(out, MAIN)


def tangents_of(
    prim: Primitive, primals: tuple[Any, ...], tangents: list[Any], outs: tuple[Any, ...], static: dict[str, Any]
) -> tuple[Any, ...]:
    """The outputs' tangents: by linearity, by the diagonal Jacobian, by the primitive's rule, or by transposing."""
    active = [i for i, t in enumerate(tangents) if t is not None]
    if prim.linear and all(i in prim.linear for i in active):
        total: tuple[Any, ...] | None = None
        for i in active:
            part = bind(prim, (*primals[:i], tangents[i], *primals[i + 1 :]), static)
            part = part if type(part) is tuple else (part,)
            total = part if total is None else tuple([BIND.add(a, b) for a, b in zip(total, part, strict=True)])
        assert total is not None
        return total
    if prim.jvp == "diagonal":
        result = None
        for i in active:
            vjp, plan = prim.vjps[i], prim.plans[i]
            if vjp is None:
                continue
            assert plan is not None
            values = [
                {"g": tangents[i], "in": primals[key], "y": outs[0]}[kind] if kind in ("g", "in", "y") else static[key]
                for kind, key in plan
            ]
            part = vjp(BIND, *values)
            result = part if result is None else BIND.add(result, part)
        return (result,)
    if prim.jvp is not None:
        assert not isinstance(prim.jvp, str)
        result = prim.jvp(BIND, primals, tangents, outs, **static)
        return result if type(result) is tuple else (result,)
    return transpose(prim, primals, tangents, outs, static)


def transpose(
    prim: Primitive, primals: tuple[Any, ...], tangents: list[Any], outs: tuple[Any, ...], static: dict[str, Any]
) -> tuple[Any, ...]:
    """Tangents without a rule: the vjp is linear in its cotangents, and its own vjp is the jvp.

    Cotangents that do not matter are recorded on a tape of their own, through the primitive's vjps, and then the
    tangents flow back through what was recorded.
    """
    tape = Tape()
    dummies = [
        make(BIND.zeros_like(o), tape, requires_grad=True) if is_floating(o.dtype) else None for o in outs
    ]  # fmt: skip
    node = _node(prim, primals, outs, static, tape)
    node.edges = tuple([make(None, tape) if t is not None else None for t in tangents])
    tangent_of = {e: t for e, t in zip(node.edges, tangents, strict=True) if e is not None}
    walk = Pass(False)
    for edge, g in pull(node, dummies):
        if isinstance(g, Value) and g.level is tape and g.tracked:
            tangent = tangent_of[edge]
            walk.send(g if g.edge is None else g.edge, tangent)
    walk.run(True)
    tape.ended = True
    return tuple([None if d is None else walk.leaves.get(d) for d in dummies])


def _node(prim: Primitive, primals: tuple[Any, ...], outs: tuple[Any, ...], static: dict[str, Any], tape: Tape) -> Node:
    """A node as the tape would make it, with everything saved, outside any graph."""
    node = Node.__new__(Node)
    node.prim, node.static, node.level, node.residual = prim, static, tape, None
    node.raw = None if any([isinstance(p, Value) for p in primals]) else raw_of(prim.name, primals)
    node.shapes = tuple([shape_of(p) for p in primals])
    node.dtypes = tuple([getattr(p, "dtype", None) for p in primals])
    node.args, node.outs, node.nout = primals, outs, len(outs)
    node.counters, node.hooks, node.uniform, node.seq = (), None, False, next_sequence()
    return node
