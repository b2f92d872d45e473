"""What running a training step once more needs: that nothing is changed by it, and to know which layer is at work."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from ..autograd.value import Value, backend_under, next_sequence, unwrap
from ..backend import get_backend
from ..backend.base import Backend, guarded
from ..nn import Module
from ..ops.random import default_generator


class Place(NamedTuple):
    """A layer: the dotted name and the class of a module; both "" outside the model, the model itself has no name."""

    name: str
    kind: str

    def __str__(self) -> str:
        if self.name:
            return f"in layer '{self.name}' ({self.kind})"
        return f"in the model itself ({self.kind})" if self.kind else "outside the model"


OUTSIDE = Place("", "")


@contextmanager
def unchanged(model: Module) -> Iterator[None]:
    """Gradients, buffers (such as running statistics) and the default generator are afterwards what they were."""
    random = default_generator.state
    gradients = [(p, p.grad) for p in model.parameters()]
    buffers = [(m, m._buffers.copy()) for m in model.modules()]
    held = [(b, b.below, b.version[0], _copy(b.below)) for b in model.buffers()]
    try:
        yield
    finally:
        default_generator.seek(random)
        for p, grad in gradients:
            p.grad = grad
        for module, names in buffers:
            module._buffers.clear()
            module._buffers.update(names)
        for buffer, array, version, values in held:
            with guarded(backend_under(array)):
                array[...] = values
            buffer.below, buffer.version[0] = array, version


def _copy(array: Any) -> Any:
    with guarded(backend_under(array)):
        return array.copy()


def backends_of(model: Module) -> list[Backend]:
    """The devices that a model's parameters and buffers are on; the default one where it has none."""
    return list({backend_under(t): None for t in [*model.parameters(), *model.buffers()]}) or [get_backend()]


class Layers:
    """Which layer was at work at which moment; as a `with` block, notes when layers begin and end.

    Moments are the sequence numbers that nodes have. `given` are the arrays that the model was called with, each
    with that moment.
    """

    def __init__(self, model: Module) -> None:
        self.model = model
        self.given: list[tuple[int, Any]] = []
        self._places = {m: Place(name, type(m).__name__) for name, m in model.named_modules()}
        self._stack: list[Module] = []
        self._moments: list[int] = []
        self._at: list[Place] = []

    def __enter__(self) -> Layers:
        """Put a `forward` of its own into every module. Hooks would do, but layers with hooks are not joined into one
        operation, so that other operations would run than in training."""
        self._before = [(m, m.__dict__.get("forward")) for m in self._places]
        for module in self._places:
            module.__dict__["forward"] = self._followed(module, module.forward)
        return self

    def __exit__(self, *_: object) -> None:
        for module, forward in self._before:
            if forward is None:
                del module.__dict__["forward"]
            else:
                module.__dict__["forward"] = forward

    def _followed(self, module: Module, forward: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if module is self.model:
                values = [a for a in (*args, *kwargs.values()) if isinstance(a, Value)]
                self.given += [(next_sequence(), unwrap(a)) for a in values]
            self._stack.append(module)
            self._note()
            try:
                return forward(*args, **kwargs)
            finally:
                self._stack.pop()
                self._note()

        return call

    def _note(self) -> None:
        self._moments.append(next_sequence())
        self._at.append(self._places[self._stack[-1]] if self._stack else OUTSIDE)

    def now(self) -> Place:
        """The innermost layer whose forward is running."""
        return self._at[-1] if self._at else OUTSIDE

    def at(self, moment: int) -> Place:
        """The innermost layer that was at work when a node with this sequence number was made."""
        i = bisect_right(self._moments, moment) - 1
        return OUTSIDE if i < 0 else self._at[i]


def arrays_in(held: Any) -> Iterator[Any]:
    """All arrays in nested tuples, lists and dicts, under every level."""
    if isinstance(held, (tuple, list)):
        for x in held:
            yield from arrays_in(x)
    elif isinstance(held, dict):
        yield from arrays_in(list(held.values()))
    elif hasattr(held, "dtype"):
        held = unwrap(held)
        if hasattr(held, "nbytes") and not isinstance(held, np.generic):
            yield held


def storage(array: Any) -> tuple[Any, int]:
    """(the object that owns an array's memory, its bytes): views of one storage have the same owner."""
    owner = array
    if not isinstance(array, np.ndarray):
        memory = array.data
        if hasattr(memory, "mem"):  # CuPy
            return memory.mem, int(memory.mem.size)
        owner = memory.owner
    while True:
        base = getattr(owner.base, "owner", owner.base)  # of views made by address, the owner of the memory
        if not isinstance(base, np.ndarray):
            return owner, owner.nbytes
        owner = base
