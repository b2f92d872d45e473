"""Special functions."""

from __future__ import annotations

from typing import Any

from ..ops import special as S
from ..ops.elementwise import clip
from ..ops.exponential import logaddexp, logaddexp2, xlogy
from ..ops.exponential import logit as _logit
from ..ops.special import digamma, erf, erfc, erfinv, lgamma


def polygamma(n: int, input: Any) -> Any:
    """The n-th derivative of digamma, n >= 0."""
    if not isinstance(n, int) or n < 0:
        raise ValueError(f"[polygamma] n must be an integer from 0, got {n!r}")
    return S.polygamma(input, n=n) if n else digamma(input)


def logit(input: Any, eps: float | None = None) -> Any:
    """log(x / (1 - x)), the inverse of sigmoid, of x in [0, 1], or moved into [eps, 1 - eps]."""
    if eps is not None and not 0 <= eps <= 0.5:
        raise ValueError(f"[logit] eps must be between 0 and 0.5, got {eps}")
    return _logit(input if eps is None else clip(input, eps, 1.0 - eps))


__all__ = [
    "digamma", "erf", "erfc", "erfinv", "lgamma", "logaddexp", "logaddexp2", "logit", "polygamma", "xlogy",
]  # fmt: skip
