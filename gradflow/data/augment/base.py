"""What all augmentations have in common: their checks, and what they compute with."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

from ...autograd.grad_mode import no_grad
from ...backend.dtypes import float32, is_floating, is_half
from ...creation import as_tensor
from ...tensor import Tensor

Transform = Callable[[Tensor, Tensor, np.random.Generator], tuple[Tensor, Tensor]]
Span = tuple[float, float]

ALL = (None, None, None)  # the slice `:` in the spec of an index


class Augmentation:
    """What all have in common: the checks of images and labels, and a mode that records nothing."""

    def __call__(self, images: Tensor, labels: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Changed images and labels. Raises TypeError and ValueError for what are not images and labels."""
        name = type(self).__name__
        if not isinstance(images, Tensor) or not isinstance(labels, Tensor):
            raise TypeError(
                f"[{name}] images and labels must be Tensors, got {type(images).__name__} and "
                f"{type(labels).__name__}; make them with gf.tensor"
            )
        shape = tuple(images.shape)
        if len(shape) != 4 or 0 in shape[1:] or not is_floating(images.dtype):
            raise ValueError(
                f"[{name}] images must be (n, channels, height, width) of a floating dtype and not without pixels, "
                f"got {shape} {images.dtype}"
            )
        if labels.ndim not in (1, 2) or labels.shape[0] != shape[0]:
            raise ValueError(
                f"[{name}] labels must be (n,) or (n, classes), got {tuple(labels.shape)} for images {shape}"
            )
        self.check_shape((shape[1], shape[2], shape[3]))
        with no_grad():
            return self.on_batch(images, labels, rng)

    def check_shape(self, shape: tuple[int, int, int]) -> None:
        """Raise ValueError where images (channels, height, width) cannot be changed so."""

    def on_batch(self, images: Tensor, labels: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        return self.on_images(images, rng), labels

    def on_images(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        raise NotImplementedError


def placed(array: np.ndarray, like: Tensor, dtype: Any = None) -> Tensor:
    """A host array as a Tensor on the device of `like`: a copy that the host does not wait for."""
    return as_tensor(array, dtype, like.device)


def wide(x: Tensor) -> Tensor:
    """x to compute with: 16-bit floats as float32, so that all devices round once, at the end."""
    return x.to(float32) if is_half(x.dtype) else x


# -- checks of what users give ----------------------------------------------------------------------------------------


def check_number(
    of: Augmentation, name: str, value: Any, low: float, high: float = math.inf, whole: bool = False
) -> None:
    """Raise ValueError for what is not a finite number in [low, high], or not a whole one."""
    fits = isinstance(value, Integral if whole else Real) and not isinstance(value, bool)
    if not fits or not math.isfinite(value) or not low <= value <= high:
        what = "a whole number" if whole else "a number"
        span = f" from {low} to {high}" if high < math.inf else "" if low == -math.inf else f" of at least {low}"
        raise ValueError(f"[{type(of).__name__}] {name} must be {what}{span}, got {value!r}")


def check_pair(of: Augmentation, name: str, values: Sequence[float], low: float) -> Span:
    """Two numbers, the second not below the first."""
    if isinstance(values, str) or len(values) != 2:
        raise ValueError(f"[{type(of).__name__}] {name} must be a number or two, got {values!r}")
    for value in values:
        check_number(of, name, value, low)
    first, last = float(values[0]), float(values[1])
    if first > last:
        raise ValueError(f"[{type(of).__name__}] {name} must be two numbers in order, got {values!r}")
    return first, last
