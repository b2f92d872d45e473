"""What can be named on a command line, and its completion. Spelled out here, for a shell that asks cannot wait long.

tests/cli/test_main.py holds these against the parts that they name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import typer

DATA = ("digits", "mnist", "fashion-mnist", "kmnist", "cifar10", "cifar100", "svhn")
MODELS = (
    "mlp", "lenet", "cnn", "resnet9", "resnet18", "resnet34", "vgg11", "vgg11_bn", "vgg16", "vgg16_bn", "vgg19",
    "vgg19_bn", "squeezenet1_1", "mobilenet_v2", "vit_tiny",
)  # fmt: skip
AUGMENTATIONS = ("flip", "crop", "shift", "rotate", "color", "cutout", "mixup", "cutmix")

Optimizer = Literal[
    "adam", "adamw", "nadam", "radam", "adamax", "lion", "sgd", "rmsprop", "adagrad", "adadelta"
]  # fmt: skip
Schedule = Literal["cosine", "linear", "step", "constant"]
Dtype = Literal["float32", "float64", "float16", "bfloat16"]
Place = Literal["auto", "host", "device"]

OUT = Path("runs")


def complete_data(incomplete: str) -> list[str]:
    """Names of data sets and paths."""
    return [*_starting(DATA, incomplete), *_paths(incomplete)]


def complete_model(incomplete: str) -> list[str]:
    """Names of models and paths."""
    return [*_starting(MODELS, incomplete), *_paths(incomplete)]


def complete_run(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of runs and paths."""
    return [*_starting(run_names(Path(ctx.params.get("out") or OUT)), incomplete), *_paths(incomplete)]


def run_names(out: Path) -> tuple[str, ...]:
    """The folders in a folder of runs, in order; none where it cannot be read."""
    try:
        return tuple(sorted([path.name for path in out.iterdir() if path.is_dir()]))
    except OSError:
        return ()


def _starting(names: tuple[str, ...], text: str) -> list[str]:
    return [name for name in names if name.startswith(text)]


def _paths(text: str) -> list[str]:
    """The paths that begin so, folders with a slash; none until something is typed."""
    folder, _, start = text.rpartition("/")
    if not text:
        return []
    try:
        found = sorted((Path(folder or "/") if "/" in text else Path()).iterdir())
    except OSError:
        return []
    head = text[: len(text) - len(start)]
    return [f"{head}{path.name}{'/' * path.is_dir()}" for path in found if path.name.startswith(start)]
