"""Optimisers, the scaled loss, checkpoints and autocast with CuPy's functions (a stand-in) and emulated kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradflow as gf
from gradflow.amp import GradScaler
from gradflow.optim.swa_utils import AveragedModel
from gradflow.utils.checkpoint import checkpoint

GIVEN: dict[str, dict[str, Any]] = {
    "NAdam": {"decoupled_weight_decay": True, "weight_decay": 0.1},
    "RAdam": {"betas": (0.8, 0.9), "weight_decay": 0.1},
    "Adamax": {"maximize": True, "weight_decay": 0.1},
    "Adagrad": {"lr_decay": 0.1, "initial_accumulator_value": 0.5},
    "Adadelta": {"weight_decay": 0.1},
    "RMSprop": {"centered": True, "momentum": 0.5},
    "Rprop": {},
    "ASGD": {"t0": 1, "weight_decay": 0.1},
    "Lion": {"weight_decay": 0.1},
    "Muon": {},
    "LBFGS": {"line_search_fn": "strong_wolfe", "max_iter": 3},
    "LBFGS without a search": {"max_iter": 3, "history_size": 1},
}


def train(device: str, name: str) -> tuple[np.ndarray, Any]:
    w = gf.tensor(np.linspace(-1, 2, 12).reshape(4, 3), device=device, requires_grad=True)
    optimiser = getattr(gf.optim, name.split()[0])([w], lr=0.1, **GIVEN[name])

    def closure() -> Any:
        optimiser.zero_grad()
        loss = ((w * w - 1) ** 2).sum() + w.sum()
        loss.backward()
        return loss

    for _ in range(6):
        optimiser.step(closure)
        optimiser.load_state_dict(optimiser.state_dict())
    return w.detach().numpy(), optimiser


@pytest.mark.parametrize("name", GIVEN)
def test_steps_with_cupys_functions(fake_cuda: Any, name: str) -> None:
    found, optimiser = train("cuda:1", name)
    expected, _ = train("cpu", name)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    held = [v for v in optimiser.state_dict()["state"][0].values() if hasattr(v, "device")]
    assert held and {str(v.device) for v in held} == {"cuda:1"}


def test_mixed_precision_with_cupys_functions(fake_cuda: Any) -> None:
    gf.manual_seed(0)
    net = gf.nn.Sequential(gf.nn.Linear(3, 4), gf.nn.Tanh(), gf.nn.Linear(4, 1)).cuda()
    optimiser, scaler = gf.optim.SGD(net.parameters(), lr=0.1), GradScaler()
    averaged = AveragedModel(net)
    x = gf.ones(2, 3, device="cuda")
    before = net[0].weight.detach().numpy()
    with gf.autocast("cuda"):
        y = checkpoint(net, x)
        assert y.dtype == gf.float16
        loss = (y**2).mean()
    scaler.scale(loss).backward()
    scaler.step(optimiser)
    scaler.update()
    averaged.update_parameters(net)
    assert scaler.get_scale() == 2.0**16 and not np.array_equal(net[0].weight.detach().numpy(), before)
    assert np.array_equal(averaged.module[0].weight.detach().numpy(), net[0].weight.detach().numpy())


def test_kernels_see_what_autocast_chose() -> None:
    gf.manual_seed(0)
    x, w, b = [gf.randn(*s, device="emulated", requires_grad=True) for s in ((2, 2, 5, 5), (3, 2, 3, 3), (3,))]
    gf.kernels.reset()
    with gf.autocast("emulated"):
        y = gf.nn.functional.conv2d(x, w, b)
        loss = gf.nn.functional.cross_entropy(y.flatten(1), gf.tensor([1, 2], device="emulated"))
    assert (y.dtype, loss.dtype) == (gf.float16, gf.float32)
    grads = gf.autograd.grad(loss, [x, w, b])
    hosts = [t.detach().cpu().requires_grad_() for t in (x, w, b)]
    plain = gf.nn.functional.cross_entropy(gf.nn.functional.conv2d(*hosts).flatten(1), gf.tensor([1, 2]))
    for g, h in zip(grads, gf.autograd.grad(plain, hosts), strict=True):
        assert g.dtype == gf.float32 and np.abs(g.numpy() - h.numpy()).max() < 5e-3
