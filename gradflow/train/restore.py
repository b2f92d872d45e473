"""A trained model from the files of its run, and what its images have to go through first."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import nn
from ..backend import DeviceLike, get_backend
from ..data.augment import Compose, Normalize
from ..models.build import build_model, model_digest
from ..tensor import Tensor
from ..version import __version__
from .checkpoint import KEY, CheckpointError, Checkpoints, load_checkpoint, load_weights
from .recipe import Cast
from .run import BEST, WEIGHTS
from .tensorfile import read_metadata

NEEDED = ("model", "width", "classes", "input_shape")


def load_model(path: str | Path, device: DeviceLike = None) -> tuple[nn.Module, dict[str, Any]]:
    """The model that a run trained, on `device` and in evaluation mode, and what the run said about it.

    path  a run's folder (its weights, or its newest checkpoint where it has not ended), its weights.safetensors or
          best.safetensors, or one of its checkpoints. Of a run with an average of the weights that average is taken.

    Of what is said about it, `preprocessing` makes what images go through; "classes" are the names of the logits.
    Warns, by logging, where another gradflow wrote it or the model's own file has changed since. CheckpointError where
    there is no such file, or it is damaged or not of a run; ModelError where the model cannot be built.
    """
    place = get_backend(device).device
    file = weights_file(path)
    state, about = _read(file)
    missing = [name for name in NEEDED if name not in about]
    if missing:
        raise CheckpointError(
            f"[checkpoint] {file} does not say which model it is of (no {', '.join(missing)}): gradflow train did not "
            "write it; build the model yourself and use load_weights"
        )
    _compare(file, about)
    model = build_model(about["model"], len(about["classes"]), tuple(about["input_shape"]), about["width"])
    model = (model.double() if about.get("dtype") == "float64" else model).to(place)
    try:
        model.load_state_dict({name: value.to(place) for name, value in state.items()})
    except (KeyError, RuntimeError, ValueError) as error:
        raise CheckpointError(
            f"[checkpoint] the weights in {file} are not those of {about['model']} as it is built now: {error}"
        ) from error
    model.eval()
    return model, about


def preprocessing(about: Mapping[str, Any]) -> Compose:
    """What images, float32 (n, channels, height, width) in [0, 1], go through before the model.

    Called as augmentations are, (images, labels, rng) -> (images, labels); it draws nothing.
    """
    steps: list[Any] = [] if about.get("mean") is None else [Normalize(about["mean"], about["std"])]
    return Compose([*steps, Cast("float64")] if about.get("dtype") == "float64" else steps)


def weights_file(path: str | Path) -> Path:
    """The file that is meant: of a run's folder its weights, else its newest checkpoint. CheckpointError for none."""
    path = Path(path)
    if not path.is_dir():
        return path
    found = [path / WEIGHTS] if (path / WEIGHTS).is_file() else Checkpoints(path / "checkpoints").paths()
    if not found:
        best = f"; {path / BEST} is there" if (path / BEST).is_file() else ""
        raise CheckpointError(f"[checkpoint] there are no weights and no checkpoints in {path}{best}")
    return found[0]


def _read(file: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights in a file and what is said about them."""
    try:
        kind = json.loads(read_metadata(file).get(KEY, "{}")).get("kind")
    except (ValueError, AttributeError):
        kind = None  # reading it all says what is wrong
    if kind != "checkpoint":
        return load_weights(file, "cpu")
    state, about = load_checkpoint(file)
    if "ema" not in state:
        return state["model"], about
    head = "module."
    return {name[len(head) :]: value for name, value in state["ema"].items() if name.startswith(head)}, about


def _compare(file: Path, about: Mapping[str, Any]) -> None:
    """Warn of what may make the model another one than was trained."""

    log = logging.getLogger(KEY)
    written = about.get("environment", {}).get("gradflow", __version__)
    if written != __version__:
        log.warning(
            "[checkpoint] %s was written by gradflow %s, this is %s: results may differ", file, written, __version__
        )
    digest = about.get("model_digest")
    if digest is not None and digest != model_digest(about["model"]):
        log.warning(
            "[checkpoint] %s has changed since %s was trained: it may be another model now", about["model"], file
        )
