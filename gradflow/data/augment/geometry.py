"""Images mirrored, moved and turned, and holes in them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...amp import autocast
from ...functions import where
from ...nn.functional import affine_grid, grid_sample, pad
from ...ops.gather import assign
from ...ops.index import ARRAY, getitem
from ...tensor import Tensor
from .base import ALL, Augmentation, Span, check_number, check_pair, placed, wide

PADDING_MODES = {"reflect": "reflect", "edge": "replicate", "constant": "constant"}
"""torchvision's names for padding, and those of `nn.functional.pad`."""


@dataclass(frozen=True)
class RandomHorizontalFlip(Augmentation):
    """Each image mirrored, left for right, with probability p.

    Draws n uniforms in [0, 1); those below p flip.
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        check_number(self, "p", self.p, 0, 1)

    def on_images(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        flipped = rng.random(len(images)) < self.p
        return where(placed(flipped.reshape(-1, 1, 1, 1), images), images[:, :, :, ::-1], images)


@dataclass(frozen=True)
class RandomCrop(Augmentation):
    """Each image moved by up to `padding` pixels up or down and left or right: a crop of the padded image.

    padding_mode  what lies outside: "reflect", the image mirrored at its outermost pixels, which are not repeated and
                  must be more than `padding`; "edge", its outermost pixels; "constant", zeros

    Draws integers (2, n) in [0, 2 padding]: the first row and column of each crop; `padding` leaves an image in place.
    """

    padding: int
    padding_mode: str = "reflect"

    def __post_init__(self) -> None:
        check_number(self, "padding", self.padding, 0, whole=True)
        if self.padding_mode not in PADDING_MODES:
            known = ", ".join([repr(mode) for mode in PADDING_MODES])
            raise ValueError(f"[RandomCrop] padding_mode must be {known}, got {self.padding_mode!r}")

    def check_shape(self, shape: tuple[int, int, int]) -> None:
        if self.padding_mode == "reflect" and self.padding >= min(shape[1:]):
            raise ValueError(
                f"[RandomCrop] an image of {shape[1]} x {shape[2]} pixels has no reflection {self.padding} pixels "
                f"wide; use a padding below {min(shape[1:])}, or padding_mode='edge' or 'constant'"
            )

    def on_images(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        first = rng.integers(0, 2 * self.padding + 1, size=(2, len(images)))
        return _crops(images, first, self.padding, PADDING_MODES[self.padding_mode])


@dataclass(frozen=True)
class RandomShift(Augmentation):
    """About a `share` of the images moved by up to `pixels` each way, with zeros coming in: for digits and the like.

    Draws integers (2, n) in [0, 2 pixels], as RandomCrop does, then n uniforms in [0, 1); those below `share` move.
    """

    pixels: int = 1
    share: float = 0.5

    def __post_init__(self) -> None:
        check_number(self, "pixels", self.pixels, 0, whole=True)
        check_number(self, "share", self.share, 0, 1)

    def on_images(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        first = rng.integers(0, 2 * self.pixels + 1, size=(2, len(images)))
        moved = rng.random(len(images)) < self.share
        return _crops(images, np.where(moved, first, self.pixels), self.pixels, "constant")


@dataclass(frozen=True)
class Cutout(Augmentation):
    """A square of size x size pixels set to zero in each image, cut off where it leaves it (DeVries & Taylor, 2017).

    Every pixel is the square's centre with the same probability; size // 2 of its rows are above the centre's.
    Draws n integers in [0, height), the centres' rows, then n in [0, width), their columns.
    """

    size: int

    def __post_init__(self) -> None:
        check_number(self, "size", self.size, 1, whole=True)

    def on_images(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        n, _, height, width = images.shape
        rows, columns = [self._side(rng.integers(0, size, n), size) for size in (height, width)]
        places = [placed(i, images) for i in (np.arange(n)[:, None, None], rows[:, :, None], columns[:, None])]
        return assign(images, 0.0, *places, spec=(ARRAY, ALL, ARRAY, ARRAY))

    def _side(self, centres: np.ndarray, n: int) -> np.ndarray:
        """The rows, or columns, of each square, in an image of n: those outside are moved onto the edge.

        The edge is then in the square too, as the centre is in the image.
        """
        reach = np.arange(-min(self.size // 2, n), min(self.size - self.size // 2, n))
        return np.clip(centres[:, None] + reach, 0, n - 1)


@dataclass(frozen=True)
class RandomRotation(Augmentation):
    """Each image turned about its centre, counter-clockwise by an angle in [-degrees, degrees], or between a pair.

    padding_mode  what lies outside: "zeros", or the image's "reflection"

    Pixels between those of the image are read by bilinear interpolation. Draws n uniforms, the angles in degrees.
    """

    degrees: float | Span
    padding_mode: str = "zeros"

    def __post_init__(self) -> None:
        if self.padding_mode not in ("zeros", "reflection"):
            raise ValueError(
                f"[RandomRotation] padding_mode must be 'zeros' or 'reflection', got {self.padding_mode!r}"
            )
        self._span()

    def _span(self) -> Span:
        if isinstance(self.degrees, Sequence):
            return check_pair(self, "degrees", self.degrees, -math.inf)
        check_number(self, "degrees", self.degrees, 0)
        return -self.degrees, self.degrees

    def on_images(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        n, _, height, width = images.shape
        angles = np.radians(rng.uniform(*self._span(), n))
        if not n:
            return images
        # The pixel at (x, y) from the centre, y downwards, comes from (x cos - y sin, x sin + y cos); affine_grid
        # measures x in widths and y in heights.
        theta = np.zeros((n, 2, 3))
        theta[:, 0, 0] = theta[:, 1, 1] = np.cos(angles)
        theta[:, 0, 1] = -np.sin(angles) * (height / width)
        theta[:, 1, 0] = np.sin(angles) * (width / height)
        x = wide(images)
        with autocast(images.device.type, enabled=False):  # places need more digits than 16 bits have
            grid = affine_grid(placed(theta, images, x.dtype), tuple(x.shape), align_corners=False)
            y = grid_sample(x, grid, padding_mode=self.padding_mode, align_corners=False)
        return y.to(images.dtype)


def _crops(images: Tensor, first: np.ndarray, padding: int, mode: str) -> Tensor:
    """The part of each image, padded all around, that begins at its row first[0] and column first[1]: one gather."""
    height, width = images.shape[2:]
    windows = pad(images, (padding,) * 4, mode).unfold(2, height, 1).unfold(3, width, 1)
    places = [placed(index, images) for index in (np.arange(len(images)), *first)]
    return getitem(windows, *places, spec=(ARRAY, ALL, ARRAY, ARRAY))


__all__ = ["Cutout", "RandomCrop", "RandomHorizontalFlip", "RandomRotation", "RandomShift"]
