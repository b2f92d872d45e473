"""What a result depends on beside the settings, so that a resumed run can say what may differ."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..backend import Device
from ..backend.blas import find_openblas
from ..backend.diagnose import diagnose_cuda
from ..backend.threads import workers
from ..version import __version__


def environment(device: Device) -> dict[str, Any]:
    """Versions, device, threads and processor: where all are the same, the same settings give the same bits."""
    blas = find_openblas()
    found: dict[str, Any] = {
        "gradflow": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": f"{blas.config} for {blas.core}" if blas else "unknown",
        "threads": workers(),
        "machine": f"{platform.system()} {platform.machine()}, {cpu_model()}",
        "device": str(device),
    }
    if device.type == "cuda":
        cuda = diagnose_cuda()
        found |= {"gpu": cuda.devices[device.index or 0].name, "cuda": cuda.runtime_version, "cupy": cuda.cupy_version}
    return found


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two environments: "numpy was 2.1.0 and is 2.2.0"."""
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return [f"{name} was {before.get(name, 'none')} and is {now.get(name, 'none')}" for name in names]


def cpu_model() -> str:
    """The CPU's name, as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    if sys.platform == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        try:
            return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
        except (OSError, subprocess.SubprocessError):
            pass
    return platform.processor() or platform.machine()
