"""Learning rates of 60 epochs beside PyTorch's: uninterrupted, resumed, and set to an epoch."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradflow as gf

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.filterwarnings("ignore:.*optimizer.step:UserWarning")  # nested schedules, as PyTorch's

Make = Callable[[Any, Any], Any]

PLAIN: dict[str, Make] = {
    "StepLR": lambda s, o: s.StepLR(o, 7, 0.5),
    "MultiStepLR": lambda s, o: s.MultiStepLR(o, [3, 10, 10, 40], gamma=0.3),
    "ConstantLR": lambda s, o: s.ConstantLR(o, 0.4, 9),
    "ConstantLR-0": lambda s, o: s.ConstantLR(o),
    "LinearLR": lambda s, o: s.LinearLR(o, 0.2, 0.7, 20),
    "LinearLR-0": lambda s, o: s.LinearLR(o),
    "ExponentialLR": lambda s, o: s.ExponentialLR(o, 0.9),
    "PolynomialLR": lambda s, o: s.PolynomialLR(o, 40, 1.7),
    "CosineAnnealingLR": lambda s, o: s.CosineAnnealingLR(o, 13, 0.01),
    "CosineAnnealingLR-60": lambda s, o: s.CosineAnnealingLR(o, T_max=60),
    "WarmRestarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 5, 2, 0.001),
    "WarmRestarts-1": lambda s, o: s.CosineAnnealingWarmRestarts(o, T_0=7),
    "OneCycleLR": lambda s, o: s.OneCycleLR(o, [0.3, 0.1], 60),
    "OneCycleLR-linear": lambda s, o: s.OneCycleLR(o, 0.3, epochs=6, steps_per_epoch=10, anneal_strategy="linear"),
    "OneCycleLR-three": lambda s, o: s.OneCycleLR(
        o, 0.3, 61, pct_start=0.2, three_phase=True, div_factor=10.0, base_momentum=0.7
    ),
    "OneCycleLR-fixed": lambda s, o: s.OneCycleLR(o, 0.3, 60, cycle_momentum=False),
    "CyclicLR": lambda s, o: s.CyclicLR(o, 0.01, 0.2, 8),
    "CyclicLR-2": lambda s, o: s.CyclicLR(o, [0.01, 0.02], [0.2, 0.3], 8, 5, mode="triangular2"),
    "CyclicLR-exp": lambda s, o: s.CyclicLR(o, 0.01, 0.2, 8, mode="exp_range", gamma=0.95, cycle_momentum=False),
    "CyclicLR-own": lambda s, o: s.CyclicLR(o, 0.01, 0.2, 8, scale_fn=lambda x: 1 / x),
    "LambdaLR": lambda s, o: s.LambdaLR(o, [lambda e: 0.95**e, lambda e: 1 / (e + 1)]),
    "MultiplicativeLR": lambda s, o: s.MultiplicativeLR(o, lambda e: 0.9 + 0.01 * (e % 3)),
    "SequentialLR": lambda s, o: s.SequentialLR(
        o, [s.ConstantLR(o, 0.1, 5), s.ExponentialLR(o, 0.9), s.CosineAnnealingLR(o, 20)], [5, 21]
    ),
    "warm up, then cosine": lambda s, o: s.SequentialLR(
        o, [s.LinearLR(o, 0.1, total_iters=10), s.CosineAnnealingLR(o, 50, 0.001)], milestones=[10]
    ),
    "nested": lambda s, o: s.SequentialLR(
        o,
        [s.SequentialLR(o, [s.ConstantLR(o), s.StepLR(o, 4)], [6]), s.PolynomialLR(o, 30)],
        [20],
    ),
    "ChainedScheduler": lambda s, o: s.ChainedScheduler(
        [s.ConstantLR(o, 0.1, 8), s.ExponentialLR(o, 0.9), s.MultiplicativeLR(o, lambda e: 1.01)], o
    ),
}  # fmt: skip


def optimiser(lib: Any, kind: str = "SGD") -> Any:
    groups = [{"params": [lib.ones(2, requires_grad=True)]}, {"params": [lib.ones(3, requires_grad=True)], "lr": 0.05}]
    given = {"momentum": 0.9} if kind == "SGD" else {}
    return getattr(lib.optim, kind)(groups, lr=0.1, **given)


def rates(o: Any) -> list[float]:
    return [x for g in o.param_groups for x in (g["lr"], g.get("momentum", 0.0), *g.get("betas", ()))]


def sequence(lib: Any, make: Make, epochs: int = 60, kind: str = "SGD") -> Any:
    o = optimiser(lib, kind)
    scheduler = make(lib.optim.lr_scheduler, o)
    found = [rates(o)]
    for _ in range(epochs - 1):
        o.step()
        scheduler.step()
        found.append(rates(o))
        assert [float(x) for x in scheduler.get_last_lr()] == [g["lr"] for g in o.param_groups]
    return found, scheduler, o


@pytest.mark.parametrize("name", PLAIN)
def test_60_epochs(name: str) -> None:
    found, mine, _ = sequence(gf, PLAIN[name])
    expected, other, _ = sequence(torch, PLAIN[name])
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)
    assert mine.last_epoch == other.last_epoch if hasattr(other, "last_epoch") else True


@pytest.mark.parametrize("name", ["OneCycleLR", "CyclicLR"])
def test_the_first_beta_cycles_as_momentum_does(name: str) -> None:
    found, expected = sequence(gf, PLAIN[name], kind="Adam")[0], sequence(torch, PLAIN[name], kind="Adam")[0]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("lib", [gf, torch], ids=["resumed", "from PyTorch"])
@pytest.mark.parametrize("name", PLAIN)
def test_resumed_is_uninterrupted(name: str, lib: Any) -> None:
    whole = sequence(gf, PLAIN[name])[0]
    _, other, before = sequence(lib, PLAIN[name], 24)
    o = optimiser(gf)
    scheduler = PLAIN[name](gf.optim.lr_scheduler, o)
    scheduler.load_state_dict(other.state_dict())
    o.load_state_dict(before.state_dict())
    found = []
    for _ in range(36):
        o.step()
        scheduler.step()
        found.append(rates(o))
    np.testing.assert_allclose(found, whole[24:], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", ["StepLR", "ExponentialLR", "CosineAnnealingLR", "PolynomialLR", "LambdaLR"])
def test_last_epoch_goes_on_in_groups_that_know_their_start(name: str) -> None:
    def run(lib: Any) -> Any:
        _, _, o = sequence(lib, PLAIN[name], 11)
        constructors: dict[str, Make] = {
            "StepLR": lambda s, o: s.StepLR(o, 7, 0.5, last_epoch=10),
            "ExponentialLR": lambda s, o: s.ExponentialLR(o, 0.9, 10),
            "CosineAnnealingLR": lambda s, o: s.CosineAnnealingLR(o, 13, 0.01, 10),
            "PolynomialLR": lambda s, o: s.PolynomialLR(o, 40, 1.7, 10),
            "LambdaLR": lambda s, o: s.LambdaLR(o, lambda e: 0.95**e, 10),
        }
        scheduler = constructors[name](lib.optim.lr_scheduler, o)
        found = [rates(o)]
        for _ in range(20):
            o.step()
            scheduler.step()
            found.append(rates(o))
        return found

    np.testing.assert_allclose(run(gf), run(torch), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", [n for n in PLAIN if n.split("-")[0] not in ("SequentialLR", "warm up, then cosine")])
def test_an_epoch_may_be_given(name: str) -> None:
    def run(lib: Any) -> Any:
        o = optimiser(lib)
        scheduler = PLAIN[name](lib.optim.lr_scheduler, o)
        found = []
        for epoch in (3, 30, 5, 11, 2.5 if name.startswith("WarmRestarts") else 8):
            o.step()
            scheduler.step(epoch)
            found.append(rates(o))
        return found

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            expected = run(torch)
        except TypeError:
            with pytest.raises(TypeError):
                run(gf)
            return
        np.testing.assert_allclose(run(gf), expected, rtol=1e-12, atol=1e-15)


PLATEAU: list[dict[str, Any]] = [
    {"patience": 2},
    {"mode": "max", "factor": 0.5, "patience": 1, "cooldown": 3},
    {"threshold_mode": "abs", "threshold": 0.2, "patience": 0, "min_lr": 1e-4},
    {"mode": "max", "threshold_mode": "abs", "patience": 3, "min_lr": [1e-3, 1e-2]},
    {"factor": 0.9, "patience": 0, "eps": 1e-3},
]


@pytest.mark.parametrize("given", PLATEAU)
def test_plateau(given: dict[str, Any]) -> None:
    measures = np.random.default_rng(3).uniform(0.5, 1.5, 60) + np.linspace(1, 0, 60)

    def run(lib: Any, state: Any = None) -> Any:
        o = optimiser(lib)
        scheduler = lib.optim.lr_scheduler.ReduceLROnPlateau(o, **given)
        found = []
        for i, m in enumerate(measures):
            if i == 30 and lib is gf:
                held = scheduler.state_dict()
                scheduler = gf.optim.lr_scheduler.ReduceLROnPlateau(o, **given)
                scheduler.load_state_dict(held)
            scheduler.step(lib.tensor(m) if i % 2 else m)
            found.append([*rates(o), scheduler.num_bad_epochs, scheduler.cooldown_counter, *scheduler.get_last_lr()])
        return found

    np.testing.assert_allclose(run(gf), run(torch), rtol=1e-12)


@pytest.mark.parametrize("given", [{}, {"anneal_epochs": 4}, {"anneal_epochs": 0}, {"anneal_strategy": "linear"}])
def test_swalr(given: dict[str, Any]) -> None:
    def run(lib: Any) -> Any:
        o = optimiser(lib)
        first, then = lib.optim.lr_scheduler.ExponentialLR(o, 0.9), lib.optim.swa_utils.SWALR(o, 0.02, **given)
        found = []
        for i in range(30):
            o.step()
            (first if i < 10 else then).step()
            found.append(rates(o))
        return found

    np.testing.assert_allclose(run(gf), run(torch), rtol=1e-12)


BAD: list[Make] = [
    lambda s, o: s.ConstantLR(o, 2.0),
    lambda s, o: s.LinearLR(o, 0.0),
    lambda s, o: s.LambdaLR(o, [lambda e: 1.0]),
    lambda s, o: s.StepLR(o, 3, last_epoch=2),
    lambda s, o: s.OneCycleLR(o, 0.1),
    lambda s, o: s.OneCycleLR(o, 0.1, 0),
    lambda s, o: s.OneCycleLR(o, 0.1, 10, pct_start=1.5),
    lambda s, o: s.OneCycleLR(o, 0.1, 10, anneal_strategy="no"),
    lambda s, o: s.CyclicLR(o, 0.1, 0.2, mode="no"),
    lambda s, o: s.CosineAnnealingWarmRestarts(o, 0),
    lambda s, o: s.ReduceLROnPlateau(o, factor=1.0),
    lambda s, o: s.ReduceLROnPlateau(o, "no"),
    lambda s, o: s.SequentialLR(o, [s.StepLR(o, 2)], [3]),
    lambda s, o: s.SequentialLR(o, [s.StepLR(o, 2), s.ReduceLROnPlateau(o)], [3]),
    lambda s, o: s.ChainedScheduler([]),
    lambda s, o: s.StepLR([], 3),
]


@pytest.mark.parametrize("make", BAD)
def test_both_refuse(make: Make) -> None:
    for lib in (gf, torch):
        with pytest.raises((ValueError, TypeError, KeyError, IndexError)):
            make(lib.optim.lr_scheduler, optimiser(lib))


def test_a_step_too_early_is_told() -> None:
    for lib in (gf, torch):
        o = optimiser(lib)
        scheduler = lib.optim.lr_scheduler.StepLR(o, 3)
        with pytest.warns(UserWarning, match=r"optimizer\.step"):
            scheduler.step()
