"""The parity audit: a training step, one operation at a time, on a device and on NumPy in float64 and float32.

Every call that reaches the device's arrays is made again on host copies of the very same operands, by the bodies alone,
so that errors do not add up from one operation to the next and the operation that is wrong is the one that shows. In
the backward pass each node's vjp is such a call, and so are the primitives and fused formulas that it runs.
"""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import numpy as np

from ..autograd.engine import Pass
from ..autograd.function import Call
from ..autograd.grad_mode import enable_grad, no_grad
from ..autograd.primitive import Primitive, Raw
from ..autograd.pull import pull
from ..autograd.tape import Node
from ..autograd.value import Value
from ..autograd.watch import Run, watching
from ..backend import DeviceLike, get_backend, kernels
from ..backend.base import Backend, guarded
from ..backend.dtypes import is_floating
from ..backend.numpy import NumpyBackend
from ..creation import as_tensor
from ..nn import Module
from .audit_report import BACKWARD, FORWARD, INSIDE, Audit, Row

TOLERANCE = 32.0
"""How many times NumPy's own error a device's may be. TF32, whose products are off by 2^-11, is far beyond it."""

COPY_BYTES = 256 << 20  # the size of the copy that measures a GPU's bandwidth; more than its cache holds


def audit(
    fn: Callable[..., Any], *inputs: Any, device: DeviceLike = None, tolerance: float = TOLERANCE
) -> Audit:  # fmt: skip
    """Run loss = fn(*inputs) and its backward pass on `device`, and compare each operation with NumPy.

    Tensors and arrays among the inputs are moved to the device, and so is a copy of `fn` where that is a Module; other
    functions must find what they close over there. fn returns a tensor, or several; each gets a cotangent of ones.

    The error of a result is max|result - exact| / max|exact|, where the exact one is that of the body, run by NumPy in
    float64 on the same operands. An operation diverges where the device's error is more than `tolerance` times that of
    the same body run by NumPy in the operands' own dtype (or times that dtype's epsilon, where NumPy's is smaller),
    where infinities or NaN stand in other places, or where integers differ; but equal maxima along an axis may be found
    in either place.

    A time is that of the call made again, from a thread that waits for it; on a GPU of five calls in a row, which for
    small operands is the time to launch and for those that fit the cache more than memory's speed. Tensor methods that
    write in place and the additions of gradients that do so are not operations here. Launch counters count it all.
    """
    backend = get_backend(device)
    if isinstance(fn, Module):
        fn = copy.deepcopy(fn).to(backend.device)
    placed = [_placed(x, backend) for x in inputs]
    found = Audit(str(backend.device), tolerance, copy_bandwidth(backend))
    recorder = _Recorder(backend, found)
    with watching([backend], recorder.run):
        with enable_grad():
            outputs = fn(*placed)
        outputs = outputs if isinstance(outputs, (tuple, list)) else (outputs,)
        if not all([isinstance(y, Value) for y in outputs]):
            raise TypeError(f"[audit] fn must return a tensor or several, got {type(outputs[0]).__name__}")
        walk = _AuditedPass(recorder)
        with no_grad():
            for y in outputs:
                if y.tracked:
                    with guarded(backend):
                        g = backend.as_array(backend.module.ones(y.shape, y.dtype))
                    walk.send(y if y.edge is None else y.edge, g)
            walk.run(retain=False)
    return found


def copy_bandwidth(backend: Backend) -> float:
    """Bytes read and written a second by a large copy on the device; the best of five."""
    size = COPY_BYTES if backend.device.type == "cuda" else COPY_BYTES // 8
    with guarded(backend):
        source = backend.module.ones(size // 4, np.float32)
        target = backend.module.zeros(size // 4, np.float32)
        times = []
        for _ in range(6):
            backend.synchronize()
            start = perf_counter()
            target[...] = source
            backend.synchronize()
            times.append(perf_counter() - start)
    return 2 * size / min(times[1:])


def relative_error(found: np.ndarray, exact: np.ndarray) -> float:
    """max|found - exact| / max|exact|; infinite where shapes, infinities or NaN differ."""
    if found.shape != exact.shape:
        return math.inf
    found, exact = found.astype(np.float64), exact.astype(np.float64)
    finite = np.isfinite(exact)
    if not np.array_equal(found[~finite], exact[~finite], equal_nan=True):
        return math.inf
    found, exact = found[finite], exact[finite]
    off = float(np.abs(found - exact).max(initial=0.0))
    scale = float(np.abs(exact).max(initial=0.0))
    if math.isnan(off):
        return math.inf
    return 0.0 if off == 0.0 else off / scale if scale else math.inf


class _Bodies(NumpyBackend):
    """NumPy without kernels: what computes here are the bodies, the definition of every operation."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels = {}


class _AuditedPass(Pass):
    """A backward pass that hands every node to the recorder."""

    short_way = False

    def __init__(self, recorder: _Recorder) -> None:
        super().__init__(relink=False)
        self.recorder = recorder

    def pull(self, node: Node, gs: list[Any]) -> list[tuple[Any, Any]]:
        return self.recorder.pull(node, gs)


class _Recorder:
    """Takes down all raw calls of one device."""

    def __init__(self, backend: Backend, found: Audit) -> None:
        self.backend, self.found = backend, found
        self.bodies = Raw(_Bodies())
        self.rows: dict[tuple[str, str], Row] = {}
        self.launched: Counter[str] = Counter()
        self.quiet = False  # while a call is made again
        self.depth = 0
        self.repeats = 5 if backend.device.type == "cuda" else 1

    # -- what is recorded ---------------------------------------------------------------------------------------------

    def run(
        self, original: Run, prim: Primitive, args: Sequence[Any], static: dict[str, Any], residual: bool
    ) -> Any:  # fmt: skip
        """`Raw.run`, recorded."""
        if self.quiet or isinstance(prim, Call):  # of a user's Function, what it calls is recorded
            return original(prim, args, static, residual)
        row = self._row(prim.name, FORWARD if self.depth == 0 else INSIDE)
        launches, refusals = kernels.launches().get(prim.name, 0), kernels.fallbacks().get(prim.name, {})
        self.depth += 1
        try:
            result = original(prim, args, static, residual)
        finally:
            self.depth -= 1
        with self._unrecorded():
            declined = {k: n for k, n in kernels.fallbacks().get(prim.name, {}).items() if n > refusals.get(k, 0)}
            launched = kernels.launches().get(prim.name, 0) > launches
            how = "kernel" if launched else "fallback" if declined else "array code"
            row.ran[how] = row.ran.get(how, 0) + 1
            self.launched[prim.name] += launched
            row.refusals += [reason for reason in declined if reason not in row.refusals]
            moved = 0 if prim.view else _bytes((args, result))
            self._time(row, moved, lambda: original(prim, args, static, residual))
            has_floats = any([is_floating(a.dtype) for a in _arrays(args)])

            def body(convert: Callable[[Any], Any], dtype: Callable[[Any], Any]) -> list[np.ndarray]:
                statics = {k: dtype(v) if has_floats else v for k, v in static.items()}
                return list(_arrays(self.bodies.run(prim, _mapped(args, convert), statics, residual)[0]))

            self._compare(row, list(_arrays(result[0])), body, _shapes(args), _ties(self._host(args), static))
        return result

    def pull(self, node: Node, gs: Sequence[Any]) -> list[tuple[Any, Any]]:
        """A node's vjps, recorded as one call."""
        if isinstance(node.prim, Call):
            return list(pull(node, gs))
        row, before = self._row(node.prim.name, BACKWARD), self.launched.copy()
        self.depth += 1
        try:
            result = list(pull(node, gs))
        finally:
            self.depth -= 1
        with self._unrecorded():
            for name, count in ((self.launched - before) or {"array code": 1}).items():
                row.ran[name] = row.ran.get(name, 0) + count
            cotangents = [g for _, g in result]
            held = (gs, node.args, node.outs, node.residual, cotangents)
            idle = node.prim.view and all([g.base is not None for g in cotangents])
            self._time(row, 0 if idle else _bytes(held), lambda: list(pull(node, gs)))

            def vjp(convert: Callable[[Any], Any], dtype: Callable[[Any], Any]) -> list[np.ndarray]:
                again = self._on_host(node, convert, dtype)
                return [g for _, g in pull(again, _mapped(list(gs), convert))]

            self._compare(row, cotangents, vjp, f"{_shapes(gs)}, made at {node.place()}")
        return result

    def _on_host(self, node: Node, convert: Callable[[Any], Any], dtype: Callable[[Any], Any]) -> Node:
        """A node with its saved values on the host. It has no residual: the vjp then computes that again, so that the
        one which the device saved is put to the test as well."""
        again = copy.copy(node)
        again.raw, again.residual = self.bodies, None
        again.args, again.outs = _mapped(node.args, convert), _mapped(node.outs, convert)
        again.dtypes = tuple([dtype(d) for d in node.dtypes])
        again.static = {k: dtype(v) for k, v in node.static.items()}
        return again

    # -- time and errors ----------------------------------------------------------------------------------------------

    def _row(self, op: str, part: str) -> Row:
        row = self.rows.get((op, part))
        if row is None:
            row = self.rows[op, part] = Row(op, part)
            self.found.rows.append(row)
        row.calls += 1
        return row

    @contextmanager
    def _unrecorded(self) -> Iterator[None]:
        self.quiet = True
        try:
            yield
        finally:
            self.quiet = False

    def _time(self, row: Row, moved: int, call: Callable[[], Any]) -> None:
        self.backend.synchronize()
        start = perf_counter()
        for _ in range(self.repeats):
            call()
        self.backend.synchronize()
        row.seconds += (perf_counter() - start) / self.repeats
        row.bytes += moved

    def _compare(
        self,
        row: Row,
        result: list[Any],
        replay: Callable[..., list[np.ndarray]],
        what: str,
        ties: Callable[[Any, Any], bool] = np.array_equal,
    ) -> None:
        """Take the errors of a call into its row; `replay` runs it on the host with operands and dtypes converted."""
        ours = [self._host(x) for x in result]
        with np.errstate(all="ignore"):
            numpy = replay(self._host, lambda dtype: dtype)
            exact = replay(lambda x: _widened(self._host(x)), _wide)
        device_error, numpy_error, limit = _errors(ours, numpy, exact, ties)
        row.device_error = max(row.device_error or 0.0, device_error)
        row.numpy_error = max(row.numpy_error or 0.0, numpy_error)
        if device_error > self.found.tolerance * limit:
            row.diverges = True
            if self.found.diverged is None:
                name = f"the vjp of {row.op}" if row.part == BACKWARD else row.op
                self.found.diverged = (
                    f"{name}, call {row.calls} ({what}): error {device_error:.1e}, NumPy's {numpy_error:.1e}"
                )

    def _host(self, x: Any) -> Any:
        if isinstance(x, (tuple, list)):
            return [self._host(v) for v in x]
        return self.backend.to_host(x) if isinstance(x, self.backend.array_type) else x


def _errors(
    ours: list[Any], numpy: list[Any], exact: list[Any], ties: Callable[[Any, Any], bool]
) -> tuple[float, float, float]:  # fmt: skip
    """(device's error, NumPy's error, the error from which multiples count as divergence), over all results."""
    if not len(ours) == len(numpy) == len(exact):
        return math.inf, 0.0, 0.0
    worst, base, limit = 0.0, 0.0, 0.0
    for x, y, z in zip(ours, numpy, exact, strict=True):
        if is_floating(x.dtype):
            worst, base = max(worst, relative_error(x, z)), max(base, relative_error(y, z))
            limit = max(limit, base, _epsilon(x.dtype))
        elif not np.array_equal(x, y) and not ties(x, y):
            return math.inf, base, limit
    return worst, base, limit


def _ties(args: Sequence[Any], static: dict[str, Any]) -> Callable[[Any, Any], bool]:
    """Whether two arrays of indices along the static `axis` of the first operand pick equal elements of it."""

    def equal(a: Any, b: Any) -> bool:
        axis = static.get("axis")
        if not isinstance(axis, int) or a.dtype.kind != "i" or a.ndim != args[0].ndim - 1:
            return False
        if a.min() < 0 or a.max() >= args[0].shape[axis]:
            return False
        first, second = [np.take_along_axis(args[0], np.expand_dims(i, axis), axis) for i in (a, b)]
        return np.array_equal(first, second, equal_nan=True)

    return equal


def _epsilon(dtype: np.dtype) -> float:
    return 2.0**-7 if dtype.name == "bfloat16" else float(np.finfo(dtype).eps)


def _placed(x: Any, backend: Backend) -> Any:
    if isinstance(x, Value):
        moved = x.detach().to(device=backend.device)  # type: ignore[attr-defined]
        return moved.requires_grad_(x.tracked)
    return as_tensor(x, device=backend.device) if isinstance(x, np.ndarray) else x


def _arrays(held: Any) -> Iterator[Any]:
    """All arrays in nested tuples, lists and dicts."""
    if isinstance(held, (tuple, list)):
        for x in held:
            yield from _arrays(x)
    elif isinstance(held, dict):
        yield from _arrays(list(held.values()))
    elif hasattr(held, "dtype") and hasattr(held, "nbytes"):
        yield held


def _mapped(held: Any, convert: Callable[[Any], Any]) -> Any:
    return type(held)([convert(x) for x in held]) if isinstance(held, (tuple, list)) else held


def _bytes(held: Any) -> int:
    return sum({id(x): x.nbytes for x in _arrays(held)}.values())


def _shapes(held: Any) -> str:
    return ", ".join([f"{tuple(x.shape)} {x.dtype}" for x in _arrays(held)])


def _widened(x: Any) -> Any:
    return x.astype(np.float64) if hasattr(x, "dtype") and is_floating(x.dtype) else x


def _wide(value: Any) -> Any:
    """A dtype's stand-in where everything is float64; other values as they are."""
    return np.dtype(np.float64) if isinstance(value, np.dtype) and is_floating(value) else value
