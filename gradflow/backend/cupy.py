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
from .cuda.faults import WORDS, Faults, check_on_device
from .cuda.launcher import launchers_on
from .cuda.operand import Operand
from .cuda.plan import SHARED, LaunchError
from .cuda.program import Program, defines
from .cuda.signature import dtype_key
from .dtypes import is_half

STAGING_BYTES = 32 << 20
"""Size of the pinned blocks that large copies to the device go through."""

OUT_OF_MEMORY = 2  # cudaErrorMemoryAllocation
GEMM_DEFAULT = -1  # cublasGemmAlgo_t
WIDE_SUMS = 16  # CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION
SCALES = {kind: np.array([1, 0], kind) for kind in ("f4", "f8")}
"""alpha and beta of products, which cuBLAS is given the addresses of."""


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
        self._by_value = cupy.cuda.function.CNumpyArray
        self._functions: dict[tuple[Program, str], Any] = {}
        self._shared: dict[tuple[Program, str], int] = {}  # dynamic shared memory that the driver was asked for
        self.kernels: dict[str, Callable[..., Any]] = dict(launchers_on(self))
        # CuPy keeps the devices to return to on a stack per thread: one object can be entered again and shared.
        self.guard = self._cuda_device if cupy.cuda.runtime.getDeviceCount() > 1 else None
        self._staged: deque[tuple[Any, Any]] = deque()  # (event, pinned block): copies that may still be under way
        self._staging, self._setting = threading.Lock(), threading.Lock()

    def from_host(self, array: np.ndarray) -> Array:
        order = _memory_order(array)
        native = array.dtype.newbyteorder("=")
        source = np.asarray(array if order is None else array.transpose(order), dtype=native, order="C")
        with self._cuda_device:
            out = self.module.empty(source.shape, dtype=source.dtype)
            if source.size:
                self._upload(source.reshape(-1), out.reshape(-1))
        return out if order is None else out.transpose(_inverse(order))

    def pinned(self, array: np.ndarray) -> np.ndarray:
        order = _memory_order(array)
        source = array if order is None else array.transpose(order)
        native = array.dtype.newbyteorder("=")
        with self._cuda_device:
            block = self._pin(array.nbytes) if array.size else None
        if block is None:  # nothing to copy, or no pinned memory left
            host = np.array(source, native, order="C")
        else:
            host = np.frombuffer(block, native, array.size).reshape(source.shape)
            host[...] = source
        return host if order is None else host.transpose(_inverse(order))

    def from_pinned(self, array: np.ndarray) -> Array:
        order = _memory_order(array)
        source = array if order is None else array.transpose(order)
        with self._cuda_device:
            out = self.module.empty(source.shape, dtype=source.dtype)
            if source.size:
                self._release()
                self._start(source, out, source)
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

    def by_value(self, value: Any) -> Any:
        """A number or a record as an argument that CuPy passes on as it is.

        CuPy makes the same of an array of one element, but at each launch, and slowly of a record: NumPy's interface
        spells out its fields, which are nothing to a launch, so that its bytes are given as they are.
        """
        array = np.atleast_1d(value)
        return self._by_value(array if array.dtype.names is None else array.view(f"V{array.itemsize}"))

    def fault_word(self, op: str, what: str) -> np.uint64:
        with self._setting:  # kernels of two threads must not be given the words of two different Faults
            if self._faults is None:
                # Pinned memory has one address on the host and on all GPUs; kernels' writes are there once they end.
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
        scales = SCALES["f8" if a.dtype == np.float64 else "f4"]
        one, zero = scales.ctypes.data, scales.ctypes.data + scales.itemsize
        half = is_half(a.dtype)
        kind, wide = DATA_TYPES[dtype_key(a.dtype)], DATA_TYPES[dtype_key(out.dtype)]
        precision = compute_type(a.dtype)

        def run(buffers: list[Any]) -> None:
            here = handle()  # each thread has its own
            if half:  # else partial sums of one product may be added up in 16 bits
                cublas.setMathMode(here, WIDE_SUMS)
            cublas.gemmStridedBatchedEx(
                here, call.a.transposed, call.b.transposed, call.m, call.n, call.k, one,
                buffers[first.slot].data.ptr + first.offset, kind, call.a.leading, call.a.stride,
                buffers[second.slot].data.ptr + second.offset, kind, call.b.leading, call.b.stride, zero,
                buffers[out.slot].data.ptr + out.offset, wide, call.c.leading, call.c.stride,
                call.batch, precision, GEMM_DEFAULT,
            )  # fmt: skip

        return run

    def load(self, program: Program, instance: str, threads: int, shared: int) -> Callable[..., None]:
        """The way to launch an instance, compiled by NVRTC at the first launch of it on this machine.

        CuPy keeps compiled code on disk, found by the whole text, the options, the architecture and NVRTC's version.
        It has float32's denormals flushed to zero, as in its own kernels, whatever the options.
        """
        with self._cuda_device:
            function = self._functions.get((program, instance))
            if function is None:
                function = self._functions[program, instance] = self._compile(program, instance)
            if threads > function.max_threads_per_block:
                raise LaunchError(
                    f"[{instance}] a block of {threads} threads, but at {function.num_regs} registers a thread this "
                    f"GPU runs {function.max_threads_per_block}; give the kernel __launch_bounds__({threads})"
                )
            if shared:
                self._allow_shared(program, instance, function, shared)
            return function.kernel  # type: ignore[no-any-return]  # the one of this device: need not be looked up

    def _compile(self, program: Program, instance: str) -> Any:
        text = f"// CuPy {self.module.__version__}\n{program.text}"
        options = ("-std=c++17", *[f"-D{name}" for name in defines(instance)])
        try:
            module = self.module.RawModule(code=text, options=options, name_expressions=(instance,))
            return module.get_function(instance)
        except self.module.cuda.compiler.CompileException as error:
            raise RuntimeError(f"[{program.filename}] NVRTC cannot compile {instance}:\n{error}") from error

    def _allow_shared(self, program: Program, instance: str, function: Any, shared: int) -> None:
        """Ask the driver for `shared` bytes a block, where with the kernel's own they are more than all may have."""
        static = function.shared_size_bytes
        if shared + static > self.shared_optin:
            raise LaunchError(
                f"[{instance}] {shared} bytes of shared memory and {static} that the kernel declares; "
                f"a block may have {self.shared_optin}"
            )
        with self._setting:  # two threads must not lower it for each other
            if shared + static > SHARED and shared > self._shared.get((program, instance), 0):
                function.max_dynamic_shared_size_bytes = self._shared[program, instance] = shared

    def _upload(self, source: np.ndarray, target: Array) -> None:
        """Start copying `source` into `target`, both flat and of one dtype, in blocks of pinned memory."""
        stream = self.module.cuda.get_current_stream()
        step = max(1, STAGING_BYTES // source.itemsize)
        for start in range(0, source.size, step):
            part = source[start : start + step]
            self._release()
            block = self._pin(part.nbytes)
            if block is None:
                target[start : start + step].set(part, stream)  # no pinned memory left: slower, and waits
                stream.synchronize()
                continue
            pinned = np.frombuffer(block, part.dtype, part.size)
            pinned[...] = part
            self._start(pinned, target[start : start + step], block)

    def _pin(self, size: int) -> Any:
        """Pinned memory of at least `size` bytes; None where there is none left."""
        cuda = self.module.cuda
        try:
            return cuda.alloc_pinned_memory(size)
        except cuda.runtime.CUDARuntimeError as error:
            if error.status != OUT_OF_MEMORY:
                raise
            return None

    def _start(self, source: np.ndarray, target: Array, kept: Any) -> None:
        """Start copying pinned memory, of which `kept` is the owner, to `target`."""
        cuda = self.module.cuda
        stream = cuda.get_current_stream()
        target.set(source, stream)
        event = cuda.Event(disable_timing=True)
        event.record(stream)
        with self._staging:
            self._staged.append((event, kept))

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
