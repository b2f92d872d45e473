"""Averages of models, and schedules' errors and state."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradflow as gf
from gradflow.optim.lr_scheduler import ChainedScheduler, LambdaLR, ReduceLROnPlateau, SequentialLR, StepLR
from gradflow.optim.swa_utils import (
    SWALR,
    AveragedModel,
    get_ema_avg_fn,
    get_ema_multi_avg_fn,
    get_swa_multi_avg_fn,
    update_bn,
)


def net() -> Any:
    gf.manual_seed(0)
    return gf.nn.Sequential(gf.nn.Conv2d(1, 3, 3), gf.nn.BatchNorm2d(3), gf.nn.ReLU(), gf.nn.Dropout(0.5))


def wander(model: Any, averaged: AveragedModel, steps: int = 4) -> list[np.ndarray]:
    """The first weight at each update, while the model changes at random."""
    rng, seen = np.random.default_rng(0), []
    for _ in range(steps):
        for p in model.parameters():
            p.detach().copy_(gf.tensor(rng.standard_normal(tuple(p.shape)), dtype=p.dtype))
        model(gf.tensor(rng.standard_normal((4, 1, 6, 6)), dtype=gf.float32))
        averaged.update_parameters(model)
        seen.append(model[0].weight.detach().numpy())
    return seen


def test_the_mean_of_all_models() -> None:
    model = net()
    averaged = AveragedModel(model)
    seen = wander(model, averaged)
    np.testing.assert_allclose(averaged.module[0].weight.detach().numpy(), np.mean(seen, 0), rtol=1e-5, atol=1e-6)
    assert averaged.n_averaged.item() == 4
    assert np.array_equal(averaged.module[1].running_mean.numpy(), model[1].running_mean.numpy())
    assert list(averaged.state_dict())[:2] == ["n_averaged", "module.0.weight"]


@pytest.mark.parametrize("given", ["avg_fn", "multi_avg_fn"])
@pytest.mark.parametrize("use_buffers", [False, True])
def test_the_exponential_mean(given: str, use_buffers: bool) -> None:
    model = net()
    function: Any = get_ema_avg_fn(0.75) if given == "avg_fn" else get_ema_multi_avg_fn(0.75)
    averaged = AveragedModel(model, use_buffers=use_buffers, **{given: function})
    seen = wander(model, averaged)
    mean = seen[0]
    for w in seen[1:]:
        mean = 0.75 * mean + 0.25 * w
    np.testing.assert_allclose(averaged.module[0].weight.detach().numpy(), mean, rtol=1e-5, atol=1e-6)
    same = np.array_equal(averaged.module[1].running_mean.numpy(), model[1].running_mean.numpy())
    assert same is not use_buffers


def test_the_average_is_a_model_of_its_own() -> None:
    model = net()
    averaged = AveragedModel(model)
    averaged.update_parameters(model)
    before = averaged.module[0].weight.detach().numpy()
    with gf.no_grad():
        model[0].weight.mul_(2)
    assert np.array_equal(averaged.module[0].weight.detach().numpy(), before)
    x = gf.randn(2, 1, 6, 6)
    assert np.array_equal(averaged.eval()(x).detach().numpy(), averaged.module(x).detach().numpy())


@pytest.mark.parametrize("given", [{}, {"avg_fn": get_ema_avg_fn()}, {"multi_avg_fn": get_swa_multi_avg_fn()}])
def test_averages_are_taken_where_the_model_is(given: Any) -> None:
    model = gf.nn.Linear(2, 2).to("emulated")
    averaged = AveragedModel(model, **given)
    for scale in (3.0, 1.0):
        model.weight.detach().fill_(scale)
        averaged.update_parameters(model)
    expected = 3.0 - 2.0 / (1000 if "avg_fn" in given else 2)
    assert str(averaged.module.weight.device) == "emulated"
    assert averaged.module.weight.flatten().tolist() == pytest.approx([expected] * 4)


def test_batch_norms_statistics_are_means_over_the_batches() -> None:
    model = net()
    model(gf.ones(4, 1, 6, 6))  # statistics to forget
    model.eval()
    model[3].train()
    batches = [gf.randn(4, 1, 6, 6) * (i + 1) for i in range(3)]
    update_bn([(b, None) for b in batches], model)
    with gf.no_grad():
        maps = [model[0](b).numpy() for b in batches]
    np.testing.assert_allclose(model[1].running_mean.numpy(), np.mean([m.mean((0, 2, 3)) for m in maps], 0), rtol=1e-4)
    expected = np.mean([m.var((0, 2, 3), ddof=1) for m in maps], 0)
    np.testing.assert_allclose(model[1].running_var.numpy(), expected, rtol=1e-4)
    assert model[1].momentum == 0.1 and [m.training for m in model] == [False, False, False, True]


def test_what_averages_refuse() -> None:
    with pytest.raises(ValueError, match=r"\[AveragedModel\] takes avg_fn or multi_avg_fn"):
        AveragedModel(net(), avg_fn=get_ema_avg_fn(), multi_avg_fn=get_ema_multi_avg_fn())
    with pytest.raises(ValueError, match=r"\[swa_utils\] decay must be in \[0, 1\], got 1.5"):
        get_ema_avg_fn(1.5)
    with pytest.raises(ValueError, match=r"\[SWALR\] anneal_strategy"):
        SWALR(gf.optim.SGD([gf.ones(1, requires_grad=True)]), 0.1, anneal_strategy="no")


class Half:
    """A schedule with a state."""

    def __init__(self) -> None:
        self.start = 1.0

    def __call__(self, epoch: int) -> float:
        return self.start * 0.5**epoch


def test_the_state_of_a_callable_is_saved_that_of_a_function_is_not() -> None:
    optimiser = gf.optim.SGD([gf.ones(1, requires_grad=True)], lr=1.0)
    scheduler = LambdaLR(optimiser, Half())
    scheduler.lr_lambdas[0].start = 3.0
    saved = scheduler.state_dict()
    other = LambdaLR(optimiser, Half())
    other.load_state_dict(saved)
    assert other.lr_lambdas[0].start == 3.0
    assert LambdaLR(optimiser, lambda epoch: 1.0).state_dict()["lr_lambdas"] == [None]


def test_what_schedules_refuse() -> None:
    first, second = [gf.optim.SGD([gf.ones(1, requires_grad=True)], lr=1.0) for _ in range(2)]
    plateau: Any = ReduceLROnPlateau(first)
    with pytest.raises(TypeError, match=r"\[StepLR\] expected an optimiser, got list"):
        StepLR([], 2)  # type: ignore[arg-type]
    with pytest.raises(KeyError, match="needs 'initial_lr' in param_groups"):
        StepLR(second, 2, last_epoch=3)
    with pytest.raises(ValueError, match=r"\[ChainedScheduler\] scheduler 1 belongs to another optimiser"):
        ChainedScheduler([StepLR(first, 2), StepLR(second, 2)])
    with pytest.raises(ValueError, match=r"\[SequentialLR\] scheduler 0 is a ReduceLROnPlateau"):
        SequentialLR(first, [plateau, plateau], [3])
    with pytest.raises(ValueError, match=r"\[lr_scheduler\] lr_lambda has 2 values for 1 parameter groups"):
        LambdaLR(first, [Half(), Half()])
