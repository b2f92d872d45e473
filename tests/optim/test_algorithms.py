"""The optimisers without a kernel: what PyTorch has not, all dtypes and shapes, options that are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradflow as gf

RNG = np.random.default_rng(0)
NAMES = [
    "SGD", "Adam", "AdamW", "NAdam", "RAdam", "Adamax", "Adagrad", "Adadelta", "RMSprop", "Rprop", "ASGD", "Lion",
    "Muon",
]  # fmt: skip
HINTS = {"SGD": {"foreach": True}, "Muon": {}, "Adam": {"fused": True, "capturable": True}, "Lion": {"foreach": False}}


def run(make: Callable[[Any], Any], start: np.ndarray, gradients: Any, dtype: Any = gf.float64) -> Any:
    w = gf.tensor(start, dtype=dtype, requires_grad=True)
    optimiser = make([w])
    for g in gradients:
        w.grad = gf.tensor(g, dtype=dtype)
        optimiser.step()
    return w.detach().to(gf.float64).numpy()


@pytest.mark.parametrize("maximize", [False, True])
def test_lion_is_its_formula(maximize: bool) -> None:
    lr, b1, b2, decay = 0.1, 0.8, 0.95, 0.2
    start, gradients = RNG.standard_normal((4, 3)), RNG.standard_normal((25, 4, 3))
    w, m = start.copy(), np.zeros((4, 3))
    for g in -gradients if maximize else gradients:
        w = w - lr * (np.sign(b1 * m + (1 - b1) * g) + decay * w)
        m = b2 * m + (1 - b2) * g
    given = {"lr": lr, "betas": (b1, b2), "weight_decay": decay, "maximize": maximize}
    found = run(lambda ps: gf.optim.Lion(ps, **given), start, gradients)
    np.testing.assert_allclose(found, w, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5)])
def test_muon_is_its_formula(shape: tuple[int, int]) -> None:
    start, gradients = RNG.standard_normal(shape), RNG.standard_normal((25, *shape))
    w, m = start.copy(), np.zeros(shape)
    for g in gradients:
        m = m + (g - m) * 0.05
        x = g + (m - g) * 0.95
        u, s, vt = np.linalg.svd(x, full_matrices=False)
        s = s / np.sqrt((s * s).sum())
        for _ in range(5):  # the polynomial acts on singular values
            s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
        w = w * (1 - 0.02 * 0.1) - 0.02 * max(1, shape[0] / shape[1]) ** 0.5 * (u * s) @ vt
    found = run(lambda ps: gf.optim.Muon(ps, lr=0.02), start, gradients)
    np.testing.assert_allclose(found, w, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("name", NAMES)
def test_narrow_floats_follow_float64(name: str, dtype: str) -> None:
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    start, gradients = np.round(RNG.standard_normal((4, 3)), 1), np.round(RNG.standard_normal((4, 4, 3)), 1)
    given: dict[str, Any] = {
        "lr": 0.05,
        **({"eps": 1e-3} if name in ("Adam", "AdamW", "NAdam", "RAdam", "Adamax") else {}),
    }

    def make(params: Any) -> Any:
        return getattr(gf.optim, name)(params, **given)

    kind = getattr(gf, dtype)
    wide = run(make, start.astype(kind), gradients.astype(kind))
    found = run(make, start, gradients, kind)
    tolerance = {"float32": 1e-5, "float16": 2e-2, "bfloat16": 1e-1}[dtype]
    assert np.abs(found - wide).max() < tolerance * np.abs(wide).max()


@pytest.mark.parametrize("name", [n for n in NAMES if n != "Muon"])
def test_scalars_empty_and_strided_parameters(name: str) -> None:
    values = [np.array(2.0), np.zeros((0, 3)), np.arange(12.0).reshape(3, 4)[:, ::2], np.array([2.0])]
    params = [gf.from_numpy(v).requires_grad_() for v in values]
    optimiser = getattr(gf.optim, name)(params, lr=0.1)
    for _ in range(3):
        for p in params:
            p.grad = gf.ones_like(p) * 0.5
        optimiser.step()
    saved = optimiser.state_dict()
    optimiser.load_state_dict(saved)
    optimiser.step()
    assert [tuple(p.shape) for p in params] == [(), (0, 3), (3, 2), (1,)]
    assert params[0].item() == pytest.approx(params[3].item(), rel=1e-14) and params[0].item() != 2.0


@pytest.mark.parametrize("name", NAMES)
def test_training_goes_on_from_a_state_dict(name: str) -> None:
    start, gradients = RNG.standard_normal((4, 3)), RNG.standard_normal((10, 4, 3))
    cls = getattr(gf.optim, name)
    whole = run(lambda ps: cls(ps, lr=0.1), start, gradients)
    first = gf.tensor(start, requires_grad=True)
    before = cls([first], lr=0.1)
    for g in gradients[:4]:
        first.grad = gf.tensor(g)
        before.step()

    def resumed(params: Any) -> Any:
        optimiser = cls(params, lr=7.0)
        optimiser.load_state_dict(before.state_dict())
        return optimiser

    assert np.array_equal(run(resumed, first.detach().numpy(), gradients[4:]), whole)


@pytest.mark.parametrize("name", NAMES)
def test_hints_change_nothing_and_differentiable_is_refused(name: str) -> None:
    w = gf.ones(2, 2, requires_grad=True)
    cls = getattr(gf.optim, name)
    plain, hinted = cls([w]), cls([w], **HINTS.get(name, {"foreach": True}))
    assert plain.param_groups == hinted.param_groups
    if name == "Muon":
        return
    with pytest.raises(NotImplementedError, match=rf"\[{name}\] differentiable=True is not supported"):
        cls([w], differentiable=True)


def test_rprop_does_not_move_by_nan() -> None:
    found = run(lambda ps: gf.optim.Rprop(ps, lr=0.5), np.ones(2), [[np.nan, 1.0], [1.0, 1.0]])
    assert found.tolist() == pytest.approx([0.5, -0.1])


def test_muon_takes_matrices_only() -> None:
    with pytest.raises(ValueError, match=r"\[Muon\] optimises matrices only, got a parameter \(3,\)"):
        gf.optim.Muon([gf.ones(3, requires_grad=True)])
    optimiser = gf.optim.Muon([gf.ones(3, 2, requires_grad=True)])
    with pytest.raises(ValueError, match="matrices only"):
        optimiser.add_param_group({"params": [gf.ones(3, requires_grad=True)]})
    assert len(optimiser.param_groups) == 1


def test_muon_squares_no_gradients_in_float16() -> None:
    start, gradients = np.zeros((2, 2)), [[[300.0, 0.0], [100.0, 200.0]]]
    found, wide = [run(lambda ps: gf.optim.Muon(ps, lr=1.0), start, gradients, t) for t in (gf.float16, gf.float64)]
    np.testing.assert_allclose(found, wide, rtol=1e-2, atol=1e-3)


def test_lbfgs_needs_a_closure_and_one_group() -> None:
    w, v = gf.ones(2, requires_grad=True), gf.ones(2, requires_grad=True)
    with pytest.raises(TypeError, match=r"\[LBFGS\] step needs a closure"):
        gf.optim.LBFGS([w]).step()
    with pytest.raises(ValueError, match=r"\[LBFGS\] has one group"):
        gf.optim.LBFGS([{"params": [w]}, {"params": [v]}])
    with pytest.raises(ValueError, match=r"\[LBFGS\] line_search_fn"):
        gf.optim.LBFGS([w], line_search_fn="armijo")


def test_lbfgs_in_float32_fits_a_line_and_marks_its_parameters_as_changed() -> None:
    x = gf.tensor(np.linspace(-1, 1, 20), dtype=gf.float32)
    a, b = gf.tensor(0.0, requires_grad=True), gf.zeros(1, requires_grad=True)
    optimiser = gf.optim.LBFGS([a, b], line_search_fn="strong_wolfe")

    def closure() -> Any:
        optimiser.zero_grad()
        loss = ((a * x + b - (3 * x - 2)) ** 2).mean()
        loss.backward()
        return loss

    kept = a * a
    optimiser.step(closure)
    assert (a.item(), b.item()) == pytest.approx((3, -2), abs=1e-5)
    with pytest.raises(gf.autograd.GraphError, match="changed in place"):
        kept.backward()


def test_names_are_for_all_or_none() -> None:
    w, v = gf.ones(2, requires_grad=True), gf.ones(2, requires_grad=True)
    assert gf.optim.SGD([("w", w), ("v", v)]).param_groups[0]["param_names"] == ["w", "v"]
    with pytest.raises(ValueError, match=r"\[optim\] either all parameters have names or none"):
        gf.optim.SGD([("w", w), v])
    with pytest.raises(TypeError, match=r"\[optim\] a set of parameters has no order"):
        gf.optim.SGD([{"params": {w}}])


def test_hooks_may_change_the_arguments_of_a_step() -> None:
    w = gf.ones(1, requires_grad=True)
    optimiser = gf.optim.SGD([w], lr=0.5)
    w.grad = gf.ones(1)
    handle = optimiser.register_step_pre_hook(lambda o, args, kwargs: ((o, lambda: 7.0), kwargs))
    assert optimiser.step() == 7.0
    handle.remove()
    optimiser.register_step_pre_hook(lambda o, args, kwargs: 3)
    with pytest.raises(TypeError, match=r"\[optim\] a step's pre-hook must return"):
        optimiser.step()


def test_micro_batches_add_up_to_the_batch() -> None:
    x, y = RNG.standard_normal((12, 5)), RNG.standard_normal((12, 2))

    def train(size: int) -> list[np.ndarray]:
        gf.manual_seed(0)
        net = gf.nn.Sequential(gf.nn.Linear(5, 8), gf.nn.Tanh(), gf.nn.Linear(8, 2)).to(gf.float64)
        optimiser = gf.optim.AdamW(net.parameters(), lr=0.1)
        for _ in range(3):
            optimiser.zero_grad()
            for i in range(0, 12, size):
                part = gf.tensor(x[i : i + size]), gf.tensor(y[i : i + size])
                (gf.nn.functional.mse_loss(net(part[0]), part[1]) * (size / 12)).backward()
            optimiser.step()
        return [p.detach().numpy() for p in net.parameters()]

    for p, q in zip(train(3), train(12), strict=True):
        np.testing.assert_allclose(p, q, rtol=1e-9, atol=1e-12)
