"""Arguments of launches: checked against the kernel's parameters when planned, and made ready for replay."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..dtypes import as_dtype, is_floating
from .operand import Operand
from .signature import C_TYPES, Parameter, SignatureError, dtype_key, struct_dtype, struct_fields

if TYPE_CHECKING:
    from .plan import Planner

Get = Callable[[list[Any], dict[str, Any]], Any]
"""What finds a value at a call, from the buffers and the values of runtime statics."""


class LaunchError(ValueError):
    """A launch that no GPU could make: a grid, a block or shared memory out of bounds."""


class Runtime:
    """A value that is known at each call only: `key[0]` picks from a tuple, `lr.map(f)` computes."""

    __slots__ = ("get",)

    def __init__(self, get: Callable[[dict[str, Any]], Any]) -> None:
        self.get = get

    def __getitem__(self, i: int) -> Runtime:
        return Runtime(lambda values: self.get(values)[i])

    def map(self, function: Callable[[Any], Any]) -> Runtime:
        return Runtime(lambda values: function(self.get(values)))


class Fault:
    """The word that a kernel sets where an index is out of range."""

    __slots__ = ("op", "what")

    def __init__(self, op: str, what: str) -> None:
        self.op, self.what = op, what


class Struct:
    """A struct to be passed by value."""

    __slots__ = ("fields", "name")

    def __init__(self, name: str, fields: dict[str, Any]) -> None:
        self.name, self.fields = name, fields


class Bound(NamedTuple):
    """An argument: a `constant`, or the `place` of an operand (slot, offset), or what must be found at each call."""

    constant: Any = None
    place: tuple[int, int] | None = None
    get: Get | None = None


def bind(plan: Planner, where: str, parameter: Parameter, argument: Any) -> Bound:
    """One argument of a launch. SignatureError, which begins with `where`, if it is not what the parameter takes."""
    if parameter.pointer:
        return _pointer(plan, where, parameter, argument)
    if isinstance(argument, Struct):
        found = _struct(plan, where, parameter.type, argument)
        return found if found.get else Bound(plan.by_value(found.constant))
    if isinstance(argument, (Operand, Fault)) or argument is None:
        raise SignatureError(f"{where} takes a {parameter.type} by value, got {argument}")
    if parameter.type not in C_TYPES:
        raise SignatureError(f"{where} takes a struct {parameter.type}, got {argument!r}")
    convert = number(where, parameter.type)
    if isinstance(argument, Runtime):
        return Bound(get=lambda _, values: convert(argument.get(values)))
    return Bound(plan.by_value(convert(argument)))


def _pointer(plan: Planner, where: str, parameter: Parameter, argument: Any) -> Bound:
    if argument is None:
        return Bound(plan.backend.null)
    if isinstance(argument, Fault):
        if parameter.type != "long long":
            raise SignatureError(f"{where} takes {parameter.type}*, a fault's word is a long long*")
        return Bound(plan.by_value(plan.backend.fault_word(argument.op, argument.what)))
    _check_pointer(plan, where, parameter, argument)
    return Bound(place=(argument.slot, argument.offset))


def _check_pointer(plan: Planner, where: str, parameter: Parameter, argument: Any) -> None:
    wanted = parameter.type
    if not isinstance(argument, Operand):
        raise SignatureError(f"{where} takes a pointer to {wanted or 'void'}, got {argument!r}")
    if wanted and C_TYPES.get(wanted) != dtype_key(argument.dtype):
        raise SignatureError(f"{where} takes a pointer to {wanted}, got {argument}")
    if not parameter.const and argument.slot < plan.inputs and not plan.inplace:
        raise SignatureError(f"{where} would write to an input; make the parameter const, or the launcher inplace")


def number(where: str, kind: str) -> Callable[[Any], np.generic]:
    """The way to a number as C's type has it, which refuses what does not fit."""
    dtype = as_dtype(C_TYPES[kind])
    boolean, floating, make = dtype.kind == "b", is_floating(dtype), dtype.type
    accepted = (int, float, np.integer, np.floating) if floating else (int, np.integer)
    info = None if boolean or floating else np.iinfo(dtype)
    low, high = (0, 0) if info is None else (int(info.min), int(info.max))

    def convert(value: Any) -> np.generic:
        if isinstance(value, (bool, np.bool_)):
            fits = boolean
        else:
            fits = not boolean and isinstance(value, accepted) and (floating or bool(low <= value <= high))
        if not fits:
            raise SignatureError(f"{where} takes a {kind}, got {value!r}")
        try:
            return make(value)  # type: ignore[no-any-return]
        except OverflowError:
            raise SignatureError(f"{where} takes a {kind}, which cannot hold {value!r}") from None

    return convert


# -- structs ----------------------------------------------------------------------------------------------------------


def _struct(plan: Planner, where: str, kind: str, struct: Struct) -> Bound:
    if kind.split("<")[0].strip() != struct.name:
        raise SignatureError(f"{where} takes {kind}, got a struct {struct.name}")
    text = plan.program.text
    fields, dtype = struct_fields(text, kind), struct_dtype(text, kind)
    if {f.name for f in fields} != set(struct.fields):
        raise SignatureError(f"{where} has the fields {dtype.names}, got {tuple(struct.fields)}")
    record, late = np.zeros(1, dtype), []
    for field in fields:
        found = _field(plan, f"{where}.{field.name}", field, dtype[field.name].shape, struct.fields[field.name])
        if found.get is not None:
            late.append((field.name, found.get))
        elif isinstance(found.constant, list):
            record[field.name][0, : len(found.constant)] = found.constant
        else:
            record[field.name] = found.constant
    if not late:
        return Bound(record)

    def fill(buffers: list[Any], values: dict[str, Any]) -> Any:
        filled = record.copy()
        for name, get in late:
            filled[name] = get(buffers, values)
        return plan.by_value(filled)

    return Bound(get=fill)


def _field(plan: Planner, where: str, field: Parameter, shape: tuple[int, ...], value: Any) -> Bound:
    """One field of a struct: a number, a pointer, a struct of constants, or a list for an array of the first two."""
    several = isinstance(value, (list, tuple))
    room = shape[0] if shape else 1
    if len(shape) > several or (several and (not shape or len(value) > room)):
        wanted = f"a list of up to {room}" if shape else f"one {field.type or 'pointer'}"
        raise SignatureError(f"{where} takes {wanted}, got {value!r}")
    if field.pointer:
        return Bound(get=_addresses(plan, where, field, value if several else (value,), shape))
    if isinstance(value, Struct):
        inner = _struct(plan, where, field.type, value)
        if inner.get is not None:
            raise SignatureError(f"{where} is a struct in a struct, which takes constants only")
        return inner
    if field.type not in C_TYPES:
        raise SignatureError(f"{where} takes a struct {field.type}, got {value!r}")
    convert = number(where, field.type)
    if isinstance(value, Runtime):
        return Bound(get=lambda _, values: convert(value.get(values)))
    return Bound([convert(v) for v in value] if several else convert(value))


def _addresses(plan: Planner, where: str, field: Parameter, operands: Sequence[Any], shape: tuple[int, ...]) -> Get:
    """What finds the addresses of operands, and 0 where there is none."""
    for x in operands:
        if x is not None:
            _check_pointer(plan, where, field, x)
    places = [None if x is None else (x.slot, x.offset) for x in operands]
    places += [None] * (math.prod(shape) - len(places))
    address = plan.backend.address
    return lambda buffers, _: [0 if p is None else address(buffers[p[0]]) + p[1] for p in places]


def fast_div(divisor: int) -> Struct:
    """FastDiv: with s = ceil(log2 d), n / d is the high word of n ceil(2^(31 + s) / d), shifted by s - 1."""
    if not 1 <= divisor < 2**31:
        raise LaunchError(f"[fast_div] cannot divide by {divisor}; it must be in [1, 2**31)")
    shift = (divisor - 1).bit_length()
    multiplier = -(-(1 << (31 + shift)) // divisor) if divisor > 1 else 0
    return Struct("FastDiv", {"divisor": divisor, "multiplier": multiplier, "shift": max(shift - 1, 0)})
