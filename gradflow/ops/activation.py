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
    """0 where y <= 0, else g, with y = relu(x)."""
    return xp.where(xp.less_equal(y, 0), 0.0, g)


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


# -- further ones: each saves its input, where its parts would save several arrays of that size ------------------------


def _hardtanh_vjp(xp: Any, g: Any, y: Any, low: float, high: float) -> Any:
    return xp.where(xp.logical_or(xp.less_equal(y, low), xp.greater_equal(y, high)), 0.0, g)


@primitive(vjps=(_hardtanh_vjp,), batch=elementwise, promote="same", jvp="diagonal")
def hardtanh(np: Any, x: Any, *, low: float, high: float) -> Any:
    """x, but at least `low` and at most `high`; the gradient at these is 0."""
    return np.asarray(np.minimum(np.maximum(wide(x), low), high)).astype(x.dtype, copy=False)


def _leaky_vjp(xp: Any, g: Any, x: Any, slope: float) -> Any:
    return xp.where(xp.greater(x, 0), g, g * slope)


@primitive(vjps=(_leaky_vjp,), batch=elementwise, promote="float", jvp="diagonal")
def leaky_relu(np: Any, x: Any, *, slope: float) -> Any:
    """x for x > 0, else slope x."""
    z = wide(x)
    return np.where(z > 0, z, z * slope).astype(x.dtype, copy=False)


def _elu_vjp(xp: Any, g: Any, x: Any, alpha: float, scale: float, inner: float) -> Any:
    falls = xp.less_equal(x, 0)
    return g * xp.where(falls, xp.exp(xp.where(falls, x, 0.0) * inner) * (alpha * scale * inner), scale)


@primitive(vjps=(_elu_vjp,), batch=elementwise, promote="float", jvp="diagonal")
def elu(np: Any, x: Any, *, alpha: float, scale: float = 1.0, inner: float = 1.0) -> Any:
    """scale x for x > 0, else scale alpha (exp(inner x) - 1) (Clevert et al., 2015)."""
    z = wide(x)
    below = np.expm1(np.minimum(z, 0) * inner) * alpha
    return np.asarray(np.where(z > 0, z, below) * scale).astype(x.dtype, copy=False)


def _softplus(np: Any, z: Any) -> Any:
    return np.maximum(z, 0) + np.log1p(np.exp(-np.absolute(z)))


def _softplus_vjp(xp: Any, g: Any, x: Any, beta: float, threshold: float) -> Any:
    slope = xp.sigmoid(x * beta)
    return g * (slope if threshold == math.inf else xp.where(xp.greater(x * beta, threshold), 1.0, slope))


@primitive(vjps=(_softplus_vjp,), batch=elementwise, promote="float", jvp="diagonal")
def softplus(np: Any, x: Any, *, beta: float = 1.0, threshold: float = math.inf) -> Any:
    """log(1 + exp(beta x)) / beta, without overflow; x itself where beta x > threshold."""
    z = wide(x)
    y = _softplus(np, z * beta) / beta
    if threshold != math.inf:
        y = np.where(z * beta > threshold, z, y)
    return np.asarray(y).astype(x.dtype, copy=False)


def _mish_vjp(xp: Any, g: Any, x: Any) -> Any:
    t = xp.tanh(xp.softplus(x))
    return g * (t + x * xp.sigmoid(x) * (1.0 - t * t))


@elementwise_primitive(_mish_vjp, promote="float")
def mish(np: Any, x: Any) -> Any:
    """x tanh(log(1 + exp(x))) (Misra, 2019)."""
    z = wide(x)
    return np.asarray(z * np.tanh(_softplus(np, z))).astype(x.dtype, copy=False)


def _hardswish_vjp(xp: Any, g: Any, x: Any) -> Any:
    bend = xp.where(xp.less(x, 3), x * (1.0 / 3.0) + 0.5, 1.0)
    return g * xp.where(xp.less_equal(x, -3), 0.0, bend)


@elementwise_primitive(_hardswish_vjp, promote="float")
def hardswish(np: Any, x: Any) -> Any:
    """x min(max(x + 3, 0), 6) / 6 (Howard et al., 2019)."""
    z = wide(x)
    return np.asarray(z * np.minimum(np.maximum(z + 3, 0), 6) / 6).astype(x.dtype, copy=False)
