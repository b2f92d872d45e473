"""Several augmentations as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...tensor import Tensor
from .base import Transform


@dataclass(frozen=True)
class Compose:
    """All of `transforms`, one after the other; none leave a batch as it is."""

    transforms: Sequence[Transform]

    def __post_init__(self) -> None:
        object.__setattr__(self, "transforms", _callables("Compose", self.transforms))

    def __call__(self, images: Tensor, labels: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        for transform in self.transforms:
            images, labels = transform(images, labels, rng)
        return images, labels


@dataclass(frozen=True)
class RandomChoice:
    """One of `transforms` for each batch, all as probable. Draws an integer in [0, their number), then what it does."""

    transforms: Sequence[Transform]

    def __post_init__(self) -> None:
        object.__setattr__(self, "transforms", _callables("RandomChoice", self.transforms))
        if not self.transforms:
            raise ValueError("[RandomChoice] there is nothing to choose from; give at least one transform")

    def __call__(self, images: Tensor, labels: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        return self.transforms[int(rng.integers(len(self.transforms)))](images, labels, rng)


def _callables(name: str, transforms: Sequence[Transform]) -> tuple[Transform, ...]:
    if callable(transforms) or not all([callable(t) for t in transforms]):
        raise TypeError(f"[{name}] transforms must be a list of functions (images, labels, rng), got {transforms!r}")
    return tuple(transforms)


__all__ = ["Compose", "RandomChoice"]
