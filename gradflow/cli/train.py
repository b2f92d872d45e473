"""`gradflow train`: load the data, train the default CNN, say where the results are."""

from __future__ import annotations

import math
import shlex
from contextlib import suppress
from pathlib import Path

from .. import nn
from ..backend import Device, get_backend
from ..creation import manual_seed
from ..data import Dataset, load_digits, load_fashion_mnist
from ..data.fashion_mnist import DEBIAN_DIR
from ..models import cnn
from ..train import Outcome, Settings, default_settings, make_run_dir, open_display, train
from ..train.progress import percent
from .errors import INTERRUPTED
from .interrupt import StopRequest


def run(
    *,
    data: str,
    data_dir: Path | None,
    epochs: int | None,
    batch_size: int | None,
    lr: float | None,
    optimizer: str,
    device: str | None,
    seed: int,
    name: str | None,
    runs_dir: Path,
) -> int:
    """Train as the options say; 0, or 130 where Ctrl-C ended it early."""
    place = get_backend(device).device
    dataset = load_digits() if data == "digits" else load_fashion_mnist(data_dir)
    settings = default_settings(dataset, epochs=epochs, batch_size=batch_size, lr=lr, optimizer=optimizer, seed=seed)
    manual_seed(seed)
    model = cnn(len(dataset.classes), dataset.input_shape).to(place)
    folder = make_run_dir(runs_dir, default=data, name=name)
    _print_plan(dataset, model, settings, place)
    display = open_display(settings.epochs, len(dataset.train))
    try:
        with StopRequest() as stop:
            outcome = train(model, dataset, settings, folder, display, place, stop.asked)
    finally:
        with suppress(OSError):
            folder.rmdir()  # succeeds where the run failed before it had anything to keep
    _print_outcome(outcome, settings)
    if outcome.last is None or outcome.interrupted:
        return INTERRUPTED
    print("next     ", _next_command(data, settings))
    print("test accuracy", percent(outcome.last.test.accuracy))
    return 0


def _print_plan(dataset: Dataset, model: nn.Module, settings: Settings, place: Device) -> None:
    shape = "x".join([str(size) for size in dataset.input_shape])
    parameters = sum([math.prod(p.shape) for p in model.parameters()])
    print(f"data      {dataset.name}: {len(dataset.train):,} training and {len(dataset.test):,} test images of {shape}")
    print(f"model     default CNN, {parameters:,} parameters, on {place}")
    print(
        f"training  {_epochs(settings.epochs)}, batches of {settings.batch_size}, "
        f"{settings.optimizer} at {settings.lr:g}, seed {settings.seed}",
        flush=True,
    )


def _print_outcome(outcome: Outcome, settings: Settings) -> None:
    if outcome.interrupted:
        print(
            f"stopped by Ctrl-C after {outcome.epochs} of {_epochs(settings.epochs)}; what was learned so far is saved"
        )
    else:
        print(f"trained   {_epochs(settings.epochs)} in {outcome.seconds:.1f} s")
    print("weights  ", outcome.weights)
    print("metrics  ", outcome.metrics)


def _epochs(count: int) -> str:
    return "1 epoch" if count == 1 else f"{count} epochs"


def _next_command(data: str, settings: Settings) -> str:
    """Something to try: the larger data set where it is to hand, or else the other optimizer."""
    if data == "digits" and DEBIAN_DIR.is_dir():
        return "gradflow train --data fashion-mnist"
    other = "adam" if settings.optimizer == "sgd" else "sgd"
    return shlex.join(["gradflow", "train", "--data", data, "--optimizer", other])
