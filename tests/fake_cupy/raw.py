"""The fake's RawModule: kernels run in the emulator, given what CuPy would give a GPU."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from gradflow.backend.cuda import emulator

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
        return RawKernel(emulator.build(self.code, [name], filename="raw.cu"), name)


class RawKernel:
    """Launches without a check of types, as CuPy does."""

    def __init__(self, library: Any, name: str) -> None:
        self.library, self.name = library, name
        self.max_dynamic_shared_size_bytes = 48 << 10
        self.max_threads_per_block, self.num_regs = cuda.world().threads, 65536 // cuda.world().threads

    def __call__(self, grid: Any, block: Any, args: tuple[Any, ...], *, shared_mem: int = 0) -> None:
        if shared_mem > self.max_dynamic_shared_size_bytes:
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
    if isinstance(value, np.ndarray) and value.size != 1:
        raise TypeError(f"You are trying to pass a numpy.ndarray of shape {value.shape} as a kernel parameter.")
    return value
