"""The GPU check, rehearsed without a GPU: every part runs, and what fails, hangs or is killed leaves whole files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))  # behind all else: what is installed is tested as it is

from bench.gpu_check import page, runner, sanitizer, suite  # noqa: E402
from bench.gpu_check.book import Book  # noqa: E402
from bench.gpu_check.duel import Duel, Entry, Peer, near  # noqa: E402
from bench.gpu_check.parts import BUDGET, PARTS, Part  # noqa: E402

SANITIZER = """#!/bin/sh
# stands in for compute-sanitizer: runs the command and complains of nothing, or of what COMPLAINT says
while [ "${1#--}" != "$1" ]; do case $1 in --tool) tool=$2;; esac; shift 2; done
"$@" || exit $?
[ -n "$COMPLAINT" ] && echo "========= $COMPLAINT" && echo "========= ERROR SUMMARY: 1 error" && exit 0
if [ $tool = racecheck ]; then echo "========= RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0 warnings)"
else echo "========= ERROR SUMMARY: 0 errors"; fi
"""

SPOILED = {
    "good": "def run(book):\n    book.row('', what='GPU', value='NVIDIA H999', speed=1.5)\n",
    "raises": "def run(book):\n    book.row('', found=1)\n    raise RuntimeError('nothing works')\n",
    "dies": "import os\ndef run(book):\n    book.row('', found=2)\n    os._exit(3)\n",
    "hangs": (
        "import subprocess, sys, time\ndef run(book):\n    book.row('', found=3)\n"
        "    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "    book.note(str(child.pid))\n    time.sleep(60)\n"
    ),
    "skips": "from bench.gpu_check.book import Skip\ndef run(book):\n    raise Skip('nothing to do')\n",
    "faulty": "def run(book):\n    book.fault('two and two is five')\n    book.row('', found=4)\n",
    "late": "def run(book):\n    book.leave_out('the rest')\n",
    "missing": None,
}


@pytest.fixture
def spoiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Parts that go wrong, by name."""
    folder = tmp_path / "modules"
    folder.mkdir()
    for name, text in SPOILED.items():
        if text is not None:
            (folder / f"{name}_part.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setattr(runner, "GRACE", 0.5)
    return lambda *names: [Part(name, name.title(), f"{name}_part", 1.5 if name == "hangs" else 20) for name in names]


def results(folder: Path) -> tuple[dict[str, Any], str]:
    (path,) = folder.glob("*.json")
    return json.loads(path.read_text()), path.with_suffix(".md").read_text()


def test_the_check_fits_its_time():
    assert BUDGET < 9 * 60
    assert len({part.name for part in PARTS}) == len(PARTS)


def test_every_part_is_rehearsed_on_the_emulated_device(tmp_path: Path):
    tool = tmp_path / "bin" / "compute-sanitizer"
    tool.parent.mkdir()
    tool.write_text(SANITIZER)
    tool.chmod(0o755)
    path = os.pathsep.join([str(tool.parent), os.environ["PATH"]])
    command = [sys.executable, "-m", "bench.gpu_check", "--device", "emulated", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PATH": path}, capture_output=True, text=True)
    found, text = results(tmp_path / "out")
    assert {p["name"]: (p["status"], p["reason"]) for p in found["parts"]} == {p.name: ("passed", "") for p in PARTS}
    assert done.returncode == 0, done.stdout + done.stderr
    assert found["finished"]
    assert next((tmp_path / "out").glob("*.json")).name.startswith("rehearsal-emulated-")
    assert text.startswith("# Rehearsal of the GPU check on the emulated device, ")
    assert "no GPU was there" in text
    tables = {p["name"]: p["tables"] for p in found["parts"]}
    assert {len(tables[p.name]) for p in PARTS} - {0} == {len(t) for t in tables.values()}
    assert tables["tests"][""][0]["passed"] > 0
    assert [row["tool"] for row in tables["sanitizer"][""]] == ["memcheck", "racecheck"]
    assert {row["net"] for row in tables["steps"]["A training step"]} == {"mlp", "lenet"}
    audited = [row for rows in tables["audit"].values() for row in rows]
    assert any([row["ran as"].endswith("kernel") for row in audited])
    rows = [row for part in tables.values() for table in part.values() for row in table]
    speeds = [v for row in rows for k, v in row.items() if k.endswith(("ms", "B/s", "of copy", "ratio", "s/s"))]
    assert len(speeds) > 50
    assert set(speeds) == {None}


def test_what_goes_wrong_is_recorded_and_the_rest_goes_on(spoiled: Any, tmp_path: Path):
    parts = spoiled("raises", "dies", "hangs", "skips", "faulty", "late", "missing", "good")
    said: list[str] = []
    path, found = runner.run(parts, "cuda", tmp_path / "out", budget=100, say=said.append)
    outcomes = {p["name"]: (p["status"], p["reason"]) for p in found["parts"]}
    assert outcomes == {
        "raises": ("failed", "RuntimeError: nothing works"),
        "dies": ("failed", "its process ended with 3"),
        "hangs": ("out of time", "stopped after 2 s"),
        "skips": ("skipped", "nothing to do"),
        "faulty": ("failed", "two and two is five"),
        "late": ("out of time", "left out: the rest"),
        "missing": ("failed", "ModuleNotFoundError: No module named 'missing_part'"),
        "good": ("passed", ""),
    }
    kept = {p["name"]: p["tables"][""][0] for p in found["parts"] if p["tables"]}
    assert [kept[name]["found"] for name in ("raises", "dies", "hangs", "faulty")] == [1, 2, 3, 4]
    child = int(next(p for p in found["parts"] if p["name"] == "hangs")["notes"][0])
    assert not alive(child)
    loaded, text = results(tmp_path / "out")
    assert loaded == found
    assert path.name.startswith("unknown-gpu-")  # the first part is the one that names it
    assert text.startswith("# gradflow on NVIDIA H999, ")
    assert "| Hangs | out of time | 2 of 2 | stopped after 2 s |" in text
    assert "RuntimeError: nothing works" in text
    assert said[-1].startswith("good: passed in ")


def test_a_gpu_gives_the_file_its_name(spoiled: Any, tmp_path: Path):
    for suffix in ("", "-2"):
        path, found = runner.run(spoiled("good"), "cuda", tmp_path, budget=100, say=lambda text: None)
        assert path.name == f"nvidia-h999-{found['date']}{suffix}.json"
    assert "| NVIDIA H999 | 1.50 |" in path.with_suffix(".md").read_text()


def test_the_time_for_all_parts_is_kept(spoiled: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(runner, "LEAST", 2.0)
    _, found = runner.run(spoiled("good", "hangs", "skips"), "cuda", tmp_path, budget=4.0, say=lambda text: None)
    assert [p["status"] for p in found["parts"]][:2] == ["passed", "out of time"]
    assert (found["parts"][2]["status"], found["parts"][2]["reason"]) == ("not run", "no time was left")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_that_is_killed_leaves_whole_files_and_no_process(number: int, spoiled: Any, tmp_path: Path):
    spoiled()
    script = (
        "import sys, signal\nfrom bench.gpu_check import __main__ as main, runner\nrunner.PAUSE = 0.1\n"
        "from bench.gpu_check.parts import Part\n"
        "main.PARTS = [Part('environment', 'Good', 'good_part', 9), Part('b', 'Hangs', 'hangs_part', 60)]\n"
        f"sys.argv = ['x', '--device', 'emulated', '--out', {str(tmp_path / 'out')!r}]\nsys.exit(main.main())\n"
    )
    paths = os.pathsep.join([str(ROOT), os.environ["PYTHONPATH"]])
    environ = {**os.environ, "PYTHONPATH": paths, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, env=environ, stdout=subprocess.PIPE)
    child = None
    for _ in range(300):
        time.sleep(0.05)
        written = [json.loads(f.read_text())["parts"] for f in (tmp_path / "out").glob("*.json")]
        if written and written[0][1].get("notes"):  # what the running part has so far
            child = int(written[0][1]["notes"][0])
            break
    assert child is not None
    process.send_signal(number)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == (-9 if number == signal.SIGKILL else 130), out
    found, text = results(tmp_path / "out")
    assert [p["status"] for p in found["parts"]] == ["passed", "running"]
    assert not found["finished"]
    assert "The run was not finished when this was written." in text
    for _ in range(100):
        if not alive(child):
            break
        time.sleep(0.05)
    assert not alive(child)


def alive(process: int) -> bool:
    """Whether a process runs; one that has ended and waits to be collected does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_sanitizers_complaint_fails_the_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tool = tmp_path / "compute-sanitizer"
    tool.write_text(SANITIZER)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path), os.environ["PATH"]]))
    monkeypatch.setenv("COMPLAINT", "Invalid __global__ write of size 4 bytes")
    monkeypatch.setattr(sanitizer, "TOOLS", {"memcheck": ()})
    assert sanitizer.find() == str(tool)
    book = Book(tmp_path / "book.json", "emulated", 60)
    sanitizer.run(book)
    assert book.found["tables"][""][0]["result"] == "1 error"
    (fault,) = book.found["faults"]
    assert fault.startswith("memcheck complains:\n========= Invalid __global__ write of size 4 bytes")


SUITE = {
    "test_bad": (
        "import pytest\ndef test_good(): pass\ndef test_bad(): assert 1 == 2\n"
        "def test_skipped(): pytest.skip('no')\n@pytest.mark.xfail\ndef test_x(): assert 0\n"
    ),
    "test_import": "import no_such_module\n",
    "test_dies": (
        "import os, pytest\nlost = []\n"
        "@pytest.mark.parametrize('i', range(6), ids=['first', *'12345'])\ndef test_dies(i):\n"
        "    if i == 1: os._exit(7)\n    assert not lost, 'the same process'\n    if i != 3: return\n"
        "    lost.append(i)\n    raise RuntimeError('cudaErrorIllegalAddress: an illegal access')\n"
    ),
    "test_hangs": "import time\ndef test_hangs(): time.sleep(60)\ndef test_after(): pass\n",
    "test_slow": "import pytest, time\n@pytest.mark.parametrize('i', range(50))\ndef test_slow(i): time.sleep(0.3)\n",
    "test_device": (
        "import os, pytest\nseen = []\n"
        "@pytest.mark.parametrize('device', ['cpu', 'emulated'])\n@pytest.mark.parametrize('i', range(3))\n"
        "def test_device(device, i):\n    seen.append(device)\n    assert os.environ['GRADFLOW_DEVICE'] == 'cpu'\n"
        "    assert seen == sorted(seen, reverse=True), seen\n"
    ),
}


def run_suite(folder: Path, *names: str, but: str = "none", seconds: float = 60.0, **options: Any) -> dict[str, Any]:
    for name in names:
        (folder / f"{name}.py").write_text(SUITE[name])
    what = [*[str(folder / f"{name}.py") for name in names], "-k", f"not {but}"]
    counts, said = suite.pytest(what, Book(folder / "book.json", "emulated", 60), seconds, **options)
    return {**counts, "said": said}


def test_failing_tests_are_named_and_files_that_cannot_be_imported(tmp_path: Path):
    found = run_suite(tmp_path, "test_bad", "test_import", processes=2)
    first, second = found["failures"]
    assert "test_bad.py::test_bad: " in first and "assert 1 == 2" in first
    assert "test_import.py: " in second and "No module named 'no_such_module'" in second
    counts = [found[name] for name in ("collected", "done", "passed", "failed", "skipped", "xfailed")]
    assert counts == [4, 4, 1, 2, 1, 1], found


def test_tests_stop_when_time_is_up_and_are_counted(tmp_path: Path):
    seen: list[dict[str, Any]] = []
    found = run_suite(tmp_path, "test_slow", seconds=5.0, keep=seen.append)
    assert 0 < found["passed"] == found["done"] < 20, found
    assert found["collected"] == 50
    assert found["failures"] == []
    assert seen and seen[-1]["collected"] in (0, 50)


def test_a_test_that_ends_the_process_or_breaks_the_gpu_is_told_and_the_rest_is_run(tmp_path: Path):
    found = run_suite(tmp_path, "test_dies", but="first")
    assert (found["collected"], found["done"], found["passed"], found["failed"]) == (5, 5, 3, 2), found
    assert "test_dies[1]: its process ended with 7" in found["failures"][0]
    assert "test_dies[3]: RuntimeError: cudaErrorIllegalAddress" in found["failures"][1]


def test_a_test_that_hangs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GPU_CHECK_PATIENCE", "2")
    found = run_suite(tmp_path, "test_hangs")
    assert (found["collected"], found["done"], found["passed"], found["failed"]) == (2, 2, 1, 1), found
    (failure,) = found["failures"]
    assert "test_hangs.py::test_hangs: its process ended with 1: Timeout" in failure
    assert 'test_hangs.py", line 2 in test_hangs' in failure


def test_those_on_the_device_come_first(tmp_path: Path):
    found = run_suite(tmp_path, "test_device", processes=2)
    assert (found["collected"], found["passed"]) == (6, 6), found


def test_a_peer_that_fails_is_started_again(tmp_path: Path):
    book = Book(tmp_path / "book.json", "cpu", 60)
    module = "bench.gpu_check.kernels"
    with Duel(book) as duel:
        first = duel.run("x", [Entry("gradflow", "gradflow", module, {"case": "nothing", "size": 8})], 0.0)["gradflow"]
        assert first.error == "KeyError: 'nothing'"
        assert first.ms is None
        again = duel.run("y", [Entry("gradflow", "gradflow", module, {"case": "relu", "size": 8})], 0.0)["gradflow"]
        assert again.error is None
        assert again.over(again) == 1.0
    assert book.found["faults"] == ["x, gradflow: KeyError: 'nothing'"]
    none = Peer("no_such_library", "cpu")
    assert "ModuleNotFoundError" in none.ask(clear=True)["error"]
    assert near([1.0, 0.001], [1.04, 0.002])
    assert not near([1.0], [1.1])


def test_numbers_are_readable():
    shown = [page.cell(v) for v in (None, True, 3, 0.0, 0.12345, 1.2345, 12.345, 123.45, 12345.6, 1.2e-7, "a|b\nc")]
    assert shown == ["-", "True", "3", "0.000", "0.123", "1.23", "12.3", "123", "12,346", "1.20e-07", "a\\|b c"]
