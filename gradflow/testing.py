"""Helpers for tests: `assert_close` and `make_tensor`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .autograd.value import Value, host_array
from .backend.dtypes import as_dtype, is_floating
from .creation import as_tensor, rand, randint
from .tensor import Tensor

TOLERANCES = {"float16": (1e-3, 1e-5), "bfloat16": (1.6e-2, 1e-5), "float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7)}


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """Raise AssertionError unless |actual - expected| <= atol + rtol |expected| everywhere.

    Takes tensors, arrays, numbers, None, and nested sequences and mappings of them. Without tolerances, those of
    PyTorch for the wider tolerance of both dtypes: (rtol, atol) is (1.3e-6, 1e-5) for float32, (1e-7, 1e-7) for
    float64, (1e-3, 1e-5) for float16, (1.6e-2, 1e-5) for bfloat16, (0, 0) for integers. The message says how many
    elements differ, and by how much at most, where. `msg` replaces it, or makes another of it.
    """
    if (rtol is None) != (atol is None):
        raise ValueError("[assert_close] give both rtol and atol, or neither")
    options = {
        "rtol": rtol, "atol": atol, "equal_nan": equal_nan, "device": check_device, "dtype": check_dtype,
        "stride": check_stride, "subclasses": allow_subclasses,
    }  # fmt: skip
    fault = _compare(actual, expected, "", options)
    if fault is not None:
        raise AssertionError(msg(fault) if callable(msg) else fault if msg is None else msg)


def _compare(actual: Any, expected: Any, path: str, options: dict[str, Any]) -> str | None:
    """What is wrong, or None."""
    where = f"\n\nThe failure occurred for item {path}" if path else ""
    if _is_sequence(actual) and _is_sequence(expected):
        if len(actual) != len(expected):
            return f"The length of the sequences mismatch: {len(actual)} != {len(expected)}{where}"
        pairs = [(f"{path}[{i}]", a, e) for i, (a, e) in enumerate(zip(actual, expected, strict=True))]
    elif isinstance(actual, Mapping) and isinstance(expected, Mapping):
        if set(actual) != set(expected):
            missing, more = [k for k in expected if k not in actual], [k for k in actual if k not in expected]
            return (
                "The keys of the mappings do not match:\n"
                f"Missing keys in the actual mapping: {missing}\nAdditional keys in the actual mapping: {more}{where}"
            )
        pairs = [(f"{path}[{k!r}]", actual[k], e) for k, e in expected.items()]
    else:
        fault = _compare_leaves(actual, expected, options)
        return None if fault is None else fault + where
    for place, a, e in pairs:
        fault = _compare(a, e, place, options)
        if fault is not None:
            return fault
    return None


def _is_sequence(x: Any) -> bool:
    return isinstance(x, Sequence) and not isinstance(x, (str, bytes))


def _compare_leaves(actual: Any, expected: Any, options: dict[str, Any]) -> str | None:
    if actual is None or expected is None:
        return None if actual is expected else f"None mismatch: {actual} is not {expected}"
    for x in (actual, expected):
        if not (hasattr(x, "dtype") or isinstance(x, (bool, int, float))):
            raise TypeError(f"[assert_close] cannot compare a {type(x).__name__}; give tensors, arrays or numbers")
    if not options["subclasses"] and type(actual) is not type(expected):
        raise TypeError(f"[assert_close] {type(actual).__name__} and {type(expected).__name__} are of different types")
    numbers = not (hasattr(actual, "dtype") or hasattr(expected, "dtype"))
    if numbers and isinstance(actual, bool) and isinstance(expected, bool):
        return None if actual is expected else f"Booleans mismatch: {actual} is not {expected}"
    if numbers and options["dtype"] and type(actual) is not type(expected):
        return f"The (d)types do not match: {type(actual)} != {type(expected)}."
    if not numbers:
        fault = _attributes(actual, expected, options)
        if fault is not None:
            return fault
    names = [x.dtype.name if hasattr(x, "dtype") else "float64" if isinstance(x, float) else "int64"
             for x in (actual, expected)]  # fmt: skip
    rtol, atol = options["rtol"], options["atol"]
    if rtol is None:
        given = [TOLERANCES.get(name, (0.0, 0.0)) for name in names]
        rtol, atol = max([g[0] for g in given]), max([g[1] for g in given])
    return _values(_host(actual), _host(expected), rtol, atol, options["equal_nan"])


def _attributes(actual: Any, expected: Any, options: dict[str, Any]) -> str | None:
    a, e = [x if hasattr(x, "dtype") else np.asarray(x) for x in (actual, expected)]
    ours: Any = actual
    theirs: Any = expected
    if tuple(a.shape) != tuple(e.shape):
        return f"The values for attribute 'shape' do not match: {tuple(a.shape)} != {tuple(e.shape)}."
    both = isinstance(actual, Value) and isinstance(expected, Value)
    if options["device"] and both and ours.device != theirs.device:
        return f"The values for attribute 'device' do not match: {ours.device} != {theirs.device}."
    if options["dtype"] and hasattr(actual, "dtype") and hasattr(expected, "dtype") and a.dtype != e.dtype:
        return f"The values for attribute 'dtype' do not match: {a.dtype} != {e.dtype}."
    if options["stride"] and both and ours.stride() != theirs.stride():
        return f"The values for attribute 'stride()' do not match: {ours.stride()} != {theirs.stride()}."
    return None


def _host(x: Any) -> np.ndarray:
    return host_array(x, "assert_close") if isinstance(x, Value) else np.asarray(x)


def _values(a: np.ndarray, e: np.ndarray, rtol: float, atol: float, equal_nan: bool) -> str | None:
    whole = not (is_floating(a.dtype) or is_floating(e.dtype))
    kind = ("O" if a.dtype.itemsize == 8 or e.dtype.itemsize == 8 else "i8") if whole else "f8"
    a, e = a.astype(kind), e.astype(kind)  # integers of 64 bits as Python's, whose differences are exact
    with np.errstate(all="ignore"):
        difference = np.asarray(abs(a - e))
        close = np.asarray((a == e) | (difference <= atol + rtol * abs(e)), bool)
        if not whole:
            close &= np.isfinite(e) | (a == e)
        if equal_nan and not whole:
            close |= np.isnan(a) & np.isnan(e)
        if close.all():
            return None
        relative = np.where(
            np.asarray(e == 0, bool), np.inf, difference / np.where(np.asarray(e == 0, bool), 1, abs(e))
        )
    equal = "equal" if rtol == 0 and atol == 0 else "close"
    if not a.ndim:
        return (
            f"Scalars are not {equal}!\n\nExpected {e.item()} but got {a.item()}.\n"
            f"Absolute difference: {difference.item()}{_allowed(equal, atol)}\n"
            f"Relative difference: {float(relative.item())}{_allowed(equal, rtol)}"
        )
    wrong = ~close
    lines = [f"Tensor-likes are not {equal}!", ""]
    lines.append(f"Mismatched elements: {wrong.sum()} / {a.size} ({wrong.sum() / a.size:.1%})")
    for what, found, tolerance in (("absolute", difference, atol), ("relative", relative, rtol)):
        shown = np.where(wrong, found, 0).astype("f8")
        place = tuple([int(i) for i in np.unravel_index(int(np.argmax(shown)), a.shape)])  # a NaN is the greatest
        value = found[place]
        text: float = int(value) if whole and what == "absolute" else float(value)
        lines.append(f"Greatest {what} difference: {text} at index {place}{_allowed(equal, tolerance)}")
    return "\n".join(lines)


def _allowed(equal: str, tolerance: float) -> str:
    return "" if equal == "equal" else f" (up to {tolerance} allowed)"


def make_tensor(
    *shape: Any,
    dtype: Any,
    device: Any = None,
    low: float | None = None,
    high: float | None = None,
    requires_grad: bool = False,
    noncontiguous: bool = False,
    exclude_zero: bool = False,
) -> Tensor:
    """A tensor of random numbers in [low, high): by default [-9, 9) for floats, [-9, 10) for signed integers, [0, 10)
    for unsigned ones, both values for booleans.

    noncontiguous leaves gaps in memory; exclude_zero has the smallest positive number, or 1, in place of zeros.
    """
    kind = as_dtype(dtype)
    sizes = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else tuple(shape)
    first: float
    last: float
    first, last = {"b": (0, 2), "i": (-9, 10), "u": (0, 10)}.get(kind.kind, (-9, 9))
    first, last = first if low is None else low, last if high is None else high
    if not first < last:
        raise ValueError(f"[make_tensor] low must be below high, got {first} and {last}")
    full = (*sizes[:-1], 2 * sizes[-1]) if noncontiguous and sizes else sizes
    if is_floating(kind):
        wide = rand(full, dtype=np.float64, device=device) * (last - first) + first
        made: Any = wide.to(dtype=kind)
        if exclude_zero:
            made = made + (made == 0) * (2.0**-24 if kind.itemsize == 2 else float(np.finfo(kind).tiny))
    else:
        made = randint(int(first), int(last), full, dtype=kind, device=device)
        if exclude_zero:
            made = (made + (made == 0)).to(dtype=kind)
    made = made.detach()
    if noncontiguous and sizes:
        made = as_tensor(made)[..., ::2]
    return made.requires_grad_(requires_grad)  # type: ignore[no-any-return]


__all__ = ["assert_close", "make_tensor"]
