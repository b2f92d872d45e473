"""Activation checkpointing: less memory for another forward pass (Chen et al., 2016)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..amp.autocast_mode import current, restored
from ..autograd.again import Again
from ..autograd.grad_mode import MODE
from ..autograd.tape import MAIN
from ..autograd.value import Value, next_sequence
from ..ops.random import default_generator


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
    context_fn: Any = None,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    **kwargs: Any,
) -> Any:
    """function(*args, **kwargs), which keeps nothing for the backward pass and is run again when that gets there.

    Gradients, also those of parameters that the function closes over and higher ones, are as without it. The function
    must do the same each time: random numbers of the default generator are the same again unless preserve_rng_state is
    False, and what it changes (running statistics) it changes twice. Whether use_reentrant is set makes no difference.
    Outputs are what is recorded in: tensors, or tuples, lists and dicts of them. Inside a transform of gf.func the
    function is just called. Raises RuntimeError in the backward pass where the second run did something else.
    """
    if context_fn is not None or debug or determinism_check not in ("default", "none"):
        raise NotImplementedError("[checkpoint] context_fn, debug and other determinism checks are not supported")
    tensors = [a for a in _flat((args, kwargs)) if isinstance(a, Value)]
    if MODE.depth or MODE.mapped or MODE.cutoff >= 0 or any([t.level is not MAIN for t in tensors]):
        return function(*args, **kwargs)
    state, region, since = default_generator.state, current(), next_sequence()

    def run() -> list[Any]:
        if any([t.version[0] > since for t in tensors]):
            raise RuntimeError(
                "[checkpoint] an input was changed in place before backward() computed the function again"
            )
        now = default_generator.state
        if preserve_rng_state:
            default_generator.seek(state)
        try:
            with restored(region):
                return list(_flat(function(*args, **kwargs)))
        finally:
            if preserve_rng_state:
                default_generator.seek(now)

    with restored(region):  # casts of its own, which are then made anew like all else
        out = function(*args, **kwargs)
    Again(run).empty(_flat(out), since)
    return out


def checkpoint_sequential(
    functions: Any,
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
) -> Any:
    """The functions (or the layers of a Sequential) one after the other, in segments that are checkpointed but for the
    last."""
    layers = list(functions.children() if hasattr(functions, "children") else functions)
    if not 1 <= segments <= max(len(layers), 1):
        raise ValueError(f"[checkpoint_sequential] {len(layers)} functions cannot make {segments} segments")
    size = len(layers) // segments

    def chain(part: Sequence[Any]) -> Callable[[Any], Any]:
        def run(x: Any) -> Any:
            for layer in part:
                x = layer(x)
            return x

        return run

    for i in range(segments - 1):
        part = chain(layers[i * size : (i + 1) * size])
        input = checkpoint(part, input, use_reentrant=use_reentrant, preserve_rng_state=preserve_rng_state)
    return chain(layers[(segments - 1) * size :])(input)


def _flat(values: Any) -> Iterator[Any]:
    """The leaves of nested tuples, lists and dicts."""
    if isinstance(values, (tuple, list)):
        for v in values:
            yield from _flat(v)
    elif isinstance(values, dict):
        yield from _flat(list(values.values()))
    else:
        yield values


__all__ = ["checkpoint", "checkpoint_sequential"]
