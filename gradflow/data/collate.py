"""Making one batch of many samples, and bringing it to a device.

Batches are made on the host as NumPy arrays, without operations on tensors: worker threads may do that, as it touches
neither a device nor the threads that those operations use.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

from ..autograd.tape import MAIN
from ..autograd.value import Value, make
from ..backend import DeviceLike
from ..backend.base import Backend
from ..backend.dtypes import check_kind
from ..creation import as_tensor, from_numpy, tensor
from ..functions import stack
from ..tensor import Tensor
from .errors import DataError


def default_collate(batch: Sequence[Any]) -> Any:
    """The samples of a batch put together, with a new first dimension, on the default device.

    Tensors are stacked (where they are), arrays and NumPy numbers become tensors of their dtype, floats float64, other
    numbers as in `gf.tensor`; strings stay a list. Mappings, tuples and lists are taken apart: of samples (x, y) comes
    [xs, ys]. Raises DataError where shapes or lengths differ, TypeError for what is none of these.
    """
    return to_device(collate(batch), None)


def default_convert(data: Any) -> Any:
    """Arrays in `data`, which may be nested in mappings, tuples and lists, copied to tensors on the default device."""
    return to_device(own(data), None)


def collate(batch: Sequence[Any]) -> Any:
    """As `default_collate`, with arrays on the host in place of those tensors that must first be moved to a device."""
    first = batch[0]
    if isinstance(first, Value):
        return _stack_tensors(batch)
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, (np.ndarray, np.generic)):
        check_kind("default_collate", first.dtype)
        return _stack(batch)
    if isinstance(first, float):
        return np.array(batch, np.float64)
    if isinstance(first, int):
        return np.asarray(tensor(list(batch), device="cpu"))
    if isinstance(first, Mapping):
        _check_alike(batch, Mapping)
        missing = [key for key in first if not all([key in sample for sample in batch])]
        if missing:
            raise DataError(f"[default_collate] {missing[0]!r} is in the first sample of a batch and not in all others")
        return _mapping(first, {key: collate([sample[key] for sample in batch]) for key in first})
    if isinstance(first, Sequence):
        _check_alike(batch, (Sequence, np.ndarray, Value))
        lengths = {len(sample) for sample in batch}
        if len(lengths) > 1:
            raise DataError(f"[default_collate] samples of {sorted(lengths)} parts do not make a batch")
        parts = [collate(part) for part in zip(*batch, strict=True)]
        return parts if type(first) is tuple else _sequence(first, parts)
    raise TypeError(
        f"[default_collate] samples are made of tensors, arrays, numbers, strings, mappings and sequences; "
        f"found {type(first).__name__}, for which a collate_fn is needed"
    )


def _check_alike(batch: Sequence[Any], kinds: Any) -> None:
    strange = [type(sample).__name__ for sample in batch if not isinstance(sample, kinds)]
    if strange:
        raise DataError(
            f"[default_collate] samples of {type(batch[0]).__name__} and {strange[0]} do not make a batch; "
            "make them alike or give a collate_fn"
        )


def _stack(arrays: Sequence[Any]) -> np.ndarray:
    try:
        return _native(np.stack(arrays))
    except ValueError:
        raise _ragged(arrays) from None


def _stack_tensors(tensors: Sequence[Any]) -> Any:
    if all([isinstance(t, Tensor) and _plain(t) for t in tensors]):
        return from_numpy(_stack([t.below for t in tensors]))
    if len({_shape(t) for t in tensors}) > 1:
        raise _ragged(tensors)
    return stack(tensors)


def _plain(value: Any) -> bool:
    """Whether a tensor is an array on the host and no more."""
    return value.level is MAIN and type(value.below) is np.ndarray and not value.requires_grad


def _ragged(samples: Sequence[Any]) -> DataError:
    shapes = ", ".join(sorted({str(_shape(sample)) for sample in samples}))
    return DataError(f"[default_collate] samples of shapes {shapes} do not stack; make them equal or give a collate_fn")


def _shape(sample: Any) -> tuple[int, ...]:
    return tuple(sample.shape) if isinstance(sample, Value) else np.shape(sample)


# -- nested data ---------------------------------------------------------------------------------------------------


def nested(data: Any, leaf: Callable[[Any], Any]) -> Any:
    """`data` with leaf(x) for every x in it that is no mapping, tuple or list."""
    if isinstance(data, Mapping):
        return _mapping(data, {key: nested(value, leaf) for key, value in data.items()})
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _sequence(data, [nested(d, leaf) for d in data])
    return leaf(data)


def _mapping(like: Any, items: dict[Any, Any]) -> Any:
    """A mapping of the type of another, which may have more to it than its items."""
    try:
        if isinstance(like, MutableMapping):
            clone = copy.copy(like)
            clone.update(items)
            return clone
        return type(like)(items)  # type: ignore[call-arg]
    except TypeError:
        return items


def _sequence(like: Any, items: list[Any]) -> Any:
    """A sequence of the type of another; a list where that type cannot be made of items."""
    if isinstance(like, tuple):
        return type(like)(*items) if hasattr(like, "_fields") else tuple(items)
    try:
        if isinstance(like, MutableSequence):
            clone = copy.copy(like)
            clone[:] = items
            return clone
        return type(like)(items)  # type: ignore[call-arg]
    except TypeError:
        return items


# -- to the device -------------------------------------------------------------------------------------------------


class Pinned:
    """An array in pinned memory, from where it is copied to a device without another copy on the host."""

    __slots__ = ("array",)

    def __init__(self, array: np.ndarray) -> None:
        self.array = array


def own(data: Any) -> Any:
    """Nested data with copies of its arrays, so that tensors may share their memory."""
    return nested(data, lambda x: np.array(_native(x)) if _is_numbers(x) else x)


def pinned(data: Any, backend: Backend, tensors: bool) -> Any:
    """Nested data with copies in pinned memory of its arrays, and of its tensors on the host where these will move."""

    def leaf(x: Any) -> Any:
        if tensors and isinstance(x, Tensor) and _plain(x):
            x = x.below
        if not _is_numbers(x):
            return x
        return Pinned(backend.pinned(x))

    return nested(data, leaf)


def to_device(data: Any, device: DeviceLike, backend: Backend | None = None) -> Any:
    """Nested data with tensors in place of arrays, whose memory they take over on the CPU.

    All on `device`; where that is None, tensors stay where they are and arrays go to the default device.
    """

    def leaf(x: Any) -> Any:
        if isinstance(x, Value):
            return x if device is None else x.to(device)  # type: ignore[attr-defined]
        if isinstance(x, Pinned):
            assert backend is not None
            return make(backend.from_pinned(x.array), MAIN)
        return as_tensor(x, device=device) if _is_numbers(x) else x

    return nested(data, leaf)


def _native(array: np.ndarray) -> np.ndarray:
    """The array in this machine's byte order, the only one that tensors have."""
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _is_numbers(x: Any) -> bool:
    """Whether x is an array that a tensor can hold."""
    if not isinstance(x, np.ndarray):
        return False
    try:
        check_kind("collate", x.dtype)
    except TypeError:
        return False
    return True
