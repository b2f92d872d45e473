"""Making one batch of a data set on the host, or where the data set is: the part of loading that threads do ahead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..backend.base import Backend, Device
from ..creation import as_tensor
from . import collate as collating
from .dataset import Subset, TensorDataset, gather_of
from .images import Split


class Fetch:
    """fetch(job): the batch of the indices `job`, or, where not `batched`, the sample `dataset[job]`, collated.

    Arrays of the result are the caller's to keep: the data set's own are copied (into pinned memory with `pin`), but
    where `backend` will copy them to its device anyway. `moving`: whether tensors on the host go to that device too.
    """

    def __init__(
        self,
        dataset: Any,
        collate_fn: Callable[[Any], Any] | None,
        *,
        batched: bool,
        backend: Backend,
        pin: bool,
        moving: bool,
    ) -> None:
        default = collating.default_collate if batched else collating.default_convert
        self.collate_fn = None if collate_fn is default else collate_fn
        self.dataset, self.batched, self.backend = dataset, batched, backend
        self.pin = pin and backend.device.type == "cuda"
        self.moving = moving
        self.gather = gather_of(dataset) if batched else None
        self.fresh = _gathers_copies(dataset)
        place = residence(dataset)
        self.index_on = place if self.gather is not None and self.collate_fn is None else None
        """The device that indices are wanted on; None where it is the host."""

    def __call__(self, job: Any) -> Any:
        if not self.batched:
            return self.collated(self.dataset[job])
        data = None if self.gather is None else self.gather(self._index(job))
        if data is not None and not isinstance(data, list):
            if self.collate_fn is None:
                return self._owned(data, fresh=self.fresh)
            self.gather = None  # a collate_fn is given samples, which this cannot do
        if not isinstance(data, list):
            data = [self.dataset[i] for i in (job.tolist() if hasattr(job, "tolist") else job)]
        return self.collated(data)

    def collated(self, data: Any) -> Any:
        """The batch that a list of samples makes; of a single sample, where not `batched`, what is given out."""
        if self.collate_fn is not None:
            return self._owned(self.collate_fn(data))
        return self._owned(collating.collate(data), fresh=True) if self.batched else self._owned(data)

    def _index(self, job: Any) -> Any:
        return np.asarray(job) if self.index_on is None else as_tensor(job, device=self.index_on)

    def _owned(self, data: Any, fresh: bool = False) -> Any:
        if self.pin:
            return collating.pinned(data, self.backend, self.moving)
        return data if fresh or self.backend.device.type != "cpu" else collating.own(data)


def _gathers_copies(dataset: Any) -> bool:
    """Whether what a data set gathers is known to be nobody else's: that of these classes, but not of others'."""
    while type(dataset) is Subset:
        dataset = dataset.dataset
    return type(dataset) in (Split, TensorDataset)


def residence(dataset: Any) -> Device | None:
    """The device that a data set keeps its samples on, None where that is the host."""
    place = getattr(dataset, "device", None)
    return place if isinstance(place, Device) and place.type != "cpu" else None
