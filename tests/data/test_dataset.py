"""Data sets, parts of them and their concatenation, and how samples are collated."""

from __future__ import annotations

import collections
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradflow as gf
from gradflow.data import (
    ConcatDataset,
    DataError,
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
    default_collate,
    default_convert,
    random_split,
)

ROWS = np.arange(20.0).reshape(10, 2)


def test_a_tensor_data_set_gives_rows_of_arrays_and_tensors():
    x = gf.tensor(ROWS, device="cpu")
    data = TensorDataset(ROWS, x)
    assert len(data) == 10
    array, tensor = data[3]
    assert isinstance(array, np.ndarray) and isinstance(tensor, gf.Tensor)
    assert array.tolist() == tensor.tolist() == [6, 7]
    assert [part.tolist() for part in data[1:3]] == [ROWS[1:3].tolist()] * 2
    gathered = data.__getitems__([4, 4, -1])
    assert [part.tolist() for part in gathered] == [ROWS[[4, 4, -1]].tolist()] * 2
    assert [type(part) for part in gathered] == [np.ndarray, gf.Tensor]
    gathered[1].zero_()
    assert x.tolist() == ROWS.tolist()


def test_rows_of_a_tensor_that_requires_grad_keep_their_history():
    x = gf.tensor(ROWS, device="cpu", requires_grad=True)
    ((rows,),) = DataLoader(TensorDataset(x), 2, sampler=[7, 1])
    rows.sum().backward()
    assert x.grad.sum(1).tolist() == [0, 2, 0, 0, 0, 0, 0, 2, 0, 0]


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ((), "got none"),
        ((np.zeros(3), np.zeros((2, 3))), r"one first dimension, got \(3,\), \(2, 3\)"),
        ((np.zeros(()),), r"got \(\)"),
    ],
)
def test_tensors_that_do_not_go_together(arrays, reason: str):
    with pytest.raises(DataError, match=reason):
        TensorDataset(*arrays)


def test_tensors_on_different_devices(fake_cuda):
    with pytest.raises(DataError, match="different devices"):
        TensorDataset(gf.tensor(ROWS, device="cuda:0"), ROWS)
    data = TensorDataset(ROWS).to("cuda:1")
    assert str(data.device) == "cuda:1"
    assert data.tensors[0].tolist() == ROWS.tolist()


def test_subset_and_concatenation():
    data = TensorDataset(np.arange(10))
    part = Subset(data, gf.tensor([7, 2, 2], device="cpu"))
    assert (len(part), [int(part[i][0]) for i in range(3)]) == (3, [7, 2, 2])
    assert Subset(part, [2, 0]).__getitems__(np.array([1, 0]))[0].tolist() == [7, 2]
    plain = Subset(["a", "b", "c"], [2, 0])
    assert plain.__getitems__([0, 1]) == ["c", "a"]
    both = data + part
    assert isinstance(both, ConcatDataset)
    assert [int(both[i][0]) for i in range(len(both))] == [*range(10), 7, 2, 2]
    assert (int(both[-1][0]), int(both[-13][0])) == (2, 0)
    (batch,) = next(iter(DataLoader(both, 13)))
    assert batch.tolist() == [*range(10), 7, 2, 2]
    for index in (13, -14):
        with pytest.raises(IndexError, match=f"index {index} is out of range for 13 samples"):
            both[index]
    assert [int(v) for (v,) in (ConcatDataset([Subset(data, []), data, Subset(data, [])])[i] for i in (0, 9))] == [0, 9]


@pytest.mark.parametrize("indices", [[True, False], [0.5], [[1]], ["a"]])
def test_indices_of_a_subset_are_integers(indices):
    with pytest.raises(TypeError, match=r"\[Subset\] indices are a sequence of integers"):
        Subset(ROWS, indices)


def test_what_cannot_be_concatenated():
    with pytest.raises(ValueError, match="got none"):
        ConcatDataset([])
    with pytest.raises(ValueError, match="iterable data sets"):
        ConcatDataset([IterableDataset()])
    with pytest.raises(TypeError, match="IterableDataset"):
        IterableDataset() + Dataset()
    for call in (lambda: Dataset()[0], lambda: iter(IterableDataset())):
        with pytest.raises(NotImplementedError, match="defines __"):
            call()


# -- random_split ----------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(0, 5))
def test_random_split_parts_a_data_set(count: int, weights: list[int], seed: int):
    shares = [w / sum(weights) for w in weights]
    if sum(shares) > 1:
        shares[0] -= sum(shares) - 1
    sizes = [int(np.floor(count * share)) for share in shares]
    for i in range(count - sum(sizes)):
        sizes[i % len(sizes)] += 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of empty parts
        parts, again = (random_split(range(count), given, gf.Generator(seed)) for given in (shares, sizes))
    assert [len(part) for part in parts] == sizes
    found = [part[i] for part in parts for i in range(len(part))]
    assert sorted(found) == list(range(count))
    assert [part[i] for part in again for i in range(len(part))] == found


def test_random_split_draws_from_the_generator():
    gf.manual_seed(0)
    first, second = (random_split(range(50), [25, 25])[0].indices.tolist() for _ in range(2))
    gf.manual_seed(0)
    assert random_split(range(50), [25, 25])[0].indices.tolist() == first != second
    a, b = (random_split(range(50), [0.5, 0.5], gf.Generator(seed))[0].indices.tolist() for seed in (0, 1))
    assert a != b != list(range(25))


@pytest.mark.parametrize("lengths", [[5, 4], [11], [0.5, 0.4], [12, -2], [5.5, 4.5]])
def test_lengths_that_do_not_add_up(lengths):
    with pytest.raises(ValueError, match=r"\[random_split\] the lengths .* do not add up to the 10 samples"):
        random_split(range(10), lengths)


def test_shares_out_of_range_and_empty_parts():
    with pytest.raises(ValueError, match="between 0 and 1"):
        random_split(range(10), [1.5, -0.5])
    with pytest.warns(UserWarning, match="part 1 is empty"):
        assert len(random_split(range(3), [0.99, 0.01])[0]) == 3


# -- collating -------------------------------------------------------------------------------------------------------

Point = collections.namedtuple("Point", "x y")


def test_default_collate_takes_samples_apart():
    samples = [
        {"image": np.full((2, 2), i, np.float32), "point": Point(i, i / 2), "pair": (np.int16(i), [True, "a"])}
        for i in range(3)
    ]
    batch = default_collate(samples)
    assert list(batch) == ["image", "point", "pair"]
    assert tuple(batch["image"].shape) == (3, 2, 2)
    assert isinstance(batch["point"], Point)
    assert batch["point"].y.tolist() == [0, 0.5, 1]
    dtypes = [batch["image"], batch["point"].x, batch["point"].y, batch["pair"][0], batch["pair"][1][0]]
    assert [str(x.dtype) for x in dtypes] == ["float32", "int64", "float64", "int16", "bool"]
    assert list(batch["pair"][1][1]) == ["a", "a", "a"]
    ordered = default_collate([collections.OrderedDict(a=1), collections.OrderedDict(a=2)])
    assert isinstance(ordered, collections.OrderedDict) and ordered["a"].tolist() == [1, 2]
    stacked = default_collate([gf.tensor([1.0, 2.0], device="cpu")] * 2)
    assert stacked.tolist() == [[1, 2], [1, 2]]


def test_default_collate_of_tensors_keeps_device_and_history(fake_cuda):
    x = gf.tensor([1.0, 2.0], device="cpu", requires_grad=True)
    default_collate([x, x]).sum().backward()
    assert x.grad.tolist() == [2, 2]
    there = gf.tensor([1.0], device="cuda:1")
    assert str(default_collate([there, there]).device) == "cuda:1"
    assert str(default_collate([np.zeros(2), np.ones(2)]).device) == "cuda:0"  # the default
    assert str(default_collate([x.detach()]).device) == "cpu"


@pytest.mark.parametrize(
    ("samples", "error", "reason"),
    [
        ([np.zeros(2), np.zeros(3)], DataError, r"samples of shapes \(2,\), \(3,\) do not stack"),
        ([gf.tensor([1.0]), gf.tensor([1.0, 2.0])], DataError, r"samples of shapes \(1,\), \(2,\) do not stack"),
        ([(1, 2), (1,)], DataError, r"samples of \[1, 2\] parts"),
        ([np.ones(2), 3], DataError, r"samples of shapes \(\), \(2,\) do not stack"),
        ([gf.ones(2), 3], DataError, r"samples of shapes \(\), \(2,\) do not stack"),
        ([(1, 2), 3], DataError, "samples of tuple and int do not make a batch"),
        ([{"a": 1}, 3], DataError, "samples of dict and int do not make a batch"),
        ([None, None], TypeError, "found NoneType, for which a collate_fn is needed"),
        ([np.array(["a"])], TypeError, "cannot hold <U1 data"),
        ([2**63], OverflowError, "do not fit into int64"),
    ],
)
def test_samples_that_make_no_batch(samples, error, reason: str):
    with pytest.raises(error, match=reason):
        default_collate(samples)


def test_default_convert():
    array = np.arange(3)
    converted = default_convert({"a": array, "b": [1, "c", (array,)], "n": np.array(["x"])})
    assert isinstance(converted["a"], gf.Tensor)
    assert converted["b"][:2] == [1, "c"] and isinstance(converted["b"][2][0], gf.Tensor)
    assert isinstance(converted["n"], np.ndarray)
    converted["a"].zero_()
    assert array.tolist() == [0, 1, 2]


def test_bfloat16_data():
    pytest.importorskip("ml_dtypes")
    x = gf.tensor(ROWS, device="cpu").to(gf.bfloat16)
    ((rows,),) = DataLoader(TensorDataset(x.numpy()), 10, num_workers=1)
    assert rows.dtype == gf.bfloat16 and rows.tolist() == ROWS.tolist()


def test_the_same_names_where_users_of_pytorch_look():
    from gradflow import data
    from gradflow.utils import data as there

    assert [name for name in there.__all__ if getattr(there, name) is not getattr(data, name, None)] == [
        "get_worker_info"
    ]
    assert there.get_worker_info() is None
    assert set(data.__all__) <= set(dir(data))
    assert [name for name in data.__all__ if not hasattr(data, name)] == []
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        data.nothing  # noqa: B018
    assert "gradflow.data.loader" in sys.modules
