"""`gradflow doctor`: the facts it finds, the advice it gives, and its exit status."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from gradflow.backend.blas import BlasFacts
from gradflow.cli import doctor


@pytest.fixture(autouse=True)
def healthy(monkeypatch, tmp_path):
    """A machine on which nothing is the matter, and no compiler is started."""
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("GRADFLOW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(doctor, "blas_facts", lambda: BlasFacts("openblas", "0.3", "Haswell", "Haswell", "", 2))
    compilers = {"g++": "g++ 12.2", "clang++": None, "nvcc": None}
    monkeypatch.setattr(
        doctor, "compiler_facts", lambda n: doctor.Compiler(n, f"/usr/bin/{n}" if compilers[n] else None, compilers[n])
    )


def printed(report, terminal=False, width=80):
    out = io.StringIO()
    doctor.render(report, Console(file=out, force_terminal=terminal, width=width))
    return out.getvalue()


def test_a_cpu_only_machine_is_well(no_cupy, capsys):
    assert doctor.run() == 0
    text = capsys.readouterr().out
    assert "  device    cpu: CuPy is not installed\n" in text
    assert "pip install 'gradflow[cuda13]'\n" in text
    assert "openblas 0.3, computing for Haswell, up to 2 threads" in text
    assert text.endswith("gradflow will run on cpu.\n")
    assert "Problems" not in text
    assert "Advice" not in text
    assert not any(line.endswith(" ") for line in text.splitlines())


def test_a_gpu_that_works(fake_cuda):
    report = doctor.examine()
    assert report.choice == doctor.DeviceChoice("cuda:0", "Fake GPU 0 works")
    text = printed(report)
    assert "cuda:1    Fake GPU 1, 80 GiB, compute capability 9.0\n" in text
    assert "CuPy      14.2.0, built for CUDA 13.2\n" in text
    assert "driver    up to CUDA 13.0\n" in text


def test_a_gpu_that_does_not_is_advice(fake_cuda):
    fake_cuda(missing=("nvrtc",))
    report = doctor.examine()
    assert report.choice.device == "cpu"
    assert not report.problems
    assert len(report.advice) == 1
    assert report.advice[0].endswith("Cure: pip install 'gradflow[cuda13]'")


def test_asking_for_a_gpu_that_is_not_there_is_a_problem(no_cupy, monkeypatch, capsys):
    monkeypatch.setenv("GRADFLOW_DEVICE", "cuda")
    assert doctor.run() == 1
    text = capsys.readouterr().out
    assert "device    none: GRADFLOW_DEVICE=cuda asks for it" in text
    assert "Problems\n  [device] cuda:0 cannot be had: CuPy is not installed; cure: " in text
    assert "gradflow will run" not in text


@pytest.mark.parametrize(("asked", "device"), [("cpu", "cpu"), ("cuda:1", "cuda:1")])
def test_what_is_asked_for_is_the_reason(fake_cuda, monkeypatch, asked, device):
    monkeypatch.setenv("GRADFLOW_DEVICE", asked)
    assert doctor.device_choice() == doctor.DeviceChoice(device, f"GRADFLOW_DEVICE={asked} asks for it")


def test_a_nonsense_variable_is_a_problem(no_cupy, monkeypatch):
    monkeypatch.setenv("GRADFLOW_DEVICE", "gpu")
    assert "'gpu' names no device" in doctor.examine().problems[0]


def test_advice_on_blas_compiler_and_cache(no_cupy, monkeypatch, tmp_path):
    pinned = BlasFacts("openblas", "0.3", "Haswell", "SkylakeX", "", 2, (("OPENBLAS_CORETYPE", "Haswell"),))
    monkeypatch.setattr(doctor, "blas_facts", lambda: pinned)
    monkeypatch.setattr(doctor, "compiler_facts", lambda name: doctor.Compiler(name, None, None))
    monkeypatch.setenv("GRADFLOW_CACHE", "/dev/null/cache")
    report = doctor.examine()
    assert len(report.advice) == 3
    assert not report.problems
    assert "env -u OPENBLAS_CORETYPE gradflow train" in report.advice[0]
    assert "no C++ compiler" in report.advice[1]
    assert "/dev/null/cache cannot be written" in report.advice[2]
    assert "GRADFLOW_CACHE" in report.advice[2]
    assert "set       OPENBLAS_CORETYPE=Haswell\n" in printed(report)


def test_the_cache(tmp_path, monkeypatch):
    missing = doctor.cache_facts()
    assert (missing.exists, missing.writable, missing.files, missing.size) == (False, True, 0, 0)
    (tmp_path / "cache" / "a").mkdir(parents=True)
    (tmp_path / "cache" / "a" / "k.so").write_bytes(b"x" * 100)
    found = doctor.cache_facts()
    assert (found.path, found.exists, found.files, found.size) == (tmp_path / "cache", True, 1, 100)


def test_versions_and_machine():
    versions = doctor.versions()
    assert versions["python"]
    assert versions["numpy"][0].isdigit()
    assert versions["rich"][0].isdigit()
    assert set(doctor.PACKAGES) < set(versions)
    machine = doctor.machine()
    assert all(machine.values())
    assert machine["cores"].endswith("usable")


def test_a_terminal_gets_folded_lines(no_cupy):
    text = printed(doctor.examine(), terminal=True, width=60)
    assert "\x1b[" in text


def test_a_pipe_gets_whole_lines(no_cupy):
    text = printed(doctor.examine(), width=40)
    assert "\x1b[" not in text
    assert any(len(line) > 60 for line in text.splitlines())


class TestCompilers:
    @pytest.fixture(autouse=True)
    def real(self, monkeypatch, healthy, tmp_path):
        monkeypatch.undo()
        monkeypatch.setenv("PATH", str(tmp_path))

    def program(self, tmp_path, name, script):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return str(path)

    def test_first_line(self, tmp_path):
        path = self.program(tmp_path, "g++", "echo 'g++ 13.1'; echo more")
        assert doctor.compiler_facts("g++") == doctor.Compiler("g++", path, "g++ 13.1")

    def test_nvcc_hides_its_version(self, tmp_path):
        self.program(tmp_path, "nvcc", "echo 'nvcc: NVIDIA'; echo 'tools, release 13.0, V13.0.88'; echo Build")
        assert doctor.compiler_facts("nvcc").version == "tools, release 13.0, V13.0.88"

    def test_missing_or_mute(self, tmp_path):
        assert doctor.compiler_facts("clang++") == doctor.Compiler("clang++", None, None)
        path = self.program(tmp_path, "g++", "exit 1")
        assert doctor.compiler_facts("g++") == doctor.Compiler("g++", path, None)
