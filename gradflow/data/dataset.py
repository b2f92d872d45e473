"""Data sets: samples by number or one after the other, parts of them, and several as one."""

from __future__ import annotations

import math
import warnings
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from ..autograd.tape import MAIN
from ..autograd.value import Value
from ..backend.base import Device
from ..backend.device import DeviceLike, parse_device
from ..creation import as_tensor, from_numpy, randperm
from ..ops.random import Generator
from ..tensor import Tensor
from .errors import DataError


class Dataset:
    """Samples by number: `len(dataset)` of them, `dataset[i]` is one. Subclasses define `__len__` and `__getitem__`.

    One that can gather many samples at once defines `__getitems__(indices)` too, which is given a NumPy array of
    integers (int64 (b,); on a device where the data set has a `device`, a Tensor there) and returns a whole batch,
    collated: (images, labels), say. Where it returns a list, that is taken for samples, which the loader collates.
    """

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError(f"[{type(self).__name__}] a data set defines __getitem__")

    def __add__(self, other: Dataset) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset):
    """Samples one after the other: subclasses define `__iter__`, and `__len__` where their number is known."""

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"[{type(self).__name__}] an iterable data set defines __iter__")

    def __add__(self, other: Dataset) -> ConcatDataset:
        raise TypeError("[IterableDataset] cannot be concatenated by +; chain the iterators in an __iter__ of your own")


class TensorDataset(Dataset):
    """Rows of tensors and NumPy arrays of one length: sample i is `(tensors[0][i], tensors[1][i], ...)`.

    On the host, or wherever the tensors are: `.to("cuda")` keeps them on the GPU, and batches are gathered there.
    Raises DataError where lengths differ or tensors are on different devices, TypeError for what is no tensor or array.
    """

    def __init__(self, *tensors: Tensor | np.ndarray) -> None:
        strange = [type(t).__name__ for t in tensors if not isinstance(t, (Tensor, np.ndarray))]
        if strange:
            raise TypeError(
                f"[TensorDataset] expected Tensors and arrays, got {strange[0]}; make it one with gf.tensor"
            )
        if not tensors or any([t.ndim == 0 or t.shape[0] != tensors[0].shape[0] for t in tensors]):
            shapes = ", ".join([str(tuple(t.shape)) for t in tensors]) or "none"
            raise DataError(f"[TensorDataset] expected tensors with one first dimension, got {shapes}")
        places = {t.device if isinstance(t, Tensor) else parse_device("cpu") for t in tensors}
        if len(places) > 1:
            names = ", ".join(sorted(map(str, places)))
            raise DataError(f"[TensorDataset] the tensors are on different devices ({names}); move them with .to()")
        self.tensors = tensors
        self.device: Device = places.pop()

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        return tuple([t[index] for t in self.tensors])

    def __getitems__(self, indices: Any) -> tuple[Any, ...]:
        """The rows of many indices: arrays of arrays, and tensors of tensors."""
        return tuple([rows(t, indices) for t in self.tensors])

    def to(self, device: DeviceLike) -> TensorDataset:
        """The same data set with all its tensors on a device; arrays become tensors."""
        return TensorDataset(*[as_tensor(t, device=device) for t in self.tensors])


def rows(source: Any, indices: Any) -> Any:
    """source[indices] along the first axis, a copy: of an array an array, of a tensor a tensor on its device.

    On the host by NumPy alone, so that worker threads may call it, unless the tensor requires grad.
    """
    if isinstance(source, np.ndarray):
        taken = np.asarray(source[np.asarray(indices)])
        return taken if taken.dtype.isnative else taken.astype(taken.dtype.newbyteorder("="))
    if source.level is MAIN and type(source.below) is np.ndarray and not source.requires_grad:
        return from_numpy(source.below[np.asarray(indices)])
    return source[indices if isinstance(indices, Value) else as_tensor(np.asarray(indices), device=source.device)]


class Subset(Dataset):
    """The samples of `dataset` that `indices`, integers, name, in their order. Raises TypeError for other indices."""

    def __init__(self, dataset: Any, indices: Sequence[int] | np.ndarray | Tensor) -> None:
        chosen = indices.numpy() if isinstance(indices, Tensor) else np.asarray(indices)
        if chosen.size == 0:
            chosen = chosen.astype(np.int64)
        if chosen.ndim != 1 or chosen.dtype.kind not in "iu":
            raise TypeError(
                f"[Subset] indices are a sequence of integers, got {chosen.dtype} of shape {chosen.shape}"
                + ("; np.flatnonzero(mask) gives those of a mask" if chosen.dtype.kind == "b" else "")
            )
        self.dataset = dataset
        self.indices: np.ndarray = chosen.astype(np.int64, copy=False)
        self._there: Tensor | None = None  # the indices on the data set's device

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[int(self.indices[index])]

    def __getitems__(self, indices: Any) -> Any:
        """A whole batch where the data set can gather one, else a list of samples."""
        if isinstance(indices, Value):
            if self._there is None:
                self._there = as_tensor(self.indices, device=self.device)
            chosen = self._there[indices]
        else:
            chosen = self.indices[indices]
        gather = gather_of(self.dataset)
        return [self.dataset[i] for i in chosen.tolist()] if gather is None else gather(chosen)

    @property
    def device(self) -> Device | None:
        """Where the data set keeps its samples; None where it does not say."""
        place = getattr(self.dataset, "device", None)
        return place if isinstance(place, Device) else None

    def to(self, device: DeviceLike) -> Subset:
        """The same part of `dataset.to(device)`."""
        return Subset(self.dataset.to(device), self.indices)


class ConcatDataset(Dataset):
    """The samples of several data sets, one set after the other. Raises ValueError for none and for iterable ones."""

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("[ConcatDataset] expected data sets, got none")
        if any([isinstance(d, IterableDataset) for d in self.datasets]):
            raise ValueError("[ConcatDataset] iterable data sets cannot be concatenated: they have no numbered samples")
        self.cumulative_sizes = list(accumulate([len(d) for d in self.datasets]))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> Any:
        if not -len(self) <= index < len(self):
            raise IndexError(f"[ConcatDataset] index {index} is out of range for {len(self)} samples")
        index %= len(self)
        part = bisect_right(self.cumulative_sizes, index)
        return self.datasets[part][index - (self.cumulative_sizes[part - 1] if part else 0)]


def gather_of(dataset: Any) -> Callable[[Any], Any] | None:
    """The `__getitems__` of a data set, None where it has none.

    None too where a subclass has defined `__getitem__` anew, and not `__getitems__`: that would pass it by.
    """
    for kind in type(dataset).__mro__:
        if "__getitems__" in vars(kind):
            found = dataset.__getitems__
            return found if callable(found) else None
        if "__getitem__" in vars(kind):
            break
    return None


def random_split(dataset: Any, lengths: Sequence[int | float], generator: Generator | None = None) -> list[Subset]:
    """Parts of a data set, without overlap, drawn at random: of the `lengths` given, or of shares that add to 1.

    Shares are rounded down, and what remains goes to the parts one by one. Raises ValueError where the lengths do not
    add up; warns of empty parts.
    """
    count, sizes = len(dataset), list(lengths)
    total = math.fsum(sizes)
    if math.isclose(total, 1) and total <= 1:
        if any([not 0 <= share <= 1 for share in sizes]):
            raise ValueError(f"[random_split] shares lie between 0 and 1, got {sizes}")
        sizes = [math.floor(count * share) for share in sizes]
        for i in range(count - int(sum(sizes))):
            sizes[i % len(sizes)] += 1
        for i, size in enumerate(sizes):
            if size == 0:
                warnings.warn(f"[random_split] part {i} is empty", stacklevel=2)
    if sum(sizes) != count or any([size != int(size) or size < 0 for size in sizes]):
        raise ValueError(f"[random_split] the lengths {sizes} do not add up to the {count} samples of the data set")
    order = randperm(count, generator=generator, device="cpu").numpy()
    ends = [0, *accumulate([int(size) for size in sizes])]
    return [Subset(dataset, order[a:b]) for a, b in pairwise(ends)]
