"""What is said to be missing, and the cure for it."""

from __future__ import annotations

import ctypes
import importlib.abc
import sys

import pytest

from gradflow.backend import diagnose
from gradflow.backend.diagnose import diagnose_cuda


class Broken(importlib.abc.MetaPathFinder):
    """Makes `import cupy` fail with `error`."""

    def __init__(self, error):
        self.error = error

    def find_spec(self, name, path=None, target=None):
        if name == "cupy":
            raise self.error
        return None


def broken_import(monkeypatch, error):
    monkeypatch.delitem(sys.modules, "cupy")
    monkeypatch.setattr(sys, "meta_path", [Broken(error), *sys.meta_path])
    return diagnose_cuda()


def test_all_is_well(fake_cuda):
    found = diagnose_cuda()
    assert found.ok
    assert found.installed
    assert not found.reason
    assert not found.cure
    assert (found.cupy_version, found.driver_version, found.runtime_version) == ("14.2.0", "13.0", "13.2")
    assert [(g.index, g.name, g.capability, g.memory) for g in found.devices] == [
        (0, "Fake GPU 0", (9, 0), 80 << 30),
        (1, "Fake GPU 1", (9, 0), 80 << 30),
    ]


def test_no_cupy(no_cupy):
    found = diagnose_cuda()
    assert not found.ok
    assert not found.installed
    assert found.reason == "CuPy is not installed"
    assert "none is loaded" in found.cure
    assert found.cure.endswith("pip install 'gradflow[cuda13]'")


def test_no_cupy_and_an_old_driver(no_cupy):
    no_cupy(11040)
    assert "update NVIDIA's driver" in diagnose_cuda().cure
    assert "ends at CUDA 11.4" in diagnose_cuda().cure


def test_no_cupy_on_macos(no_cupy, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert diagnose_cuda().cure == "there is no CUDA on macOS; use device='cpu'"


def test_cupy_that_cannot_be_imported(fake_cuda, monkeypatch):
    banner = "=" * 60
    error = ImportError(f"\n{banner}\nFailed to import CuPy.\n\nOriginal error:\n  ImportError: libx.so.1\n{banner}\n")
    found = broken_import(monkeypatch, error)
    assert found.reason == "CuPy is installed but cannot be imported (ImportError: ImportError: libx.so.1)"
    assert found.cure.startswith("install it again: pip uninstall -y cupy")
    assert "[cuda13]" in found.cure


def test_cupy_whose_own_needs_are_missing(fake_cuda, monkeypatch):
    found = broken_import(monkeypatch, ModuleNotFoundError("No module named 'fastrlock'", name="fastrlock"))
    assert "cannot be imported" in found.reason
    assert "fastrlock" in found.reason


def test_no_driver(fake_cuda):
    fake_cuda(driver=0)
    found = diagnose_cuda()
    assert found.reason == "no NVIDIA driver is loaded"
    assert "--gpus all" in found.cure
    assert found.installed
    assert found.driver_version is None
    assert found.runtime_version == "13.2"


def test_driver_too_old(fake_cuda):
    fake_cuda(driver=12080)
    found = diagnose_cuda()
    assert found.reason == "NVIDIA's driver is too old: it ends at CUDA 12.8 and CuPy was built for 13.2"
    assert found.cure.endswith("or use CUDA 12: pip uninstall -y cupy-cuda13x; pip install 'gradflow[cuda12]'")
    fake_cuda(driver=11080, runtime=12090)
    assert "use CUDA 12" not in diagnose_cuda().cure


def test_an_older_driver_of_the_same_major_version_will_do(fake_cuda):
    fake_cuda(driver=13000, runtime=13020)
    assert diagnose_cuda().ok


def test_no_gpu(fake_cuda, monkeypatch):
    fake_cuda(devices=0)
    assert diagnose_cuda().reason == "NVIDIA's driver finds no GPU"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    fake_cuda(devices=0)
    assert diagnose_cuda().reason == "CUDA_VISIBLE_DEVICES='' hides every GPU"


def test_a_gpu_too_old_for_the_libraries(fake_cuda):
    fake_cuda(capability=(6, 1))
    assert diagnose_cuda().reason == "Fake GPU 0 has compute capability 6.1 and CUDA 13 needs 7.5"
    assert "[cuda12]" in diagnose_cuda().cure
    fake_cuda(capability=(6, 1), runtime=12090)
    assert diagnose_cuda().ok


def test_a_start_that_fails_otherwise(fake_cuda):
    fake_cuda(status=803)
    assert diagnose_cuda().reason == "CUDA does not start (cudaError803: error 803)"


def test_a_gpu_without_free_memory(fake_cuda):
    fake_cuda(memory_error=MemoryError("Out of memory allocating 512 bytes"))
    found = diagnose_cuda()
    assert found.reason == "the GPU takes no data (MemoryError: Out of memory allocating 512 bytes)"
    assert "nvidia-smi" in found.cure


@pytest.mark.parametrize(
    ("missing", "name"), [("nvrtc", "libnvrtc"), ("cublas", "libcublas"), ("headers", "the CUDA headers")]
)
@pytest.mark.parametrize(("runtime", "extra"), [(13020, "cuda13"), (12090, "cuda12")])
def test_a_library_is_missing(fake_cuda, missing, name, runtime, extra):
    fake_cuda(missing=(missing,), runtime=runtime)
    found = diagnose_cuda()
    assert found.reason.startswith(f"{name} cannot be loaded (")
    assert found.cure == f"pip install 'gradflow[{extra}]'"


def test_the_driver_is_asked_without_cupy(monkeypatch):
    class Library:
        @staticmethod
        def cuDriverGetVersion(pointer):
            pointer._obj.value = 12040
            return 0

    monkeypatch.setattr(ctypes, "CDLL", lambda name: Library)
    assert diagnose.driver_version() == 12040

    def missing(name):
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert diagnose.driver_version() == 0
