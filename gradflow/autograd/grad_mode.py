"""`no_grad`, `enable_grad`: which tapes record, per thread."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Generator
from typing import Any

_GENERATOR = 0x20  # CO_GENERATOR, without importing inspect


class GradMode(threading.local):
    """Per thread: tapes deeper than `cutoff` record.

    A depth, not a flag, because a transform honours `no_grad` inside its function and ignores one outside it, while
    the levels below it must keep to the one outside. `depth` is the innermost transform's (0 outside of all), `base`
    the cutoff at its entry, and `mapped` the vmap levels at work, outermost first.
    """

    cutoff = -1
    depth = 0
    base = -1
    mapped: tuple[Any, ...] = ()

    def enabled(self) -> bool:
        return self.cutoff < self.depth

    def cutoff_for(self, enabled: bool) -> int:
        return self.base if enabled else self.depth


MODE = GradMode()


class _GradContext:
    """Sets the mode for a `with` block or, as a decorator, for a function.

    Each entry keeps its own previous state, so that one object can be nested in itself and shared by threads.
    """

    def __init__(self, mode: bool) -> None:
        self.mode = mode
        self._entries = threading.local()

    def __enter__(self) -> None:
        self._entries.__dict__.setdefault("stack", []).append(MODE.cutoff)
        MODE.cutoff = MODE.cutoff_for(self.mode)

    def __exit__(self, *_: object) -> None:
        MODE.cutoff = self._entries.stack.pop()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        mode = self.mode
        if getattr(function, "__code__", None) is not None and function.__code__.co_flags & _GENERATOR:

            @functools.wraps(function)
            def generate(*args: Any, **kwargs: Any) -> Any:
                return (yield from _Stepwise(function(*args, **kwargs), mode))

            return generate

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with _GradContext(mode):
                return function(*args, **kwargs)

        return call


class _Stepwise(Generator[Any, Any, Any]):
    """A generator whose steps run in a mode; between them its caller keeps its own."""

    def __init__(self, generator: Any, mode: bool) -> None:
        self.generator, self.mode = generator, mode

    def send(self, value: Any) -> Any:
        with _GradContext(self.mode):
            return self.generator.send(value)

    def throw(self, *error: Any) -> Any:
        with _GradContext(self.mode):
            return self.generator.throw(*error)


class set_grad_enabled(_GradContext):
    """Turn recording on or off: from the call on, or for a `with` block or a decorated function."""

    def __init__(self, mode: bool) -> None:
        super().__init__(bool(mode))
        self._before: list[int] = [MODE.cutoff]
        MODE.cutoff = MODE.cutoff_for(self.mode)

    def __enter__(self) -> None:
        before = self._before.pop() if self._before else MODE.cutoff
        self._entries.__dict__.setdefault("stack", []).append(before)
        MODE.cutoff = MODE.cutoff_for(self.mode)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if self._before:  # made to decorate, not to set
            MODE.cutoff = self._before.pop()
        return super().__call__(function)


class _NoArguments(_GradContext):
    """A context whose class decorates too, without being called."""

    enabled: bool

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        self = super().__new__(cls)
        if function is None:
            return self
        _GradContext.__init__(self, cls.enabled)
        return self(function)

    def __init__(self) -> None:
        super().__init__(self.enabled)


class no_grad(_NoArguments):
    """Record nothing inside a `with` block or a decorated function."""

    enabled = False


class enable_grad(_NoArguments):
    """Record again inside `no_grad`."""

    enabled = True


def is_grad_enabled() -> bool:
    """Whether operations on tensors that require grad are recorded now, in this thread."""
    return MODE.enabled()
