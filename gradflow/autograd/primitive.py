"""Primitives: one computation, written once as array code, with the rules that transforms need of it.

A body receives an array module `np`, then arrays (positional), then statics (hashable, keyword-only). It is at once
the CPU implementation, the fallback on every device, and the reference each kernel is tested against. It may change
buffers it has allocated, nothing else.

A vjp names, as its parameters, what it needs, and only that is saved:

    xp              the namespace to compute with: raw arrays, or binding when something records
    g, g1, g2 ...   cotangents of the outputs (`g` of the first); a vjp of several outputs may receive None
    <input>         an input, by the body's name for it (a tuple where the body says `*inputs`)
    <input>_shape   its shape (a tuple of shapes)
    y, y1, y2 ...   outputs
    <static>        a keyword-only argument
    saved           what the body returned besides its output; None whenever anything records, because a saved
                    intermediate does not know what it depends on: the vjp then computes it again
    needs           (joint vjps) which inputs want a cotangent
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..backend import kernels
from ..backend.base import Array, Backend, guarded
from ..backend.device import backend_of, get_backend, mixed_devices_error
from ..backend.dtypes import get_default_dtype, is_floating, result_type
from ..backend.kernels import Declined
from .value import Value, describe

Rule = Callable[..., Any]

casting: list[Callable[[str, tuple[Any, ...]], tuple[Any, ...]] | None] = [None]
"""[cast]: where an autocast region is active, what `bind` passes a primitive's name and operands through."""


class Primitive:
    """One computation and its rules. See the module's text for how bodies and vjps are written.

    vjps     one per differentiable input, in the body's order; None where an input has no gradient
    joint    instead of `vjps`: one function that returns a tuple of cotangents for all inputs
    batch    rule for vmap: (prim, level, values, flags, static) -> outputs with a leading axis; without one, a loop
    linear   the inputs in each of which the primitive is linear: forward mode then needs no rule of its own
    jvp      rule for forward mode: (xp, primals, tangents, outputs, **static) -> tangents, for the others;
             without one, the vjp is transposed
    promote  "same" or "float": operands are cast to their common dtype before the body or a kernel sees them
    view     the output may share an input's memory
    moves    the output is on another device than the inputs
    formula  for fused formulas: the differentiable form, taken whenever anything records
    """

    def __init__(
        self,
        body: Rule,
        *,
        name: str | None = None,
        vjps: Sequence[Rule | None] = (),
        joint: Rule | None = None,
        batch: Rule | None = None,
        linear: tuple[int, ...] = (),
        jvp: Rule | str | None = None,
        promote: str | None = None,
        promoted: slice = slice(None),
        view: bool = False,
        moves: bool = False,
        formula: Rule | None = None,
    ) -> None:
        self.name = name or body.__name__
        self.body, self.vjps, self.joint, self.batch = body, tuple(vjps), joint, batch
        self.linear, self.jvp, self.promote, self.promoted = linear, jvp, promote, promoted
        self.view, self.moves, self.formula = view, moves, formula
        self.constant_outputs: frozenset[int] = frozenset()
        code = body.__code__
        self.inputs = code.co_varnames[1 : code.co_argcount]
        statics = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
        self.rest = code.co_varnames[len(self.inputs) + 1 + len(statics)] if code.co_flags & 0x04 else None
        self.defaults = dict(body.__kwdefaults__ or {})
        self.saves_residual = "residual" in self.defaults
        self.defaults.pop("residual", None)
        self.statics = tuple(s for s in statics if s != "residual")
        self.plans = [None if v is None else self._plan(v) for v in self.vjps]
        self.joint_plan = self._plan(joint) if joint else None
        self.short = self._short()
        self._keep: dict[tuple[bool, ...], tuple[frozenset[int], int, frozenset[int]]] = {}

    @property
    def differentiable(self) -> bool:
        return bool(self.vjps) or self.joint is not None

    # -- what a vjp needs -----------------------------------------------------------------------------------------

    def _plan(self, vjp: Rule) -> tuple[tuple[str, Any], ...]:
        """The vjp's parameters after `xp`, each as (where it is kept, which one)."""
        code = vjp.__code__
        return tuple(self._source(name) for name in code.co_varnames[1 : code.co_argcount])

    def _source(self, name: str) -> tuple[str, Any]:
        if name in ("g", "needs", "saved"):
            return (name, 0)
        if name[0] == "g" and name[1:].isdigit():
            return ("g", int(name[1:]))
        if name == "gs":
            return ("gs", 0)
        if name == "y" or (name[0] == "y" and name[1:].isdigit()):
            return ("y", int(name[1:] or 0))
        if name in self.inputs:
            return ("in", self.inputs.index(name))
        if name == self.rest:
            return ("rest", len(self.inputs))
        if name.endswith("_shape") and name[:-6] in self.inputs:
            return ("shape", self.inputs.index(name[:-6]))
        if name == f"{self.rest}_shapes":
            return ("shapes", len(self.inputs))
        if name in self.statics:
            return ("static", name)
        raise TypeError(f"[{self.name}] a vjp asks for {name!r}, which is no input, output or static of the body")

    def _short(self) -> tuple[tuple[Any, int, int], ...] | None:
        """(vjp, SHAPE, key) per input where every vjp wants its cotangent and at most one saved value; else None."""
        entries: list[tuple[Any, int, int]] = []
        for vjp, plan in zip(self.vjps, self.plans, strict=True):
            if vjp is None or plan is None or plan[:1] != (("g", 0),) or len(plan) > 2:
                return None
            kind, key = plan[1] if len(plan) == 2 else ("", 0)
            if kind not in ("", "in", "y"):
                return None
            entries.append((vjp, ("", "in", "y").index(kind), key))
        return tuple(entries) or None

    def keep(self, edges: tuple[bool, ...]) -> tuple[frozenset[int], int, frozenset[int]]:
        """What a node must save when the inputs marked in `edges` want cotangents: inputs, the first of those kept
        whole (`*inputs`), and outputs."""
        kept = self._keep.get(edges)
        if kept is None:
            plans = [self.joint_plan] if self.joint else [p for p, e in zip(self.plans, edges, strict=False) if e]
            entries = {entry for plan in plans if plan for entry in plan}
            inputs = frozenset(i for kind, i in entries if kind == "in")
            rest = next((i for kind, i in entries if kind == "rest"), len(edges))
            outputs = frozenset(i for kind, i in entries if kind == "y")
            kept = self._keep[edges] = (inputs, rest, outputs)
        return kept

    def release(self) -> None:
        """Called when a backward pass frees a node: primitives made for one call drop what they hold."""

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"


PRIMITIVES: dict[str, Primitive] = {}


class Raw:
    """The namespace `xp` over one backend's raw arrays: `xp.add(a, b)` runs add's kernel, or else its body."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.np, self.kernels, self.array_type = backend.module, backend.kernels, backend.array_type
        self.run = self._run if backend.guard is None else self._run_guarded

    def __getattr__(self, name: str) -> Any:
        prim = PRIMITIVES.get(name)
        if prim is None:
            raise AttributeError(f"no primitive or fused formula is called {name!r}")

        def call(*args: Any, **static: Any) -> Any:
            return self.run(prim, prepare(prim, args, self.backend), static)[0]

        setattr(self, name, call)
        return call

    def _run_guarded(self, prim: Primitive, args: Sequence[Any], static: dict[str, Any], residual: bool = False) -> Any:
        with guarded(self.backend):
            return self._run(prim, args, static, residual)

    def _run(self, prim: Primitive, args: Sequence[Any], static: dict[str, Any], residual: bool = False) -> Any:
        """(outputs, residual) of a primitive on raw arrays that `prepare` has seen."""
        if residual and prim.saves_residual:
            static = {**static, "residual": True}
        else:
            residual = False
        out: Any = kernels.ABSENT
        if prim.name in self.kernels:
            out = kernels.run(self.kernels, prim.name, *args, **static)
        if type(out) is Declined:
            if prim.formula is None:
                out = prim.body(self.np, *args, **static)
            else:
                out = prim.formula(self, *args, **static)
                dtype = args[0].dtype  # not what bfloat16's operators with Python numbers give, which is float32
                if type(out) is tuple:
                    out = tuple([o.astype(dtype, copy=False) for o in out])
                elif out.dtype != dtype:
                    out = out.astype(dtype)
        kept = None
        if residual:
            out, kept = out
        kind = self.array_type
        if type(out) is kind or prim.moves:
            return out, kept
        if type(out) is tuple or type(out) is list:
            return tuple([o if type(o) is kind else self.backend.as_array(o) for o in out]), kept
        return self.backend.as_array(out), kept


_CPU = get_backend("cpu")
_raws: dict[Backend, Raw] = {}


def raw_over(backend: Backend) -> Raw:
    """The raw namespace of a backend."""
    raw = _raws.get(backend)
    if raw is None:
        raw = _raws[backend] = Raw(backend)
    return raw


def raw_of(name: str, args: Sequence[Any]) -> Raw:
    """The raw namespace of the device that all arrays among `args` live on."""
    found: Backend | None = None
    for a in args:
        if type(a) is np.ndarray:
            if found is _CPU:
                continue
            if found is None:
                found = _CPU
                continue
        if a is None or isinstance(a, (bool, int, float, np.generic)):
            continue
        if not hasattr(a, "dtype"):
            raise TypeError(f"[{name}] expected tensors, arrays or numbers, got {type(a).__name__}")
        backend = backend_of(a)
        if found is None:
            found = backend
        elif backend is not found:
            raise mixed_devices_error(name, *args)
    return raw_over(get_backend("cpu") if found is None else found)


def prepare(prim: Primitive, args: Sequence[Any], backend: Backend) -> Sequence[Any]:
    """Cast operands to their common dtype, where the primitive asks for it. Python numbers stay as they are: in NumPy
    and CuPy they take the array's dtype. NumPy scalars, which its operators make of 0-d arrays, become arrays again."""
    scalars = False
    for a in args:
        if isinstance(a, np.generic):
            scalars = True
    if scalars:
        args = [backend.from_host(np.asarray(a)) if isinstance(a, np.generic) else a for a in args]
    if prim.promote is None:
        return args
    part = args[prim.promoted]
    arrays = [a for a in part if hasattr(a, "dtype")]
    if arrays:
        first = arrays[0].dtype
        if first.kind == "f" and all([a.dtype == first for a in arrays]):
            return args
    dtype = _target(prim, [a for a in part if a is not None])
    with guarded(backend):
        cast = [a.astype(dtype, copy=False) if hasattr(a, "dtype") else a for a in part]
    if dtype.kind == "V":  # to ml_dtypes, Python numbers are of a dtype of their own
        cast = [backend.from_host(np.asarray(a, dtype)) if isinstance(a, (bool, int, float)) else a for a in cast]
    if not arrays:
        cast[0] = backend.from_host(np.asarray(part[0], dtype))
    return [*args[: prim.promoted.start or 0], *cast, *args[prim.promoted.stop or len(args) :]]


def _target(prim: Primitive, operands: Sequence[Any]) -> np.dtype:
    try:
        dtype = result_type(*operands)
    except TypeError as error:
        raise TypeError(f"[{prim.name}] {error}") from None
    return get_default_dtype() if prim.promote == "float" and not is_floating(dtype) else dtype


def bind(prim: Primitive, args: tuple[Any, ...], static: dict[str, Any]) -> Any:
    """Run a primitive on values of any levels: the highest level among the arguments handles it."""
    top = None
    for a in args:
        if isinstance(a, Value):
            level = a.level
            if top is None or level.depth > top.depth:
                top = level
    if top is not None:
        if casting[0] is not None:
            args = casting[0](prim.name, args)
        return top.process(prim, args, static)
    raw = raw_of(prim.name, args)
    try:
        return raw.run(prim, prepare(prim, args, raw.backend), static)[0]
    except EXPLAINED as error:
        raise explain(prim, args, error) from error


EXPLAINED = (ValueError, TypeError, IndexError, OverflowError)


def explain(prim: Primitive, args: Sequence[Any], error: Exception) -> Exception:
    """The same error, naming the op and its operands, unless it does already."""
    if str(error).startswith("[") or type(error) not in (*EXPLAINED, np.exceptions.AxisError):
        return error
    operands = ", ".join(describe(a) for a in args if a is not None)
    return type(error)(f"[{prim.name}] {error} (operands: {operands})")


class Binding:
    """The namespace `xp` of work that something records: `xp.add(a, b)` binds."""

    def __getattr__(self, name: str) -> Any:
        prim = PRIMITIVES.get(name)
        if prim is None:
            raise AttributeError(f"no primitive or fused formula is called {name!r}")

        def call(*args: Any, **static: Any) -> Any:
            return bind(prim, args, {**prim.defaults, **static})

        setattr(self, name, call)
        return call


BIND = Binding()

__all__ = [
    "BIND", "EXPLAINED", "PRIMITIVES", "Array", "Primitive", "Raw", "bind", "explain", "prepare", "raw_of", "raw_over",
]  # fmt: skip
