"""The same layer in gradflow and in PyTorch: parameters, outputs, gradients and buffers compared in float64.

same_module(lambda nn: nn.LayerNorm(4), floats(2, 4))
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from parity.same import _flat, _host, _total, torch

import gradflow as gf


def pair(make: Callable[[Any], Any], seed: int = 0) -> tuple[Any, Any]:
    """A layer of gradflow and one of PyTorch, in float64, with the same random parameters; buffers as they start."""
    theirs, ours = make(torch.nn).to(torch.float64), make(gf.nn).to(gf.float64)
    named = dict(theirs.state_dict())
    mine = ours.state_dict()
    assert list(mine) == list(named)
    assert [tuple(v.shape) for v in mine.values()] == [tuple(v.shape) for v in named.values()]
    assert [p.requires_grad for p in ours.parameters()] == [p.requires_grad for p in theirs.parameters()]
    rng, parameters = np.random.default_rng(seed), dict(theirs.named_parameters())
    start = {
        k: rng.uniform(-0.7, 0.7, tuple(v.shape)) if k in parameters else v.numpy().copy() for k, v in named.items()
    }
    theirs.load_state_dict({k: torch.from_numpy(np.asarray(v)) for k, v in start.items()})
    ours.load_state_dict(start)
    return ours, theirs


def same_module(
    make: Callable[[Any], Any],
    *arrays: Any,
    call: Callable[..., Any] | None = None,
    train: bool = True,
    steps: int = 1,
    rtol: float = 1e-10,
) -> None:
    """Assert that call(module, t, *tensors), by default module(*tensors), gives the same with t as gradflow and as
    torch: `steps` times in a row on inputs that grow, with gradients, then in evaluation mode, and the buffers.
    """
    found = []
    for t, module in zip((gf, torch), pair(make), strict=True):
        module.train(train)
        out: list[tuple[str, np.ndarray]] = []
        for step in [*range(steps), None]:
            if step is None:
                module.eval()
            factor = 1.0 if step is None else 1.0 + step
            xs = [_tensor(t, a * factor if a.dtype.kind == "f" else a) for a in arrays]
            ys = list(_flat(module(*xs) if call is None else call(module, t, *xs)))
            out += [(f"output {i} of step {step}", _host(y)) for i, y in enumerate(ys)]
            live = [*[x for x in xs if x.requires_grad], *module.parameters()]
            total = _total([y for y in ys if y.requires_grad], lambda a, t=t: t.from_numpy(a))
            for p in module.parameters():
                p.grad = None
            if total is not None:
                total.backward()
            out += [(f"gradient {i} of step {step}", _gradient(p)) for i, p in enumerate(live)]
        found.append(out + [(name, _host(b)) for name, b in module.named_buffers()])
    for (what, a), (_, b) in zip(*found, strict=True):
        assert a.shape == b.shape, f"{what}: shape {a.shape}, torch's {b.shape}"
        scale = float(np.abs(np.nan_to_num(b.astype("f8"))).max(initial=1e-12))
        np.testing.assert_allclose(a, b, rtol=rtol, atol=max(rtol * scale, 1e-12), err_msg=what)


def _tensor(t: Any, array: np.ndarray) -> Any:
    x = t.from_numpy(array.copy())
    return x.requires_grad_() if array.dtype.kind == "f" else x


def _gradient(p: Any) -> np.ndarray:
    return np.zeros(tuple(p.shape)) if p.grad is None else _host(p.grad)


def refused(make: Callable[[Any], Any], *arrays: Any, call: Callable[..., Any] | None = None) -> None:
    """Assert that both libraries refuse to make the layer or to call it."""
    for t in (gf, torch):
        try:
            module = make(t.nn).to(t.float64)
            xs = [_tensor(t, a) for a in arrays]
            y = module(*xs) if call is None else call(module, t, *xs)
        except (ValueError, TypeError, RuntimeError, IndexError, AssertionError, NotImplementedError):
            continue
        raise AssertionError(f"{t.__name__} returned {y}")


def same_training(modules: Any, xs: Any, labels: Any, lr: float) -> None:
    """Assert that classifiers of both libraries with the same weights stay the same under SGD: losses and weights."""
    losses = []
    for t, module in zip((gf, torch), modules, strict=True):
        optimiser, found = t.optim.SGD(module.parameters(), lr=lr, momentum=0.9), []
        for x, y in zip(xs, labels, strict=True):
            optimiser.zero_grad()
            loss = t.nn.functional.cross_entropy(module(t.from_numpy(x)), t.from_numpy(y))
            loss.backward()
            optimiser.step()
            found.append(loss.item())
        losses.append(found)
    assert np.allclose(*losses, rtol=1e-9, atol=0)
    for a, b in zip(*[m.state_dict().values() for m in modules], strict=True):
        assert np.allclose(a.numpy(), b.numpy(), rtol=1e-9, atol=1e-10)
