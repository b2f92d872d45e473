"""The CUDA backend: CuPy arrays on one GPU. CuPy itself is imported when the first such backend is made."""

from __future__ import annotations

import importlib
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from .base import Array, Backend, Device

STAGING_BYTES = 32 << 20
"""Size of the pinned blocks that large copies to the device go through."""

OUT_OF_MEMORY = 2  # cudaErrorMemoryAllocation


class CupyBackend(Backend):
    """CuPy on GPU number `index`.

    Copies to the device go through pinned host memory on the current stream: `from_host` returns as soon as the
    source has been read, and whatever uses the result on the same stream waits for the copy. `to_host` waits.
    """

    def __init__(self, index: int = 0) -> None:
        cupy = importlib.import_module("cupy")
        self.device = Device("cuda", index)
        self.module = cupy
        self.array_type = cupy.ndarray
        self.kernels: dict[str, Callable[..., Any]] = {}
        self._cuda_device = cupy.cuda.Device(index)
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
        return host if order is None else host.transpose(_inverse(order))

    def as_array(self, value: Any) -> Array:
        return value if isinstance(value, self.array_type) else self.from_host(np.asarray(value))

    def check_index(self, index: Array, low: int, high: int) -> int | None:
        if index.size == 0:
            return None
        with self._cuda_device:  # one wait, for both ends together
            least, most = self.module.stack((index.min(), index.max())).get().tolist()
        if least >= low and most < high:
            return None
        host = self.to_host(index)
        return int(host[(host < low) | (host >= high)].flat[0])

    def synchronize(self) -> None:
        self._cuda_device.synchronize()
        self._release()

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
