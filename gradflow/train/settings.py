"""What can be chosen about a training run, and the TOML file that keeps the choice."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from ..data import ImageData
from .checkpoint import write_atomically

SMALL = 10_000  # training images: fewer need more epochs
SCHEDULES = ("cosine", "linear", "step", "constant")
DTYPES = ("float32", "float64", "float16", "bfloat16")
PLACES = ("auto", "host", "device")
AUTO = ("auto",)  # augmentations
MIRRORED = ("fashion-mnist", "cifar10", "cifar100")  # in these an image and its mirror image are of one class

LEARNING_RATES = {
    "adam": 5e-3, "adamw": 5e-3, "nadam": 5e-3, "radam": 5e-3, "adamax": 1e-2, "lion": 1e-3,
    "sgd": 0.1, "rmsprop": 1e-3, "adagrad": 2e-2, "adadelta": 1.0,
}  # fmt: skip
"""The optimisers, and the highest learning rates that suit the small CNN with each."""

WEIGHT_DECAYS = {"sgd": 5e-4, "adamw": 1e-2, "lion": 1e-2}  # the others: none


@dataclass(frozen=True)
class Settings:
    """How to train. What is None is chosen by `suited` to fit the data.

    data, data_dir      a data set's name or a path, and where its files are
    model, width        a model's name or "file.py:function", and its width
    epochs, time_limit  passes over the training images, and seconds of training: what ends first ends the run. Without
                        epochs the schedule follows the clock, and no two runs are the same
    batch_size, accumulate   images in a batch, and batches whose gradients are averaged before a step is taken
    optimizer, lr, momentum, weight_decay   `lr` is the highest of the schedule; momentum is that of sgd and rmsprop
    schedule, warmup    "cosine" and "linear" fall to 0, "step" by 10 after 1/2 and after 3/4 of all steps; before that
                        the rate rises for a share `warmup` of all steps
    label_smoothing     the share of the target that goes to all classes alike
    ema                 decay of an average of the weights, which is then evaluated and kept; 0: none
    clip_norm           upper bound of the gradients' norm; 0: none
    augment             what changes training images at random, as `data.parse_augment` reads it; ("auto",): what
                        `augmentations` finds to suit the data
    normalize           shift and scale the images to a mean of 0 and a deviation of 1 in each channel
    dtype               "float16" and "bfloat16" are mixed precision: weights and sums stay in float32
    eval_every, patience, validation   evaluate each so many epochs; stop after so many evaluations without a better
                        one (0: never); the share of training images that is held out to choose by instead of the test
                        images
    save_every, keep    seconds between checkpoints (0: each step), and how many are kept
    workers, data_on    threads that make batches ahead, by default one for a GPU; whether the images are kept there
    check_every         steps between two looks at loss and gradients: by default 1, on a GPU 20
    """

    data: str = "digits"
    data_dir: str | None = None
    model: str = "cnn"
    width: int | None = None
    epochs: int | None = None
    time_limit: float | None = None
    batch_size: int | None = None
    accumulate: int = 1
    optimizer: str = "adam"
    lr: float | None = None
    momentum: float = 0.9
    weight_decay: float | None = None
    schedule: str = "cosine"
    warmup: float = 0.1
    label_smoothing: float = 0.0
    ema: float = 0.0
    clip_norm: float = 0.0
    augment: tuple[str, ...] | None = None
    normalize: bool = True
    seed: int = 0
    dtype: str = "float32"
    device: str | None = None
    eval_every: int = 1
    patience: int = 0
    validation: float = 0.0
    save_every: float = 60.0
    keep: int = 2
    workers: int | None = None
    data_on: str = "auto"
    check_every: int | None = None

    def __post_init__(self) -> None:
        for name, least in (
            *(("epochs", 1), ("batch_size", 1), ("width", 1), ("accumulate", 1), ("eval_every", 1), ("keep", 1)),
            ("check_every", 1),
            *(("seed", 0), ("patience", 0), ("workers", 0), ("save_every", 0), ("clip_norm", 0), ("momentum", 0)),
            ("weight_decay", 0),
        ):
            value = getattr(self, name)
            if value is not None and not (value >= least and value < math.inf):  # NaN, too
                raise ValueError(f"[train] {name} must be at least {least}, and finite, got {value}")
        for name in ("lr", "time_limit"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise ValueError(f"[train] {name} must be positive, got {value}")
        for name in ("warmup", "label_smoothing", "ema", "validation", "momentum"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"[train] {name} must be in [0, 1), got {getattr(self, name)}")
        for name, choices in (
            *(("optimizer", tuple(LEARNING_RATES)), ("schedule", SCHEDULES)),
            *(("dtype", DTYPES), ("data_on", PLACES)),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(f"[train] {name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}")

    def suited(self, data: ImageData) -> Settings:
        """These settings with what is None chosen to suit the data."""
        small = len(data.train) < SMALL
        chosen: dict[str, Any] = {
            "batch_size": 64 if small else 128,
            "lr": LEARNING_RATES[self.optimizer],
            "weight_decay": WEIGHT_DECAYS.get(self.optimizer, 0.0),
            "augment": ("shift=1",) if small else (),
        }
        if self.time_limit is None:
            chosen["epochs"] = 30 if small else 5
        found = {k: v for k, v in chosen.items() if getattr(self, k) is None}
        if self.augment == AUTO:
            found["augment"] = augmentations(data)
        return replace(self, **found)

    def plain(self) -> dict[str, Any]:
        """The settings by name, as JSON has them."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    def save(self, path: Path) -> None:
        """Write a TOML file from which `load_settings` makes the same settings."""
        import tomli_w

        given = {k: v for k, v in self.plain().items() if v is not None}
        write_atomically(path, tomli_w.dumps(given).encode())


def augmentations(data: ImageData) -> tuple[str, ...]:
    """What `--augment` does to a data set: small shifts, mirror images where those are of the same class, and holes."""
    side = min(data.input_shape[1:])
    if side < 16:
        return ("shift=1",)
    crop = f"crop={max(2, side // 8)}"
    return ("flip", crop, f"cutout={side // 4}") if data.name in MIRRORED or data.input_shape[0] == 3 else (crop,)


def load_settings(path: str | Path) -> dict[str, Any]:
    """What a TOML file sets, checked: names that `Settings` has, with values of their types. ValueError else."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        found = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"[config] cannot read {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise ValueError(f"[config] {path} is not TOML: {error}") from None
    return checked(found, str(path))


def checked(found: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Settings by name, as a TOML file or a checkpoint has them, in the types of `Settings`. ValueError else.

    What is None, as a checkpoint has it, is left out, as a TOML file does.
    """
    names = {field.name: str(field.type).removesuffix(" | None") for field in fields(Settings)}
    result = {}
    for name, value in found.items():
        if value is None:
            continue
        if name not in names:
            raise ValueError(f"[config] {where}: there is no setting {name!r}; there are {', '.join(names)}")
        kind = names[name]
        fits = {
            "str": isinstance(value, str),
            "int": isinstance(value, int) and not isinstance(value, bool),
            "float": isinstance(value, (int, float)) and not isinstance(value, bool),
            "bool": isinstance(value, bool),
            "tuple[str, ...]": isinstance(value, (list, tuple)) and all([isinstance(v, str) for v in value]),
        }[kind]
        if not fits:
            raise ValueError(f"[config] {where}: {name} must be {PLAIN[kind]}, got {value!r}")
        result[name] = tuple(value) if kind.startswith("tuple") else float(value) if kind == "float" else value
    return result


PLAIN = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "tuple[str, ...]": "a list of strings",
}
