"""What a training run reports: scores, where it stands, and why it ended."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


class DivergedError(ArithmeticError):
    """The loss, or a gradient, became infinite or NaN."""


@dataclass(frozen=True)
class Scores:
    """Mean loss (nats) and share of right answers, in [0, 1], over a number of images."""

    loss: float
    accuracy: float


@dataclass(frozen=True)
class StepReport:
    """Where an epoch stands.

    epoch, epochs     the number of this epoch, from 1, and of those to come in all (None: until the time is up)
    step              optimiser steps taken since the start of the run
    seen, images      how many images of this epoch have been seen, and how many it has
    scores            over the images seen in this epoch, as the weights changed
    images_per_second of this epoch so far
    lr                the learning rate of the last step
    memory            bytes in use on the device, None where unknown
    seconds_left      to the end of the run at the pace so far, None where unknown
    """

    epoch: int
    epochs: int | None
    step: int
    seen: int
    images: int
    scores: Scores
    images_per_second: float
    lr: float
    memory: int | None = None
    seconds_left: float | None = None


@dataclass(frozen=True)
class EpochReport:
    """A finished epoch: scores in training (as the weights changed) and on the test images (None: not evaluated).

    `seconds` and `images_per_second` are those of training, without the evaluation; the others are StepReport's.
    """

    epoch: int
    epochs: int | None
    step: int
    train: Scores
    test: Scores | None
    lr: float
    seconds: float
    images_per_second: float
    memory: int | None = None
    seconds_left: float | None = None


def best(history: Sequence[EpochReport]) -> EpochReport | None:
    """The first report with the highest test accuracy; None where no test was made, or none gave a number."""
    tested = [(r.test.accuracy, r) for r in history if r.test is not None and not math.isnan(r.test.accuracy)]
    return max(tested, key=lambda pair: pair[0], default=(0.0, None))[1]
