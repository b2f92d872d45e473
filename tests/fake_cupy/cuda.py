"""The fake's GPUs: devices, streams, events, pinned memory, and what may be wrong with them."""

from __future__ import annotations

import ctypes
import threading
import types
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

POISON = 0xCD  # what freed pinned memory is filled with
GPU_MEMORY = 80 << 30  # bytes


@dataclass
class World:
    """The machine to pretend to be.

    `driver` and `runtime` are versions as CUDA gives them (0: no driver is loaded). `missing` names what cannot be
    loaded: "nvrtc", "cublas", "headers". `pinned_limit` is how many bytes of pinned memory there are, `threads`
    the most that a block of any kernel may have, `static_shared` the bytes of shared memory that each declares.
    `memory_error` is raised when the GPU is given data. `used`, `cached` and `limits` are what the default memory pool
    says of each GPU: bytes that arrays have, bytes kept for later ones, and the most it may take from the GPU.
    """

    devices: int = 1
    driver: int = 13000
    runtime: int = 13020
    capability: tuple[int, int] = (9, 0)
    missing: tuple[str, ...] = ()
    status: int = 0
    pinned_limit: int = 1 << 40
    threads: int = 1024
    static_shared: int = 0
    memory_error: Exception | None = None
    used: dict[int, int] = field(default_factory=dict)
    cached: dict[int, int] = field(default_factory=dict)
    limits: dict[int, int] = field(default_factory=dict)

    started: int = 0  # copies given to the device
    finished: int = 0
    waiting: list[Callable[[], None]] = field(default_factory=list)
    blocks: list[np.ndarray] = field(default_factory=list)  # pinned memory, in use or not
    free: list[np.ndarray] = field(default_factory=list)
    waits: int = 0  # how often the host waited for the device

    def finish(self) -> None:
        """Do the copies that were given to the device, in order."""
        while self.waiting:
            self.waiting.pop(0)()
            self.finished += 1

    def pinned_block(self, address: int) -> np.ndarray | None:
        """The block of pinned memory an address lies in, if any."""
        for block in self.blocks:
            if block.ctypes.data <= address < block.ctypes.data + block.nbytes:
                return block
        return None


_world = World()
_local = threading.local()


def enter(world: World) -> World:
    """Make `world` the one that arrays live in."""
    global _world
    _world = world
    _local.__dict__.clear()
    return world


def world() -> World:
    return _world


def current_device() -> int:
    return getattr(_local, "device", 0)


class CUDARuntimeError(RuntimeError):
    """CUDA's error `status`."""

    NAMES = {
        2: "cudaErrorMemoryAllocation: out of memory",
        35: "cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime version",
        100: "cudaErrorNoDevice: no CUDA-capable device is detected",
        101: "cudaErrorInvalidDevice: invalid device ordinal",
    }

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(self.NAMES.get(status, f"cudaError{status}: error {status}"))


class CompileException(Exception):  # noqa: N818  (the name it has in CuPy)
    """What NVRTC says about a source."""


class CNumpyArray:
    """An argument of a launch that is passed by value: the memory of a NumPy array of one element."""

    def __init__(self, v: np.ndarray) -> None:
        self.val = v
        assert v.size == 1 and v.__array_interface__["data"][0]


class Device:
    """One GPU; as a context, the current one. The device to return to is kept on a stack per thread."""

    def __init__(self, device: Any = None) -> None:
        self.id = current_device() if device is None else int(getattr(device, "id", device))

    def use(self) -> Device:
        if not 0 <= self.id < _world.devices:
            raise CUDARuntimeError(101)
        _local.device = self.id
        return self

    def __enter__(self) -> Device:
        _local.__dict__.setdefault("stack", []).append(current_device())
        return self.use()

    def __exit__(self, *_: object) -> None:
        _local.device = _local.stack.pop()

    @property
    def attributes(self) -> dict[str, int]:
        return {"MultiProcessorCount": 4, "MaxSharedMemoryPerBlockOptin": 99 << 10}

    @property
    def compute_capability(self) -> str:
        return "".join(map(str, _world.capability))

    def synchronize(self) -> None:
        _world.waits += 1
        _world.finish()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"


class Event:
    """A point in the work given to the device."""

    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False) -> None:
        self.position = 0

    def record(self, stream: Any = None) -> None:
        self.position = _world.started

    @property
    def done(self) -> bool:
        return _world.finished >= self.position

    def synchronize(self) -> None:
        Device().synchronize()


class Stream:
    """The one stream there is."""

    ptr = 0

    def synchronize(self) -> None:
        Device().synchronize()

    def record(self, event: Event | None = None) -> Event:
        event = event or Event()
        event.record(self)
        return event


Stream.null = Stream()  # type: ignore[attr-defined]


class MemoryPointer:
    """A place in the memory of a fake GPU: `owner` is an array of bytes of the host. Without bytes it is null."""

    def __init__(self, owner: np.ndarray, offset: int, device_id: int) -> None:
        self.owner, self.offset, self.device_id = owner, offset, device_id

    @property
    def ptr(self) -> int:
        return int(self.owner.__array_interface__["data"][0]) + self.offset

    def __add__(self, bytes: int) -> MemoryPointer:
        assert self.owner.nbytes or bytes == 0
        return MemoryPointer(self.owner, self.offset + bytes, self.device_id)


def alloc(size: int) -> MemoryPointer:
    return MemoryPointer(np.full(size, POISON, np.uint8), 0, current_device())


class MemoryPool:
    """The default memory pool: what it says is of the current device."""

    def used_bytes(self) -> int:
        return _world.used.get(current_device(), 0)

    def free_bytes(self) -> int:
        return _world.cached.get(current_device(), 0)

    def total_bytes(self) -> int:
        return self.used_bytes() + self.free_bytes()

    def get_limit(self) -> int:
        return _world.limits.get(current_device(), 0)

    def free_all_blocks(self) -> None:
        _world.cached.pop(current_device(), None)


class PinnedMemoryPointer:
    """A block of pinned memory. Letting go of it returns the block to the pool at once, whoever still copies.

    No NumPy array, whose views would hold on to the memory below it and not to itself.
    """


@lru_cache
def _pointer_type(size: int) -> Any:
    return type("PinnedMemoryPointer", (PinnedMemoryPointer, ctypes.c_ubyte * size), {})


_pool = threading.RLock()


def alloc_pinned_memory(size: int) -> PinnedMemoryPointer:
    """At least `size` bytes: blocks are powers of two, as CuPy's pool makes them."""
    here = _world
    size = 1 << max(9, (size - 1).bit_length())
    with _pool:
        block = next((b for b in here.free if b.nbytes == size), None)
        if block is None:
            if size > here.pinned_limit - sum(b.nbytes for b in here.blocks):
                raise CUDARuntimeError(2)
            block = np.full(size, POISON, np.uint8)
            here.blocks.append(block)
        else:
            here.free = [b for b in here.free if b is not block]
    pointer: PinnedMemoryPointer = _pointer_type(size).from_buffer(block)
    weakref.finalize(pointer, _give_back, here, block)
    return pointer


def _give_back(owner: World, block: np.ndarray) -> None:
    block.fill(POISON)
    with _pool:
        owner.free.append(block)


def namespace(here: World) -> types.SimpleNamespace:
    """What is `cupy.cuda`."""
    from . import cublas

    def device_count() -> int:
        if here.status:
            raise CUDARuntimeError(here.status)
        if here.driver < here.runtime // 1000 * 1000:
            raise CUDARuntimeError(35)
        if here.devices == 0:
            raise CUDARuntimeError(100)
        return here.devices

    def properties(index: int) -> dict[str, Any]:
        major, minor = here.capability
        return {"name": f"Fake GPU {index}".encode(), "major": major, "minor": minor, "totalGlobalMem": GPU_MEMORY}

    def version() -> tuple[int, int]:
        if "nvrtc" in here.missing:
            raise RuntimeError('Failure finding "libnvrtc.so.13": No such file: libnvrtc.so.13')
        return divmod(here.runtime // 10, 100)

    class Cuda(types.SimpleNamespace):
        @property
        def cublas(self) -> Any:
            if "cublas" in here.missing:
                raise ImportError("libcublas.so.13: cannot open shared object file: No such file or directory")
            return cublas

    return Cuda(
        alloc=alloc,
        compiler=types.SimpleNamespace(CompileException=CompileException),
        function=types.SimpleNamespace(CNumpyArray=CNumpyArray),
        get_cublas_handle=lambda: 1 + current_device(),
        Device=Device,
        Event=Event,
        Stream=Stream,
        PinnedMemoryPointer=PinnedMemoryPointer,
        alloc_pinned_memory=alloc_pinned_memory,
        get_current_stream=lambda: Stream.null,  # type: ignore[attr-defined]
        is_available=lambda: here.devices > 0 and here.driver > 0,
        nvrtc=types.SimpleNamespace(getVersion=version),
        runtime=types.SimpleNamespace(
            CUDARuntimeError=CUDARuntimeError,
            getDeviceCount=device_count,
            getDeviceProperties=properties,
            driverGetVersion=lambda: here.driver,
            runtimeGetVersion=lambda: here.runtime,
            getDevice=current_device,
            memGetInfo=lambda: (GPU_MEMORY - MemoryPool().total_bytes(), GPU_MEMORY),
        ),
    )
