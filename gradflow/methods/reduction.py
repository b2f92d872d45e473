"""Reductions as methods."""

from __future__ import annotations

from ..functions import activation as A
from ..functions import reduction as R


class ReductionMethods:
    """The reducing part of `Tensor`."""

    __slots__ = ()

    sum, mean, var, max, min, amax, amin, argmax = R.sum, R.mean, R.var, R.max, R.min, R.amax, R.amin, R.argmax
    softmax, log_softmax = A.softmax, A.log_softmax
