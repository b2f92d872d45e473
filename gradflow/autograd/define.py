"""How the ops modules define primitives and fused formulas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import fast
from .batch import elementwise
from .primitive import PRIMITIVES, Primitive, bind

Rule = Callable[..., Any]


def primitive(**rules: Any) -> Callable[[Rule], Callable[..., Any]]:
    """Make a body into a primitive with the rules given (see `Primitive`); returns the function that binds it."""

    def define(body: Rule) -> Callable[..., Any]:
        return _public(register(Primitive(body, **rules)))

    return define


def elementwise_primitive(*vjps: Rule, promote: str = "same", **rules: Any) -> Callable[[Rule], Callable[..., Any]]:
    """A primitive of one or two operands, computed element by element with broadcasting.

    Its Jacobian is diagonal, so that the vjps serve forward mode as they are.
    """

    def define(body: Rule) -> Callable[..., Any]:
        prim = register(Primitive(body, vjps=vjps, batch=elementwise, promote=promote, **rules))
        if not prim.linear:
            prim.jvp = "diagonal"
        return fast.unary(prim) if len(prim.inputs) == 1 else fast.binary(prim)

    return define


def fused(batch: Rule, promote: str | None = None) -> Callable[[Rule], Callable[..., Any]]:
    """Make a formula over `xp`, used inside vjps, something that a kernel of its name may compute in one launch.

    The kernel sees raw arrays and whatever nothing records, cast to one dtype if `promote` says so (see `Primitive`);
    elsewhere the formula itself is recorded.
    """

    def define(formula: Rule) -> Callable[..., Any]:
        return _public(register(Primitive(formula, batch=batch, promote=promote, formula=formula)))

    return define


def register(prim: Primitive) -> Primitive:
    if prim.name in PRIMITIVES:
        raise ValueError(f"there is already a primitive called {prim.name!r}")
    PRIMITIVES[prim.name] = prim
    return prim


def _public(prim: Primitive) -> Callable[..., Any]:
    defaults = prim.defaults

    def call(*args: Any, **static: Any) -> Any:
        return bind(prim, args, {**defaults, **static})

    call.__name__ = call.__qualname__ = prim.name
    call.__doc__ = prim.body.__doc__
    return call
