"""The emulator: CUDA source compiled by a C++ compiler and run on NumPy memory."""

from __future__ import annotations

import functools
import math
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from kernels.harness import DTYPES

from gradflow.backend.cuda import emulator
from gradflow.backend.cuda.emulator import EmulatorError, Library, build
from gradflow.backend.dtypes import as_dtype

pytestmark = [
    pytest.mark.skipif(not any(map(shutil.which, ("g++", "clang++", "c++"))), reason="needs a C++ compiler"),
    pytest.mark.usefixtures("own_cache"),
]

SOURCE = (Path(__file__).parent / "emulator.cu").read_text(encoding="utf-8")
NAMES = (
    "scale<float,4> scale<double,1> by_value nothing where sum_rows leftovers<float> leftovers<int> overrun racy order "
    "shuffles shuffled_types votes halves some_left counts loop_sync divergent two_barriers missing_lane not_in_mask "
    "wrong_width atomics widen_half widen_bfloat16 narrow_half narrow_bfloat16 functions<float> functions<double> "
    "integers"
)
INSTANCES = NAMES.split()


@functools.cache
def compiled(ucontext: bool) -> Library:
    with pytest.MonkeyPatch.context() as patch:
        if ucontext:
            patch.setattr(emulator, "_FLAGS", (*emulator._FLAGS, "-DGF_EMULATOR_UCONTEXT"))
        return build(SOURCE, INSTANCES, filename="kernels.cu")


@pytest.fixture(params=["assembly", "ucontext"])
def library(request: pytest.FixtureRequest) -> Library:
    return compiled(request.param == "ucontext")


def run(library: Library, kernel: str, *args, grid=1, block=32, shared=0, reverse=False) -> None:
    """Launch; arrays are passed by their address, NumPy's scalars and size-1 structs by value."""
    passed = [a.ctypes.data if isinstance(a, np.ndarray) and a.ndim else a for a in args]
    grid, block = [(n, 1, 1) if isinstance(n, int) else n for n in (grid, block)]
    library.launch(kernel, grid, block, shared, passed, reverse=reverse)


# ---- grids, arguments -----------------------------------------------------------------------------------------------


def test_a_template_over_a_grid(library):
    for kernel, dtype, n in (("scale<float,4>", np.float32, 4), ("scale<double,1>", np.float64, 1)):
        x = np.arange(1000 * n, dtype=dtype)
        y = np.zeros_like(x)
        run(library, kernel, x, y, dtype(3), np.int64(1000), grid=3, block=96)
        np.testing.assert_array_equal(y, 3 * x)


@pytest.mark.parametrize("reverse", [False, True])
def test_every_thread_of_every_block_knows_its_place(library, reverse):
    out = np.zeros(24 * 30, np.uint32)
    run(library, "where", out, grid=(2, 3, 4), block=(5, 3, 2), reverse=reverse)
    np.testing.assert_array_equal(out, (1000 * np.arange(24)[:, None] + np.arange(30)).ravel())


def test_arguments_by_value(library):
    pair = np.dtype({"names": ["from", "counts", "factor"], "formats": ["u8", ("i4", 2), "f8"]}, align=True)
    x, out = np.arange(5, dtype=np.float32), np.zeros(1, np.float32)
    value = np.array((x.ctypes.data, (9, 3), 2.5), pair)
    run(library, "by_value", out, value, np.bool_(True), np.int8(-2), block=1)
    assert out[0] == 3 * 2.5 - 2
    run(library, "by_value", out, value[()], np.bool_(False), np.int8(-2), block=1)
    assert out[0] == -1
    run(library, "nothing")


def test_wrong_arguments_and_sizes_are_refused(library):
    x = np.zeros(4, np.float32)
    for message, call in (
        ("scale<float,4> takes 4 arguments, not 1", lambda: run(library, "scale<float,4>", x)),
        (
            "argument 2 must be a value of 4 bytes",
            lambda: run(library, "scale<float,4>", x, x, np.float64(1), np.int64(1)),
        ),
        ("argument 0 must be an address", lambda: run(library, "racy", np.float64(1))),
        ("argument 3 must be a value of 8 bytes", lambda: run(library, "scale<float,4>", x, x, np.float32(1), 1 << 40)),
        ("block of .* more than 1024 threads", lambda: run(library, "nothing", block=(32, 32, 2))),
        ("a grid of", lambda: run(library, "nothing", grid=(1, 0, 1))),
        ("a block of", lambda: run(library, "nothing", block=(1, 1, 65))),
        ("232449 bytes of dynamic shared memory", lambda: run(library, "nothing", shared=(227 << 10) + 1)),
    ):
        with pytest.raises(EmulatorError, match=message):
            call()


# ---- shared memory and barriers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("block", [1, 32, 128, 1024])
def test_a_reduction_in_shared_memory(library, block, reverse):
    x = np.random.default_rng(0).integers(-9, 9, (5, 300)).astype(np.float64)
    y = np.zeros(5)
    run(library, "sum_rows", x, y, np.int32(300), grid=5, block=block, shared=8 * block, reverse=reverse)
    np.testing.assert_array_equal(y, x.sum(1))


def test_shared_memory_is_poisoned_for_every_block(library):
    floats, ints = np.zeros(6, np.float32), np.zeros(6, np.int32)
    for _ in range(2):
        run(library, "leftovers<float>", floats, grid=3, block=1, shared=64)
        run(library, "leftovers<int>", ints, grid=3, block=1, shared=64)
        assert np.isnan(floats).all() and (ints == -1).all()


def test_writing_past_dynamic_shared_memory_is_reported(library):
    run(library, "overrun", np.int32(24), block=1, shared=100)
    with pytest.raises(EmulatorError, match=r"overrun, block \(0, 0, 0\): wrote past the end of its 100 bytes"):
        run(library, "overrun", np.int32(25), block=1, shared=100)
    run(library, "overrun", np.int32((227 << 8) - 1), block=1, shared=227 << 10)


def test_reverse_order_shows_a_missing_barrier(library):
    forward, backward = np.arange(64, dtype=np.int32), np.arange(64, dtype=np.int32)
    run(library, "racy", forward, block=64)
    run(library, "racy", backward, block=64, reverse=True)
    assert (forward != backward).any()


def test_threads_begin_and_resume_in_order(library):
    for reverse in (False, True):
        out, count = np.zeros(80, np.int32), np.zeros(1, np.int32)
        run(library, "order", out, count, block=40, reverse=reverse)
        np.testing.assert_array_equal(out, np.tile(np.arange(40)[:: -1 if reverse else 1], 2))


def test_barriers_in_a_loop(library):
    out = np.arange(70, dtype=np.int32)
    run(library, "loop_sync", out, np.int32(13), block=70)
    np.testing.assert_array_equal(out, np.roll(np.arange(70), -13))


def test_barriers_that_count(library):
    out = np.zeros(70, np.int32)
    run(library, "counts", out, block=70)
    np.testing.assert_array_equal(out, 40 + 1000)


# ---- warps ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("width", [32, 8, 1])
def test_shuffles(library, width, reverse):
    out = np.zeros((4, 64), np.int32)
    run(library, "shuffles", out, np.int32(width), block=64, reverse=reverse)
    i = np.arange(64)
    first, offset = i // width * width, i % width
    np.testing.assert_array_equal(out[0], first + 5 % width)
    np.testing.assert_array_equal(out[1], np.where(offset < 3, i, i - 3))
    np.testing.assert_array_equal(out[2], np.where(offset + 3 >= width, i, i + 3))
    np.testing.assert_array_equal(out[3], np.where((i ^ 6) >= first + width, i, i ^ 6))


def test_shuffles_of_each_type(library):
    d, k, c, h = np.zeros(32), np.zeros(32, np.int64), np.zeros(32, np.uint8), np.zeros(32, np.float16)
    run(library, "shuffled_types", d, k, c, h)
    other = np.arange(32) ^ 1
    assert (d == other + 0.5).all() and (k == other << 40).all() and (c == other + 200).all() and (h == other).all()


def test_votes(library):
    out = np.zeros((4, 32), np.uint32)
    run(library, "votes", out)
    np.testing.assert_array_equal(out, np.repeat([[sum(1 << i for i in range(0, 32, 3))], [2], [2], [1]], 32, 1))


def test_parts_of_a_warp_exchange_independently(library):
    out = np.zeros(32, np.int32)
    for reverse in (False, True):
        run(library, "halves", out, reverse=reverse)
        i = np.arange(32)
        np.testing.assert_array_equal(out, 100 * np.where(i < 16, i ^ 1, i) + 31)


def test_lanes_that_ended_are_not_waited_for_and_have_no_value(library):
    out = np.zeros(20, np.float32)
    run(library, "some_left", out)
    assert (out[:16] == 1).all() and np.isnan(out[16:]).all()


# ---- mistakes -------------------------------------------------------------------------------------------------------


def line_of(code: str) -> int:
    return SOURCE[: SOURCE.index(code)].count("\n") + 1


@pytest.mark.parametrize("reverse", [False, True])
def test_mistakes_are_explained_and_the_next_launch_works(library, reverse):
    first = line_of("if (threadIdx.x < 16) __sync")
    second = line_of("if (threadIdx.x < 32) __sync")
    for kernel, block, messages in (
        ("divergent", 32, [
            r"divergent, block \(0, 0, 0\): divergent __syncthreads\(\): ",
            rf"threads 0-15 wait in __syncthreads\(\) at kernels.cu:{first}",
            rf"threads 16-31 wait in __shfl_sync\(\) at kernels.cu:{first + 1} with mask 0xffffffff for threads 0-15$",
        ]),
        ("two_barriers", 64, [rf"threads 0-31 .*:{second}; threads 32-63 .*:{second + 2}$"]),
        ("missing_lane", 64, [
            r"missing_lane, block \(0, 0, 0\): lanes are missing from a warp-wide call: ",
            r"threads 0-2, 4-31 wait in __shfl_xor_sync\(\) at kernels.cu:\d+ with mask 0xffffffff for threads 3; ",
            r"threads 3 wait in __syncwarp\(\) at kernels.cu:\d+ with mask 0x00000018 for threads 4$",
        ]),
        ("not_in_mask", 32, [
            rf"not_in_mask, block \(2, 0, 0\): thread {31 if reverse else 7}: __syncwarp\(\) at kernels.cu:\d+ "
            "does not have the calling lane in its mask, 0x00000001"
        ]),
    ):  # fmt: skip
        with pytest.raises(EmulatorError) as caught:
            run(library, kernel, grid=3 if kernel == "not_in_mask" else 1, block=block, reverse=reverse)
        for message in messages:
            assert caught.match(message)
        test_a_reduction_in_shared_memory(library, 128, reverse)


@pytest.mark.parametrize("width", [0, -4, 12, 64])
def test_the_width_of_a_shuffle_is_checked(library, width):
    with pytest.raises(EmulatorError, match="has a width that is none of 1, 2, 4, 8, 16, 32"):
        run(library, "wrong_width", np.int32(width))


# ---- numbers --------------------------------------------------------------------------------------------------------


def test_atomics():
    i = np.array([0, 0, 0, 0, 255, 10, 0, 0, 5], np.int32)
    u, f, d = np.zeros(1, np.uint64), np.zeros(1, np.float32), np.zeros(1)
    run(compiled(False), "atomics", i, u, f, d, block=64)
    np.testing.assert_array_equal(i, [2016, 63, -63, 255, 240, 0, 0, 5, 77])
    assert (u[0], f[0], d[0]) == (64 << 40, 32, 16)


HALVES = [(name, as_dtype(key)) for name, key in (("half", "f2"), ("bfloat16", "bfloat16")) if key in DTYPES]


@pytest.mark.parametrize("name, dtype", HALVES)
def test_16_bit_floats_are_widened_exactly(name, dtype):
    x = np.arange(1 << 16, dtype=np.uint16).view(dtype)
    y = np.zeros(x.size, np.float32)
    run(compiled(False), f"widen_{name}", x, y, np.int32(x.size), block=1)
    with np.errstate(invalid="ignore"):
        expected = x.astype(np.float32)
    np.testing.assert_array_equal(np.signbit(y), np.signbit(expected))
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("name, dtype", HALVES)
def test_16_bit_floats_are_rounded_to_nearest_even(name, dtype):
    """At every value, halfway between any two neighbours, and one float32 to either side of these."""
    with np.errstate(invalid="ignore"):
        every = np.arange(1 << 16, dtype=np.uint16).view(dtype).astype(np.float64)
    finite = np.sort(every[np.isfinite(every)])
    largest, step = finite[-1], finite[-1] - finite[-2]
    exact = np.concatenate(
        [finite, (finite[1:] + finite[:-1]) / 2, [largest + step / 2, largest + step, -largest - step / 2]]
    )
    specials = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 1e-45, -1e-45, 3.4e38], np.float32)
    with np.errstate(over="ignore", under="ignore"):
        x = exact.astype(np.float32)
        x = np.concatenate([x, np.nextafter(x, np.float32(np.inf)), np.nextafter(x, np.float32(-np.inf)), specials])
        expected = x.astype(dtype)
    y = np.zeros(x.size, dtype)
    run(compiled(False), f"narrow_{name}", x, y, np.int32(x.size), block=1)
    nan = np.isnan(x)
    assert np.isnan(y[nan]).all()
    np.testing.assert_array_equal(y.view(np.uint16)[~nan], expected.view(np.uint16)[~nan])


def test_16_bit_floats_have_no_arithmetic():
    for code in ("x[0] = x[0] + x[1];", "float f = x[0]; (void)f;", "x[0] = 1.0f;"):
        for kind in ("__half", "__nv_bfloat16"):
            with pytest.raises(EmulatorError, match="does not compile"):
                build(f"__global__ void f({kind}* x) {{ {code} }}", ["f"], filename="wrong.cu")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_functions_of_floats(dtype):
    x = np.array([0.3, 1.0, 2.5, 0.75, 1e-5, 11.0], dtype)
    y = np.zeros((x.size, 32), dtype)
    run(compiled(False), f"functions<{'float' if dtype == np.float32 else 'double'}>", x, y, block=x.size)
    v = x.astype(np.float64)
    erf = np.vectorize(math.erf)(v)
    sine, cosine = np.sin(np.pi * (v % 2)), np.cos(np.pi * (v % 2))
    expected = [
        np.exp(v), np.log(v), np.sqrt(v), v**-0.5, np.tanh(v), erf, np.expm1(v), np.log1p(v), np.sin(v), np.cos(v),
        sine, cosine, sine, cosine, v, v, np.floor(v), np.ceil(v), v**v, np.maximum(v, 1), np.minimum(v, 1),
        np.maximum(v, 1), np.minimum(v, 1), v * v + 1, np.rint(v), 2**v, np.log2(v), -v, np.fmod(x, dtype(0.3)),
        4 + 0 * v, np.inf + v, np.nan * v,
    ]  # fmt: skip
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(y, np.stack(expected, 1), rtol=4 * eps, atol=4 * eps)
    assert (y[1, 10], y[1, 11], y[2, 10], y[2, 11]) == (0, -1, 1, 0)  # not 1e-16


def test_min_and_max_prefer_numbers_and_nan_is_seen():
    x = np.array([np.nan, np.inf, -np.inf], np.float32)
    y = np.zeros((3, 32), np.float32)
    run(compiled(False), "functions<float>", x, y, block=3)
    np.testing.assert_array_equal(y[:, 21], [1, np.inf, 1])
    np.testing.assert_array_equal(y[:, 29], [1, 2, 2])
    assert np.isnan(y[:, 10:12]).all()


def test_integers_and_bits():
    out = np.zeros(27, np.int64)
    run(compiled(False), "integers", out, block=1)
    one = int(np.float64(1).view(np.int64))
    assert out.tolist() == [
        0x7FFFFFFF, -2, (1 << 62) - 1, 32, 31, 64, 23, 4, 64, 0, 4, 51, -(1 << 31), 0x3F800000, 2, one, 3,
        2, -1, 0xFFFFFFFF, 10, 5, 32, 3, 10, 18, 23,
    ]  # fmt: skip


# ---- several libraries, several threads -----------------------------------------------------------------------------


def test_libraries_with_the_same_names_do_not_mix():
    text = "template <typename T> __global__ void f(T* x) {{ static T n = {n}; x[0] = n++; }}"
    libraries = [build(text.format(n=n), ["f<int>"], filename="f.cu") for n in (10, 20)]
    x = np.zeros(1, np.int32)
    seen = []
    for library in libraries * 2:
        run(library, "f<int>", x, block=1)
        seen.append(int(x[0]))
    assert seen == [10, 20, 11, 21]


def test_launches_from_several_threads():
    x = np.random.default_rng(0).standard_normal((20, 200))
    wrong: list[int] = []

    def work(ucontext: bool) -> None:
        y = np.zeros(20)
        for i in range(20):
            y[:] = 0
            run(
                compiled(ucontext),
                "sum_rows",
                x,
                y,
                np.int32(200),
                grid=20,
                block=64,
                shared=8 * 64,
                reverse=bool(i % 2),
            )
            if not np.allclose(y, x.sum(1)):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i % 2 == 0,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert wrong == []
