"""A user's Function on the tape: arguments, outputs, what ctx tells, and which gradients backward may return."""

import weakref

import numpy as np
import pytest
from autograd.user_functions import Cube, Exp, close, leaf

import gradflow as gf

ERROR = (RuntimeError, ValueError, TypeError)


class CubeSetup(gf.autograd.Function):
    """The same in the other style: forward without ctx, then setup_context."""

    @staticmethod
    def forward(x):
        return x * x * x

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 3.0 * x * x * g


def returning(*grads):
    """A Function of two inputs whose backward returns exactly `grads`."""

    class Odd(gf.autograd.Function):
        @staticmethod
        def forward(ctx, a, b):
            return a * b

        @staticmethod
        def backward(ctx, g):
            return grads if len(grads) != 1 else grads[0]

    return Odd


@pytest.mark.parametrize("function", [Cube, CubeSetup])
def test_both_styles_record_and_give_three_orders(function):
    x = leaf([1.0, -2.0, 0.5])
    y = function.apply(x)
    close(y, x.detach().numpy() ** 3)
    assert y.requires_grad
    assert not y.is_leaf
    assert y.grad_fn is not None
    (first,) = gf.autograd.grad(y.sum(), x, create_graph=True)
    (second,) = gf.autograd.grad(first.sum(), x, create_graph=True)
    (third,) = gf.autograd.grad(second.sum(), x)
    close(first, 3 * x.detach().numpy() ** 2)
    close(second, 6 * x.detach().numpy())
    close(third, [6.0, 6.0, 6.0])


def test_a_saved_output_is_reconnected_for_higher_orders():
    x = leaf([0.3, -1.0])
    y = Exp.apply(x)
    (first,) = gf.autograd.grad(y.sum(), x, create_graph=True)
    (second,) = gf.autograd.grad(first.sum(), x, create_graph=True)
    (third,) = gf.autograd.grad(second.sum(), x)
    for order in (y, first, second, third):
        close(order, np.exp([0.3, -1.0]))


def test_forward_sees_no_grad_and_backward_runs_once_for_all_inputs():
    calls = []

    class Product(gf.autograd.Function):
        @staticmethod
        def forward(ctx, a, b):
            calls.append(("forward", gf.is_grad_enabled()))
            ctx.save_for_backward(a, b)
            return a * b

        @staticmethod
        def backward(ctx, g):
            a, b = ctx.saved_tensors
            calls.append(("backward", gf.is_grad_enabled()))
            return g * b, g * a

    a, b = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    Product.apply(a, b).sum().backward()
    assert calls == [("forward", False), ("backward", False)]
    close(a.grad, [3.0, 4.0])
    close(b.grad, [1.0, 2.0])


def test_non_tensor_arguments_and_none_gradients():
    class Power(gf.autograd.Function):
        @staticmethod
        def forward(ctx, x, n, label, scale):
            ctx.n, ctx.label, ctx.shape = n, label, x.shape
            ctx.save_for_backward(x, None)
            return x**n * scale

        @staticmethod
        def backward(ctx, g):
            x, nothing = ctx.saved_tensors
            assert nothing is None
            assert ctx.label == "three"
            assert tuple(ctx.shape) == (2,)
            assert ctx.needs_input_grad == (True, False, False, True)
            return g * ctx.n * x ** (ctx.n - 1), None, None, None

    x, scale = leaf([2.0, 3.0]), leaf([1.0, 1.0])
    Power.apply(x, 3, "three", scale).sum().backward()
    close(x.grad, [12.0, 27.0])
    assert scale.grad is None
    y = Power.apply(x, 3, "three", scale)
    assert gf.autograd.grad(y.sum(), scale, allow_unused=True) == (None,)


def test_needs_input_grad_follows_the_arguments():
    seen = []

    class Product(gf.autograd.Function):
        @staticmethod
        def forward(ctx, a, b):
            seen.append(tuple(ctx.needs_input_grad))
            ctx.save_for_backward(a, b)
            return a * b

        @staticmethod
        def backward(ctx, g):
            a, b = ctx.saved_tensors
            seen.append(tuple(ctx.needs_input_grad))
            return (g * b if ctx.needs_input_grad[0] else None), (g * a if ctx.needs_input_grad[1] else None)

    a, plain = leaf([1.0, 2.0]), gf.tensor(np.array([5.0, 6.0]))
    Product.apply(plain, a * 1.0).sum().backward()
    assert seen == [(False, True), (False, True)]
    close(a.grad, [5.0, 6.0])


class SquareAndExp(gf.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        e = gf.exp(x)
        ctx.save_for_backward(x, e)
        return x * x, e

    @staticmethod
    def backward(ctx, g_square, g_exp):
        x, e = ctx.saved_tensors
        return g_square * 2.0 * x + g_exp * e


@pytest.mark.parametrize("used", [(0,), (1,), (0, 1)])
def test_tuple_outputs_with_any_of_them_used(used):
    x = leaf([0.5, -1.5])
    outputs = SquareAndExp.apply(x)
    assert isinstance(outputs, tuple)
    assert len(outputs) == 2
    total = sum(outputs[i].sum() for i in used)
    (first,) = gf.autograd.grad(total, x, create_graph=True)
    (second,) = gf.autograd.grad(first.sum(), x)
    v = x.detach().numpy()
    close(first, sum((2 * v, np.exp(v))[i] for i in used))
    close(second, sum((2 + 0 * v, np.exp(v))[i] for i in used))


@pytest.mark.parametrize("materialize", [True, False])
def test_set_materialize_grads(materialize):
    seen = []

    class Two(gf.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(materialize)
            return x * 2.0, gf.cat([x, x]) * np.inf  # zeros for an unused output come from its shape, not its values

        @staticmethod
        def backward(ctx, g0, g1):
            seen.append(g1)
            return g0 * 2.0

    x = leaf([1.0, 2.0])
    Two.apply(x)[0].sum().backward()
    close(x.grad, [2.0, 2.0])
    if materialize:
        close(seen[0], np.zeros(4))
        assert seen[0].dtype == gf.float64
    else:
        assert seen == [None]


def test_mark_non_differentiable_and_integer_outputs():
    class SortLike(gf.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            sign = gf.where(x > 0, 1.0, -1.0)
            index = (x > 0).to(gf.int64)
            ctx.mark_non_differentiable(sign, index)
            ctx.save_for_backward(sign)
            return x * sign, sign, index

        @staticmethod
        def backward(ctx, g, g_sign, g_index):
            (sign,) = ctx.saved_tensors
            return g * sign

    x = leaf([3.0, -4.0])
    size, sign, index = SortLike.apply(x)
    assert size.requires_grad
    assert not sign.requires_grad
    assert not index.requires_grad
    (size.sum() + (sign * index).sum()).backward()
    close(x.grad, [1.0, -1.0])


def test_an_input_returned_as_it_is():
    class Reverse(gf.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, g):
            return -g

    x = leaf([1.0, 2.0])
    y = Reverse.apply(x)
    assert y is not x
    assert y.requires_grad
    assert not y.is_leaf
    assert x.is_leaf
    (y * y).sum().backward()
    close(x.grad, [-2.0, -4.0])
    z = x * 1.0
    (first,) = gf.autograd.grad((Reverse.apply(z) * z).sum(), x, create_graph=True)
    close(first, [0.0, 0.0])
    (second,) = gf.autograd.grad(first.sum(), x)
    close(second, [-2.0, -2.0])  # both the output and the cotangent depend on x through Reverse


def test_nothing_is_recorded_or_kept_without_need():
    x, plain = leaf([1.0, 2.0]), gf.tensor(np.array([1.0, 2.0]))
    with gf.no_grad():
        assert not Cube.apply(x).requires_grad
    y = Cube.apply(plain)
    assert not y.requires_grad
    assert y.grad_fn is None
    kept = weakref.ref(plain)
    del plain
    assert kept() is None  # y holds no ctx, and so no saved input


@pytest.mark.parametrize("grads", [(None,), (gf.ones(2),) * 3])
def test_wrong_number_of_gradients(grads):
    function = returning(*grads)
    with pytest.raises(ERROR, match=rf"Odd.*{len(grads)}.*2|Odd.*2.*{len(grads)}"):
        function.apply(leaf([1.0, 2.0]), leaf([3.0, 4.0])).sum().backward()


@pytest.mark.parametrize(
    ("grad", "said"),
    [(gf.ones(3), r"Odd.*\(3,?\).*\(2,?\)|Odd.*\(2,?\).*\(3,?\)"), (1.5, "Odd.*float"), ("g", "Odd.*str")],
)
def test_an_invalid_gradient_is_named(grad, said):
    function = returning(grad, None)
    with pytest.raises(ERROR, match=said):
        function.apply(leaf([1.0, 2.0]), leaf([3.0, 4.0])).sum().backward()


def test_a_gradient_of_another_dtype_is_cast_to_the_inputs():
    x = gf.tensor(np.array([1.0, 2.0], dtype="f4"), requires_grad=True)
    function = returning(gf.tensor(np.array([0.5, 0.25])), None)
    y = function.apply(x, leaf([3.0, 4.0]))
    y.sum().backward()
    assert x.grad.dtype == gf.float32
    close(x.grad, [0.5, 0.25])
