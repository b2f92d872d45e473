"""The training loop, as a generator that reports what happened, and the evaluation of a model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from time import perf_counter

from .. import nn, optim
from ..autograd.grad_mode import no_grad
from ..backend import DeviceLike
from ..data import DataLoader, Dataset, Split, random_shift
from ..nn.functional import cross_entropy
from ..tensor import Tensor
from .settings import Settings

WARM_UP = 0.1  # the share of all steps in which the learning rate rises
EVALUATION_BATCH = 500  # images; nothing is recorded, so only speed counts


class DivergedError(ArithmeticError):
    """The loss became infinite or NaN."""


@dataclass(frozen=True)
class Scores:
    """Mean cross-entropy (nats) and share of right answers, in [0, 1], over a number of images."""

    loss: float
    accuracy: float


@dataclass(frozen=True)
class BatchReport:
    """Where an epoch stands: `seen` of its images, their `scores`, images a second so far."""

    epoch: int
    seen: int
    scores: Scores
    images_per_second: float


@dataclass(frozen=True)
class EpochReport:
    """A finished epoch: scores in training (as the weights changed) and on the test split (after it).

    `seconds` and `images_per_second` are those of training, without the evaluation.
    """

    epoch: int
    train: Scores
    test: Scores
    seconds: float
    images_per_second: float


def fit(
    model: nn.Module,
    dataset: Dataset,
    settings: Settings,
    device: DeviceLike = None,
    report_every: float = 0.1,
) -> Iterator[BatchReport | EpochReport]:
    """Train `model`, which is on `device`, by mini-batch gradient descent on cross-entropy; evaluate after each epoch.

    Yields a BatchReport every `report_every` seconds or so and an EpochReport after each epoch. Between two reports the
    weights are whole, so a caller may stop there and keep them. DivergedError where the loss is no longer finite.
    """
    shift = partial(random_shift, pixels=settings.shift) if settings.shift else None
    loader = DataLoader(
        dataset.train, settings.batch_size, shuffle=True, seed=settings.seed, device=device, transform=shift
    )
    optimizer = _optimizer(model, settings)
    step, steps = 0, settings.epochs * len(loader)
    for epoch in range(1, settings.epochs + 1):
        model.train()
        tally = _Tally()
        start = reported = perf_counter()
        for images, labels in loader:
            _set_lr(optimizer, settings.lr * one_cycle(step, steps))
            logits = model(images)
            loss = cross_entropy(logits, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            tally.add(logits, labels, loss)
            now = perf_counter()
            if now - reported >= report_every:
                reported = now
                yield BatchReport(epoch, tally.count, _finite(tally, epoch, settings), tally.count / (now - start))
        scores = _finite(tally, epoch, settings)
        seconds = perf_counter() - start
        test = evaluate(model, dataset.test, device)
        yield EpochReport(epoch, scores, test, seconds, tally.count / seconds)


def evaluate(model: nn.Module, split: Split, device: DeviceLike = None) -> Scores:
    """The scores of a model, which is on `device`, in evaluation mode, in which it is left."""
    model.eval()
    tally = _Tally()
    with no_grad():
        for images, labels in DataLoader(split, EVALUATION_BATCH, seed=0, device=device):
            logits = model(images)
            tally.add(logits, labels, cross_entropy(logits, labels))
    return tally.scores()


def one_cycle(step: int, steps: int) -> float:
    """The share of the highest learning rate at a step of `steps`: a straight rise to 1, then half a cosine towards 0.

    L. N. Smith, Super-convergence, 2017, https://arxiv.org/abs/1708.07120, with the cosine of I. Loshchilov and
    F. Hutter, SGDR, 2017, https://arxiv.org/abs/1608.03983.
    """
    rise = max(1, round(WARM_UP * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / (steps - rise)))


class _Tally:
    """Sums over batches, kept on the device: reading them is what waits for a GPU."""

    def __init__(self) -> None:
        self.count = 0
        self.loss: Tensor | float = 0.0
        self.right: Tensor | int = 0

    @no_grad()
    def add(self, logits: Tensor, labels: Tensor, loss: Tensor) -> None:
        count = len(labels)
        self.count += count
        self.loss = self.loss + loss.detach() * count
        self.right = self.right + (logits.detach().max(dim=1)[1] == labels).sum()

    def scores(self) -> Scores:
        return Scores(float(self.loss) / self.count, float(self.right) / self.count)


def _optimizer(model: nn.Module, settings: Settings) -> optim.Optimizer:
    if settings.optimizer == "sgd":
        return optim.SGD(model.parameters(), lr=settings.lr, momentum=0.9, weight_decay=5e-4)
    return optim.Adam(model.parameters(), lr=settings.lr)


def _set_lr(optimizer: optim.Optimizer, lr: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = lr


def _finite(tally: _Tally, epoch: int, settings: Settings) -> Scores:
    scores = tally.scores()
    if not math.isfinite(scores.loss):
        raise DivergedError(
            f"[train] the loss is {scores.loss} in epoch {epoch} with {settings.optimizer} at lr {settings.lr:g}; "
            "try a smaller lr"
        )
    return scores
