"""Activation functions."""

from __future__ import annotations

import math
from typing import Any

from ..autograd.batch import elementwise
from ..autograd.define import elementwise_primitive, fused, primitive
from .elementwise import wide


@fused(batch=elementwise)
def tanh_backward(xp: Any, g: Any, y: Any) -> Any:
    """g (1 - y^2), with y = tanh(x)."""
    return g * (1.0 - y * y)


@elementwise_primitive(lambda xp, g, y: xp.tanh_backward(g, y), promote="float")
def tanh(np: Any, x: Any) -> Any:
    """Hyperbolic tangent."""
    return np.tanh(x)


@fused(batch=elementwise)
def sigmoid_backward(xp: Any, g: Any, y: Any) -> Any:
    """g y (1 - y), with y = sigmoid(x)."""
    return g * (y * (1.0 - y))


@elementwise_primitive(lambda xp, g, y: xp.sigmoid_backward(g, y), promote="float")
def sigmoid(np: Any, x: Any) -> Any:
    """1 / (1 + exp(-x)), computed as (1 + tanh(x/2)) / 2, which cannot overflow."""
    y = np.tanh(x * 0.5)
    if y.ndim == 0 or y.dtype != x.dtype:
        return np.asarray(y * 0.5 + 0.5).astype(x.dtype)
    y *= 0.5
    y += 0.5
    return y


@fused(batch=elementwise)
def relu_backward(xp: Any, g: Any, y: Any) -> Any:
    """g where y > 0, else 0, with y = relu(x)."""
    return xp.where(xp.greater(y, 0), g, 0.0)


@elementwise_primitive(lambda xp, g, y: xp.relu_backward(g, y))
def relu(np: Any, x: Any) -> Any:
    """max(x, 0); NaN stays NaN; the gradient at 0 is 0."""
    return np.maximum(x, 0)


_DENSITY = 1.0 / math.sqrt(2.0 * math.pi)
_TANH, _CUBE = math.sqrt(2.0 / math.pi), 0.044715
_TAIL = {  # by itemsize: c, and the polynomial's coefficients, from the highest power to the lowest
    8: (5.0, (
        2.6192875820173715e-11, -6.205719132560224e-11, -2.8298335316958945e-10, 7.821126431047727e-10,
        1.8245563682875638e-09, -6.001959109358174e-09, -1.090496953444988e-08, 3.942547465584787e-08,
        7.69947625569609e-08, -2.4347540866204384e-07, -6.750090327905746e-07, 1.2701151713958727e-06,
        6.6443960338695655e-06, -9.6131306025346e-07, -6.04274773014077e-05, -0.0001342768427993482,
        0.0002195507369271503, 0.002378844356699341, 0.008991370550635857, 0.02341390048768684, 0.04785535228416882,
        0.08088387726412773, 0.11606881188600329, 0.14345755526401197, 0.07691930497500629,
    )),
    4: (4.0, (
        1.94310299e-05, 3.57537725e-05, -0.000178728355, -0.000629820793, 0.000504007636, 0.00848831045,
        0.0308654263, 0.0717080706, 0.124379224, 0.170397689, 0.0944106413,
    )),
}  # fmt: skip


def _normal_cdf(np: Any, x: Any) -> Any:
    """normal_cdf of float32 or float64: exp(-x^2 / 2) q(u) is the tail beyond |x|, u = 2 c / (|x| + c) - 1.

    q is nearly flat: a polynomial does, by Chebyshev interpolation (as Shepherd and Laframboise, 1981, for erfcx).
    """
    z = np.atleast_1d(x)
    center, coefficients = _TAIL[z.dtype.itemsize]
    e = np.absolute(z)
    u = e + center
    np.divide(2 * center, u, out=u)
    u -= 1
    q = u * coefficients[0]
    for c in coefficients[1:-1]:
        q += c
        q *= u
    q += coefficients[-1]
    e *= e
    e *= -0.5
    q *= np.exp(e, out=e)
    return np.where(z > 0, np.subtract(1.0, q, out=u), q).reshape(x.shape)


@elementwise_primitive(lambda xp, g, x: g * (xp.exp(x * x * -0.5) * _DENSITY), promote="float")
def normal_cdf(np: Any, x: Any) -> Any:
    """P(Z <= x) of a standard normal Z, (1 + erf(x / sqrt 2)) / 2, to a few roundings, in the tail as well."""
    return _normal_cdf(np, wide(x)).astype(x.dtype, copy=False)


@fused(batch=elementwise)
def gelu_backward(xp: Any, g: Any, x: Any, *, approximate: str = "none") -> Any:
    """g times the derivative of gelu at x."""
    if approximate == "none":
        return g * (xp.normal_cdf(x) + x * (xp.exp(x * x * -0.5) * _DENSITY))
    t = xp.tanh((x + (x * x * x) * _CUBE) * _TANH)
    bend = (1.0 - t * t) * x  # 0 where x * x would overflow
    return g * ((1.0 + t) * 0.5 + (bend + bend * x * x * (3 * _CUBE)) * (0.5 * _TANH))


@primitive(
    vjps=(lambda xp, g, x, approximate: xp.gelu_backward(g, x, approximate=approximate),),
    batch=elementwise,
    promote="float",
    jvp="diagonal",
)
def gelu(np: Any, x: Any, *, approximate: str = "none") -> Any:
    """x P(Z <= x), with a standard normal Z (Hendrycks and Gimpel, 2016).

    approximate="tanh" has x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) instead.
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"[gelu] approximate must be 'none' or 'tanh', got {approximate!r}")
    z = wide(x)
    if approximate == "none":
        y = z * _normal_cdf(np, z)
    else:
        y = z * (np.tanh(_TANH * (z + _CUBE * (z * z * z))) * 0.5 + 0.5)
    return np.asarray(y).astype(x.dtype, copy=False)


@fused(batch=elementwise)
def silu_backward(xp: Any, g: Any, x: Any) -> Any:
    """g s (1 + x (1 - s)), with s = sigmoid(x)."""
    s = xp.sigmoid(x)
    return g * (s * (1.0 + x * (1.0 - s)))


@elementwise_primitive(lambda xp, g, x: xp.silu_backward(g, x), promote="float")
def silu(np: Any, x: Any) -> Any:
    """x sigmoid(x) = x / (1 + exp(-x)) (Elfwing et al., 2017)."""
    z = wide(x)
    return np.asarray(z / (np.exp(-z) + 1)).astype(x.dtype, copy=False)
