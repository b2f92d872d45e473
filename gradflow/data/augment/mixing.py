"""Images mixed with others of their batch, and their labels with them."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod, sqrt

import numpy as np

from ...backend.dtypes import float32, is_floating
from ...nn.functional import one_hot
from ...ops.gather import assign
from ...ops.index import ARRAY, getitem
from ...tensor import Tensor
from .base import ALL, Augmentation, check_number, placed, wide


@dataclass(frozen=True)
class Mixing(Augmentation):
    """What Mixup and CutMix share: `alpha` of the distribution of the ratio, Beta(alpha, alpha), and the labels.

    Integer labels (n,) become floats (n, num_classes), 1 at the class, in float32, or in the images' dtype if that is
    float64; labels that are floats (n, num_classes) already keep their dtype. Each image's partner is another one of
    the batch, or itself, by a permutation. Raises IndexError for a class out of range (on a GPU when the host next
    waits for it).
    """

    alpha: float
    num_classes: int

    def __post_init__(self) -> None:
        check_number(self, "num_classes", self.num_classes, 1, whole=True)
        check_number(self, "alpha", self.alpha, 0)
        if not self.alpha:
            raise ValueError(f"[{type(self).__name__}] alpha must be above 0; leave the augmentation out instead")

    def draw_ratio(self, rng: np.random.Generator) -> float:
        return float(rng.beta(self.alpha, self.alpha))

    def soft(self, labels: Tensor, dtype: np.dtype) -> Tensor:
        """Labels as (n, num_classes)."""
        if labels.ndim == 1 and labels.dtype.kind in "iu":
            return one_hot(labels, self.num_classes).to(dtype if dtype.itemsize > 4 else float32)
        if labels.ndim == 2 and labels.shape[1] == self.num_classes and is_floating(labels.dtype):
            return labels
        raise ValueError(
            f"[{type(self).__name__}] labels must be integers (n,) or floats (n, {self.num_classes}), "
            f"got {tuple(labels.shape)} {labels.dtype}"
        )


class Mixup(Mixing):
    """x becomes r x + (1 - r) x of its partner, and the labels likewise (Zhang et al., 2018).

    Draws r from Beta(alpha, alpha), one for the batch as in the paper's code, then a permutation of n.
    """

    def on_batch(self, images: Tensor, labels: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        soft, ratio = self.soft(labels, images.dtype), self.draw_ratio(rng)
        partners = placed(rng.permutation(len(images)), images)
        return blend(images, partners, ratio), blend(soft, partners, ratio)


class CutMix(Mixing):
    """A box of each image taken from its partner, and the labels mixed by the areas (Yun et al., 2019).

    Draws r from Beta(alpha, alpha), a row and a column, the box's centre, and a permutation of n: one box for the
    batch, as in the paper's code. Its sides are sqrt(1 - r) times the image's, rounded down to an even number, and cut
    off where it leaves the image. Labels are kept to the share of the image that is: not r, as the box is cut.
    """

    def on_batch(self, images: Tensor, labels: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        soft, ratio = self.soft(labels, images.dtype), self.draw_ratio(rng)
        sides = [_side(n, ratio, int(rng.integers(0, n))) for n in images.shape[2:]]
        partners = placed(rng.permutation(len(images)), images)
        pixels, taken = prod(images.shape[2:]), prod([stop - start for start, stop in sides])
        spec = [(*side, None) for side in sides]
        mixed = assign(images, getitem(images, partners, spec=(ARRAY, ALL, *spec)), spec=(ALL, ALL, *spec))
        return mixed, blend(soft, partners, (pixels - taken) / pixels)


def _side(n: int, ratio: float, centre: int) -> tuple[int, int]:
    """Where a box begins and ends along an axis of n pixels."""
    half = int(n * sqrt(1 - ratio)) // 2
    return max(0, centre - half), min(n, centre + half)


def blend(x: Tensor, partners: Tensor, ratio: float) -> Tensor:
    """ratio x + (1 - ratio) x[partners]."""
    full = wide(x)
    mixed = full * ratio + getitem(full, partners, spec=(ARRAY,)) * (1 - ratio)
    return mixed.to(x.dtype)


__all__ = ["CutMix", "Mixup"]
