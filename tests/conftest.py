"""Fixtures that all tests can use."""

from __future__ import annotations

import gc
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for `fake_cupy`, whichever import mode pytest runs in

import fake_cupy
import fake_cupy.scipy

from gradflow.backend import device as devices
from gradflow.backend import diagnose
from gradflow.backend.cuda.emulated import EmulatedBackend
from gradflow.backend.cuda.emulator import EmulatorError
from gradflow.backend.cuda.program import Program


def pytest_collection_finish() -> None:
    """Has the garbage collector pass over the thousands of tests: they stay, and a look at them takes half a second."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: Any) -> Any:
    """Skips a test that needs what a machine may lack: a C++ compiler for the emulated device, or ml_dtypes."""
    try:
        return (yield)
    except (EmulatorError, ImportError) as error:
        if "needs a C++ compiler" in str(error) or "needs the package ml_dtypes" in str(error):
            pytest.skip(str(error))
        raise


@pytest.fixture(scope="session", autouse=True)
def kernels_of_a_source_together() -> Iterator[None]:
    """Has all that the kernel cases need of a source compiled when its first kernel is wanted, on all cores."""

    def companions(program: Program, instance: str) -> set[str]:
        from kernels import compiled

        traits = EmulatedBackend.multiprocessors, EmulatedBackend.max_blocks, EmulatedBackend.shared_optin
        known = compiled.instances(*traits).get(program, {})
        return set(known) if instance in known else {instance}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EmulatedBackend, "companions", staticmethod(companions))
        yield


@pytest.fixture
def fake_cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """A machine with two GPUs that are not there: `import cupy` gives a stand-in (see `fake_cupy`).

    Call it to have another machine, with the fields of `fake_cupy.World`: `fake_cuda(devices=1, missing=("nvrtc",))`.
    It returns the stand-in module; `.world` of that is the machine.
    """

    def machine(**options: Any) -> Any:
        module = fake_cupy.build(**options)
        pathfinder = types.ModuleType("cuda.pathfinder")
        headers = None if "headers" in module.world.missing else "/fake/include"
        pathfinder.find_nvidia_header_directory = lambda name: headers  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "cupy", module)
        for name, part in fake_cupy.scipy.build().items():
            monkeypatch.setitem(sys.modules, name, part)
        monkeypatch.setitem(sys.modules, "cuda", types.ModuleType("cuda"))
        monkeypatch.setitem(sys.modules, "cuda.pathfinder", pathfinder)
        monkeypatch.setattr(diagnose, "driver_version", lambda: module.world.driver)
        devices.forget_devices()
        return module

    monkeypatch.delenv("GRADFLOW_DEVICE", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    machine(devices=2)
    yield machine
    monkeypatch.undo()
    devices.forget_devices()


@pytest.fixture
def no_cupy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """A machine without CuPy and without a driver; call it with a driver's version for one that has a driver."""

    def driver(version: int) -> None:
        monkeypatch.setattr(diagnose, "driver_version", lambda: version)
        devices.forget_devices()

    monkeypatch.delenv("GRADFLOW_DEVICE", raising=False)
    monkeypatch.setitem(sys.modules, "cupy", None)  # type: ignore[arg-type]
    driver(0)
    yield driver
    monkeypatch.undo()
    devices.forget_devices()
