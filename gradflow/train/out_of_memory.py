"""What a training step holds in memory, by operation and layer, and the batch size that would fit."""

from __future__ import annotations

import gc
import sys
import traceback
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, NamedTuple

from .. import nn, optim
from ..autograd.again import made_since
from ..autograd.grad_mode import enable_grad, no_grad
from ..autograd.primitive import Primitive
from ..autograd.watch import Run, watching
from ..backend import Backend
from ..backend.base import guarded
from ..backend.threads import workers
from ..backend.workspace import get_conv_workspace
from ..creation import zeros_like
from ..nn import Module, Parameter
from ..ops.conv import CACHE
from ..tensor import Tensor
from .memory import memory_limit, memory_used
from .memory_report import Holding, OutOfMemory
from .rerun import Layers, arrays_in, backends_of, storage, unchanged

MARGINS = {"cuda": 0.9}
MARGIN = 0.8
"""The share of what is there that a batch may take by this account: CuPy's pool has gaps, and a heap has more."""
STEP_COPIES = 2  # arrays of a parameter's size that an optimiser makes for a moment
SETTLED = 0.03  # by how much two forecasts may differ for the later one to be taken
IN_PARTS = ("conv2d", "conv2d_input_grad", "conv2d_weight_grad")  # operations that work on a part of the batch
CUDA_ERRORS = {"CUDARuntimeError": 2, "CUDADriverError": 2, "CUBLASError": 3}
"""Of CuPy's errors, which are told by their names as CuPy may not be there: the status that says so."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was no memory: MemoryError (NumPy's and CuPy's are such), or CUDA's own."""
    status = CUDA_ERRORS.get(type(error).__name__)
    return isinstance(error, MemoryError) or (status is not None and getattr(error, "status", None) == status)


def explain_out_of_memory(
    build_step: Callable[[int], Callable[[], Tensor]],
    model: Module,
    optimizer: optim.Optimizer,
    batch_size: int,
    backend: Backend,
    limit: int | None = None,
) -> OutOfMemory:
    """What training at a batch size that failed takes, found by forward and backward passes of small batches.

    build_step(n) gives a function that computes the loss of a batch of n images. What the recorded graph keeps grows
    with n along a straight line, and so does what is in use at each moment of a step, but for the parts of a batch that
    some operations work on; so batches are doubled until two forecasts agree. A storage counts once, for the first
    operation that keeps it. `limit` is how many bytes there are for weights, gradients, the optimiser's state and the
    step; by default what `memory_limit` says less what else is in use.

    Called while an error is handled, it lets go of the arrays that the error's frames hold. Gradients, buffers and the
    default generator's state are left as they were; the optimiser takes no step.
    """
    _let_go(backend)
    held, fixed, largest = _fixed(model, optimizer)
    if limit is None:
        limit = _room(backend, held)
    forecast = _Forecast(fixed, fixed + STEP_COPIES * largest, backend)
    needs_two = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
    size, before = 2 if any([isinstance(m, needs_two) and m.training for m in model.modules()]) else 1, 0.0
    while True:
        try:
            forecast.add(_probe(build_step, size, model, backend))
        except BaseException as error:
            if not is_out_of_memory(error):
                raise
            break
        size *= 2
        if len(forecast.probes) == 2:
            need = forecast(batch_size)
            settled, before = abs(need - before) <= SETTLED * need, need
            if settled or 4 * size > batch_size or (limit is not None and forecast(size) > limit / 2):
                break
        _let_go(backend)
    return forecast.report(batch_size, limit)


# -- small batches, and what follows from them -------------------------------------------------------------------------


class _Moment(NamedTuple):
    """What is in use at the most while an operation runs: bytes that grow with the batch, and those of columns, which
    are of a part of the batch."""

    bytes: int
    columns: int = 0


@dataclass(frozen=True)
class _Probe:
    """A step on a batch of `size`: bytes kept, by (operation, layer), and in use at each moment."""

    size: int
    kept: Counter[tuple[str, str]]
    moments: Sequence[_Moment]


def _probe(build_step: Callable[[int], Callable[[], Tensor]], size: int, model: Module, backend: Backend) -> _Probe:
    moments: list[_Moment] = []

    def run(original: Run, prim: Primitive, args: Sequence[Any], static: dict[str, Any], residual: bool) -> Any:
        if prim.name not in IN_PARTS:
            result = original(prim, args, static, residual)
            moments.append(_Moment(meter.most()))
            return result
        moments.append(_Moment(meter.most()))
        before = meter.now()
        result = original(prim, args, static, residual)
        rest = before + _bytes(arrays_in(result))
        moments.append(_Moment(rest, max(0, meter.most() - rest)))
        return result

    with unchanged(model):
        for p in model.parameters():  # gradients are part of what is fixed
            p.grad = zeros_like(p).detach() if p.requires_grad else None
        with _meter(backend) as meter, watching(backends_of(model), run), enable_grad():
            with Layers(model) as layers:
                loss = build_step(size)()
            kept = _kept(loss, model, layers)
            loss.backward()
            moments.append(_Moment(meter.most()))
    return _Probe(size, kept, moments)


def _kept(loss: Tensor, model: Module, layers: Layers) -> Counter[tuple[str, str]]:
    """Bytes of the storages that the graph keeps, by the first operation that does and its layer."""
    seen = {id(storage(t.below)[0]) for t in [*model.parameters(), *model.buffers()]}
    found: Counter[tuple[str, str]] = Counter()
    for _, array in layers.given:  # they may be part of a larger array
        owner, _ = storage(array)
        if id(owner) not in seen:
            seen.add(id(owner))
            found["the batch", ""] += array.nbytes
    for node in made_since([loss], 0):
        for array in arrays_in([node.args, node.outs, node.residual]):
            owner, size = storage(array)
            if id(owner) not in seen:
                seen.add(id(owner))
                found[node.name(), layers.at(node.seq).name] += size
    return found


class _Forecast:
    """Bytes that a step needs, by batch size: straight lines through what the two largest small batches took."""

    def __init__(self, fixed: int, least: int, backend: Backend) -> None:
        host = backend.device.type == "cpu"
        self.fixed, self.least = fixed, least
        self.margin = MARGINS.get(backend.device.type, MARGIN)
        self.threads = workers() if host else 1
        self.columns = 2 * CACHE * self.threads if host else get_conv_workspace()
        self.probes: list[_Probe] = []

    def add(self, probe: _Probe) -> None:
        self.probes = [*self.probes[-1:], probe]

    def __call__(self, size: int) -> float:
        a, b = self.probes

        def need(m: _Moment, n: _Moment) -> float:
            most = max(self.columns, n.columns * max(1.0, self.threads / b.size))  # one image may have more
            columns = min(_line(a.size, m.columns, b.size, n.columns, size), most)
            return _line(a.size, m.bytes, b.size, n.bytes, size) + columns

        if len(a.moments) == len(b.moments):
            most = max([need(m, n) for m, n in zip(a.moments, b.moments, strict=True)])
        else:  # not the same calls: then only what was most compares
            most = need(*[_Moment(max([sum(m) for m in probe.moments])) for probe in (a, b)])
        return max(self.least, self.fixed + most)

    def report(self, batch_size: int, limit: int | None) -> OutOfMemory:
        if len(self.probes) < 2:
            return OutOfMemory(batch_size, (), self.fixed, 0, 0, limit, 0)
        a, b = self.probes
        rows = [Holding(*key, round(_line(a.size, a.kept[key], b.size, b.kept[key], batch_size))) for key in b.kept]
        rows.sort(key=lambda row: -row.bytes)
        need = self(batch_size)
        fits = None if limit is None else self._fits(batch_size, self.margin * limit)
        return OutOfMemory(
            batch_size, tuple(rows), self.fixed, round(self(batch_size + 1) - need), ceil(need), limit, fits
        )

    def _fits(self, batch_size: int, room: float) -> int:
        """The largest size below `batch_size`, which did not fit, that needs no more than `room`."""
        if self(batch_size) <= room:  # the account misses something: be careful
            return batch_size // 2
        low, high = 0, batch_size
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self(middle) <= room else (low, middle)
        return low


def _line(x1: int, y1: float, x2: int, y2: float, x: int) -> float:
    """The straight line through two points at x, never falling."""
    return y2 + max(0.0, (y2 - y1) / (x2 - x1)) * (x - x2)


# -- what is in use ----------------------------------------------------------------------------------------------------


def _fixed(model: Module, optimizer: optim.Optimizer) -> tuple[int, int, int]:
    """(bytes held now, bytes once training has begun, the largest parameter's) of all that has no batch size."""
    trained = [p for p in model.parameters() if p.requires_grad]
    weights = [t.below for t in [*model.parameters(), *model.buffers()]]
    gradients = [p.grad.below for p in trained if p.grad is not None]
    states = list(arrays_in([list(state.values()) for state in optimizer.state.values()]))
    held = _bytes([*weights, *gradients, *states])
    sizes = [p.below.nbytes for p in trained]
    state = _bytes(states) + _missing(optimizer)
    return held, _bytes(weights) + sum(sizes) + state, max(sizes, default=0)


def _missing(optimizer: optim.Optimizer) -> int:
    """Bytes of the state that an optimiser will make for parameters which have none yet, learnt on a small one."""
    if type(optimizer).update is optim.Optimizer.update:  # one with a step of its own
        return 0
    total = 0
    for group in optimizer.param_groups:
        fresh = [p for p in group["params"] if p.requires_grad and not optimizer.state.get(p)]
        if not fresh:
            continue
        least = min(fresh, key=lambda p: p.below.nbytes)
        sample = Parameter(zeros_like(least).detach())
        sample.grad = zeros_like(sample).detach()
        twin = object.__new__(type(optimizer))
        twin.__dict__.update(
            optimizer.__dict__, param_groups=[{**group, "params": [sample]}], pre_hooks=[], post_hooks=[]
        )
        twin.state = type(optimizer.state)(optimizer.state.default_factory)  # type: ignore[attr-defined]
        with no_grad():
            twin.step()
        made = _bytes(arrays_in(list(twin.state[sample].values())))
        total += round(sum([p.below.nbytes for p in fresh]) * made / max(1, sample.below.nbytes))
    return total


def _bytes(arrays: Iterable[Any]) -> int:
    return sum({id(owner): size for owner, size in map(storage, arrays)}.values())


def _room(backend: Backend, held: int) -> int | None:
    """Bytes that are there for the training, those that it holds now among them."""
    limit, used = memory_limit(backend), memory_used(backend)
    return None if limit is None or used is None else max(0, limit - max(0, used - held))


def _let_go(backend: Backend) -> None:
    """Free what frames of errors under way hold, and what a pool keeps."""
    error = sys.exc_info()[1]
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
    gc.collect()
    if backend.device.type == "cuda":
        with guarded(backend):
            backend.module.get_default_memory_pool().free_all_blocks()


class _HostMeter:
    """Bytes that arrays of the host take, from the beginning of a `with` block on."""

    def __enter__(self) -> _HostMeter:
        self.own = not tracemalloc.is_tracing()
        if self.own:
            tracemalloc.start()
        self.start = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        return self

    def __exit__(self, *_: object) -> None:
        if self.own:
            tracemalloc.stop()

    def now(self) -> int:
        """How many are in use."""
        return tracemalloc.get_traced_memory()[0] - self.start

    def most(self) -> int:
        """The most that were in use since the last call."""
        peak = tracemalloc.get_traced_memory()[1] - self.start
        tracemalloc.reset_peak()
        return peak


def _meter(backend: Backend) -> Any:
    """What measures the memory that arrays of a device take: a context with methods `now` and `most`."""
    if backend.device.type != "cuda":
        return _HostMeter()

    class PoolMeter(backend.module.cuda.MemoryHook):  # type: ignore[name-defined, misc]
        """The same of CuPy's pool: it calls a hook for every block it hands out or takes back, in this thread."""

        name = "gradflow"
        used = peak = 0

        def malloc_postprocess(self, **about: Any) -> None:
            if about["mem_ptr"]:
                self.used += about["mem_size"]
                self.peak = max(self.peak, self.used)

        def free_postprocess(self, **about: Any) -> None:
            self.used -= about["mem_size"]

        def now(self) -> int:
            return self.used

        def most(self) -> int:
            peak, self.peak = self.peak, self.used
            return peak

    return PoolMeter()


__all__ = ["Holding", "OutOfMemory", "explain_out_of_memory", "is_out_of_memory"]
