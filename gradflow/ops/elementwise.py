"""Elementwise primitives: arithmetic, the usual functions, comparisons, `where`, casts."""

from __future__ import annotations

import math
from typing import Any

from ..autograd.batch import elementwise
from ..autograd.define import elementwise_primitive, primitive
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
    """a ** b. A fraction, which integers to negative powers are, becomes 0 where the exponents are an array."""
    try:
        kind = a.dtype.kind
    except AttributeError:
        kind = b.dtype.kind
    if kind not in "bi":
        return np.power(a, b)
    if kind == "b":
        return np.logical_or(a, np.logical_not(b))
    if not hasattr(b, "dtype"):
        if b < 0:
            raise ValueError("integers to a negative power are fractions; convert them with .float()")
        return np.power(a, b)
    a, below, odd = np.asarray(a, dtype=b.dtype), b < 0, np.bitwise_and(b, 1)
    fraction = np.where(a == 1, 1, np.where(a == -1, 1 - 2 * odd, 0)).astype(b.dtype)
    return np.where(below, fraction, np.power(a, np.where(below, 0, b)))


def _larger_vjp(xp: Any, g: Any, a: Any, b: Any) -> Any:
    return xp.where(xp.less(a, b), 0.0, xp.where(xp.equal(a, b), g * 0.5, g))


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


@elementwise_primitive(
    lambda xp, g, a, b: xp.where(xp.logical_or(xp.greater_equal(a, b), xp.isnan(b)), g, 0.0),
    lambda xp, g, a, b: xp.where(xp.logical_or(xp.greater_equal(a, b), xp.isnan(b)), 0.0, g),
)
def fmax(np: Any, a: Any, b: Any) -> Any:
    """The larger of a and b, or the one that is a number; where they are equal the gradient is a's."""
    return np.fmax(a, b)


@elementwise_primitive(
    lambda xp, g, a, b: xp.where(xp.logical_or(xp.less_equal(a, b), xp.isnan(b)), g, 0.0),
    lambda xp, g, a, b: xp.where(xp.logical_or(xp.less_equal(a, b), xp.isnan(b)), 0.0, g),
)
def fmin(np: Any, a: Any, b: Any) -> Any:
    """The smaller of a and b, or the one that is a number; where they are equal the gradient is a's."""
    return np.fmin(a, b)


def _clip_vjp(xp: Any, g: Any, x: Any, low: Any, high: Any) -> Any:
    if low is not None:
        g = xp.where(xp.greater_equal(x, low), g, 0.0)
    return g if high is None else xp.where(xp.less_equal(x, high), g, 0.0)


def _clip_low_vjp(xp: Any, g: Any, x: Any, low: Any, high: Any) -> Any:
    below = xp.less(x, low)
    return xp.where(below if high is None else xp.logical_and(below, xp.less(low, high)), g, 0.0)


def _clip_high_vjp(xp: Any, g: Any, x: Any, low: Any, high: Any) -> Any:
    above = xp.greater(x, high)
    return xp.where(above if low is None else xp.logical_or(above, xp.less(high, low)), g, 0.0)


@primitive(vjps=(_clip_vjp, _clip_low_vjp, _clip_high_vjp), batch=elementwise, promote="same", jvp="diagonal")
def clip(np: Any, x: Any, low: Any, high: Any) -> Any:
    """x, but at least `low` and at most `high`, either of which may be None; gradients pass at the bounds."""
    if low is not None:
        x = np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


@elementwise_primitive(
    lambda xp, g, a, b: g * (xp.sign(a) * xp.copysign(xp.ones_like(g), b)),
    lambda xp, g: xp.zeros_like(g),
    promote="float",
)
def copysign(np: Any, a: Any, b: Any) -> Any:
    """|a| with the sign of b, that of -0.0 too."""
    return np.copysign(a, b)


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


@elementwise_primitive(lambda xp, g: xp.zeros_like(g))
def sign(np: Any, x: Any) -> Any:
    """-1, 0 or 1; its derivative is 0 everywhere."""
    return x.copy() if x.dtype.kind == "b" else np.sign(x)


@elementwise_primitive(lambda xp, g, x: g * xp.sign(x))
def absolute(np: Any, x: Any) -> Any:
    """|x|; the gradient at 0 is 0."""
    return np.absolute(x)


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
def logical_xor(np: Any, a: Any, b: Any) -> Any:
    """Elementwise: one of both is true (not zero), but not the other."""
    return np.logical_xor(a, b)


@primitive(batch=elementwise)
def isinf(np: Any, x: Any) -> Any:
    """Elementwise: is infinite, of either sign."""
    return np.isinf(x)


@primitive(batch=elementwise)
def isfinite(np: Any, x: Any) -> Any:
    """Elementwise: is neither infinite nor NaN."""
    return np.isfinite(x)


@primitive(batch=elementwise, promote="float")
def signbit(np: Any, x: Any) -> Any:
    """Elementwise: has the sign bit set, as -0.0 has."""
    return np.signbit(x)


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


@elementwise_primitive()
def constant(np: Any, x: Any) -> Any:
    """x, taken for a constant by every derivative."""
    return x.copy()


@primitive(batch=elementwise)
def zeros_like(np: Any, x: Any) -> Any:
    """Zeros of x's shape and dtype: not x * 0, which is NaN where x is infinite."""
    return np.zeros_like(x)


@primitive(batch=elementwise)
def ones_like(np: Any, x: Any) -> Any:
    """Ones of x's shape and dtype."""
    return np.ones_like(x)


def wide(x: Any) -> Any:
    """16-bit floats in float32, in which they are computed with."""
    return x.astype("f4") if is_half(x.dtype) else x


def accumulation_dtype(x: Any) -> Any:
    """The dtype sums of x are taken in: at least float32 for floats, int64 for integers and booleans."""
    if is_half(x.dtype):
        return "f4"
    return "i8" if x.dtype.kind in "biu" else x.dtype
