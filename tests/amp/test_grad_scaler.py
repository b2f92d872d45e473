"""The scaled loss: training in float16 as in float32, and steps that overflow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradflow as gf
from gradflow.amp import GradScaler


def train(half: bool) -> list[float]:
    """Losses of a small CNN that learns where a bright patch is."""
    gf.manual_seed(0)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 32)
    images = rng.standard_normal((32, 1, 8, 8)) * 0.3
    for image, k in zip(images, labels, strict=True):
        image[0, 4 * (k // 2) : 4 * (k // 2) + 4, 4 * (k % 2) : 4 * (k % 2) + 4] += 1
    x, y = gf.tensor(images, dtype=gf.float32), gf.tensor(labels)
    net = gf.nn.Sequential(
        *(gf.nn.Conv2d(1, 6, 3, padding=1), gf.nn.BatchNorm2d(6), gf.nn.ReLU(), gf.nn.MaxPool2d(2)),
        *(gf.nn.Conv2d(6, 8, 3, padding=1), gf.nn.ReLU(), gf.nn.Flatten(), gf.nn.Linear(128, 4)),
    )
    optimiser, scaler = gf.optim.Adam(net.parameters(), lr=1e-2), GradScaler("cpu", enabled=half)
    losses = []
    for _ in range(25):
        optimiser.zero_grad()
        with gf.autocast("cpu", dtype=gf.float16, enabled=half):
            loss = gf.nn.functional.cross_entropy(net(x), y)
        scaler.scale(loss).backward()
        scaler.step(optimiser)
        scaler.update()
        losses.append(loss.item())
    return losses


def test_a_cnn_learns_in_float16_as_in_float32() -> None:
    found, expected = train(True), train(False)
    assert found[-1] < 0.2 * found[0]
    np.testing.assert_allclose(found, expected, rtol=0.1, atol=0.02)


def parts(**given: Any) -> tuple[Any, Any, GradScaler]:
    w = gf.ones(3, requires_grad=True)
    return w, gf.optim.SGD([w], lr=0.5), GradScaler("cpu", **given)


@pytest.mark.parametrize("bad", [float("inf"), float("nan")])
def test_a_bad_gradient_skips_the_step_and_halves_the_scale(bad: float) -> None:
    w, optimiser, scaler = parts(init_scale=8.0)
    v = gf.ones(2, requires_grad=True)
    optimiser.add_param_group({"params": [v]})
    scaler.scale((w * gf.tensor([1.0, bad, 1.0])).sum() + v.sum()).backward()
    assert scaler.step(optimiser) is None
    scaler.update()
    assert w.tolist() == [1.0] * 3 and v.tolist() == [1.0] * 2 and scaler.get_scale() == 4.0
    optimiser.zero_grad()
    scaler.scale(w.sum()).backward()
    made_from_it = (w * w.grad).sum()
    scaler.unscale_(optimiser)
    assert w.grad.tolist() == [1.0] * 3
    with pytest.raises(gf.autograd.GraphError, match="changed in place"):
        made_from_it.backward()
    scaler.step(optimiser)
    scaler.update()
    assert w.tolist() == [0.5] * 3 and scaler.get_scale() == 4.0


def test_the_scale_grows_after_enough_good_steps_and_stays_finite() -> None:
    w, optimiser, scaler = parts(init_scale=2.0**126, growth_interval=2)
    scales = []
    for _ in range(4):
        optimiser.zero_grad()
        scaler.scale((w * 1e-30).sum()).backward()
        scaler.step(optimiser)
        scaler.update()
        scales.append(scaler.get_scale())
    assert scales == [2.0**126, 2.0**127, 2.0**127, 2.0**127]


def test_a_scale_of_nothing_goes_on_skipping() -> None:
    w, optimiser, scaler = parts(init_scale=1e-45)
    for _ in range(2):
        scaler.scale((w * float("inf")).sum()).backward()
        scaler.step(optimiser)
        scaler.update()
    assert scaler.get_scale() == 0.0 and w.tolist() == [1.0] * 3


def test_scales_of_lists_and_of_losses_in_float16() -> None:
    _, _, scaler = parts()
    assert scaler.scale(gf.tensor(2.0, dtype=gf.float16)).item() == 2.0**17
    a, (b,) = scaler.scale([gf.ones(2), (gf.tensor(1.0),)])
    assert a.tolist() == [2.0**16] * 2 and b.item() == 2.0**16
    with pytest.raises(TypeError, match=r"\[GradScaler\] scale takes tensors, or lists of them, got float"):
        scaler.scale(1.0)


def test_the_state_goes_on() -> None:
    w, optimiser, scaler = parts(init_scale=4.0, growth_interval=3)
    other = GradScaler("cpu")
    for i in range(5):
        if i == 2:
            saved = scaler.state_dict()
            assert saved == {
                "scale": 4.0, "growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 3, "_growth_tracker": 2,
            }  # fmt: skip
            other.load_state_dict(saved)
            scaler = other
        optimiser.zero_grad()
        scaler.scale(w.sum()).backward()
        scaler.step(optimiser)
        scaler.update()
    assert scaler.get_scale() == 8.0
    with pytest.raises(RuntimeError, match=r"\[GradScaler\] the state is empty"):
        scaler.load_state_dict({})


def test_a_scaler_that_is_not_enabled_does_nothing() -> None:
    w, optimiser, scaler = parts(enabled=False)
    loss = w.sum()
    assert scaler.scale(loss) is loss and scaler.get_scale() == 1.0 and scaler.state_dict() == {}
    loss.backward()
    scaler.unscale_(optimiser)
    scaler.step(optimiser)
    scaler.update()
    assert w.tolist() == [0.5] * 3 and not scaler.is_enabled()


def test_the_order_of_calls() -> None:
    w, optimiser, scaler = parts()
    with pytest.raises(RuntimeError, match=r"\[GradScaler\] step before scale"):
        scaler.step(optimiser)
    scaler.scale(w.sum()).backward()
    with pytest.raises(RuntimeError, match=r"\[GradScaler\] update found no step"):
        scaler.update()
    scaler.unscale_(optimiser)
    with pytest.raises(RuntimeError, match="unscale_ was called already"):
        scaler.unscale_(optimiser)
    scaler.step(optimiser)
    with pytest.raises(RuntimeError, match="unscale_ came after step"):
        scaler.unscale_(optimiser)
    with pytest.raises(RuntimeError, match="step was called already"):
        scaler.step(optimiser)
    scaler.update(2.0)
    assert scaler.get_scale() == 2.0
    with pytest.raises(NotImplementedError, match="step takes no closure"):
        scaler.step(optimiser, closure=lambda: 0.0)
    with pytest.raises(ValueError, match=r"\[GradScaler\] growth_factor"):
        GradScaler(growth_factor=1.0)


def test_float16_parameters_are_refused() -> None:
    w = gf.ones(2, dtype=gf.float16, requires_grad=True)
    scaler, optimiser = GradScaler("cpu", init_scale=2.0), gf.optim.SGD([w])
    scaler.scale(w.sum()).backward()
    with pytest.raises(ValueError, match="cannot unscale float16 gradients"):
        scaler.unscale_(optimiser)
