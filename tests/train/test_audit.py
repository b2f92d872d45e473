"""The parity audit: what it lists, which operation it blames, and the command."""

from __future__ import annotations

import json
import math
import sys
from typing import Any

import numpy as np
import pytest

import gradflow as gf
from gradflow.autograd.primitive import Primitive, bind
from gradflow.backend import get_backend
from gradflow.backend.kernels import Declined
from gradflow.cli import main
from gradflow.cli.bench_peers import lenet, mlp
from gradflow.train.audit import Audit, audit, relative_error


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The CPU's kernels, to be replaced for a test."""
    table = get_backend("cpu").kernels
    for name, kernel in list(table.items()):
        monkeypatch.setitem(table, name, kernel)
    return lambda name, kernel: monkeypatch.setitem(table, name, kernel)


def step(model: Any) -> Any:
    return lambda x, target: gf.nn.functional.cross_entropy(model(x), target)


def audited(net: Any = mlp, device: str = "cpu", n: int = 4, **options: Any) -> Audit:
    gf.manual_seed(0)
    model = net(gf.nn).to(device)
    images, labels = gf.rand(n, 1, 28, 28, device="cpu"), gf.tensor([i % 10 for i in range(n)], device="cpu")
    return audit(step(model), images, labels, device=device, **options)


def row(found: Audit, op: str, part: str) -> Any:
    (match,) = [r for r in found.rows if (r.op, r.part) == (op, part)]
    return match


def test_every_operation_is_listed_forward_and_backward():
    found = audited(lenet)
    assert found.ok
    assert found.device == "cpu"
    for op, calls in (("conv2d", 2), ("sigmoid", 4), ("max_pool2d", 2), ("matmul", 3), ("add", 3)):
        for part in ("forward", "backward"):
            assert row(found, op, part).calls == calls, (op, part)
    formula = row(found, "sigmoid_backward", "inside")
    assert formula.ran == {"kernel": 4}
    assert row(found, "sigmoid", "backward").ran == {"sigmoid_backward": 4}
    assert row(found, "conv2d", "forward").ran == {"array code": 2}
    assert all([0 <= r.device_error < 1e-5 and 0 <= r.numpy_error < 1e-5 and r.seconds > 0 for r in found.rows])
    # read: g, y; written: the cotangent; (4, 6, 28, 28), (4, 16, 10, 10), (4, 120) and (4, 84) in float32
    assert formula.bytes == 3 * 4 * 4 * (6 * 28 * 28 + 16 * 10 * 10 + 120 + 84)
    assert row(found, "reshape", "forward").bytes == 0
    assert 0 < formula.bandwidth < 1e13


def test_the_short_way_is_open_again(kernels: Any):
    seen = []
    original = gf.autograd.primitive.raw_over(get_backend("cpu")).run
    audited()
    raw = gf.autograd.primitive.raw_over(get_backend("cpu"))
    assert raw.run == original
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(raw, "run", lambda *args, **options: seen.append(args) or original(*args, **options))
        gf.relu(gf.ones(2)) + gf.ones(2)
    assert seen == []


def test_a_wrong_kernel_is_named_first(kernels: Any):
    right = get_backend("cpu").kernels["sigmoid_backward"]
    kernels("sigmoid_backward", lambda g, y: right(g, y) * np.float32(1 + 1e-4))
    found = audited()
    assert not found.ok
    assert found.diverged.startswith("sigmoid_backward, call 1 ((4, 128) float32, (4, 128) float32): error 1.0e-04")
    assert row(found, "sigmoid_backward", "inside").diverges
    assert row(found, "sigmoid", "backward").diverges
    assert {r.op for r in found.rows if r.diverges} == {"sigmoid_backward", "sigmoid"}
    assert str(found).count("DIVERGES") == 3
    assert audited(tolerance=1e4).ok


def test_errors_do_not_add_up(kernels: Any):
    """A wrong forward operation is wrong once: the operations after it get its result as their operand."""
    from gradflow.autograd.primitive import PRIMITIVES

    body = PRIMITIVES["matmul"].body
    kernels("matmul", lambda a, b: body(np, a, b) * np.float32(1.01))
    found = audited()
    assert found.diverged.startswith("matmul, call 1 ")
    assert {r.op for r in found.rows if r.diverges} == {"matmul"}


def test_a_kernel_that_declines_is_a_fallback_with_its_reason(kernels: Any):
    kernels("sigmoid_backward", lambda g, y: Declined("too small"))
    found = audited()
    assert found.ok
    assert row(found, "sigmoid_backward", "inside").ran == {"fallback": 2}
    assert "sigmoid_backward ran as array code: too small" in str(found)


def halved(np: Any, x: Any, *, residual: bool = False) -> Any:
    """x^2 / 2, which saves x."""
    return (x * x * 0.5, x * 1.0) if residual else x * x * 0.5


def test_what_a_kernel_saves_for_the_backward_pass_is_put_to_the_test(kernels: Any):
    prim = Primitive(halved, name="halved", vjps=(lambda xp, g, saved, x: g * (x if saved is None else saved),))
    x = gf.randn(5, 3, requires_grad=True)
    assert audit(lambda x: bind(prim, (x,), {}), x, device="cpu").ok
    kernels("halved", lambda x, residual=False: (x * x * 0.5, x * 1.001) if residual else x * x * 0.5)
    found = audit(lambda x: bind(prim, (x,), {}), x, device="cpu")
    assert found.diverged.startswith("the vjp of halved, call 1 ((5, 3) float32, made at ")
    assert not row(found, "halved", "forward").diverges


@pytest.mark.parametrize(
    ("index", "ok"), [([0, 1], True), ([2, 1], True), ([1, 1], False), ([0, 0], False), ([0, 3], False)]
)
def test_integers_are_compared_exactly_but_for_ties(index: list[int], ok: bool, kernels: Any):
    kernels("max", lambda x, axis: (x.max(axis), np.array(index)))
    found = audit(lambda x: gf.max(x, 1)[0], gf.tensor([[2.0, 1.0, 2.0], [0.0, 3.0, 1.0]]), device="cpu")
    assert found.ok is ok


def test_infinities_and_nan_count_only_where_numpy_has_none():
    x = gf.tensor([0.0, -1.0, 2.0], requires_grad=True)
    found = audit(lambda x: (gf.log(x) / x).sum(), x, device="cpu")
    assert found.ok
    assert relative_error(np.array([1.0, np.nan]), np.array([1.0, np.nan])) == 0
    assert relative_error(np.array([1.0, np.inf]), np.array([1.0, -np.inf])) == math.inf
    assert relative_error(np.array([1.0, np.nan]), np.array([1.0, 2.0])) == math.inf
    assert relative_error(np.array([1.0, 2.0]), np.array([1.0, np.nan])) == math.inf
    assert relative_error(np.zeros(2), np.zeros(3)) == math.inf
    assert relative_error(np.zeros((0, 3)), np.zeros((0, 3))) == 0
    assert relative_error(np.array([1.0, 4.5]), np.array([1.0, 4.0])) == 0.125
    assert relative_error(np.array([1e-9]), np.array([0.0])) == math.inf


def test_a_module_is_left_as_it_was():
    model = gf.nn.Sequential(gf.nn.Conv2d(1, 2, 3), gf.nn.BatchNorm2d(2), gf.nn.Dropout(0.5))
    before = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    found = audit(model, np.ones((3, 1, 5, 5), np.float32), device="cpu")
    assert found.ok
    assert row(found, "batch_norm", "backward").calls == 1
    assert all([np.array_equal(before[k], v.numpy()) for k, v in model.state_dict().items()])
    assert all([p.grad is None for p in model.parameters()])


@pytest.mark.parametrize("dtype", [gf.float64, gf.float16, "bfloat16"])
def test_other_dtypes_are_measured_by_what_they_can_do(dtype: Any):
    x = gf.randn(4, 50, dtype=gf.float32).to(dtype=gf.bfloat16 if dtype == "bfloat16" else dtype)
    found = audit(lambda x: gf.softmax(gf.tanh(x * 3.0), 1), x.requires_grad_(), device="cpu")
    assert found.ok
    low, high = (0, 1e-14) if dtype == gf.float64 else (1e-5, 2e-2)
    assert low <= row(found, "tanh", "forward").device_error <= high


def test_random_masks_and_a_users_function():
    class Double(gf.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2.0

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 2.0

    x = gf.randn(20, 5, requires_grad=True)
    found = audit(lambda x: Double.apply(gf.nn.functional.dropout(x, 0.5)).mean(), x, device="cpu")
    assert found.ok
    assert "Double" not in str(found)
    assert row(found, "dropout", "backward").calls == 1


def test_hooks_are_called_once():
    x, seen = gf.randn(3, requires_grad=True), []

    def fn(x: Any) -> Any:
        y = gf.tanh(x)
        y.register_hook(lambda g: seen.append(g.numpy().tolist()) or g * 0.0)
        return (y * 2.0).sum()

    found = audit(fn, x, device="cpu")
    assert found.ok
    assert seen == [[2.0, 2.0, 2.0]]
    assert row(found, "tanh", "backward").device_error == 0.0  # of zeros


def test_on_the_stand_in_for_a_gpu(fake_cuda: Any):
    found = audited(lenet, device="cuda:1", n=2)
    assert found.ok, found
    assert found.device == "cuda:1"
    assert row(found, "conv2d", "backward").calls == 2


def test_on_the_emulated_device_kernels_run_and_agree():
    found = audited(lenet, device="emulated", n=2)
    assert found.ok, found
    assert row(found, "conv2d", "forward").ran == {"kernel": 2}
    assert row(found, "sigmoid", "backward").ran == {"sigmoid_backward": 4}
    assert [r.refusals for r in found.rows if r.refusals] == []


def test_what_is_no_tensor_is_refused():
    with pytest.raises(TypeError, match=r"\[audit\] fn must return a tensor or several, got float"):
        audit(lambda: 1.0, device="cpu")
    assert audit(lambda x: (x + 1, x * 2), gf.ones(3), device="cpu").rows[0].part == "forward"


def run(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Any) -> tuple[Any, str, str]:
    monkeypatch.setattr(sys, "argv", ["gradflow", "audit", *arguments])
    with pytest.raises(SystemExit) as caught:
        main.main()
    return (caught.value.code, *capsys.readouterr())


def test_the_command(kernels: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Any):
    options = ["--model", "mlp", "--device", "cpu", "--batch-size", "3", "--json", str(tmp_path / "a.json")]
    code, out, err = run(options, monkeypatch, capsys)
    assert (code or 0, err) == (0, "")
    assert out.rstrip().endswith("nothing diverges")
    for word in ("forward", "backward: the vjps of these", "called by those", "softmax_cross_entropy", "NumPy error"):
        assert word in out
    kernels("sigmoid_backward", lambda g, y: g * np.float32(np.nan))
    code, out, _ = run(options, monkeypatch, capsys)
    assert code == 1
    assert "first that DIVERGES: sigmoid_backward, call 1 ((3, 128) float32" in out
    saved = json.loads((tmp_path / "a.json").read_text(), parse_constant=pytest.fail)
    assert saved["ok"] is False
    assert saved["diverged"].startswith("sigmoid_backward")
    assert [r["device_error"] for r in saved["rows"] if r["op"] == "sigmoid_backward"] == [None]


@pytest.mark.parametrize(
    ("options", "message"), [(["--model", "vgg"], "'lenet'"), (["--tolerance", "0.5"], "'--tolerance'")]
)
def test_wrong_options(options: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: Any):
    code, _, err = run(options, monkeypatch, capsys)
    assert code == 2
    assert message in err


def test_a_device_that_is_not_there(no_cupy: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any):
    code, _, err = run(["--device", "cuda"], monkeypatch, capsys)
    assert code == 1
    assert "cuda:0 cannot be had" in err
