"""Optimisers on the CPU: their formulas, options, state and errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradflow as gf

RNG = np.random.default_rng(0)
START, GRADIENTS = RNG.standard_normal((4, 3)), RNG.standard_normal((5, 4, 3))


def run(cls: Any, steps: int = 5, dtype: str = "float64", **options: Any) -> Any:
    w = gf.tensor(START, dtype=dtype, requires_grad=True)
    optimiser = cls([w], **options)
    for g in GRADIENTS[:steps]:
        w.grad = gf.tensor(g, dtype=dtype)
        optimiser.step()
    return w, optimiser


@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize("decoupled", [False, True])
def test_adam_is_its_formula(decoupled: bool, amsgrad: bool) -> None:
    lr, b1, b2, eps, decay = 0.05, 0.8, 0.9, 1e-3, 0.2
    w, m, v, largest = START.copy(), 0.0, 0.0, np.zeros(())
    for t, g in enumerate(GRADIENTS, 1):
        if decoupled:
            w = w - lr * decay * w
        else:
            g = g + decay * w
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        largest = np.maximum(largest, v) if amsgrad else v
        w = w - lr * (m / (1 - b1**t)) / (np.sqrt(largest / (1 - b2**t)) + eps)
    cls = gf.optim.AdamW if decoupled else gf.optim.Adam
    found, _ = run(cls, lr=lr, betas=(b1, b2), eps=eps, weight_decay=decay, amsgrad=amsgrad)
    assert np.allclose(found.detach().numpy(), w, rtol=1e-12, atol=0)


@pytest.mark.parametrize("cls", [gf.optim.SGD, gf.optim.Adam, gf.optim.AdamW])
def test_maximize_is_the_step_down_the_negative_gradient(cls: Any) -> None:
    w = gf.tensor(START, requires_grad=True)
    up, _ = run(cls, lr=0.1, maximize=True, weight_decay=0.0)
    optimiser = cls([w], lr=0.1, weight_decay=0.0)
    for g in GRADIENTS:
        w.grad = gf.tensor(-g)
        optimiser.step()
    assert np.array_equal(up.detach().numpy(), w.detach().numpy())


def test_adamw_has_pytorchs_defaults_and_is_an_adam() -> None:
    _, optimiser = run(gf.optim.AdamW)
    group = optimiser.state_dict()["param_groups"][0]
    assert group == {
        "lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 1e-2, "amsgrad": False, "maximize": False,
        "decoupled_weight_decay": True, "params": [0],
    }  # fmt: skip
    assert isinstance(optimiser, gf.optim.Adam)
    assert set(optimiser.state_dict()["state"][0]) == {"step", "exp_avg", "exp_avg_sq"}


def test_dampening_does_not_touch_the_first_gradient() -> None:
    lr, momentum, dampening = 0.1, 0.9, 0.4
    w, v = START.copy(), None
    for g in GRADIENTS:
        v = g if v is None else momentum * v + (1 - dampening) * g
        w = w - lr * v
    found, _ = run(gf.optim.SGD, lr=lr, momentum=momentum, dampening=dampening)
    assert np.allclose(found.detach().numpy(), w, rtol=1e-13, atol=0)


@pytest.mark.parametrize(
    "cls, options",
    [(gf.optim.SGD, {"momentum": 0.9}), (gf.optim.Adam, {"amsgrad": True}), (gf.optim.AdamW, {})],
)
def test_training_goes_on_from_a_state_dict(cls: Any, options: Any) -> None:
    whole, _ = run(cls, 5, lr=0.1, **options)
    half, optimiser = run(cls, 2, lr=0.1, **options)
    w = gf.tensor(half.detach(), requires_grad=True)
    resumed = cls([w], lr=123.0, **options)
    resumed.load_state_dict(optimiser.state_dict())
    for g in GRADIENTS[2:]:
        w.grad = gf.tensor(g)
        resumed.step()
    assert np.array_equal(w.detach().numpy(), whole.detach().numpy())


def test_loaded_state_has_the_memory_order_of_its_parameter() -> None:
    w = gf.from_numpy(np.asfortranarray(START)).requires_grad_()
    optimiser = gf.optim.Adam([w])
    _, other = run(gf.optim.Adam)
    optimiser.load_state_dict(other.state_dict())
    assert optimiser.state[w]["exp_avg"].strides == w.below.strides
    assert np.array_equal(optimiser.state[w]["exp_avg"], next(iter(other.state.values()))["exp_avg"])


def test_state_of_a_scalar_is_a_scalar_in_the_state_dict() -> None:
    w = gf.tensor(2.0, requires_grad=True)
    optimiser = gf.optim.AdamW([w], lr=0.1)
    w.grad = gf.tensor(1.0)
    optimiser.step()
    saved = optimiser.state_dict()
    assert saved["state"][0]["exp_avg"].shape == ()
    optimiser.load_state_dict({**saved, "state": {"0": saved["state"][0]}})  # as JSON has keys
    optimiser.step()
    assert optimiser.state[w]["step"] == 2


def test_a_subclass_that_defines_update_alone_works() -> None:
    class Sign(gf.optim.Optimizer):
        def update(self, np: Any, w: Any, g: Any, group: Any, state: Any) -> None:
            w -= np.sign(g) * group["lr"]

    w = gf.tensor([1.0, -2.0], requires_grad=True)
    w.grad = gf.tensor([3.0, -4.0])
    Sign([w], {"lr": 0.5}).step()
    assert w.tolist() == [0.5, -1.5]


@pytest.mark.parametrize("cls", [gf.optim.SGD, gf.optim.Adam, gf.optim.AdamW])
def test_bad_options_name_the_optimiser(cls: Any) -> None:
    w = gf.ones(2, requires_grad=True)
    with pytest.raises(ValueError, match=rf"\[{cls.__name__}\] lr must not be negative, got -1"):
        cls([w], lr=-1)
    with pytest.raises(ValueError, match=rf"\[{cls.__name__}\] weight_decay"):
        cls([w], weight_decay=float("nan"))
    if cls is not gf.optim.SGD:
        with pytest.raises(ValueError, match=rf"\[{cls.__name__}\] betas must be in \[0, 1\)"):
            cls([w], betas=(0.9, 1.0))


def test_a_parameter_may_be_given_once() -> None:
    w, v = gf.ones(2, requires_grad=True), gf.ones(2, requires_grad=True)
    for params in ([w, v, w], [{"params": [w]}, {"params": [v, w]}]):
        with pytest.raises(ValueError, match=r"\[optim\] a parameter is given twice"):
            gf.optim.SGD(params)


def test_tied_weights_are_one_parameter() -> None:
    net = gf.nn.Sequential(gf.nn.Linear(3, 3), gf.nn.Linear(3, 3))
    net[1].weight = net[0].weight
    optimiser = gf.optim.SGD(net.parameters(), lr=1.0)
    net(gf.ones(2, 3)).sum().backward()
    expected = net[0].weight.detach().numpy() - net[0].weight.grad.numpy()
    optimiser.step()
    assert len(optimiser.param_groups[0]["params"]) == 3
    assert np.array_equal(net[1].weight.detach().numpy(), expected)


@pytest.mark.parametrize("cls", [gf.optim.SGD, gf.optim.Adam])
def test_empty_parameters_and_parameters_without_gradients_stay(cls: Any) -> None:
    params = [gf.zeros(0, 3, requires_grad=True), gf.ones(2, requires_grad=True), gf.ones(2, requires_grad=True)]
    optimiser = cls(params, lr=0.5)
    params[0].grad, params[1].grad = gf.zeros(0, 3), gf.ones(2)
    optimiser.step()
    assert params[0].shape == (0, 3)
    assert params[1].tolist() == pytest.approx([0.5, 0.5]) and params[2].tolist() == [1, 1]
    assert params[2] not in optimiser.state


def test_gradients_with_a_history_are_set_to_zero() -> None:
    w = gf.ones(2, requires_grad=True)
    (w**3).sum().backward(create_graph=True)
    held = w.grad
    gf.optim.SGD([w]).zero_grad(set_to_none=False)
    assert w.grad.tolist() == [0.0, 0.0] and not w.grad.requires_grad and held.requires_grad


def test_load_state_dict_changes_nothing_unless_all_fits() -> None:
    w, optimiser = run(gf.optim.Adam, lr=0.1)
    before = optimiser.state_dict()
    smaller = gf.optim.Adam([gf.ones(3, requires_grad=True)], lr=0.7)
    with pytest.raises(ValueError, match=r"\[optim\] the saved exp_avg is \(4, 3\), its parameter \(3,\)"):
        smaller.load_state_dict(before)
    assert smaller.state == {} and smaller.param_groups[0]["lr"] == 0.7
    with pytest.raises(ValueError, match=r"\[optim\] the saved groups have \[1\] parameters"):
        gf.optim.Adam([w, gf.ones(3, requires_grad=True)]).load_state_dict(before)


def test_optimisers_refuse_what_is_no_list_of_leaves() -> None:
    w = gf.ones(2, requires_grad=True)
    for params, error, message in (
        (w, TypeError, r"\[optim\] params must be an iterable of tensors or dicts, got one tensor"),
        ([], ValueError, r"\[optim\] got no parameters"),
        ([w * 2], ValueError, r"\[optim\] can only optimise leaves"),
        ([1.0], TypeError, r"\[optim\] can only optimise tensors, got float"),
    ):
        with pytest.raises(error, match=message):
            gf.optim.SGD(params)


@pytest.mark.parametrize("cls", [gf.optim.SGD, gf.optim.LBFGS])
def test_a_gradient_of_another_shape_is_refused(cls: Any) -> None:
    w = gf.ones(2, 3, requires_grad=True)
    for given, found in ((gf.ones(3), r"\(3,\)"), ([1.0], "list")):
        w.grad = given
        with pytest.raises(ValueError, match=rf"\[optim\] .grad of a parameter \(2, 3\) must be .*, got {found}"):
            cls([w]).step(lambda: 1.0)
    assert w.tolist() == [[1.0] * 3] * 2


@pytest.mark.parametrize("cls", [gf.optim.SGD, gf.optim.RMSprop])
def test_a_step_is_seen_by_graphs_made_before(cls: Any) -> None:
    w = gf.ones(2, requires_grad=True)
    y = (w * w).sum()
    w.grad = gf.ones(2)
    cls([w]).step()
    with pytest.raises(gf.autograd.GraphError, match="changed in place"):
        y.backward()


@pytest.mark.parametrize("cls", [gf.optim.SGD, gf.optim.LBFGS])
def test_a_closure_records_under_no_grad(cls: Any) -> None:
    w = gf.ones(2, requires_grad=True)
    optimiser = cls([w], lr=0.1)

    def closure() -> Any:
        optimiser.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    with gf.no_grad():
        assert float(optimiser.step(closure)) == 2.0
    assert w.tolist()[0] < 0.9
