"""Which device is used, what is said about it, and errors that name the cure."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from gradflow.backend import (
    Device,
    DeviceError,
    backend_of,
    default_device,
    get_backend,
    mixed_devices_error,
    parse_device,
    set_default_device,
)
from gradflow.backend import device as devices
from gradflow.backend.cupy import CupyBackend

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("cpu", Device("cpu")),
        ("cuda", Device("cuda", 0)),
        ("cuda:1", Device("cuda", 1)),
        ("cuda:12", Device("cuda", 12)),
        (1, Device("cuda", 1)),
        (Device("cuda"), Device("cuda", 0)),
        (Device("cuda", 3), Device("cuda", 3)),
        (Device("cpu"), Device("cpu")),
    ],
)
def test_parse(spec, expected):
    assert parse_device(spec) == expected


@pytest.mark.parametrize("spec", ["gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1:2", "cpu:1", "", "CUDA"])
def test_parse_refuses_other_names(spec):
    with pytest.raises(DeviceError, match=r"\[device\] .* names no device; say 'auto', 'cpu', 'cuda'"):
        parse_device(spec)


@pytest.mark.parametrize("spec", [1.5, True, ["cpu"], np.float32])
def test_parse_refuses_other_types(spec):
    with pytest.raises(TypeError, match=r"\[device\] expected a name such as 'cpu'"):
        parse_device(spec)


def test_a_device_of_an_unknown_type_has_no_backend():
    with pytest.raises(DeviceError, match="tpu names no device"):
        get_backend(Device("tpu"))


def test_one_backend_per_device(fake_cuda):
    assert get_backend("cpu") is get_backend(Device("cpu"))
    assert get_backend("cuda") is get_backend("cuda:0") is get_backend(0)
    assert get_backend("cuda:1") is not get_backend("cuda:0")
    assert str(get_backend("cuda:1").device) == "cuda:1"


def test_one_backend_per_device_among_threads(fake_cuda, monkeypatch):
    class Slow(CupyBackend):
        def __init__(self, index):
            time.sleep(0.05)  # long enough for the other threads to have found no backend yet
            super().__init__(index)

    monkeypatch.setattr("gradflow.backend.cupy.CupyBackend", Slow)
    found, start = [], threading.Barrier(8)

    def ask():
        start.wait()
        found.append(get_backend("cuda:1"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(found) == 8
    assert len(set(map(id, found))) == 1


class TestAuto:
    def test_takes_a_gpu_that_works(self, fake_cuda, caplog):
        caplog.set_level(logging.INFO, "gradflow")
        assert parse_device("auto") == Device("cuda", 0)
        assert caplog.messages == ["using cuda:0 (Fake GPU 0)"]

    def test_without_cupy_it_is_the_cpu_and_silent(self, no_cupy, caplog):
        caplog.set_level(logging.INFO, "gradflow")
        assert default_device() == Device("cpu")
        assert [r.levelname for r in caplog.records] == ["INFO"]
        assert "CuPy is not installed" in caplog.text

    def test_a_broken_cuda_is_warned_of_once(self, fake_cuda, caplog):
        fake_cuda(driver=0)
        assert parse_device("auto") == default_device() == parse_device("auto") == Device("cpu")
        assert [r.levelname for r in caplog.records] == ["WARNING"]
        assert "using the CPU: no NVIDIA driver is loaded; cure: " in caplog.text

    def test_the_variable_decides(self, fake_cuda, monkeypatch):
        monkeypatch.setenv("GRADFLOW_DEVICE", "cuda:1")
        assert default_device() == Device("cuda", 1)
        assert get_backend().device == Device("cuda", 1)

    def test_the_variable_is_named_when_it_asks_for_what_is_not_there(self, no_cupy, monkeypatch):
        monkeypatch.setenv("GRADFLOW_DEVICE", "cuda")
        with pytest.raises(
            DeviceError, match=r"CuPy is not installed.*\(asked for by the variable GRADFLOW_DEVICE=cuda\)"
        ):
            default_device()

    def test_the_program_decides_over_the_variable(self, fake_cuda, monkeypatch):
        monkeypatch.setenv("GRADFLOW_DEVICE", "cuda:1")
        set_default_device("cpu")
        assert default_device() == Device("cpu")
        set_default_device(None)
        assert default_device() == Device("cuda", 1)

    def test_a_default_that_cannot_be_had_is_refused_at_once(self, no_cupy):
        before = default_device()
        with pytest.raises(DeviceError, match="CuPy is not installed"):
            set_default_device("cuda")
        assert default_device() == before


class TestAskingForCuda:
    def ask(self, spec="cuda"):
        with pytest.raises(DeviceError) as caught:
            get_backend(spec)
        return str(caught.value)

    def test_no_such_gpu(self, fake_cuda):
        assert self.ask("cuda:2") == (
            "[device] cuda:2 cannot be had: CUDA sees 2 of them, cuda:0 (Fake GPU 0), cuda:1 (Fake GPU 1); "
            "name one of those"
        )

    def test_nothing_installed(self, no_cupy):
        message = self.ask()
        assert message.startswith("[device] cuda:0 cannot be had: CuPy is not installed; cure: install NVIDIA's driver")
        assert message.endswith("pip install 'gradflow[cuda13]'")

    @pytest.mark.parametrize(("driver", "cure"), [(13010, "[cuda13]"), (12040, "[cuda12]"), (14000, "[cuda13]")])
    def test_the_install_line_suits_the_driver(self, no_cupy, driver, cure):
        no_cupy(driver)
        assert self.ask().endswith(f"CuPy is not installed; cure: pip install 'gradflow{cure}'")

    def test_a_library_is_missing(self, fake_cuda):
        fake_cuda(missing=("nvrtc",))
        message = self.ask()
        assert "libnvrtc cannot be loaded" in message
        assert message.endswith("cure: pip install 'gradflow[cuda13]'")


class TestBackendOf:
    def test_numpy_and_what_derives_from_it(self, tmp_path):
        class Mine(np.ndarray):
            pass

        cpu = get_backend("cpu")
        mapped = np.memmap(tmp_path / "m", np.float32, "w+", shape=(2,))
        assert backend_of(np.zeros(2)) is backend_of(np.zeros(2).view(Mine)) is backend_of(mapped) is cpu

    def test_cupy_by_device(self, fake_cuda):
        zero, one = get_backend("cuda:0"), get_backend("cuda:1")
        assert backend_of(zero.from_host(np.ones(2))) is zero
        assert backend_of(one.from_host(np.ones(2))) is one

    def test_an_array_that_came_from_elsewhere(self, fake_cuda):
        cupy = sys.modules["cupy"]
        with cupy.cuda.Device(1):
            array = cupy.zeros(3)
        assert backend_of(array) is get_backend("cuda:1")

    def test_numpy_scalars_are_on_the_host(self):
        assert backend_of(np.zeros(()) * 2) is get_backend("cpu")

    @pytest.mark.parametrize("value", [1.0, [1.0], None])
    def test_other_things_are_refused(self, value):
        with pytest.raises(TypeError, match=r"\[device\] expected a NumPy or CuPy array, got "):
            backend_of(value)

    def test_a_half_imported_cupy_is_no_obstacle(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "cupy", type(sys)("cupy"))
        assert backend_of(np.zeros(1).view(np.recarray)) is get_backend("cpu")


class TestMixedDevices:
    def test_names_both_operands_and_the_cure(self, fake_cuda):
        x = np.zeros((2, 3), np.float32)
        w = get_backend("cuda:1").from_host(np.zeros(3, np.int64))
        assert str(mixed_devices_error("add", x, w, names=("x", "w"))) == (
            '[add] x (2, 3) float32 is on cpu and w (3,) int64 is on cuda:1; move x with .to("cuda:1")'
        )

    def test_the_host_operand_moves_whichever_comes_first(self, fake_cuda):
        x, y = np.zeros(2), get_backend("cuda").from_host(np.zeros(3))
        assert 'move operand 3 with .to("cuda:0")' in str(mixed_devices_error("cat", y, y, x))

    def test_two_gpus_and_numbers_between(self, fake_cuda):
        x, y = [get_backend(i).from_host(np.zeros(2)) for i in (0, 1)]
        message = str(mixed_devices_error("where", None, x, 1.0, np.float32(2), y))
        assert "operand 2 (2,) float64 is on cuda:0 and operand 5 (2,) float64 is on cuda:1" in message
        assert 'move operand 5 with .to("cuda:0")' in message


def test_importing_loads_neither_cupy_nor_what_only_a_gpu_needs():
    code = (
        "import sys; import gradflow.backend; from gradflow.backend import *; import numpy as np; "
        "assert backend_of(np.zeros(1)).device.type == 'cpu' and parse_device('cuda:1').index == 1; "
        "bad = {'cupy', 'gradflow.backend.cupy', 'gradflow.backend.diagnose', 'importlib.metadata', 'rich'}; "
        "sys.exit(str(bad & set(sys.modules)) if bad & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_forgetting_looks_again(fake_cuda):
    assert default_device().type == "cuda"
    devices.forget_devices()
    fake_cuda(driver=0)
    assert default_device().type == "cpu"
