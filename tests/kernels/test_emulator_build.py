"""Building emulated kernels: the compiler, its messages, the cache, AddressSanitizer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gradflow.backend.cuda import emulator
from gradflow.backend.cuda.emulated import EmulatedBackend
from gradflow.backend.cuda.emulator import EmulatorError, Library, build

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.skipif(not any(map(shutil.which, ("g++", "clang++", "c++"))), reason="needs a C++ compiler"),
    pytest.mark.usefixtures("own_cache"),
]


ADD = "__global__ void add(int* x) {\n    __shared__ int n;\n    n = 0;\n    x[0] += n + 1;\n}\n"


def compilations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    done: list[str] = []
    compile_it = emulator._compile
    monkeypatch.setattr(emulator, "_compile", lambda *args: (done.append(args[2]), compile_it(*args)))
    return done


def add(library: Library) -> int:
    x = np.zeros(1, np.int32)
    library.launch("add", (1, 1, 1), (1, 1, 1), 0, [x.ctypes.data])
    return int(x[0])


def test_what_was_compiled_is_taken_from_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADFLOW_CACHE", str(tmp_path))
    done = compilations(monkeypatch)
    assert add(build(ADD, ["add"], filename="add.cu")) == add(build(ADD, ["add"], filename="add.cu")) == 1
    assert done == ["add.cu"]
    assert sorted(p.suffix for p in (tmp_path / "emulated").iterdir()) == [".sha256", ".so"]
    build(ADD, ["add", "add"], filename="add.cu")
    build(ADD + " ", ["add"], filename="add.cu")
    monkeypatch.setattr(emulator, "_shim", lambda: "another")
    build(ADD, ["add"], filename="add.cu")
    assert len(done) == 4


def test_a_damaged_file_is_made_again(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADFLOW_CACHE", str(tmp_path))
    build(ADD, ["add"], filename="add.cu")
    (path,) = (tmp_path / "emulated").glob("*.so")
    data = path.read_bytes()
    done = compilations(monkeypatch)
    for damaged in (data[: len(data) // 2], b"", data[:5000] + b"?" + data[5001:]):
        path.unlink()  # it is mapped into this process
        path.write_bytes(damaged)
        assert add(build(ADD, ["add"], filename="add.cu")) == 1
        assert path.read_bytes() == data
    assert done == ["add.cu"] * 3


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("GRADFLOW_CACHE", str(tmp_path / "file"))
    done = compilations(monkeypatch)
    text = ADD + "// without a cache\n"
    assert add(build(text, ["add"], filename="add.cu")) == add(build(text, ["add"], filename="add.cu")) == 1
    assert done == ["add.cu"]


def test_compilers(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(EmulatorError, match=r"CXX names the C\+\+ compiler 'no-such-compiler', which is not there"):
        build(ADD, ["add"], filename="add.cu")
    monkeypatch.setenv("GRADFLOW_CXX", next(filter(None, map(shutil.which, ("g++", "clang++", "c++")))))
    assert add(build(ADD, ["add"], filename="add.cu")) == 1
    for name in ("GRADFLOW_CXX", "CXX"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EmulatorError, match=r"needs a C\+\+ compiler.*apt install g\+\+"):
        build(ADD, ["add"], filename="add.cu")


def test_compile_errors_name_the_line_of_the_source():
    with pytest.raises(EmulatorError, match=r"add.cu does not compile:\n(.*\n)*add.cu:4:.*error"):
        build(ADD.replace("+ 1;", "+ one;"), ["add"], filename="add.cu")
    with pytest.raises(EmulatorError, match=r"(.*\n)*common.cuh:7:.*error"):
        build('#line 7 "common.cuh"\nint f() { return one; }\n' + ADD, ["add"], filename="add.cu")
    with pytest.raises(EmulatorError, match=r"(.*\n)*instance subtract:1:.*error"):
        build(ADD, ["subtract"], filename="add.cu")
    text = "template <typename T> __global__ void f(T* x) {\n    x[0] = x[0].y;\n}\n"
    with pytest.raises(EmulatorError, match=r"(.*\n)*f.cu:2:.*error"):
        build(text, ["f<int>"], filename="f.cu")


def test_warnings_are_passed_on():
    with pytest.warns(UserWarning, match=r"\[emulator\] add.cu: (.*\n)*add.cu:4:.*unused"):
        build(ADD.replace("x[0]", "int left = 0; x[0]"), ["add"], filename="add.cu")


def test_declarations_of_shared_memory_are_rewritten_in_place():
    text = (
        "// __shared__ int in a comment;\n"
        '/* extern __shared__ int x[]; */ const char* s = "__shared__ int y;";\n'
        "extern __shared__ __align__(16)\n    unsigned char bytes[];\n"
        "__shared__ Vec<T, 2> a[2][N < 3 ? 4 : 5], *b;\n"
    )
    lines = emulator._own_shared_memory(text).split("\n")
    assert lines[:2] == text.split("\n")[:2]
    assert (
        lines[2].startswith("unsigned char* const bytes = reinterpret_cast<unsigned char*>(") and not lines[3].strip()
    )
    assert lines[4] == "static  Vec<T, 2> a[2][N < 3 ? 4 : 5], *b; GF_FRESH(a); GF_FRESH(b);"


# ---- AddressSanitizer -----------------------------------------------------------------------------------------------

OVERRUN = """
import sys
import numpy as np
from gradflow.backend.cuda.emulator import build
text = '''
__global__ void fill(float* x, int n) {
    extern __shared__ float room[];
    room[threadIdx.x] = 1.0f;
    __syncthreads();
    if (threadIdx.x <= n)
        x[threadIdx.x] = room[threadIdx.x ^ 1];
}
'''
library = build(text, ["fill"], filename="fill.cu")
x = np.zeros(40, np.float32)
for n, shared in ((39, 256), (int(sys.argv[1]), int(sys.argv[2]))):
    library.launch("fill", (1, 1, 1), (64, 1, 1), shared, [x.ctypes.data, np.int32(n)])
    assert (x == 1).all()
    print("done", flush=True)
"""


def asan_run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "GRADFLOW_EMULATOR_ASAN": "1", "PYTHONPATH": str(ROOT), **variables}
    command = [sys.executable, "-c", OVERRUN, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_address_sanitizer_names_the_line_of_an_overrun():
    compiler = emulator._compiler()
    command = [compiler, "-print-file-name=libasan.so"]
    runtime = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    if not os.path.isabs(runtime):
        pytest.skip("this compiler comes without libasan.so")
    options = {"LD_PRELOAD": runtime, "ASAN_OPTIONS": "detect_leaks=0"}
    past_array = asan_run("40", "256", **options)
    assert past_array.returncode and past_array.stdout == "done\n", past_array.stderr
    assert "heap-buffer-overflow" in past_array.stderr and "fill.cu:7" in past_array.stderr
    past_shared = asan_run("39", "252", **options)
    assert past_shared.returncode and "use-after-poison" in past_shared.stderr and "fill.cu:4" in past_shared.stderr


def test_without_its_runtime_address_sanitizer_is_explained(monkeypatch):
    monkeypatch.setenv("GRADFLOW_EMULATOR_ASAN", "1")
    if "libasan" in os.environ.get("LD_PRELOAD", ""):
        pytest.skip("this process has the runtime")
    message = (
        r"LD_PRELOAD=\$\(.* -print-file-name=libasan.so\) ASAN_OPTIONS=detect_leaks=0 GRADFLOW_EMULATOR_ASAN=1 python"
    )
    with pytest.raises(EmulatorError, match=message):
        build(ADD, ["add"], filename="add.cu")


def test_the_order_of_threads_is_one_of_two(monkeypatch):
    for order, reverse in (("", False), ("forward", False), ("reverse", True)):
        monkeypatch.setenv("GRADFLOW_EMULATOR_ORDER", order)
        assert EmulatedBackend().reverse is reverse
    monkeypatch.setenv("GRADFLOW_EMULATOR_ORDER", "backwards")
    with pytest.raises(ValueError, match="GRADFLOW_EMULATOR_ORDER is forward or reverse, got 'backwards'"):
        EmulatedBackend()
