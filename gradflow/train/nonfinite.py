"""Where NaN and infinity come from: a training step run once more, with every operation looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..autograd.engine import Pass
from ..autograd.function import Call
from ..autograd.grad_mode import enable_grad, no_grad
from ..autograd.primitive import Primitive, raw_over
from ..autograd.tape import Node
from ..autograd.value import Value, backend_under, next_sequence, unwrap
from ..autograd.watch import Run, watching
from ..backend.base import guarded
from ..backend.dtypes import is_floating
from ..nn import Module
from ..tensor import Tensor
from .rerun import Layers, Place, arrays_in, backends_of, storage, unchanged

NAN = "NaN"
TAME = 80.0
"""Operands up to here neither overflow exp nor, multiplied, float32: a zero among them is worth a word."""


def explain_nonfinite(step: Callable[[], Tensor], model: Module) -> str:
    """Run a training step again and say, in a sentence, which operation made infinity or NaN of finite operands.

    step() computes the loss of the batch that went wrong; random numbers are to be the same as then. The backward pass
    is run here. The sentence names the operation, the layer of `model` that called it, and its operands' shapes, dtype
    and largest value: "exp made inf in layer '3' (Softplus), from (128, 10) float32 with |x| up to 102.4". Weights or
    images that hold NaN or infinity are named instead. An infinity counts where NaN, the loss or a gradient came of it,
    not where it was meant (masks, log of 0) and finite results followed. Where nothing is found it says so.

    Gradients, buffers and the state of the default generator are left as they were.
    """
    found = _weights(model)
    if found is not None:
        return found
    with unchanged(model), Layers(model) as layers:
        trail = _Trail(model, layers)
        with watching(backends_of(model), trail.run):
            with enable_grad():
                loss = step()
            found = trail.images()
            if found is not None:
                return found
            ends = [("the loss", unwrap(loss))]
            if loss.tracked and _kind(unwrap(loss)) is None:
                walk = _WatchedPass(trail)
                with no_grad():
                    walk.send(loss if loss.edge is None else loss.edge, _ones(loss))
                    walk.run(retain=False)
                ends = [("a gradient", unwrap(g)) for g in walk.leaves.values()]
        return trail.sentence([(name, array) for name, array in ends if _kind(array) is not None])


def _weights(model: Module) -> str | None:
    """Which parameters are not finite. Not buffers: they may be masks, or statistics of the very batch."""
    bad = [(name, p, kind) for name, p in model.named_parameters() if (kind := _kind(p.below)) is not None]
    if not bad:
        return None
    name, p, kind = bad[0]
    more = f", and {len(bad) - 1} more are not finite" if len(bad) > 1 else ""
    found = f"parameter '{name}' {tuple(p.shape)} holds {_counted(p.below, kind)}"
    return f"the weights went wrong before this step: {found}{more}"


# -- what is noted -----------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class _Event:
    """A call whose results are not all finite.

    moment    a sequence number, as nodes have
    kind      the worst of what they hold: NaN, inf or -inf
    operands  their shapes and values in words
    sources   the events that made its operands what they are
    given     operands that are not finite and that no operation made: None, or in words
    """

    moment: int
    what: str
    place: Place | None
    kind: str
    operands: str
    sources: list[_Event] = field(default_factory=list)
    given: str | None = None

    @property
    def text(self) -> str:
        return f"{self.what} made {self.kind}" + (f" {self.place}" if self.place is not None else "")


class _Trail:
    """The calls whose results were not finite, and how they led to one another."""

    def __init__(self, model: Module, layers: Layers) -> None:
        self.layers = layers
        self.events: list[_Event] = []
        self.made: dict[int, tuple[Any, _Event]] = {}  # by the identity of a storage, which is kept for that
        self.names = {id(storage(b.below)[0]): f"the buffer '{name}'" for name, b in model.named_buffers()}
        self.inside = False  # what a vjp or a fused formula calls is part of that

    # -- watching -----------------------------------------------------------------------------------------------------

    def run(
        self, original: Run, prim: Primitive, args: Sequence[Any], static: dict[str, Any], residual: bool
    ) -> Any:  # fmt: skip
        """`Raw.run`, noted; of a user's Function, what it calls is noted."""
        if self.inside or isinstance(prim, Call):
            return original(prim, args, static, residual)
        self.inside = True
        try:
            result = original(prim, args, static, residual)
        finally:
            self.inside = False
        constants = [v for v in (*args, *static.values()) if isinstance(v, float) and not np.isfinite(v)]
        self.note(prim.name, self.layers.now(), args, result, constants)
        return result

    def note(
        self, what: str, place: Place | None, operands: Any, results: Any, constants: Sequence[float] = ()
    ) -> None:  # fmt: skip
        """Keep an event if a result is not finite."""
        bad = {id(r): (r, kind) for r in arrays_in(results) if (kind := _kind(r)) is not None}
        if not bad:
            return
        held = list({id(a): a for a in arrays_in(operands)}.values())
        worst = max([kind for _, kind in bad.values()], key=_rank)
        event = _Event(next_sequence(), what, place, worst, _described(held, worst))
        event.given = f"the number {constants[0]:g}" if constants else None
        for a in held:
            kind = _kind(a)
            if kind is None:
                continue
            source = self.made.get(id(storage(a)[0]))
            if source is not None:
                event.sources.append(source[1])
            else:
                nobodys = f"an operand {_shaped([a])} that no operation made"
                event.given = f"{kind} in {self.names.get(id(storage(a)[0]), nobodys)}"
        self.events.append(event)
        for r, _ in bad.values():
            owner = storage(r)[0]
            self.made[id(owner)] = (owner, event)

    def images(self) -> str | None:
        """What the model was called with, where that was wrong from the start."""
        for i, (moment, array) in enumerate(self.layers.given):
            kind, made = _kind(array), self.made.get(id(storage(array)[0]))
            if kind is not None and (made is None or _path(made[1])[0].moment > moment):
                name, verb = (f"input {i} of the model", "holds") if i else ("the images", "hold")
                return f"{name} {_shaped([array])} {verb} {_counted(array, kind)}"
        return None

    # -- the sentence -------------------------------------------------------------------------------------------------

    def sentence(self, ends: Sequence[tuple[str, Any]]) -> str:
        """What led to `ends`, the loss or gradients that are not finite: of several, by what happened first."""
        paths = [_path(self.made[id(owner)][1]) for _, a in ends if id(owner := storage(a)[0]) in self.made]
        if paths:
            return _told(min(paths, key=lambda path: path[0].moment))
        nan = next((e for e in self.events if e.kind == NAN), None)
        if ends and self.events:
            return _told(_path(nan or self.events[0]))
        if ends:
            name, array = ends[0]
            return f"{name} is {_kind(array)}, but every operation that was watched gave finite results"
        meanwhile = f"; on the way {_told(_path(nan))}, but nothing came of that" if nan is not None else ""
        return f"nothing was found: loss and gradients are finite when the step is repeated{meanwhile}"


class _WatchedPass(Pass):
    """A backward pass each of whose steps is noted, and the sums of cotangents too."""

    short_way = False

    def __init__(self, trail: _Trail) -> None:
        super().__init__(relink=False)
        self.trail = trail

    def pull(self, node: Node, gs: list[Any]) -> Iterable[tuple[Any, Any]]:
        trail = self.trail
        trail.inside = True
        try:
            results = list(super().pull(node, gs))
        finally:
            trail.inside = False
        held = (gs, node.args, node.outs, node.residual)
        place = trail.layers.at(node.seq)
        trail.note(f"the backward of {node.name()}", place, held, [g for _, g in results])
        return results

    def add(self, held: Any, g: Any, owner: Any) -> Any:
        if isinstance(held, Value) or isinstance(g, Value):
            return super().add(held, g, owner)
        self.trail.inside = True
        try:
            total = raw_over(backend_under(held)).add(held, g)  # never in place: `held` is still to be looked at
        finally:
            self.trail.inside = False
        node = owner[0] if isinstance(owner, tuple) else owner
        where = "of a leaf" if isinstance(node, Value) else f"of what {node.name()} gave"
        place = None if isinstance(node, Value) else self.trail.layers.at(node.seq)
        self.trail.note(f"the sum of the gradients {where}", place, (held, g), total)
        return total


def _ones(loss: Any) -> Any:
    backend = backend_under(loss)
    with guarded(backend):
        return backend.module.ones_like(loss.below)


def _path(event: _Event) -> list[_Event]:
    """From the event that began it to this one: at each the worst of its sources, and of those the earliest."""
    path = [event]
    while path[-1].sources:
        path.append(max(path[-1].sources, key=lambda e: (_rank(e.kind), -e.moment)))
    return path[::-1]


def _told(path: list[_Event]) -> str:
    """The first event on a path in full and, where that is an infinity, what first made NaN of it.

    An infinity that was given (a mask's) is no fault: what made NaN of it comes first then, if anything did.
    """
    first = path[0]
    nan = next((e for e in path if e.kind == NAN), None)
    given = f" and {first.given}" if first.given is not None else ""
    if nan is None or nan is first:
        return f"{first.text}, from {first.operands}{given}"
    if given:
        return f"{nan.text}, from {nan.operands} ({first.what} had put in {first.given})"
    return f"{first.text}, from {first.operands}; of that {nan.text}"


# -- arrays in words ---------------------------------------------------------------------------------------------------


def _rank(kind: str) -> int:
    return ("-inf", "inf", NAN).index(kind)


def _wide(array: Any) -> Any:
    return array.astype(np.float32) if array.dtype.kind == "V" else array


def _kind(array: Any) -> str | None:
    """The worst that an array holds: NaN, inf, -inf; None where it is finite."""
    if not is_floating(array.dtype) or not array.size:
        return None
    backend = backend_under(array)
    with guarded(backend):
        np_, array = backend.module, _wide(array)
        if bool(np_.isfinite(array).all()):
            return None
        return NAN if bool(np_.isnan(array).any()) else "inf" if bool((array == np.inf).any()) else "-inf"


def _counted(array: Any, kind: str) -> str:
    """`NaN in 3 of 144 values`."""
    backend = backend_under(array)
    with guarded(backend):
        count = int((~backend.module.isfinite(_wide(array))).sum())
    return f"{kind} in {count} of {array.size} values"


def _shaped(arrays: Sequence[Any]) -> str:
    """`(128, 784), (784, 10) float32`."""
    dtypes = list(dict.fromkeys([str(a.dtype) for a in arrays]))
    if len(dtypes) == 1:
        return f"{', '.join([str(tuple(a.shape)) for a in arrays])} {dtypes[0]}"
    return ", ".join([f"{tuple(a.shape)} {a.dtype}" for a in arrays])


def _described(arrays: Sequence[Any], kind: str) -> str:
    """Operands: shapes, the largest finite |value| and, where it may matter, the least value or a zero."""
    floats = [a for a in arrays if is_floating(a.dtype) and a.size]
    if not floats:
        return _shaped(arrays) if arrays else "no operands"
    tops, least, zeros = [], [], False
    for a in floats:
        backend = backend_under(a)
        with guarded(backend):
            np_, a = backend.module, _wide(a)
            finite = np_.where(np_.isfinite(a), a, np_.zeros((), a.dtype))
            tops.append(float(abs(finite).max()))
            least.append(float(finite.min()) + 0.0)  # not -0
            zeros = zeros or bool((a == 0).any())
    text = f"{_shaped(arrays)} with |x| up to {max(tops):.4g}"
    if len(floats) == 1 and kind != "inf" and least[0] <= 0:
        return f"{text} and the least x {least[0]:.4g}"
    return f"{text}, zeros among them" if zeros and max(tops) < TAME else text


__all__ = ["explain_nonfinite"]
