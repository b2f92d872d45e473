"""Elementwise primitives: arithmetic, the usual functions, comparisons, `where`, casts."""

from __future__ import annotations

import math
from typing import Any

from ..autograd.batch import elementwise
from ..autograd.define import elementwise_primitive, fused, primitive
from ..backend.dtypes import is_half

# -- arithmetic ------------------------------------------------------------------------------------------------------


@elementwise_primitive(lambda xp, g: g, lambda xp, g: g)
def add(np: Any, a: Any, b: Any) -> Any:
    """a + b."""
    return np.add(a, b)


@elementwise_primitive(lambda xp, g: g, lambda xp, g: -g)
def subtract(np: Any, a: Any, b: Any) -> Any:
    """a - b."""
    return np.subtract(a, b)


@elementwise_primitive(lambda xp, g, b: g * b, lambda xp, g, a: g * a)
def multiply(np: Any, a: Any, b: Any) -> Any:
    """a * b."""
    return np.multiply(a, b)


@elementwise_primitive(lambda xp, g, b: g / b, lambda xp, g, b, y: -(g * (y / b)), promote="float")
def divide(np: Any, a: Any, b: Any) -> Any:
    """a / b, in floating point."""
    return np.divide(a, b)


@elementwise_primitive(lambda xp, g: -g)
def negative(np: Any, x: Any) -> Any:
    """-x."""
    return np.negative(x)


def _power_base_vjp(xp: Any, g: Any, a: Any, b: Any) -> Any:
    if not hasattr(b, "shape"):
        return g * (xp.power(a, b - 1) * b) if b else xp.zeros_like(g)
    none = xp.equal(b, 0)  # b a**(b - 1) is 0 * inf at a = 0, b = 0, where the derivative is 0
    return g * xp.where(none, 0.0, b * xp.power(a, xp.where(none, 1.0, b - 1.0)))


def _power_exponent_vjp(xp: Any, g: Any, a: Any, b: Any, y: Any) -> Any:
    if not hasattr(a, "shape"):
        if a:
            return g * y * (math.log(a) if a > 0 else math.nan)
        return xp.where(xp.greater_equal(b, 0), 0.0, g * y * -math.inf)
    # log(0) * 0**b is -inf * 0 for b > 0, where the derivative is 0
    dead = xp.logical_and(xp.equal(a, 0), xp.greater_equal(b, 0))
    return g * xp.where(dead, 0.0, y * xp.log(xp.where(dead, 1.0, a)))


@elementwise_primitive(_power_base_vjp, _power_exponent_vjp)
def power(np: Any, a: Any, b: Any) -> Any:
    """a ** b."""
    return np.power(a, b)


def _larger_vjp(xp: Any, g: Any, a: Any, b: Any) -> Any:
    return xp.where(xp.greater(a, b), g, xp.where(xp.equal(a, b), g * 0.5, 0.0))


@elementwise_primitive(_larger_vjp, lambda xp, g, a, b: _larger_vjp(xp, g, b, a))
def maximum(np: Any, a: Any, b: Any) -> Any:
    """The larger of a and b; where they are equal the gradient is shared."""
    return np.maximum(a, b)


@elementwise_primitive(
    lambda xp, g, a, b: _larger_vjp(xp, g, b, a), lambda xp, g, a, b: _larger_vjp(xp, g, a, b)
)  # fmt: skip
def minimum(np: Any, a: Any, b: Any) -> Any:
    """The smaller of a and b; where they are equal the gradient is shared."""
    return np.minimum(a, b)


# -- functions -------------------------------------------------------------------------------------------------------


@elementwise_primitive(lambda xp, g, y: g * y, promote="float")
def exp(np: Any, x: Any) -> Any:
    """e to the power x."""
    return np.exp(x)


@elementwise_primitive(lambda xp, g, x: g / x, promote="float")
def log(np: Any, x: Any) -> Any:
    """Natural logarithm."""
    return np.log(x)


@elementwise_primitive(lambda xp, g, y: g / (y * 2.0), promote="float")
def sqrt(np: Any, x: Any) -> Any:
    """Square root."""
    return np.sqrt(x)


@elementwise_primitive()
def sign(np: Any, x: Any) -> Any:
    """-1, 0 or 1; its derivative is 0 everywhere."""
    return np.sign(x)


@elementwise_primitive(lambda xp, g, x: g * xp.sign(x))
def absolute(np: Any, x: Any) -> Any:
    """|x|; the gradient at 0 is 0."""
    return np.absolute(x)


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


def wide(x: Any) -> Any:
    """16-bit floats in float32, in which they are computed with."""
    return x.astype("f4") if is_half(x.dtype) else x


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


# -- comparisons, which have no gradient ------------------------------------------------------------------------------


@elementwise_primitive()
def equal(np: Any, a: Any, b: Any) -> Any:
    """a == b."""
    return np.equal(a, b)


@elementwise_primitive()
def not_equal(np: Any, a: Any, b: Any) -> Any:
    """a != b."""
    return np.not_equal(a, b)


@elementwise_primitive()
def less(np: Any, a: Any, b: Any) -> Any:
    """a < b."""
    return np.less(a, b)


@elementwise_primitive()
def less_equal(np: Any, a: Any, b: Any) -> Any:
    """a <= b."""
    return np.less_equal(a, b)


@elementwise_primitive()
def greater(np: Any, a: Any, b: Any) -> Any:
    """a > b."""
    return np.greater(a, b)


@elementwise_primitive()
def greater_equal(np: Any, a: Any, b: Any) -> Any:
    """a >= b."""
    return np.greater_equal(a, b)


@primitive(batch=elementwise)
def logical_and(np: Any, a: Any, b: Any) -> Any:
    """Elementwise: both are true (not zero)."""
    return np.logical_and(a, b)


@primitive(batch=elementwise)
def logical_or(np: Any, a: Any, b: Any) -> Any:
    """Elementwise: one of both is true (not zero)."""
    return np.logical_or(a, b)


@primitive(batch=elementwise)
def logical_not(np: Any, x: Any) -> Any:
    """Elementwise: not true (zero)."""
    return np.logical_not(x)


@primitive(batch=elementwise)
def isnan(np: Any, x: Any) -> Any:
    """Elementwise: is not a number."""
    return np.isnan(x)


# -- selection, casts, constants ---------------------------------------------------------------------------------------


@primitive(
    vjps=(None, lambda xp, g, c: xp.where(c, g, 0.0), lambda xp, g, c: xp.where(c, 0.0, g)),
    batch=elementwise,
    promote="same",
    promoted=slice(1, 3),
    jvp="diagonal",
)
def where(np: Any, c: Any, a: Any, b: Any) -> Any:
    """a where c is true (not zero), else b. The branch not taken gets a gradient of 0, whatever it holds."""
    return np.where(c, a, b)


@primitive(vjps=(lambda xp, g: g,), batch=elementwise, linear=(0,))
def astype(np: Any, x: Any, *, dtype: Any) -> Any:
    """x in another dtype. Casting to an integer or boolean dtype ends differentiation."""
    return np.asarray(x).astype(dtype)


@primitive(vjps=(lambda xp, g: g,), batch=elementwise, linear=(0,))
def copy(np: Any, x: Any) -> Any:
    """x in memory of its own, laid out as x is."""
    return np.array(x, order="K")


@primitive(vjps=(lambda xp, g: g,), batch=elementwise, linear=(0,))
def contiguous(np: Any, x: Any) -> Any:
    """x in row-major memory of its own."""
    return np.array(x, order="C")


@primitive(batch=elementwise)
def zeros_like(np: Any, x: Any) -> Any:
    """Zeros of x's shape and dtype: not x * 0, which is NaN where x is infinite."""
    return np.zeros_like(x)


@primitive(batch=elementwise)
def ones_like(np: Any, x: Any) -> Any:
    """Ones of x's shape and dtype."""
    return np.ones_like(x)


def accumulation_dtype(x: Any) -> Any:
    """The dtype sums of x are taken in: at least float32 for floats, int64 for integers and booleans."""
    if is_half(x.dtype):
        return "f4"
    return "i8" if x.dtype.kind in "biu" else x.dtype
