"""`Training`: everything that changes while a model trains, and how it is saved and taken up again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from .. import nn, optim
from ..amp import GradScaler
from ..autograd.primitive import raw_over
from ..autograd.value import backend_under
from ..backend import Device, get_backend
from ..backend.base import guarded
from ..data import DataLoader
from ..ops.random import default_generator
from ..optim.lr_scheduler import LRScheduler
from ..optim.swa_utils import AveragedModel
from ..tensor import Tensor
from .report import EpochReport, Scores

PROGRESS = ("epoch", "batch", "step", "lr", "seconds", "epoch_seconds")


class Tally:
    """Sums over batches, kept on the device: reading them is what waits for a GPU."""

    def __init__(self, count: int = 0, loss: Any = 0.0, right: Any = 0) -> None:
        self.count, self.loss, self.right = count, loss, right

    def add(self, logits: Tensor, labels: Tensor, loss: Tensor) -> None:
        """Count a batch; labels may be probabilities of classes, whose largest is then the right one."""
        backend = backend_under(logits)
        xp, found, answers = raw_over(backend), logits.below, labels.below  # arrays: this is done at every step
        with guarded(backend):
            if answers.ndim > 1:
                answers = xp.max(answers, axis=1)[1]
            self.count += len(found)
            self.loss = self.loss + loss.below * len(found)
            self.right = self.right + (xp.max(found, axis=1)[1] == answers).sum()

    def state_dict(self) -> dict[str, Any]:
        """The sums as Python's numbers, which hold them exactly and give way to the dtype of what is added next."""
        return {"count": self.count, "loss": float(self.loss), "right": int(self.right)}

    def scores(self) -> Scores:
        """The means so far; NaN where nothing was counted."""
        count = self.count or float("nan")
        return Scores(float(self.loss) / count, float(self.right) / count)


class Training:
    """A training under way: its parts, and how far it is.

    epoch, batch  finished epochs, and finished batches of the epoch under way
    step          optimiser steps taken
    lr            learning rate of the last step, in the first group of parameters
    seconds       time spent training, in earlier processes too; `epoch_seconds` of it in the epoch under way
    tally         loss and right answers of the epoch under way
    history       a report for each finished epoch
    stop          set by a callback to a reason, ends the training after the step
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: optim.Optimizer,
        loader: DataLoader,
        *,
        epochs: int | None = None,
        scheduler: LRScheduler | None = None,
        ema: AveragedModel | None = None,
        scaler: GradScaler | None = None,
    ) -> None:
        self.model, self.optimizer, self.loader, self.epochs = model, optimizer, loader, epochs
        self.scheduler, self.ema, self.scaler = scheduler, ema, scaler
        self.epoch = self.batch = self.step = 0
        self.lr = float(optimizer.param_groups[0]["lr"])
        self.seconds = self.epoch_seconds = 0.0
        self.tally = Tally()
        self.history: list[EpochReport] = []
        self.stop: str | None = None

    @property
    def best_model(self) -> nn.Module:
        """What is evaluated and kept: the average of the weights where there is one."""
        return self.model if self.ema is None else self.ema.module

    def _parts(self) -> dict[str, Any]:
        parts = {"model": self.model, "optimizer": self.optimizer, "loader": self.loader}
        parts |= {"scheduler": self.scheduler, "ema": self.ema, "scaler": self.scaler}
        return {name: part for name, part in parts.items() if part is not None}

    def state_dict(self) -> dict[str, Any]:
        """All of it but what the parts are made of: what `load_state_dict` needs to go on to the very same weights.

        Between two steps only: gradients are not part of it.
        """
        return {
            **{name: part.state_dict() for name, part in self._parts().items()},
            "random": default_generator.state,
            "progress": {**{name: getattr(self, name) for name in PROGRESS}, "batches": len(self.loader)},
            "tally": self.tally.state_dict(),
            "history": [asdict(report) for report in self.history],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned. ValueError where it has other parts than these."""
        parts = self._parts()
        held = set(state) - {"random", "progress", "tally", "history"}
        if held != set(parts):
            raise ValueError(
                f"[train] the saved state is of {', '.join(sorted(held))}, "
                f"these are {', '.join(sorted(parts))}; make the parts that were saved"
            )
        for name, part in parts.items():
            part.load_state_dict(state[name])
        default_generator.seek(tuple(state["random"]))
        progress = dict(state["progress"])
        batches = progress.pop("batches")
        vars(self).update(progress)
        if self.batch == batches:  # an epoch that was done is done, however it is cut into batches now
            self.batch = len(self.loader)
        self.tally = Tally(**state["tally"])
        self.history = [report_from(r) for r in state["history"]]


def device_of(model: nn.Module) -> Device:
    """Where a model's first parameter is; of one without parameters the default device."""
    found = next(iter(model.parameters()), None)
    return get_backend(None).device if found is None else found.device


def report_from(saved: Mapping[str, Any]) -> EpochReport:
    """A report, from what `asdict` made of it."""
    return EpochReport(
        **{**saved, "train": Scores(**saved["train"]), "test": saved["test"] and Scores(**saved["test"])}
    )
