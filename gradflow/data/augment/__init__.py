"""Random changes to batches of images, made where the images are: the `transform` of a `DataLoader`.

Each is a small frozen dataclass, called as `(images, labels, rng) -> (images, labels)`: images are a floating Tensor
(n, channels, height, width), labels int64 (n,) or, after `Mixup` and `CutMix`, floats (n, classes).

Random numbers are drawn on the host, from `rng` alone, in an order and number that depend on the shape of the images
only (but for rejections inside of NumPy's beta distribution), so that one seed means the same on every device and in
every dtype. All else happens on the images' device, which the host does not wait for. Nothing is recorded for
gradients, nothing is changed in place, dtype and shape stay. 16-bit images are computed with in float32.

`Compose` runs several, `RandomChoice` one of several, and `parse_augment` makes them of names.
"""

from __future__ import annotations

from .base import Augmentation, Transform
from .color import ColorJitter, Normalize
from .compose import Compose, RandomChoice
from .geometry import Cutout, RandomCrop, RandomHorizontalFlip, RandomRotation, RandomShift
from .mixing import CutMix, Mixup
from .names import parse_augment

__all__ = [
    "Augmentation",
    "ColorJitter",
    "Compose",
    "CutMix",
    "Cutout",
    "Mixup",
    "Normalize",
    "RandomChoice",
    "RandomCrop",
    "RandomHorizontalFlip",
    "RandomRotation",
    "RandomShift",
    "Transform",
    "parse_augment",
]
