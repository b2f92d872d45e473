"""Running sums, products, extremes and log-sums along a dimension; differences and integrals."""

from __future__ import annotations

from typing import Any

from ..ops import elementwise, scan
from .arguments import numpy_names, one_dim
from .joining import cat
from .reduction import Selected, cast, scalars_too
from .reduction import sum as _sum
from .shape import reshape


@numpy_names
@scalars_too
def cumsum(x: Any, dim: int, *, dtype: Any = None) -> Any:
    """y_i = x_0 + ... + x_i along a dimension. Integers and booleans are summed in int64."""
    return cast(scan.cumsum(cast(x, dtype), axis=one_dim("cumsum", x, dim)), dtype)


@numpy_names
@scalars_too
def cumprod(x: Any, dim: int, *, dtype: Any = None) -> Any:
    """y_i = x_0 x_1 ... x_i along a dimension. Integers and booleans are multiplied in int64."""
    return cast(scan.cumprod(cast(x, dtype), axis=one_dim("cumprod", x, dim)), dtype)


@numpy_names
@scalars_too
def logcumsumexp(x: Any, dim: int) -> Any:
    """y_i = log(exp(x_0) + ... + exp(x_i)) along a dimension, without overflow."""
    return scan.logcumsumexp(x, axis=one_dim("logcumsumexp", x, dim))


@numpy_names
@scalars_too
def cummax(x: Any, dim: int) -> Any:
    """(values, indices) of the largest element so far along a dimension: the latest of equal ones."""
    return Selected(*scan.cummax(x, axis=one_dim("cummax", x, dim)))


@numpy_names
@scalars_too
def cummin(x: Any, dim: int) -> Any:
    """(values, indices) of the smallest element so far along a dimension: the latest of equal ones."""
    return Selected(*scan.cummin(x, axis=one_dim("cummin", x, dim)))


def _ends(x: Any, d: int) -> tuple[Any, Any]:
    """x without its first, and without its last element along a dimension."""
    before = (slice(None),) * d
    later, earlier = (*before, slice(1, None)), (*before, slice(None, -1))
    return x[later], x[earlier]


@numpy_names
def diff(x: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """x_(i+1) - x_i along a dimension, n times; `prepend` and `append` are joined to x before. Booleans: whether they
    differ."""
    if not x.ndim:
        raise ValueError("[diff] needs a tensor of at least one dimension, got a 0-d one")
    if n < 0:
        raise ValueError(f"[diff] n must not be negative, got {n}")
    d = one_dim("diff", x, dim)
    if prepend is not None or append is not None:
        x = cat([part for part in (prepend, x, append) if part is not None], d)
    for _ in range(min(n, x.shape[d])):
        later, earlier = _ends(x, d)
        x = elementwise.not_equal(later, earlier) if x.dtype == "bool" else later - earlier
    return x


def _steps(op: str, y: Any, x: Any, dx: Any, dim: int) -> Any:
    """The areas between neighbours: (y_i + y_(i+1)) / 2 times the distance of their places."""
    d = one_dim(op, y, dim)
    if x is not None and dx is not None:
        raise TypeError(f"[{op}] give x or dx, not both")
    later, earlier = _ends(y, d)
    if x is None:
        return (later + earlier) * ((1.0 if dx is None else dx) / 2), d
    if x.ndim not in (1, y.ndim) or x.shape[d if x.ndim > 1 else 0] != y.shape[d]:
        raise ValueError(
            f"[{op}] x {tuple(x.shape)} must have as many elements along dim {dim} as y {tuple(y.shape)}, and one or "
            "as many dimensions"
        )
    if x.ndim == 1:
        x = reshape(x, (*(1,) * d, -1, *(1,) * (y.ndim - d - 1)))
    return (later + earlier) * diff(x, dim=d) / 2.0, d


@numpy_names
def trapezoid(y: Any, x: Any = None, *, dx: float | None = None, dim: int = -1) -> Any:
    """The integral of y along a dimension by the trapezoidal rule, over the places x, or at distances dx (1)."""
    areas, d = _steps("trapezoid", y, x, dx, dim)
    return _sum(areas, d)


@numpy_names
def cumulative_trapezoid(y: Any, x: Any = None, *, dx: float | None = None, dim: int = -1) -> Any:
    """The running integral of y along a dimension by the trapezoidal rule, of one element less."""
    areas, d = _steps("cumulative_trapezoid", y, x, dx, dim)
    return cumsum(areas, d)


trapz = trapezoid

__all__ = [
    "cummax", "cummin", "cumprod", "cumsum", "cumulative_trapezoid", "diff", "logcumsumexp", "trapezoid", "trapz",
]  # fmt: skip
