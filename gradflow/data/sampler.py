"""Samplers: in which order a data set's samples come, and how they are divided into batches.

Random ones draw from `generator`, or from the default one, on the host: the same seed gives the same order everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from itertools import islice
from typing import Any, Generic, TypeVar, cast

import numpy as np

from ..creation import as_tensor, multinomial, randint, randperm
from ..ops.random import Generator
from ..tensor import Tensor

T = TypeVar("T", covariant=True)


class Sampler(Generic[T]):
    """What a data loader takes indices from, or lists of them: subclasses define `__iter__` and, best, `__len__`."""

    def __iter__(self) -> Iterator[T]:
        raise NotImplementedError(f"[{type(self).__name__}] a sampler defines __iter__")


class SequentialSampler(Sampler[int]):
    """0, 1, 2, ..."""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class ShuffledSampler(SequentialSampler):
    """All indices in an order that follows from `seed` and `epoch` alone: what `DataLoader(shuffle=True)` uses."""

    def __init__(self, data_source: Sized, seed: int, epoch: int = 0) -> None:
        super().__init__(data_source)
        self.seed, self.epoch = seed, epoch

    def order(self) -> np.ndarray:
        """The indices, int64 (n,)."""
        return np.random.default_rng((self.seed, self.epoch)).permutation(len(self.data_source))

    def __iter__(self) -> Iterator[int]:
        return iter(self.order().tolist())


class RandomSampler(Sampler[int]):
    """The indices in random order; with `replacement`, or where more are asked for than there are, some come again.

    `num_samples` is their number, by default that of the data set. Raises ValueError where it is not positive.
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        _check_bool("RandomSampler", "replacement", replacement)
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.generator = generator
        _check_count("RandomSampler", "num_samples", self.num_samples)

    @property
    def num_samples(self) -> int:
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        count, wanted = len(self.data_source), self.num_samples
        generator = self.generator
        if generator is None:  # one draw, whatever is drawn from the default generator before the epoch ends
            generator = Generator(int(randint(0, 2**63 - 1, (1,), device="cpu").item()))
        if not count:
            raise ValueError(f"[RandomSampler] cannot draw {wanted} samples from an empty data set")
        if self.replacement:
            yield from randint(count, (wanted,), generator=generator, device="cpu").tolist()
            return
        while wanted > 0:
            yield from randperm(count, generator=generator, device="cpu").tolist()[:wanted]
            wanted -= count

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """The `indices` in random order."""

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        for i in randperm(len(self.indices), generator=self.generator, device="cpu").tolist():
            yield self.indices[i]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """`num_samples` of the indices 0 to len(weights) - 1, drawn with probabilities in proportion to the weights.

    The weights need not add up to 1. Without `replacement` no index comes twice.
    """

    def __init__(
        self,
        weights: Sequence[float] | np.ndarray | Tensor,
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        _check_count("WeightedRandomSampler", "num_samples", num_samples)
        _check_bool("WeightedRandomSampler", "replacement", replacement)
        self.weights: Tensor = as_tensor(weights, dtype=np.float64, device="cpu")
        if self.weights.ndim != 1:
            raise ValueError(f"[WeightedRandomSampler] weights are one-dimensional, got {tuple(self.weights.shape)}")
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        drawn = multinomial(self.weights, self.num_samples, self.replacement, generator=self.generator)
        return iter(drawn.tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler["list[int]"]):
    """Lists of `batch_size` indices that a sampler gives; with `drop_last` without the last, where that is shorter."""

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        _check_count("BatchSampler", "batch_size", batch_size)
        _check_bool("BatchSampler", "drop_last", drop_last)
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        return chunks(iter(self.sampler), self.batch_size, self.drop_last)

    def __len__(self) -> int:
        return batches(len(cast(Sized, self.sampler)), self.batch_size, self.drop_last)


def chunks(items: Iterator[Any], size: int, drop_last: bool) -> Iterator[list[Any]]:
    """Lists of `size` items; the last one may be shorter, and is left out with `drop_last`."""
    while chunk := list(islice(items, size)):
        if drop_last and len(chunk) < size:
            return
        yield chunk


def batches(count: int, size: int, drop_last: bool) -> int:
    """How many batches of a size `count` samples make."""
    return count // size if drop_last else -(-count // size)


def _check_count(owner: str, name: str, value: Any) -> None:
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value <= 0:
        raise ValueError(f"[{owner}] {name} is a positive integer, got {value!r}")


def _check_bool(owner: str, name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"[{owner}] {name} is True or False, got {value!r}")
