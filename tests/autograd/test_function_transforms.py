"""A user's Function under jvp, vmap, grad and their nestings: equal to the same formula made of plain operations."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from autograd.user_functions import Cube as CubeOld
from autograd.user_functions import close, leaf, tensor

import gradflow as gf

ERROR = (RuntimeError, ValueError, TypeError)
func = gf.func
X = np.array([0.7, -1.2, 0.4])
V = np.array([1.0, -0.5, 2.0])


class Saving(gf.autograd.Function):
    """Base of the Functions below: setup_context saves inputs, and outputs where asked, for both modes."""

    outputs = False

    @classmethod
    def setup_context(cls, ctx, inputs, output):
        tensors = [x for x in inputs if isinstance(x, gf.Tensor)]
        if cls.outputs:
            tensors += output if isinstance(output, tuple) else [output]
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)


class Cube(Saving):
    @staticmethod
    def forward(x):
        return x * x * x

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 3.0 * x * x * g


class CubeJvp(Cube):
    """With a jvp of the user's."""

    used = 0

    @staticmethod
    def jvp(ctx, t):
        (x,) = ctx.saved_tensors
        CubeJvp.used += 1
        return 3.0 * x * x * t


class ExpSquare(Saving):
    """exp(x^2), which saves its input and its output."""

    outputs = True

    @staticmethod
    def forward(x):
        return gf.exp(x * x)

    @staticmethod
    def backward(ctx, g):
        x, y = ctx.saved_tensors
        return 2.0 * x * y * g


class Product(Saving):
    @staticmethod
    def forward(a, b):
        return a * b

    @staticmethod
    def backward(ctx, g):
        a, b = ctx.saved_tensors
        return g * b, g * a


class CubeAndExp(Saving):
    """Two outputs, the second saved."""

    outputs = True

    @staticmethod
    def forward(x):
        return x * x * x, gf.exp(x)

    @staticmethod
    def backward(ctx, g_cube, g_exp):
        x, _, e = ctx.saved_tensors
        return g_cube * 3.0 * x * x + g_exp * e


class Relu(gf.autograd.Function):
    """Saves a mask: an intermediate, but one without derivatives, so it serves at every order and level."""

    @staticmethod
    def forward(ctx, x):
        mask = x > 0
        ctx.save_for_backward(mask)
        return gf.where(mask, x, 0.0)

    @staticmethod
    def backward(ctx, g):
        return gf.where(ctx.saved_tensors[0], g, 0.0)


class SigmoidGrad(Saving):
    @staticmethod
    def forward(g, y):
        return g * y * (1.0 - y)

    @staticmethod
    def backward(ctx, gg):
        g, y = ctx.saved_tensors
        return gg * y * (1.0 - y), gg * g * (1.0 - 2.0 * y)


class Sigmoid(Saving):
    """Its backward is a Function too."""

    outputs = True

    @staticmethod
    def forward(x):
        return 1.0 / (1.0 + gf.exp(-x))

    @staticmethod
    def backward(ctx, g):
        return SigmoidGrad.apply(g, ctx.saved_tensors[1])


def two(pair):
    return pair[0] * pair[1]


W = np.array([2.0, -3.0, 0.5])
CASES = {  # name: (with a Function, with plain operations)
    "saves input": (Cube.apply, lambda x: x * x * x),
    "forward receives ctx": (CubeOld.apply, lambda x: x * x * x),
    "user's jvp": (CubeJvp.apply, lambda x: x * x * x),
    "saves input and output": (ExpSquare.apply, lambda x: gf.exp(x * x)),
    "two inputs": (lambda x: Product.apply(x, gf.exp(x)), lambda x: x * gf.exp(x)),
    "one input twice": (lambda x: Product.apply(x, x), lambda x: x * x),
    "a constant input": (lambda x: Product.apply(tensor(W), x * x), lambda x: tensor(W) * x * x),
    "two outputs": (lambda x: two(CubeAndExp.apply(x)), lambda x: x * x * x * gf.exp(x)),
    "mask": (lambda x: Relu.apply(x * x * x), lambda x: gf.where(x > 0, x * x * x, 0.0)),
    "nested": (lambda x: Sigmoid.apply(x * x), lambda x: gf.sigmoid(x * x)),
}

WEIGHTS = np.array([0.5, 2.0, -1.0])


def grad(f):
    return func.grad(lambda x: (f(x) * tensor(WEIGHTS)).sum())


def jvp(f):
    return lambda x: func.jvp(f, (x,), (tensor(V),))[1]


def vmap(f):
    return lambda x: (func.vmap(f)(gf.stack([x, x * -0.5])) * tensor([[1.0], [3.0]])).sum(0)


TRANSFORMS = {"grad": grad, "jvp": jvp, "vmap": vmap}
CHAINS = [c for depth in (1, 2, 3) for c in itertools.product(TRANSFORMS, repeat=depth)]


def wrapped(f, chain):
    for name in chain:
        f = TRANSFORMS[name](f)
    return f


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_function_equals_plain_operations_in_every_nesting(depth, case):
    function, plain = CASES[case]
    for chain in (c for c in CHAINS if len(c) == depth):
        close(wrapped(function, chain)(tensor(X)), wrapped(plain, chain)(tensor(X)), f"innermost first: {chain}")


def test_the_users_jvp_is_the_one_that_runs():
    before = CubeJvp.used
    close(jvp(CubeJvp.apply)(tensor(X)), 3 * X**2 * V)
    assert CubeJvp.used == before + 1


@pytest.mark.parametrize("chain", [c for c in CHAINS if len(c) < 3], ids="-".join)
@pytest.mark.parametrize("case", ["product", "nested"])
def test_an_outer_weight_records_through_the_function(chain, case):
    def run(f):
        w = leaf(W)
        y = wrapped(lambda x: f(w, x * x), chain)(tensor(X))
        (first,) = gf.autograd.grad((y * y).sum(), w, create_graph=True)
        (second,) = gf.autograd.grad((first * first).sum(), w)
        return y, first, second

    custom, plain = {
        "product": (Product.apply, lambda w, x: w * x),
        "nested": (lambda w, x: Sigmoid.apply(Product.apply(w, x)), lambda w, x: gf.sigmoid(w * x)),
    }[case]
    for actual, expected in zip(run(custom), run(plain), strict=True):
        close(actual, expected)


def test_an_outer_weight_is_recorded_in_the_values_too():
    w, x = leaf(W), tensor(X)
    for call in (
        lambda f: func.vjp(f, x)[0],
        lambda f: func.jvp(f, (x,), (tensor(V),))[0],
        lambda f: func.grad_and_value(lambda x: f(x).sum())(x)[1],
        lambda f: func.vmap(f)(x.unsqueeze(0)),
    ):
        y = call(lambda x: Product.apply(w, x))
        close(gf.autograd.grad(y.sum(), w)[0], X)


@pytest.mark.parametrize("case", CASES)
def test_jacobians_and_hessians_through_a_function(case):
    function, plain = CASES[case]
    close(func.jacrev(function)(tensor(X)), func.jacrev(plain)(tensor(X)))
    close(func.jacfwd(function)(tensor(X)), func.jacfwd(plain)(tensor(X)))
    close(func.hessian(lambda x: function(x).sum())(tensor(X)), func.hessian(lambda x: plain(x).sum())(tensor(X)))


@pytest.mark.parametrize("in_dims", [(0, 0), (0, None), (None, 1), (1, 0)])
def test_the_loop_rule_takes_every_in_dims(in_dims):
    rng = np.random.default_rng(0)
    shapes = [(3,) if d is None else ((2, 3), (3, 2))[d] for d in in_dims]
    a, b = (rng.standard_normal(s) for s in shapes)
    at = [
        np.broadcast_to(x, (2, 3)) if d is None else np.moveaxis(x, d, 0) for x, d in zip((a, b), in_dims, strict=True)
    ]
    close(func.vmap(Product.apply, in_dims)(tensor(a), tensor(b)), at[0] * at[1])


def test_vmap_keeps_the_structure_of_a_functions_outputs():
    cube, e = func.vmap(CubeAndExp.apply)(tensor([X, V]))
    close(cube, np.stack([X, V]) ** 3)
    close(e, np.exp([X, V]))


class Scale(Saving):
    """x * n with a vmap rule of the user's, which runs once for the whole batch."""

    seen: list = []

    @staticmethod
    def forward(x, n, w):
        return x * n * w

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, ctx.n, w = inputs
        ctx.save_for_backward(x, w)

    @staticmethod
    def backward(ctx, g):
        x, w = ctx.saved_tensors
        return g * ctx.n * w, None, g * ctx.n * x

    @staticmethod
    def vmap(info, in_dims, x, n, w):
        Scale.seen.append(SimpleNamespace(size=info.batch_size, randomness=info.randomness, in_dims=tuple(in_dims)))
        x = x if in_dims[0] == 0 else x[None]
        w = w if in_dims[2] == 0 else w[None]
        return Scale.apply(x, n, w), 0


def test_the_users_vmap_is_told_size_and_dims_and_runs_once():
    Scale.seen.clear()
    xs, w = tensor([X, V]), tensor(W)
    close(func.vmap(lambda x: Scale.apply(x, 3.0, w))(xs), np.stack([X, V]) * 3 * W)
    assert [(s.size, s.randomness, s.in_dims) for s in Scale.seen] == [(2, "error", (0, None, None))]
    per_sample = func.vmap(func.grad(lambda x: (Scale.apply(x, 3.0, w) * x).sum()))(xs)
    close(per_sample, 6 * np.stack([X, V]) * W)
    close(func.grad(lambda xs: func.vmap(lambda x: Scale.apply(x, 3.0, w) * x)(xs).sum())(xs), 6 * np.stack([X, V]) * W)


def test_the_users_vmap_with_two_outputs_and_a_negative_or_missing_out_dim():
    class Parts(gf.autograd.Function):
        @staticmethod
        def forward(x):
            return x * 2.0, gf.ones(2)

        @staticmethod
        def setup_context(ctx, inputs, output):
            pass

        @staticmethod
        def backward(ctx, g, unused):
            return g * 2.0

        @staticmethod
        def vmap(info, in_dims, x):
            return (gf.transpose(x, 0, 1) * 2.0, gf.ones(2)), (1, None)

    double, one = func.vmap(Parts.apply)(tensor([X, V]))
    close(double, 2 * np.stack([X, V]))
    close(one, np.ones((2, 2)))


def test_a_batch_of_size_zero():
    assert tuple(func.vmap(Cube.apply)(gf.zeros(0, 3)).shape) == (0, 3)
    assert tuple(func.vmap(func.grad(lambda x: Cube.apply(x).sum()))(gf.zeros(0, 3)).shape) == (0, 3)
