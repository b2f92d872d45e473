"""The loader's threads: how far ahead they go, what they raise, and that they end."""

from __future__ import annotations

import ctypes
import gc
import threading
import traceback
import weakref
from typing import Any

import numpy as np
import pytest

from gradflow.data import DataLoader, Dataset, IterableDataset, prefetch

WAIT = 10  # seconds after which something that ought to happen counts as not happening


class Watched(Dataset):
    """Samples 0 to n - 1, each after look(i)."""

    def __init__(self, look: Any = lambda i: None, count: int = 40) -> None:
        self.look, self.count = look, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> int:
        self.look(index)
        return index


def workers() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("gradflow-loader")]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    gc.collect()
    for thread in workers():
        thread.join(WAIT)
    assert workers() == []


def test_threads_work_side_by_side_and_give_their_results_in_order():
    meeting = threading.Barrier(2)
    found = [b.tolist() for b in DataLoader(Watched(lambda i: meeting.wait(WAIT), count=8), num_workers=2)]
    assert found == [[i] for i in range(8)]


@pytest.mark.parametrize(("count", "factor", "ahead"), [(1, None, 2), (3, None, 6), (2, 4, 8), (1, 1, 1)])
def test_they_go_so_far_ahead_and_no_farther(count: int, factor: int | None, ahead: int):
    taken, reached = 0, threading.Event()

    def look(index: int) -> None:
        assert index <= taken + ahead
        if index == taken + ahead:
            reached.set()

    for batch in DataLoader(Watched(look), num_workers=count, prefetch_factor=factor):
        if taken + ahead < 40:
            assert reached.wait(WAIT)
        reached.clear()
        taken = batch.item() + 1
    assert taken == 40


def collect(loader: DataLoader, found: list[Any]) -> None:
    for batch in loader:
        found.append(batch if isinstance(batch, list) else batch.tolist())


class BrokenError(Exception):
    pass


def broken(index: int) -> None:
    if index == 7:
        raise BrokenError("sample 7")


@pytest.mark.parametrize("count", [0, 1, 3])
def test_an_error_comes_in_its_turn_with_its_traceback(count: int):
    found: list[Any] = []
    loader = DataLoader(Watched(broken), 2, num_workers=count)
    with pytest.raises(BrokenError, match="sample 7") as caught:
        collect(loader, found)
    assert found == [[0, 1], [2, 3], [4, 5]]
    assert "broken" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert loader.state_dict() == {"seed": 0, "epoch": 0, "batch": 3}  # to be tried again
    del caught


@pytest.mark.parametrize("count", [0, 2])
def test_errors_of_samplers_collate_functions_and_iterators_too(count: int):
    def numbers():
        yield from range(4)
        raise BrokenError("no more")

    class Stream(IterableDataset):
        def __iter__(self):
            return numbers()

    def collate(samples: list[int]) -> Any:
        broken(samples[-1])
        return samples

    cases = {
        "sampler": (DataLoader(Watched(), 2, sampler=numbers(), num_workers=count), [[0, 1], [2, 3]]),
        "iterator": (DataLoader(Stream(), 2, num_workers=count), [[0, 1], [2, 3]]),
        "collate": (DataLoader(Watched(), 4, collate_fn=collate, num_workers=count), [[0, 1, 2, 3]]),
    }
    for name, (loader, expected) in cases.items():
        found: list[Any] = []
        with pytest.raises(BrokenError):
            collect(loader, found)
        assert found == expected, name


def test_stop_iteration_in_a_data_set_is_an_error_and_no_end():
    def look(index: int) -> None:
        if index == 5:
            next(iter(()))

    for count in (0, 2):
        with pytest.raises(RuntimeError, match="StopIteration"):
            list(DataLoader(Watched(look), num_workers=count))


def test_leaving_the_loop_ends_them():
    loader = DataLoader(Watched(), 2, num_workers=3)
    for _ in loader:
        assert len(workers()) == 3
        break
    assert workers() == []

    def fails() -> None:
        for _ in loader:
            raise BrokenError

    with pytest.raises(BrokenError):
        fails()
    gc.collect()
    assert workers() == []


def test_what_was_not_begun_when_the_loop_is_left_is_not_done(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(prefetch, "PATIENCE", 0.01)
    seen, go_on = [], threading.Event()

    def look(index: int) -> None:
        seen.append(index)
        if index:
            go_on.wait(WAIT)

    for _ in DataLoader(Watched(look), num_workers=1, prefetch_factor=8):
        break
    go_on.set()
    for thread in workers():
        thread.join(WAIT)
    assert seen in ([0], [0, 1])


def test_forgetting_an_iterator_ends_them():
    iterator: Any = iter(DataLoader(Watched(), num_workers=2))
    next(iterator)
    assert len(workers()) == 2
    del iterator
    assert workers() == []

    class Ring:
        pass

    ring: Any = Ring()
    ring.iterator, ring.itself = iter(DataLoader(Watched(), num_workers=2)), ring
    next(ring.iterator)
    del ring
    gc.collect()
    assert workers() == []


def test_batches_are_not_kept():
    class Batch:
        pass

    made: list[Any] = []

    def collate(samples: list[int]) -> Batch:
        batch = Batch()
        made.append(weakref.ref(batch))
        return batch

    batch = None
    for batch in DataLoader(Watched(), 4, collate_fn=collate, num_workers=2, prefetch_factor=1):  # noqa: B007
        assert sum([ref() is not None for ref in made]) <= 3  # two ahead, and this one
    assert len(made) == 10 and isinstance(batch, Batch)
    del batch
    assert [ref() for ref in made] == [None] * 10


def test_a_thread_that_waits_keeps_no_batch():
    class Batch:
        pass

    gone = threading.Semaphore(0)

    def collate(samples: list[int]) -> Batch:
        batch = Batch()
        weakref.finalize(batch, gone.release)
        return batch

    loader = DataLoader(Watched(), 4, collate_fn=collate, num_workers=2, persistent_workers=True)
    assert sum([isinstance(batch, Batch) for batch in loader]) == 10
    assert all([gone.acquire(timeout=1) for _ in range(10)])
    assert len(workers()) == 2


@pytest.mark.parametrize("persistent", [False, True])
def test_worker_init_fn_is_called_once_a_thread(persistent: bool):
    started: list[tuple[int, str]] = []

    def start(number: int) -> None:
        started.append((number, threading.current_thread().name))

    loader = DataLoader(Watched(), 10, num_workers=2, worker_init_fn=start, persistent_workers=persistent)
    for _ in range(3):
        assert len(list(loader)) == 4
    kept = workers()
    assert len(kept) == (2 if persistent else 0)
    assert sorted(started) == [(i, f"gradflow-loader-{i}") for i in range(2) for _ in range(1 if persistent else 3)]
    del loader
    gc.collect()
    for thread in kept:
        thread.join(WAIT)
    assert workers() == []


def test_an_error_of_worker_init_fn_arrives():
    def start(number: int) -> None:
        raise BrokenError("not today")

    with pytest.raises(BrokenError, match="not today"):
        list(DataLoader(Watched(), num_workers=2, worker_init_fn=start))


def test_a_data_set_that_hangs_runs_into_the_timeout(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(prefetch, "PATIENCE", 0.01)
    go_on = threading.Event()

    def look(index: int) -> None:
        if index == 3:
            go_on.wait(WAIT)

    found: list[Any] = []
    with pytest.raises(RuntimeError, match=r"no batch came within the timeout of 0\.05 seconds"):
        collect(DataLoader(Watched(look), num_workers=1, timeout=0.05), found)
    go_on.set()
    assert found == [[0], [1], [2]]


def kill(thread: threading.Thread) -> None:
    assert (
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(SystemExit)) == 1
    )


@pytest.mark.parametrize("persistent", [False, True])
def test_threads_that_are_killed_do_not_hang_the_loop(monkeypatch: pytest.MonkeyPatch, persistent: bool):
    monkeypatch.setattr(prefetch, "POLL", 0.01)
    monkeypatch.setattr(threading, "excepthook", lambda args: None)
    done = threading.Semaphore(0)
    loader = DataLoader(
        Watched(lambda i: done.release()), num_workers=2, prefetch_factor=1, persistent_workers=persistent
    )
    iterator = iter(loader)
    next(iterator)
    for _ in range(3):
        assert done.acquire(timeout=WAIT)
    for thread in workers():  # both wait for work, and die when they get some
        kill(thread)
    with pytest.raises((RuntimeError, SystemExit)):
        list(iterator)
    assert [batch.item() for batch in loader] == list(range(40))  # with new threads
    del iterator


def test_a_killed_call_is_passed_on():
    def look(index: int) -> None:
        if index == 3:
            kill(threading.current_thread())

    with pytest.raises(SystemExit):
        list(DataLoader(Watched(look), num_workers=2))


def test_two_loops_over_one_loader_do_not_disturb_each_other():
    loader = DataLoader(Watched(), 4, True, seed=0, num_workers=2, persistent_workers=True)
    pairs = [(a.tolist(), b.tolist()) for a, b in zip(loader, loader, strict=True)]
    for epoch in range(2):
        order = [i for pair in pairs for i in pair[epoch]]
        assert order == np.random.default_rng((0, epoch)).permutation(40).tolist()
