"""CUDA kernels on the CPU: a .cu file's text is compiled by a C++ compiler behind `kernels/emulator/`, and launched."""

from __future__ import annotations

import atexit
import ctypes
import hashlib
import mmap
import os
import platform
import re
import shutil
import subprocess
import tempfile
import threading
import warnings
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from ..cache import cache_dir
from ..sources import kernel_folder

_FLAGS = (
    "-x", "c++", "-std=c++17", "-O2", "-fPIC", "-shared", "-Wall", "-Wno-sign-compare", "-Wno-unknown-pragmas",
    "-fvisibility=hidden", "-ffp-contract=off", "-fno-math-errno", "-fno-strict-aliasing", "-DGF_EMULATED",
)  # fmt: skip
_GNU_FLAGS = ("-fno-gnu-unique",)  # or libraries with kernels of the same name would share their static variables
_ASAN_FLAGS = ("-fsanitize=address", "-fsanitize-recover=address", "-g", "-fno-omit-frame-pointer")
_MAX_THREADS, _MAX_SHARED = 1024, 227 << 10
_STACK = 256 << 10
_POINTER = -ctypes.sizeof(ctypes.c_void_p)


class EmulatorError(RuntimeError):
    """A kernel that could not be compiled, was launched wrongly, or did what would hang or be undefined on a GPU."""


# ---- compiling ------------------------------------------------------------------------------------------------------


def build(text: str, instances: Sequence[str], *, filename: str) -> Library:
    """Compile a complete CUDA source, or take it from the cache, with the given instances of its kernels.

    An instance is a kernel's name in C++, such as "scale<float, 4>". `filename` is what messages call the file, and
    may be changed on the way by #line directives in the text.
    """
    command = _command()
    source = _source(text, instances, filename)
    digest = hashlib.sha256("\0".join([*command, _version(command[0]), platform.machine(), _shim(), source]).encode())
    name = f"{Path(filename).stem}-{digest.hexdigest()[:32]}.so"
    for folder in _folders():
        library = _load(folder / name, instances)
        if library is not None:
            return library
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                _compile(command, source, filename, Path(scratch) / name)
                _publish(Path(scratch) / name, folder / name)
        except OSError:
            continue  # not writable
        library = _load(folder / name, instances)
        if library is not None:
            return library
    raise EmulatorError(f"[emulator] {filename}: the compiled file cannot be kept in {cache_dir()} nor in {folder}")


def _command() -> list[str]:
    compiler = _compiler()
    command = [compiler, *_FLAGS, "-include", str(kernel_folder() / "emulator" / "emulator.h")]
    if "clang" not in _version(compiler):
        command += _GNU_FLAGS
    if os.environ.get("GRADFLOW_EMULATOR_ASAN") == "1":
        _check_asan(compiler)
        command += _ASAN_FLAGS
    return command


def _compiler() -> str:
    for variable in ("GRADFLOW_CXX", "CXX"):
        chosen = os.environ.get(variable)
        if not chosen:
            continue
        found = shutil.which(chosen)
        if found is None:
            raise EmulatorError(f"[emulator] {variable} names the C++ compiler {chosen!r}, which is not there")
        return found
    for name in ("g++", "clang++", "c++"):
        found = shutil.which(name)
        if found is not None:
            return found
    raise EmulatorError(
        "[emulator] the emulated device needs a C++ compiler, and there is no g++, clang++ or c++ on PATH: install one "
        "(`apt install g++`, `dnf install gcc-c++`, `xcode-select --install`) or name one in GRADFLOW_CXX"
    )


@cache
def _version(compiler: str) -> str:
    run = subprocess.run([compiler, "--version"], capture_output=True, text=True)
    if run.returncode:
        raise EmulatorError(f"[emulator] {compiler} --version failed: {run.stderr.strip()}")
    return run.stdout


def _check_asan(compiler: str) -> None:
    """AddressSanitizer works only in a process that had its runtime loaded first of all."""
    if hasattr(ctypes.CDLL(None), "__asan_init"):
        return
    raise EmulatorError(
        "[emulator] GRADFLOW_EMULATOR_ASAN=1 needs AddressSanitizer's runtime in this process. Start it like this: "
        f"LD_PRELOAD=$({compiler} -print-file-name=libasan.so) ASAN_OPTIONS=detect_leaks=0 GRADFLOW_EMULATOR_ASAN=1 "
        "python ..."
    )


def _shim() -> str:
    """The emulator's headers, for the cache to tell whether they have changed."""
    folder = kernel_folder() / "emulator"
    return "\0".join([path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.h"))])


def _source(text: str, instances: Sequence[str], filename: str) -> str:
    """What is compiled: the text, then a table of its kernels a line for each, so that errors name it."""
    lines = [f'#line 1 "{filename}"', _own_shared_memory(text), "const gf_emulator::Kernel gf_emulator_kernels[] = {"]
    for instance in instances:
        lines += [f'#line 1 "instance {instance}"', f"gf_emulator::Entry<&{instance}>::kernel,"]
    return "\n".join([*lines, "};", ""])


_SHARED = re.compile(
    r"""//[^\n]* | /\*.*?\*/ | "(?:\\.|[^"\\\n])*" | (?P<extern>\bextern\s+)? \b__shared__\b (?P<rest>[^;]*) ;""",
    re.DOTALL | re.VERBOSE,
)


def _own_shared_memory(text: str) -> str:
    """Rewrite the declarations of shared memory, line for line.

    `extern __shared__ T name[];` becomes a pointer to the emulator's memory; after the others, each block gets its own.
    """

    def rewritten(match: re.Match[str]) -> str:
        rest = match["rest"]
        if rest is None:  # a comment or a string
            return match[0]
        if not match["extern"]:
            return f"static {rest};" + "".join(f" GF_FRESH({name});" for name in _declared(rest))
        kind = re.sub(r"__align__\s*\([^)]*\)|alignas\s*\([^)]*\)", "", rest[: rest.rindex("[")])
        name = _declared(rest)[0]
        kind = " ".join(kind.split())[: -len(name)].strip()
        lines = "\n" * match[0].count("\n")
        return f"{kind}* const {name} = reinterpret_cast<{kind}*>(gf_emulator::dynamic_shared);{lines}"

    return _SHARED.sub(rewritten, text)


def _declared(declaration: str) -> list[str]:
    """The names in a declaration of variables: "float a[32], b" gives a and b."""
    plain = declaration
    for nested in (r"\[[^][]*\]|\([^()]*\)", r"<[^<>]*>"):  # a[N < 3 ? 4 : 5] becomes a, then Vec<T, 2> becomes Vec
        change = 1
        while change:
            plain, change = re.subn(nested, "", plain)
    return [re.findall(r"\w+", piece)[-1] for piece in plain.split(",")]


def _compile(command: list[str], source: str, filename: str, out: Path) -> None:
    run = subprocess.run(
        [*command, "-", "-o", str(out)], input=source, capture_output=True, encoding="utf-8", errors="replace",
        env={**os.environ, "LC_ALL": "C"},
    )  # fmt: skip
    if run.returncode:
        raise EmulatorError(f"[emulator] {filename} does not compile:\n{run.stderr.strip()}")
    if run.stderr.strip():
        warnings.warn(f"[emulator] {filename}: {run.stderr.strip()}", stacklevel=4)


# ---- the cache: a library, and beside it the hash of its bytes, because loading a damaged one can kill the process --


def _publish(made: Path, path: Path) -> None:
    checksum = made.with_suffix(".sha256")
    checksum.write_text(_hash(made), encoding="ascii")
    os.replace(made, path)
    os.replace(checksum, path.with_suffix(".sha256"))


def _load(path: Path, instances: Sequence[str]) -> Library | None:
    try:
        if path.with_suffix(".sha256").read_text(encoding="ascii") != _hash(path):
            return None
        return Library(path, instances)
    except (OSError, UnicodeDecodeError):
        return None


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _folders() -> Iterator[Path]:
    """Where to keep what was compiled: the cache, or where that cannot be written, a folder for this process."""
    yield cache_dir() / "emulated"
    yield _temporary_folder()


@cache
def _temporary_folder() -> Path:
    folder = tempfile.mkdtemp(prefix="gradflow-emulated-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


# ---- launching ------------------------------------------------------------------------------------------------------

_turn = threading.Lock()  # launches share their stacks
_Dim3 = ctypes.c_uint * 3


@cache
def _stacks() -> tuple[mmap.mmap, int]:
    """Memory for the stacks of a block's threads, and its address. It takes up space only where it has been used."""
    memory = mmap.mmap(-1, _MAX_THREADS * _STACK, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    return memory, ctypes.addressof(ctypes.c_char.from_buffer(memory))


class Library:
    """Compiled kernels."""

    def __init__(self, path: Path, instances: Sequence[str]) -> None:
        library = ctypes.CDLL(str(path))
        self._run = library.gf_emulator_launch
        self._run.restype = ctypes.c_char_p
        self._run.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p,
                              ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]  # fmt: skip
        sizes_of = library.gf_emulator_sizes
        sizes_of.restype = ctypes.POINTER(ctypes.c_int)
        self._kernels: dict[str, tuple[int, list[int]]] = {}
        for i, instance in enumerate(instances):
            sizes = sizes_of(i)
            count = next(n for n in range(1 << 12) if sizes[n] == 0)
            self._kernels[instance] = i, sizes[:count]

    def launch(
        self,
        instance: str,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        shared: int,
        args: Sequence[np.ndarray | np.generic | int],
        *,
        reverse: bool = False,
    ) -> None:
        """Run a kernel to its end. An int is the address of a pointer; other arguments are passed by value.

        `reverse` runs blocks and threads in descending order, which shows where a kernel relies on an order.
        """
        kernel, sizes = self._kernels[instance]
        _check_launch(instance, grid, block, shared)
        data, offsets = _pack(instance, sizes, args)
        base = ctypes.addressof(data)
        pointers = (ctypes.c_void_p * max(len(offsets), 1))(*[base + offset for offset in offsets])
        with _turn:
            error = self._run(kernel, _Dim3(*grid), _Dim3(*block), shared, pointers, reverse, _stacks()[1], _STACK)
        if error is not None:
            raise EmulatorError(f"[emulator] {instance}, {error.decode()}")


def _check_launch(instance: str, grid: tuple[int, int, int], block: tuple[int, int, int], shared: int) -> None:
    limits = ((1 << 31) - 1, 65535, 65535), (_MAX_THREADS, _MAX_THREADS, 64)
    for what, size, limit in (("grid", grid, limits[0]), ("block", block, limits[1])):
        if not all([1 <= n <= most for n, most in zip(size, limit, strict=True)]):
            raise EmulatorError(f"[emulator] {instance}: a {what} of {size}, but it must be in 1 to {limit}")
    if block[0] * block[1] * block[2] > _MAX_THREADS:
        raise EmulatorError(f"[emulator] {instance}: a block of {block} has more than {_MAX_THREADS} threads")
    if not 0 <= shared <= _MAX_SHARED:
        raise EmulatorError(
            f"[emulator] {instance}: {shared} bytes of dynamic shared memory, the most is {_MAX_SHARED}"
        )


def _pack(
    instance: str, sizes: list[int], args: Sequence[np.ndarray | np.generic | int]
) -> tuple[ctypes.Array[ctypes.c_char], list[int]]:
    """The bytes of the arguments in one piece of memory, and where in it each begins."""
    if len(args) != len(sizes):
        raise EmulatorError(f"[emulator] {instance} takes {len(sizes)} arguments, not {len(args)}")
    data, offsets = bytearray(), []
    for i, (arg, size) in enumerate(zip(args, sizes, strict=True)):
        given = arg.to_bytes(8, "little") if isinstance(arg, int) else arg.tobytes()
        address = isinstance(arg, int) or (size == _POINTER and isinstance(arg, np.uint64))
        if size != (_POINTER if address else len(given)):
            wanted = "an address" if size < 0 else f"a value of {size} bytes"
            raise EmulatorError(f"[emulator] {instance}: argument {i} must be {wanted}, not {arg!r}")
        data += bytes(-len(data) % 16)
        offsets.append(len(data))
        data += given
    return (ctypes.c_char * (len(data) + 16)).from_buffer(data + bytes(16)), offsets
