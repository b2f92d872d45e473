"""The same network, data and optimiser in gradflow and in PyTorch, step by step, in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import gradflow as gf

torch = pytest.importorskip("torch")

STEPS, BATCH = 25, 16


def lenet(nn: Any) -> list[Any]:
    return [
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(16 * 2 * 2, 30), nn.Sigmoid(), nn.Linear(30, 20), nn.Tanh(), nn.Linear(20, 10),
    ]  # fmt: skip


def cnn_with_batch_norm(nn: Any) -> list[Any]:
    return [
        nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
        nn.Conv2d(8, 12, 3, stride=2, padding=1, groups=2, bias=False), nn.BatchNorm2d(12, momentum=0.3), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(48, 10),
    ]  # fmt: skip


OPTIMISERS: dict[str, Callable[[Any, Any], Any]] = {
    "sgd": lambda optim, p: optim.SGD(p, lr=0.05, momentum=0.9),
    "sgd-all": lambda optim, p: optim.SGD(p, lr=0.03, momentum=0.8, weight_decay=1e-2, nesterov=True),
    "sgd-damped": lambda optim, p: optim.SGD(p, lr=0.05, momentum=0.8, dampening=0.4, weight_decay=1e-2),
    "adam": lambda optim, p: optim.Adam(p, lr=3e-3),
    "adam-all": lambda optim, p: optim.Adam(p, lr=3e-3, betas=(0.8, 0.99), eps=1e-6, weight_decay=1e-2),
    "adamw": lambda optim, p: optim.AdamW(p),
    "adamw-all": lambda optim, p: optim.AdamW(p, 3e-3, (0.8, 0.99), 1e-6, 0.1, amsgrad=True),
}


@pytest.mark.parametrize("momentum", [0.1, 0.7, None])
def test_running_statistics(momentum: float | None) -> None:
    rng = np.random.default_rng(1)
    ours, theirs = [lib.nn.BatchNorm2d(3, momentum=momentum, dtype=lib.float64) for lib in (gf, torch)]
    for step in range(3):
        x = rng.standard_normal((4, 3, 5, 2)) * (step + 1) + step
        ours(gf.tensor(x))
        theirs(torch.from_numpy(x))
    state = ours.state_dict()
    assert list(state) == list(theirs.state_dict())
    for name, value in theirs.state_dict().items():
        assert relative(state[name].numpy(), value.numpy()) < 1e-12


@pytest.mark.parametrize("name", OPTIMISERS)
def test_a_state_dict_of_pytorch_can_be_loaded(name: str) -> None:
    start, gradients = np.arange(6.0).reshape(2, 3), np.random.default_rng(2).standard_normal((4, 2, 3))

    def go_on(lib: Any, w: Any, optimiser: Any, steps: Any) -> Any:
        for g in steps:
            w.grad = lib.tensor(g)
            optimiser.step()
        return w.detach().numpy()

    theirs = torch.tensor(start, requires_grad=True)
    optimiser = OPTIMISERS[name](torch.optim, [theirs])
    ours = gf.tensor(go_on(torch, theirs, optimiser, gradients[:2]), requires_grad=True)
    saved = optimiser.state_dict()
    saved["state"] = {i: {k: v.numpy() for k, v in held.items()} for i, held in saved["state"].items()}
    mine = OPTIMISERS[name](gf.optim, [ours])
    mine.load_state_dict(saved)
    found = go_on(gf, ours, mine, gradients[2:])
    assert relative(found, go_on(torch, theirs, optimiser, gradients[2:])) < 1e-12
    keys = {i: set(held) for i, held in optimiser.state_dict()["state"].items()}
    assert {i: set(held) for i, held in mine.state_dict()["state"].items()} == keys


def train(lib: Any, model: Any, choose: Callable[[Any, Any], Any], batches: Sequence[Any]) -> list[float]:
    """The loss of each step."""
    optimiser, loss = choose(lib.optim, model.parameters()), lib.nn.CrossEntropyLoss(label_smoothing=0.1)
    losses = []
    for x, y in batches:
        optimiser.zero_grad()
        value = loss(model(x), y)
        value.backward()
        optimiser.step()
        losses.append(float(value.item()))
    return losses


def relative(found: Any, expected: Any) -> float:
    """The norm of the difference over the expected norm."""
    found, expected = np.asarray(found, "f8"), np.asarray(expected, "f8")
    assert found.shape == expected.shape
    return float(np.linalg.norm(found - expected) / max(np.linalg.norm(expected), 1e-30))


@pytest.mark.parametrize("name", OPTIMISERS)
@pytest.mark.parametrize("layers", [lenet, cnn_with_batch_norm])
def test_losses_and_weights_after_25_steps(layers: Callable[[Any], list[Any]], name: str) -> None:
    rng = np.random.default_rng(0)
    images, labels = rng.standard_normal((STEPS, BATCH, 1, 16, 16)), rng.integers(0, 10, (STEPS, BATCH))
    theirs = torch.nn.Sequential(*layers(torch.nn)).double()
    ours = gf.nn.Sequential(*layers(gf.nn)).to(gf.float64)
    start = {k: rng.uniform(-0.3, 0.3, v.shape) for k, v in theirs.named_parameters()}
    assert [(k, tuple(p.shape)) for k, p in ours.named_parameters()] == [(k, v.shape) for k, v in start.items()]
    with torch.no_grad(), gf.no_grad():
        for (k, p), q in zip(theirs.named_parameters(), ours.parameters(), strict=True):
            p.copy_(torch.from_numpy(start[k]))
            q.copy_(gf.tensor(start[k]))
    batches = list(zip(images, labels, strict=True))
    expected = train(torch, theirs, OPTIMISERS[name], [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in batches])
    found = train(gf, ours, OPTIMISERS[name], [(gf.tensor(x), gf.tensor(y)) for x, y in batches])
    assert max(abs(a - b) / b for a, b in zip(found, expected, strict=True)) < 1e-9
    state, wanted = ours.state_dict(), theirs.state_dict()
    assert set(state) == set(wanted)
    off = {k: relative(state[k].numpy(), v.numpy()) for k, v in wanted.items()}
    assert max(off.values()) < 1e-9, off
    ours.eval()
    theirs.eval()
    y = theirs(torch.from_numpy(images[0])).detach().numpy()
    assert relative(ours(gf.tensor(images[0])).detach().numpy(), y) < 1e-9


def small(lib: Any) -> Any:
    nn = lib.nn
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Tanh(), nn.Flatten(), nn.Linear(48, 4))
    model = model.to(lib.float64)
    rng = np.random.default_rng(0)
    with lib.no_grad():
        for p in model.parameters():
            p.copy_(lib.tensor(rng.uniform(-0.3, 0.3, tuple(p.shape))))
    return model


def losses(lib: Any, model: Any, forward: Any = None, steps: int = 6) -> Any:
    """Pairs (step, loss), each to be followed by a step of the optimiser."""
    rng = np.random.default_rng(1)
    for i in range(steps):
        x, y = lib.tensor(rng.standard_normal((8, 1, 6, 6))), lib.tensor(rng.integers(0, 4, 8))
        yield i, lib.nn.functional.cross_entropy((forward or model)(x), y)


@pytest.mark.parametrize("kind", ["swa", "ema", "ema with buffers"])
def test_averaged_models(kind: str) -> None:
    def run(lib: Any) -> Any:
        swa, model = lib.optim.swa_utils, small(lib)
        given = {} if kind == "swa" else {"multi_avg_fn": swa.get_ema_multi_avg_fn(0.8), "use_buffers": kind != "ema"}
        averaged, optimiser = swa.AveragedModel(model, **given), lib.optim.SGD(model.parameters(), lr=0.1)
        for _, loss in losses(lib, model):
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            averaged.update_parameters(model)
        before = {k: v.numpy().copy() for k, v in averaged.state_dict().items()}
        rng = np.random.default_rng(2)
        swa.update_bn([lib.tensor(rng.standard_normal((5, 1, 6, 6))) for _ in range(3)], averaged)
        return before, {k: v.numpy() for k, v in averaged.state_dict().items()}

    for found, expected in zip(run(gf), run(torch), strict=True):
        assert list(found) == list(expected)
        assert max(relative(found[k], v) for k, v in expected.items() if not k.endswith("tracked")) < 1e-9


def test_checkpointed_training() -> None:
    def run(lib: Any) -> Any:
        model = small(lib)
        if lib is gf:
            from gradflow.utils.checkpoint import checkpoint_sequential
        else:
            from torch.utils.checkpoint import checkpoint_sequential
        optimiser = lib.optim.SGD(model.parameters(), lr=0.1)
        for _, loss in losses(lib, model, lambda x: checkpoint_sequential(model, 3, x, use_reentrant=False)):
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        return {k: v.numpy() for k, v in model.state_dict().items()}

    found, expected = run(gf), run(torch)
    assert found["1.num_batches_tracked"] == expected["1.num_batches_tracked"] == 12  # counted again when run again
    assert max(relative(found[k], v) for k, v in expected.items()) < 1e-9


def test_scaled_losses() -> None:
    def run(lib: Any) -> Any:
        model, found = small(lib), []
        optimiser = lib.optim.SGD(model.parameters(), lr=0.1)
        scaler = lib.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=2, growth_factor=3.0, backoff_factor=0.25)
        for i, loss in losses(lib, model, steps=9):
            optimiser.zero_grad()
            scaler.scale(loss * (float("inf") if i in (2, 6) else 1.0)).backward()
            if i % 2:
                scaler.unscale_(optimiser)
                found.append(model[0].weight.grad.sum().item())
            scaler.step(optimiser)
            scaler.update()
            found += [scaler.get_scale(), scaler.state_dict()["_growth_tracker"]]
        return [*found, *[p.detach().numpy() for p in model.parameters()]]

    for a, b in zip(run(gf), run(torch), strict=True):
        assert relative(a, b) < 1e-9


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_products_under_autocast(dtype: str) -> None:
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    rng = np.random.default_rng(0)
    x, w, b, image, kernel = [
        rng.standard_normal(s).astype("f4") for s in ((5, 7), (4, 7), (4,), (2, 3, 6, 6), (4, 3, 3, 3))
    ]

    def run(lib: Any) -> Any:
        F = lib.nn.functional
        X, W, B, J, K = [lib.tensor(a, requires_grad=True) for a in (x, w, b, image, kernel)]
        with lib.autocast("cpu", dtype=getattr(lib, dtype)):
            results = [F.linear(X, W, B), X @ W.T, F.conv2d(J, K, B, padding=1), F.linear(X, W).relu() + B]
        total = sum([(y.to(lib.float32) ** 2).mean() for y in results])
        total.backward()
        names = [str(y.dtype).rpartition(".")[2] for y in results]
        return names, [v.to(lib.float32).detach().numpy() for v in (*results, X.grad, W.grad, B.grad, J.grad, K.grad)]

    (names, found), (wanted, expected) = run(gf), run(torch)
    assert names == wanted
    for a, c in zip(found, expected, strict=True):
        assert relative(a, c) < (2e-2 if dtype == "bfloat16" else 2e-3)
