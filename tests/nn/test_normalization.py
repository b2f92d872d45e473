"""Normalisation layers: arguments, running statistics on every device, and numbers far from 0."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernels.harness import DEVICES, randoms

import gradflow as gf
from gradflow.autograd.value import TransformError
from gradflow.backend import get_backend
from gradflow.backend.cuda.launcher import forget_plans
from gradflow.backend.cuda.launchers import norm
from gradflow.backend.cuda.plan import DeclineError, Operand, Planner, strides_of
from gradflow.backend.cuda.program import packaged
from gradflow.nn import functional as F

every_device = pytest.mark.parametrize("device", ["cpu", *DEVICES])


def far(shape: tuple[int, ...]) -> np.ndarray:
    """Numbers in float32 around 10000, with a standard deviation of 0.01: about ten units of their last place."""
    return (1e4 + 1e-2 * randoms(shape)).astype("f4")


def normalised(x: np.ndarray, axes: tuple[int, ...], eps: float) -> np.ndarray:
    z = x.astype("f8")
    return (z - z.mean(axes, keepdims=True)) / np.sqrt(z.var(axes, keepdims=True) + eps)


@every_device
@pytest.mark.parametrize("last", [False, True])
def test_batch_norm_keeps_the_digits_of_a_large_mean(last: bool, device: str) -> None:
    x = far((32, 4, 6, 7))
    if last:
        x = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    y = F.batch_norm(gf.tensor(x, device=device), None, None, training=True, eps=1e-8)
    assert np.abs(y.numpy() - normalised(x, (0, 2, 3), 1e-8)).max() < 2e-5


@every_device
def test_layer_norm_keeps_the_digits_of_a_large_mean(device: str) -> None:
    x = far((5, 6, 50))
    y = F.layer_norm(gf.tensor(x, device=device), (6, 50), eps=1e-8)
    assert np.abs(y.numpy() - normalised(x, (1, 2), 1e-8)).max() < 2e-5


@every_device
def test_gradient_at_a_large_mean(device: str) -> None:
    """The gradient of x is that of x less 10000, of which float32 holds all digits."""
    x, g = far((16, 3, 5, 5)), randoms((16, 3, 5, 5), "g")
    found = []
    for values, dtype in ((x, "float32"), (x.astype("f8") - 1e4, "float64")):
        leaf = gf.tensor(values, dtype=dtype, device=device, requires_grad=True)
        y = F.batch_norm(leaf, None, None, training=True, eps=1e-8)
        found.append(gf.autograd.grad(y, leaf, gf.tensor(g, dtype=dtype, device=device))[0].numpy())
    assert np.abs(found[0] - found[1]).max() < 1e-4 * np.abs(found[1]).max()


@every_device
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("momentum", [0.1, 0.3, None])
def test_running_statistics(momentum: float | None, dtype: str, device: str) -> None:
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    layer = gf.nn.BatchNorm2d(3, momentum=momentum, device=device, dtype=dtype)
    mean, var = np.zeros(3), np.ones(3)
    gf.kernels.reset()
    for step in range(1, 4):
        x = gf.tensor(randoms((4, 3, 5, 2), "batch", step) * step + 1, dtype=dtype, device=device)
        layer(x)
        z, share = x.numpy().astype("f8"), 1 / step if momentum is None else momentum
        mean += share * (z.mean((0, 2, 3)) - mean)
        var += share * (z.var((0, 2, 3), ddof=1) - var)
    tolerance = {"float64": 1e-12, "float32": 1e-6, "bfloat16": 3e-2}[dtype]
    assert np.abs(layer.running_mean.numpy().astype("f8") - mean).max() < tolerance
    assert np.abs(layer.running_var.numpy().astype("f8") - var).max() < tolerance * 4
    assert layer.num_batches_tracked.item() == 3
    assert gf.kernels.launches().get("update_running", 0) == (0 if device == "cpu" else 3)
    assert gf.kernels.fallbacks().get("update_running", {}) == {}


@pytest.mark.parametrize("device", DEVICES)
def test_running_statistics_of_another_dtype_and_a_momentum_that_changes(device: str) -> None:
    plans = get_backend(device).kernels["update_running"].plans  # type: ignore[attr-defined]
    x, results = randoms((6, 2, 3)), []
    for where in ("cpu", device):
        mean, var = gf.zeros(2, dtype="float64", device=where), gf.ones(2, dtype="float64", device=where)
        before = len(plans)
        for step in range(5):
            batch = gf.tensor(x, dtype="float32", device=where)
            F.batch_norm(batch, mean, var, training=True, momentum=1 / (step + 1))
        results.append(np.concatenate([mean.numpy(), var.numpy()]))
    assert len(plans) <= before + 1
    assert np.allclose(results[0], results[1], rtol=1e-6)


@every_device
def test_many_rows_far_from_zero(device: str) -> None:
    x = (1e4 + randoms((300_000, 4))).astype("f4")
    y = F.batch_norm(gf.tensor(x, device=device), None, None, training=True)
    assert np.abs(y.numpy() - normalised(x, (0,), 1e-5)).max() < 1e-4


@pytest.mark.parametrize("device", DEVICES)
def test_more_parts_of_a_channel_than_threads_that_merge_them(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    backend, x = get_backend(device), (1e4 + randoms((600_000, 1))).astype("f4")
    monkeypatch.setattr(backend, "multiprocessors", 200)
    forget_plans()
    y = F.batch_norm(gf.tensor(x, device=device), None, None, training=True)
    assert np.abs(y.numpy() - normalised(x, (0,), 1e-5)).max() < 1e-5
    forget_plans()


@pytest.mark.parametrize(
    "name, shape, static, reason",
    [("batch_norm", (1, 1, 2**31), {}, "in a channel"), ("layer_norm", (1, 2**31), {"dims": 1}, "rows of")],
)
def test_what_a_kernel_cannot_count_it_declines(name: str, shape: tuple[int, ...], static: Any, reason: str) -> None:
    x = Operand(0, shape, np.dtype("f2"), strides_of(shape, 2))
    planner = Planner(name, packaged(f"{name}.cu"), get_backend("emulated"), 1, False)
    with pytest.raises(DeclineError, match=reason):
        getattr(norm, name)(planner, x, None, None, eps=1e-5, **static)


@every_device
def test_statistics_where_the_first_pixel_is_far_from_all_others(device: str) -> None:
    x = (1e4 + randoms((8, 3, 20, 20))).astype("f4")
    x[0, :, 0, 0] = 0
    y = F.batch_norm(gf.tensor(x, device=device), None, None, training=True)
    assert np.abs(y.numpy() - normalised(x, (0, 2, 3), 1e-5)).max() < 1e-4


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("momentum", [0.1, None])
def test_training_does_not_wait_for_the_device(
    momentum: float | None, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = gf.nn.BatchNorm2d(3, momentum=momentum, device=device)
    x = gf.tensor(randoms((4, 3, 5, 2)), dtype="float32", device=device)
    backend = get_backend(device)

    def wait(*_: Any) -> None:
        raise AssertionError("the host waits for the device")

    monkeypatch.setattr(backend, "to_host", wait)
    monkeypatch.setattr(backend, "synchronize", wait)
    layer(x).sum().backward()
    layer(x)
    monkeypatch.undo()
    assert layer.num_batches_tracked.item() == 2


@every_device
def test_without_running_statistics_the_batchs_are_used_always(device: str) -> None:
    layer = gf.nn.BatchNorm2d(3, track_running_stats=False, affine=False, device=device)
    x = randoms((4, 3, 5, 2))
    for y in (layer(gf.tensor(x, device=device)), layer.eval()(gf.tensor(x, device=device))):
        assert np.abs(y.numpy() - normalised(x, (0, 2, 3), 1e-5)).max() < 1e-6
    assert layer.state_dict() == {}


def test_running_statistics_are_not_updated_under_vmap() -> None:
    for layer in (gf.nn.BatchNorm1d(3), gf.nn.InstanceNorm1d(3, track_running_stats=True)):
        with pytest.raises(TransformError, match="in training mode under vmap"):
            gf.func.vmap(layer)(gf.ones(2, 4, 3, 5))
        assert gf.func.vmap(layer.eval())(gf.ones(2, 4, 3, 5)).shape == (2, 4, 3, 5)


def test_a_layer_is_reset() -> None:
    for layer in (gf.nn.BatchNorm1d(3), gf.nn.InstanceNorm1d(3, affine=True, track_running_stats=True)):
        start = {k: v.numpy().copy() for k, v in layer.state_dict().items()}
        layer.weight.detach().fill_(5.0), layer.bias.detach().fill_(5.0)
        layer(gf.tensor(randoms((4, 3, 5)), dtype="float32"))
        layer.reset_parameters()
        assert all([np.array_equal(v.numpy(), start[k]) for k, v in layer.state_dict().items()])


@every_device
def test_an_empty_batch_changes_nothing(device: str) -> None:
    layer = gf.nn.BatchNorm2d(3, device=device)
    x = gf.zeros(0, 3, 2, 2, device=device, requires_grad=True)
    y = layer(x)
    y.sum().backward()
    assert y.shape == x.grad.shape == (0, 3, 2, 2)
    assert layer.running_mean.tolist() == [0, 0, 0] and layer.running_var.tolist() == [1, 1, 1]
    assert layer.weight.grad.tolist() == layer.bias.grad.tolist() == [0, 0, 0]


def test_batch_norm_refuses_what_it_cannot_do() -> None:
    x, c = gf.ones(2, 3), gf.ones(3)
    with pytest.raises(ValueError, match=r"\[batch_norm\] training needs more than one value per channel, got x \(1,"):
        F.batch_norm(gf.ones(1, 3, 1, 1), c, c, training=True)
    with pytest.raises(ValueError, match=r"\[batch_norm\] running_mean and running_var must be given where"):
        F.batch_norm(x, None, None)
    with pytest.raises(ValueError, match=r"\[batch_norm\] give both running_mean and running_var, or neither"):
        F.batch_norm(x, c, None, training=True)
    with pytest.raises(ValueError, match=r"\[batch_norm\] x has 3 channels but bias is \(2,\)"):
        F.batch_norm(x, c, c, bias=gf.ones(2))
    with pytest.raises(ValueError, match=r"\[batch_norm\] expected x \(N, C, ...\), got \(3,\)"):
        F.batch_norm(c, c, c)


@every_device
@pytest.mark.parametrize("training", [True, False])
def test_a_relu_after_batch_norm_is_done_by_it(training: bool, device: str) -> None:
    class Other(gf.nn.ReLU):
        """No ReLU that Sequential knows."""

    found = []
    for relu in (gf.nn.ReLU(), Other()):
        net = gf.nn.Sequential(gf.nn.BatchNorm2d(3), relu, gf.nn.ReLU(), gf.nn.BatchNorm2d(3)).to(device)
        net.train(training)
        x = gf.tensor(randoms((4, 3, 5, 2)), dtype="float32", device=device, requires_grad=True)
        gf.kernels.reset()
        y = net(x)
        fused = gf.kernels.launches().get("batch_norm_relu", 0)
        assert fused == (training and device != "cpu" and type(relu) is gf.nn.ReLU)
        y.backward(gf.tensor(randoms((4, 3, 5, 2), "g"), dtype="float32", device=device))
        found.append([v.numpy() for v in (y.detach(), x.grad, *[p.grad for p in net.parameters()], *net.buffers())])
    for a, b in zip(*found, strict=True):
        assert np.allclose(a, b, rtol=1e-5, atol=1e-6)


def test_an_infinite_value_leaves_other_channels_alone() -> None:
    x = randoms((4, 3, 2, 2)).copy()
    x[1, 1, 0, 0] = np.inf
    mean, var = gf.zeros(3), gf.ones(3)
    y = F.batch_norm(gf.tensor(x), mean, var, training=True).numpy()
    assert np.isnan(y[:, 1]).all() and np.isfinite(y[:, [0, 2]]).all()
    assert np.isinf(mean.numpy()).tolist() == [False, True, False] and not np.isnan(mean.numpy()).any()


def test_batch_norm_activation_is_none_or_relu() -> None:
    x = gf.tensor(randoms((4, 3)))
    plain, bounded = [F.batch_norm(x, None, None, training=True, activation=a) for a in (None, "relu")]
    assert np.array_equal(np.maximum(plain.numpy(), 0), bounded.numpy())
    with pytest.raises(ValueError, match=r"\[batch_norm\] activation must be None or 'relu', got 'tanh'"):
        F.batch_norm(x, None, None, training=True, activation="tanh")


@pytest.mark.parametrize(
    "options, names",
    [({}, {"weight", "bias"}), ({"bias": False}, {"weight"}), ({"elementwise_affine": False}, set())],
)
def test_layer_norm_module(options: dict[str, Any], names: set[str]) -> None:
    layer = gf.nn.LayerNorm((3, 4), eps=1e-3, **options)
    assert set(layer.state_dict()) == names
    assert all(p.shape == (3, 4) for p in layer.parameters())
    x = randoms((2, 3, 4))
    assert np.allclose(layer(gf.tensor(x)).detach().numpy(), normalised(x, (1, 2), 1e-3), atol=1e-6)
    shown = f"elementwise_affine={'weight' in names}, bias={'bias' in names}"
    assert repr(layer) == f"LayerNorm((3, 4), eps=0.001, {shown})"
    assert gf.nn.LayerNorm(5).normalized_shape == (5,)


@every_device
@pytest.mark.parametrize("shape", [(0, 4), (3, 0)])
def test_layer_norm_of_nothing(shape: tuple[int, int], device: str) -> None:
    x = gf.zeros(*shape, device=device, requires_grad=True)
    w, b = [gf.ones(shape[1], device=device, requires_grad=True) for _ in range(2)]
    F.layer_norm(x, shape[1], w, b).sum().backward()
    assert x.grad.shape == shape and w.grad.tolist() == b.grad.tolist() == [0] * shape[1]


def test_layer_norm_refuses_what_does_not_fit() -> None:
    x = gf.ones(2, 3, 4)
    for shape in ((3,), (2, 4), (1, 2, 3, 4), ()):
        with pytest.raises(ValueError, match=r"\[layer_norm\] normalized_shape"):
            F.layer_norm(x, shape)
    with pytest.raises(ValueError, match=r"\[layer_norm\] bias is \(3,\), expected normalized_shape \(4,\)"):
        F.layer_norm(x, 4, gf.ones(4), gf.ones(3))
