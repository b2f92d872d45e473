"""Samplers: which indices they give, and what they follow from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradflow as gf
from gradflow.data import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    ShuffledSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 30), st.integers(1, 80), st.booleans(), st.integers(0, 5))
def test_random_sampler(count: int, wanted: int, replacement: bool, seed: int):
    sampler = RandomSampler(range(count), replacement, wanted, gf.Generator(seed))
    found = list(sampler)
    assert len(found) == len(sampler) == wanted
    assert set(found) <= set(range(count))
    if not replacement:
        most, least = -(-wanted // count), wanted // count
        assert set(np.bincount(found, minlength=count).tolist()) <= {most, least}
    assert list(RandomSampler(range(count), replacement, wanted, gf.Generator(seed))) == found


def test_epochs_differ_and_follow_from_the_generator():
    for make in (
        lambda g: RandomSampler(range(50), generator=g),
        lambda g: SubsetRandomSampler(range(50, 100), generator=g),
        lambda g: WeightedRandomSampler([1.0] * 50, 50, generator=g),
    ):
        sampler = make(gf.Generator(3))
        first, second = list(sampler), list(sampler)
        assert first != second
        sampler = make(gf.Generator(3))
        assert [list(sampler), list(sampler)] == [first, second]
        gf.manual_seed(3)
        first, second = list(make(None)), list(make(None))
        gf.manual_seed(3)
        assert list(make(None)) == first != second


def test_an_epoch_is_drawn_as_it_begins():
    gf.manual_seed(0)
    for sampler in (RandomSampler(range(50), True), RandomSampler(range(50)), SubsetRandomSampler(range(50))):
        iterator = iter(sampler)
        next(iterator)
        before = gf.get_rng_state().tolist()
        assert len(list(iterator)) == 49
        assert gf.get_rng_state().tolist() == before


def test_weighted_random_sampler():
    weights = np.array([0, 1, 0, 3])
    found = list(WeightedRandomSampler(weights, 4000, generator=gf.Generator(0)))
    counts = np.bincount(found, minlength=4)
    assert counts[[0, 2]].tolist() == [0, 0]
    assert 0.7 < counts[3] / 4000 < 0.8
    alone = WeightedRandomSampler(gf.tensor([0.1, 0.2, 5.0]), 3, replacement=False)
    assert sorted(alone) == [0, 1, 2] and len(alone) == 3


def test_sequential_subset_and_shuffled():
    assert list(SequentialSampler("abc")) == [0, 1, 2]
    assert sorted(SubsetRandomSampler([4, 9, 2])) == [2, 4, 9]
    shuffled = ShuffledSampler("abcdefgh", seed=5, epoch=2)
    assert list(shuffled) == np.random.default_rng((5, 2)).permutation(8).tolist()
    assert len(shuffled) == 8


@given(st.integers(0, 30), st.integers(1, 10), st.booleans())
def test_batch_sampler(count: int, size: int, drop: bool):
    sampler = BatchSampler(SequentialSampler(range(count)), size, drop)
    found = list(sampler)
    assert len(found) == len(sampler)
    assert [len(batch) for batch in found[:-1]] == [size] * (len(found) - 1)
    assert [i for batch in found for i in batch] == list(range(count // size * size if drop else count))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: RandomSampler([]), "num_samples is a positive integer, got 0"),
        (lambda: RandomSampler("ab", num_samples=-1), "num_samples is a positive integer, got -1"),
        (lambda: RandomSampler("ab", 2), "replacement is True or False, got 2"),
        (lambda: WeightedRandomSampler([1.0], 1.5), "num_samples is a positive integer, got 1.5"),
        (lambda: WeightedRandomSampler([[1.0]], 1), r"one-dimensional, got \(1, 1\)"),
        (lambda: BatchSampler([0], 0, False), "batch_size is a positive integer, got 0"),
        (lambda: BatchSampler([0], True, False), "batch_size is a positive integer, got True"),
        (lambda: BatchSampler([0], 1, 0), "drop_last is True or False, got 0"),
    ],
)
def test_arguments_that_make_no_sampler(make, reason: str):
    with pytest.raises(ValueError, match=reason):
        make()


@pytest.mark.parametrize("replacement", [False, True])
def test_nothing_is_drawn_of_nothing(replacement: bool):
    with pytest.raises(ValueError, match="cannot draw 3 samples from an empty data set"):
        list(RandomSampler([], replacement, 3))


def test_a_sampler_defines_iter():
    with pytest.raises(NotImplementedError, match="defines __iter__"):
        iter(Sampler())
