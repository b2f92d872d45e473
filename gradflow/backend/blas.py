"""The BLAS that NumPy multiplies matrices with: which one it is, what it takes the CPU for, and who told it so."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

PINS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Variables that make OpenBLAS disregard what it finds out about the CPU."""

THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""Variables that set how many threads a BLAS uses."""


@dataclass(frozen=True)
class BlasFacts:
    """`core` is the CPU type OpenBLAS computes for, `free_core` the one it would choose without the pins."""

    name: str
    version: str
    core: str | None = None
    free_core: str | None = None
    config: str | None = None
    threads: int | None = None
    pins: tuple[tuple[str, str], ...] = ()
    thread_variables: tuple[tuple[str, str], ...] = ()

    @property
    def advice(self) -> str | None:
        """What slows this BLAS down, and the cure; None where nothing does."""
        pins = dict(self.pins)
        found = []
        core, free = self.core, self.free_core
        if "OPENBLAS_CORETYPE" in pins and free is not None and core != free:
            found.append(f"OPENBLAS_CORETYPE={pins['OPENBLAS_CORETYPE']} pins it to {core}, this CPU is {free}")
        if "OPENBLAS_L2_SIZE" in pins:
            found.append(f"OPENBLAS_L2_SIZE={pins['OPENBLAS_L2_SIZE']} stands in for the CPU's real cache size")
        if not found:
            return None
        unset = " ".join([f"-u {variable}" for variable in pins])
        return f"{' and '.join(found)}; matrix products may run at half speed. Cure: env {unset} gradflow train"


class OpenBlas:
    """The OpenBLAS library already loaded into this process, by its own C functions."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._library = ctypes.CDLL(path)

    def _function(self, name: str, result: Any) -> Callable[..., Any] | None:
        """NumPy's wheels prefix and suffix the names, distributions do not."""
        for prefix in ("scipy_", ""):
            for suffix in ("64_", "_64", ""):
                function = getattr(self._library, f"{prefix}openblas_{name}{suffix}", None)
                if function is not None:
                    function.restype = result
                    return function  # type: ignore[no-any-return]
        return None

    def _text(self, name: str) -> str | None:
        function = self._function(name, ctypes.c_char_p)
        text = function() if function else None
        return text.decode(errors="replace").strip() if text else None

    @property
    def core(self) -> str | None:
        """The CPU type it computes for, such as "Haswell" or "SkylakeX"."""
        return self._text("get_corename")

    @property
    def config(self) -> str | None:
        """Its version and how it was built."""
        return self._text("get_config")

    @property
    def threads(self) -> int | None:
        """How many threads it uses at most."""
        function = self._function("get_num_threads", ctypes.c_int)
        return int(function()) if function else None

    def set_threads(self, count: int) -> bool:
        """Have it use at most `count` threads; False where this build has no such function."""
        function = self._function("set_num_threads", None)
        if function is None:
            return False
        function(ctypes.c_int(count))
        return True


def find_openblas() -> OpenBlas | None:
    """The OpenBLAS that NumPy uses, or None where NumPy uses another BLAS."""
    for path in _candidates():
        try:
            found = OpenBlas(path)
        except OSError:
            continue
        if found.config is not None:
            return found
    return None


def _candidates() -> list[str]:
    """Paths of the OpenBLAS libraries this process has loaded or NumPy has brought, NumPy's own first."""
    package = Path(np.__file__).parent
    folders = (package.parent / "numpy.libs", package / ".dylibs", package / ".libs")
    brought = [str(p) for folder in folders if folder.is_dir() for p in sorted(folder.glob("*openblas*"))]
    if brought or not sys.platform.startswith("linux"):
        return brought
    try:
        maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    paths = [line.split(maxsplit=5)[-1] for line in maps.splitlines() if "openblas" in line]
    return list(dict.fromkeys([path for path in paths if path.startswith("/")]))


def blas_facts(environ: Mapping[str, str] | None = None) -> BlasFacts:
    """What NumPy's BLAS is and does here. Starts a second Python where the environment pins the CPU type."""
    environ = os.environ if environ is None else environ
    built = _built_with()
    name, version = str(built.get("name", "unknown")), str(built.get("version", ""))
    pins = tuple([(v, environ[v]) for v in PINS if environ.get(v)])
    counts = tuple([(v, environ[v]) for v in THREADS if environ.get(v)])
    library = find_openblas()
    if library is None:
        return BlasFacts(name, version, thread_variables=counts)
    core = library.core
    free = core_without_pins() if "OPENBLAS_CORETYPE" in dict(pins) else core
    return BlasFacts(name, version, core, free, library.config, library.threads, pins, counts)


def _built_with() -> dict[str, Any]:
    config: Any = np.show_config(mode="dicts")  # type: ignore[call-overload]
    return dict((config or {}).get("Build Dependencies", {}).get("blas", {}))


def core_without_pins() -> str | None:
    """The CPU type OpenBLAS would choose by itself: it decides when loaded, so a new process is asked."""
    code = (
        f"import sys; sys.path[:] = {sys.path!r}; from gradflow.backend.blas import find_openblas; "
        "b = find_openblas(); print(b and b.core or '')"
    )
    environ = {k: v for k, v in os.environ.items() if k not in PINS}
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
