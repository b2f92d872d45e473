"""Special functions: the error function and the logarithm of the gamma function with their relatives."""

from __future__ import annotations

import math
from typing import Any

from ..autograd.batch import elementwise
from ..autograd.define import elementwise_primitive, primitive
from ..backend.scipy import scipy
from .elementwise import wide

_SLOPE = 2.0 / math.sqrt(math.pi)


def _special(np: Any, name: str, x: Any) -> Any:
    """A function of SciPy's, or CuPy's twin of it, which take no 16-bit floats."""
    return np.asarray(getattr(scipy(np, "special"), name)(wide(x))).astype(x.dtype, copy=False)


@elementwise_primitive(lambda xp, g, x: g * (xp.exp(-(x * x)) * _SLOPE), promote="float")
def erf(np: Any, x: Any) -> Any:
    """The error function, 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x."""
    return _special(np, "erf", x)


@elementwise_primitive(lambda xp, g, x: g * (xp.exp(-(x * x)) * -_SLOPE), promote="float")
def erfc(np: Any, x: Any) -> Any:
    """1 - erf(x), accurate for large x."""
    return _special(np, "erfc", x)


@elementwise_primitive(lambda xp, g, y: g * (xp.exp(y * y) * (1.0 / _SLOPE)), promote="float")
def erfinv(np: Any, x: Any) -> Any:
    """The inverse of erf, for x in [-1, 1]."""
    return _special(np, "erfinv", x)


@elementwise_primitive(lambda xp, g, x: g * xp.digamma(x), promote="float")
def lgamma(np: Any, x: Any) -> Any:
    """log(|gamma(x)|), and inf at either infinity."""
    y = _special(np, "gammaln", x)
    return np.where(y == -math.inf, -y, y)


@elementwise_primitive(lambda xp, g, x: g * xp.polygamma(x, n=1), promote="float")
def digamma(np: Any, x: Any) -> Any:
    """The derivative of lgamma."""
    return _special(np, "digamma", x)


@primitive(vjps=(lambda xp, g, x, n: g * xp.polygamma(x, n=n + 1),), batch=elementwise, promote="float", jvp="diagonal")
def polygamma(np: Any, x: Any, *, n: int) -> Any:
    """The n-th derivative of digamma, n >= 1: (-1)^(n+1) n! zeta(n + 1, x)."""
    z = wide(x)
    y = scipy(np, "special").zeta(float(n + 1), z) * ((-1.0) ** (n + 1) * math.factorial(n))
    return np.asarray(y).astype(x.dtype, copy=False)
