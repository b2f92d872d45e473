"""Trajectories, state and refusals of optimisers, step by step beside PyTorch's in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import gradflow as gf

torch = pytest.importorskip("torch")

SHAPES = [(4, 3), (5,), (), (2, 3, 2)]
RNG = np.random.default_rng(0)
STARTS = [RNG.standard_normal(s) for s in SHAPES]
NOISE = [[RNG.standard_normal(s) for s in SHAPES] for _ in range(25)]


@pytest.fixture(autouse=True)
def numbers_in_float64() -> Iterator[None]:
    """PyTorch keeps NAdam's and ASGD's numbers in its default dtype."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def options(**choices: Any) -> list[dict[str, Any]]:
    """The defaults, each option alone, and all of them together."""
    return [{}, *[{k: v} for k, v in choices.items()], choices]


DECAY = {"weight_decay": 0.1, "maximize": True}
TABLE: dict[str, list[dict[str, Any]]] = {
    "SGD": [*options(momentum=0.9, dampening=0.3, **DECAY), {"momentum": 0.8, "nesterov": True, "weight_decay": 0.1}],
    "Adam": options(betas=(0.8, 0.9), eps=1e-3, amsgrad=True, **DECAY)
    + [{"decoupled_weight_decay": True, "weight_decay": 0.1}],
    "AdamW": options(betas=(0.8, 0.9), amsgrad=True, **DECAY),
    "NAdam": options(betas=(0.8, 0.9), momentum_decay=0.1, decoupled_weight_decay=True, **DECAY),
    "RAdam": options(betas=(0.8, 0.9), decoupled_weight_decay=True, **DECAY),
    "Adamax": options(betas=(0.8, 0.9), eps=1e-2, **DECAY),
    "Adagrad": options(lr_decay=0.1, initial_accumulator_value=0.5, eps=1e-3, **DECAY),
    "Adadelta": options(lr=0.3, rho=0.7, eps=1e-3, **DECAY),
    "RMSprop": options(alpha=0.8, momentum=0.7, centered=True, eps=1e-2, **DECAY),
    "Rprop": options(etas=(0.4, 1.3), step_sizes=(1e-3, 0.05), maximize=True),
    "ASGD": options(lambd=0.1, alpha=0.5, t0=5, **DECAY),
    "Muon": options(lr=0.05, weight_decay=0.0, nesterov=False, ns_steps=3, adjust_lr_fn="match_rms_adamw"),
}
CASES = [pytest.param(name, given, id=f"{name}-{i}") for name, table in TABLE.items() for i, given in enumerate(table)]


def parameters(lib: Any, name: str) -> list[Any]:
    starts = [s if name != "Muon" else np.outer(np.ravel(s)[:3], np.arange(1.0, 5)) + 0.1 for s in STARTS]
    if name == "Muon":
        starts[0], starts[1] = STARTS[0].copy(), STARTS[0].T.copy()
    return [lib.tensor(s, dtype=lib.float64, requires_grad=True) for s in starts]


def steps(lib: Any, params: list[Any], optimiser: Any, first: int, last: int) -> None:
    for i in range(first, last):
        for p, noise in zip(params, NOISE[i], strict=True):
            w = p.detach().numpy()
            g = np.tanh(w) + 0.5 * (noise if noise.shape == w.shape else np.resize(noise, w.shape)) * (i % 7 != 3)
            p.grad = None if i == 4 and p is params[1] else lib.tensor(g, dtype=lib.float64)
        optimiser.step()


def make(lib: Any, name: str, params: list[Any], given: dict[str, Any]) -> Any:
    groups = [{"params": params[:2]}, {"params": params[2:], "lr": 0.02}]
    return getattr(lib.optim, name)(groups, **given)


def close(ours: Any, theirs: Any, tolerance: float = 1e-9) -> None:
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=tolerance, atol=tolerance)


@pytest.fixture
def full_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Muon's steps in the parameters' dtype, not bfloat16."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda self: self.clone())


@pytest.mark.usefixtures("full_precision")
@pytest.mark.parametrize("name, given", CASES)
def test_25_steps_of_two_groups(name: str, given: dict[str, Any]) -> None:
    ours, theirs = parameters(gf, name), parameters(torch, name)
    mine, other = make(gf, name, ours, given), make(torch, name, theirs, given)
    steps(gf, ours, mine, 0, 25)
    steps(torch, theirs, other, 0, 25)
    close(ours, theirs)
    state, wanted = mine.state_dict(), other.state_dict()
    for i, held in wanted["state"].items():
        assert list(state["state"][i]) == list(held)
        for k, v in held.items():
            found = state["state"][i][k]
            assert getattr(found, "shape", ()) == tuple(v.shape), k
            np.testing.assert_allclose(np.asarray(found), v.numpy(), rtol=1e-8, atol=1e-11, err_msg=k)
    hints = {"foreach", "fused", "capturable", "differentiable"}
    for group, expected in zip(state["param_groups"], wanted["param_groups"], strict=True):
        assert group == {k: v for k, v in expected.items() if k not in hints}


@pytest.mark.usefixtures("full_precision")
@pytest.mark.parametrize("name", TABLE)
def test_a_checkpoint_of_pytorch_goes_on(name: str) -> None:
    given = TABLE[name][-1]
    theirs = parameters(torch, name)
    other = make(torch, name, theirs, given)
    steps(torch, theirs, other, 0, 10)
    ours = [gf.tensor(p.detach().numpy(), requires_grad=True) for p in theirs]
    mine = make(gf, name, ours, {})
    mine.load_state_dict(other.state_dict())
    steps(gf, ours, mine, 10, 20)
    steps(torch, theirs, other, 10, 20)
    close(ours, theirs)


def rosenbrock(x: Any, y: Any) -> Any:
    return (1 - x) ** 2 + 5 * ((y - x * x) ** 2).sum()


def problem(lib: Any, optim: Any, **given: Any) -> tuple[list[float], list[Any], Any]:
    x, y = [lib.tensor(v, dtype=lib.float64, requires_grad=True) for v in (-1.2, [1.0, 2.0])]
    optimiser, losses = optim([x, y], **given), []

    def closure() -> Any:
        optimiser.zero_grad()
        loss = rosenbrock(x, y)
        loss.backward()
        losses.append(float(loss))
        return loss

    for _ in range(6):
        losses.append(float(optimiser.step(closure)))
    return losses, [x, y], optimiser


LBFGS: list[dict[str, Any]] = [
    {"lr": 1e-3},
    {"lr": 1e-3, "max_iter": 3, "history_size": 2},
    {"line_search_fn": "strong_wolfe"},
    {"line_search_fn": "strong_wolfe", "lr": 0.1, "max_iter": 4, "history_size": 3},
    {"line_search_fn": "strong_wolfe", "lr": 5.0, "max_eval": 7, "tolerance_change": 1e-3},
    {"line_search_fn": "strong_wolfe", "tolerance_grad": 1.0, "max_iter": 100},
]


@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")
@pytest.mark.parametrize("given", LBFGS)
def test_lbfgs_evaluates_where_pytorch_does(given: dict[str, Any]) -> None:
    found, ours, mine = problem(gf, gf.optim.LBFGS, **given)
    expected, theirs, other = problem(torch, torch.optim.LBFGS, **given)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-12)
    close(ours, theirs, 1e-8)
    state, wanted = mine.state_dict()["state"][0], other.state_dict()["state"][0]
    assert set(wanted) - set(state) <= {"al"}
    assert (state["func_evals"], state["n_iter"]) == (wanted["func_evals"], wanted["n_iter"])
    assert len(state.get("ro", [])) == len(wanted.get("ro", []))


@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")
def test_lbfgs_goes_on_from_pytorchs_state() -> None:
    given = {"line_search_fn": "strong_wolfe", "max_iter": 3}
    x = torch.tensor([-1.2, 1.0, 0.5], requires_grad=True)
    other = torch.optim.LBFGS([x], **given)
    y: Any = None
    mine: Any = None

    def step(lib: Any, w: Any, optimiser: Any) -> None:
        def closure() -> Any:
            optimiser.zero_grad()
            loss = rosenbrock(w[0], w[1:])
            loss.backward()
            return loss

        optimiser.step(closure)

    for i in range(5):
        if i == 2:
            y = gf.tensor(x.detach().numpy(), requires_grad=True)
            mine = gf.optim.LBFGS([y], **given)
            mine.load_state_dict(other.state_dict())
        if i >= 2:
            step(gf, y, mine)
        step(torch, x, other)
    close([y], [x], 1e-8)


BAD: list[tuple[str, dict[str, Any]]] = [
    *[(name, {"lr": -1.0}) for name in [*TABLE, "LBFGS"]],
    *[(name, {"weight_decay": -0.1}) for name in TABLE if name != "Rprop"],
    *[(name, {"betas": (1.0, 0.9)}) for name in ("Adam", "AdamW", "NAdam", "RAdam", "Adamax")],
    *[(name, {"eps": -1.0}) for name in ("Adam", "NAdam", "Adamax", "Adagrad", "Adadelta", "RMSprop")],
    ("SGD", {"nesterov": True}), ("SGD", {"momentum": -1.0}), ("NAdam", {"momentum_decay": -1.0}),
    ("Adadelta", {"rho": 1.5}), ("Rprop", {"etas": (1.1, 1.2)}), ("Muon", {"adjust_lr_fn": "other"}),
    ("Adagrad", {"lr_decay": -1.0}), ("Adagrad", {"initial_accumulator_value": -1.0}), ("RMSprop", {"alpha": -1.0}),
]  # fmt: skip


@pytest.mark.parametrize("name, given", BAD)
def test_both_refuse(name: str, given: dict[str, Any]) -> None:
    for lib in (gf, torch):
        with pytest.raises(ValueError):
            getattr(lib.optim, name)([lib.ones(2, 2, requires_grad=True)], **given)


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop"])
def test_the_rate_may_be_a_tensor(name: str) -> None:
    def run(lib: Any) -> Any:
        given = {"weight_decay": lib.tensor(0.1, dtype=lib.float64)} if name == "SGD" else {}
        w, rate = lib.tensor([1.0, -2.0], dtype=lib.float64, requires_grad=True), lib.tensor(0.5, dtype=lib.float64)
        optimiser = getattr(lib.optim, name)([w], lr=rate, **given)
        scheduler = lib.optim.lr_scheduler.StepLR(optimiser, 1, 0.5)
        for _ in range(3):
            w.grad = lib.tensor([0.3, 0.4], dtype=lib.float64)
            optimiser.step()
            scheduler.step()
        return w, rate

    (w, rate), (v, other) = run(gf), run(torch)
    close([w, rate], [v, other], 1e-12)


def test_hooks_and_names() -> None:
    def run(lib: Any) -> list[Any]:
        w, log = lib.ones(2, requires_grad=True), []
        optimiser = lib.optim.SGD([("w", w)], lr=0.1)
        before = optimiser.register_step_pre_hook(lambda o, args, kwargs: log.append(("before", len(args))))
        optimiser.register_step_post_hook(lambda o, args, kwargs: log.append(("after", len(args))))
        for _ in range(2):
            w.grad = lib.ones(2)
            optimiser.step()
            before.remove()
        group = optimiser.state_dict()["param_groups"][0]
        return [*log, group["param_names"], group["params"]]

    assert run(gf) == run(torch)


def trajectory(lib: Any, build: Callable[[Any], Any]) -> list[float]:
    w = lib.tensor([1.0, -2.0], dtype=lib.float64, requires_grad=True)
    optimiser, losses = build(lib)([w]), []
    for _ in range(3):
        optimiser.zero_grad(set_to_none=False)
        loss = (w * w).sum()
        loss.backward()
        losses.append(float(loss))
        optimiser.step()
    return losses


def test_an_optimiser_of_the_users_own_with_a_step() -> None:
    def build(lib: Any) -> Any:
        class Plain(lib.optim.Optimizer):  # type: ignore[misc, name-defined]
            def __init__(self, params: Any, lr: float = 0.1) -> None:
                super().__init__(params, {"lr": lr})

            @lib.no_grad()  # type: ignore[untyped-decorator]
            def step(self, closure: Any = None) -> None:
                for group in self.param_groups:
                    for p in group["params"]:
                        state = self.state[p]
                        if not state:
                            state["step"], state["mean"] = 0, lib.zeros_like(p)
                        state["step"] += 1
                        state["mean"].mul_(0.5).add_(p.grad)
                        p.add_(state["mean"], alpha=-group["lr"])

        return Plain

    assert trajectory(gf, build) == pytest.approx(trajectory(torch, build), rel=1e-12)
