"""`gradflow predict`: what a trained model takes images for."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import nn
from ..autograd.grad_mode import no_grad
from ..backend import Device, get_backend
from ..creation import as_tensor, zeros
from ..data.folder import read_image
from ..nn.functional import softmax
from ..train.loop import precision
from ..train.progress import jsonable
from ..train.recipe import mixed
from ..train.restore import load_model, preprocessing
from ..train.wording import percent
from .errors import describe
from .evaluate import checkpoint_file

Answer = list[tuple[str, float]]


def run(
    checkpoint: str,
    images: Sequence[Path],
    *,
    top: int = 3,
    invert: bool = False,
    best: bool = False,
    device: str | None = None,
    out: Path,
    as_json: bool = False,
) -> int:
    """Print the likeliest classes of each image; 0, or 1 where one of them cannot be read, which is said."""
    place = get_backend(device).device
    model, about = load_model(checkpoint_file(checkpoint, out, best), place)
    failed = 0
    for path in images:
        try:
            pictures = read(path, tuple(about["input_shape"]))
        except (OSError, ValueError) as error:
            failed += 1
            _print_error(path, error, as_json)
            continue
        answers = predict(model, about, 1 - pictures if invert else pictures, place, top)
        for number, answer in enumerate(answers):
            name = str(path) if len(answers) == 1 else f"{path}[{number}]"
            print(_json(name, answer) if as_json else f"{name}: {_words(answer)}", flush=True)
    return 1 if failed else 0


def read(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """The image in a file, or the images in an .npy file, as float32 (n, *shape) in [0, 1].

    Images are made grey or RGB and stretched to the size. An array is (height, width) or `shape`, or several of them,
    of integers up to 255 or floats up to 1. ValueError or OSError, which names the file, where that is not so.
    """
    if path.suffix == ".npy":
        return _array(path, shape)
    channels, height, width = shape
    if channels not in (1, 3):
        raise ValueError(f"[predict] the model takes images of {channels} channels; give it .npy files")
    return read_image(path, (width, height), channels == 1)[None].astype(np.float32) / 255


def _array(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    try:
        array = np.load(path, allow_pickle=False)
    except (EOFError, ValueError) as error:
        raise ValueError(f"[predict] {path} is no whole .npy file of numbers: {error}") from None
    found = array.shape
    if shape[0] == 1 and found[-2:] == shape[1:] and array.ndim in (2, 3) and found != shape:
        array = array[..., None, :, :]
    array = array[None] if array.ndim == 3 else array
    if array.shape[1:] != shape or array.dtype.kind not in "buif":
        raise ValueError(
            f"[predict] {path} has {array.dtype} of shape {found}, the model takes images of shape {shape}"
        )
    if not array.size:
        raise ValueError(f"[predict] {path} holds no images, its shape is {found}")
    scaled = array.astype(np.float32)
    scaled = scaled / 255 if array.dtype.kind in "ui" else scaled
    if not (scaled.min() >= 0 and scaled.max() <= 1):  # NaN, too
        raise ValueError(
            f"[predict] {path} has values beyond 0 to {255 if array.dtype.kind in 'ui' else 1}; scale them"
        )
    return scaled


@no_grad()
def predict(model: nn.Module, about: Mapping[str, Any], images: np.ndarray, device: Device, top: int) -> list[Answer]:
    """The `top` likeliest classes of each image, float32 (n, c, h, w) in [0, 1], with their probabilities."""
    rng = np.random.default_rng(0)  # asked for by what changes images; nothing here draws from it
    batch, _ = preprocessing(about)(as_tensor(images, device=device), zeros(len(images), device=device), rng)
    with precision(device, mixed(about.get("dtype"))):
        logits = model(batch)
    shares = softmax(logits.float(), 1).cpu().numpy()
    order = np.argsort(-shares, 1, kind="stable")[:, :top]
    return [[(about["classes"][i], float(row[i])) for i in best] for row, best in zip(shares, order, strict=True)]


def _words(answer: Answer) -> str:
    return ", ".join([f"{name} {percent(share)}" for name, share in answer])


def _json(name: str, answer: Answer) -> str:
    classes = [{"class": label, "probability": share} for label, share in answer]
    return json.dumps(jsonable({"image": name, "classes": classes}), allow_nan=False)


def _print_error(path: Path, error: Exception, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"image": str(path), "error": describe(error)}), flush=True)
    print(f"error: {describe(error)}", file=sys.stderr)
