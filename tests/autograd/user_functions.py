"""What the tests of user Functions share: tensors in float64, closeness, and two Functions."""

import numpy as np

import gradflow as gf


def leaf(values):
    return gf.tensor(np.asarray(values, dtype="f8"), requires_grad=True)


def tensor(values):
    return gf.tensor(np.asarray(values, dtype="f8"))


def close(actual, expected, message=""):
    actual, expected = (a.detach().numpy() if isinstance(a, gf.Tensor) else a for a in (actual, expected))
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-12, err_msg=message)


class Cube(gf.autograd.Function):
    """Saves its input; the style in which forward receives ctx."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 3.0 * x * x * g


class Exp(gf.autograd.Function):
    """Saves its output."""

    @staticmethod
    def forward(ctx, x):
        y = gf.exp(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return y * g
