"""What a user's Function saves: only through ctx, watched, freed with the graph, without cycles, and never misused."""

import gc
import itertools
import weakref

import numpy as np
import pytest
from autograd.user_functions import Cube, Exp, close, leaf, tensor

import gradflow as gf

ERROR = (RuntimeError, ValueError, TypeError)
func = gf.func


def attempt(f, *args):
    """What f returns, or the error it raises."""
    try:
        return f(*args)
    except ERROR as error:
        return error


class Both(gf.autograd.Function):
    """Saves its input and its second output."""

    @staticmethod
    def forward(ctx, x):
        e = gf.exp(x)
        ctx.save_for_backward(x, e)
        return x * x, e

    @staticmethod
    def backward(ctx, g_square, g_exp):
        x, e = ctx.saved_tensors
        return g_square * 2.0 * x + g_exp * e


def test_a_tensor_kept_as_an_attribute_is_refused():
    class Careless(gf.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.x = x
            return x * x

        @staticmethod
        def backward(ctx, g):
            return 2.0 * ctx.x * g

    with pytest.raises(ERROR, match="save_for_backward"):
        Careless.apply(leaf([1.0, 2.0]))


def test_a_saved_value_changed_in_place_is_refused():
    x = leaf([1.0, 2.0])
    y = Cube.apply(x)
    with gf.no_grad():
        x.add_(1.0)
    with pytest.raises(RuntimeError, match="Cube"):
        y.sum().backward()
    x = leaf([1.0, 2.0])
    y = Exp.apply(x)
    with gf.no_grad():
        x.add_(1.0)  # Exp keeps its output only
    y.sum().backward()
    close(x.grad, np.exp([1.0, 2.0]))
    x = leaf([1.0, 2.0])
    y = Exp.apply(x)
    y.detach().zero_()
    with pytest.raises(RuntimeError, match="Exp"):
        y.sum().backward()


def test_saved_values_are_freed_by_backward():
    x = leaf([1.0, 2.0])
    y = Cube.apply(x).sum()
    y.backward(retain_graph=True)
    y.backward()
    close(x.grad, [6.0, 24.0])
    with pytest.raises(RuntimeError, match=r"Cube[\s\S]*retain_graph"):
        y.backward()


@pytest.mark.parametrize("function", [Cube, Exp, Both])
def test_no_reference_cycle(function):
    gc.collect()
    gc.disable()
    try:
        x = leaf([1.0, 2.0])
        h = x * 1.0
        y = function.apply(h)
        y = y[0] if isinstance(y, tuple) else y
        refs = [weakref.ref(h), weakref.ref(y)]
        del h, y
        assert [r() for r in refs] == [None, None]
        h = x * 1.0
        y = function.apply(h)
        y = y[0] if isinstance(y, tuple) else y
        (g,) = gf.autograd.grad(y.sum(), x, create_graph=True)
        refs = [weakref.ref(h), weakref.ref(y), weakref.ref(g)]
        del h, y, g
        assert [r() for r in refs] == [None, None, None]
    finally:
        gc.enable()


class ExpTwice(gf.autograd.Function):
    """Saves a float that is neither input nor output: enough for a first order on the plain tape only."""

    kept: weakref.ref

    @staticmethod
    def forward(ctx, x):
        e = gf.exp(x)
        ExpTwice.kept = weakref.ref(e)
        ctx.save_for_backward(e)
        return e * 2.0

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0] * 2.0


def test_a_saved_intermediate_serves_a_first_order():
    x = leaf([1.0, 2.0])
    ExpTwice.apply(x).sum().backward()
    close(x.grad, 2 * np.exp([1.0, 2.0]))


def test_a_saved_intermediate_is_freed_with_the_graph():
    x = leaf([1.0, 2.0])
    y = ExpTwice.apply(x).sum()
    kept = ExpTwice.kept
    y.backward(retain_graph=True)
    assert kept() is not None
    y.backward()
    assert kept() is None
    close(x.grad, 4 * np.exp([1.0, 2.0]))
    with pytest.raises(RuntimeError, match=r"ExpTwice[\s\S]*retain_graph"):
        y.backward()


def test_a_saved_intermediate_is_refused_at_a_second_order():
    def second():
        x = leaf([1.0, 2.0])
        (g,) = gf.autograd.grad(ExpTwice.apply(x).sum(), x, create_graph=True)
        return gf.autograd.grad(g.sum(), x)

    with pytest.raises(ERROR, match="ExpTwice"):
        second()


X = np.array([0.7, -1.2, 0.4])
TRANSFORMS = {  # of functions of three numbers to three
    "grad": lambda f: func.grad(lambda x: (f(x) * tensor([0.5, 2.0, -1.0])).sum()),
    "jvp": lambda f: lambda x: func.jvp(f, (x,), (tensor([1.0, -0.5, 2.0]),))[1],
    "vmap": lambda f: lambda x: (func.vmap(f)(gf.stack([x, x * -0.5])) * tensor([[1.0], [3.0]])).sum(0),
}


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_saved_intermediate_under_transforms_is_right_or_refused(depth):
    for chain in itertools.product(TRANSFORMS, repeat=depth):
        custom, plain = ExpTwice.apply, lambda x: gf.exp(x) * 2.0
        for name in chain:
            custom, plain = TRANSFORMS[name](custom), TRANSFORMS[name](plain)
        outcome = attempt(custom, tensor(X))
        if isinstance(outcome, Exception):
            assert "ExpTwice" in str(outcome), chain
        else:
            close(outcome, plain(tensor(X)), f"innermost first: {chain}")


def test_an_attribute_that_differs_between_examples_is_right_or_refused():
    class BySum(gf.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.n = x.sum().item()
            return x * 1.0

        @staticmethod
        def backward(ctx, g):
            return g * ctx.n

    outcome = attempt(func.vmap(func.grad(lambda x: BySum.apply(x).sum())), tensor([[1.0, 2.0], [3.0, 4.0]]))
    if isinstance(outcome, Exception):
        assert "BySum" in str(outcome)
    else:
        close(outcome, [[3.0, 3.0], [7.0, 7.0]])
