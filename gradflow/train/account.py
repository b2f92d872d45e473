"""What a run says of itself: in its files, in its metrics, and before it starts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import nn
from ..backend import Device
from ..data import ImageData
from ..models.build import model_digest
from .environment import environment
from .recipe import Statistics, digest
from .report import EpochReport, best
from .settings import Settings


def about(settings: Settings, data: ImageData, measured: Statistics | None, device: Device) -> dict[str, Any]:
    """What weights and checkpoints say of where they come from: enough to use them without the run's folder."""
    return {
        "model": settings.model,
        "model_digest": model_digest(settings.model),
        "width": settings.width,
        "dtype": settings.dtype,
        "data": settings.data,
        "data_digest": digest(data),
        "input_shape": list(data.input_shape),
        "classes": list(data.classes),
        "mean": None if measured is None else list(measured.mean),
        "std": None if measured is None else list(measured.std),
        "settings": settings.plain(),
        "environment": environment(device),
    }


def plan(settings: Settings, data: ImageData, model: nn.Module, device: Device) -> list[tuple[str, str]]:
    """What is about to happen, a label and a text a line."""
    s, shape = settings, "x".join([str(size) for size in data.input_shape])
    parameters = sum([math.prod(p.shape) for p in model.parameters()])
    held = " (held out of the training images)" if s.validation else ""
    size = f"batches of {s.batch_size}" + (f", {s.accumulate} to a step" if s.accumulate > 1 else "")
    length = epochs_text(s.epochs) if s.epochs is not None else ""
    limit = f"{s.time_limit:g} s" if s.time_limit is not None else ""
    name = "CNN" if s.model == "cnn" else s.model
    return [
        ("data", f"{data.name}: {len(data.train):,} training and {len(data.test):,} test images{held} of {shape}"),
        ("model", f"{name}, {parameters:,} parameters, on {device}"),
        ("training", f"{' or '.join(filter(None, (length, limit)))}, {size}, {s.optimizer} at {s.lr:g}, seed {s.seed}"),
    ]


def epochs_text(count: int) -> str:
    """`1 epoch`, `5 epochs`."""
    return "1 epoch" if count == 1 else f"{count} epochs"


def flat(report: EpochReport) -> dict[str, Any]:
    """A report as a line of metrics."""
    return {
        "epoch": report.epoch,
        "step": report.step,
        "train_loss": report.train.loss,
        "train_accuracy": report.train.accuracy,
        "test_loss": report.test.loss if report.test else None,
        "test_accuracy": report.test.accuracy if report.test else None,
        "lr": report.lr,
        "seconds": round(report.seconds, 3),
        "images_per_second": round(report.images_per_second, 1),
        "memory": report.memory,
    }


def stale(history: Sequence[EpochReport]) -> int:
    """How many evaluations have come since the best one."""
    tested = [r for r in history if r.test is not None]
    top = best(tested)
    return 0 if top is None else len(tested) - 1 - tested.index(top)
