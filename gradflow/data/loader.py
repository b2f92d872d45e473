"""Cutting a split into batches of Tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ..backend import DeviceLike
from ..creation import as_tensor, randint
from ..tensor import Tensor
from .dataset import Split

Transform = Callable[[np.ndarray, np.random.Generator], np.ndarray]


class DataLoader:
    """Batches `(images, labels)` of a split as Tensors on `device`: float32 (n, c, h, w) and int64 (n,).

    Each `for` over a loader is an epoch. With `shuffle` every epoch has an order of its own, which follows from `seed`
    and the epoch's number alone, the same on every device; without a seed it follows from `gf.manual_seed`.
    `transform(images, rng)` may change the images of a batch, on the host. `drop_last` leaves out a last batch that is
    not full. `len()` is the number of batches.
    """

    def __init__(
        self,
        split: Split,
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        drop_last: bool = False,
        seed: int | None = None,
        device: DeviceLike = None,
        transform: Transform | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"[DataLoader] batch_size must be at least 1, got {batch_size}")
        self.split = split
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.seed = int(randint(0, 2**31 - 1, (1,), device="cpu").item()) if seed is None else seed
        self.device = device
        self.transform = transform
        self.epoch = 0

    def __len__(self) -> int:
        count = len(self.split)
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        rng = np.random.default_rng((self.seed, self.epoch))
        self.epoch += 1
        order = rng.permutation(len(self.split)) if self.shuffle else np.arange(len(self.split))
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            # Indexing with an array copies, so that no Tensor shares memory with the data set.
            chosen = order[start : start + self.batch_size]
            images, labels = self.split.images[chosen], self.split.labels[chosen]
            if self.transform is not None:
                images = self.transform(images, rng)
            yield as_tensor(images, device=self.device), as_tensor(labels, device=self.device)
