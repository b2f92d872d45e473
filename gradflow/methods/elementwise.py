"""Elementwise functions as methods."""

from __future__ import annotations

from ..functions import elementwise as E


class ElementwiseMethods:
    """The elementwise part of `Tensor`."""

    __slots__ = ()

    add, sub, mul, div, pow, neg, abs = E.add, E.sub, E.mul, E.div, E.pow, E.neg, E.abs
    exp, log, sqrt, tanh, sigmoid, relu, sign = E.exp, E.log, E.sqrt, E.tanh, E.sigmoid, E.relu, E.sign
    eq, ne, lt, le, gt, ge = E.equal, E.not_equal, E.less, E.less_equal, E.greater, E.greater_equal
    maximum, minimum, clone = E.maximum, E.minimum, E.clone
