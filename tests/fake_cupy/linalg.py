"""The fake's `cupy.linalg` and `cupyx.scipy.linalg`: NumPy's and SciPy's functions behind CuPy's shape checks.

As CuPy does by default, they ignore what cannot be factorised, and give numbers that mean nothing; inside of
`cupyx.errstate(linalg="raise")` they raise.
"""

from __future__ import annotations

import contextlib
import math
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .array import host, ndarray, wrap

NONSENSE = 0.125
_config = {"linalg": "ignore"}


@contextlib.contextmanager
def errstate(
    *, divide: Any = None, over: Any = None, under: Any = None, invalid: Any = None, linalg: Any = None
) -> Iterator[None]:
    """cupyx.errstate, which knows `linalg` only."""
    if any(state is not None for state in (divide, over, under, invalid)) or linalg not in (None, "ignore", "raise"):
        raise NotImplementedError
    before = dict(_config)
    _config["linalg"] = linalg or _config["linalg"]
    try:
        yield
    finally:
        _config.update(before)


def _operand(a: Any) -> np.ndarray:
    if not isinstance(a, ndarray):
        raise np.linalg.LinAlgError("cupy.linalg only supports cupy.ndarray")
    if a.dtype.name == "float16":
        raise TypeError("float16 is unsupported in linalg")
    return host(a)  # type: ignore[no-any-return]


def _numbers(like: Any) -> Any:
    return tuple([np.full_like(v, NONSENSE) for v in like]) if isinstance(like, tuple) else np.full_like(like, NONSENSE)


def _ignoring(run: Callable[..., Any], like: Any, *args: Any, **options: Any) -> Any:
    """What run(*args) gives or, where it fails, nonsense in the form that `like`, other operands, gives."""
    with np.errstate(all="ignore"):
        try:
            result = run(*args, **options)
        except np.linalg.LinAlgError:
            if _config["linalg"] == "raise" and all(np.isfinite(a).all() for a in args):
                raise
            result = _numbers(run(*like, **options))
            if not all(np.isfinite(a).all() for a in args):  # what cuSOLVER reports of NaN is not written down
                result = tuple([r * np.nan for r in result]) if isinstance(result, tuple) else result * np.nan
    return tuple([wrap(r) for r in result]) if isinstance(result, tuple) else wrap(result)


def _eyes(a: np.ndarray) -> np.ndarray:
    return np.broadcast_to(np.eye(*a.shape[-2:], dtype=a.dtype), a.shape)


def of_one(name: str) -> Callable[..., Any]:
    """A function of one array."""
    function = getattr(np.linalg, name)

    def call(a: Any, *args: Any, **options: Any) -> Any:
        a = _operand(a)
        return _ignoring(lambda x: function(x, *args, **options), (_eyes(a),), a)

    return call


def solve(a: Any, b: Any) -> Any:
    a, b = _operand(a), _operand(b)
    if b.ndim == 0:
        raise ValueError("b must have at least one dimension")
    if b.ndim == 1:
        if a.shape[-1] != b.size:
            raise ValueError("a must have (..., M, M) shape and b must have (M,) for one-dimensional b")
        return _ignoring(lambda x, y: np.linalg.solve(x, y[..., None])[..., 0], (_eyes(a), b), a, b)
    if a.shape[:-1] != b.shape[:-1]:
        raise ValueError("a must have (..., M, M) shape and b must have (..., M, K) for multidimensional b")
    return _ignoring(np.linalg.solve, (_eyes(a), b), a, b)


def qr(a: Any, mode: str = "reduced") -> Any:
    x = _operand(a)
    if mode not in ("reduced", "complete", "r", "raw"):
        raise ValueError(f"Unrecognized mode '{mode}'")
    q, r = np.linalg.qr(x, mode)
    return wrap(q), wrap(np.full_like(r, NONSENSE) if x.size == 0 else r)  # memory as it was found


def solve_triangular(
    a: Any, b: Any, trans: Any = 0, lower: bool = False, unit_diagonal: bool = False, overwrite_b: bool = False,
    check_finite: bool = False,
) -> Any:  # fmt: skip
    a, b = _operand(a), _operand(b)
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise ValueError("expected square matrix")
    if a.ndim > 2 and (a.shape[:-2] != b.shape[: a.ndim - 2] or not math.prod(a.shape[:-2])):
        raise ValueError("incompatible batch count")
    if b.ndim < a.ndim - 1 or a.shape[-2] != b.shape[a.ndim - 2]:
        raise ValueError("incompatible dimensions")
    if trans or overwrite_b or check_finite or b.ndim != a.ndim:
        raise NotImplementedError("not in the fake")
    import scipy.linalg

    x = np.empty_like(b, order="C")
    trsm = scipy.linalg.get_blas_funcs("trsm", (a, b))
    for index in np.ndindex(a.shape[:-2]):
        x[index] = trsm(1.0, a[index], b[index], lower=lower, diag=unit_diagonal)
    return wrap(x)


def namespace() -> types.SimpleNamespace:
    """cupy.linalg."""
    names = ("cholesky", "det", "eigh", "eigvalsh", "inv", "slogdet", "svd")
    found = {name: of_one(name) for name in names}
    return types.SimpleNamespace(**found, qr=qr, solve=solve, LinAlgError=np.linalg.LinAlgError)
