"""Modules: registration, state, modes, and batch norm's running statistics."""

import numpy as np
import pytest

import gradflow as gf
from gradflow import nn


def model():
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3))


def test_state_dict_lists_parameters_and_buffers_module_by_module():
    names = "0.weight 0.bias 1.weight 1.bias 1.running_mean 1.running_var 1.num_batches_tracked 4.weight 4.bias"
    state = model().state_dict()
    assert list(state) == names.split() and state["0.weight"].shape == (2, 1, 3, 3)
    assert not any(v.requires_grad for v in state.values())


def test_loading_changes_all_or_nothing():
    ours, other = model(), model()
    before = {k: v.numpy() for k, v in ours.state_dict().items()}
    wrong = dict(other.state_dict(), **{"4.bias": gf.zeros(7)})
    with pytest.raises(ValueError, match=r"4\.bias.*\(7,\).*\(3,\)"):
        ours.load_state_dict(wrong)
    del wrong["4.bias"]
    with pytest.raises(KeyError, match=r"missing.*4\.bias"):
        ours.load_state_dict(wrong)
    assert all(np.array_equal(v.numpy(), before[k]) for k, v in ours.state_dict().items())
    ours.load_state_dict(other.state_dict())
    assert all(np.array_equal(v.numpy(), other.state_dict()[k].numpy()) for k, v in ours.state_dict().items())


@pytest.mark.parametrize("momentum", [0.1, 0.5, None])
def test_running_statistics_follow_the_batches(momentum):
    layer = nn.BatchNorm2d(3, momentum=momentum, dtype=gf.float64)
    rng = np.random.default_rng(0)
    batches = [rng.standard_normal((4, 3, 2, 5)) * 2 + 1 for _ in range(3)]
    mean, var = np.zeros(3), np.ones(3)
    for i, batch in enumerate(batches):
        step = momentum if momentum is not None else 1 / (i + 1)
        layer(gf.tensor(batch))
        mean += step * (batch.mean((0, 2, 3)) - mean)
        var += step * (batch.var((0, 2, 3), ddof=1) - var)
    np.testing.assert_allclose(layer.running_mean.numpy(), mean, rtol=1e-12)
    np.testing.assert_allclose(layer.running_var.numpy(), var, rtol=1e-12)
    assert layer.num_batches_tracked.item() == 3
    layer.eval()
    expected = (batches[0] - mean[:, None, None]) / np.sqrt(var + 1e-5)[:, None, None]
    np.testing.assert_allclose(layer(gf.tensor(batches[0])).detach().numpy(), expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(layer.running_mean.numpy(), layer.state_dict()["running_mean"].numpy())


def test_modes_reach_every_module_and_dropout_drops_in_training_only():
    net = nn.Sequential(nn.Dropout(0.5), nn.Sequential(nn.Dropout(0.5)))
    x = gf.ones(1000)
    gf.manual_seed(0)
    kept = net[0](x).numpy()
    assert set(kept) == {0.0, 2.0} and 400 < (kept > 0).sum() < 600
    net.eval()
    assert not any(m.training for m in net.modules()) and net(x) is x


def test_assignments_register_and_misuse_is_named():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(gf.ones(2))
            self.register_buffer("seen", gf.zeros(1))
            self.twin = self.w

    net = Net()
    assert [n for n, _ in net.named_parameters()] == ["w"] and sorted(net.state_dict()) == ["seen", "twin", "w"]
    with pytest.raises(TypeError, match="Parameter"):
        net.w = gf.ones(2)
    with pytest.raises(AttributeError, match="missing"):
        _ = net.missing

    class Early(nn.Module):
        def __init__(self):
            self.w = nn.Parameter(gf.ones(2))

    with pytest.raises(AttributeError, match="super"):
        Early()


def test_to_moves_dtypes_in_place():
    net = model()
    weight = net[0].weight
    assert net.to(gf.float64) is net and net[0].weight is weight and weight.dtype == gf.float64
    assert net[1].running_mean.dtype == gf.float64 and net[1].num_batches_tracked.dtype == gf.int64
    net(gf.ones(2, 1, 4, 4, dtype=gf.float64)).sum().backward()
    assert weight.grad.dtype == gf.float64
