"""`backward` and `grad` on recorded results, as in torch.autograd."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backend.base import guarded
from .engine import run_backward
from .primitive import BIND
from .pull import GraphError
from .tape import MAIN
from .value import TransformError, Value, backend_under, make, unwrap

Tensors = Any  # a tensor or a sequence of tensors


def root_of(op: str, y: Any, gradient: Any, create_graph: bool) -> tuple[Any, Any]:
    """(output, cotangent), checked, as the engine takes it: raw unless the pass is to be recorded."""
    if not isinstance(y, Value):
        raise TypeError(f"[{op}] expected a tensor, got {type(y).__name__}")
    if y.level is not MAIN:
        raise TransformError(f"[{op}] cannot run inside {y.level.name}; use gf.func.grad or gf.func.vjp there")
    if not y.tracked:
        raise GraphError(
            f"[{op}] the tensor has requires_grad=False: so has all it was computed from, or it was made under "
            "no_grad()"
        )
    backend = backend_under(y)
    if gradient is None:
        if y.size_ != 1:
            raise GraphError(
                f"[{op}] of a tensor of shape {tuple(y.shape)} needs a gradient of that shape; or reduce it to a scalar"
            )
        with guarded(backend):
            ones = backend.module.ones_like(y.below)
        return y, make(ones, MAIN) if create_graph else ones
    elif not isinstance(gradient, Value):
        array = gradient if isinstance(gradient, backend.array_type) else backend.from_host(np.asarray(gradient))
        gradient = make(array, MAIN)
    if tuple(gradient.shape) != tuple(y.shape):
        raise GraphError(f"[{op}] the gradient has shape {tuple(gradient.shape)}, the tensor {tuple(y.shape)}")
    if backend_under(gradient) is not backend:
        raise GraphError(
            f"[{op}] the gradient is on {backend_under(gradient).device}, the tensor on {backend.device}; "
            f'move the gradient with .to("{backend.device}")'
        )
    if gradient.dtype != y.dtype:
        gradient = BIND.astype(gradient, dtype=y.dtype)
    return y, gradient if create_graph or gradient.level is not MAIN else gradient.below


def _roots(op: str, tensors: Tensors, gradients: Any, create_graph: bool) -> list[tuple[Any, Any]]:
    outputs = _as_list(tensors)
    given = [None] * len(outputs) if gradients is None else _as_list(gradients)
    if len(given) != len(outputs):
        raise ValueError(f"[{op}] got {len(given)} gradients for {len(outputs)} tensors")
    return [root_of(op, y, g, create_graph) for y, g in zip(outputs, given, strict=True)]


def _as_list(value: Any) -> list[Any]:
    one = value is None or hasattr(value, "dtype") or isinstance(value, (int, float))
    return [value] if one else list(value)


def backward(
    tensors: Tensors,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensors = None,
) -> None:
    """Add the sum of the gradients of `tensors` to the `.grad` of the leaves they were computed from."""
    roots = _roots("backward", tensors, grad_tensors, create_graph)
    for _, g in roots:
        if isinstance(g, Value) and g.level is not MAIN:
            raise TransformError(
                f"[backward] .grad cannot hold a value inside {g.level.name}; use gf.autograd.grad there"
            )
    chosen = None if inputs is None else _as_list(inputs)
    for x in chosen or ():
        _check_input("backward", x)
    run_backward(roots, chosen, create_graph=create_graph, retain_graph=retain_graph, deposit=True)


def grad(
    outputs: Tensors,
    inputs: Tensors,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """The gradients of the sum of `outputs` with respect to `inputs`, leaves or results, as a tuple; `.grad` is not
    touched.

    allow_unused       None, instead of an error, for an input the outputs do not depend on
    materialize_grads  zeros for such an input
    """
    if is_grads_batched:
        raise NotImplementedError("[grad] is_grads_batched is not supported; use gf.func.vmap over gf.func.vjp")
    roots = _roots("grad", outputs, grad_outputs, create_graph)
    chosen = _as_list(inputs)
    for x in chosen:
        _check_input("grad", x)
    found = run_backward(roots, chosen, create_graph=create_graph, retain_graph=retain_graph)
    grads = []
    for i, (x, g) in enumerate(zip(chosen, found, strict=True)):
        if g is None and materialize_grads:
            g = BIND.zeros_like(x.below)
        if g is None and not allow_unused:
            raise GraphError(
                f"[grad] input {i} {tuple(x.shape)} was not used to compute the outputs; pass allow_unused=True to get "
                "None for it"
            )
        grads.append(g)
    return tuple(
        [g if g is None or isinstance(g, Value) else make(g, MAIN) for g in owned(grads, [g for _, g in roots])]
    )


def owned(results: Sequence[Any], given: Sequence[Any]) -> list[Any]:
    """Cotangents as the user may have them: raw ones that repeat elements, or share memory with others returned or
    with those the user gave, are copied."""
    held = [unwrap(g) for g in given if g is not None]
    mine: list[Any] = []
    for g in results:
        if g is not None and not isinstance(g, Value):
            repeats = any([s == 0 and n > 1 for s, n in zip(g.strides, g.shape, strict=True)])
            if repeats or any([type(h) is type(g) and np.may_share_memory(h, g) for h in held]):
                with guarded(backend_under(g)):
                    g = g.copy()
            held.append(g)
        mine.append(g)
    return mine


def _check_input(op: str, x: Any) -> None:
    if not isinstance(x, Value):
        raise TypeError(f"[{op}] inputs must be tensors, got {type(x).__name__}")
    if not x.tracked:
        raise GraphError(f"[{op}] an input {tuple(x.shape)} does not require grad")


__all__ = ["backward", "grad", "owned"]
