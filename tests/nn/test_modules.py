"""Modules: registration, state, modes, and batch norm's running statistics."""

import copy

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


def test_buffers_that_are_not_saved():
    net = nn.Module()
    net.register_buffer("kept", gf.ones(1))
    net.register_buffer("passing", gf.ones(1), persistent=False)
    assert list(net.state_dict()) == ["kept"] and [n for n, _ in net.named_buffers()] == ["kept", "passing"]
    assert net.double().passing.dtype == gf.float64
    net.register_buffer("passing", gf.ones(1))
    assert list(net.state_dict()) == ["kept", "passing"]


def test_what_loading_returns():
    net, state = model(), model().state_dict()
    assert repr(net.load_state_dict(state)) == "<All keys matched successfully>"
    state["more"] = state.pop("4.bias")
    keys = net.load_state_dict(state, strict=False)
    assert keys.missing_keys == ["4.bias"] and keys.unexpected_keys == ["more"] and keys == (["4.bias"], ["more"])
    with pytest.raises(NotImplementedError, match="assign=True"):
        net.load_state_dict(state, assign=True)
    with pytest.raises(TypeError, match=r"4\.bias must be a tensor or an array, got int"):
        net.load_state_dict({"4.bias": 3}, strict=False)


def test_copies_keep_ties():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    twin = copy.deepcopy(net)
    assert twin[1].weight is twin[0].weight is not net[0].weight and len(list(twin.parameters())) == 3
    twin[0].weight.data.zero_()
    assert net[0].weight.abs().sum().item() > 0


REFUSED = {
    "must not be empty nor contain '.'": lambda m: m.register_buffer("a.b", None),
    "has an attribute 'forward' already": lambda m: m.add_module("forward", nn.ReLU()),
    "must be a gf.nn.Parameter or None, got Tensor": lambda m: m.register_parameter("p", gf.ones(1)),
    "must be a module or None, got int": lambda m: m.append(3),
    "is no module but int": lambda m: nn.Sequential(3),
    "takes floating dtypes only, got int64": lambda m: m.to(gf.int64),
    "has no submodule '7'": lambda m: m.get_submodule("7.weight"),
    "has no parameter 'nothing'": lambda m: m.get_parameter("0.nothing"),
    "training mode must be True or False": lambda m: m.train("yes"),
    "index 9 is out of range for Sequential of 5": lambda m: m[9],
    "only|cannot be a key": lambda m: nn.ParameterDict({"a.b": gf.ones(1)}),
    "by number, not by name": lambda m: nn.Unflatten("a", (1, 2)),
}


@pytest.mark.parametrize("message", REFUSED)
def test_refusals(message):
    with pytest.raises(
        (TypeError, KeyError, AttributeError, ValueError, IndexError, NotImplementedError), match=message
    ):
        REFUSED[message](model())


def test_paths_and_repr():
    net = nn.Sequential(model(), nn.ModuleList([nn.Linear(1, 2), nn.Linear(1, 2)]))
    assert (
        net.get_submodule("0.4") is net[0][4]
        and net.get_parameter("1.0.bias") is net[1][0].bias
        and net.get_submodule("") is net
    )
    assert (
        net.get_buffer("0.1.running_var") is net[0][1].running_var
        and "weight" in dir(net[0][0])
        and "0" not in dir(net)
    )
    assert repr(net[1]) == "ModuleList(\n  (0-1): 2 x Linear(in_features=1, out_features=2, bias=True)\n)"
    assert repr(net).splitlines()[:3] == [
        "Sequential(",
        "  (0): Sequential(",
        "    (0): Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1))",
    ]


def test_replacing_a_layer_keeps_its_place():
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    net[0] = nn.Identity()
    assert [type(m).__name__ for m in net] == ["Identity", "ReLU", "Linear"]
    net.insert(1, nn.Flatten()).append(nn.ReLU())
    assert net.pop(1).start_dim == 1 and list(net._modules) == ["0", "1", "2", "3"] and len(net[1:]) == 3
