"""Anomaly detection: which operation it names, and that nothing of it is left where it is off."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import gradflow as gf
from gradflow.autograd import detect_anomaly, engine, fast, is_anomaly_enabled, set_detect_anomaly
from gradflow.autograd.primitive import raw_over
from gradflow.autograd.watch import watching
from gradflow.backend import get_backend


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    assert not is_anomaly_enabled()
    assert engine.passes == [engine.Pass]


def x(*values: float, dtype: Any = gf.float32, device: str = "cpu") -> Any:
    return gf.tensor(list(values), dtype=dtype, device=device, requires_grad=True)


def user_function() -> Any:
    class Broken(gf.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2.0

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * float("nan")

    return Broken.apply


CASES: dict[str, tuple[Callable[[Any], Any], Any, str]] = {
    "sqrt of a negative number": (lambda x: gf.sqrt(x).sum(), x(-1.0, 4.0), "sqrt returned NaN as the gradient of its "
        r"input 0, \(2,\) float32; what it was given, \(2,\) float32, held none"),
    "infinity times zero": (lambda x: (gf.sqrt(x) * 0.0).sum(), x(0.0, 4.0), "sqrt returned NaN"),
    "a second input": (lambda x: (gf.ones(2) / x * 0.0).sum(), x(0.0, 2.0), r"divide .* input 1, \(2,\)"),
    "a Function": (lambda x: user_function()(x).sum(), x(1.0), "Broken returned NaN"),
    "a joint vjp": (lambda x: gf.nn.functional.batch_norm(x.reshape(2, 1), None, None, training=True).sum(),
        x(np.inf, 1.0), "batch_norm returned NaN"),
    "a 0-d tensor": (lambda x: gf.log(x[0]) * 0.0, x(0.0), "log returned NaN .* float32"),
    "in 64 bits": (lambda x: gf.sqrt(x).sum(), x(-1.0, dtype=gf.float64), r"sqrt .*\(1,\) float64"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_operation_and_its_line_are_named(name: str) -> None:
    f, at, message = CASES[name]
    at.grad = None
    y = f(at)
    with detect_anomaly(), pytest.raises(RuntimeError, match=rf"^\[backward\] the vjp of {message}") as caught:
        y.backward()
    assert at.grad is None
    assert "was called at " in str(caught.value) and f"{__file__}:" in str(caught.value)
    f(at).backward()  # off again
    assert bool(gf.isnan(at.grad).any())


def test_a_gradient_that_is_nan_from_the_start() -> None:
    at = x(1.0, 2.0)
    with detect_anomaly(), pytest.raises(RuntimeError, match=r"multiply returned NaN .* held NaN already"):
        (at * 2.0).backward(gf.tensor([np.nan, 1.0]))
    y = at * 2.0
    y.register_hook(lambda g: g * float("nan"))
    with detect_anomaly(), pytest.raises(RuntimeError, match=r"multiply returned NaN .* held NaN already"):
        y.sum().backward()


@pytest.mark.parametrize("make", [lambda x: x * float("inf"), gf.exp, lambda x: x.clamp(0, 1)])
def test_what_is_not_nan_passes(make: Any) -> None:
    at = x(1000.0, -3.0)
    with detect_anomaly():
        make(at).sum().backward()
    again = x(1000.0, -3.0)
    make(again).sum().backward()
    np.testing.assert_array_equal(at.grad.numpy(), again.grad.numpy())


def test_grad_create_graph_and_transforms_are_watched() -> None:
    at = x(-1.0, 4.0)
    with detect_anomaly():
        with pytest.raises(RuntimeError, match="sqrt returned NaN"):
            gf.autograd.grad(gf.sqrt(at).sum(), at)
        with pytest.raises(RuntimeError, match="sqrt returned NaN"):
            gf.autograd.grad(gf.sqrt(at).sum(), at, create_graph=True)
        with pytest.raises(RuntimeError, match="sqrt returned NaN"):
            gf.func.grad(lambda x: gf.sqrt(x).sum())(at.detach())
        good = x(2.0)
        (first,) = gf.autograd.grad(good**3, good, create_graph=True)
        (second,) = gf.autograd.grad(first, good)
    assert (first.item(), second.item()) == (12.0, 12.0)


def test_modes_nest_and_give_back_what_was_before() -> None:
    bad = x(-1.0)
    with detect_anomaly(check_nan=False):
        assert is_anomaly_enabled()
        gf.sqrt(bad).sum().backward()
        with set_detect_anomaly(False):
            assert not is_anomaly_enabled()
            with detect_anomaly():
                assert is_anomaly_enabled()
            assert not is_anomaly_enabled()
        assert is_anomaly_enabled()
        gf.sqrt(bad).sum().backward()
    once = detect_anomaly()
    with once, once:
        pass
    assert not is_anomaly_enabled()
    set_detect_anomaly(True)
    with pytest.raises(RuntimeError, match="sqrt"):
        gf.sqrt(bad).sum().backward()
    set_detect_anomaly(False)
    gf.sqrt(bad).sum().backward()


def test_errors_of_a_backward_say_where_the_operation_was_called() -> None:
    class Fails(gf.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2.0

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            raise KeyError("nothing there")

    with pytest.raises(KeyError) as caught, detect_anomaly(check_nan=False):
        Fails.apply(x(1.0)).sum().backward()
    if sys.version_info >= (3, 11):
        assert caught.value.__notes__[0].startswith(f"in the vjp of Fails, called at {__file__}:")


@pytest.mark.parametrize("device", ["emulated", "cuda:1"])
def test_other_devices(device: str, fake_cuda: Any) -> None:
    with detect_anomaly():
        with pytest.raises(RuntimeError, match=r"sqrt returned NaN .*\(2,\) float32"):
            gf.sqrt(x(-1.0, 1.0, device=device)).sum().backward()
        good = x(1.0, 4.0, device=device)
        gf.sqrt(good).sum().backward()
    assert good.grad.tolist() == [0.5, 0.25]


def test_bfloat16() -> None:
    at = x(-1.0, 4.0).detach().to(gf.bfloat16).requires_grad_()
    with detect_anomaly(), pytest.raises(RuntimeError, match=r"sqrt returned NaN .* bfloat16"):
        gf.sqrt(at).sum().backward()


# -- standing in the way of raw calls ----------------------------------------------------------------------------------


def test_watching_sees_the_calls_of_its_thread_only_and_nests() -> None:
    cpu, seen = get_backend("cpu"), []

    def note(name: str) -> Any:
        return lambda original, prim, *rest: seen.append(f"{name} {prim.name}") or original(prim, *rest)

    def elsewhere() -> None:
        gf.exp(gf.ones(2))

    before = raw_over(cpu).run
    with watching([cpu], note("outer")):
        gf.tanh(gf.ones(2))
        with watching([cpu], note("inner")):
            gf.exp(gf.ones(2))
        other = threading.Thread(target=elsewhere)
        other.start()
        other.join()
        gf.log(gf.ones(2))
    gf.sqrt(gf.ones(2))
    names = [entry for entry in seen if entry.split()[1] in ("tanh", "exp", "log", "sqrt")]
    assert names == ["outer tanh", "inner exp", "outer exp", "outer log"]
    assert raw_over(cpu).run == before


def test_watching_ends_where_an_error_does() -> None:
    cpu = get_backend("cpu")
    before, opened = raw_over(cpu).run, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fast, "_switches", [opened.append])
        with pytest.raises(ZeroDivisionError), watching([cpu], lambda original, *call: original(*call)):
            raise ZeroDivisionError
    assert raw_over(cpu).run == before
    assert opened == [False, True]
