"""`gradflow doctor`: what gradflow will run on here, why, and what would make it better."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..backend.base import DeviceError
from ..backend.blas import BlasFacts, blas_facts
from ..backend.cache import cache_dir
from ..backend.device import get_backend
from ..backend.diagnose import CudaDiagnosis, diagnose_cuda
from ..backend.threads import cores
from ..train.environment import cpu_model

if TYPE_CHECKING:
    from rich.console import Console

COMPILERS = ("g++", "clang++", "nvcc")
PACKAGES = ("gradflow", "numpy", "scipy", "cupy", "rich", "typer", "pooch", "pillow", "ml_dtypes")
CUPY_WHEELS = ("cupy-cuda13x", "cupy-cuda12x", "cupy")


@dataclass(frozen=True)
class DeviceChoice:
    """What `device=None` will mean, why, and the error where what was asked for cannot be had."""

    device: str | None
    why: str
    error: str | None = None


@dataclass(frozen=True)
class Compiler:
    """One compiler; `path` and `version` are None where it is missing."""

    name: str
    path: str | None
    version: str | None


@dataclass(frozen=True)
class CacheFacts:
    """The cache folder; `size` in bytes."""

    path: Path
    exists: bool
    writable: bool
    files: int
    size: int


@dataclass(frozen=True)
class Report:
    """Everything the doctor found. `problems` keep gradflow from running, `advice` does not."""

    choice: DeviceChoice
    cuda: CudaDiagnosis
    blas: BlasFacts
    compilers: tuple[Compiler, ...]
    cache: CacheFacts
    versions: dict[str, str]
    machine: dict[str, str]
    problems: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)


def device_choice() -> DeviceChoice:
    """The device gradflow will use by default."""
    asked = os.environ.get("GRADFLOW_DEVICE") or "auto"
    if asked == "auto":
        cuda = diagnose_cuda()
        return DeviceChoice("cuda:0", f"{cuda.devices[0].name} works") if cuda.ok else DeviceChoice("cpu", cuda.reason)
    why = f"GRADFLOW_DEVICE={asked} asks for it"
    try:
        return DeviceChoice(str(get_backend(asked).device), why)
    except DeviceError as error:
        return DeviceChoice(None, why, str(error))


def compiler_facts(name: str) -> Compiler:
    """Where a compiler is and what it calls its version."""
    path = shutil.which(name)
    if path is None:
        return Compiler(name, None, None)
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return Compiler(name, path, None)
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    # nvcc gives its version in the last lines but one, after its copyright.
    telling = [line for line in lines if "release" in line] or lines
    return Compiler(name, path, telling[0] if telling else None)


def cache_facts() -> CacheFacts:
    """The cache folder's state; where it does not exist yet, whether it can be made."""
    path = cache_dir()
    exists = path.is_dir()
    nearest = next(p for p in (path, *path.parents) if p.exists())
    writable = nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)
    sizes = [p.lstat().st_size for p in path.rglob("*") if p.is_file()] if exists else []
    return CacheFacts(path, exists, writable, len(sizes), sum(sizes))


def versions() -> dict[str, str]:
    """Python's version and those of the packages that matter, "not installed" included."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for name in PACKAGES:
        for distribution in CUPY_WHEELS if name == "cupy" else (name,):
            try:
                found[name] = version(distribution)
                break
            except PackageNotFoundError:
                found[name] = "not installed"
    found["numpy"] = np.__version__
    if found["gradflow"] == "not installed":
        found["gradflow"] = "from a checkout"
    return found


def machine() -> dict[str, str]:
    """Operating system, CPU and cores."""
    usable = cores()
    return {
        "system": f"{platform.system()} {platform.release()} ({platform.machine()})",
        "cpu": cpu_model(),
        "cores": f"{usable} usable",
    }


def examine() -> Report:
    """Look at everything."""
    report = Report(
        choice=device_choice(),
        cuda=diagnose_cuda(),
        blas=blas_facts(),
        compilers=tuple([compiler_facts(name) for name in COMPILERS]),
        cache=cache_facts(),
        versions=versions(),
        machine=machine(),
    )
    if report.choice.error:
        report.problems.append(report.choice.error)
    elif report.cuda.installed and not report.cuda.ok:
        report.advice.append(f"{report.cuda.reason}. Cure: {report.cuda.cure}")
    if report.blas.advice:
        report.advice.append(report.blas.advice)
    if not any([c.path for c in report.compilers if c.name != "nvcc"]):
        report.advice.append("no C++ compiler: array code runs in place of native CPU kernels. Cure: install g++")
    if not report.cache.writable:
        report.advice.append(
            f"{report.cache.path} cannot be written, so kernels are compiled again each time. "
            "Cure: set GRADFLOW_CACHE to a folder of your own"
        )
    return report


def _device_rows(report: Report) -> list[tuple[str, str]]:
    choice, cuda = report.choice, report.cuda
    rows = [("device", f"{choice.device or 'none'}: {choice.why}")]
    if cuda.ok:
        rows += [
            (
                f"cuda:{gpu.index}",
                f"{gpu.name}, {gpu.memory / 2**30:.0f} GiB, compute capability {'.'.join(map(str, gpu.capability))}",
            )
            for gpu in cuda.devices
        ]
    else:
        rows += [("CUDA", f"no: {cuda.reason}"), ("for CUDA", cuda.cure)]
    if cuda.installed:
        rows.append(("CuPy", f"{cuda.cupy_version}, built for CUDA {cuda.runtime_version or 'unknown'}"))
        rows.append(("driver", f"up to CUDA {cuda.driver_version}" if cuda.driver_version else "none"))
    return rows


def _cpu_rows(report: Report) -> list[tuple[str, str]]:
    blas = report.blas
    kernel = f", computing for {blas.core}" if blas.core else ""
    count = f", up to {blas.threads} threads" if blas.threads else ""
    rows = [("cpu", f"{report.machine['cpu']}, {report.machine['cores']}"), ("system", report.machine["system"])]
    rows.append(("BLAS", f"{blas.name} {blas.version}{kernel}{count}"))
    rows += [("set", f"{variable}={value}") for variable, value in (*blas.pins, *blas.thread_variables)]
    return rows


def _tool_rows(report: Report) -> list[tuple[str, str]]:
    rows = [(c.name, f"{c.version or 'unknown'} ({c.path})" if c.path else "not found") for c in report.compilers]
    cache = report.cache
    state = f"{cache.files} files, {cache.size / 2**20:.1f} MiB" if cache.exists else "not made yet"
    rows.append(("cache", f"{cache.path}: {state}{'' if cache.writable else ', cannot be written'}"))
    rows.append(("versions", ", ".join([f"{name} {v}" for name, v in report.versions.items()])))
    return rows


def render(report: Report, console: Console) -> None:
    """Print a report: what runs where, then what is wrong, each with its cure."""
    _render_rows(console, "Device", _device_rows(report))
    _render_rows(console, "CPU", _cpu_rows(report))
    _render_rows(console, "Tools", _tool_rows(report))
    _render_list(console, "Problems", report.problems, "red")
    _render_list(console, "Advice", report.advice, "yellow")
    if not report.problems:
        _line(console, f"gradflow will run on {report.choice.device}.", "green")


def _line(console: Console, text: str, style: str = "") -> None:
    """Print text as it is: no markup, no folding where nobody watches."""
    from rich.text import Text

    console.print(Text(text, style=style), soft_wrap=not console.is_terminal)


def _render_rows(console: Console, title: str, rows: Sequence[tuple[str, str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    _line(console, title, "bold")
    if not console.is_terminal:
        for name, value in rows:
            _line(console, f"  {name:<10}{value}")
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(f"  {name}", Text(value))
    console.print(table)


def _render_list(console: Console, title: str, lines: Sequence[str], style: str) -> None:
    if lines:
        _line(console, title, "bold")
    for line in lines:
        _line(console, f"  {line}", style)


def run() -> int:
    """Examine and print; 0 where gradflow will run as asked, or else 1."""
    from rich.console import Console

    report = examine()
    render(report, Console())
    return 1 if report.problems else 0
