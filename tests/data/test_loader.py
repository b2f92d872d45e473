"""The loader: batches, their order, what is copied, where they go, and going on in the middle of an epoch."""

from __future__ import annotations

import json
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradflow as gf
from gradflow.backend import get_backend
from gradflow.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Split,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
)

PIXELS = np.random.default_rng(0).integers(0, 256, (23, 1, 2, 2)).astype(np.uint8)
SPLIT = Split(PIXELS, np.arange(23))


class Numbers(Dataset):
    """Samples (i, i * i), one at a time."""

    def __init__(self, count: int = 23) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[int, np.ndarray]:
        return index, np.full(2, index * index, np.float32)


class Stream(IterableDataset):
    """0, 1, 2, ..."""

    def __init__(self, count: int = 23) -> None:
        self.count = count

    def __iter__(self):
        return iter(range(self.count))


def noise(images, labels, rng):
    return images + rng.random(tuple(images.shape), np.float32), labels


def orders(loader: DataLoader, epochs: int = 1) -> list[list[int]]:
    return [[label for _, labels in loader for label in labels.tolist()] for _ in range(epochs)]


def bits(batches: Any) -> list[list[bytes]]:
    return [[part.numpy().tobytes() for part in batch] for batch in batches]


def threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("gradflow-loader")]


# -- batches ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_tensors_in_order(workers: int):
    loader = DataLoader(SPLIT, 5, device="cpu", num_workers=workers)
    batches = list(loader)
    assert len(batches) == len(loader) == 5
    assert [tuple(labels.shape) for _, labels in batches] == [(5,)] * 4 + [(3,)]
    images, labels = batches[1]
    assert isinstance(images, gf.Tensor)
    assert not images.requires_grad
    np.testing.assert_array_equal(images.numpy(), PIXELS[5:10] / np.float32(255))
    assert images.numpy().dtype == np.float32
    assert labels.numpy().dtype == np.int64
    assert orders(loader) == [list(range(23))]


def test_drop_last():
    assert len(DataLoader(SPLIT, 5, drop_last=True)) == 4
    assert len(orders(DataLoader(SPLIT, 5, shuffle=True, drop_last=True, seed=0))[0]) == 20
    assert orders(DataLoader(SPLIT, 23, drop_last=True)) == [list(range(23))]
    assert orders(DataLoader(SPLIT, 24, drop_last=True)) == [[]]


def test_the_order_follows_from_the_seed_and_the_epoch():
    expected = [np.random.default_rng((3, epoch)).permutation(23).tolist() for epoch in range(3)]
    loader = DataLoader(SPLIT, 4, shuffle=True, seed=3)
    assert orders(loader, epochs=3) == expected
    assert isinstance(loader.sampler, SequentialSampler)
    assert orders(DataLoader(SPLIT, 7, True, seed=3, num_workers=3), epochs=2) == expected[:2]
    loader.set_epoch(1)
    assert orders(loader, epochs=2) == expected[1:]


def test_images_stay_with_their_labels():
    for images, labels in DataLoader(SPLIT, 4, shuffle=True, seed=0):
        np.testing.assert_array_equal(images.numpy(), SPLIT.images[labels.numpy()])


def test_without_a_seed_the_order_follows_from_manual_seed():
    gf.manual_seed(5)
    first, other = (orders(DataLoader(SPLIT, 4, shuffle=True)) for _ in range(2))
    gf.manual_seed(5)
    assert orders(DataLoader(SPLIT, 4, shuffle=True)) == first != other
    before = gf.get_rng_state().tolist()
    list(DataLoader(SPLIT, 4))
    assert gf.get_rng_state().tolist() == before  # nothing random, nothing drawn


def test_an_empty_data_set_has_no_batches():
    empty = Subset(SPLIT, [])
    assert [list(DataLoader(empty, 4, shuffle)) for shuffle in (False, True)] == [[], []]


def test_without_a_batch_size_samples_come_one_by_one():
    batches = list(DataLoader(SPLIT, None, True, seed=0, device="cpu"))
    assert [label for _, label in batches] == np.random.default_rng((0, 0)).permutation(23).tolist()
    assert tuple(batches[0][0].shape) == (1, 2, 2)
    loader = DataLoader(TensorDataset(PIXELS), None, sampler=BatchSampler(range(23), 10, True), device="cpu")
    assert [batch.tolist() for (batch,) in loader] == [PIXELS[:10].tolist(), PIXELS[10:20].tolist()]
    assert len(loader) == 2


def test_samples_are_collated_and_a_collate_fn_gets_a_list_of_them():
    numbers, squares = next(iter(DataLoader(Numbers(), 3, device="cpu")))
    assert (numbers.tolist(), squares.tolist()) == ([0, 1, 2], [[0, 0], [1, 1], [4, 4]])
    given: list[Any] = []

    def collate(samples):
        given.append(samples)
        return {"n": np.array([i for i, *_ in samples]), "text": "a"}

    for data in (Numbers(), SPLIT, TensorDataset(np.arange(23), PIXELS)):  # gathered whole otherwise
        given.clear()
        batch = next(iter(DataLoader(data, 3, collate_fn=collate, device="cpu")))
        assert [len(samples) for samples in given] == [3]
        assert isinstance(given[0], list) and isinstance(given[0][0], tuple)
        assert isinstance(batch["n"], gf.Tensor) and batch["text"] == "a"
    explicit, plain = (list(DataLoader(SPLIT, 4, collate_fn=f)) for f in (default_collate, None))
    assert bits(explicit) == bits(plain)


class Gathering(Numbers):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[list[int]] = []

    def __getitems__(self, indices):
        assert indices.dtype == np.int64
        self.calls.append(indices.tolist())
        return self.made(indices.tolist())

    def made(self, indices):
        return np.zeros(len(indices)), np.array(indices)


class Listing(Gathering):
    def made(self, indices):
        return [(i, i) for i in indices]


class Passing(Gathering):
    def __getitem__(self, index):
        return index, -index


def test_a_batch_is_gathered_by_one_call_where_the_data_set_can():
    for data in (Gathering(), Subset(Gathering(), range(23)), Subset(Subset(Gathering(), range(23)), range(23))):
        assert orders(DataLoader(data, 10, True, seed=1)) == [np.random.default_rng((1, 0)).permutation(23).tolist()]
        while isinstance(data, Subset):
            data = data.dataset
        assert [len(call) for call in data.calls] == [10, 10, 3]
    listing = Listing()  # as PyTorch has it: a list of samples, which are collated
    second = [second.tolist() for _, second in DataLoader(listing, 10, collate_fn=default_collate)]
    assert second[-1] == [20, 21, 22] and len(listing.calls) == 3
    assert orders(DataLoader(Passing(), 12)) == [[-i for i in range(23)]]  # not passed by


def test_no_tensor_shares_memory_with_arrays_of_the_data_set():
    base = np.arange(24.0).reshape(6, 4)

    class Same(Dataset):
        def __len__(self):
            return 6

        def __getitem__(self, index):
            return base[index]

    class Whole(Same):
        def __getitems__(self, indices):
            return (base,)

    cases = {
        "samples": DataLoader(Same(), 2),
        "one by one": DataLoader(Same(), None),
        "one by one in a tuple": DataLoader(TensorDataset(base), None),
        "collate_fn": DataLoader(Same(), 2, collate_fn=lambda samples: samples[0]),
        "gathered": DataLoader(TensorDataset(base), 2),
        "the array itself": DataLoader(Whole(), 6),
        "floats of a split": DataLoader(Split(base.reshape(6, 1, 2, 2).astype("f4"), np.arange(6)), 6),
    }
    for name, loader in cases.items():
        loader.device = "cpu"
        for batch in loader:
            for part in batch if isinstance(batch, (tuple, list)) else [batch]:
                part.zero_()
        assert base[5].tolist() == [20, 21, 22, 23], name
    kept = cases["floats of a split"].dataset.pixels
    assert kept.max() == 23


def test_foreign_byte_order_and_layouts_come_through():
    big = np.arange(12, dtype=">f4").reshape(3, 4)
    for loader in (DataLoader(TensorDataset(big), 3), DataLoader(list(big), 3)):
        (batch,) = loader
        part = batch[0] if isinstance(batch, tuple) else batch
        assert part.tolist() == big.tolist() and part.numpy().dtype.isnative


# -- transforms ------------------------------------------------------------------------------------------------------


def test_a_transform_has_numbers_of_its_own_for_each_batch():
    seen: list[Any] = []

    def transform(images, labels, rng):
        seen.append((rng.random(), gf.is_grad_enabled(), threading.current_thread() is threading.main_thread()))
        return images * 2, labels

    images, _ = next(iter(DataLoader(SPLIT, 5, seed=7, transform=transform, num_workers=2, device="cpu")))
    np.testing.assert_array_equal(images.numpy(), 2 * SPLIT.images[:5])
    seen.clear()
    loader = DataLoader(SPLIT, 10, seed=7, transform=transform)
    assert len(list(loader)) + len(list(loader)) == 6
    drawn = [np.random.default_rng((7, epoch, batch)).random() for epoch in range(2) for batch in range(3)]
    assert seen == [(number, False, True) for number in drawn]
    assert gf.is_grad_enabled()


# -- going on --------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 40), size=st.integers(1, 12), drop=st.booleans(), shuffle=st.booleans(), seed=st.integers(0, 9),
    workers=st.tuples(st.integers(0, 3), st.integers(0, 3)), share=st.floats(0, 1),
)  # fmt: skip
def test_every_index_once_and_resumed_anywhere_as_uninterrupted(n, size, drop, shuffle, seed, workers, share):
    data = Split(np.arange(n * 4, dtype=np.uint8).reshape(n, 1, 2, 2), np.arange(n))

    def make(number, seed=seed):
        return DataLoader(
            data, size, shuffle, drop_last=drop, num_workers=number, seed=seed, transform=noise, device="cpu"
        )

    whole, states = make(workers[0]), []
    expected = []
    for _ in range(2):
        for batch in whole:
            states.append(whole.state_dict())
            expected.append(batch)
    count = len(whole)
    assert len(expected) == 2 * count
    for epoch in range(2):
        seen = [i for _, labels in expected[epoch * count : epoch * count + count] for i in labels.tolist()]
        assert len(seen) == (n // size * size if drop else n)
        assert len(set(seen)) == len(seen) and set(seen) <= set(range(n))
    if expected:
        at = int(share * (2 * count - 1))
        state = json.loads(json.dumps(states[at]))
        assert state == {"seed": seed, "epoch": (at + 1) // count, "batch": (at + 1) % count}
        resumed = make(workers[1], seed=99)
        resumed.load_state_dict(state)
        assert resumed.state_dict() == state
        rest = [batch for _ in range(2 - state["epoch"]) for batch in resumed]
        assert bits(rest) == bits(expected[at + 1 :])


def test_after_an_epoch_that_was_left_comes_the_next_unless_a_state_is_loaded():
    loader = DataLoader(SPLIT, 5, True, seed=0, num_workers=2)
    for i, _ in enumerate(loader):
        if i == 1:
            break
    state = loader.state_dict()
    assert state == {"seed": 0, "epoch": 0, "batch": 2}
    assert orders(loader) == [np.random.default_rng((0, 1)).permutation(23).tolist()]
    assert loader.state_dict() == {"seed": 0, "epoch": 2, "batch": 0}
    loader.load_state_dict(state)
    zeroth, first = (np.random.default_rng((0, epoch)).permutation(23).tolist() for epoch in range(2))
    assert orders(loader, 2) == [zeroth[10:], first]


SAMPLERS = {
    "random": lambda g: {"sampler": RandomSampler(SPLIT, generator=g)},
    "with replacement": lambda g: {"sampler": RandomSampler(SPLIT, True, 31, generator=g)},
    "subset": lambda g: {"sampler": SubsetRandomSampler(range(3, 20), generator=g)},
    "weighted": lambda g: {"sampler": WeightedRandomSampler(np.arange(23.0), 30, generator=g)},
    "batches": lambda g: {"batch_sampler": BatchSampler(RandomSampler(SPLIT, generator=g), 4, False)},
    "fixed": lambda g: {"sampler": [5, 3, 1, 2, 4, 8, 9]},
}


@pytest.mark.parametrize("own", [True, False], ids=["generator", "default generator"])
@pytest.mark.parametrize("name", [*SAMPLERS, "shuffle"])
def test_with_a_sampler_or_generator_the_state_has_where_the_numbers_began(name: str, own: bool):
    def make(workers):
        g = gf.Generator(3) if own else None
        chosen = SAMPLERS[name](g) if name in SAMPLERS else {"shuffle": True, "generator": g}
        if "batch_sampler" not in chosen:
            chosen["batch_size"] = 4
        return DataLoader(SPLIT, **chosen, num_workers=workers)

    def epoch(loader, found, states):
        for batch in loader:
            states.append((loader.state_dict(), gf.get_rng_state()))
            found.append(batch)
            gf.rand(3)  # dropout and the like draw from the default generator between batches
        return found

    gf.manual_seed(1)
    states: list[Any] = []
    whole = make(0)
    expected = epoch(whole, [], states)
    epoch(whole, expected, states)
    per_epoch = len(whole)
    for at in (0, per_epoch - 2, per_epoch - 1, per_epoch, 2 * per_epoch - 2):
        state, drawn = states[at]
        gf.manual_seed(77)
        resumed = make(2)
        resumed.load_state_dict(json.loads(json.dumps(state)))
        gf.set_rng_state(drawn)
        gf.rand(3)
        rest: list[Any] = []
        while len(rest) < 2 * per_epoch - at - 1:
            epoch(resumed, rest, [])
        assert bits(rest) == bits(expected[at + 1 :]), at


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"seed": 0, "epoch": 0}, "the state has no 'batch'"),
        ({"seed": 0, "epoch": 0, "batch": 6}, "batch 6 of epoch 0, but an epoch has 5 batches"),
        ({"seed": 0, "epoch": -1, "batch": 0}, "batch 0 of epoch -1"),
        ({"seed": -1, "epoch": 0, "batch": 0}, "the state names"),
        ({"seed": "a", "epoch": 0, "batch": 0}, "no state: invalid literal"),
        (None, "no state: 'NoneType' object"),
    ],
)
def test_a_state_that_does_not_fit(state, reason: str):
    with pytest.raises(ValueError, match=reason):
        DataLoader(SPLIT, 5).load_state_dict(state)
    with pytest.raises(ValueError, match="of a loader without a generator or sampler"):
        DataLoader(SPLIT, 5, True, generator=gf.Generator(0)).load_state_dict({"seed": 0, "epoch": 0, "batch": 1})


# -- iterable data sets ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_an_iterable_data_set(workers: int):
    def batches(*args, **options):
        return [b.tolist() for b in DataLoader(Stream(), *args, num_workers=workers, **options)]

    assert batches(10) == [[*range(10)], [*range(10, 20)], [20, 21, 22]]
    assert batches(10, drop_last=True) == [[*range(10)], [*range(10, 20)]]
    assert list(DataLoader(Stream(3), None, num_workers=workers)) == [0, 1, 2]
    loader = DataLoader(Stream(), 5, num_workers=workers)
    for i, _ in enumerate(loader):
        if i == 1:
            break
    again = DataLoader(Stream(), 5, num_workers=workers)
    again.load_state_dict(loader.state_dict())
    assert [b.tolist() for b in again] == [[*range(10, 15)], [*range(15, 20)], [20, 21, 22]]
    assert again.state_dict()["epoch"] == 1
    with pytest.raises(TypeError):
        len(again)
    Sized = type("Sized", (Stream,), {"__len__": lambda self: self.count})
    assert [len(DataLoader(Sized(), 10, drop_last=drop)) for drop in (False, True)] == [3, 2]
    assert threads() == []


# -- devices ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("pin", [False, True])
@pytest.mark.parametrize("data", [SPLIT, Numbers(), TensorDataset(PIXELS, np.arange(23).reshape(23, 1))])
def test_host_data_for_a_gpu(fake_cuda, data, workers: int, pin: bool):
    backend = get_backend("cuda:1")
    expected = bits(DataLoader(data, 4, True, seed=1, device="cpu"))
    loader = DataLoader(data, 4, True, seed=1, device="cuda:1", num_workers=workers, pin_memory=pin)
    world = backend.module.world
    before = world.waits
    batches = list(loader)
    assert world.waits == before  # nothing waits for the GPU, and no pinned block is let go before it is copied
    assert all(part.device == backend.device for batch in batches for part in batch)
    assert bits(batches) == expected


def test_pinned_batches_are_not_copied_again_on_the_host(fake_cuda, monkeypatch):
    backend = get_backend("cuda:0")
    expected = bits(DataLoader(SPLIT, 4, device="cpu"))

    def fail(*args):
        raise AssertionError("staged")

    monkeypatch.setattr(backend, "_upload", fail)
    batches = list(DataLoader(SPLIT, 4, device="cuda", num_workers=2, pin_memory=True))
    assert bits(batches) == expected
    with pytest.raises(AssertionError, match="staged"):
        list(DataLoader(SPLIT, 4, device="cuda", num_workers=2))


def test_pinned_tensors_move_only_where_a_device_is_named(fake_cuda):
    data = TensorDataset(gf.tensor(PIXELS, device="cpu"))
    for device, there in ((None, "cpu"), ("cuda:1", "cuda:1")):
        (batch,) = DataLoader(data, 23, device=device, num_workers=1, pin_memory=True)
        assert str(batch[0].device) == there
        assert batch[0].tolist() == PIXELS.tolist()


def test_pinning_keeps_layouts_and_does_without_pinned_memory(fake_cuda):
    for limit in (1 << 40, 0):
        fake_cuda(pinned_limit=limit)
        backend = get_backend("cuda:0")
        for array in (PIXELS.transpose(0, 2, 3, 1), np.zeros((0, 3)), np.array(2.0), np.arange(6, dtype=">i4")[::2]):
            there = backend.from_pinned(backend.pinned(array))
            usual = backend.from_host(array)
            assert (there.shape, there.strides, there.dtype) == (usual.shape, usual.strides, usual.dtype)
            assert np.array_equal(backend.to_host(there), array)


@pytest.mark.parametrize("kind", ["split", "tensors", "subset"])
def test_data_on_a_gpu_is_gathered_there(fake_cuda, kind: str):
    backend = get_backend("cuda:0")
    host: Any = {"split": SPLIT, "tensors": TensorDataset(PIXELS, np.arange(23)), "subset": Subset(SPLIT, range(20))}
    expected = bits(DataLoader(host[kind], 4, True, seed=1, device="cpu"))
    data = host[kind].to("cuda")
    assert data.device == backend.device
    loader = DataLoader(data, 4, True, seed=1, num_workers=2, pin_memory=True)
    first = list(loader)
    loader.set_epoch(0)
    world = backend.module.world
    waits, started = world.waits, world.started
    batches = list(loader)
    assert world.waits == waits  # no synchronisation
    assert world.started == started + 1  # the order of the epoch
    assert threads() == []
    assert bits(batches) == bits(first) == expected
    given = DataLoader(data, batch_sampler=[[3, 1], [2]])
    waits = world.waits
    batches = list(given)
    assert world.waits == waits
    assert bits(batches) == bits(DataLoader(host[kind], batch_sampler=[[3, 1], [2]], device="cpu"))


def test_data_on_the_emulated_device():
    data, expected = SPLIT.to("emulated"), bits(DataLoader(SPLIT, 6, True, seed=2, device="cpu", transform=noise_free))
    loader = DataLoader(data, 6, True, seed=2, transform=noise_free)
    batches = list(loader)
    assert {str(part.device) for batch in batches for part in batch} == {"emulated"}
    assert bits(batches) == expected
    assert bits(DataLoader(SPLIT, 6, True, seed=2, device="emulated", num_workers=2, transform=noise_free)) == expected


def noise_free(images, labels, rng):
    return images * gf.tensor(rng.random((len(labels), 1, 1, 1), np.float32), device=images.device), labels


# -- arguments -------------------------------------------------------------------------------------------------------

ORDER = RandomSampler(range(3))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"batch_size": 0}, r"\[DataLoader\] batch_size must be at least 1, got 0"),
        ({"batch_size": 2.5}, "batch_size must be at least 1, got 2.5"),
        ({"sampler": ORDER, "shuffle": True}, "a sampler gives the order"),
        ({"batch_sampler": [[0]], "batch_size": 2}, "a batch_sampler makes the batches"),
        ({"batch_sampler": [[0]], "shuffle": True}, "a batch_sampler makes the batches"),
        ({"batch_sampler": [[0]], "sampler": ORDER}, "a batch_sampler makes the batches"),
        ({"batch_sampler": [[0]], "drop_last": True}, "a batch_sampler makes the batches"),
        ({"batch_size": None, "drop_last": True}, "no last one"),
        ({"num_workers": -1}, "not negative"),
        ({"timeout": -1}, "not negative"),
        ({"prefetch_factor": 2}, "num_workers > 0"),
        ({"prefetch_factor": 0, "num_workers": 1}, "positive"),
        ({"persistent_workers": True}, "num_workers > 0"),
        ({"seed": -1}, "the seed is an integer that is not negative, got -1"),
        ({"seed": 0, "shuffle": True, "generator": gf.Generator(0)}, "give one of them"),
        ({"dataset": Stream(), "shuffle": True}, "an order of its own"),
        ({"dataset": Stream(), "sampler": ORDER}, "an order of its own"),
        ({"dataset": Stream(), "batch_sampler": [[0]]}, "an order of its own"),
    ],
)
def test_arguments_that_do_not_go_together(options, reason: str):
    with pytest.raises(ValueError, match=reason):
        DataLoader(**{"dataset": SPLIT, **options})


def test_a_generator_of_another_library_is_refused():
    with pytest.raises(TypeError, match=r"is a gf\.Generator"):
        DataLoader(SPLIT, generator=np.random.default_rng(0))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"num_workers": "2"}, r"\[DataLoader\] num_workers is an integer, got '2'"),
        ({"num_workers": 1, "prefetch_factor": 1.5}, "prefetch_factor is an integer, got 1.5"),
        ({"transform": 5}, "transform is a function, got int"),
        ({"collate_fn": "list"}, "collate_fn is a function, got str"),
        ({"dataset": iter([1])}, "a list_iterator has no __len__; define it, .* IterableDataset"),
    ],
)
def test_arguments_of_another_type(options, reason: str):
    with pytest.raises(TypeError, match=reason):
        DataLoader(**{"dataset": SPLIT, **options})


def test_epochs_are_not_negative():
    with pytest.raises(ValueError, match="numbered from 0, got -1"):
        DataLoader(SPLIT).set_epoch(-1)
