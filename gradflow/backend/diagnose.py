"""Whether CUDA can be used here, and if not, what is missing and how to get it."""

from __future__ import annotations

import importlib
import os
import sys
from dataclasses import dataclass
from functools import cache
from typing import Any

DRIVER_PAGE = "https://www.nvidia.com/drivers"
NO_DRIVER, NO_DEVICE = 35, 100  # cudaErrorInsufficientDriver, cudaErrorNoDevice


@dataclass(frozen=True)
class Gpu:
    """One GPU as CUDA describes it; `memory` in bytes, `capability` as in (9, 0)."""

    index: int
    name: str
    capability: tuple[int, int]
    memory: int


@dataclass(frozen=True)
class CudaDiagnosis:
    """What was found. `reason` and `cure` are empty when `ok`; versions are None where they could not be read."""

    ok: bool
    reason: str = ""
    cure: str = ""
    installed: bool = False
    cupy_version: str | None = None
    driver_version: str | None = None
    runtime_version: str | None = None
    devices: tuple[Gpu, ...] = ()


class _MissingError(Exception):
    """Something CUDA needs is not there: (reason, cure)."""


@cache
def diagnose_cuda() -> CudaDiagnosis:
    """Try CUDA once: import CuPy, ask the driver, move a few bytes to the GPU and back, look for the libraries."""
    facts: dict[str, Any] = {}
    try:
        cupy = _import_cupy(facts)
        facts["cupy_version"] = cupy.__version__
        _ask_driver(cupy, facts)
        _try_memory(cupy)
        _find_libraries(cupy)
    except _MissingError as missing:
        return CudaDiagnosis(False, *missing.args, **facts)
    return CudaDiagnosis(True, **facts)


def install_line(major: int) -> str:
    """The command that brings CuPy and CUDA's libraries for a CUDA major version."""
    return f"pip install 'gradflow[cuda{12 if major == 12 else 13}]'"


def _import_cupy(facts: dict[str, Any]) -> Any:
    try:
        cupy = importlib.import_module("cupy")
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "cupy":
            raise _MissingError("CuPy is not installed", _how_to_install()) from None
        facts["installed"] = True
        raise _broken_import(error) from None
    facts["installed"] = True
    return cupy


def _broken_import(error: Exception) -> _MissingError:
    line = install_line(driver_version() // 1000)
    return _MissingError(
        f"CuPy is installed but cannot be imported ({type(error).__name__}: {_last_line(error)})",
        f"install it again: pip uninstall -y cupy cupy-cuda12x cupy-cuda13x; {line}",
    )


def _how_to_install() -> str:
    if sys.platform == "darwin":
        return "there is no CUDA on macOS; use device='cpu'"
    driver = driver_version()
    if driver == 0:
        return f"install NVIDIA's driver ({DRIVER_PAGE}; none is loaded), then {install_line(13)}"
    if driver < 12000:
        ends = _dotted(driver)
        return f"update NVIDIA's driver ({DRIVER_PAGE}; this one ends at CUDA {ends}), then {install_line(13)}"
    return install_line(driver // 1000)


def _ask_driver(cupy: Any, facts: dict[str, Any]) -> None:
    """Versions and GPUs."""
    runtime = cupy.cuda.runtime
    built_for = runtime.runtimeGetVersion()
    driver = _quietly(runtime.driverGetVersion, 0)
    facts["runtime_version"] = _dotted(built_for)
    facts["driver_version"] = _dotted(driver) if driver else None
    try:
        count = runtime.getDeviceCount()
    except runtime.CUDARuntimeError as error:
        raise _driver_trouble(error, driver, built_for) from None
    if count == 0:
        raise _no_device()
    facts["devices"] = tuple([_gpu(runtime, i) for i in range(count)])
    first = facts["devices"][0]
    if built_for >= 13000 and first.capability < (7, 5):  # CUDA 13 compiles for Turing and newer only
        raise _MissingError(
            f"{first.name} has compute capability {first.capability[0]}.{first.capability[1]} and CUDA 13 needs 7.5",
            f"use CUDA 12: pip uninstall -y cupy-cuda13x; {install_line(12)}",
        )


def _gpu(runtime: Any, index: int) -> Gpu:
    seen = runtime.getDeviceProperties(index)
    name = seen["name"]
    return Gpu(
        index,
        name.decode(errors="replace") if isinstance(name, bytes) else str(name),
        (int(seen["major"]), int(seen["minor"])),
        int(seen["totalGlobalMem"]),
    )


def _driver_trouble(error: Any, driver: int, built_for: int) -> _MissingError:
    if error.status == NO_DEVICE:
        return _no_device()
    if error.status == NO_DRIVER and driver == 0:
        return _MissingError(
            "no NVIDIA driver is loaded",
            f"install it from {DRIVER_PAGE} (in a container: start it with --gpus all)",
        )
    if error.status == NO_DRIVER:
        update = f"update the driver ({DRIVER_PAGE})"
        if driver >= 12000 and driver // 1000 < built_for // 1000:
            update += f", or use CUDA 12: pip uninstall -y cupy-cuda{built_for // 1000}x; {install_line(12)}"
        versions = f"it ends at CUDA {_dotted(driver)} and CuPy was built for {_dotted(built_for)}"
        return _MissingError(f"NVIDIA's driver is too old: {versions}", update)
    return _MissingError(
        f"CUDA does not start ({_last_line(error)})", "see what nvidia-smi says, or restart the machine"
    )


def _no_device() -> _MissingError:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return _MissingError(f"CUDA_VISIBLE_DEVICES={visible!r} hides every GPU", "unset CUDA_VISIBLE_DEVICES")
    return _MissingError("NVIDIA's driver finds no GPU", "see what nvidia-smi -L says")


def _try_memory(cupy: Any) -> None:
    """Put a few bytes on the GPU and get them back; no kernel is compiled for this."""
    import numpy as np

    sent = np.arange(4, dtype=np.int32)
    try:
        array = cupy.empty(4, dtype=np.int32)
        array.set(sent)
        back = array.get()
    except Exception as error:
        raise _MissingError(
            f"the GPU takes no data ({type(error).__name__}: {_last_line(error)})",
            "see in nvidia-smi whether another program holds it or its memory",
        ) from None
    if not np.array_equal(sent, back):
        raise _MissingError("the GPU returned other bytes than it was given", "restart the machine")


def _find_libraries(cupy: Any) -> None:
    """NVRTC, cuBLAS and the CUDA headers, which CuPy loads when it first compiles or multiplies."""
    major = cupy.cuda.runtime.runtimeGetVersion() // 1000
    for name, load in (
        ("libnvrtc", lambda: cupy.cuda.nvrtc.getVersion()),
        ("libcublas", lambda: cupy.cuda.cublas.getVersion),
        ("the CUDA headers", _find_headers),
    ):
        try:
            load()
        except Exception as error:
            raise _MissingError(f"{name} cannot be loaded ({_last_line(error)})", install_line(major)) from None


def _find_headers() -> None:
    try:
        pathfinder = importlib.import_module("cuda.pathfinder")
    except ImportError:
        return  # an older CuPy, which looks for them in its own way
    if pathfinder.find_nvidia_header_directory("cudart") is None:
        raise FileNotFoundError("cuda_runtime.h was not found")


def driver_version() -> int:
    """The newest CUDA that the installed driver supports, as 13020 for 13.2; 0 without a driver. Needs no CuPy."""
    import ctypes

    try:
        library = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        version = ctypes.c_int(0)
        return version.value if library.cuDriverGetVersion(ctypes.byref(version)) == 0 else 0
    except (OSError, AttributeError):
        return 0


def _quietly(call: Any, default: int) -> int:
    try:
        return int(call())
    except Exception:
        return default


def _dotted(version: int) -> str:
    return f"{version // 1000}.{version % 1000 // 10}"


def _last_line(error: BaseException) -> str:
    """The telling line of an error: CuPy frames the original one in banners."""
    lines = [line.strip() for line in str(error).splitlines()]
    lines = [line for line in lines if line and set(line) != {"="}]
    return lines[-1] if lines else type(error).__name__
