"""Launch plans: what a launcher decides once for operands of given dtypes, shapes and layouts, replayed on each call.

A launcher works on Operands, which stand for arrays but hold no data. What it asks of the Planner (allocations,
launches, products) is checked and recorded; `Plan.run` then does it on real arrays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from ..dtypes import as_dtype, is_floating
from .arguments import Fault, LaunchError, Runtime, Struct, bind, fast_div
from .blas import gemm
from .operand import Operand, strides_of
from .program import Program
from .signature import SignatureError

WARP = 32
BLOCK = 256
MAX_THREADS = 1024
MAX_BLOCK = (1024, 1024, 64)
MAX_GRID = (2**31 - 1, 65535, 65535)
SHARED = 48 << 10
"""Bytes of dynamic shared memory that every kernel may have; more must be asked of the driver."""

INT_SIZE = 2**31 - 2**24
"""Below this many elements a kernel may count in 32 bits, the last step of a grid-stride loop included."""


class DeclineError(Exception):
    """Raised by a launcher, through the planner, to leave a call to the array code."""


class Planner:
    """What a launcher asks for, recorded. `name` is the computation's, `backend` says what the device can do."""

    def __init__(self, name: str, program: Program | None, backend: Any, inputs: int, inplace: bool) -> None:
        self.name, self._program, self.backend, self.inputs, self.inplace = name, program, backend, inputs, inplace
        self.multiprocessors: int = backend.multiprocessors
        self.shared_limit = SHARED
        self.shared_optin: int = backend.shared_optin
        self.max_blocks: int = backend.max_blocks
        # What a device has done to numbers and records before it is launched with them: once, where they never change.
        self.by_value: Callable[[Any], Any] = getattr(backend, "by_value", _as_it_is)
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
            self.decline(reason)

    def require_floats(self, x: Operand) -> None:
        """Decline unless an operand holds floats."""
        self.require(is_floating(x.dtype), f"an operand of dtype {x.dtype}")

    # -- memory ---------------------------------------------------------------------------------------------------

    def empty(self, shape: Sequence[int], dtype: Any, order: Sequence[int] | None = None) -> Operand:
        """A new buffer, its axes in memory from the widest to the narrowest as `order` has them."""
        dtype = as_dtype(dtype)
        if order is not None and sorted(order) != list(range(len(shape))):
            raise ValueError(f"[{self.name}] {tuple(order)} is no order of the axes of {tuple(shape)}")
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
        if not x.size:
            return
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
        block = tuple([int(n) for n in ((block, 1, 1) if isinstance(block, int) else (*block, 1, 1)[:3])])
        _check_block(kernel, block)
        if threads is not None:
            if threads < 0:
                raise LaunchError(f"[{kernel}] {threads} threads; it must be 0 or more")
            grid = (min(-(-threads // math.prod(block)), self.max_blocks),)
        if grid is None:
            raise LaunchError(f"[{kernel}] say how many threads, or give a grid")
        grid = tuple([int(n) for n in (*grid, 1, 1)[:3]])
        self._check_geometry(kernel, grid, shared)
        instance, parameters = self.program.instance(kernel, template)
        if len(arguments) != len(parameters):
            wanted = ", ".join([p.name for p in parameters])
            raise SignatureError(f"[{kernel}] got {len(arguments)} arguments, it takes {len(parameters)}: {wanted}")
        bound = [bind(self, f"[{kernel}] {p.name}", p, a) for p, a in zip(parameters, arguments, strict=True)]
        if 0 in grid:
            return
        run = self.backend.load(self.program, instance, math.prod(block), shared)
        constants = [b.constant for b in bound]
        places = [(i, *b.place) for i, b in enumerate(bound) if b.place]
        late = [(i, b.get) for i, b in enumerate(bound) if b.get]
        pointer = self.backend.pointer

        def step(buffers: list[Any], values: dict[str, Any]) -> None:
            ready = constants.copy()
            for i, slot, offset in places:
                ready[i] = pointer(buffers[slot], offset)
            for i, get in late:
                ready[i] = get(buffers, values)
            run(grid, block, ready, shared)

        self.steps.append(step)

    def _check_geometry(self, kernel: str, grid: tuple[int, ...], shared: int) -> None:
        if any([n > most or n < 0 for n, most in zip(grid, MAX_GRID, strict=True)]):
            raise LaunchError(f"[{kernel}] a grid of {grid} blocks is over the limit of {MAX_GRID}")
        if shared > self.shared_optin:
            raise LaunchError(f"[{kernel}] {shared} bytes of shared memory; a block may have {self.shared_optin}")

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


def _check_block(kernel: str, block: tuple[int, ...]) -> None:
    outside = any([not 1 <= n <= most for n, most in zip(block, MAX_BLOCK, strict=True)])
    if outside or math.prod(block) > MAX_THREADS:
        raise LaunchError(f"[{kernel}] a block of {block} threads; it must have 1 to {MAX_THREADS}, within {MAX_BLOCK}")


def _as_it_is(value: Any) -> Any:
    return value


def _assign(_: Any, target: Any, source: Any) -> None:
    target[...] = source


__all__ = [
    "BLOCK", "INT_SIZE", "MAX_GRID", "SHARED", "WARP", "DeclineError", "LaunchError", "Operand", "Plan", "Planner",
    "Runtime", "Struct", "fast_div", "strides_of",
]  # fmt: skip
