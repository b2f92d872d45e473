"""Launch plans: what a launcher decides once for operands of given dtypes, shapes and layouts, replayed on each call.

A launcher works on Operands, which stand for arrays but hold no data. What it asks of the Planner (allocations,
launches, products) is checked and recorded; `Plan.run` then does it on real arrays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from ..dtypes import as_dtype, is_floating
from .blas import gemm
from .operand import Operand, strides_of
from .program import Program
from .signature import C_TYPES, Parameter, SignatureError, dtype_key, struct_dtype

WARP = 32
BLOCK = 256
MAX_THREADS = 1024
MAX_GRID = (2**31 - 1, 65535, 65535)
SHARED = 48 << 10
"""Bytes of dynamic shared memory that every kernel may have; more must be asked of the driver."""

INT_SIZE = 2**31 - 2**24
"""Below this many elements a kernel may count in 32 bits, the last step of a grid-stride loop included."""


class LaunchError(ValueError):
    """A launch that no GPU could make: a grid, a block or shared memory out of bounds."""


class DeclineError(Exception):
    """Raised by a launcher, through the planner, to leave a call to the array code."""


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


class Planner:
    """What a launcher asks for, recorded. `name` is the computation's, `backend` says what the device can do."""

    def __init__(self, name: str, program: Program | None, backend: Any, inputs: int, inplace: bool) -> None:
        self.name, self._program, self.backend, self.inputs, self.inplace = name, program, backend, inputs, inplace
        self.multiprocessors: int = backend.multiprocessors
        self.shared_limit = SHARED
        self.shared_optin: int = backend.shared_optin
        self.max_blocks: int = backend.max_blocks
        self.slots = inputs
        self.steps: list[Callable[[list[Any], dict[str, Any]], None]] = []

    @property
    def program(self) -> Program:
        """The source whose kernels are launched."""
        if self._program is None:
            raise LaunchError(f"[{self.name}] its launcher names no source of kernels")
        return self._program

    # -- declining ------------------------------------------------------------------------------------------------

    def decline(self, reason: str) -> NoReturn:
        """Leave this call to the array code."""
        raise DeclineError(reason)

    def require(self, condition: bool, reason: str) -> None:
        """Decline unless a condition holds."""
        if not condition:
            raise DeclineError(reason)

    # -- memory ---------------------------------------------------------------------------------------------------

    def empty(self, shape: Sequence[int], dtype: Any, order: Sequence[int] | None = None) -> Operand:
        """A new buffer, its axes in memory from the widest to the narrowest as `order` has them."""
        dtype = as_dtype(dtype)
        strides = strides_of(shape, dtype.itemsize, order)
        slot, shape, backend = self.slots, tuple([int(n) for n in shape]), self.backend
        self.slots += 1
        self.steps.append(lambda buffers, _: buffers.append(backend.empty(shape, dtype, strides)))
        return Operand(slot, shape, dtype, strides)

    def empty_like(self, x: Operand, dtype: Any = None) -> Operand:
        """A new buffer in x's layout if that is dense, else in C order."""
        return self.empty(x.shape, x.dtype if dtype is None else dtype, x._long_order() if x.is_dense else None)

    def zeros(self, shape: Sequence[int], dtype: Any, order: Sequence[int] | None = None) -> Operand:
        out = self.empty(shape, dtype, order)
        self.fill(out, 0)
        return out

    def fill(self, x: Operand, value: float) -> None:
        """Set all elements."""
        fetch = self._fetch(x)
        self.steps.append(lambda buffers, _: fetch(buffers).fill(value))

    def copy(self, target: Operand, source: Operand) -> None:
        """Copy elements, between any layouts and dtypes."""
        if target.size:
            self.call(_assign, target, source)

    def contiguous(self, x: Operand) -> Operand:
        """x in C order, copied if it is not."""
        return x if x.is_c else self._copied(x, self.empty(x.shape, x.dtype))

    def channels_last(self, x: Operand) -> Operand:
        """(N, C, ...) with the channels last in memory, copied if they are not."""
        order = (0, *range(2, x.ndim), 1)
        return x if x.transpose(*order).is_c else self._copied(x, self.empty(x.shape, x.dtype, order))

    def cast(self, x: Operand, dtype: Any) -> Operand:
        dtype = as_dtype(dtype)
        return x if x.dtype == dtype else self._copied(x, self.empty_like(x, dtype))

    def dense(self, *xs: Operand) -> Any:
        """Operands of one shape in one common memory order: that of the first that is dense; the others are copied."""
        lead = next((x for x in xs if x.is_dense), xs[0])
        order = lead._long_order() if lead.is_dense else None
        strides = [strides_of(lead.shape, x.itemsize, order) for x in xs]
        found = tuple([
            x if x.shape == lead.shape and x._is_like(s) else self._copied(x, self.empty(lead.shape, x.dtype, order))
            for x, s in zip(xs, strides, strict=True)
        ])  # fmt: skip
        return found[0] if len(found) == 1 else found

    def _copied(self, x: Operand, target: Operand) -> Operand:
        self.copy(target, x)
        return target

    # -- what kernels are given -----------------------------------------------------------------------------------

    def vector_width(self, *xs: Operand) -> int:
        """How many neighbours one access of up to 16 bytes takes, so that it divides all sizes; 1 where unaligned."""
        width = 16 // max([x.itemsize for x in xs])
        if not all([x.aligned for x in xs]):
            return 1
        while width > 1 and any([x.size % width for x in xs]):
            width //= 2
        return width

    def index_type(self, *xs: Operand) -> str:
        """C's type for counting the elements of all of these."""
        return "int" if max([x.size for x in xs], default=0) < INT_SIZE else "long long"

    def fast_div(self, divisor: int) -> Struct:
        """common.cuh's FastDiv, which divides numbers below 2^31."""
        return fast_div(divisor)

    def struct(self, name: str, **fields: Any) -> Struct:
        """A struct of the source by value. Pointer fields take Operands, arrays of them lists."""
        return Struct(name, fields)

    def fault(self, op: str, what: str) -> Fault:
        """For a `long long*` parameter that `raise_fault` of common.cuh sets; `what` says what should have been."""
        return Fault(op, what)

    # -- work -----------------------------------------------------------------------------------------------------

    def call(self, function: Callable[..., Any], *operands: Operand) -> None:
        """function(np, *arrays), which writes into some of them."""
        fetch, backend = [self._fetch(x) for x in operands], self.backend
        self.steps.append(lambda buffers, _: function(backend.module, *[f(buffers) for f in fetch]))

    def matmul(self, a: Operand, b: Operand, out: Operand) -> None:
        """out = a @ b by BLAS, of matrices or batches of them, (n, k) @ (k, m) or with a first axis in all three.

        Rows or columns must be contiguous. Sums are in float32 or wider; out may be float32 where a and b are 16-bit.
        """
        call = gemm(a, b, out)
        if not out.size:
            return
        if not a.size:
            self.fill(out, 0)
            return
        run = self.backend.product(call, a, b, out)
        self.steps.append(lambda buffers, _: run(buffers))

    def launch(
        self,
        kernel: str,
        template: Sequence[Any],
        *arguments: Any,
        threads: int | None = None,
        grid: Sequence[int] | None = None,
        block: int | Sequence[int] = BLOCK,
        shared: int = 0,
    ) -> None:
        """Launch an instance of a kernel of the launcher's source, its arguments checked against its parameters.

        `threads` are rounded up to blocks, of which there are at most `max_blocks`; or `grid` says how many blocks.
        """
        block = (block, 1, 1) if isinstance(block, int) else (*block, 1, 1)[:3]
        if threads is not None:
            grid = (min(-(-threads // math.prod(block)), self.max_blocks),)
        if grid is None:
            raise LaunchError(f"[{kernel}] say how many threads, or give a grid")
        grid = tuple([int(n) for n in (*grid, 1, 1)[:3]])
        self._check_geometry(kernel, grid, tuple(block), shared)
        instance, parameters = self.program.instance(kernel, template)
        if len(arguments) != len(parameters):
            wanted = ", ".join([p.name for p in parameters])
            raise SignatureError(f"[{kernel}] got {len(arguments)} arguments, it takes {len(parameters)}: {wanted}")
        bound = [self._bind(kernel, p, a) for p, a in zip(parameters, arguments, strict=True)]
        if 0 in grid:
            return
        run = self.backend.load(self.program, instance, math.prod(block), shared)

        def step(buffers: list[Any], values: dict[str, Any]) -> None:
            run(grid, block, tuple([b(buffers, values) for b in bound]), shared)

        self.steps.append(step)

    def _check_geometry(self, kernel: str, grid: tuple[int, ...], block: tuple[int, ...], shared: int) -> None:
        if any([n > most or n < 0 for n, most in zip(grid, MAX_GRID, strict=True)]):
            raise LaunchError(f"[{kernel}] a grid of {grid} blocks is over the limit of {MAX_GRID}")
        if math.prod(block) > MAX_THREADS or min(block) < 1:
            raise LaunchError(f"[{kernel}] a block of {block} threads; it must have 1 to {MAX_THREADS}")
        if shared > self.shared_optin:
            raise LaunchError(f"[{kernel}] {shared} bytes of shared memory; a block may have {self.shared_optin}")

    def _bind(self, kernel: str, parameter: Parameter, argument: Any) -> Callable[[list[Any], dict[str, Any]], Any]:
        where = f"[{kernel}] {parameter.name}"
        if parameter.pointer:
            return self._bind_pointer(where, parameter, argument)
        if isinstance(argument, Struct):
            return self._bind_struct(where, parameter, argument)
        if isinstance(argument, (Operand, Fault)) or argument is None:
            raise SignatureError(f"{where} takes a {parameter.type} by value, got {argument}")
        if parameter.type not in C_TYPES:
            raise SignatureError(f"{where} takes a struct {parameter.type}, got {argument!r}")
        if isinstance(argument, Runtime):
            return lambda _, values: scalar(where, parameter.type, argument.get(values))
        value = scalar(where, parameter.type, argument)
        return lambda _, __: value

    def _bind_pointer(self, where: str, parameter: Parameter, argument: Any) -> Callable[..., Any]:
        backend, wanted = self.backend, parameter.type
        if argument is None:
            return lambda _, __: backend.null
        if isinstance(argument, Fault):
            if wanted != "long long":
                raise SignatureError(f"{where} takes {wanted}*, a fault's word is a long long*")
            word = backend.fault_word(argument.op, argument.what)
            return lambda _, __: word
        if not isinstance(argument, Operand):
            raise SignatureError(f"{where} takes a pointer to {wanted or 'void'}, got {argument!r}")
        if wanted and C_TYPES.get(wanted) != dtype_key(argument.dtype):
            raise SignatureError(f"{where} takes a pointer to {wanted}, got {argument}")
        if not parameter.const and argument.slot < self.inputs and not self.inplace:
            raise SignatureError(f"{where} would write to an input; make the parameter const, or the launcher inplace")
        slot, offset = argument.slot, argument.offset
        return lambda buffers, _: backend.pointer(buffers[slot], offset)

    def _bind_struct(self, where: str, parameter: Parameter, argument: Struct) -> Callable[..., Any]:
        if parameter.type.split("<")[0].strip() != argument.name:
            raise SignatureError(f"{where} takes {parameter.type}, got a struct {argument.name}")
        dtype = struct_dtype(self.program.text, parameter.type)
        if set(argument.fields) != set(dtype.names or ()):
            raise SignatureError(f"{where} has the fields {dtype.names}, got {tuple(argument.fields)}")
        record = np.zeros(1, dtype)
        late: list[tuple[str, Callable[..., Any]]] = []
        for name, value in argument.fields.items():
            if isinstance(value, Struct):
                inner = Parameter(name, value.name, False, False)
                record[name] = self._bind_struct(f"{where}.{name}", inner, value)([], {})
            elif isinstance(value, Runtime):
                late.append((name, lambda _, values, v=value: v.get(values)))
            elif isinstance(value, Operand):
                late.append((name, lambda buffers, _, v=value: self.backend.address(buffers[v.slot]) + v.offset))
            elif isinstance(value, (list, tuple)) and any([isinstance(v, Operand) for v in value]):
                late.append((name, self._addresses(value, dtype[name].shape[0])))
            else:
                _fill(f"{where}.{name}", record, name, value)
        if not late:
            return lambda _, __: record

        def fill(buffers: list[Any], values: dict[str, Any]) -> Any:
            filled = record.copy()
            for name, get in late:
                filled[name] = get(buffers, values)
            return filled

        return fill

    def _addresses(self, operands: Sequence[Operand | None], room: int) -> Callable[..., Any]:
        places = [None if x is None else (x.slot, x.offset) for x in operands]
        places += [None] * (room - len(places))
        address = self.backend.address
        return lambda buffers, _: [0 if p is None else address(buffers[p[0]]) + p[1] for p in places]

    def _fetch(self, x: Operand) -> Callable[[list[Any]], Any]:
        """The way to an operand's array."""
        view, slot, offset, shape, strides = self.backend.view, x.slot, x.offset, x.shape, x.strides
        return lambda buffers: view(buffers[slot], offset, shape, strides)


class Plan:
    """The recorded work, and which buffers are the result."""

    def __init__(self, planner: Planner, result: Any) -> None:
        self.steps, self.inputs = tuple(planner.steps), planner.inputs
        self.result = _result(planner, result)

    def run(self, arrays: Sequence[Any], values: dict[str, Any]) -> Any:
        buffers = list(arrays)
        for step in self.steps:
            step(buffers, values)
        return self.result(buffers)


def _result(planner: Planner, result: Any) -> Callable[[list[Any]], Any]:
    if isinstance(result, Operand):
        return planner._fetch(result)
    if isinstance(result, tuple):
        parts = [_result(planner, r) for r in result]
        return lambda buffers: tuple([p(buffers) for p in parts])
    if result is None:
        return lambda _: None
    raise TypeError(f"[{planner.name}] a launcher returns Operands, tuples of them or None, got {result!r}")


def scalar(where: str, kind: str, value: Any) -> np.generic:
    """A number as C's type has it, refused where it does not fit."""
    dtype = as_dtype(C_TYPES[kind])
    fits: bool
    if isinstance(value, (bool, np.bool_)) or dtype.kind == "b":
        fits = isinstance(value, (bool, np.bool_)) and dtype.kind == "b"
    elif is_floating(dtype):
        fits = isinstance(value, (int, float, np.integer, np.floating))
    else:
        fits = isinstance(value, (int, np.integer)) and np.iinfo(dtype).min <= int(value) <= np.iinfo(dtype).max
    if not fits:
        raise SignatureError(f"{where} takes a {kind}, got {value!r}")
    return dtype.type(value)  # type: ignore[no-any-return]


def _fill(where: str, record: np.ndarray, name: str, value: Any) -> None:
    try:
        if isinstance(value, (list, tuple)):
            record[name][0, : len(value)] = value
        else:
            record[name] = value
    except (TypeError, ValueError, OverflowError, IndexError) as error:
        raise SignatureError(f"{where} cannot hold {value!r}: {error}") from None


def fast_div(divisor: int) -> Struct:
    """FastDiv: with s = ceil(log2 d), n / d is the high word of n ceil(2^(31 + s) / d), shifted by s - 1."""
    if not 1 <= divisor < 2**31:
        raise LaunchError(f"[fast_div] cannot divide by {divisor}; it must be in [1, 2**31)")
    shift = (divisor - 1).bit_length()
    multiplier = -(-(1 << (31 + shift)) // divisor) if divisor > 1 else 0
    return Struct("FastDiv", {"divisor": divisor, "multiplier": multiplier, "shift": max(shift - 1, 0)})


def _assign(_: Any, target: Any, source: Any) -> None:
    target[...] = source
