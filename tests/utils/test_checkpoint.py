"""Checkpointing: the same results for less memory."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

import gradflow as gf
from gradflow.utils.checkpoint import checkpoint, checkpoint_sequential


class Cube(gf.autograd.Function):
    """x^3, from an input and an intermediate that forward saves."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x, 3 * x)
        return x * x * x

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        x, three = ctx.saved_tensors
        return x * three * g


def net() -> Any:
    gf.manual_seed(1)
    layers = [
        gf.nn.Linear(6, 8),
        gf.nn.Tanh(),
        gf.nn.Dropout(0.4),
        gf.nn.Linear(8, 4),
        gf.nn.LayerNorm(4),
        gf.nn.GELU(),
    ]
    return gf.nn.Sequential(*layers)


def results(model: Any, forward: Any, passes: int = 1) -> list[np.ndarray]:
    """The loss, the gradients of the input and the parameters, and random numbers drawn before and after backward."""
    gf.manual_seed(2)
    x = gf.randn(5, 6, requires_grad=True)
    loss = (forward(x) ** 2).sum() + Cube.apply(x).sum()
    drawn = [gf.rand(3).numpy()]
    for _ in range(passes):
        loss.backward(retain_graph=passes > 1)
    drawn.append(gf.rand(3).numpy())
    grads = [p.grad.numpy() for p in (x, *model.parameters())]
    model.zero_grad()
    return [loss.detach().numpy(), *grads, *drawn]


def equal(found: Any, expected: Any) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


WAYS: dict[str, Any] = {
    "whole": lambda model: lambda x: checkpoint(model, x),
    "reentrant": lambda model: lambda x: checkpoint(model, x, use_reentrant=True),
    "parts": lambda model: lambda x: checkpoint(model[3:], checkpoint(model[:3], x, use_reentrant=False)),
    "nested": lambda model: lambda x: checkpoint(lambda x: checkpoint(model[3:], checkpoint(model[:3], x)), x),
    "within": lambda model: lambda x: checkpoint(lambda x: model[2:](checkpoint(lambda y: model[:2](y), x)), x),
    "in part": lambda model: lambda x: checkpoint(lambda x: checkpoint(lambda y: (model(y), (y * y).exp()), x)[0], x),
    "keywords": lambda model: lambda x: checkpoint(lambda *, given: model(given["x"]), given={"x": x}),
    "sequential": lambda model: lambda x: checkpoint_sequential(model, 3, x),
    "a list": lambda model: lambda x: checkpoint_sequential(list(model), 4, x, use_reentrant=False),
}


@pytest.mark.parametrize("passes", [1, 2])
@pytest.mark.parametrize("way", WAYS)
def test_gradients_and_random_numbers_are_the_same(way: str, passes: int) -> None:
    model = net()
    assert equal(results(model, WAYS[way](model), passes), results(model, model, passes))


@pytest.mark.parametrize("way", WAYS)
def test_a_second_pass_needs_the_first_to_keep_what_it_computed(way: str) -> None:
    model = net()
    y = WAYS[way](model)(gf.randn(2, 6)).sum()
    y.backward()
    with pytest.raises(gf.autograd.GraphError, match="were freed by an earlier backward pass"):
        y.backward()


def test_higher_derivatives_also_of_what_the_function_closes_over() -> None:
    x, w = gf.randn(3, dtype=gf.float64, requires_grad=True), gf.randn(3, dtype=gf.float64, requires_grad=True)

    def nested(x: Any, w: Any) -> Any:
        return checkpoint(lambda t: checkpoint(lambda s: (s * w).sin(), t).exp() * t, x)

    assert gf.autograd.gradcheck(nested, (x, w), order=3)


def test_gradients_of_results_and_hooks() -> None:
    x = gf.randn(3, requires_grad=True)
    seen = []
    y = x * 2
    z = checkpoint(lambda t: (t * t).sin(), y)
    z.register_hook(lambda g: seen.append(g.tolist()))
    y.register_hook(lambda g: seen.append(gf.is_grad_enabled()))  # called after z was computed again
    (g,) = gf.autograd.grad(z.sum(), y)
    expected = 2 * y.detach() * (y.detach() ** 2).cos()
    np.testing.assert_allclose(g.numpy(), expected.numpy(), rtol=1e-6)
    assert seen == [[1.0, 1.0, 1.0], False] and x.grad is None


def test_a_function_with_an_intermediate_of_its_own() -> None:
    x = gf.tensor([1.0, -2.0], requires_grad=True)
    y = checkpoint(lambda t: Cube.apply(t * 2), x)
    assert ("freed", 0) in y.grad_fn.prim.saved
    y.sum().backward(retain_graph=True)
    y.sum().backward()
    assert x.grad.tolist() == [48.0, 192.0]


def test_several_outputs_some_of_them_forgotten() -> None:
    x = gf.tensor([1.0, 2.0], requires_grad=True)
    out = checkpoint(lambda t: {"a": t.exp(), "b": [t * t, 3, t.detach()], "c": (t.sin(), None)}, x)
    square = out["b"][0]
    assert out["b"][1:] != [] and not out["b"][2].requires_grad
    del out
    square.sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]


def test_outputs_may_be_pulled_one_after_the_other() -> None:
    calls, x = [], gf.tensor([1.0, 2.0], requires_grad=True)

    def function(t: Any) -> Any:
        calls.append(1)
        return t * t, (t * t) * t

    a, b = checkpoint(function, x)
    a.sum().backward()
    b.sum().backward()
    assert x.grad.tolist() == [5.0, 16.0] and len(calls) == 2


def test_nothing_is_computed_again_without_a_backward_pass() -> None:
    calls = []
    x = gf.ones(2, requires_grad=True)
    with gf.no_grad():
        assert not checkpoint(lambda t: calls.append(1) or t * 2, x).requires_grad
    assert checkpoint(lambda t: t * 2, gf.ones(2)).tolist() == [2.0, 2.0]
    assert checkpoint(lambda t: t.exp(), x).requires_grad and calls == [1]


def test_in_transforms_the_function_is_just_called() -> None:
    def loss(x: Any) -> Any:
        return checkpoint(lambda t: (t * t * t).sum(), x)

    x = gf.tensor([1.0, 2.0])
    assert gf.func.grad(loss)(x).tolist() == [3.0, 12.0]
    assert gf.func.vmap(lambda x: checkpoint(lambda t: t * t, x))(x).tolist() == [1.0, 4.0]


def test_a_function_may_use_transforms() -> None:
    x, w = gf.tensor([1.0, 2.0], requires_grad=True), gf.tensor([3.0, 5.0], requires_grad=True)

    def function(t: Any) -> Any:
        slope = gf.func.grad(lambda s: (s**3 * w).sum())(t)  # 3 w t^2
        return gf.func.vmap(lambda s: s * s)(slope)

    checkpoint(function, x).sum().backward()
    assert x.grad.tolist() == [4 * 9 * 9.0, 4 * 9 * 25 * 8.0] and w.grad.tolist() == [2 * 3 * 9.0, 2 * 5 * 9 * 16.0]


def test_less_is_kept() -> None:
    x = gf.randn(1 << 18, requires_grad=True)

    def layer(t: Any) -> Any:
        return ((t.sin() * t).exp() * 0.1).tanh() * t

    def kept(through: Any) -> tuple[int, np.ndarray]:
        x.grad = None
        tracemalloc.start()
        try:
            y = x
            for _ in range(6):
                y = through(y)
            held = tracemalloc.get_traced_memory()[0]
            y.sum().backward()
        finally:
            tracemalloc.stop()
        assert tracemalloc.get_traced_memory()[0] == 0
        return held // (4 << 18), x.grad.numpy()

    plain, expected = kept(layer)
    less, found = kept(lambda t: checkpoint(layer, t))
    nested, _ = kept(lambda t: checkpoint(lambda s: checkpoint(layer, s + 1), t))
    assert np.array_equal(found, expected)
    assert plain >= 24 and less <= 7 and nested <= 6  # arrays of x's size; at least each layer's output


def test_without_the_random_state_other_numbers_are_drawn() -> None:
    gf.manual_seed(0)
    x = gf.ones(1000, requires_grad=True)
    y = checkpoint(lambda t: gf.rand(1000) * t, x, preserve_rng_state=False)
    y.sum().backward()
    assert np.abs(y.detach().numpy() - x.grad.numpy()).max() > 0.1


def test_what_was_changed_in_place_is_not_computed_from() -> None:
    w, x = gf.ones(2, requires_grad=True), gf.ones(2)
    for changed in (w, x):
        y = checkpoint(lambda t: (t + w).exp(), x).sum()
        with gf.no_grad():
            changed.add_(1)
        with pytest.raises(RuntimeError, match=r"changed in place"):
            y.backward()


def test_a_function_that_does_something_else_is_told() -> None:
    turns = []

    def function(t: Any) -> Any:
        turns.append(1)
        return t.exp() if len(turns) == 1 else t.sin().exp()

    y = checkpoint(function, gf.ones(2, requires_grad=True)).sum()
    with pytest.raises(RuntimeError, match=r"operation 0 that it recorded was exp of \(2,\), and sin of \(2,\)"):
        y.backward()


def test_what_is_refused() -> None:
    with pytest.raises(NotImplementedError, match=r"\[checkpoint\] context_fn"):
        checkpoint(gf.exp, gf.ones(2), context_fn=lambda: None)
    with pytest.raises(ValueError, match=r"\[checkpoint_sequential\] 6 functions cannot make 7 segments"):
        checkpoint_sequential(net(), 7, gf.ones(2, 6))


@pytest.mark.parametrize("inside", [False, True])
def test_under_autocast_the_casts_are_the_same(inside: bool) -> None:
    model, region = net(), gf.autocast("cpu", dtype=gf.float16)

    def part(t: Any) -> Any:
        return model(t) + model[:1](t).sum()

    def forward(x: Any) -> Any:
        with region:
            y = model[0](x)  # the cast of this weight is kept in the region
            if not inside:
                return checkpoint(part, x) + y.sum()
        return checkpoint(region(part), x) + y.sum()

    def plain(x: Any) -> Any:
        with region:
            return part(x) + model[0](x).sum()

    for a, b in zip(results(model, forward), results(model, plain), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-2, atol=2e-2)
