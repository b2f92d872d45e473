"""Kernel cases: a computation, what it is given, and how near the array code its kernel must come."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import numpy as np

from gradflow.autograd.primitive import PRIMITIVES, raw_over
from gradflow.backend import get_backend, kernels
from gradflow.backend.dtypes import as_dtype, is_floating
from gradflow.backend.kernels import Declined

DTYPES = ("f4", "f8", "f2", *(["bfloat16"] if find_spec("ml_dtypes") else []))
TOLERANCE = {"f4": 2e-6, "f8": 2e-14, "f2": 2e-3, "bfloat16": 1.6e-2}
"""Largest difference, relative to the largest expected number (or 1): a few roundings of the dtype."""

DEVICES = tuple((os.environ.get("GRADFLOW_TEST_DEVICES") or "emulated").split(","))


@dataclass(frozen=True)
class KernelCase:
    """One call of a computation. Floats in `args` (given in float64) are cast to the dtype under test.

    specials   whether NaN and infinities may be put into the floats
    layouts    whether other memory layouts of the operands make sense
    exact      whether the result must have the bits of the array code in the same dtype
    """

    id: str
    name: str
    args: tuple[Any, ...]
    static: dict[str, Any]
    dtypes: tuple[str, ...] = DTYPES
    tolerance: dict[str, float] = field(default_factory=dict)
    specials: bool = True
    layouts: bool = True
    exact: bool = False

    def __repr__(self) -> str:
        return self.id

    def limit(self, dtype: str) -> float:
        return self.tolerance.get(dtype, TOLERANCE[dtype])


def kernel_case(
    name: str,
    *args: Any,
    id: str = "",
    dtypes: Sequence[str] = DTYPES,
    tolerance: dict[str, float] | None = None,
    specials: bool = True,
    layouts: bool = True,
    exact: bool = False,
    **static: Any,
) -> KernelCase:
    """A case; tuples among `args` are shapes, to be filled with standard normal numbers."""
    made = tuple([randoms(a, name, i) if isinstance(a, tuple) else a for i, a in enumerate(args)])
    shapes = "-".join(["x".join(map(str, a.shape)) or "0d" if hasattr(a, "shape") else str(a) for a in made])
    statics = ",".join([f"{k}={v}" for k, v in static.items()])
    label = id or f"{name}-{shapes}-{statics}".replace(" ", "")
    there = tuple([d for d in dtypes if d in DTYPES])
    return KernelCase(label, name, made, static, there, tolerance or {}, specials, layouts, exact)


def randoms(shape: tuple[int, ...], name: str = "", i: int = 0) -> np.ndarray:
    """Standard normal numbers that depend on the arguments alone."""
    rng = np.random.default_rng(zlib.crc32(f"{name} {shape} {i}".encode()))
    return np.asarray(rng.standard_normal(shape))


def rounded(case: KernelCase, dtype: str) -> list[Any]:
    """The case's operands on the host, floats in `dtype`."""
    return [
        a.astype(as_dtype(dtype)) if isinstance(a, np.ndarray) and is_floating(a.dtype) else a for a in case.args
    ]  # fmt: skip


def reference(case: KernelCase, operands: Sequence[Any], wide: bool = True) -> list[np.ndarray]:
    """What the array code makes of host operands: in float64, or in their own dtype."""
    given = [
        a.astype("f8") if wide and isinstance(a, np.ndarray) and is_floating(a.dtype) else a for a in operands
    ]  # fmt: skip
    prim, raw = PRIMITIVES[case.name], raw_over(get_backend("cpu"))
    with np.errstate(all="ignore"):
        out = prim.formula(raw, *given, **case.static) if prim.formula else prim.body(np, *given, **case.static)
    return [np.asarray(o) for o in flat(out)]


def launch(case: KernelCase, operands: Sequence[Any], device: str, place: Any = None) -> list[np.ndarray]:
    """What the kernel makes of them; fails where it declines."""
    backend = get_backend(device)
    put = place or backend.from_host
    given = [put(a) if isinstance(a, np.ndarray) else a for a in operands]
    out = backend.kernels[case.name](*given, **case.static)
    assert not isinstance(out, Declined), f"{case.name} declined: {out.reason}"
    return [backend.to_host(o) for o in flat(out)]


def flat(out: Any) -> list[Any]:
    """The arrays of a result, without what is None."""
    if isinstance(out, tuple):
        return [a for part in out for a in flat(part)]
    return [] if out is None else [out]


def compare(case: KernelCase, found: Sequence[Any], expected: Sequence[Any], dtype: str, what: str = "") -> None:
    """Every output equal within the case's tolerance, NaN and infinities at the same places, integers exactly."""
    assert len(found) == len(expected), f"{case} {what}: {len(found)} outputs, expected {len(expected)}"
    for k, (a, b) in enumerate(zip(found, expected, strict=True)):
        where = f"{case} {what} output {k}"
        assert a.shape == b.shape, f"{where}: shape {a.shape}, expected {b.shape}"
        if not is_floating(a.dtype):
            assert np.array_equal(a, b), f"{where}:\n{a}\nexpected\n{b}"
            continue
        if is_floating(b.dtype) and dtype in ("f2", "f4"):
            with np.errstate(over="ignore"):
                b = b.astype(as_dtype(dtype))  # what overflows the dtype is infinite
        a, b = a.astype("f8"), b.astype("f8")
        assert np.array_equal(np.isnan(a), np.isnan(b)), f"{where}: NaN elsewhere\n{a}\nexpected\n{b}"
        infinite = np.isinf(a) | np.isinf(b)
        assert np.array_equal(a[infinite], b[infinite]), f"{where}: infinities elsewhere\n{a}\nexpected\n{b}"
        fine = ~(infinite | np.isnan(a))
        if fine.any():
            off, scale = np.abs(a[fine] - b[fine]).max(), max(np.abs(b[fine]).max(), 1.0)
            assert off <= case.limit(dtype) * scale, f"{where}: off by {off / scale:.2e}\n{a}\nexpected\n{b}"


def layouts_of(backend: Any) -> Iterator[tuple[str, Any]]:
    """Ways to put a host array on a device: strided, channels last in memory, and at an odd address."""

    def strided(a: np.ndarray) -> Any:
        if not a.ndim:
            return backend.from_host(a)
        wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
        wide[..., ::2] = a
        return backend.from_host(wide)[..., ::2]

    def transposed(a: np.ndarray) -> Any:
        if a.ndim < 2:
            return backend.from_host(a)
        order = (0, *range(2, a.ndim), 1) if a.ndim > 2 else (1, 0)
        return backend.from_host(np.ascontiguousarray(a.transpose(order))).transpose(np.argsort(order).tolist())

    def misaligned(a: np.ndarray) -> Any:
        flat = np.zeros(a.size + 1, a.dtype)
        flat[1:] = a.ravel()
        return backend.from_host(flat)[1:].reshape(a.shape)

    yield from (("strided", strided), ("channels last", transposed), ("misaligned", misaligned))


def with_specials(operands: Sequence[Any], case: KernelCase) -> list[Any]:
    """The operands with NaN, inf and -inf at a few places of every floating one."""
    out = []
    for i, a in enumerate(operands):
        if isinstance(a, np.ndarray) and is_floating(a.dtype) and a.size:
            a = a.copy()
            rng = np.random.default_rng(zlib.crc32(f"{case.id} {i}".encode()))
            for value in (np.nan, np.inf, -np.inf):
                a.flat[rng.integers(a.size)] = value
        out.append(a)
    return out


__all__ = ["DEVICES", "KernelCase", "compare", "kernel_case", "kernels", "launch", "randoms", "reference", "rounded"]
