"""One step of the backward pass: a node's vjps, on what it saved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ..backend.dtypes import is_floating
from .again import Again
from .primitive import BIND
from .tape import Edge, Node
from .value import Value, make


class GraphError(RuntimeError):
    """The graph cannot be walked: freed, changed in place, or not there."""


class Saved:
    """A node's saved values as its vjps see them when something records: linked again to where they came from."""

    __slots__ = ("args", "outs", "raw", "residual", "shapes", "static")

    def __init__(self, node: Node, relink: bool) -> None:
        assert node.args is not None
        self.shapes, self.static, self.residual = node.shapes, node.static, None
        self.raw = None if relink else node.raw
        if not relink:
            self.args, self.outs = node.args, node.outs
            return
        counters = node.counters or (None,) * (len(node.edges) + node.nout)
        self.args = tuple(
            [_relink(a, e, node, c) for a, e, c in zip(node.args, node.edges, counters, strict=False)]
        )  # fmt: skip
        self.outs = tuple(
            [
                _relink(o, (node if i == 0 else (node, i)) if o is not None and is_floating(o.dtype) else None, node, c)
                for i, (o, c) in enumerate(zip(node.outs, counters[len(node.edges) :], strict=False))
            ]
        )


def _relink(value: Any, edge: Edge, node: Node, counter: list[int] | None) -> Any:
    """A saved value as a tensor at the node's level again, with its history and its version counter."""
    if value is None or not hasattr(value, "dtype") or (edge is None and counter is None):
        return value
    return edge if isinstance(edge, Value) else make(value, node.level, edge=edge, version=counter)


def check_saved(node: Node) -> None:
    """Refuse a node whose saved values were freed, or changed in place since; compute anew those given up for it."""
    while node.args is None and type(node.residual) is Again:  # again where a part lies within a part
        node.residual.fill()
    if node.args is None:
        raise GraphError(
            f"[{node.name()}] the values it saved were freed by an earlier backward pass (made at {node.place()}); "
            "pass retain_graph=True to the earlier one"
        )
    for i, counter in enumerate(node.counters):
        if counter is not None and counter[0] > node.seq:
            raise GraphError(
                f"[{node.name()}] {_origin(node, i)} is needed for the backward pass but was changed in place after it "
                f"was used at {node.place()}; change a clone() instead, or do so after backward()"
            )


def _origin(node: Node, i: int) -> str:
    """What a node's i-th input or, after those, output is, and where it was made."""
    if i >= len(node.edges):
        return f"its output, made at {node.place()},"
    edge = node.edges[i]
    shape = tuple(node.args[i].shape) if node.args else tuple(node.shapes[i])
    if edge is None or isinstance(edge, Value):
        return f"its input {i} {shape}, {'a leaf' if edge is not None else 'which does not require grad'},"
    made = edge if type(edge) is Node else edge[0]
    return f"its input {i} {shape}, the output of {made.name()} made at {made.place()},"


def arguments(plan: Sequence[tuple[str, Any]], saved: Any, gs: Sequence[Any], needs: Any) -> list[Any]:
    """The values a vjp asks for, in its order. `saved` is the Node itself (raw) or a `Saved` view of it."""
    values: list[Any] = []
    for kind, key in plan:
        if kind == "g":
            values.append(gs[key])
        elif kind == "in":
            values.append(saved.args[key])
        elif kind == "static":
            values.append(saved.static[key])
        elif kind == "shape":
            values.append(saved.shapes[key])
        elif kind == "y":
            values.append(saved.outs[key])
        elif kind == "rest":
            values.append(saved.args[key:])
        elif kind == "shapes":
            values.append(saved.shapes[key:])
        elif kind == "saved":
            values.append(saved.residual)
        elif kind == "gs":
            values.append(gs)
        elif kind == "outs":
            values.append(saved.outs)
        elif kind == "first_order":
            values.append(saved.raw is not None)
        else:
            values.append(needs)
    return values


def pull(
    node: Node, gs: Sequence[Any], relink: bool = False, wants: Callable[[Edge], bool] | None = None
) -> Iterable[tuple[Edge, Any]]:
    """One node's vjps: (edge, cotangent) per input that wants one.

    On raw arrays with the raw namespace, unless something records: `relink`, lower levels, or cotangents that are
    values. Cotangents leave with the shape and dtype of the input they belong to.
    """
    check_saved(node)
    raw = node.raw is not None and not relink and not any([isinstance(g, Value) for g in gs])
    xp: Any = node.raw if raw else BIND
    saved: Any = node if raw else Saved(node, relink)
    prim = node.prim
    edges = node.edges if wants is None else [e if e is not None and wants(e) else None for e in node.edges]
    if prim.joint is not None:
        needs = tuple([e is not None for e in edges])
        assert prim.joint_plan is not None
        results = prim.joint(xp, *arguments(prim.joint_plan, saved, gs, needs))
        for i, (edge, g) in enumerate(zip(edges, results, strict=True)):
            if edge is not None and g is not None:
                yield edge, fit(xp, g, node.shapes[i], node.dtypes[i])
        return
    for i, (vjp, plan) in enumerate(zip(prim.vjps, prim.plans, strict=True)):
        edge = edges[i]
        if edge is None or vjp is None:
            continue
        assert plan is not None
        g = vjp(xp, *arguments(plan, saved, gs, None))
        if g is not None:
            yield edge, fit(xp, g, node.shapes[i], node.dtypes[i])


def fit(xp: Any, g: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """Sum a cotangent over broadcast axes and cast it to its input's dtype: the one place where either happens."""
    if isinstance(g, Value):
        xp = BIND
    elif isinstance(g, np.generic):  # what NumPy's operators make of 0-d arrays
        g = np.asarray(g)
    if g.shape != shape:
        lead = g.ndim - len(shape)
        axes = (*range(lead), *[i + lead for i, n in enumerate(shape) if n == 1 and g.shape[i + lead] != 1])
        if axes:
            g = xp.sum(g, axis=axes, keepdims=True)
        if g.shape != shape:
            g = xp.reshape(g, shape=shape)
    if g.dtype != dtype and dtype is not None:
        g = xp.astype(g, dtype=dtype)
    return g
