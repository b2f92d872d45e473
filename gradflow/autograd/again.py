"""`Again`: a recorded part of a graph that gave up what it saved, and computes it once more when it is pulled."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from itertools import zip_longest
from typing import Any

from .grad_mode import MODE
from .tape import MAIN, Edge, Node
from .value import Value, next_sequence


class Again:
    """What the nodes of a part of the graph hold in the place of their residuals while their values are gone.

    run() computes the part again and returns its outputs; the nodes that this records are the same ones in the same
    order, and what they saved becomes the old nodes'. Nodes are held weakly, as they hold this.
    """

    def __init__(self, run: Callable[[], Iterable[Any]]) -> None:
        self.run = run
        self.nodes: list[weakref.ref[Node]] = []
        self.kinds: list[Any] = []

    def empty(self, outputs: Iterable[Any], since: int) -> None:
        """Give up what the nodes saved that were made since, and lead to these outputs."""
        found = made_since(outputs, since)
        self.nodes, self.kinds = [weakref.ref(n) for n in found], [_kind(n) for n in found]
        for node in found:
            if node.args or type(node.residual) is Again:
                node.args, node.outs, node.residual = None, (), self
                if node.prim.short is None:
                    node.prim.release()

    def fill(self) -> None:
        """Compute again, and give every node that is still there what it saved."""
        held = [ref() for ref in self.nodes]
        for node in held:
            _check_leaves(node)
        before, since = MODE.cutoff, next_sequence()
        MODE.cutoff = -1
        try:
            fresh = made_since(self.run(), since)
        finally:
            MODE.cutoff = before
        for i, (was, now) in enumerate(zip_longest(self.kinds, [_kind(n) for n in fresh])):
            if was != now:
                raise RuntimeError(
                    f"[checkpoint] the function must do the same each time: operation {i} that it recorded was "
                    f"{_shown(was)}, and {_shown(now)} when it was run again"
                )
        moved = {new: old for old, new in zip(held, fresh, strict=True) if old is not None and old.residual is self}
        within = set()
        for new, old in moved.items():
            old.prim, old.static, old.args, old.outs, old.residual = (
                new.prim, new.static, new.args, new.outs, new.residual,
            )  # fmt: skip
            if type(new.residual) is Again:
                within.add(new.residual)
        for part in within:  # of this part, given up in its turn: it is to fill the old nodes
            nodes = [(ref, ref()) for ref in part.nodes]
            part.nodes = [weakref.ref(moved.get(n, n)) if n is not None else dead for dead, n in nodes]


def made_since(outputs: Iterable[Any], since: int) -> list[Node]:
    """The main tape's nodes that lead to some values and were made after a moment, oldest first."""
    stack: list[Edge] = [y.edge for y in outputs if isinstance(y, Value) and y.level is MAIN]
    found: set[Node] = set()
    while stack:
        edge = stack.pop()
        if edge is None or isinstance(edge, Value):
            continue
        node: Node = edge[0] if type(edge) is tuple else edge
        if node.seq > since and node not in found:
            found.add(node)
            stack.extend(node.edges)
    return sorted(found, key=lambda n: n.seq)


def _kind(node: Node) -> Any:
    """What must be equal for one node to take what another saved."""
    return node.prim.name, node.shapes, node.dtypes, len(node.edges)


def _shown(kind: Any) -> str:
    return "none" if kind is None else f"{kind[0]} of {', '.join([str(shape) for shape in kind[1]])}"


def _check_leaves(node: Node | None) -> None:
    """Refuse to compute again from a leaf that was changed in place since."""
    for edge in () if node is None else node.edges:
        if isinstance(edge, Value) and edge.version[0] > node.seq:  # type: ignore[union-attr]
            raise RuntimeError(
                f"[checkpoint] a leaf {tuple(edge.shape)} was changed in place after {node!r} used it, and before the "
                "backward pass computes that again; change it after backward()"
            )
