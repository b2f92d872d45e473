"""Elementwise functions as methods."""

from __future__ import annotations

from ..functions import comparison as C
from ..functions import elementwise as E
from ..functions import special as S


class ElementwiseMethods:
    """The elementwise part of `Tensor`."""

    __slots__ = ()

    add, sub, mul, div, pow, neg, abs, square = E.add, E.sub, E.mul, E.div, E.pow, E.neg, E.abs, E.square
    subtract, multiply, divide, true_divide, negative = E.subtract, E.multiply, E.divide, E.true_divide, E.negative
    floor_divide, remainder, fmod, absolute, float_power = (
        E.floor_divide,
        E.remainder,
        E.fmod,
        E.absolute,
        E.float_power,
    )
    reciprocal, positive, lerp, addcmul, addcdiv = E.reciprocal, E.positive, E.lerp, E.addcmul, E.addcdiv
    deg2rad, rad2deg, copysign, heaviside, hypot = E.deg2rad, E.rad2deg, E.copysign, E.heaviside, E.hypot

    exp, exp2, expm1, sqrt, rsqrt, sign, sgn = E.exp, E.exp2, E.expm1, E.sqrt, E.rsqrt, E.sign, E.sgn
    log, log2, log10, log1p = E.log, E.log2, E.log10, E.log1p
    sin, cos, tan, asin, acos, atan, atan2 = E.sin, E.cos, E.tan, E.asin, E.acos, E.atan, E.atan2
    sinh, cosh, tanh, asinh, acosh, atanh = E.sinh, E.cosh, E.tanh, E.asinh, E.acosh, E.atanh
    arcsin, arccos, arctan, arctan2 = E.arcsin, E.arccos, E.arctan, E.arctan2
    arcsinh, arccosh, arctanh, sinc = E.arcsinh, E.arccosh, E.arctanh, E.sinc
    sigmoid, relu, clone = E.sigmoid, E.relu, E.clone

    floor, ceil, round, trunc, fix, frac = E.floor, E.ceil, E.round, E.trunc, E.fix, E.frac
    clamp, clip, clamp_min, clamp_max, nan_to_num = E.clamp, E.clip, E.clamp_min, E.clamp_max, E.nan_to_num
    maximum, minimum, fmax, fmin = E.maximum, E.minimum, E.fmax, E.fmin

    erf, erfc, erfinv, lgamma, digamma = S.erf, S.erfc, S.erfinv, S.lgamma, S.digamma
    logaddexp, logaddexp2, logit, xlogy = S.logaddexp, S.logaddexp2, S.logit, S.xlogy

    eq, ne, lt, le, gt, ge = C.eq, C.ne, C.lt, C.le, C.gt, C.ge
    not_equal, less, less_equal, greater, greater_equal = C.not_equal, C.less, C.less_equal, C.greater, C.greater_equal
    equal, isclose, allclose, signbit, isreal = C.equal, C.isclose, C.allclose, C.signbit, C.isreal
    isnan, isinf, isfinite, isposinf, isneginf = C.isnan, C.isinf, C.isfinite, C.isposinf, C.isneginf
    logical_and, logical_or, logical_xor, logical_not = C.logical_and, C.logical_or, C.logical_xor, C.logical_not
    bitwise_and, bitwise_or, bitwise_xor, bitwise_not = C.bitwise_and, C.bitwise_or, C.bitwise_xor, C.bitwise_not
    bitwise_left_shift, bitwise_right_shift, gcd, lcm = C.bitwise_left_shift, C.bitwise_right_shift, C.gcd, C.lcm

    def where(self, condition: object, other: object) -> object:
        """self where the condition is true (not zero), else other."""
        return E.where(condition, self, other)

    def polygamma(self, n: int) -> object:
        """The n-th derivative of digamma."""
        return S.polygamma(n, self)
