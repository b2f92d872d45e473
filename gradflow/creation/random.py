"""Tensors of random numbers. All take a `generator`; without one, the default generator gives them."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd.value import Value, backend_under, describe, device_under, host_array, is_mapped
from ..backend.device import DeviceLike
from ..backend.dtypes import as_dtype, get_default_dtype, is_floating
from ..ops import random as rng
from ..ops.elementwise import add, astype, less, multiply
from ..typeinfo import finfo
from .constant import like
from .data import as_tensor, sizes, tensor

if TYPE_CHECKING:
    from ..tensor import Tensor

Generator = rng.Generator


def manual_seed(seed: int) -> Generator:
    """Seed the default generator: the same seed gives the same numbers on every device."""
    return rng.default_generator.manual_seed(seed)


def seed() -> int:
    """Seed the default generator with a random number, which is returned."""
    return rng.default_generator.seed()


def initial_seed() -> int:
    """The seed that the default generator began with."""
    return rng.default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """Where the default generator is, as a tensor of bytes."""
    return rng.default_generator.get_state()  # type: ignore[no-any-return]


def set_rng_state(new_state: Any) -> None:
    """Go on with the default generator from a place that `get_rng_state` told."""
    rng.default_generator.set_state(new_state)


def _floats(
    op: str, name: str, size: tuple[int, ...], generator: Any, dtype: Any, device: Any, grad: bool, words: Any = int
) -> Tensor:  # fmt: skip
    dtype = get_default_dtype() if dtype is None else as_dtype(dtype)
    if not is_floating(dtype):
        raise TypeError(f"[{op}] makes floating numbers, got dtype={dtype}")
    value = rng.draw(op, name, size, device, generator, words, dtype=dtype)
    return value.requires_grad_() if grad else value  # type: ignore[no-any-return]


def rand(
    *shape: Any, size: Any = None, generator: Generator | None = None, dtype: Any = None, device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Uniform in [0, 1)."""
    return _floats("rand", "random_uniform", sizes("rand", shape, size), generator, dtype, device, requires_grad)


def randn(
    *shape: Any, size: Any = None, generator: Generator | None = None, dtype: Any = None, device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Standard normal."""
    full = sizes("randn", shape, size)
    return _floats("randn", "random_normal", full, generator, dtype, device, requires_grad, rng.normal_words)


def randint(
    low: Any = 0, high: Any = None, size: Any = None, *, generator: Generator | None = None, dtype: Any = np.int64,
    device: DeviceLike = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Integers in [low, high), of 64 bits; randint(high, size) starts at 0. ValueError where dtype cannot hold them."""
    if size is None:  # randint(high, size)
        low, high, size = 0, low, high
    elif high is None:  # randint(high, size=...)
        low, high = 0, low
    if size is None:
        raise TypeError("[randint] needs a size, as in randint(high, (2, 3))")
    low, high, kind = index(low), index(high), as_dtype(dtype)
    if not -(2**63) <= low < high < 2**63:
        raise ValueError(f"[randint] needs -2**63 <= low < high < 2**63, got {low} and {high}")
    _check_range("randint", low, high - 1, kind)
    value = rng.draw(
        "randint", "random_integers", sizes("randint", (size,)), device, generator, low=low, span=high - low
    )
    value = _integers(value, kind)
    return value.requires_grad_() if requires_grad else value


def _check_range(op: str, least: int, greatest: int, dtype: np.dtype) -> None:
    """ValueError where the dtype does not reach so far."""
    info: Any = finfo(dtype) if is_floating(dtype) else np.iinfo(dtype) if dtype.kind != "b" else None
    low, high = (0, 1) if info is None else (info.min, info.max)
    if not low <= least <= greatest <= high:
        raise ValueError(f"[{op}] integers from {least} to {greatest} do not fit into {dtype}")


def _integers(value: Any, dtype: np.dtype) -> Tensor:
    return value if value.dtype == dtype else astype(value, dtype=dtype)  # type: ignore[no-any-return]


def randperm(n: int, *, generator: Generator | None = None, dtype: Any = np.int64, device: DeviceLike = None) -> Tensor:
    """The integers 0 to n - 1 in random order. ValueError where dtype cannot hold them."""
    shape, kind = sizes("randperm", (n,)), as_dtype(dtype)
    _check_range("randperm", 0, max(shape[0] - 1, 0), kind)
    return _integers(rng.draw("randperm", "random_permutation", shape, device, generator), kind)


def rand_like(
    input: Any, *, generator: Generator | None = None, dtype: Any = None, device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Uniform in [0, 1), of input's shape, dtype and device."""
    kind = like("rand_like", input, dtype, device)
    return rand(input.shape, generator=generator, requires_grad=requires_grad, **kind)


def randn_like(
    input: Any, *, generator: Generator | None = None, dtype: Any = None, device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Standard normal, of input's shape, dtype and device."""
    kind = like("randn_like", input, dtype, device)
    return randn(input.shape, generator=generator, requires_grad=requires_grad, **kind)


def randint_like(
    input: Any, low: Any, high: Any = None, *, generator: Generator | None = None, dtype: Any = None,
    device: DeviceLike = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Integers in [low, high), or [0, low) where only one bound is named, of input's shape, dtype and device."""
    low, high = (0, low) if high is None else (low, high)
    kind = like("randint_like", input, dtype, device)
    return randint(low, high, tuple(input.shape), generator=generator, requires_grad=requires_grad, **kind)


# -- other distributions -----------------------------------------------------------------------------------------------


def _check_tensor(op: str, x: Any) -> None:
    if not isinstance(x, Value):
        raise TypeError(f"[{op}] expected a tensor, got {type(x).__name__}")


def _on_cpu(x: Any) -> bool:
    """Whether looking at x's numbers costs nothing: elsewhere it would wait for the device."""
    return not is_mapped(x) and backend_under(x).array_type is np.ndarray


def chances(op: str, p: Any, shape: tuple[int, ...], generator: Generator | None) -> Any:
    """Booleans that are true with probability p, a number or a tensor of that shape. ValueError where p is none."""
    if not isinstance(p, Value):
        if not 0 <= p <= 1:
            raise ValueError(f"[{op}] p must be a probability, got {p}")
        raise TypeError(f"[{op}] expected a tensor of probabilities, got {p!r}")
    if not is_floating(p.dtype):
        raise TypeError(f"[{op}] expected floating probabilities, got {describe(p)}")
    if _on_cpu(p) and p.size_:
        held = host_array(p, op)
        if not ((held >= 0) & (held <= 1)).all():
            raise ValueError(f"[{op}] probabilities must be in [0, 1], got {held.min()} to {held.max()}")
    dtype = p.dtype if p.dtype.itemsize == 8 else np.dtype("f4")
    u = rng.draw(op, "random_uniform", shape, device_under(p), generator, dtype=dtype)
    return less(u, p.detach())  # type: ignore[attr-defined]


def bernoulli(input: Any, p: float | None = None, *, generator: Generator | None = None) -> Tensor:
    """1 with the probability that each element says (or with probability p everywhere), else 0, in input's dtype.

    ValueError for what is no probability; on a GPU that is not looked at.
    """
    _check_tensor("bernoulli", input)
    if p is not None:
        if not 0 <= p <= 1:
            raise ValueError(f"[bernoulli] p must be a probability, got {p}")
        u = rng.draw("bernoulli", "random_uniform", tuple(input.shape), input.device, generator, dtype=np.dtype("f8"))
        return astype(less(u, p), dtype=input.dtype)  # type: ignore[no-any-return]
    return astype(chances("bernoulli", input, tuple(input.shape), generator), dtype=input.dtype)  # type: ignore[no-any-return]


def multinomial(
    input: Any, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Indices drawn with probabilities in proportion to weights: (categories,) or (rows, categories) -> (...,
    num_samples) int64. Computed on the host.

    Raises ValueError where weights are negative or not finite, a row has none, or, without replacement, fewer than
    num_samples that are not 0.
    """
    _check_tensor("multinomial", input)
    if not is_floating(input.dtype) or input.ndim not in (1, 2) or not input.shape[-1]:
        raise ValueError(f"[multinomial] expected weights (categories,) or (rows, categories), got {describe(input)}")
    weights = host_array(input, "multinomial").astype("f8")
    count, categories = index(num_samples), weights.shape[-1]
    if count <= 0:
        raise ValueError(f"[multinomial] num_samples must be positive, got {count}")
    if not (np.isfinite(weights) & (weights >= 0)).all():
        raise ValueError("[multinomial] weights must be finite and not negative")
    rows = weights.reshape(-1, categories)
    if not (rows.sum(1) > 0).all():
        raise ValueError("[multinomial] a row of weights has a sum of 0")
    least = int((rows > 0).sum(1).min(initial=categories))
    if not replacement and count > least:
        raise ValueError(
            f"[multinomial] cannot draw {count} of {least} categories without replacement (weights that are 0 do not "
            "count); pass replacement=True"
        )
    words = (len(rows), count) if replacement else rows.shape
    u = rng.draw("multinomial", "random_uniform", words, "cpu", generator, dtype=np.dtype("f8"))
    draws = host_array(u, "multinomial")
    if replacement:
        sums = rows.cumsum(1)
        sums /= sums[:, -1:]
        found = np.stack([np.searchsorted(s, d, side="right") for s, d in zip(sums, draws, strict=True)])
        last = categories - 1 - (rows[:, ::-1] > 0).argmax(1)  # where rounding leaves the last sum below a draw
        found = np.minimum(found, last[:, None])
    else:  # the first arrivals of exponential clocks: Efraimidis and Spirakis, 2006
        with np.errstate(divide="ignore"):
            arrivals = np.where(rows > 0, -np.log1p(-draws) / np.where(rows > 0, rows, 1), np.inf)
        found = np.argsort(arrivals, axis=1, kind="stable")[:, :count]
    return tensor(found.reshape(*weights.shape[:-1], count).astype("i8"), device=input.device)


def normal(
    mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None, dtype: Any = None,
    device: DeviceLike = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Normal with the means and standard deviations given: tensors, broadcast, or two numbers and a size.

    The result has no history. ValueError where a standard deviation is negative (on a GPU, tensors are not looked at).
    """
    parts = [v for v in (mean, std) if isinstance(v, Value)]
    if not isinstance(std, Value) and not std >= 0:
        raise ValueError(f"[normal] std must not be negative, got {std}")
    if not parts:
        if size is None:
            raise TypeError("[normal] needs a size where mean and std are numbers")
        z: Any = randn(size, generator=generator, dtype=dtype, device=device)
        z = add(multiply(z, std), mean)
        return z.requires_grad_() if requires_grad else z  # type: ignore[no-any-return]
    if size is not None or dtype is not None or device is not None:
        raise TypeError("[normal] tensors give the size, dtype and device; none can be named beside them")
    for v in parts:
        if not is_floating(v.dtype):
            raise TypeError(f"[normal] expected floating means and standard deviations, got {describe(v)}")
    if isinstance(std, Value) and _on_cpu(std) and (host_array(std, "normal") < 0).any():
        raise ValueError("[normal] standard deviations must not be negative")
    mean, std = [v.detach() if isinstance(v, Value) else v for v in (mean, std)]  # type: ignore[attr-defined]
    try:
        shape = np.broadcast_shapes(*[tuple(v.shape) for v in parts])
    except ValueError:
        raise ValueError(
            f"[normal] the shapes do not broadcast (mean {tuple(mean.shape)}, std {tuple(std.shape)})"
        ) from None
    first: Any = parts[0]
    z = randn(shape, generator=generator, dtype=first.dtype, device=first.device)
    z = add(multiply(z, std), mean)
    return z.requires_grad_() if requires_grad else z  # type: ignore[no-any-return]


def poisson(input: Any, generator: Generator | None = None) -> Tensor:
    """Poisson numbers with the rates given, in input's shape and dtype. Drawn on the host, by NumPy's algorithm."""
    _check_tensor("poisson", input)
    if not is_floating(input.dtype):
        raise TypeError(f"[poisson] expected floating rates, got {describe(input)}")
    rates = host_array(input, "poisson").astype("f8")
    if not ((rates >= 0) & (rates < 9e18)).all():
        raise ValueError(f"[poisson] rates must be from 0 to 9e18, got {rates.min()} to {rates.max()}")
    key = rng.bits((generator or rng.default_generator).key(2), 2)
    drawn = np.random.Generator(np.random.Philox(key=key)).poisson(rates)
    return as_tensor(np.asarray(drawn).astype(input.dtype), device=input.device)


__all__ = [
    "bernoulli", "get_rng_state", "initial_seed", "manual_seed", "multinomial", "normal", "poisson", "rand",
    "rand_like", "randint", "randint_like", "randn", "randn_like", "randperm", "seed", "set_rng_state",
]  # fmt: skip
