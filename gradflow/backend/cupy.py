"""The CUDA backend: CuPy arrays on one GPU. CuPy itself is imported when the first such backend is made."""

from __future__ import annotations

import importlib
import math
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from .base import Array, Backend, Device
from .cuda.blas import DATA_TYPES, Gemm, compute_type
from .cuda.emulated import check_on_device
from .cuda.faults import WORDS, Faults
from .cuda.launcher import launchers_on
from .cuda.operand import Operand
from .cuda.plan import SHARED, LaunchError
from .cuda.program import Program, defines
from .cuda.signature import dtype_key

STAGING_BYTES = 32 << 20
"""Size of the pinned blocks that large copies to the device go through."""

OUT_OF_MEMORY = 2  # cudaErrorMemoryAllocation
GEMM_DEFAULT = -1  # cublasGemmAlgo_t


class CupyBackend(Backend):
    """CuPy on GPU number `index`.

    Copies to the device go through pinned host memory on the current stream: `from_host` returns as soon as the
    source has been read, and whatever uses the result on the same stream waits for the copy. `to_host` waits.
    """

    null = None

    def __init__(self, index: int = 0) -> None:
        cupy = importlib.import_module("cupy")
        self.device = Device("cuda", index)
        self.module = cupy
        self.array_type = cupy.ndarray
        self._cuda_device = cupy.cuda.Device(index)
        attributes = self._cuda_device.attributes
        self.multiprocessors: int = attributes["MultiProcessorCount"]
        self.max_blocks = 32 * self.multiprocessors
        self.shared_optin: int = attributes["MaxSharedMemoryPerBlockOptin"]
        self._faults: Faults | None = None
        self._functions: dict[tuple[Program, str], Any] = {}
        self.kernels: dict[str, Callable[..., Any]] = dict(launchers_on(self))
        # CuPy keeps the devices to return to on a stack per thread: one object can be entered again and shared.
        self.guard = self._cuda_device if cupy.cuda.runtime.getDeviceCount() > 1 else None
        self._staged: deque[tuple[Any, Any]] = deque()  # (event, pinned block): copies that may still be under way
        self._staging = threading.Lock()

    def from_host(self, array: np.ndarray) -> Array:
        order = _memory_order(array)
        native = array.dtype.newbyteorder("=")
        source = np.asarray(array if order is None else array.transpose(order), dtype=native, order="C")
        with self._cuda_device:
            out = self.module.empty(source.shape, dtype=source.dtype)
            if source.size:
                self._upload(source.reshape(-1), out.reshape(-1))
        return out if order is None else out.transpose(_inverse(order))

    def to_host(self, array: Array) -> np.ndarray:
        order = _memory_order(array)
        source = array if order is None else array.transpose(order)
        host = np.empty(source.shape, source.dtype)
        if source.size:
            with self._cuda_device:
                # Not a bare get(): on machines with unified memory that returns the device's own memory.
                source.get(out=host)
        self._raise_faults()
        return host if order is None else host.transpose(_inverse(order))

    def as_array(self, value: Any) -> Array:
        return value if isinstance(value, self.array_type) else self.from_host(np.asarray(value))

    def check_index(self, index: Array, low: int, high: int, op: str = "index") -> int | None:
        with self._cuda_device:
            check_on_device(self, index, low, high, op)
        return None

    def synchronize(self) -> None:
        self._cuda_device.synchronize()
        self._release()
        self._raise_faults()

    # -- what plans need ------------------------------------------------------------------------------------------

    def empty(self, shape: tuple[int, ...], dtype: np.dtype, strides: tuple[int, ...]) -> Array:
        """A new array in contiguous memory of the given strides."""
        memory = self.module.cuda.alloc(math.prod(shape) * dtype.itemsize)
        return self.array_type(shape, dtype, memory, strides)

    def view(self, array: Array, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
        if offset == 0 and array.shape == shape and array.strides == strides:
            return array
        return self.array_type(shape, array.dtype, array.data + offset, strides)

    def address(self, array: Array) -> int:
        return array.data.ptr  # type: ignore[no-any-return]

    def pointer(self, array: Array, offset: int) -> Any:
        return array.data + offset if offset else array

    def fault_word(self, op: str, what: str) -> np.uint64:
        if self._faults is None:
            # Pinned memory has one address on the host and on every GPU, and a kernel's writes are there once it ends.
            self._fault_memory = self.module.cuda.alloc_pinned_memory(8 * WORDS)
            words = np.frombuffer(self._fault_memory, np.int64, WORDS)
            words[:] = 0
            self._faults = Faults(words)
        return np.uint64(self._faults.word(op, what))

    def _raise_faults(self) -> None:
        if self._faults is not None:
            self._faults.check(self.device)

    def product(self, call: Gemm, a: Operand, b: Operand, out: Operand) -> Callable[[list[Any]], None]:
        """The way to compute out = a @ b in buffers.

        By cuBLAS itself: CuPy's own matmul copies many layouts, widens batches of float16 and has no BLAS for those of
        bfloat16.
        """
        first, second = (b, a) if call.exchanged else (a, b)
        cublas, handle = self.module.cuda.cublas, self.module.cuda.get_cublas_handle
        scale = np.dtype("f8" if a.dtype == np.float64 else "f4")
        one, zero = np.ones(1, scale), np.zeros(1, scale)
        kind, wide = DATA_TYPES[dtype_key(a.dtype)], DATA_TYPES[dtype_key(out.dtype)]
        precision = compute_type(a.dtype)

        def run(buffers: list[Any]) -> None:
            cublas.gemmStridedBatchedEx(
                handle(), call.a.transposed, call.b.transposed, call.m, call.n, call.k, one.ctypes.data,
                buffers[first.slot].data.ptr + first.offset, kind, call.a.leading, call.a.stride,
                buffers[second.slot].data.ptr + second.offset, kind, call.b.leading, call.b.stride, zero.ctypes.data,
                buffers[out.slot].data.ptr + out.offset, wide, call.c.leading, call.c.stride,
                call.batch, precision, GEMM_DEFAULT,
            )  # fmt: skip

        return run

    def load(self, program: Program, instance: str, threads: int, shared: int) -> Callable[..., None]:
        """The way to launch an instance, compiled by NVRTC at the first launch of it on this machine.

        CuPy keeps compiled code on disk, found by the whole text, the options, the architecture and NVRTC's version.
        """
        with self._cuda_device:
            function = self._functions.get((program, instance))
            if function is None:
                text = f"// CuPy {self.module.__version__}\n{program.text}"
                options = ("-std=c++17", *[f"-D{name}" for name in defines(instance)])
                module = self.module.RawModule(code=text, options=options, name_expressions=(instance,))
                function = self._functions[program, instance] = module.get_function(instance)
            if threads > function.max_threads_per_block:
                raise LaunchError(
                    f"[{instance}] a block of {threads} threads, but at {function.num_regs} registers a thread this "
                    f"GPU runs {function.max_threads_per_block}; give the kernel __launch_bounds__({threads})"
                )
            if shared > SHARED and shared > function.max_dynamic_shared_size_bytes:
                function.max_dynamic_shared_size_bytes = shared

        def run(grid: Any, block: Any, args: Any, shared: int) -> None:
            function(grid, block, args, shared_mem=shared)

        return run

    def _upload(self, source: np.ndarray, target: Array) -> None:
        """Start copying `source` into `target`, both flat and of one dtype, in blocks of pinned memory."""
        cuda = self.module.cuda
        stream = cuda.get_current_stream()
        step = max(1, STAGING_BYTES // source.itemsize)
        for start in range(0, source.size, step):
            part = source[start : start + step]
            self._release()
            try:
                block = cuda.alloc_pinned_memory(part.nbytes)
            except cuda.runtime.CUDARuntimeError as error:
                if error.status != OUT_OF_MEMORY:
                    raise
                target[start : start + step].set(part, stream)  # no pinned memory left: slower, and waits
                stream.synchronize()
                continue
            pinned = np.frombuffer(block, part.dtype, part.size)
            pinned[...] = part
            target[start : start + step].set(pinned, stream)
            event = cuda.Event(disable_timing=True)
            event.record(stream)
            with self._staging:
                self._staged.append((event, block))

    def _release(self) -> None:
        """Let go of the pinned blocks whose copies are done: CuPy's pool would hand one out again while in use."""
        with self._staging:
            while self._staged and self._staged[0][0].done:
                self._staged.popleft()


def _memory_order(array: Array) -> tuple[int, ...] | None:
    """The axes from the widest stride to the narrowest, so that a copy keeps its layout; None for C order."""
    strides = array.strides
    if array.ndim < 2 or array.flags.c_contiguous or 0 in strides:  # 0: broadcast, a layout not worth keeping
        return None
    return tuple(sorted(range(array.ndim), key=lambda axis: -abs(strides[axis])))


def _inverse(order: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(range(len(order)), key=order.__getitem__))
