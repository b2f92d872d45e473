"""The backward pass: cotangents flow from outputs to inputs, newest node first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from heapq import heappop, heappush
from typing import Any

import numpy as np

from ..backend.base import guarded
from .grad_mode import MODE
from .primitive import BIND, raw_over
from .pull import GraphError, check_saved, fit, pull
from .tape import MAIN, Edge, Node
from .value import Value, backend_under, frozen, last_change, make, stamp, unwrap


class Pass:
    """One backward pass: pending cotangents by node, newest first, then the leaves'.

    A subclass that is to see every node sets `short_way` to False and defines `pull` or `general_step`.
    """

    short_way = True

    def __init__(self, relink: bool, targets: dict[Any, Any] | None = None, needed: set[Node] | None = None) -> None:
        self.relink, self.targets, self.needed = relink, targets, needed
        self.pending: dict[Node, Any] = {}  # a cotangent, or a list of them where a node has several outputs
        self.leaves: dict[Value, Any] = {}
        self.heap: list[tuple[int, Node]] = []
        # the cotangents whose buffers this pass allocated by adding, of outputs (dropped as they are pulled) and leaves
        self.owned: dict[Edge, Any] = {}
        self.owned_leaves: dict[Value, Any] = {}

    def wants(self, edge: Edge) -> bool:
        """Whether a cotangent sent along an edge is of use to anybody."""
        if self.targets is None:
            return True
        if isinstance(edge, Value):
            return edge in self.targets
        node, i = (edge, 0) if type(edge) is Node else edge
        return node in self.needed or (node, i) in self.targets  # type: ignore[operator]

    def send(self, edge: Edge, g: Any) -> None:
        if isinstance(edge, Value):
            held = self.leaves.get(edge)
            self.leaves[edge] = g if held is None else self.add(held, g, edge)
            return
        node, i = (edge, 0) if type(edge) is Node else edge
        pending = self.pending
        if node not in pending:
            heappush(self.heap, (-node.seq, node))
            pending[node] = None if node.nout == 1 else [None] * node.nout
        if node.nout == 1:
            held = pending[node]
            pending[node] = g if held is None else self.add(held, g, node)
        else:
            held = pending[node][i]
            pending[node][i] = g if held is None else self.add(held, g, edge)

    def add(self, held: Any, g: Any, owner: Any) -> Any:
        """held + g; in place only into a buffer that an earlier addition of this pass allocated."""
        if isinstance(held, Value) or isinstance(g, Value):
            self.owned_leaves.pop(owner, None)  # `run` must not go on adding to what this sum leaves behind
            return BIND.add(held, g)
        owned: dict[Any, Any] = self.owned_leaves if isinstance(owner, Value) else self.owned
        if owned.get(owner) is held:
            with guarded(backend_under(held)):
                held += g
            return held
        if type(held) is np.ndarray and held.ndim:
            total = owned[owner] = held + g
        else:
            total = owned[owner] = raw_over(backend_under(held)).add(held, g)
        return total

    def run(self, retain: bool) -> None:
        """Pull nodes until none is pending.

        Written out here is the usual case, on which the cost of a small model depends: NumPy arrays, one output, vjps
        of the cotangent and at most one saved value, nothing recorded. All else is for `general_step`.
        """
        heap, pending, leaves, owned, owned_leaves = (
            self.heap, self.pending, self.leaves, self.owned, self.owned_leaves,
        )  # fmt: skip
        plain, ndarray = self.short_way and self.targets is None and not self.relink, np.ndarray
        following: Any = None  # a pending node kept out of the heap: in a chain, always the next one
        while heap or following is not None:
            if following is not None and (not heap or -heap[0][0] < following.seq):
                node, following = following, None
            else:
                node = heappop(heap)[1]
            held = pending.pop(node)
            if owned:
                owned.pop(node, None)
            short, args, xp = node.prim.short, node.args, node.raw
            unusual = not plain or node.hooks is not None or type(held) is not ndarray
            if unusual or short is None or args is None or xp is None:
                pulled = self.general_step(node, held if type(held) is list else [held])
                if pulled and not retain:
                    node.free()
                continue
            if node.seq < last_change[0]:
                check_saved(node)
            uniform, i = node.uniform, -1
            for edge in node.edges:
                i += 1
                if edge is None:
                    continue
                vjp, kind, key = short[i]
                g = vjp(xp, held) if not kind else vjp(xp, held, args[key] if kind == 1 else node.outs[key])
                if not uniform or type(g) is not ndarray:
                    g = fit(xp, g, node.shapes[i], node.dtypes[i])
                if type(edge) is Node:
                    if edge.nout != 1 or edge in pending:
                        self.send(edge, g)
                    else:
                        pending[edge] = g
                        if following is None:
                            following = edge
                        else:
                            heappush(heap, (-edge.seq, edge))
                else:
                    total = owned_leaves.get(edge)  # where several cotangents have come before
                    if total is not None and type(g) is ndarray:
                        total += g
                    else:
                        self.send(edge, g)
            if args and not retain:
                node.args, node.outs = None, ()
        for leaf, g in leaves.items():
            if leaf.hooks:
                leaves[leaf] = self.call_hooks(leaf.hooks, g)

    def general_step(self, node: Node, gs: list[Any]) -> bool:
        """One node by way of `pull`; False where its cotangents were wanted but nothing beyond it is."""
        for i in range(1, node.nout):
            self.owned.pop((node, i), None)
        if node.hooks:
            for i, hooks in node.hooks.items():
                if gs[i] is not None:
                    gs[i] = self.call_hooks(hooks, gs[i])
        if self.targets is not None:
            for i in range(node.nout):
                if (node, i) in self.targets and gs[i] is not None:
                    self.targets[node, i] = gs[i]
            if self.needed is not None and node not in self.needed:
                return False
        with nullcontext() if node.raw is None else guarded(node.raw.backend):
            for edge, g in self.pull(node, gs):
                self.send(edge, g)
        return True

    def pull(self, node: Node, gs: list[Any]) -> Iterable[tuple[Edge, Any]]:
        """The cotangents of a node's inputs, along the edges on which they are wanted."""
        return pull(node, gs, self.relink, self.wants)

    def call_hooks(self, hooks: list[Any], g: Any) -> Any:
        for hook in list(hooks):
            given = g if isinstance(g, Value) else make(frozen(g), MAIN)
            result = hook(given)
            if result is None:
                continue
            if not isinstance(result, Value) or result.shape != given.shape:
                raise GraphError(
                    f"[hook] must return None or a tensor of shape {tuple(given.shape)}, got "
                    f"{tuple(result.shape) if isinstance(result, Value) else type(result).__name__}"
                )
            if result.dtype != given.dtype:
                result = BIND.astype(result, dtype=given.dtype)
            g = result.below if not self.relink and result.level is MAIN and not result.tracked else result
        return g


passes: list[Callable[..., Pass]] = [Pass]
"""[class]: what walks the graph; what watches backward passes puts a class of its own here."""


def prune(roots: Iterable[Edge], targets: dict[Any, Any]) -> set[Node]:
    """The nodes beyond which there is a target: the others need not be pulled, nor their values kept."""
    order: dict[Node, None] = {}
    stack = [e for e in roots if e is not None and not isinstance(e, Value)]
    while stack:
        edge = stack.pop()
        node = edge if type(edge) is Node else edge[0]
        if node not in order:
            order[node] = None
            stack.extend([e for e in node.edges if e is not None and not isinstance(e, Value)])
    wanted = {key[0] for key in targets if isinstance(key, tuple)}
    needed: set[Node] = set()
    reached = set(wanted)
    for node in sorted(order, key=lambda n: n.seq):
        for e in node.edges:
            if e is None:
                continue
            if e in targets if isinstance(e, Value) else (e if type(e) is Node else e[0]) in reached:
                needed.add(node)
                reached.add(node)
                break
    return needed


def target_key(value: Value) -> Any:
    """How a captured value is named: a leaf by itself, an output as (node, index)."""
    edge = value.edge
    return value if edge is None else (edge, 0) if type(edge) is Node else edge


def run_backward(
    roots: Sequence[tuple[Value, Any]],
    inputs: Sequence[Value] | None = None,
    *,
    create_graph: bool = False,
    retain_graph: bool | None = None,
    deposit: bool = False,
) -> list[Any]:
    """Push cotangents from `roots`, pairs (output, cotangent); return those of `inputs`, or fill leaves' `.grad`.

    With `deposit`, the inputs' cotangents are added to their `.grad` rather than returned.

    On the main tape nothing is recorded meanwhile unless `create_graph`; a tape above it records on the levels below
    as they see fit.
    """
    level = roots[0][0].level
    retain = create_graph if retain_graph is None else retain_graph
    targets = None if inputs is None else {target_key(x): None for x in inputs}
    needed = None if targets is None else prune([_edge(y) for y, _ in roots], targets)
    walk = passes[0](create_graph, targets, needed)
    was = MODE.cutoff
    if level is MAIN:
        MODE.cutoff = MODE.base if create_graph else max(MODE.cutoff, MAIN.depth)
    try:
        for y, g in roots:
            if walk.wants(_edge(y)):
                walk.send(_edge(y), g)
        walk.run(retain)
        if targets is None:
            for leaf, g in walk.leaves.items():
                _deposit(leaf, g, create_graph)
            return []
    finally:
        MODE.cutoff = was
    assert inputs is not None
    keys = [target_key(x) for x in inputs]
    found = [walk.leaves.get(k) if isinstance(k, Value) else targets[k] for k in keys]
    if deposit:
        for x, g in {id(x): (x, g) for x, g in zip(inputs, found, strict=True)}.values():
            if g is not None:
                _deposit(x, g, create_graph)
        return []
    return found


def _edge(y: Value) -> Edge:
    return y if y.edge is None else y.edge


def _deposit(leaf: Value, g: Any, create_graph: bool) -> None:
    """Add a cotangent to a leaf's gradient, which is the leaf's own, dense, and of its dtype."""
    if create_graph:
        leaf.grad = BIND.copy(g) if leaf.grad is None else BIND.add(leaf.grad, g)
        return
    if leaf.grad is not None and leaf.grad.shape != leaf.shape:
        raise GraphError(
            f"[backward] .grad of a leaf {tuple(leaf.shape)} was set to a tensor {tuple(leaf.grad.shape)}; "
            "set it to None, or to one of the leaf's shape"
        )
    g = unwrap(g)
    with guarded(backend_under(leaf)):
        if leaf.grad is None:
            leaf.grad = make(g.copy(order="K"), leaf.level)
        elif leaf.grad.tracked:  # a gradient with a history of its own: left as it is for those who hold it
            leaf.grad = make(leaf.grad.below + g, leaf.level)
        else:
            leaf.grad.below += g
            stamp(leaf.grad.version)
