"""The fake's RawModule: kernels run in the emulator, given what CuPy would give a GPU."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from gradflow.backend import get_backend
from gradflow.backend.cuda import emulator
from gradflow.backend.cuda.launcher import LAUNCHERS

from . import cuda
from .array import ndarray

OPTION = re.compile(r"-std=c\+\+17|-D\w+")


class RawModule:
    """Source text, and the kernels in it by their C++ names."""

    def __init__(
        self, *, code: str, options: tuple[str, ...] = (), name_expressions: Any = None, backend: str = "nvrtc"
    ) -> None:
        unknown = [o for o in options if not OPTION.fullmatch(o)]
        if unknown:
            raise ValueError(f"the fake knows no option {unknown}")
        for header, macro in (("__half", "GF_F16"), ("__nv_bfloat16", "GF_BF16")):
            if header in str(name_expressions) and f"-D{macro}" not in options:
                raise RuntimeError(f"{header} is undefined")  # what NVRTC finds without the header
        self.code, self.names = code, tuple(name_expressions or ())

    def get_function(self, name: str) -> RawKernel:
        if name not in self.names:
            raise RuntimeError("CUDA_ERROR_NOT_FOUND: named symbol not found")
        try:
            return RawKernel(self._library(name), name)
        except emulator.EmulatorError as error:
            if "needs a C++ compiler" in str(error):
                raise
            raise cuda.CompileException(str(error)) from None

    def _library(self, name: str) -> Any:
        """Compiled code with this kernel: for gradflow's own, what the emulated device has of the same source."""
        own = [launcher.program() for launcher in LAUNCHERS.values()]
        program = next((p for p in own if p and self.code.endswith(p.text)), None)
        if program is None:
            return emulator.build(self.code, [name], filename="raw.cu")
        backend = get_backend("emulated")
        backend.load(program, name, 1, 0)
        return backend._libraries[program, name]


class RawKernel:
    """A kernel's attributes on the current device. Dynamic shared memory is counted beside what the kernel declares."""

    def __init__(self, library: Any, name: str) -> None:
        self.kernel = Function(self, library, name, cuda.current_device())
        self.max_threads_per_block, self.num_regs = cuda.world().threads, 65536 // cuda.world().threads
        self.shared_size_bytes = cuda.world().static_shared
        self._dynamic = (48 << 10) - self.shared_size_bytes

    @property
    def max_dynamic_shared_size_bytes(self) -> int:
        return self._dynamic

    @max_dynamic_shared_size_bytes.setter
    def max_dynamic_shared_size_bytes(self, size: int) -> None:
        if size + self.shared_size_bytes > cuda.Device().attributes["MaxSharedMemoryPerBlockOptin"]:
            raise RuntimeError("CUDA_ERROR_INVALID_VALUE: invalid argument")
        self._dynamic = size


class Function:
    """Launches without a check of types, as CuPy does, on the device it was made on."""

    def __init__(self, raw: RawKernel, library: Any, name: str, device: int) -> None:
        self.raw, self.library, self.name, self.device = raw, library, name, device

    def __call__(self, grid: tuple[int, ...], block: tuple[int, ...], args: Any, shared_mem: int = 0) -> None:
        if type(grid) is not tuple or type(block) is not tuple:
            raise TypeError("expected tuple")
        if cuda.current_device() != self.device:
            raise RuntimeError("CUDA_ERROR_INVALID_HANDLE: invalid resource handle")
        if shared_mem > self.raw.max_dynamic_shared_size_bytes:
            raise RuntimeError("CUDA_ERROR_INVALID_VALUE: invalid argument")
        cuda.world().finish()
        self.library.launch(self.name, grid, block, shared_mem, [_argument(a) for a in args])


def _argument(value: Any) -> Any:
    if value is None:
        return 0
    if isinstance(value, ndarray):
        if value._device != cuda.current_device():
            raise ValueError(f"an array of device {value._device} on device {cuda.current_device()}")
        return value.data.ptr
    if isinstance(value, cuda.MemoryPointer):
        return value.ptr
    if isinstance(value, cuda.CNumpyArray):
        return value.val[0]
    if isinstance(value, np.ndarray) and value.size != 1:
        raise TypeError(f"You are trying to pass a numpy.ndarray of shape {value.shape} as a kernel parameter.")
    if not isinstance(value, (np.ndarray, np.generic, bool, int, float)):
        raise TypeError(f"Unsupported type {type(value)}")
    return value
