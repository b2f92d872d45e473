"""The emulated device: NumPy arrays, and CUDA kernels compiled for the CPU (see `emulator`)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from ..base import Device
from ..dtypes import is_half
from ..numpy import NumpyBackend
from ..threads import cores
from . import emulator
from .blas import Gemm
from .faults import WORDS, Faults, check_on_device
from .launcher import launchers_on
from .operand import Operand
from .program import Program

_FLOATS = ("float", "double", "__half", "__nv_bfloat16")
_PIECE = 24  # instances in one file: starting a compiler takes as long as some five of them


def with_all_floats(program: Program, instance: str) -> list[str]:
    """An instance, and those that differ from it in their float types only: <float, 4> gives <double, 4> and so on.

    Compiling them together takes little longer than compiling one.
    """
    if not program.shares_types:
        return [instance]
    kinds = re.findall(r"\b(?:float|double|__half|__nv_bfloat16)\b", instance)
    if len(set(kinds)) != 1:
        return [instance]
    return [re.sub(rf"\b{kinds[0]}\b", kind, instance) for kind in _FLOATS]


class EmulatedArray(np.ndarray):
    """A NumPy array that lives on the emulated device."""


class EmulatedBackend(NumpyBackend):
    """Kernels run on the CPU, a block at a time; all else is NumPy. For finding faults, not for speed.

    GRADFLOW_EMULATOR_ORDER=reverse runs the threads of each block in reverse order, which shows missing barriers.
    """

    multiprocessors = 4
    max_blocks = 8
    """Few, so that grid-stride loops go round."""
    shared_optin = 99 << 10
    null = 0

    companions = staticmethod(with_all_floats)
    """What is compiled when an instance of a program is first wanted: it and others."""

    def __init__(self) -> None:
        super().__init__()
        self.device = Device("emulated")
        self.array_type = EmulatedArray
        order = os.environ.get("GRADFLOW_EMULATOR_ORDER") or "forward"
        if order not in ("forward", "reverse"):
            raise ValueError(f"[emulator] GRADFLOW_EMULATOR_ORDER is forward or reverse, got {order!r}")
        self.reverse = order == "reverse"
        self.faults = Faults(np.zeros(WORDS, np.int64))
        self._libraries: dict[tuple[Program, str], emulator.Library] = {}
        self.kernels: dict[str, Callable[..., Any]] = dict(launchers_on(self))

    # -- arrays ---------------------------------------------------------------------------------------------------

    def from_host(self, array: np.ndarray) -> EmulatedArray:
        return np.array(array, array.dtype.newbyteorder("=")).view(EmulatedArray)

    def to_host(self, array: np.ndarray) -> np.ndarray:
        self.faults.check(self.device)
        return np.array(array)

    def as_array(self, value: Any) -> EmulatedArray:
        return np.asarray(value).view(EmulatedArray)

    def check_index(self, index: np.ndarray, low: int, high: int, op: str = "index") -> int | None:
        check_on_device(self, index, low, high, op)
        return None

    def synchronize(self) -> None:
        self.faults.check(self.device)

    # -- what plans need ------------------------------------------------------------------------------------------

    def empty(self, shape: tuple[int, ...], dtype: np.dtype, strides: tuple[int, ...]) -> EmulatedArray:
        """A new array in contiguous memory of the given strides, filled so that a kernel's omissions show."""
        size = int(np.prod(shape)) * dtype.itemsize
        memory = np.full(size, 0xCD, np.uint8)
        return np.ndarray.__new__(EmulatedArray, shape, dtype, memory, 0, strides)

    def view(self, array: Any, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> Any:
        if offset == 0 and array.shape == shape and array.strides == strides:
            return array
        if 0 in shape:
            return np.empty(shape, array.dtype).view(EmulatedArray)
        interface = {
            "version": 3, "shape": shape, "strides": strides, "typestr": f"|V{array.dtype.itemsize}",
            "data": (self.address(array) + offset, False),
        }  # fmt: skip
        holder = _Memory(interface, array)
        return np.asarray(holder).view(array.dtype).view(EmulatedArray)

    def address(self, array: Any) -> int:
        return array.__array_interface__["data"][0]  # type: ignore[no-any-return]

    def pointer(self, array: Any, offset: int) -> int:
        return self.address(array) + offset

    def fault_word(self, op: str, what: str) -> int:
        return self.faults.word(op, what)

    def product(self, call: Gemm, a: Operand, b: Operand, out: Operand) -> Callable[[list[Any]], None]:
        """The way to compute out = a @ b in buffers."""

        def run(buffers: list[Any]) -> None:
            x, y, result = [self.view(buffers[o.slot], o.offset, o.shape, o.strides) for o in (a, b, out)]
            if is_half(a.dtype):  # summed in float32, as cuBLAS does
                result[...] = np.matmul(x.astype("f4"), y.astype("f4"))
            else:
                np.matmul(x, y, out=result)

        return run

    def load(self, program: Program, instance: str, threads: int, shared: int) -> Callable[..., None]:
        """The way to launch an instance."""
        if (program, instance) not in self._libraries:
            self.compile(program, self.companions(program, instance))
        found = self._libraries[program, instance]

        def run(grid: Any, block: Any, args: Any, shared: int) -> None:
            found.launch(instance, grid, block, shared, args, reverse=self.reverse)

        return run

    def compile(self, program: Program, instances: Iterable[str]) -> None:
        """Compile instances, in pieces, as many at a time as there are cores."""
        names = sorted(instances)
        pieces = [names[i : i + _PIECE] for i in range(0, len(names), _PIECE)]
        with ThreadPoolExecutor(cores()) as pool:
            built = pool.map(lambda piece: emulator.build(program.text, piece, filename=program.filename), pieces)
            for piece, library in zip(pieces, built, strict=True):
                self._libraries.update({(program, name): library for name in piece})


class _Memory:
    """What NumPy makes an array of; keeps the owner of the memory."""

    def __init__(self, interface: dict[str, Any], owner: Any) -> None:
        self.__array_interface__, self.owner = interface, owner
