"""One line of code run by gradflow and by PyTorch on generated inputs: the same values, dtypes, gradients and refusals.

@pytest.mark.parametrize("x", unary())
@pytest.mark.parametrize("name", ["exp", "log"])
def test_functions(name, x):
    same(lambda t, x: getattr(t, name)(x), x)
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pytest

import gradflow as gf

torch = pytest.importorskip("torch")
torch.set_num_threads(1)  # tensors are small, and waiting threads would slow everything else down

RTOL = {"float64": 1e-10, "float32": 2e-5, "float16": 4e-3, "bfloat16": 3e-2}
FREED = re.compile("freed by an earlier backward|through the graph a second time")
REFUSALS = (ValueError, TypeError, IndexError, RuntimeError, NotImplementedError, OverflowError, AttributeError)


def same(
    run: Callable[..., Any],
    *arrays: Any,
    grad: bool = True,
    second: bool = False,
    dtype: bool = True,
    rtol: float | None = None,
    atol: float = 1e-12,
) -> None:
    """Assert that run(t, *tensors) gives the same with t as gradflow and as torch, or is refused by both.

    What PyTorch has merely not written for a dtype ("not implemented for 'Half'") may work here.

    grad      compare the gradients of floating inputs along fixed directions; second: also those of their squares
    dtype     compare the results' dtypes
    rtol      relative tolerance, by default that of the narrowest dtype; atol: absolute tolerance
    """
    ours, theirs = _outcome(gf, _ours, run, arrays, grad, second), _outcome(torch, _theirs, run, arrays, grad, second)
    if isinstance(theirs, NotImplementedError) and "not implemented for" in str(theirs):
        return
    if isinstance(theirs, Exception) or isinstance(ours, Exception):
        assert isinstance(theirs, REFUSALS) and isinstance(ours, REFUSALS), f"gradflow: {ours!r}\ntorch: {theirs!r}"
        assert not FREED.search(f"{ours} {theirs}"), f"the test itself went backward twice: {ours!r}"
        return
    assert len(ours) == len(theirs), f"gradflow: {ours}\ntorch: {theirs}"
    for (what, a), (_, b) in zip(ours, theirs, strict=True):
        assert a.shape == b.shape, f"{what}: shape {a.shape}, torch's {b.shape}"
        if dtype:
            assert a.dtype == b.dtype, f"{what}: {a.dtype}, torch's {b.dtype}"
        if a.dtype.kind in "biu" and b.dtype.kind in "biu":
            assert np.array_equal(a, b), f"{what}:\n{a}\ntorch's:\n{b}"
            continue
        names = [v.dtype.name for v in (a, b, *arrays) if hasattr(v, "dtype") and v.dtype.name in RTOL]
        tolerance = max([RTOL[n] for n in names]) if rtol is None else rtol
        wide = [v.astype("c16" if v.dtype.kind == "c" else "f8") for v in (a, b)]
        np.testing.assert_allclose(*wide, rtol=tolerance, atol=max(atol, _rounding(b, tolerance)), err_msg=what)


def _rounding(b: np.ndarray, tolerance: float) -> float:
    """What may get lost in sums of numbers as large as those in b."""
    finite = np.abs(b[np.isfinite(b)].astype("f8"))
    return float(finite.max(initial=0.0)) * tolerance / 20


def same_each(inputs: list[Any], run: Callable[..., Any], without: str = "", plain: str = "", **options: Any) -> None:
    """`same` of each of the parametrised inputs, in one test; the report names those that differ.

    without    inputs left out; plain: inputs whose gradients are not compared
    """
    wrong = []
    for p in inputs:
        if p.id in without.split():
            continue
        try:
            same(run, *p.values, **{"grad": p.id not in plain.split(), **options})
        except AssertionError as error:
            wrong.append(f"{p.id}: {error}")
    assert not wrong, "\n".join(wrong)


def every(names: Iterable[str], inputs: list[Any], left_out: Mapping[str, str]) -> list[Any]:
    """Every name with every input, but for those that are left out."""
    return [
        pytest.param(name, *given.values, id=f"{name}-{given.id}")
        for name in names
        for given in inputs
        if given.id not in left_out.get(name, "").split()
    ]


def _ours(array: Any) -> Any:
    return gf.from_numpy(array) if isinstance(array, np.ndarray) else array


def _theirs(array: Any) -> Any:
    return torch.from_numpy(array) if isinstance(array, np.ndarray) else array


def _outcome(t: Any, make: Any, run: Any, arrays: Any, grad: bool, second: bool) -> Any:
    xs = [make(a.copy() if isinstance(a, np.ndarray) and a.base is None else a) for a in map(_plain, arrays)]
    live = [x for x in xs if grad and hasattr(x, "dtype") and x.is_floating_point()]
    for x in live:
        x.requires_grad_()
    try:
        results = list(_flat(run(t, *xs)))
        found = [(f"result {k}", _host(y)) for k, y in enumerate(results)]
        total = _total([y for y in results if hasattr(y, "requires_grad") and y.requires_grad], make)
        if live and total is not None:
            grads = t.autograd.grad(total, live, create_graph=second, allow_unused=True, materialize_grads=True)
            found += [(f"gradient {i}", _host(g)) for i, g in enumerate(grads)]
            again = _total([g * g for g in grads if g.requires_grad], make) if second else None
            if again is not None:
                grads = t.autograd.grad(again, live, allow_unused=True, materialize_grads=True)
            elif second:
                grads = [t.zeros_like(x) for x in live]
            found += [(f"second derivative {i}", _host(g)) for i, g in enumerate(grads)] if second else []
    except Exception as error:
        return error
    return found


def _plain(array: Any) -> Any:
    return (
        array if isinstance(array, (np.ndarray, int, float, bool, str, tuple, list, type(None))) else np.asarray(array)
    )


def _total(ys: list[Any], make: Any) -> Any:
    total = None
    for k, y in enumerate(ys):
        rng = np.random.default_rng(zlib.crc32(repr((k, tuple(y.shape))).encode()))
        u = make(np.asarray(rng.uniform(0.5, 1.5, tuple(y.shape)))).to(y.dtype)
        part = (u * y).sum()
        total = part if total is None else total + part.to(total.dtype)
    return total


def _flat(out: Any) -> Any:
    if isinstance(out, (tuple, list)):
        for part in out:
            yield from _flat(part)
    elif out is not None:
        yield out


def _host(value: Any) -> np.ndarray:
    if not hasattr(value, "detach"):
        return np.asarray(value)
    value = value.detach()
    if str(value.dtype).endswith("bfloat16"):
        value = value.to(torch.float32 if isinstance(value, torch.Tensor) else gf.float32)
    return np.asarray(value.numpy(force=True) if isinstance(value, torch.Tensor) else value.numpy())


# -- generated inputs -----------------------------------------------------------------------------------------------

SPECIAL = np.array(
    [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, 1e-30, -1e-30, 1e30, -1e30, 0.999999]
)


def floats(*shape: int, dtype: str = "f8", seed: int = 0) -> np.ndarray:
    """Normal numbers."""
    return np.asarray(np.random.default_rng((seed, *shape)).standard_normal(shape)).astype(dtype)


def integers(*shape: int, dtype: str = "i8", seed: int = 0) -> np.ndarray:
    """Integers between -4 and 5 (from 0 for unsigned ones)."""
    low = 0 if np.dtype(dtype).kind in "bu" else -4
    return np.asarray(np.random.default_rng((seed, *shape)).integers(low, 6, shape)).astype(dtype)


def _named(**arrays: Any) -> list[Any]:
    return [pytest.param(*(v if isinstance(v, tuple) else (v,)), id=k) for k, v in arrays.items()]


def unary(integer: bool = True, special: bool = True) -> list[Any]:
    """Inputs x of one operand: dtypes, 0-d, empty, non-contiguous, and (special) NaN, infinities, big and tiny."""
    found = _named(
        float64=floats(2, 3), float32=floats(3, 4, dtype="f4"), float16=floats(3, dtype="f2"), scalar=floats(),
        empty=floats(0, 3), transposed=floats(4, 3).T, stepped=floats(6, 4)[::2, 1::2],
        expanded=np.broadcast_to(floats(1, 3), (2, 3)).copy()[:, ::-1].copy(), positive=np.abs(floats(5)) + 0.5,
        unit=np.linspace(-0.9, 0.9, 7),
    )  # fmt: skip
    if special:
        found += _named(
            special64=SPECIAL, special32=SPECIAL.astype("f4"), big=floats(4) * 1e200, tiny=floats(4) * 1e-200
        )
    if integer:
        found += _named(
            int64=integers(2, 3), int32=integers(4, dtype="i4"), int8=integers(3, dtype="i1"),
            uint8=integers(5, dtype="u1"), bool=integers(4, dtype="u1") > 2, int0d=np.asarray(3),
        )  # fmt: skip
    return found


def binary(integer: bool = True, special: bool = True) -> list[Any]:
    """Pairs of operands: broadcasting, 0-d, empty, mixed dtypes, non-contiguous, and (special) NaN, infinities."""
    found = _named(
        equal=(floats(2, 3), floats(2, 3, seed=1)), broadcast=(floats(2, 1, 3), floats(4, 1, seed=1)),
        scalar_right=(floats(2, 3, dtype="f4"), floats(seed=1)),
        scalar_left=(floats(seed=1), floats(3, dtype="f4")),
        scalars=(floats(), floats(seed=1)), empty=(floats(0, 3), floats(3, seed=1)),
        empty_one=(floats(0, 1), floats(3)),
        mixed=(floats(2, 3, dtype="f4"), floats(3, seed=1)),
        half=(floats(3, dtype="f2"), floats(3, dtype="f2", seed=1)),
        transposed=(floats(4, 3).T, floats(3, 4, seed=1)), stepped=(floats(6)[::2], floats(3, seed=1)),
        mismatched=(floats(2, 3), floats(2)), positive=(np.abs(floats(5)) + 0.5, np.abs(floats(5, seed=1)) + 0.5),
        same=(floats(3), floats(3)),
    )  # fmt: skip
    if special:
        found += _named(special=(SPECIAL[:, None].copy(), SPECIAL), special32=(SPECIAL[:, None].astype("f4"), SPECIAL))
    if integer:
        found += _named(
            int64=(integers(2, 3), integers(3, seed=1)),
            ints=(integers(3, dtype="i4"), integers(3, dtype="i2", seed=1)),
            unsigned=(integers(3, dtype="u1"), integers(3, dtype="i1", seed=1)),
            int_float=(integers(3), floats(3, dtype="f4")), float_bool=(floats(3, dtype="f4"), integers(3) > 0),
            bools=(integers(4) > 0, integers(4, seed=1) > 0), int_scalar=(integers(3, dtype="i4"), np.asarray(2)),
        )  # fmt: skip
    return found
