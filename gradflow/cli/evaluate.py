"""`gradflow eval`: how well a trained model does on test images, class by class."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from .. import nn
from ..autograd.grad_mode import no_grad
from ..backend import Device, get_backend
from ..data import DataLoader, ImageData
from ..data.catalog import load_data
from ..functions import argmax
from ..train.loop import precision
from ..train.progress import jsonable
from ..train.recipe import EVALUATION_BATCH, make_loss, mixed
from ..train.report import Scores
from ..train.restore import load_model, preprocessing, weights_file
from ..train.run import BEST
from ..train.settings import Settings, checked
from ..train.state import Tally
from ..train.wording import labelled, percent
from .train import find_run

ROWS = 20  # classes shown; of more, those that come out worst
PAIRS = 5


@dataclass(frozen=True, eq=False)
class Evaluation:
    """`confusion[i, j]` counts the images of class i that were taken for class j."""

    scores: Scores
    confusion: np.ndarray
    classes: tuple[str, ...]
    seconds: float

    def accuracies(self) -> list[float]:
        """The share of right answers of each class, NaN for one without images."""
        counts = self.confusion.sum(1)
        with np.errstate(invalid="ignore"):
            return list((self.confusion.diagonal() / counts).tolist())

    def confused(self, most: int = PAIRS) -> list[tuple[str, str, int]]:
        """The pairs (class, what it was taken for, how many times), most often first."""
        wrong = self.confusion.copy()
        np.fill_diagonal(wrong, 0)
        order = np.argsort(-wrong, axis=None, kind="stable")[:most]
        pairs = [divmod(int(i), len(self.classes)) for i in order]
        return [(self.classes[i], self.classes[j], int(wrong[i, j])) for i, j in pairs if wrong[i, j]]


def run(
    checkpoint: str,
    *,
    data: str | None = None,
    data_dir: str | None = None,
    device: str | None = None,
    batch_size: int | None = None,
    best: bool = False,
    out: Path,
    as_json: bool = False,
) -> int:
    """Evaluate and print; 0. Without `data`, the model's own test images."""
    place = get_backend(device).device
    file = checkpoint_file(checkpoint, out, best)
    model, about = load_model(file, place)
    settings = Settings(**checked(about.get("settings", {}), str(file)))
    images = load_data(data or settings.data, data_dir or (settings.data_dir if data is None else None))
    check_fits(images, about, file)
    found = examine(model, about, settings, images, place, batch_size or EVALUATION_BATCH)
    if as_json:
        print(json.dumps(jsonable({"checkpoint": str(file), "data": images.name, **facts(found)}), allow_nan=False))
    else:
        head = [
            ("model", f"{about['model']} of {file}, on {place}"),
            ("data", f"{images.name}: {len(images.test):,} test images"),
        ]
        print("\n".join([*[labelled(*line) for line in head], *lines(found, settings)]))
    return 0


def checkpoint_file(text: str, out: Path, best: bool = False) -> Path:
    """The file of weights that is meant by a path, or by a run's name in a folder of runs."""
    path = find_run(text, out)
    if best:
        path = (path if path.is_dir() else path.parent) / BEST
    return weights_file(path)


def check_fits(images: ImageData, about: Mapping[str, Any], file: Path) -> None:
    """Raise ValueError where a model is not one for these images."""
    shape, wanted = images.input_shape, tuple(about["input_shape"])
    if shape != wanted:
        raise ValueError(
            f"[eval] the images of {images.name} are {_sizes(shape)}, the model in {file} takes {_sizes(wanted)}; "
            "choose other data with --data"
        )
    classes, known = images.classes, tuple(about["classes"])
    if classes != known:
        raise ValueError(
            f"[eval] the {len(classes)} classes of {images.name} ({_few(classes)}) are not the {len(known)} that the "
            f"model in {file} knows ({_few(known)}); choose other data with --data"
        )


def _sizes(shape: Sequence[int]) -> str:
    return "x".join([str(size) for size in shape])


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


@no_grad()
def examine(
    model: nn.Module, about: Mapping[str, Any], settings: Settings, data: ImageData, device: Device, batch: int
) -> Evaluation:
    """Go through the test images in order."""
    start = perf_counter()
    loader = DataLoader(data.test, batch, shuffle=False, seed=0, device=device, transform=preprocessing(about))
    loss, tally, count = make_loss(settings), Tally(), len(data.classes)
    confusion = np.zeros((count, count), np.int64)
    for images, labels in loader:
        with precision(device, mixed(about.get("dtype"))):
            logits = model(images)
            tally.add(logits, labels, loss(logits, labels))
        answers = argmax(logits, 1).cpu().numpy()
        np.add.at(confusion, (labels.cpu().numpy(), answers), 1)
    return Evaluation(tally.scores(), confusion, data.classes, perf_counter() - start)


def facts(found: Evaluation) -> dict[str, Any]:
    """An evaluation, as JSON has it."""
    return {
        "images": int(found.confusion.sum()),
        "loss": found.scores.loss,
        "accuracy": found.scores.accuracy,
        "seconds": found.seconds,
        "classes": dict(zip(found.classes, found.accuracies(), strict=True)),
        "confused": [{"class": a, "taken_for": b, "count": n} for a, b, n in found.confused()],
    }


def lines(found: Evaluation, settings: Settings) -> list[str]:
    """An evaluation in words."""
    counts = found.confusion.sum(1)
    rows = [row for row in zip(found.classes, found.accuracies(), counts.tolist(), strict=True) if row[2]]
    left_out = len(rows) - ROWS
    if left_out > 0:
        rows = sorted(rows, key=lambda row: row[1])[:ROWS]
    width = max([len(name) for name, _, _ in rows])
    table = [f"  {name.ljust(width)}  {percent(share):>8}  of {count:,}" for name, share, count in rows]
    pairs = found.confused()
    wide = max([len(a) for a, _, _ in pairs], default=0)
    smoothed = f" (with label smoothing of {settings.label_smoothing:g})" if settings.label_smoothing else ""
    return [
        labelled("loss", f"{found.scores.loss:.4f}{smoothed}"),
        "",
        f"accuracy of the {ROWS} worst of {len(found.classes)} classes" if left_out > 0 else "accuracy by class",
        *table,
        "",
        *(["taken for another most often"] if pairs else ["every image was recognised"]),
        *[f"  {a.ljust(wide)}  for {b}: {n:,} time{'s' * (n != 1)}" for a, b, n in pairs],
        "",
        f"test accuracy {percent(found.scores.accuracy)}",
    ]
