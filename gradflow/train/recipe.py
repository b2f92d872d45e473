"""From settings to the parts of a training: data, model, loaders, optimiser, schedule, average."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from .. import nn, optim
from ..amp import GradScaler
from ..autograd.grad_mode import no_grad
from ..backend import Device, get_backend
from ..creation import manual_seed
from ..data import DataLoader, ImageData, Split, load_data
from ..data.augment import Compose, Normalize, parse_augment
from ..models import build_model
from ..nn.functional import cross_entropy
from ..optim.lr_scheduler import LambdaLR
from ..optim.swa_utils import AveragedModel
from .memory import memory_limit
from .settings import Settings
from .state import Training, device_of

EVALUATION_BATCH = 500  # images; nothing is recorded, so only speed counts
CHUNK = 1000  # images
RESIDENT_SHARE = 0.25  # of the GPU's free memory: images that take less are kept there


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation of each channel of the training images."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


def statistics(split: Split) -> Statistics:
    """Those of all pixels of a split, on the host, scaled to [0, 1]; a deviation of 0 counts as 1."""
    pixels, top = np.asarray(split.pixels), split.top if split.pixels.dtype.kind in "iu" else 1
    sums = np.zeros((2, pixels.shape[1]))
    for start in range(0, len(pixels), CHUNK):  # as float64 all of them may not fit
        part = pixels[start : start + CHUNK].astype(np.float64)
        sums += part.sum((0, 2, 3)), (part * part).sum((0, 2, 3))
    mean, square = sums / (pixels.size // pixels.shape[1]) / np.array([[top], [top**2]])
    std = np.sqrt(np.maximum(square - mean**2, 0))
    return Statistics(tuple(mean.tolist()), tuple(np.where(std > 0, std, 1.0).tolist()))


def digest(data: ImageData) -> str:
    """A fingerprint of all images and labels, by which a resumed run knows that they are the same."""
    found = hashlib.sha256()
    for split in (data.train, data.test):
        for array in (split.pixels, split.labels):
            found.update(repr((array.shape, array.dtype.str)).encode())
            found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def load(settings: Settings) -> tuple[ImageData, Split]:
    """The data that settings name, and its test images.

    With `validation`, a part of the training images is held out, and is what the data gives to test with; it holds
    each class in proportion, and follows from the seed.
    """
    data = load_data(settings.data, settings.data_dir)
    if not settings.validation:
        return data, data.test
    kept, held = data.train.divided(max(1, round(settings.validation * len(data.train))), settings.seed)
    return replace(data, train=kept, test=held), data.test


def make_model(settings: Settings, data: ImageData, device: Device) -> nn.Module:
    """The model with initial weights that follow from the seed, on a device."""
    manual_seed(settings.seed)
    model = build_model(settings.model, len(data.classes), data.input_shape, settings.width).to(device)
    return model.double() if settings.dtype == "float64" else model


@dataclass(frozen=True)
class Cast:
    """Images in another dtype."""

    dtype: str

    def __call__(self, images: Any, labels: Any, rng: Any) -> tuple[Any, Any]:
        return images.to(np.dtype(self.dtype)), labels


def _finishing(settings: Settings, measured: Statistics | None) -> list[Any]:
    """What is done to all images, in training and evaluation, after all else."""
    steps: list[Any] = [] if measured is None else [Normalize(measured.mean, measured.std)]
    return [*steps, Cast("float64")] if settings.dtype == "float64" else steps


def test_loader(settings: Settings, split: Split, measured: Statistics | None, device: Device) -> DataLoader:
    """All images of a split in order, as a trained model takes them."""
    batch = max(EVALUATION_BATCH, settings.batch_size or 1) if device.type == "cuda" else EVALUATION_BATCH
    return DataLoader(
        split, batch, shuffle=False, seed=0, device=device, transform=Compose(_finishing(settings, measured))
    )


def train_loader(settings: Settings, data: ImageData, measured: Statistics | None, device: Device) -> DataLoader:
    """The training images in the order of the seed, changed at random as the settings say."""
    threads = int(device.type == "cuda") if settings.workers is None else settings.workers  # a CPU is busy enough
    changes = parse_augment(settings.augment or (), len(data.classes), data.input_shape)
    return DataLoader(
        data.train,
        settings.batch_size or 1,
        shuffle=True,
        seed=settings.seed,
        device=device,
        num_workers=threads if isinstance(data.train.pixels, np.ndarray) else 0,
        pin_memory=device.type == "cuda",
        transform=Compose([changes, *_finishing(settings, measured)]),
    )


def placed(settings: Settings, data: ImageData, device: Device) -> ImageData:
    """The data, on a GPU if it is to be there: where that is left open, if it takes a quarter of the free memory."""
    if device.type == "cpu" or settings.data_on == "host":
        return data
    if settings.data_on == "auto":
        limit = memory_limit(get_backend(device))
        size = sum([split.pixels.nbytes + split.labels.nbytes for split in (data.train, data.test)])
        if limit is None or size > RESIDENT_SHARE * limit:
            return data
    return replace(data, train=data.train.to(device), test=data.test.to(device))


def make_optimizer(settings: Settings, model: nn.Module) -> optim.Optimizer:
    """The optimiser that settings name, for all parameters; biases and norms are decayed too, as in PyTorch."""
    name, parameters, lr = settings.optimizer, model.parameters(), settings.lr
    kinds: dict[str, Callable[..., optim.Optimizer]] = {
        "adam": optim.Adam,
        "adamw": optim.AdamW,
        "nadam": optim.NAdam,
        "radam": optim.RAdam,
        "adamax": optim.Adamax,
        "lion": optim.Lion,
        "adagrad": optim.Adagrad,
        "adadelta": optim.Adadelta,
        "sgd": partial(optim.SGD, momentum=settings.momentum),
        "rmsprop": partial(optim.RMSprop, momentum=settings.momentum),
    }
    return kinds[name](parameters, lr=lr, weight_decay=settings.weight_decay)


def schedule(kind: str, part: float, warmup: float) -> float:
    """The share of the highest learning rate at a `part` of all steps, in [0, 1].

    A straight rise to 1, then half a cosine, a line or steps of 10. L. N. Smith, Super-convergence, 2017,
    https://arxiv.org/abs/1708.07120, with the cosine of I. Loshchilov and F. Hutter, SGDR, 2017,
    https://arxiv.org/abs/1608.03983.
    """
    if part < warmup:
        return part / warmup
    rest = min(1.0, (part - warmup) / (1 - warmup))
    if kind == "cosine":
        return 0.5 * (1 + math.cos(math.pi * rest))
    if kind == "linear":
        return 1 - rest
    if kind == "step":
        return 1.0 if part < 0.5 else 0.1 if part < 0.75 else 0.01
    return 1.0


def make_schedule(
    settings: Settings, optimizer: optim.Optimizer, batches: int, elapsed: Callable[[], float]
) -> LambdaLR:
    """The schedule by steps: by their share of all steps or, without epochs, by the share of the time that is over."""
    steps = (settings.epochs or 0) * -(-batches // settings.accumulate)

    def share(step: int) -> float:
        if settings.epochs is None:
            part = max(elapsed() / (settings.time_limit or 1.0), 1e-3)
        else:
            part = (step + 1) / (steps + 1)  # neither the first nor the last step is taken at a rate of 0
        return schedule(settings.schedule, part, settings.warmup)

    return LambdaLR(optimizer, share)


def with_settings(
    state: Mapping[str, Any], before: Mapping[str, Any], settings: Settings, t: Training, schedule: LambdaLR
) -> dict[str, Any]:
    """A training's saved state as the settings have it that it is to go on with: else saved rates and decays would win.

    before       the settings it was saved with. Where none of them has changed, this is the very same state
    t, schedule  the parts that will take it
    """
    progress, batches = state["progress"], len(t.loader)
    batch = progress["batch"] * batches // progress["batches"]  # of those that an epoch has now
    batch -= batch % settings.accumulate if batch < batches else 0
    then, now = -(-progress["batches"] // before["accumulate"]), -(-batches // settings.accumulate)
    done = state["scheduler"]["last_epoch"] * now // then
    (saved,), (made,) = state["optimizer"]["param_groups"], t.optimizer.param_groups
    own = {name: value for name, value in made.items() if name != "params"}
    rate = schedule.base_lrs[0] * schedule.lr_lambdas[0](done)
    return {
        **state,
        "optimizer": {**state["optimizer"], "param_groups": [{**saved, **own, "lr": rate}]},
        "scheduler": {**state["scheduler"], "base_lrs": schedule.base_lrs, "last_epoch": done},
        "loader": {**state["loader"], "seed": settings.seed, "batch": batch if state["loader"]["batch"] else 0},
        "progress": {**progress, "batch": batch, "batches": batches},
    }


def make_average(settings: Settings, model: nn.Module, step: Callable[[], int]) -> AveragedModel | None:
    """The exponential average of the weights, with a decay that starts low: min(ema, (1 + step) / (10 + step))."""
    if not settings.ema:
        return None

    @no_grad()
    def average(means: Any, currents: Any, count: Any) -> None:
        decay = min(settings.ema, (1 + step()) / (10 + step()))
        for mean, current in zip(means, currents, strict=True):
            mean.mul_(decay).add_(current * (1 - decay))

    averaged = AveragedModel(model, device=device_of(model), multi_avg_fn=average)
    averaged.n_averaged = averaged.n_averaged.cpu()  # read at each update: on a GPU that would wait
    return averaged


def make_scaler(settings: Settings) -> GradScaler | None:
    """float16 gradients vanish unless the loss is scaled; the other dtypes need nothing."""
    return GradScaler() if settings.dtype == "float16" else None


def mixed(dtype: str | None) -> str | None:
    """The dtype of `autocast` for a setting of that name, None where the computation is in one dtype."""
    return dtype if dtype in ("float16", "bfloat16") else None


def make_loss(settings: Settings) -> Callable[[Any, Any], Any]:
    """Cross entropy, with label smoothing if asked for."""
    return partial(cross_entropy, label_smoothing=settings.label_smoothing)
