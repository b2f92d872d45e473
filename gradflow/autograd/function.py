"""`Function`: operations of the user's own, with a forward and a backward.

A call binds as a primitive made for that one call: the highest level handles it, and the same call is bound on what
lies below, until `forward` runs on plain tensors. What `save_for_backward` was given is kept as "input i" or "output
j", so that the tape of each level finds its own value for it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..backend.dtypes import is_floating
from .batch import BatchLevel, loop_rows, stack
from .grad_mode import no_grad
from .primitive import BIND, Primitive, bind
from .tape import MAIN
from .value import TransformError, Value, depends, frozen, make


class Context:
    """What `forward` leaves for `backward`. Tensors are kept only by `save_for_backward`; other attributes are free."""

    def __init__(self, needs_input_grad: tuple[bool, ...]) -> None:
        set_ = object.__setattr__
        set_(self, "needs_input_grad", needs_input_grad)
        set_(self, "_saved", ())
        set_(self, "_saved_forward", None)
        set_(self, "_constant", ())
        set_(self, "_materialize", True)

    def __setattr__(self, name: str, value: Any) -> None:
        held = value if isinstance(value, (tuple, list)) else (value,)
        if any([isinstance(v, Value) for v in held]):
            raise RuntimeError(
                f"[Function] ctx.{name} = a tensor would keep it alive and lose how it depends on the inputs; "
                "use ctx.save_for_backward(...) and ctx.saved_tensors"
            )
        object.__setattr__(self, name, value)

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep inputs, outputs (or, for a first derivative only, intermediates) for `backward`."""
        _check_tensors("save_for_backward", tensors)
        object.__setattr__(self, "_saved", tensors)

    def save_for_forward(self, *tensors: Any) -> None:
        """The same for `jvp`; without it, `jvp` sees what `save_for_backward` kept."""
        _check_tensors("save_for_forward", tensors)
        object.__setattr__(self, "_saved_forward", tensors)

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What was saved, in its order."""
        return self._saved  # type: ignore[attr-defined,no-any-return]

    def mark_non_differentiable(self, *outputs: Any) -> None:
        """Outputs that have no gradient."""
        object.__setattr__(self, "_constant", outputs)

    def set_materialize_grads(self, value: bool) -> None:
        """Whether `backward` gets zeros (the default) or None for outputs that nothing depended on."""
        object.__setattr__(self, "_materialize", bool(value))

    def mark_dirty(self, *tensors: Any) -> None:
        """Not supported: forward must not change its inputs in place."""
        raise NotImplementedError("[Function] mark_dirty: forward must return a new tensor, not change its inputs")


def _check_tensors(what: str, tensors: tuple[Any, ...]) -> None:
    for t in tensors:
        if t is not None and not isinstance(t, Value):
            raise TypeError(f"[Function] ctx.{what} takes tensors, got {type(t).__name__}; set it as ctx.name = value")


class VmapInfo(NamedTuple):
    """What a `vmap` staticmethod is told."""

    batch_size: int
    randomness: str


class Function:
    """Base of operations with a forward and a backward of their own. Call one with `apply`.

        class Square(gf.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return x * x

            @staticmethod
            def backward(ctx, g):
                (x,) = ctx.saved_tensors
                return 2 * x * g

    `backward` receives a cotangent per output and returns one per argument of forward, None where there is none.
    Optional: `setup_context(ctx, inputs, output)` beside a `forward(*args)` without ctx; `jvp(ctx, *tangents)`, else
    forward mode transposes backward; `vmap(info, in_dims, *args)` -> (outputs, out_dims), else vmap loops.
    """

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError("a Function needs a staticmethod forward(ctx, *args)")

    @staticmethod
    def setup_context(ctx: Context, inputs: tuple[Any, ...], output: Any) -> None:
        raise NotImplementedError

    @staticmethod
    def backward(ctx: Context, *grads: Any) -> Any:
        raise NotImplementedError("a Function needs a staticmethod backward(ctx, *grads) to be differentiated")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Run forward, and record it where an argument requires grad."""
        values = tuple([a for a in args if isinstance(a, Value)])
        call = Call(cls, args)
        if not values:
            out = call.forward(())
            return tuple([make(o, MAIN) for o in out]) if type(out) is tuple else make(out, MAIN)
        return bind(call, values, {})


class Call(Primitive):
    """One call of a Function, as a primitive. `args` are all arguments; the tensors among them are bound."""

    def __init__(self, function: type[Function], args: tuple[Any, ...]) -> None:
        self.function, self.args = function, [None if isinstance(a, Value) else a for a in args]
        self.slots = [i for i, a in enumerate(args) if isinstance(a, Value)]
        self.name = function.__name__
        self.vjps, self.plans, self.linear, self.promote = (), [], (), None
        self.formula, self.view, self.moves = None, True, False
        self.saves_residual, self.statics, self.defaults = False, (), {}
        self.body = lambda np, *arrays: self.forward(arrays)
        self.joint, self.batch, self.short = self.backward, batch_rule, None
        self.joint_plan = (("needs", 0), ("gs", 0), ("rest", 0), ("outs", 0), ("shapes", 0), ("first_order", 0))
        self.jvp = self.forward_mode if hasattr(function, "jvp") else None
        self.constant_outputs = frozenset()
        self.context = Context(tuple([depends(a) for a in args]))
        self.saved: list[tuple[str, Any]] = []  # ("in", i), ("out", j), ("none", 0) or ("const", tensor)
        self.saved_forward: list[tuple[str, Any]] | None = None
        self.outputs: list[tuple[tuple[int, ...], Any]] = []  # (shape, dtype) of each
        self.ready = False
        self.differs: str | None = None  # an attribute of the context that differs between the examples of a vmap

    def keep(self, edges: tuple[bool, ...]) -> Any:
        inputs = frozenset([i for kind, i in self.saved if kind == "in"])
        return inputs, len(edges), frozenset([j for kind, j in self.saved if kind == "out"])

    def release(self) -> None:
        self.saved = [("freed", 0) if kind == "const" else (kind, i) for kind, i in self.saved]

    def full(self, values: Any) -> list[Any]:
        """All arguments, with these values in the tensors' places."""
        args = list(self.args)
        for i, v in zip(self.slots, values, strict=True):
            args[i] = v
        return args

    @property
    def separate(self) -> bool:
        return self.function.setup_context is not Function.setup_context

    # -- forward ----------------------------------------------------------------------------------------------------

    def forward(self, arrays: tuple[Any, ...]) -> Any:
        """Run the user's forward on plain tensors; raw outputs."""
        ins = [make(a, MAIN) for a in arrays]
        args = self.full(ins)
        with no_grad():
            if self.separate:
                out = self.function.forward(*args)
                self.function.setup_context(self.context, tuple(args), out)
            else:
                out = self.function.forward(self.context, *args)
        outs = list(out) if isinstance(out, (tuple, list)) else [out]
        for o in outs:
            if not isinstance(o, Value):
                raise TypeError(f"[{self.name}] forward must return tensors, got {type(o).__name__}")
            if o.level is not MAIN:
                raise TransformError(
                    f"[{self.name}] forward used a value of a {o.level.name} call that is not among its arguments; "
                    "pass it to apply()"
                )
        self.note(ins, outs)
        self.outputs = [(o.shape, o.dtype) for o in outs]
        raw = [o.below for o in outs]
        return tuple(raw) if isinstance(out, (tuple, list)) else raw[0]

    def note(self, ins: list[Any], outs: list[Any]) -> None:
        """Turn what the context saved into references to inputs and outputs."""

        def reference(t: Any) -> tuple[str, Any]:
            if t is None:
                return ("none", 0)
            for kind, values in (("in", ins), ("out", outs)):
                for i, v in enumerate(values):
                    if v is t:
                        return (kind, i)
            return ("const", t)

        context: Any = self.context
        self.saved = [reference(t) for t in context._saved]
        if context._saved_forward is not None:
            self.saved_forward = [reference(t) for t in context._saved_forward]
        constant = [reference(t) for t in context._constant]
        self.constant_outputs = frozenset([i for kind, i in constant if kind == "out"])
        for name in ("_saved", "_saved_forward", "_constant"):
            object.__setattr__(context, name, ())
        self.ready = True

    # -- backward ---------------------------------------------------------------------------------------------------

    def view_of(self, saved: list[tuple[str, Any]], args: Any, outs: Any, first_order: bool) -> Context:
        """The context as backward sees it at one level."""
        if not self.ready:
            raise TransformError(
                f"[{self.name}] its vmap staticmethod does not say what backward needs; define "
                "setup_context(ctx, inputs, output) to combine vmap with gradients"
            )

        if self.differs:
            raise TransformError(
                f"[{self.name}] forward set ctx.{self.differs} differently for different examples of a vmap, so that "
                "one backward cannot serve them all; save it as a tensor, or define vmap(info, in_dims, *args)"
            )

        def find(kind: str, i: Any) -> Any:
            if kind == "in":
                return tensor(args[i])
            if kind == "out":
                return tensor(outs[i])
            if kind == "freed":
                raise RuntimeError(
                    f"[{self.name}] the values it saved were freed by an earlier backward pass; pass retain_graph=True"
                )
            if kind == "const" and not first_order and is_floating(i.dtype):
                raise RuntimeError(
                    f"[{self.name}] saved an intermediate, neither input nor output of forward, which only a first "
                    "derivative can use; compute it again in backward, or return it as an output"
                )
            return i if kind == "const" else None

        ctx = Context.__new__(Context)
        ctx.__dict__.update(self.context.__dict__)
        object.__setattr__(ctx, "_saved", tuple([find(kind, i) for kind, i in saved]))
        return ctx

    def backward(
        self, xp: Any, needs: Any, gs: Any, args: Any, outs: Any, shapes: Any, first_order: bool
    ) -> tuple[Any, ...]:
        """The joint vjp: the user's backward, once for all inputs."""
        ctx = self.view_of(self.saved, args, outs, first_order)
        given = [g if g is None or isinstance(g, Value) else make(frozen(g), MAIN) for g in gs]
        if ctx._materialize:  # type: ignore[attr-defined]
            like = next(g for g in gs if g is not None)
            for j, (g, (shape, dtype)) in enumerate(zip(given, self.outputs, strict=True)):
                if g is None and is_floating(dtype):
                    zero = BIND.astype(BIND.sum(BIND.zeros_like(like)), dtype=dtype)
                    given[j] = tensor(BIND.broadcast_to(zero, shape=shape))
        result = self.function.backward(ctx, *given)
        grads = tuple(result) if isinstance(result, (tuple, list)) else (result,)
        if len(grads) > len(self.args) and all([g is None for g in grads[len(self.args) :]]):
            grads = grads[: len(self.args)]
        if len(grads) != len(self.args):
            raise RuntimeError(
                f"[{self.name}] backward must return a gradient for each of forward's {len(self.args)} arguments "
                f"(None where there is none), got {len(grads)}"
            )
        for i, shape in zip(self.slots, shapes, strict=True):
            g = grads[i]
            if isinstance(g, Value) and not _reduces(tuple(g.shape), tuple(shape)):
                raise RuntimeError(
                    f"[{self.name}] backward returned a gradient of shape {tuple(g.shape)} for argument {i} of shape "
                    f"{tuple(shape)}"
                )
        return tuple([plain(grads[i], self, i) for i in self.slots])

    def forward_mode(self, xp: Any, primals: Any, tangents: Any, outs: Any) -> Any:
        """The user's jvp."""
        first_order = not any([isinstance(p, Value) for p in primals])
        saved = self.saved if self.saved_forward is None else self.saved_forward
        ctx = self.view_of(saved, primals, outs, first_order)
        given: list[Any] = [None] * len(self.args)
        for i, t in zip(self.slots, tangents, strict=True):
            given[i] = tensor(t)
        result = self.function.jvp(ctx, *given)  # type: ignore[attr-defined]
        return tuple([plain(r, self, 0) for r in (result if isinstance(result, (tuple, list)) else (result,))])


def batch_rule(call: Call, level: BatchLevel, values: list[Any], flags: list[bool], static: dict[str, Any]) -> Any:
    """vmap: by the user's staticmethod, or a loop that gathers the contexts of its calls into one."""
    if not hasattr(call.function, "vmap"):
        calls: list[Call] = []

        def one(args: tuple[Any, ...]) -> Any:
            calls.append(Call(call.function, tuple(call.full([make(None, MAIN)] * len(args)))))
            calls[-1].context = Context(call.context.needs_input_grad)  # type: ignore[attr-defined]
            return bind(calls[-1], args, {})

        out = loop_rows(one, level, values, flags)
        first = calls[0]
        call.context, call.outputs, call.ready = first.context, first.outputs, first.ready
        call.constant_outputs = first.constant_outputs
        call.differs = _differing([c.context for c in calls])
        call.saved = _stacked([c.saved for c in calls], level)
        if first.saved_forward is not None:
            call.saved_forward = _stacked([c.saved_forward or [] for c in calls], level)
        return out
    info = VmapInfo(level.size, level.randomness)
    in_dims = call.full([0 if f else None for f in flags])
    in_dims = [d if i in call.slots else None for i, d in enumerate(in_dims)]
    result, out_dims = call.function.vmap(info, tuple(in_dims), *call.full([tensor(v) for v in values]))  # type: ignore[attr-defined]
    many = isinstance(result, (tuple, list))
    outs = list(result) if many else [result]
    dims = list(out_dims) if isinstance(out_dims, (tuple, list)) else [out_dims] * len(outs)
    rows = []
    for o, d in zip(outs, dims, strict=True):
        o = plain(o, call, 0)
        if d is None:
            o = BIND.broadcast_to(o, shape=(level.size, *o.shape))
        elif d % len(o.shape):
            o = BIND.transpose(o, axes=(d % len(o.shape), *[a for a in range(len(o.shape)) if a != d % len(o.shape)]))
        rows.append(o)
    call.outputs = [(tuple(o.shape[1:]), o.dtype) for o in rows]
    if call.separate:
        ins = [make(v, level) if f else tensor(v) for v, f in zip(values, flags, strict=True)]
        made = [make(o, level) for o in rows]
        call.function.setup_context(call.context, tuple(call.full(ins)), tuple(made) if many else made[0])
        call.note(ins, made)
    return tuple(rows) if many else rows[0]


def _differing(contexts: list[Context]) -> str | None:
    """The name of an attribute that is not the same in all contexts."""
    for name, value in contexts[0].__dict__.items():
        if name[0] != "_" and any([not _same(value, c.__dict__.get(name)) for c in contexts[1:]]):
            return name
    return None


def _same(a: Any, b: Any) -> bool:
    try:
        return a is b or bool(a == b)
    except ValueError:  # arrays
        return bool(np.array_equal(a, b))


def _stacked(saved: list[list[tuple[str, Any]]], level: BatchLevel) -> list[tuple[str, Any]]:
    columns = []
    for column in zip(*saved, strict=True):
        kind, what = column[0]
        if kind == "const":
            what = make(stack([v.below if v.level is MAIN else v for _, v in column]), level)
        columns.append((kind, what))
    return columns


def _reduces(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Whether summing over broadcast axes leads from one shape to the other."""
    tail = shape[len(shape) - len(target) :]
    return len(shape) >= len(target) and all([t in (n, 1) for n, t in zip(tail, target, strict=True)])


def tensor(value: Any) -> Any:
    """A raw array as a plain tensor; values stay as they are."""
    return value if value is None or isinstance(value, Value) else make(value, MAIN)


def plain(value: Any, call: Call, i: int) -> Any:
    """What the user's code returned, as cotangents and tangents are held: raw where it depends on nothing recorded."""
    if value is None:
        return None
    if not isinstance(value, Value):
        raise TypeError(f"[{call.name}] gradients must be tensors or None, got {type(value).__name__} for argument {i}")
    return value.below if value.level is MAIN and not value.tracked else value
