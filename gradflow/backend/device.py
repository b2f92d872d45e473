"""Devices by name, the backend of each, and which one is used by default."""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from .base import Array, Backend, Device, DeviceError
from .numpy import NumpyBackend

if TYPE_CHECKING:
    from .diagnose import CudaDiagnosis

DeviceLike = str | int | Device | None
"""A device's name ("auto", "cpu", "cuda", "cuda:1", "emulated"), a GPU's number, a Device, or None for the default."""

_CPU = NumpyBackend()
_by_type: dict[type, Backend] = {np.ndarray: _CPU}
_cuda: dict[int, Backend] = {}  # by GPU number
_EMULATED = Device("emulated")
_NAMES = "'auto', 'cpu', 'cuda', 'emulated' or, for a further GPU, 'cuda:1'"
_default: Device | None = None
_told = False  # whether the outcome of "auto" has been logged
_lock = threading.RLock()


def parse_device(spec: DeviceLike = None) -> Device:
    """The Device that `spec` names: "auto", "cpu", "cuda" (the first GPU), "cuda:1", a GPU's number, or a Device.

    "emulated" runs the CUDA kernels on the CPU, for finding faults.
    None gives the default device. Whether a GPU that is asked for by name can be had is for `get_backend` to find out.
    """
    if spec is None:
        return default_device()
    if isinstance(spec, Device):
        return Device("cuda", 0) if spec.type == "cuda" and spec.index is None else spec
    if isinstance(spec, int) and not isinstance(spec, bool):
        spec = f"cuda:{spec}"
    if not isinstance(spec, str):
        raise TypeError(f"[device] expected a name such as 'cpu' or 'cuda:0', got {spec!r}")
    if spec == "auto":
        return _choose()
    if spec == "cpu":
        return _CPU.device
    if spec == "emulated":
        return _EMULATED
    kind, colon, index = spec.partition(":")
    if kind == "cuda" and (not colon or index.isdecimal()):
        return Device("cuda", int(index or 0))
    raise DeviceError(f"[device] {spec!r} names no device; say {_NAMES}")


def get_backend(spec: DeviceLike = None) -> Backend:
    """The backend of a device, one object per device. DeviceError says what is missing where it cannot be had."""
    device = parse_device(spec)
    if device.type == "cpu":
        return _CPU
    if device == _EMULATED:
        return _open_emulated()
    if device.type != "cuda":
        raise DeviceError(f"[device] {device} names no device; say {_NAMES}")
    backend = _cuda.get(device.index or 0)
    return _open_gpu(device) if backend is None else backend


def backend_of(array: Array) -> Backend:
    """The backend whose device an array lives on, by the array's type. Imports nothing."""
    backend = _by_type.get(type(array))
    return _find_backend(array) if backend is None else backend


def _find_backend(array: Array) -> Backend:
    cupy = sys.modules.get("cupy")
    gpu_type: Any = getattr(cupy, "ndarray", ())  # missing from None, and from a CuPy that is only half imported
    if isinstance(array, gpu_type):
        index = array.device.id
        backend = _cuda.get(index)
        return _open_gpu(Device("cuda", index)) if backend is None else backend
    if isinstance(array, (np.ndarray, np.generic)):  # operators on 0-d NumPy arrays return scalars
        return _CPU
    raise TypeError(f"[device] expected a NumPy or CuPy array, got {type(array).__name__}")


def default_device() -> Device:
    """Where new tensors go: what `set_default_device` or else the variable GRADFLOW_DEVICE says, or else "auto"."""
    global _default
    if _default is None:
        asked = os.environ.get("GRADFLOW_DEVICE") or "auto"
        try:
            _default = get_backend(asked).device
        except DeviceError as error:
            raise DeviceError(f"{error} (asked for by the variable GRADFLOW_DEVICE={asked})") from None
    return _default


def set_default_device(spec: DeviceLike) -> None:
    """Have new tensors go to a device that can be had; None returns to GRADFLOW_DEVICE and "auto"."""
    global _default
    _default = None if spec is None else get_backend(spec).device


def forget_devices() -> None:
    """Look again, at the next use, at what is there. Arrays and backends from before must not be used afterwards."""
    global _default, _told
    from .diagnose import diagnose_cuda

    with _lock:
        _cuda.clear()
        _default, _told = None, False
        diagnose_cuda.cache_clear()


def mixed_devices_error(op: str, *operands: Any, names: tuple[str, ...] = ()) -> DeviceError:
    """The error for operands on different devices: it names two that differ, and the call that moves one to the other.

    Operands that are not arrays are passed over. `names` are the operands' names; without them they are counted.
    """
    placed = []
    for i, operand in enumerate(operands):
        if isinstance(getattr(operand, "shape", None), tuple) and not isinstance(operand, np.generic):
            name = names[i] if i < len(names) else f"operand {i + 1}"
            placed.append((name, operand, backend_of(operand).device))
    first = placed[0]
    other = next((p for p in placed if p[2] != first[2]), placed[-1])
    moved, target = (other, first) if first[2].type != "cpu" else (first, other)
    where = " and ".join([f"{name} {tuple(x.shape)} {x.dtype} is on {device}" for name, x, device in (first, other)])
    return DeviceError(f'[{op}] {where}; move {moved[0]} with .to("{target[2]}")')


def _choose() -> Device:
    """CUDA where it works, or else the CPU; the reason is logged once."""
    from .diagnose import diagnose_cuda

    diagnosis = diagnose_cuda()
    _tell(diagnosis)
    return Device("cuda", 0) if diagnosis.ok else _CPU.device


def _tell(diagnosis: CudaDiagnosis) -> None:
    global _told
    with _lock:
        if _told:
            return
        _told = True
    import logging

    logger = logging.getLogger("gradflow")
    if diagnosis.ok:
        logger.info("using cuda:0 (%s)", diagnosis.devices[0].name)
    elif diagnosis.installed:  # whoever installs CuPy means to use a GPU
        logger.warning("using the CPU: %s; cure: %s", diagnosis.reason, diagnosis.cure)
    else:
        logger.info("using the CPU: %s; for a GPU: %s", diagnosis.reason, diagnosis.cure)


def _open_emulated() -> Backend:
    from .cuda.emulated import EmulatedArray, EmulatedBackend

    with _lock:
        backend = _by_type.get(EmulatedArray)
        if backend is None:
            backend = _by_type[EmulatedArray] = EmulatedBackend()
        return backend


def _open_gpu(device: Device) -> Backend:
    from .diagnose import diagnose_cuda

    index = device.index or 0
    with _lock:
        if index in _cuda:
            return _cuda[index]
        diagnosis = diagnose_cuda()
        if not diagnosis.ok:
            raise DeviceError(f"[device] {device} cannot be had: {diagnosis.reason}; cure: {diagnosis.cure}")
        count = len(diagnosis.devices)
        if index >= count:
            there = ", ".join([f"cuda:{gpu.index} ({gpu.name})" for gpu in diagnosis.devices])
            raise DeviceError(f"[device] {device} cannot be had: CUDA sees {count} of them, {there}; name one of those")
        from .cupy import CupyBackend

        _cuda[index] = backend = CupyBackend(index)
        return backend
