"""vmap: the level whose values carry a hidden leading axis, and the rules that carry primitives over it.

A rule is called as rule(prim, level, values, flags, static): `values` lie below the level, and those marked in `flags`
have the hidden axis first. It returns the output or outputs with that axis first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .primitive import BIND, Primitive, bind
from .value import Level, Value, make, shape_of

Static = dict[str, Any]


class BatchLevel(Level):
    """Values whose `below` has one axis more than they show."""

    name = "vmap"
    hides_axis = True

    def __init__(self, size: int, randomness: str = "error") -> None:
        super().__init__()
        self.size, self.randomness = size, randomness

    def process(self, prim: Primitive, args: tuple[Any, ...], static: Static) -> Any:
        self.check(prim)
        flags = [isinstance(a, Value) and a.level is self for a in args]
        values = [a.below if f else a for a, f in zip(args, flags, strict=True)]
        rule = prim.batch or loop
        out = rule(prim, self, values, flags, static)
        if type(out) is tuple or type(out) is list:
            return tuple([make(o, self) for o in out])
        return make(out, self)


def loop(prim: Primitive, level: BatchLevel, values: list[Any], flags: list[bool], static: Static) -> Any:
    """Without a rule: one example at a time, then stacked. Slow, and right for every primitive."""
    return loop_rows(lambda args: bind(prim, args, static), level, values, flags)


def loop_rows(call: Callable[[tuple[Any, ...]], Any], level: BatchLevel, values: list[Any], flags: list[bool]) -> Any:
    """`call` on each example's arguments, the results stacked. With no examples, one call on zeros tells the shapes."""
    if not level.size:
        values = [_zero_row(v) if f else v for v, f in zip(values, flags, strict=True)]
    rows = []
    for b in range(max(level.size, 1)):
        rows.append(call(tuple([BIND.getitem(v, spec=(b,)) if f else v for v, f in zip(values, flags, strict=True)])))
    columns = list(zip(*rows, strict=True)) if type(rows[0]) is tuple else [rows]
    outs = [stack(list(column)) for column in columns]
    if not level.size:
        outs = [BIND.getitem(o, spec=((0, 0, None),)) for o in outs]
    return tuple(outs) if type(rows[0]) is tuple else outs[0]


def _zero_row(value: Any) -> Any:
    """Zeros like a batched value with one example instead of none."""
    return BIND.broadcast_to(BIND.sum(BIND.zeros_like(value)), shape=(1, *value.shape[1:]))


def stack(rows: list[Any]) -> Any:
    return BIND.cat(*[BIND.reshape(r, shape=(1, *r.shape)) for r in rows], axis=0)


def spread(value: Any, flag: bool, size: int) -> Any:
    """`value` with the hidden axis, whether it had one or not."""
    return value if flag else BIND.broadcast_to(value, shape=(size, *shape_of(value)))


def pad_rank(value: Any, ndim: int) -> Any:
    """A batched value as one of `ndim` visible axes, ones put in front, as broadcasting does."""
    shape = tuple(value.shape)
    if len(shape) - 1 >= ndim:
        return value
    return BIND.reshape(value, shape=(shape[0], *(1,) * (ndim - len(shape) + 1), *shape[1:]))


def elementwise(prim: Primitive, level: BatchLevel, values: list[Any], flags: list[bool], static: Static) -> Any:
    """Broadcasting does the work once every batched operand has the same number of visible axes."""
    ndim = max([len(shape_of(v)) - f for v, f in zip(values, flags, strict=True)])
    return bind(prim, tuple([pad_rank(v, ndim) if f else v for v, f in zip(values, flags, strict=True)]), static)


def shifted(change: Callable[[int, int, Static], Static]) -> Callable[..., Any]:
    """Rule of a primitive with one array: itself, its statics moved past the hidden axis by change(size, ndim, static),
    where ndim counts the axes the user sees."""

    def rule(prim: Primitive, level: BatchLevel, values: list[Any], flags: list[bool], static: Static) -> Any:
        return bind(prim, tuple(values), change(level.size, len(values[0].shape) - 1, static))

    return rule


def fold(value: Any, size: int, flag: bool) -> Any:
    """(B, N, ...) -> (B * N, ...): the hidden axis joins the batch axis of convolutions and the like."""
    value = spread(value, flag, size)
    return BIND.reshape(value, shape=(value.shape[0] * value.shape[1], *value.shape[2:]))
