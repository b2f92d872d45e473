"""`no_grad`, `enable_grad`: which tapes record, per thread."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable
from typing import Any

from .value import newest_depth


class GradMode(threading.local):
    """Per thread: tapes deeper than `cutoff` record. `base` is the cutoff at the entry of the innermost transform.

    A depth, not a flag, because a transform honours `no_grad` inside its function and ignores one outside it, while
    the levels below it must keep to the one outside.
    """

    cutoff = -1
    base = -1


MODE = GradMode()


class set_grad_enabled:  # noqa: N801 - PyTorch's name
    """Turn recording on or off, for a `with` block or, as a decorator, for a function.

    Each entry keeps its own previous state, so that one object can be nested in itself and shared by threads.
    """

    def __init__(self, mode: bool) -> None:
        self.mode = bool(mode)
        self._entries = threading.local()

    def __enter__(self) -> None:
        self._entries.__dict__.setdefault("stack", []).append(MODE.cutoff)
        MODE.cutoff = MODE.base if self.mode else newest_depth[0]

    def __exit__(self, *_: object) -> None:
        MODE.cutoff = self._entries.stack.pop()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.isgeneratorfunction(function):
            raise TypeError(
                f"{type(self).__name__} cannot decorate the generator {function.__name__}: its caller runs between "
                "the steps; use a with block inside it"
            )

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with set_grad_enabled(self.mode):
                return function(*args, **kwargs)

        return call


class no_grad(set_grad_enabled):  # noqa: N801
    """Record nothing inside a `with` block or a decorated function."""

    def __init__(self) -> None:
        super().__init__(False)


class enable_grad(set_grad_enabled):  # noqa: N801
    """Record again inside `no_grad`."""

    def __init__(self) -> None:
        super().__init__(True)


def is_grad_enabled() -> bool:
    """Whether operations on tensors that require grad are recorded now, in this thread."""
    return MODE.cutoff < newest_depth[0]
