"""The machine, the driver, the versions, and the GPU's clocks."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version

import numpy as np

import gradflow as gf
from gradflow.backend import get_backend
from gradflow.backend.diagnose import diagnose_cuda
from gradflow.backend.threads import cores
from gradflow.cli.bench import commit
from gradflow.train.environment import cpu_model

from .book import Book

PACKAGES = ("numpy", "cupy-cuda13x", "cupy-cuda12x", "cupy", "torch", "triton", "ml_dtypes", "pytest", "hypothesis")
QUERY = {
    "driver": "driver_version",
    "clocks now, SM and memory": "clocks.sm,clocks.mem",
    "highest clocks": "clocks.max.sm,clocks.max.mem",
    "power limit": "power.limit",
    "temperature": "temperature.gpu",
}


def run(book: Book) -> None:
    """Name everything that the numbers depend on; a fault where the device cannot be had."""
    where = commit() or f" (commit {os.environ.get('GRADFLOW_COMMIT', 'unknown')})"
    book.row("", what="gradflow", value=gf.__version__ + where)
    book.row("", what="Python", value=platform.python_version())
    found = {name: _version(name) for name in PACKAGES}
    book.row("", what="packages", value=", ".join([f"{name} {v}" for name, v in found.items() if v]))
    book.row("", what="machine", value=f"{cpu_model()}, {cores()} cores, {platform.system()} {platform.release()}")
    if not found["ml_dtypes"]:
        book.note("ml_dtypes is not installed, and nothing is tried in bfloat16.")
    if book.device == "cuda":
        cuda = diagnose_cuda()
        if not cuda.ok:
            book.fault(f"{cuda.reason}; cure: {cuda.cure}")
            return
        gpu = cuda.devices[0]
        book.row("", what="GPU", value=gpu.name)
        capability = ".".join(map(str, gpu.capability))
        book.row("", what="memory", value=f"{gpu.memory / 2**30:.1f} GiB, compute capability {capability}")
        book.row("", what="CUDA", value=f"runtime {cuda.runtime_version}, driver up to {cuda.driver_version}")
        for what, value in _query().items():
            book.row("", what=what, value=value)
    backend = get_backend(book.device)
    ones = backend.from_host(np.ones(1000))
    total = float(backend.to_host(ones + ones).sum())
    if total != 2000.0:
        book.fault(f"1,000 times 1 + 1 adds up to {total} on {backend.device}")
    kernels = len(backend.kernels)
    book.row("", what="kernels", value=f"{kernels} computations have one on {backend.device}")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _query() -> dict[str, str]:
    """What nvidia-smi says of the first GPU; it only reads."""
    fields = [field for named in QUERY.values() for field in named.split(",")]
    command = ["nvidia-smi", "-i", "0", f"--query-gpu={','.join(fields)}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"nvidia-smi": str(error)}
    found = [value.strip() for value in done.stdout.split(",")]
    if len(found) != len(fields):
        return {"nvidia-smi": (done.stdout + done.stderr).strip()}
    values = dict(zip(fields, found, strict=True))
    return {what: ", ".join([values[field] for field in named.split(",")]) for what, named in QUERY.items()}
