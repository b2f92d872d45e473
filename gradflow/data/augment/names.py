"""Augmentations by name, as a command line has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .base import Augmentation, Transform
from .color import ColorJitter
from .compose import Compose, RandomChoice
from .geometry import Cutout, RandomCrop, RandomHorizontalFlip, RandomRotation, RandomShift
from .mixing import CutMix, Mixup

NAMES = {
    "flip": "mirror images with this probability (0.5)",
    "crop": "crop images padded by so many pixels of their reflection (an eighth of the side)",
    "shift": "move half of the images by up to so many pixels, zeros coming in (1)",
    "rotate": "turn images by up to so many degrees (15)",
    "color": "change brightness, contrast and saturation by up to this share (0.2)",
    "cutout": "blacken a square of so many pixels a side (a quarter of the side)",
    "mixup": "mix images and labels in pairs, by Beta(alpha, alpha) of this alpha (0.2)",
    "cutmix": "put a box of another image in, as large as Beta(alpha, alpha) of this alpha says (1)",
}
"""What each name does, with its value, and the default of that; in the order in which they are applied."""


def parse_augment(names: str | Sequence[str], num_classes: int, input_shape: tuple[int, int, int]) -> Compose:
    """The augmentations that `names` name, each as "name" or "name=value": ["flip", "crop=4"], or "flip,crop=4".

    names         those of `NAMES`, each once; they are applied in the order of NAMES, whatever the order they are
                  given in: moves first, then colours, holes and mixtures. Where both "mixup" and "cutmix" are asked
                  for, each batch gets one of them, chosen by a draw of its generator.
    num_classes   how many classes there are, which mixed labels need
    input_shape   (channels, height, width) of an image, which all must fit

    Raises ValueError for a name that there is not or that comes twice, and a value that is none for it.
    """
    makers, given = _makers(num_classes, input_shape), _split(names)
    made: dict[str, Augmentation] = {}
    for name in [n for n in NAMES if n in given]:
        value, make = given[name], makers[name]
        try:
            made[name] = make() if value is None else make(_number(value))
            made[name].check_shape(input_shape)
        except ValueError as error:
            asked = name if value is None else f"{name}={value}"
            raise ValueError(f"[augment] {asked}: {error} ({name}=VALUE: {NAMES[name]})") from None
    mixtures = [made.pop(name) for name in ("mixup", "cutmix") if name in made]
    last: list[Transform] = [RandomChoice(mixtures)] if len(mixtures) == 2 else [*mixtures]
    return Compose([*made.values(), *last])


def _makers(num_classes: int, input_shape: tuple[int, int, int]) -> dict[str, Callable[..., Augmentation]]:
    """What makes the augmentation of each name, from its value or without one."""
    side = min(input_shape[1:])

    def crop(padding: int = min(max(1, side // 8), side - 1)) -> Augmentation:
        return RandomCrop(padding)

    def cutout(size: int = max(1, side // 4)) -> Augmentation:
        return Cutout(size)

    def rotate(degrees: float = 15.0) -> Augmentation:
        return RandomRotation(degrees)

    def color(share: float = 0.2) -> Augmentation:
        return ColorJitter(share, share, share)

    def mixup(alpha: float = 0.2) -> Augmentation:
        return Mixup(alpha, num_classes)

    def cutmix(alpha: float = 1.0) -> Augmentation:
        return CutMix(alpha, num_classes)

    return {
        "flip": RandomHorizontalFlip, "crop": crop, "shift": RandomShift, "rotate": rotate, "color": color,
        "cutout": cutout, "mixup": mixup, "cutmix": cutmix,
    }  # fmt: skip


def _split(names: str | Sequence[str]) -> dict[str, str | None]:
    """The value given with each name, or None."""
    texts = [names] if isinstance(names, str) else names
    given: dict[str, str | None] = {}
    for part in [part.strip() for text in texts for part in text.split(",") if part.strip()]:
        name, equals, value = part.partition("=")
        if name not in NAMES:
            raise ValueError(f"[augment] there is no {name!r}; there are {', '.join(NAMES)}")
        if name in given:
            raise ValueError(f"[augment] {name} is given twice")
        given[name] = value if equals else None
    return given


def _number(text: str) -> int | float:
    """Raises ValueError for what is no number."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    raise ValueError(f"{text!r} is no number")


__all__ = ["NAMES", "parse_augment"]
