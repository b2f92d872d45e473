"""The CUDA backend against the stand-in for CuPy: copies, layouts, indices, devices."""

from __future__ import annotations

import sys
import threading
import time

import numpy as np
import pytest

import gradflow as gf
from gradflow.backend import cupy as cupy_backend
from gradflow.backend import get_backend, kernels
from gradflow.backend.cuda.launcher import forget_plans
from gradflow.backend.cuda.plan import LaunchError
from gradflow.backend.cuda.program import Program
from gradflow.nn import functional as F


@pytest.fixture
def backend(fake_cuda):
    return get_backend("cuda:1")


@pytest.fixture
def world(backend):
    return backend.module.world


LAYOUTS = {
    "scalar": lambda: np.array(2.5),
    "vector": lambda: np.arange(5.0),
    "every other": lambda: np.arange(10.0)[::2],
    "reversed": lambda: np.arange(12.0).reshape(3, 4)[::-1, ::-1],
    "fortran": lambda: np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "channels last": lambda: np.arange(120.0).reshape(2, 4, 5, 3).transpose(0, 3, 1, 2),
    "part of channels last": lambda: np.arange(120.0).reshape(2, 4, 5, 3).transpose(0, 3, 1, 2)[:, 1:, ::2],
    "broadcast": lambda: np.broadcast_to(np.arange(3.0), (4, 3)),
    "empty": lambda: np.zeros((3, 0, 2)),
    "one image": lambda: np.zeros((4, 5, 3, 1)).transpose(3, 2, 0, 1),
}


@pytest.mark.parametrize("make", LAYOUTS.values(), ids=LAYOUTS)
def test_there_and_back(backend, make):
    array = make()
    there = backend.from_host(array)
    assert type(there) is backend.array_type
    assert there.device.id == 1
    assert there.shape == array.shape
    assert there.dtype == array.dtype
    back = backend.to_host(there)
    assert type(back) is np.ndarray
    assert np.array_equal(back, array)


def test_channels_last_stays_channels_last(backend):
    array = LAYOUTS["channels last"]()
    there = backend.from_host(array)
    assert there.strides == array.strides
    assert backend.to_host(there).strides == array.strides


@pytest.mark.parametrize("dtype", ["?", "u1", "i4", "i8", "f2", "f4", "f8", ">f4", ">i2"])
def test_dtypes(backend, dtype):
    array = np.arange(6).astype(dtype)
    there = backend.from_host(array)
    assert there.dtype == array.dtype.newbyteorder("=")
    assert there.dtype.isnative
    assert np.array_equal(backend.to_host(there), array)


def test_bfloat16(backend):
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    array = np.arange(6).astype(bfloat16)
    there = backend.from_host(array)
    assert there.dtype == bfloat16
    assert np.array_equal(backend.to_host(there), array)


class TestCopiesToTheDevice:
    def test_do_not_wait(self, backend, world):
        before = world.waits
        backend.from_host(np.arange(5.0))
        assert world.waits == before
        assert world.finished < world.started

    def test_read_the_source_before_they_return(self, backend):
        source = np.arange(5.0)
        there = backend.from_host(source)
        source[:] = -1
        assert backend.to_host(there).tolist() == [0, 1, 2, 3, 4]

    def test_hold_their_pinned_memory_until_they_are_done(self, backend, world):
        arrays = [np.full(64, float(i)) for i in range(8)]  # all of one size: the pool would reuse a block at once
        there = [backend.from_host(a) for a in arrays]
        assert len(world.blocks) == 8
        assert [float(backend.to_host(t)[0]) for t in there] == list(range(8))

    def test_give_pinned_memory_back(self, backend, world):
        for i in range(20):
            backend.from_host(np.full(64, i))
            backend.synchronize()
        assert len(world.blocks) == len(world.free) == 1

    def test_large_ones_go_in_pieces(self, backend, world, monkeypatch):
        monkeypatch.setattr(cupy_backend, "STAGING_BYTES", 1024)
        array = np.random.default_rng(0).normal(size=(33, 41))
        there = backend.from_host(array)
        assert world.started - world.finished == -(-array.nbytes // 1024)
        assert np.array_equal(backend.to_host(there), array)

    def test_go_without_pinned_memory_where_there_is_none(self, fake_cuda, monkeypatch):
        monkeypatch.setattr(cupy_backend, "STAGING_BYTES", 1024)
        fake_cuda(pinned_limit=2048)
        backend, array = get_backend("cuda"), np.random.default_rng(0).normal(size=(33, 41))
        assert np.array_equal(backend.to_host(backend.from_host(array)), array)

    def test_other_errors_are_not_taken_for_a_lack_of_memory(self, backend, monkeypatch):
        error = backend.module.cuda.runtime.CUDARuntimeError(999)

        def fail(size):
            raise error

        monkeypatch.setattr(backend.module.cuda, "alloc_pinned_memory", fail)
        with pytest.raises(RuntimeError) as caught:
            backend.from_host(np.zeros(3))
        assert caught.value is error

    def test_from_several_threads(self, backend):
        results = {}

        def work(i):
            there = [backend.from_host(np.full(100, i * 10 + j)) for j in range(10)]
            results[i] = [int(backend.to_host(t)[99]) for t in there]

        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert results == {i: [i * 10 + j for j in range(10)] for i in range(4)}


def test_copies_to_the_host_are_fresh(backend):
    there = backend.from_host(np.arange(4.0))
    first = backend.to_host(there)
    first[:] = 9
    assert backend.to_host(there).tolist() == [0, 1, 2, 3]


class TestAsArray:
    def test_leaves_arrays_alone(self, backend):
        x = backend.from_host(np.arange(3))
        assert backend.as_array(x) is x

    @pytest.mark.parametrize("value", [2.5, 3, True, np.float32(2.5), [1, 2]])
    def test_moves_other_values(self, backend, value):
        x = backend.as_array(value)
        assert type(x) is backend.array_type
        assert x.device.id == 1
        assert x.tolist() == np.asarray(value).tolist()
        assert x.dtype == np.asarray(value).dtype


INDICES = [
    ([0, 4, -5], -5, 5, None),
    ([0, 5, 7], -5, 5, 5),
    ([3, -6, 9], -5, 5, -6),
    ([[0, 1], [2, -1]], 0, 3, -1),
    ([], 0, 0, None),
    ([0], 0, 0, 0),
]


class TestCheckIndex:
    @pytest.mark.parametrize(("values", "low", "high", "bad"), INDICES)
    def test_on_the_host_it_names_the_first_bad_value(self, values, low, high, bad):
        assert get_backend("cpu").check_index(np.array(values, np.int64), low, high) == bad

    @pytest.mark.parametrize("name", ["cuda:0", "cuda:1", "emulated"])
    @pytest.mark.parametrize(("values", "low", "high", "bad"), INDICES)
    def test_on_a_device_the_next_synchronisation_tells(self, fake_cuda, name, values, low, high, bad):
        backend = get_backend(name)
        index = backend.from_host(np.array(values, np.int64))
        assert backend.check_index(index, low, high, "take") is None
        if bad is None:
            backend.synchronize()
            return
        with pytest.raises(IndexError, match=rf"\[take\] indices must be in \[{low}, {high}\), got"):
            backend.synchronize()
        backend.synchronize()  # told once

    @pytest.mark.parametrize("name", ["cuda:1", "emulated"])
    def test_copying_to_the_host_is_a_synchronisation(self, fake_cuda, name):
        backend = get_backend(name)
        index = backend.from_host(np.array([0, 200, 255], np.uint8))
        backend.check_index(index, -300, 300)
        assert backend.to_host(index).tolist() == [0, 200, 255]
        backend.check_index(index, -201, 201)
        with pytest.raises(IndexError, match="got 255"):
            backend.to_host(index)

    def test_it_does_not_wait(self, backend, world):
        index = backend.from_host(np.arange(5))
        backend.synchronize()
        before = world.waits
        backend.check_index(index, 0, 5)
        assert world.waits == before


class TestGuard:
    def test_only_where_there_is_a_choice(self, fake_cuda):
        assert get_backend("cuda:0").guard is not None
        assert get_backend("cuda:1").guard is not None
        assert get_backend("cpu").guard is None
        fake_cuda(devices=1)
        assert get_backend("cuda:0").guard is None

    def test_can_be_entered_again_and_returns(self, backend):
        current = sys.modules["cupy"].cuda.runtime.getDevice
        zero = get_backend("cuda:0").guard
        with backend.guard:
            with zero:
                with backend.guard, backend.guard:
                    assert current() == 1
                assert current() == 0
            assert current() == 1
        assert current() == 0

    def test_is_per_thread(self, backend):
        current, seen = sys.modules["cupy"].cuda.runtime.getDevice, []
        with backend.guard:
            thread = threading.Thread(target=lambda: seen.append(current()))
            thread.start()
            thread.join()
        assert seen == [0]

    def test_methods_need_no_guard(self, backend):
        x = backend.from_host(np.arange(6).reshape(2, 3))
        assert backend.to_host(x.T).tolist() == [[0, 3], [1, 4], [2, 5]]
        backend.check_index(x, 0, 6)
        backend.synchronize()


def test_a_block_that_needs_too_many_registers_is_refused(fake_cuda):
    fake_cuda(threads=128)
    x = gf.ones(3, device="cuda")
    with pytest.raises(LaunchError, match=r"\[activation<.*a block of 256 threads, but at 512 registers"):
        gf.sigmoid(x)


def test_repr(backend):
    assert repr(backend) == "<CupyBackend cuda:1>"


class TestLaunches:
    def test_run_on_the_device_of_their_operands(self, fake_cuda):
        for device in ("cuda:0", "cuda:1", "cuda:0"):
            assert gf.sigmoid(gf.zeros(3, device=device)).tolist() == [0.5] * 3
        kernels.reset()
        gf.sigmoid(gf.zeros(3, device="cuda:1"))
        assert kernels.launches() == {"sigmoid": 1}

    def test_prepare_what_never_changes_once(self, fake_cuda, monkeypatch):
        made, backend = [], get_backend("cuda:0")
        monkeypatch.setattr(backend, "by_value", lambda value: made.append(value) or value)
        forget_plans()
        for _ in range(3):
            gf.sigmoid(gf.zeros(3, device="cuda:0"))
        assert len(made) == 1  # the number of elements

    def test_source_that_does_not_compile_names_its_line(self, backend):
        program = Program("\n__global__ void broken(float* y) {\n    y[0] = +;\n}\n", "mine.cu")
        with pytest.raises(RuntimeError, match=r"(?s)\[mine.cu\] NVRTC cannot compile broken:\n.*mine\.cu:3"):
            backend.load(program, "broken", 32, 0)

    @pytest.mark.parametrize(("static", "shared"), [(0, 49 << 10), (1 << 10, 48 << 10), (0, 99 << 10)])
    def test_ask_for_more_shared_memory_than_kernels_have(self, fake_cuda, static, shared):
        fake_cuda(devices=2, static_shared=static)
        backend = get_backend("cuda:1")
        program = Program("__global__ void f(float* y) { extern __shared__ float all[]; y[0] = all[0]; }", "mine.cu")
        backend.load(program, "f", 32, 1 << 10)
        run = backend.load(program, "f", 32, shared)
        backend.load(program, "f", 32, shared - 1)  # a smaller launch of the same kernel takes nothing away
        assert run.raw.max_dynamic_shared_size_bytes == shared
        with backend.guard:
            run((1, 1, 1), (32, 1, 1), [backend.from_host(np.zeros(1, "f4"))], shared)

    def test_of_more_shared_memory_than_there_is_are_refused(self, fake_cuda):
        fake_cuda(static_shared=1 << 10)
        backend = get_backend("cuda:0")
        program = Program("__global__ void f(float* y) { y[0] = 0; }", "mine.cu")
        backend.load(program, "f", 32, 98 << 10)
        with pytest.raises(LaunchError, match=r"\[f\] 100353 bytes of shared memory and 1024 that the kernel declares"):
            backend.load(program, "f", 32, (98 << 10) + 1)

    def test_words_of_faults_asked_for_by_two_threads_are_in_one_memory(self, backend, monkeypatch):
        cuda, entered = backend.module.cuda, []
        original = cuda.alloc_pinned_memory

        def slow(size):
            entered.append(size)
            time.sleep(0.05)
            return original(size)

        monkeypatch.setattr(cuda, "alloc_pinned_memory", slow)
        words = []
        threads = [threading.Thread(target=lambda i=i: words.append(backend.fault_word(str(i), "x"))) for i in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert len(entered) == 1
        assert sorted([int(w - min(words)) for w in words]) == [0, 8, 16, 24]


def test_a_users_kernel_runs_and_is_checked(fake_cuda):
    source = (
        '#include "common.cuh"\ntemplate <typename T> __global__ void f(const T* x, T* y, acc_t<T> k, FastDiv d) {\n'
    )
    source += "    y[threadIdx.x] = narrow<T>(widen(x[threadIdx.x]) * k + quotient(7, d));\n}\n"

    @gf.cuda_kernel(source=source, reference=lambda np, x, *, k=1.0: x * k + 2, dtypes=("f4", "f8", "f2"))
    def stretched(plan, x, *, k=1.0):
        y = plan.empty_like(x)
        plan.launch("f", [x.dtype], x, y, k, plan.fast_div(3), grid=(1,), block=x.size)
        return y

    report = stretched.check((5,), k=2.0, device="cuda:1")
    assert [(c.kernel, c.dtype) for c in report] == [("stretched", d) for d in ("f4", "f8", "f2")]


def test_memory_that_runs_out_in_the_middle_of_a_plan_leaves_no_trace(fake_cuda, monkeypatch):
    backend = get_backend("cuda:0")
    x = gf.tensor([[0.0, 1.0], [2.0, 0.0]], device="cuda:0", requires_grad=True)
    cuda, asked = backend.module.cuda, []
    original = cuda.alloc

    def limited(size):
        asked.append(size)
        if len(asked) == 2:
            raise MemoryError(f"Out of memory allocating {size:,} bytes")
        return original(size)

    monkeypatch.setattr(cuda, "alloc", limited)
    labels = gf.tensor([1, 0], device="cuda:0")
    kernels.reset()
    with pytest.raises(MemoryError, match="Out of memory"):
        F.cross_entropy(x, labels)
    assert len(asked) == 2
    assert kernels.launches().get("softmax_cross_entropy") is None
    loss = F.cross_entropy(x, labels)
    loss.backward()
    expected = F.cross_entropy(x.detach().cpu(), labels.cpu())
    assert np.isclose(loss.item(), expected.item())
