"""The stand-in for CuPy fails where CuPy does. The last tests compare it with a CuPy that is installed, if one is."""

from __future__ import annotations

import importlib
import inspect
import sys

import numpy as np
import pytest
from fake_cupy import array as fake_array
from fake_cupy import functions as fake_functions


@pytest.fixture
def cp(fake_cuda):
    return sys.modules["cupy"]


def test_results_are_always_its_own_arrays(cp):
    x = cp.asarray(np.arange(6.0).reshape(2, 3))
    for result in (
        x + 1, 1 - x, x @ x.T, -x, x == 2, x.sum(), x.max(axis=0), x[0, 0], x[0], x.T, x.mT, cp.exp(x), cp.sum(x),
        cp.where(x > 1, x, 0.0), cp.mean(x, axis=0), cp.einsum("ij->j", x), x.argmax(), cp.add.reduce(x), cp.zeros(()),
        cp.broadcast_to(x, (4, 2, 3)), cp.concatenate([x, x]), np.add(x, x), np.sum(x), x**2, cp.array_equal(x, x),
        *cp.split(x, 3, axis=1), *x.nonzero(), *cp.modf(x), *x,
    ):  # fmt: skip
        assert type(result) is cp.ndarray


def test_values_are_numpys(cp):
    a = np.random.default_rng(0).normal(size=(3, 4))
    x = cp.asarray(a)
    pairs = [
        (x * 2 + x / 3, a * 2 + a / 3), (x.sum(axis=1, keepdims=True), a.sum(1, keepdims=True)), (x.T @ x, a.T @ a),
        (cp.take_along_axis(x, x.argsort(axis=1), 1), np.sort(a, 1)), (x[::-1, 1:], a[::-1, 1:]), (x[x > 0], a[a > 0]),
        (x[:, cp.asarray([2, 0])], a[:, [2, 0]]), (cp.pad(x, 1), np.pad(a, 1)), (2.0 - x, 2.0 - a), (2 / x, 2 / a),
    ]  # fmt: skip
    for fake, real in pairs:
        assert np.array_equal(fake.get(), real)
        assert fake.dtype == real.dtype


def test_single_elements_are_views(cp):
    x = cp.zeros((2, 2))
    x[1, 0].fill(5)
    x[0][...] = 3
    assert x.tolist() == [[3, 3], [5, 0]]


@pytest.mark.parametrize(
    "use",
    [
        lambda cp, x, a: x + a,
        lambda cp, x, a: a + x,
        lambda cp, x, a: cp.add(x, a),
        lambda cp, x, a: cp.sum(a),
        lambda cp, x, a: cp.concatenate([x, a]),
        lambda cp, x, a: cp.where(x > 0, x, a),
        lambda cp, x, a: np.asarray(x),
        lambda cp, x, a: x.__iadd__(a),
        lambda cp, x, a: cp.matmul(x, a),
    ],
)
def test_host_arrays_are_refused(cp, use):
    with pytest.raises(TypeError):
        use(cp, cp.ones(3), np.ones(3))


@pytest.mark.parametrize(
    "use",
    [
        lambda cp, x: cp.sum(x, where=x > 0),
        lambda cp, x: cp.max(x, initial=0),
        lambda cp, x: x.sum(where=x > 0),
        lambda cp, x: cp.add(x, x, where=x > 0),
        lambda cp, x: cp.einsum("i->", x, optimize=True),
        lambda cp, x: cp.take(x, x.argmax(), mode="clip"),
        lambda cp, x: cp.sort(x, stable=True),
        lambda cp, x: x.astype("f4", casting="safe"),
        lambda cp, x: cp.zeros(3, like=x),
        lambda cp, x: cp.prod((2, 3)),
    ],
)
def test_arguments_cupy_lacks_are_refused(cp, use):
    with pytest.raises(TypeError):
        use(cp, cp.ones(3))


@pytest.mark.parametrize("name", ["errstate", "nditer", "block", "insert", "vecdot", "nonsense", "__wrapped__"])
def test_names_cupy_lacks_are_missing(cp, name):
    with pytest.raises(AttributeError):
        getattr(cp, name)


def test_some_ufunc_methods_are_not_there(cp):
    x = cp.ones((2, 2))
    with pytest.raises(NotImplementedError):
        cp.maximum.reduce(x)
    with pytest.raises(NotImplementedError):
        cp.multiply.at(x, cp.asarray([0]), 2.0)
    with pytest.raises(TypeError, match="only supports"):
        cp.add.at(x.astype("u1"), cp.asarray([0]), 2)


def test_out_of_range_index_arrays_wrap(cp):
    x = cp.arange(5)
    far = cp.asarray([7, -8, 5])
    assert x[far].tolist() == x.take(far).tolist() == cp.take(x, far).tolist() == [2, 2, 0]
    assert x.reshape(1, 5)[..., far].tolist() == [[2, 2, 0]]
    assert x.reshape(5, 1)[None, far].tolist() == [[[2], [2], [0]]]
    x[far] = -1
    cp.add.at(x, cp.asarray([6]), 10)
    assert x.tolist() == [-1, 11, -1, 3, 4]
    with pytest.raises(IndexError):
        x[5]


def test_elementwise_results_are_in_c_order(cp):
    x = cp.asarray(np.zeros((2, 4, 5, 3))).transpose(0, 3, 1, 2)
    assert not x.flags.c_contiguous
    for y in (x + x, cp.exp(x), cp.where(x > 0, x, 0.0), cp.maximum(x, 0)):
        assert y.flags.c_contiguous
    assert cp.empty_like(x).strides == cp.zeros_like(x).strides == x.astype("f4").astype("f8").strides == x.strides
    assert cp.add(x, x, out=cp.empty_like(x)).strides == x.strides


def test_work_belongs_on_the_current_device(cp):
    with cp.cuda.Device(1):
        x = cp.ones(3)
        assert (x + x).device.id == 1
    for use in (lambda: x + 1, x.sum, lambda: cp.exp(x), lambda: cp.ones(3) + x, lambda: x.fill(0)):
        with pytest.raises(ValueError, match="different from the current device"):
            use()
    assert x[1:].device.id == x.reshape(3, 1).device.id == x.T.device.id == 1
    assert cp.asarray(x).device.id == 0
    assert x.get().tolist() == [1, 1, 1]


def test_truth_and_membership(cp):
    assert bool(cp.asarray([1]))
    assert float(cp.asarray(2.5)) == 2.5
    assert int(cp.asarray(3)) == 3
    with pytest.raises(ValueError, match="ambiguous"):
        bool(cp.ones(2))
    with pytest.raises(TypeError):
        [10, 20][cp.asarray(1)]
    assert (cp.ones(2) == None).tolist() == [False, False]  # noqa: E711
    assert not hasattr(cp.ones(2), "setflags")
    assert not hasattr(cp.ones(2).flags, "writeable")


def test_in_place_work_stays_in_place(cp):
    x = cp.zeros((2, 3))
    y = x[:, 1:]
    y += 1
    y *= 3
    assert x.tolist() == [[0, 3, 3], [0, 3, 3]]
    assert cp.may_share_memory(x, y)
    assert np.may_share_memory(x, y)
    i = cp.zeros(2, "i4")
    with pytest.raises(TypeError):
        i += 1.5
    with pytest.raises(ValueError, match="mismatched"):
        cp.add(cp.ones(3), 1, out=cp.zeros((2, 3)))


def test_assignment_from_the_host(cp):
    x = cp.zeros(3)
    x[:] = 2
    x[cp.asarray([0, 1])] = np.array([7.0, 8.0])  # uploads without a word, as CuPy does
    assert x.tolist() == [7, 8, 2]
    with pytest.raises(ValueError, match="non-scalar"):
        x[:] = np.ones(3)


def test_arithmetic_never_warns(cp):
    x = cp.asarray([0.0, -1.0])
    assert np.isinf((1 / x).get()[0])
    assert np.isnan(cp.log(x).get()[1])


@pytest.fixture(scope="module")
def real():
    try:
        cupy = importlib.import_module("cupy")
    except ImportError:
        pytest.skip("CuPy is not installed")
    if int(cupy.__version__.split(".")[0]) != 14:
        pytest.skip("the tables are CuPy 14's")
    return cupy


class TestRealCupy:
    """Where CuPy is installed (no GPU is needed), the tables of the stand-in are compared with it."""

    def test_names_it_lacks(self, real):
        public = [n for n in dir(np) if not n.startswith("_") and callable(getattr(np, n))]
        functions = [n for n in public if not isinstance(getattr(np, n), type)]
        dates = {n for n in functions if "busday" in n or "date" in n}
        lacking = {n for n in functions if not hasattr(real, n)}
        assert lacking - dates - {"get_include", "isnat", "fromregex", "info", "test"} <= fake_functions.LACKING
        assert not [n for n in fake_functions.LACKING if hasattr(real, n)]

    def test_arguments_it_refuses(self, real):
        taken = {
            name: set(inspect.signature(getattr(real, name)).parameters) & set(refused.split())
            for name, refused in fake_functions.REFUSED.items()
        }
        assert {name: names for name, names in taken.items() if names} == {}

    def test_parameters_of_methods(self, real):
        wrong = {}
        for name, parameters in fake_array.METHODS.items():
            # Compiled methods tell their signature in the first line of their docstring.
            line = getattr(real.ndarray, name).__doc__.strip().splitlines()[0]
            inside = line[line.index("(") + 1 : line.rindex(")")]
            taken = {p.split("=")[0].split()[-1].lstrip("*") for p in inside.split(", ")}
            if taken - {"self", "dtype", "shape"} != set(parameters.split()) - {"dtype"}:
                wrong[name] = line
        assert wrong == {}

    def test_what_launches_need(self, real):
        function = real.cuda.function
        for value in (np.zeros(1, "f4"), np.zeros(1, [("a", "f4"), ("b", "u8", (3,))]).view("V28")):
            assert isinstance(function.CNumpyArray(value), function.CPointer)
        assert issubclass(real.cuda.compiler.CompileException, Exception)
        for name in (
            "kernel",
            "max_threads_per_block",
            "num_regs",
            "shared_size_bytes",
            "max_dynamic_shared_size_bytes",
        ):
            assert hasattr(real.RawKernel, name)
        for name in ("MultiProcessorCount", "MaxSharedMemoryPerBlockOptin"):
            assert hasattr(real.cuda.runtime, f"cudaDevAttr{name}")

    def test_what_its_arrays_lack(self, real):
        for name in ("setflags", "__index__", "__contains__", "__imatmul__", "resize", "ctypes"):
            assert not hasattr(real.ndarray, name)
            assert not hasattr(fake_array.ndarray, name)
