"""Colours changed at random, and scaled to what networks like."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...tensor import Tensor
from .base import Augmentation, Span, check_number, check_pair, placed, wide

GREY = (0.2989, 0.587, 0.114)  # what red, green and blue count for in grey, as in torchvision


@dataclass(frozen=True)
class ColorJitter(Augmentation):
    """Brightness, contrast and saturation of images in [0, 1] changed, each image's by factors of its own.

    A number v gives factors in [max(0, 1 - v), 1 + v]; a pair gives them in between its numbers; 0 changes nothing.
    With factor f, x becomes f x + (1 - f) y, held in [0, 1], where y is 0 for brightness, the mean of the grey image
    for contrast, and the grey image for saturation: torchvision's operations. Images are grey (one channel; their
    saturation stays) or RGB. Comes before `Normalize`.

    Draws uniforms (3, n), the factors, then a permutation of 3: the order of the changes, one for the whole batch.
    """

    brightness: float | Span = 0.0
    contrast: float | Span = 0.0
    saturation: float | Span = 0.0

    def __post_init__(self) -> None:
        self._spans()

    def _spans(self) -> list[Span]:
        return [self._span(name) for name in ("brightness", "contrast", "saturation")]

    def _span(self, name: str) -> Span:
        value = getattr(self, name)
        if isinstance(value, Sequence):
            return check_pair(self, name, value, 0)
        check_number(self, name, value, 0)
        return max(0.0, 1.0 - value), 1.0 + value

    def check_shape(self, shape: tuple[int, int, int]) -> None:
        if shape[0] not in (1, 3):
            raise ValueError(f"[ColorJitter] images must have 1 channel or 3, red, green and blue; got {shape[0]}")

    def on_images(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        spans, changes = self._spans(), (_brightness, _contrast, _saturation)
        low, high = np.array(spans).T[:, :, None]
        factors = rng.uniform(low, high, (3, len(images)))
        x = wide(images)
        each = placed(factors.reshape(3, -1, 1, 1, 1), images, x.dtype)
        for number in rng.permutation(3).tolist():
            if spans[number] != (1.0, 1.0):
                x = changes[number](x, each[number])
        return x.to(images.dtype)


def _brightness(x: Any, factor: Any) -> Any:
    return (x * factor).clamp(0, 1)


def _contrast(x: Any, factor: Any) -> Any:
    return (x * factor + _grey(x).mean((1, 2, 3), keepdim=True) * (1 - factor)).clamp(0, 1)


def _saturation(x: Any, factor: Any) -> Any:
    return x if x.shape[1] == 1 else (x * factor + _grey(x) * (1 - factor)).clamp(0, 1)


def _grey(x: Any) -> Any:
    """(n, 1, height, width)."""
    if x.shape[1] == 1:
        return x
    red, green, blue = [x[:, i : i + 1] * share for i, share in enumerate(GREY)]
    return red + green + blue


@dataclass(frozen=True)
class Normalize(Augmentation):
    """(x - mean) / std, with a number for each channel, or a single one for all. Draws nothing."""

    mean: Sequence[float]
    std: Sequence[float]

    def __post_init__(self) -> None:
        for name in ("mean", "std"):
            value = getattr(self, name)
            if np.ndim(value) != 1:
                raise ValueError(f"[Normalize] {name} must be numbers, one for each channel, got {value!r}")
            for v in value:
                check_number(self, name, v, -math.inf if name == "mean" else 0)
            object.__setattr__(self, name, tuple([float(v) for v in value]))
        if len(self.mean) != len(self.std) or not self.mean or 0 in self.std:
            raise ValueError(
                f"[Normalize] mean and std must be one number for each channel, std not 0, got {self.mean} and "
                f"{self.std}"
            )

    def check_shape(self, shape: tuple[int, int, int]) -> None:
        if len(self.mean) not in (1, shape[0]):
            raise ValueError(
                f"[Normalize] mean and std are of {len(self.mean)} channels, but the images have {shape[0]}"
            )

    def on_images(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        x = wide(images)
        numbers = placed(np.array([self.mean, self.std]).reshape(2, 1, -1, 1, 1), images, x.dtype)
        return ((x - numbers[0]) / numbers[1]).to(images.dtype)


__all__ = ["ColorJitter", "Normalize"]
