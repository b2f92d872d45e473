"""What can be chosen about a training run."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..data import Dataset

SMALL = 10_000  # training images: fewer need more epochs, and shifted copies to learn from
OPTIMIZERS = ("adam", "sgd")


@dataclass(frozen=True)
class Settings:
    """How to train. `lr` is the highest learning rate of the schedule; `shift`, in pixels, moves images at random.

    "adam" is Adam with PyTorch's defaults; "sgd" has momentum 0.9 and weight decay 5e-4.
    """

    epochs: int
    batch_size: int
    lr: float
    optimizer: str = "adam"
    shift: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 1), ("shift", 0), ("seed", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"[train] {name} must be at least {least}, got {getattr(self, name)}")
        if not (self.lr > 0 and math.isfinite(self.lr)):
            raise ValueError(f"[train] lr must be positive, got {self.lr}")
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"[train] optimizer must be one of {', '.join(OPTIMIZERS)}, got {self.optimizer!r}")


def default_settings(
    dataset: Dataset,
    *,
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    optimizer: str = "adam",
    seed: int = 0,
) -> Settings:
    """Settings that suit the default CNN on a data set; what is given replaces them."""
    small = len(dataset.train) < SMALL
    return Settings(
        epochs=epochs if epochs is not None else 30 if small else 5,
        batch_size=batch_size if batch_size is not None else 64 if small else 128,
        lr=lr if lr is not None else 0.1 if optimizer == "sgd" else 5e-3,
        optimizer=optimizer,
        shift=1 if small else 0,
        seed=seed,
    )
