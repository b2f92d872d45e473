"""Batches of a data set, as Tensors on a device, made ahead by threads, in an order that can be gone on with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from itertools import islice, repeat
from typing import Any

import numpy as np

from ..autograd.grad_mode import no_grad
from ..backend import DeviceLike, get_backend
from ..backend.base import Backend, Device
from ..creation import as_tensor, randint
from ..ops.random import Generator, default_generator
from .collate import to_device
from .dataset import IterableDataset
from .fetch import Fetch, residence
from .prefetch import Workers, in_order
from .sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler, ShuffledSampler, batches, chunks

Transform = Callable[..., Any]
"""transform(images, labels, rng) -> (images, labels), Tensors on the device; a NumPy generator of the batch's own."""

END = object()  # stands for the batch after the last one of an iterable data set


class DataLoader:
    """Batches of `dataset` as Tensors on `device`; each `for` over a loader is an epoch.

    Arguments are those of PyTorch's DataLoader, but for the last three; what they mean here:

    shuffle      an order of its own for each epoch, which follows from `seed` and the epoch's number alone, the same
                 on every device; without a seed it is drawn from the default generator. With a `generator`, a
                 RandomSampler draws the order from it
    num_workers  threads, not processes, which index and collate ahead of the loop: prefetch_factor batches each, 2 by
                 default. Batches are the same, and in the same order, for any number of them. They end when the loop
                 ends or is left, unless persistent_workers is set; an iterable data set has one thread at most
    pin_memory   worker threads put batches for a GPU in pinned memory, so that the loop need only start a copy
    collate_fn   is given a list of samples; its arrays, too, become Tensors on the device
    timeout      seconds to wait for a batch of the worker threads; RuntimeError after that; 0: no limit
    device       where batches go; None: tensors stay where they are, all else goes to the default device. A data set
                 that is on a device itself (`split.to("cuda")`) is gathered there, with no threads
    transform    transform(images, labels, rng) of each batch, on the device and under no_grad, returns the batch to
                 give out. `rng` is np.random.default_rng((seed, epoch, batch)), whatever came before

    Data sets with `__getitems__` (Split, TensorDataset, Subset of them) are gathered a batch at a time. No Tensor
    shares memory with an array of the data set.

    `state_dict()` names the batch that the loop is given next, also in the middle of an epoch, and not those that
    threads have ready; after `load_state_dict` the next `for` begins there, with the batches an uninterrupted loader
    would give, bit for bit. With a sampler of your own that holds where the sampler gives the same order again: it is
    iterated from its start and skipped forward, with the generator that it, or the loader, was given (else the default
    generator) put back for that to where it was as the epoch began. Random numbers that the data set itself
    draws are not part of the state; draw them in `transform`.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[Any] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        seed: int | None = None,
        device: DeviceLike = None,
        transform: Transform | None = None,
    ) -> None:
        iterable = isinstance(dataset, IterableDataset)
        _check_order(iterable, batch_size, shuffle, sampler, batch_sampler, drop_last, generator)
        _check_workers(num_workers, timeout, prefetch_factor, persistent_workers)
        _check_functions(collate_fn=collate_fn, transform=transform, worker_init_fn=worker_init_fn)
        own = sampler is None and batch_sampler is None
        self.dataset, self.drop_last, self.generator = dataset, drop_last, generator
        self.num_workers, self.timeout, self.worker_init_fn = num_workers, timeout, worker_init_fn
        self.prefetch_factor = 2 if prefetch_factor is None and num_workers else prefetch_factor
        self.persistent_workers, self.pin_memory, self.collate_fn = persistent_workers, pin_memory, collate_fn
        self.device, self.transform = device, transform
        self.seed = self._chosen_seed(seed, own and bool(shuffle))
        if own and not iterable:
            if not hasattr(dataset, "__len__"):
                raise TypeError(
                    f"[DataLoader] a {type(dataset).__name__} has no __len__; define it, give a sampler, or derive "
                    "from IterableDataset where samples come one after the other"
                )
            sampler = self._own_sampler(bool(shuffle))
        self.sampler = sampler
        self.batch_size = None if batch_sampler is not None else batch_size
        if sampler is not None and batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_sampler = batch_sampler
        self._source = None if own and generator is None else self._find_generator()
        self._start: tuple[int, int] | None = None  # where that generator was as the epoch at hand began
        self._next = 0, 0  # epoch and number of the batch to be given out next
        self._fresh, self._skip = 0, 0  # epoch and first batch of the next `for`
        self._workers: Workers | None = None  # those that persist

    def __len__(self) -> int:
        """The number of batches of a whole epoch. TypeError where the data set or sampler does not know its own."""
        if isinstance(self.dataset, IterableDataset):
            count = len(self.dataset)  # type: ignore[arg-type]
            return count if self.batch_size is None else batches(count, self.batch_size, self.drop_last)
        return len(self.sampler if self.batch_sampler is None else self.batch_sampler)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Any]:
        epoch, first = self._fresh, self._skip
        self._fresh, self._skip = epoch + 1, 0
        self._next = epoch, first
        backend = get_backend(self.device)
        jobs, work = self._plan(epoch, first, backend)
        made: Any = self._made(jobs, work)
        with closing(made):  # the threads end with the loop, however that ends
            for number, data in enumerate(made, first):
                if data is END:
                    break
                yield self._finished(data, epoch, number, backend)
        self._next = epoch + 1, 0

    # -- where it is ---------------------------------------------------------------------------------------------------

    def set_epoch(self, epoch: int) -> None:
        """Have the next `for` be epoch number `epoch`, from its first batch. ValueError where that is negative."""
        if epoch < 0:
            raise ValueError(f"[DataLoader] epochs are numbered from 0, got {epoch}")
        self._go_to(epoch, 0)

    def state_dict(self) -> dict[str, Any]:
        """{"seed", "epoch", "batch"} of the batch that is given out next, and where a generator was, if one is used.

        Plain numbers and lists. The rest (data set, batch size, ...) is for the caller to have again.
        """
        epoch, batch = self._next
        if batch and self._length() == batch:
            epoch, batch = epoch + 1, 0
        state: dict[str, Any] = {"seed": self.seed, "epoch": epoch, "batch": batch}
        if self._source is not None and (batch or self._source is not default_generator):
            state["generator"] = list(self._start if batch and self._start else self._source.state)
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Have the next `for` begin with the batch that a state names. ValueError where that does not fit."""
        try:
            seed, epoch, batch = [int(state_dict[name]) for name in ("seed", "epoch", "batch")]
        except KeyError as error:
            raise ValueError(f"[DataLoader] the state has no {error}; give one that state_dict() returned") from None
        except (TypeError, ValueError) as error:
            raise ValueError(f"[DataLoader] no state: {error}; give one that state_dict() returned") from None
        length = self._length()
        if min(seed, batch, epoch) < 0 or (length is not None and batch > length):
            raise ValueError(
                f"[DataLoader] the state names batch {batch} of epoch {epoch}, but an epoch has {length} batches; "
                "load it with the data and batch size that it was saved with"
            )
        start = state_dict.get("generator")
        if self._source is not None:
            if start is None and (batch or self._source is not default_generator):
                raise ValueError("[DataLoader] the state is of a loader without a generator or sampler; this one has")
            self._start = None if start is None else (int(start[0]), int(start[1]))
            if self._start is not None and self._source is not default_generator:
                self._source.seek(self._start)
        self.seed = seed
        if isinstance(self.sampler, ShuffledSampler):
            self.sampler.seed = seed
        self._go_to(epoch, batch)

    def _go_to(self, epoch: int, batch: int) -> None:
        self._next = epoch, batch
        self._fresh, self._skip = epoch, batch

    def _length(self) -> int | None:
        try:
            return len(self)
        except (TypeError, NotImplementedError):
            return None

    def _chosen_seed(self, seed: int | None, shuffled: bool) -> int:
        if seed is None:  # drawn only where it will be used
            needed = self.transform is not None or (shuffled and self.generator is None)
            limits = 0, 2**31 - 1
            return int(randint(*limits, (1,), generator=self.generator, device="cpu").item()) if needed else 0
        if not isinstance(seed, (int, np.integer)) or seed < 0:
            raise ValueError(f"[DataLoader] the seed is an integer that is not negative, got {seed!r}")
        if shuffled and self.generator is not None:
            raise ValueError(
                "[DataLoader] the order follows from a seed or is drawn from a generator; give one of them"
            )
        return int(seed)

    def _own_sampler(self, shuffle: bool) -> Sampler[int]:
        if not shuffle:
            return SequentialSampler(self.dataset)
        if self.generator is None:
            return ShuffledSampler(self.dataset, self.seed)
        return RandomSampler(self.dataset, generator=self.generator)

    def _find_generator(self) -> Generator:
        """The generator that the order is drawn from, as far as can be seen."""
        inner = getattr(self.batch_sampler, "sampler", None)
        for owner in (self, self.sampler, self.batch_sampler, inner):
            found = getattr(owner, "generator", None)
            if isinstance(found, Generator):
                return found
        return default_generator

    # -- the batches of an epoch ---------------------------------------------------------------------------------------

    def _plan(self, epoch: int, first: int, backend: Backend) -> tuple[Iterator[Any], Callable[[Any], Any]]:
        """What the batches of an epoch are made of, from number `first` on, and the way to make one of that."""
        batched = self.batch_size is not None or self.batch_sampler is not None
        fetch = Fetch(
            self.dataset, self.collate_fn, batched=batched, backend=backend, moving=self.device is not None,
            pin=self.pin_memory and self.num_workers > 0,  # else the backend's copies go through pinned memory
        )  # fmt: skip
        if isinstance(self.dataset, IterableDataset):
            return repeat(None), self._drawn(fetch, first)
        if self._source is None:
            return self._in_own_order(epoch, first, fetch.index_on), fetch
        return self._in_given_order(first), fetch

    def _drawn(self, fetch: Fetch, first: int) -> Callable[[Any], Any]:
        """The way to make the next batch of an iterable data set; END where there is none."""
        samples = iter(self.dataset)
        parts = samples if self.batch_size is None else chunks(samples, self.batch_size, self.drop_last)
        left = islice(parts, first, None)

        def draw(_: Any) -> Any:
            part = next(left, END)
            return part if part is END else fetch.collated(part)

        return draw

    def _in_own_order(self, epoch: int, first: int, index_on: Device | None) -> Iterator[Any]:
        """The indices of each batch, an array; of each sample without a batch size."""
        order: Any = np.arange(len(self.dataset))
        if isinstance(self.sampler, ShuffledSampler):
            self.sampler.epoch = epoch
            order = self.sampler.order()
        size = self.batch_size
        if size is None:
            return iter(order[first:].tolist())
        if index_on is not None:
            order = as_tensor(order, device=index_on)  # once, so that no batch needs a copy
        return (order[i * size : (i + 1) * size] for i in range(first, batches(len(order), size, self.drop_last)))

    def _in_given_order(self, first: int) -> Iterator[Any]:
        """What a sampler gives that draws numbers, or may; those passed over draw what they drew before."""
        source, order = self._source, self.sampler if self.batch_sampler is None else self.batch_sampler
        assert source is not None and order is not None
        now = source.state
        if first and self._start is not None:
            source.seek(self._start)
        self._start = source.state
        jobs = iter(order)
        for _ in islice(jobs, first):
            pass
        if first and source is default_generator:  # from which others have drawn since
            source.seek(now)
        return jobs

    def _made(self, jobs: Iterator[Any], work: Callable[[Any], Any]) -> Iterator[Any]:
        """work(job) of each job, on this thread or ahead of it."""
        if not self.num_workers or residence(self.dataset) is not None:
            for job in jobs:  # and not map(), which would take a StopIteration of `work` for the end
                yield work(job)
            return
        workers = self._workers
        if workers is None or not workers.whole():
            count = 1 if isinstance(self.dataset, IterableDataset) else self.num_workers
            workers = Workers(count, self.worker_init_fn)
        if self.persistent_workers:
            self._workers = workers
        try:
            yield from in_order(workers, work, jobs, self.num_workers * (self.prefetch_factor or 2), self.timeout)
        finally:
            if not self.persistent_workers:
                workers.close()

    def _finished(self, data: Any, epoch: int, number: int, backend: Backend) -> Any:
        """A batch on its device, transformed; the one after it is then next."""
        batch = to_device(data, self.device, backend)
        if self.transform is not None:
            rng = np.random.default_rng((self.seed, epoch, number))
            with no_grad():
                parts = batch if isinstance(batch, (tuple, list)) else (batch,)
                batch = self.transform(*parts, rng)
        self._next = epoch, number + 1
        return batch


def _check_order(
    iterable: bool, batch_size: Any, shuffle: Any, sampler: Any, batch_sampler: Any, drop_last: bool, generator: Any
) -> None:
    """ValueError where arguments that say the order of samples exclude each other."""
    if iterable and (shuffle or sampler is not None or batch_sampler is not None):
        raise ValueError(
            "[DataLoader] an iterable data set has an order of its own: no shuffle, sampler, batch_sampler"
        )
    if sampler is not None and shuffle:
        raise ValueError("[DataLoader] a sampler gives the order; leave out shuffle")
    if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
        raise ValueError(
            "[DataLoader] a batch_sampler makes the batches; leave out batch_size, shuffle, sampler, drop_last"
        )
    if batch_size is None and drop_last:
        raise ValueError("[DataLoader] without batches (batch_size=None) there is no last one for drop_last")
    if batch_size is not None and (not isinstance(batch_size, (int, np.integer)) or batch_size < 1):
        raise ValueError(f"[DataLoader] batch_size must be at least 1, got {batch_size}")
    if generator is not None and not isinstance(generator, Generator):
        raise TypeError(f"[DataLoader] the generator is a gf.Generator, got {type(generator).__name__}")


def _check_functions(**functions: Any) -> None:
    for name, function in functions.items():
        if function is not None and not callable(function):
            raise TypeError(f"[DataLoader] {name} is a function, got {type(function).__name__}")


def _check_workers(num_workers: int, timeout: float, prefetch_factor: int | None, persistent: bool) -> None:
    for name, value in (("num_workers", num_workers), ("prefetch_factor", prefetch_factor or 0)):
        if not isinstance(value, (int, np.integer)):
            raise TypeError(f"[DataLoader] {name} is an integer, got {value!r}")
    if num_workers < 0 or timeout < 0:
        raise ValueError(f"[DataLoader] num_workers and timeout are not negative, got {num_workers} and {timeout}")
    if prefetch_factor is not None and (num_workers == 0 or prefetch_factor < 1):
        raise ValueError(f"[DataLoader] prefetch_factor={prefetch_factor} needs to be positive, and num_workers > 0")
    if persistent and num_workers == 0:
        raise ValueError("[DataLoader] persistent_workers needs num_workers > 0")
