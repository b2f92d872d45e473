"""Every kernel compiled for real GPUs, on a machine that has none: by NVRTC from its wheels, or by nvcc.

Which instances there are is learnt from the kernel cases: each is planned, not run, in every dtype and layout, for a
device that only notes what it is told to load.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import importlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

import gradflow.backend.cuda.plan
from gradflow.backend.base import Device
from gradflow.backend.cache import cache_dir
from gradflow.backend.cuda.launcher import LAUNCHERS, PlanCache
from gradflow.backend.cuda.launchers.optim import CAPACITIES
from gradflow.backend.cuda.plan import Plan
from gradflow.backend.cuda.program import Program, defines
from gradflow.backend.dtypes import as_dtype
from gradflow.backend.threads import cores
from kernels import harness

ARCHITECTURES = ("sm_80", "sm_90")
SHARED_OPTIN = 163 << 10
"""What a block may have on sm_80, the smaller of the two."""


class Asked(NamedTuple):
    """The most that launches of an instance ask for: threads a block, and bytes of dynamic shared memory."""

    threads: int
    shared: int


class Recorder:
    """A device on which plans are made and never run. `loaded`: what is asked of each instance, by program."""

    device, array_type, null = Device("recorder"), np.ndarray, 0

    def __init__(self, multiprocessors: int, max_blocks: int, shared_optin: int) -> None:
        self.multiprocessors, self.max_blocks, self.shared_optin = multiprocessors, max_blocks, shared_optin
        self.loaded: dict[Program, dict[str, Asked]] = {}

    def load(self, program: Program, instance: str, threads: int, shared: int) -> Callable[..., None]:
        instances = self.loaded.setdefault(program, {})
        before = instances.get(instance, Asked(0, 0))
        instances[instance] = Asked(max(threads, before.threads), max(shared, before.shared))
        return lambda *_: None

    def from_host(self, array: np.ndarray) -> np.ndarray:
        return array

    def address(self, array: np.ndarray) -> int:
        return array.ctypes.data

    def view(self, *_: Any) -> Any:
        raise AssertionError("a plan was run")

    empty = pointer = view

    def product(self, *_: Any) -> Callable[..., None]:
        return self.view

    def fault_word(self, op: str, what: str) -> int:
        return 0


def calls(device: Recorder) -> Iterator[tuple[str, list[Any], dict[str, Any]]]:
    """(computation, operands, statics) of all that is planned: the kernel cases, and what changes its operands."""
    for file in sorted(Path(__file__).parent.glob("cases_*.py")):
        for case in importlib.import_module(f"kernels.{file.stem}").CASES:
            layouts = [place for _, place in harness.layouts_of(device)] if case.layouts else []
            for dtype in case.dtypes:
                operands = harness.rounded(case, dtype)
                for place in (device.from_host, *layouts):
                    given = [place(a) if isinstance(a, np.ndarray) else a for a in operands]
                    yield case.name, given, case.static
    for dtype in harness.DTYPES:
        zeros = [np.zeros(5, as_dtype(dtype))] * 5 * max(CAPACITIES)
        for count in CAPACITIES:
            for arrays in (2, 3):
                flags = {"first": False, "nesterov": False, "maximize": False}
                numbers = dict.fromkeys(("lr", "momentum", "undamped", "decay"), 0.1)
                yield "sgd_step", zeros[: arrays * count], {"arrays": arrays, **flags, **numbers}
            for arrays in (4, 5):
                names = ("step_size", "correction", "rest1", "b2", "rest2", "eps", "decay", "keep")
                numbers = dict.fromkeys(names, 0.1)
                yield "adam_step", zeros[: arrays * count], {"arrays": arrays, "maximize": False, **numbers}
        yield "update_running", [*zeros[:4], None], {"momentum": 0.1, "unbias": 1.1}
    for dtype in ("i4", "i8"):
        yield "check_index", [np.zeros(5, dtype)], {"low": 0, "high": 1, "op": "index"}


@cache
def instances(
    multiprocessors: int = 108, max_blocks: int = 32 * 108, shared_optin: int = SHARED_OPTIN
) -> dict[Program, dict[str, Asked]]:
    """The instances that all `calls` ask for, by program. The device is an A100 unless given."""
    recorder = Recorder(multiprocessors, max_blocks, shared_optin)
    found = {name: PlanCache(launcher, recorder, name) for name, launcher in LAUNCHERS.items()}
    for name, operands, static in calls(recorder):
        values = {k: v for k, v in static.items() if k in found[name].runtime}
        plan = found[name]._make(operands, {k: v for k, v in static.items() if k not in values}, values)
        assert isinstance(plan, Plan), f"{name} declined: {plan.reason}"
    return recorder.loaded


@cache
def compiled_instances() -> dict[Program, dict[str, Asked]]:
    """`instances`, and of each kernel that can count in 64 bits the first instance that does."""
    narrow = instances()
    with mock.patch.object(gradflow.backend.cuda.plan, "INT_SIZE", 0):
        wide = instances.__wrapped__()
    found = {program: dict(names) for program, names in narrow.items()}
    for program, names in wide.items():
        seen: set[str] = set()
        for name in [n for n in names if n not in narrow[program] and "long long" in n]:
            if kernel_of(name) not in seen:
                seen.add(kernel_of(name))
                found[program][name] = names[name]
    return found


def kernel_of(instance: str) -> str:
    return instance.split("<")[0]


def kind_of(instance: str) -> tuple[str, ...]:
    """An instance's kernel and the float types among its arguments."""
    return kernel_of(instance), *re.findall(r"\b(?:float|double|__half|__nv_bfloat16)\b", instance)


def widest(names: Iterable[str]) -> list[str]:
    """Of instances that differ in numbers only, which are mostly widths of vectors, the one of the largest."""
    chosen = {
        re.sub(r"\b\d+\b", "#", name): name
        for name in sorted(names, key=lambda n: [int(width) for width in re.findall(r"\b\d+\b", n)])
    }
    return sorted(chosen.values())


@dataclass(frozen=True)
class Usage:
    """What one instance takes on one architecture, as ptxas reports it; bytes but for registers."""

    file: str
    instance: str
    architecture: str
    threads: int
    registers: int
    shared: int
    dynamic_shared: int
    spills: int
    stack: int


@dataclass(frozen=True)
class Compiler:
    """compile(text, instances, macros, architecture) -> (log, {instance: the name ptxas has for it})."""

    name: str
    compile: Callable[[str, Sequence[str], Sequence[str], str], tuple[str, dict[str, str]]]


class CompileError(RuntimeError):
    """A source that does not compile, with the compiler's words."""


def compiler() -> Compiler | None:
    """NVRTC where its wheels are installed, else nvcc where that is on the path, else None."""
    return _nvrtc() or _nvcc()


def usages(found: Compiler, thorough: bool = False) -> tuple[list[Usage], list[str]]:
    """What the `widest` instances take, or if `thorough` all, and all warnings. Raises CompileError."""
    work = [
        (p, arch, sorted(names) if thorough else widest(names))
        for p, names in compiled_instances().items()
        for arch in ARCHITECTURES
    ]
    work.sort(key=lambda each: -len(each[2]))  # the longest first, so that no core waits at the end
    with ThreadPoolExecutor(cores()) as pool:
        parts = list(pool.map(lambda each: _compile(found, *each), work))
    return [u for part, _ in parts for u in part], [w for _, part in parts for w in part]


def _compile(found: Compiler, program: Program, architecture: str, wanted: list[str]) -> tuple[list[Usage], list[str]]:
    macros = sorted({m for name in wanted for m in defines(name)})
    log, names = _kept(found, program.text, wanted, macros, architecture)
    entries = {}
    for part in log.split("Compiling entry function '")[1:]:
        numbers = {
            what: int(match[1]) if (match := re.search(pattern, part)) else 0
            for what, pattern in (
                ("registers", r"Used (\d+) registers"),
                ("shared", r"(\d+) bytes smem"),
                ("spills", r"(\d+) bytes spill stores"),
                ("stack", r"(\d+) bytes stack frame"),
            )
        }
        entries[part.split("'")[0]] = numbers
    asked = compiled_instances()[program]
    rows = [
        Usage(
            program.filename, name, architecture, asked[name].threads, dynamic_shared=asked[name].shared,
            **entries[names[name]],
        )
        for name in wanted
    ]  # fmt: skip
    return rows, [line for line in log.splitlines() if re.search(r"\b(warning|error)\b", line)]


def _kept(
    found: Compiler, text: str, wanted: Sequence[str], macros: Sequence[str], architecture: str
) -> tuple[str, dict[str, str]]:  # fmt: skip
    """What the compiler says, from the cache where it has been asked the same before: it takes minutes for all."""
    question = json.dumps([found.name, text, wanted, macros, architecture, Path(__file__).read_text(encoding="utf-8")])
    kept = cache_dir() / "compile-only" / f"{hashlib.sha256(question.encode()).hexdigest()[:32]}.json"
    try:
        return tuple(json.loads(kept.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        answer = found.compile(text, wanted, macros, architecture)
    with contextlib.suppress(OSError):  # not writable
        kept.parent.mkdir(parents=True, exist_ok=True)
        unfinished = kept.with_suffix(f".{os.getpid()}")
        unfinished.write_text(json.dumps(answer), encoding="utf-8")
        unfinished.replace(kept)
    return answer


# -- the compilers -----------------------------------------------------------------------------------------------------


def _nvrtc() -> Compiler | None:
    spec = importlib.util.find_spec("nvidia")
    roots = [Path(p) / "cu13" for p in (spec.submodule_search_locations or ())] if spec else []
    root = next(
        (r for r in roots if (r / "lib" / "libnvrtc.so.13").exists() and (r / "include" / "crt").exists()), None
    )
    if root is None or not (root / "include" / "cuda_fp16.h").exists():
        return None
    for builtins in (root / "lib").glob("libnvrtc-builtins.so.*"):
        ctypes.CDLL(str(builtins))  # NVRTC looks for it by name and would not find it in a wheel
    lib = ctypes.CDLL(str(root / "lib" / "libnvrtc.so.13"))
    major, minor = ctypes.c_int(), ctypes.c_int()
    lib.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))

    def text_of(program: ctypes.c_void_p, what: str) -> str:
        size = ctypes.c_size_t()
        getattr(lib, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        getattr(lib, f"nvrtcGet{what}")(program, buffer)
        return buffer.value.decode()

    def compile_text(
        text: str, wanted: Sequence[str], macros: Sequence[str], architecture: str
    ) -> tuple[str, dict[str, str]]:  # fmt: skip
        program = ctypes.c_void_p()
        lib.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"source.cu", 0, None, None)
        try:
            for name in wanted:
                lib.nvrtcAddNameExpression(program, name.encode())
            options = [
                f"-arch={architecture}", "-std=c++17", f"-I{root / 'include'}", "--ptxas-options=-v",
                *[f"-D{macro}" for macro in macros],
            ]  # fmt: skip
            given = (ctypes.c_char_p * len(options))(*[o.encode() for o in options])
            code = lib.nvrtcCompileProgram(program, len(options), given)
            log = text_of(program, "ProgramLog")
            if code:
                raise CompileError(log)
            names = {}
            for name in wanted:
                lowered = ctypes.c_char_p()
                lib.nvrtcGetLoweredName(program, name.encode(), ctypes.byref(lowered))
                names[name] = (lowered.value or b"").decode()
            return log, names
        finally:
            lib.nvrtcDestroyProgram(ctypes.byref(program))

    return Compiler(f"NVRTC {major.value}.{minor.value}", compile_text)


def _nvcc() -> Compiler | None:
    path, filt = shutil.which("nvcc"), shutil.which("c++filt")
    if path is None or filt is None:
        return None

    def output(*command: str, text: str = "") -> str:
        run = subprocess.run(command, input=text, capture_output=True, text=True)
        if run.returncode:
            raise CompileError(run.stdout + run.stderr)
        return run.stdout + run.stderr

    def compile_text(
        text: str, wanted: Sequence[str], macros: Sequence[str], architecture: str
    ) -> tuple[str, dict[str, str]]:  # fmt: skip
        used = [f"const void* gf_{i} = (const void*)&{name};" for i, name in enumerate(wanted)]
        with tempfile.TemporaryDirectory() as folder:
            source, cubin = Path(folder, "source.cu"), Path(folder, "out.cubin")
            source.write_text("\n".join([text, *used]))
            options = ["-std=c++17", f"-arch={architecture}", "-cubin", "-Xptxas", "-v", *[f"-D{m}" for m in macros]]
            log = output(path, *options, "-o", str(cubin), str(source))
        entries = re.findall(r"Compiling entry function '(\w+)'", log)
        shown = output(filt, text="\n".join(entries)).replace("unsigned int", "unsigned").splitlines()
        return log, {s.split("(")[0].removeprefix("void "): e for s, e in zip(shown, entries, strict=True)}

    release = re.search(r"V([\d.]+)", output(path, "--version"))
    return Compiler(f"nvcc {release[1] if release else 'of unknown version'}", compile_text)
