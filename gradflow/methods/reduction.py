"""Reductions, scans and sorting as methods."""

from __future__ import annotations

from ..functions import activation as A
from ..functions import reduction as R
from ..functions import scan as C
from ..functions import sorting as O
from ..functions import statistics as T


class ReductionMethods:
    """The part of `Tensor` that reduces, accumulates, sorts and counts."""

    __slots__ = ()

    sum, mean, prod, nansum, nanmean, count_nonzero = R.sum, R.mean, R.prod, R.nansum, R.nanmean, R.count_nonzero
    var, std, norm, logsumexp, any, all = R.var, R.std, R.norm, R.logsumexp, R.any, R.all
    max, min, amax, amin, aminmax, argmax, argmin = R.max, R.min, R.amax, R.amin, R.aminmax, R.argmax, R.argmin
    softmax, log_softmax = A.softmax, A.log_softmax
    cumsum, cumprod, cummax, cummin, logcumsumexp = C.cumsum, C.cumprod, C.cummax, C.cummin, C.logcumsumexp
    diff = C.diff
    sort, argsort, msort, topk, kthvalue = O.sort, O.argsort, O.msort, O.topk, O.kthvalue
    median, nanmedian, mode, quantile, nanquantile = O.median, O.nanmedian, O.mode, O.quantile, O.nanquantile
    unique, unique_consecutive, bincount, histc = T.unique, T.unique_consecutive, T.bincount, T.histc
    cov, corrcoef = T.cov, T.corrcoef
