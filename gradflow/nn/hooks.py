"""Hooks of modules: functions called before and after forward, and when gradients pass."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

from ..autograd.function import Function
from ..autograd.value import Value

KINDS = ("forward_pre", "forward", "backward_pre", "backward")
_next_id = itertools.count().__next__


class RemovableHandle:
    """Takes a hook away again: by remove(), or at the end of a `with` block."""

    def __init__(self, held: dict[int, Any]) -> None:
        self._held, self.id = held, _next_id()

    def remove(self) -> None:
        self._held.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def add(held: dict[int, Any], hook: Any, prepend: bool = False) -> RemovableHandle:
    """Register a hook, behind the others or before them."""
    handle = RemovableHandle(held)
    others = dict(held) if prepend else {}
    if prepend:
        held.clear()
    held[handle.id] = hook
    held.update(others)
    return handle


def call(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """module(*args, **kwargs), with its hooks."""
    hooks = module._hooks
    for hook, with_kwargs in list(hooks["forward_pre"].values()):
        if with_kwargs:
            result = hook(module, args, kwargs)
            if result is not None:
                if not (isinstance(result, tuple) and len(result) == 2):
                    raise TypeError(
                        f"a forward pre-hook with kwargs must return None or (args, kwargs), got {result!r}"
                    )
                args, kwargs = result
        else:
            result = hook(module, args)
            if result is not None:
                args = result if isinstance(result, tuple) else (result,)
    gradients = _Gradients(module) if hooks["backward"] or hooks["backward_pre"] else None
    if gradients is not None:
        args = gradients.watch_inputs(args)
    out = module.forward(*args, **kwargs)
    for hook, with_kwargs in list(hooks["forward"].values()):
        result = hook(module, args, kwargs, out) if with_kwargs else hook(module, args, out)
        out = out if result is None else result
    return out if gradients is None else gradients.watch_outputs(out)


class _Gradients:
    """One call's backward hooks: the gradients of its outputs are noted until those of its inputs are there."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.grad_output: tuple[Any, ...] = ()
        self.inputs: list[int] = []
        self.outputs: list[int] = []
        self.n_inputs = self.n_outputs = 0

    def watch_inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        self.n_inputs = len(args)
        self.inputs = [i for i, a in enumerate(args) if isinstance(a, Value) and a.tracked]
        return _passed(_Inputs, self, args, self.inputs)

    def watch_outputs(self, out: Any) -> Any:
        outs = tuple(out) if isinstance(out, (tuple, list)) else (out,)
        self.n_outputs = len(outs)
        self.outputs = [i for i, o in enumerate(outs) if isinstance(o, Value) and o.tracked]
        if not isinstance(out, (Value, tuple, list)):
            kind = type(out).__name__
            warnings.warn(
                f"Backward hooks need a tensor or a tuple of tensors; forward returned a {kind}", stacklevel=4
            )
        outs = _passed(_Outputs, self, outs, self.outputs)
        return type(out)(outs) if type(out) in (tuple, list) else outs if isinstance(out, (tuple, list)) else outs[0]

    def after_outputs(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        self.grad_output = _spread(grads, self.outputs, self.n_outputs)
        for hook in list(self.module._hooks["backward_pre"].values()):
            self.grad_output = _replaced(hook(self.module, self.grad_output), self.grad_output, "backward_pre")
        if not self.inputs:
            self.after_inputs(())
        return tuple([self.grad_output[i] for i in self.outputs])

    def after_inputs(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        if not self.outputs:  # nothing passed that could be watched
            return grads
        grad_input = _spread(grads, self.inputs, self.n_inputs)
        for hook in list(self.module._hooks["backward"].values()):
            grad_input = _replaced(hook(self.module, grad_input, self.grad_output), grad_input, "backward")
        return tuple([grad_input[i] for i in self.inputs])


def _spread(grads: tuple[Any, ...], places: list[int], count: int) -> tuple[Any, ...]:
    found: list[Any] = [None] * count
    for i, g in zip(places, grads, strict=True):
        found[i] = g
    return tuple(found)


def _replaced(result: Any, grads: tuple[Any, ...], kind: str) -> tuple[Any, ...]:
    if result is None:
        return grads
    result = tuple(result) if isinstance(result, (tuple, list)) else (result,)
    if len(result) != len(grads):
        raise ValueError(f"a {kind} hook returned {len(result)} gradients, expected {len(grads)}")
    return result


def _passed(function: Any, gradients: _Gradients, values: tuple[Any, ...], places: list[int]) -> tuple[Any, ...]:
    """The values, those at `places` sent through a function that watches their gradients."""
    if not places:
        return values
    found = list(values)
    for i, v in zip(places, function.apply(gradients, *[values[i] for i in places]), strict=True):
        found[i] = v
    return tuple(found)


class _Watch(Function):
    """The identity, whose backward pass tells of the gradients, and may change them."""

    @staticmethod
    def forward(ctx: Any, gradients: _Gradients, *values: Any) -> tuple[Any, ...]:
        ctx.set_materialize_grads(False)
        ctx.gradients = gradients
        return values


class _Outputs(_Watch):
    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
        return (None, *ctx.gradients.after_outputs(grads))


class _Inputs(_Watch):
    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
        return (None, *ctx.gradients.after_inputs(grads))


__all__ = ["RemovableHandle"]
