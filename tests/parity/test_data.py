"""The data loader, data sets and samplers against torch.utils.data: batches, lengths, types and refusals."""

from __future__ import annotations

import collections
from typing import Any

import numpy as np
import pytest
from parity.same import REFUSALS, torch

import gradflow as gf
from gradflow.utils import data as ours

theirs = pytest.importorskip("torch.utils.data")

X, Y = np.arange(22, dtype=np.float32).reshape(11, 2), np.arange(11)
Point = collections.namedtuple("Point", "x y")


def plain(value: Any) -> Any:
    """Nested lists, with the dtype of every tensor; tuples and lists count as one."""
    if isinstance(value, (gf.Tensor, torch.Tensor)):
        return str(value.dtype).removeprefix("torch."), value.tolist()
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [type(value).__name__ if hasattr(value, "_fields") else "list", *[plain(v) for v in value]]
    return type(value).__name__, None if type(value) is object else value


def outcome(run: Any, t: Any, d: Any) -> Any:
    try:
        return plain(run(t, d))
    except (*REFUSALS, AssertionError, KeyError) as error:
        return error


def same(run: Any) -> None:
    """run(library, its utils.data) gives the same, or is refused by both."""
    found, expected = outcome(run, gf, ours), outcome(run, torch, theirs)
    if isinstance(found, Exception) or isinstance(expected, Exception):
        assert isinstance(found, Exception) and isinstance(expected, Exception), (found, expected)
    else:
        assert found == expected


def tensors(t: Any) -> Any:
    return [t.as_tensor(X), t.as_tensor(Y)]


class Rows:
    def __len__(self) -> int:
        return 11

    def __getitem__(self, i: int) -> Any:
        return {"x": X[i], "y": int(Y[i]), "text": f"{i}"}


class Bulk(Rows):
    def __getitems__(self, indices: Any) -> Any:
        return [(int(i), -float(i)) for i in indices]


def stream(d: Any, count: int = 11, sized: bool = False) -> Any:
    class Stream(d.IterableDataset):  # type: ignore[name-defined, misc]
        def __iter__(self) -> Any:
            return iter(range(count))

    class Sized(Stream):
        def __len__(self) -> int:
            return count

    return Sized() if sized else Stream()


LOADERS: dict[str, Any] = {
    "one by one": lambda t, d: d.DataLoader(d.TensorDataset(*tensors(t))),
    "batches": lambda t, d: d.DataLoader(d.TensorDataset(*tensors(t)), 4),
    "drop last": lambda t, d: d.DataLoader(d.TensorDataset(*tensors(t)), 4, drop_last=True),
    "no batches": lambda t, d: d.DataLoader(Rows(), None),
    "sampler": lambda t, d: d.DataLoader(Rows(), 2, sampler=[5, 3, 1]),
    "sampler of lists": lambda t, d: d.DataLoader(
        d.TensorDataset(*tensors(t)), None, sampler=d.BatchSampler(range(9), 4, True)
    ),
    "batch sampler": lambda t, d: d.DataLoader(Rows(), batch_sampler=[[0, 1], [10]]),
    "bulk": lambda t, d: d.DataLoader(Bulk(), 3),
    "subset of bulk": lambda t, d: d.DataLoader(d.Subset(Bulk(), [4, 2, 0]), 2),
    "subset": lambda t, d: d.DataLoader(d.Subset(d.Subset(Rows(), [4, 2, 0]), [2, 1]), 2),
    "concatenated": lambda t, d: d.DataLoader(d.ConcatDataset([Rows(), d.Subset(Rows(), [3])]), 5),
    "collate_fn": lambda t, d: d.DataLoader(Rows(), 4, collate_fn=lambda s: [len(s), type(s).__name__, s[0]["y"]]),
    "list": lambda t, d: d.DataLoader([1.5, 2.5, 3.5], 2),
    "strings": lambda t, d: d.DataLoader("abc", 2, collate_fn="".join),
    "points": lambda t, d: d.DataLoader([Point(1, 2.0), Point(3, 4.0)], 2),
    "iterable": lambda t, d: d.DataLoader(stream(d), 4),
    "iterable, drop last": lambda t, d: d.DataLoader(stream(d), 4, drop_last=True),
    "iterable, no batches": lambda t, d: d.DataLoader(stream(d, 3), None),
    "iterable, sized": lambda t, d: d.DataLoader(stream(d, sized=True), 4),
    "empty": lambda t, d: d.DataLoader([], 4),
    "too few": lambda t, d: d.DataLoader([1], 4, drop_last=True),
    "ragged": lambda t, d: d.DataLoader([[1], [1, 2]], 2),
    "batch_size 0": lambda t, d: d.DataLoader(Rows(), 0),
    "batch_size -1": lambda t, d: d.DataLoader(Rows(), -1),
    "sampler and shuffle": lambda t, d: d.DataLoader(Rows(), 2, True, sampler=[1]),
    "sampler and no shuffle": lambda t, d: d.DataLoader(Rows(), 2, False, sampler=[1]),
    "batch sampler and size": lambda t, d: d.DataLoader(Rows(), 2, batch_sampler=[[1]]),
    "batch sampler and drop": lambda t, d: d.DataLoader(Rows(), batch_sampler=[[1]], drop_last=True),
    "batch sampler and shuffle": lambda t, d: d.DataLoader(Rows(), batch_sampler=[[1]], shuffle=True),
    "batch sampler, sampler": lambda t, d: d.DataLoader(Rows(), batch_sampler=[[1]], sampler=[1]),
    "no batches, drop": lambda t, d: d.DataLoader(Rows(), None, drop_last=True),
    "iterable, shuffle": lambda t, d: d.DataLoader(stream(d), shuffle=True),
    "iterable, no shuffle": lambda t, d: d.DataLoader(stream(d), 3, shuffle=False),
    "iterable, sampler": lambda t, d: d.DataLoader(stream(d), sampler=[1]),
    "workers": lambda t, d: d.DataLoader(Rows(), num_workers=-1),
    "timeout": lambda t, d: d.DataLoader(Rows(), timeout=-1),
    "prefetch": lambda t, d: d.DataLoader(Rows(), prefetch_factor=2),
    "persistent": lambda t, d: d.DataLoader(Rows(), persistent_workers=True),
    "out of range": lambda t, d: d.DataLoader(d.TensorDataset(*tensors(t)), sampler=[11]),
    "none": lambda t, d: d.DataLoader([None]),
}


@pytest.mark.parametrize("name", LOADERS)
def test_batches_lengths_and_attributes(name: str) -> None:
    same(lambda t, d: list(LOADERS[name](t, d)))
    same(lambda t, d: len(LOADERS[name](t, d)))
    same(lambda t, d: [LOADERS[name](t, d).batch_size, LOADERS[name](t, d).drop_last])
    if "iterable" not in name:  # there it would give no numbers
        same(lambda t, d: type(LOADERS[name](t, d).batch_sampler).__name__)


@pytest.mark.parametrize("shuffle", [None, False, True])
def test_shuffled_epochs_hold_everything_once(shuffle: Any) -> None:
    same(lambda t, d: sorted([int(i) for _, y in d.DataLoader(list(zip(X, Y, strict=True)), 4, shuffle) for i in y]))
    same(lambda t, d: [len(y) for _, y in d.DataLoader(d.TensorDataset(*tensors(t)), 4, shuffle, drop_last=True)])
    same(lambda t, d: len(list(d.DataLoader(Rows(), 4, shuffle, generator=t.Generator()))))


SAMPLES: dict[str, Any] = {
    "integers": lambda t: [1, 2],
    "booleans": lambda t: [True, False],
    "floats": lambda t: [0.1, 2.0],
    "floats and integers": lambda t: [0.1, 2],
    "integers and floats": lambda t: [1, 2.5],
    "float32 numbers": lambda t: [np.float32(1), np.float32(2)],
    "int16 numbers": lambda t: [np.int16(1), np.int16(2)],
    "bool numbers": lambda t: [np.bool_(True)],
    "float64 numbers": lambda t: [np.float64(1.5)],
    "arrays": lambda t: [X[0], X[1]],
    "0-d arrays": lambda t: [np.array(1.5), np.array(2.5)],
    "tensors": lambda t: [t.as_tensor(X), t.as_tensor(X)],
    "0-d tensors": lambda t: [t.tensor(1), t.tensor(2)],
    "strings": lambda t: ["a", "b"],
    "bytes": lambda t: [b"a", b"b"],
    "tuples": lambda t: [(1, "a", X[0]), (2, "b", X[1])],
    "lists": lambda t: [[1, [2.0]], [3, [4.0]]],
    "dicts": lambda t: [{"a": 1, "b": (2, 3)}, {"a": 4, "b": (5, 6)}],
    "ordered": lambda t: [collections.OrderedDict(a=1)],
    "named": lambda t: [Point(1, [2]), Point(3, [4])],
    "ragged": lambda t: [(1, 2), (3,)],
    "ragged arrays": lambda t: [X[0], X[0, :1]],
    "text arrays": lambda t: [np.array(["a"])],
    "objects": lambda t: [object()],
    "a set": lambda t: [{1}],
    "missing keys": lambda t: [{"a": 1}, {"b": 1}],
    "none": lambda t: [None],
    "nothing": lambda t: [],
}


@pytest.mark.parametrize("name", SAMPLES)
def test_default_collate(name: str) -> None:
    same(lambda t, d: d.default_collate(SAMPLES[name](t)))


@pytest.mark.parametrize("name", SAMPLES)
def test_default_convert(name: str) -> None:
    same(lambda t, d: d.default_convert(SAMPLES[name](t)))


@pytest.mark.parametrize(
    "lengths", [[3, 8], [0.5, 0.5], [0.3, 0.3, 0.4], [1.0], [0.9, 0.1], [11], [10], [0.5, 0.4], [1.5, -0.5], [0, 11]]
)
def test_random_split(lengths: Any) -> None:
    same(lambda t, d: [len(part) for part in d.random_split(range(11), lengths, generator=t.Generator())])
    same(lambda t, d: sorted([i for part in d.random_split(range(11), lengths) for i in part]))


SAMPLERS: dict[str, Any] = {
    "sequential": lambda t, d: d.SequentialSampler(Rows()),
    "random": lambda t, d: d.RandomSampler(Rows()),
    "random, more": lambda t, d: d.RandomSampler(range(5), num_samples=15),
    "random, none": lambda t, d: d.RandomSampler(range(5), num_samples=0),
    "random, empty": lambda t, d: d.RandomSampler([]),
    "subset": lambda t, d: d.SubsetRandomSampler([5, 3]),
    "weighted": lambda t, d: d.WeightedRandomSampler([0.0, 1.0], 3),
    "weighted, without replacement": lambda t, d: d.WeightedRandomSampler([2.0, 1.0], 2, False),
    "weighted, too many": lambda t, d: d.WeightedRandomSampler([2.0, 1.0], 3, False),
    "weighted, 2-d": lambda t, d: d.WeightedRandomSampler([[2.0, 1.0]], 2),
    "batch": lambda t, d: d.BatchSampler(range(7), 3, False),
    "batch, drop": lambda t, d: d.BatchSampler(range(7), 3, True),
    "batch, 0": lambda t, d: d.BatchSampler(range(7), 0, False),
    "batch, flag": lambda t, d: d.BatchSampler(range(7), 2, 1),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers(name: str) -> None:
    same(lambda t, d: len(SAMPLERS[name](t, d)))
    same(lambda t, d: sorted(SAMPLERS[name](t, d)))


def test_names() -> None:
    """Names of torch.utils.data that are not here."""
    pipes = {n for n in theirs.__all__ if "datapipe" in getattr(theirs, n).__module__}
    assert set(theirs.__all__) - pipes - set(ours.__all__) == {
        "ChainDataset", "DistributedSampler", "StackDataset", "_DatasetKind"
    }  # fmt: skip
