"""A whole training run: fit a model, show how it goes, keep its weights and metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

from .. import nn
from ..backend import DeviceLike
from ..data import Dataset
from .checkpoint import save_weights
from .loop import BatchReport, EpochReport, fit
from .metrics import MetricsFile
from .progress import Display
from .settings import Settings

WEIGHTS, METRICS = "weights.safetensors", "metrics.jsonl"


@dataclass(frozen=True)
class Outcome:
    """How a run ended. `last` is the report of its last whole epoch, None where there was none."""

    weights: Path
    metrics: Path
    seconds: float
    last: EpochReport | None
    interrupted: bool

    @property
    def epochs(self) -> int:
        """The number of whole epochs."""
        return 0 if self.last is None else self.last.epoch


def train(
    model: nn.Module,
    dataset: Dataset,
    settings: Settings,
    folder: Path,
    display: Display,
    device: DeviceLike = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Fit `model`, which is on `device`, and leave `weights.safetensors` and `metrics.jsonl` in `folder`.

    The weights are saved after each epoch, so that a crash costs no more than one, and once more when `should_stop`
    says so or KeyboardInterrupt is raised; the outcome is then marked as interrupted.
    """
    weights, metrics = folder / WEIGHTS, MetricsFile(folder / METRICS)
    about = {"data": dataset.name, "input_shape": dataset.input_shape, "classes": dataset.classes, **asdict(settings)}
    last: EpochReport | None = None
    interrupted = False
    start = perf_counter()

    def save() -> None:
        save_weights(weights, model.state_dict(), {**about, "epochs_done": last.epoch if last else 0})

    try:
        with display:
            for report in fit(model, dataset, settings, device):
                if isinstance(report, BatchReport):
                    display.batch(report)
                else:
                    last = report
                    save()
                    metrics.write("epoch", **_flat(report))
                    display.epoch(report)
                if should_stop():
                    interrupted = True
                    break
    except KeyboardInterrupt:
        interrupted = True
    interrupted = interrupted and (last is None or last.epoch < settings.epochs)
    if interrupted:
        save()
    seconds = perf_counter() - start
    metrics.write(
        "final",
        **about,
        epochs_done=last.epoch if last else 0,
        interrupted=interrupted,
        test_accuracy=last.test.accuracy if last else None,
        seconds=round(seconds, 3),
    )
    return Outcome(weights, metrics.path, seconds, last, interrupted)


def _flat(report: EpochReport) -> dict[str, float]:
    return {
        "epoch": report.epoch,
        "train_loss": report.train.loss,
        "train_accuracy": report.train.accuracy,
        "test_loss": report.test.loss,
        "test_accuracy": report.test.accuracy,
        "seconds": round(report.seconds, 3),
        "images_per_second": round(report.images_per_second, 1),
    }
