"""The training loop, and the evaluation of a model."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np

from .. import nn, optim
from ..amp import GradScaler, autocast
from ..autograd.grad_mode import no_grad
from ..autograd.value import backend_under
from ..backend import Device, get_backend
from ..backend.base import Backend, guarded
from ..backend.dtypes import is_half
from ..data import DataLoader
from ..nn.functional import cross_entropy
from ..nn.utils import clip_grad_norm_
from ..ops.random import default_generator
from ..optim.lr_scheduler import LRScheduler
from ..optim.swa_utils import AveragedModel
from ..tensor import Tensor
from .memory import memory_used
from .nonfinite import explain_nonfinite
from .report import DivergedError, EpochReport, Scores, StepReport
from .state import Tally, Training, device_of

Loss = Callable[[Any, Any], Any]
Callback = Callable[[Training], None]
EACH_STEP = "going on with check_every=1 (--resume RUN --check-every 1)"
GPU_CHECK = 20  # steps between two looks at the loss on a GPU: a look waits for all that was launched


def fit(
    model: nn.Module,
    loader: DataLoader,
    optimizer: optim.Optimizer,
    loss_fn: Loss = cross_entropy,
    *,
    epochs: int | None = None,
    test_loader: DataLoader | None = None,
    eval_every: int = 1,
    scheduler: LRScheduler | None = None,
    accumulate: int = 1,
    max_norm: float | None = None,
    ema: AveragedModel | None = None,
    dtype: Any = None,
    scaler: GradScaler | None = None,
    check_every: int | None = None,
    on_step: Iterable[Callback] = (),
    on_epoch: Iterable[Callback] = (),
    resume: Mapping[str, Any] | None = None,
) -> Training:
    """Train `model` by mini-batch gradient descent on loss_fn(model(images), labels); return the finished Training.

    loader        gives batches on the model's device; a step takes `accumulate` of them, whose losses are averaged
    loss_fn       gives the mean over a batch, one number
    epochs        how many; None: until a callback sets `stop`
    test_loader   evaluated after each `eval_every` epochs, and after the last, in evaluation mode
    scheduler     its step is called after each optimiser step
    max_norm      gradients are scaled down to this norm
    ema           its averages take in the weights after each step; they are what is evaluated
    dtype         float16 or bfloat16: the dtype of `autocast`; with float16 give a `scaler`
    check_every   steps between two checks that loss and gradients are finite: by default 1, on a GPU 20
    on_step       called with the Training after each optimiser step. Between steps the weights are whole and
                  `state_dict` may be saved; setting `stop` to a reason ends the training there
    on_epoch      called with the Training after each epoch, its report last in `history`
    resume        what Training.state_dict returned: go on from there, to the same bits as if there had been no pause

    Raises DivergedError where loss or gradients are no longer finite, naming the operation that made it so.
    """
    missing = [name for name in ("__len__", "dataset", "state_dict", "load_state_dict") if not hasattr(loader, name)]
    if missing:
        raise TypeError(f"[fit] the loader, a {type(loader).__name__}, has no {', '.join(missing)}; give a DataLoader")
    t = Training(model, optimizer, loader, epochs=epochs, scheduler=scheduler, ema=ema, scaler=scaler)
    if not len(loader):
        raise ValueError(f"[fit] the loader has no batches: {len(loader.dataset)} images, drop_last={loader.drop_last}")
    if resume is not None:
        t.load_state_dict(resume)
    place = device_of(model)
    options = _Options(
        loss_fn, place, dtype, accumulate, max_norm, check_interval(place, check_every), tuple(on_step)
    )  # fmt: skip
    on_epoch = tuple(on_epoch)
    while t.stop is None and (epochs is None or t.epoch < epochs):
        _train_epoch(t, options)
        if t.stop is not None:
            break
        scores, seconds = _read(t)
        t.seconds += seconds - t.epoch_seconds
        t.epoch, t.batch = t.epoch + 1, 0
        due = test_loader is not None and (t.epoch % eval_every == 0 or t.epoch == epochs)
        test = evaluate(t.best_model, test_loader, loss_fn, dtype=dtype) if due and test_loader is not None else None
        speed, memory, left = t.tally.count / max(seconds, 1e-9), memory_used(get_backend(place)), seconds_left(t)
        t.history.append(EpochReport(t.epoch, epochs, t.step, scores, test, t.lr, seconds, speed, memory, left))
        t.tally, t.epoch_seconds = Tally(), 0.0
        for callback in on_epoch:
            callback(t)
    return t


@dataclass(frozen=True)
class _Options:
    """What the steps of a training have in common."""

    loss_fn: Loss
    device: Device
    dtype: Any
    accumulate: int
    max_norm: float | None
    check_every: int
    on_step: tuple[Callback, ...]


def check_interval(device: Device, asked: int | None = None) -> int:
    """Steps between two looks at the loss on a device: those asked for, or 1, and on a GPU GPU_CHECK."""
    return asked or (GPU_CHECK if device.type == "cuda" else 1)


def precision(device: Device, dtype: Any) -> AbstractContextManager[Any]:
    """The region in which a model and its loss are computed: autocast's to `dtype`, or none where that is None."""
    return nullcontext() if dtype is None else autocast(device.type, dtype)


def _train_epoch(t: Training, o: _Options) -> None:
    """The batches of an epoch that are still to come, until `stop` is set."""
    t.model.train()
    batches, mark = len(t.loader), perf_counter()
    # With all batches done, as in a state saved after the last one, the loader stands at the next epoch's first.
    for images, labels in t.loader if t.batch < batches else ():
        before = default_generator.state
        forward = partial(_loss, t.model, images, labels, o)
        logits, loss = forward()
        due = t.step % o.check_every == 0
        if due:
            _check(t, loss.item(), "loss", forward, before)
        group = min(o.accumulate, batches - (t.batch - t.batch % o.accumulate))
        share = loss / group if group > 1 else loss
        (share if t.scaler is None else t.scaler.scale(share)).backward()
        t.tally.add(logits, labels, loss)
        t.batch += 1
        if t.batch % o.accumulate == 0 or t.batch == batches:
            _update(t, o, forward if due else None, before)
            now = perf_counter()
            t.seconds, t.epoch_seconds, mark = t.seconds + now - mark, t.epoch_seconds + now - mark, now
            for callback in o.on_step:
                callback(t)
            if t.stop is not None:
                return


def _loss(model: nn.Module, images: Tensor, labels: Tensor, o: _Options) -> tuple[Tensor, Tensor]:
    with precision(o.device, o.dtype):
        logits = model(images)
        loss = o.loss_fn(logits, labels)
    if loss.ndim:
        raise ValueError(f"[fit] loss_fn gives a loss of shape {tuple(loss.shape)}, not one number; take its mean")
    return logits, loss


def _update(t: Training, o: _Options, forward: Callable[[], tuple[Tensor, Tensor]] | None, before: Any) -> None:
    """Change the weights by the gradients, which are then gone; check these first, if `forward` is given."""
    if t.scaler is not None:
        t.scaler.unscale_(t.optimizer)  # and leave out a step whose gradients are not finite
    elif forward is not None:
        grads = [p.grad for group in t.optimizer.param_groups for p in group["params"] if p.grad is not None]
        _check(t, _sum(grads), "sum of the gradients", forward, before)
    if o.max_norm is not None:
        clip_grad_norm_([p for group in t.optimizer.param_groups for p in group["params"]], o.max_norm)
    taken = True
    if t.scaler is None:
        t.optimizer.step()
    else:
        scale = t.scaler.get_scale()
        t.scaler.step(t.optimizer)
        t.scaler.update()
        taken = t.scaler.get_scale() >= scale
    t.optimizer.zero_grad()
    t.step, t.lr = t.step + 1, float(t.optimizer.param_groups[0]["lr"])
    if taken and t.scheduler is not None:
        t.scheduler.step()
    if taken and t.ema is not None:
        t.ema.update_parameters(t.model)


def _sum(tensors: Iterable[Tensor]) -> float:
    """The sum of all elements, wherever they are: not finite where one is not."""
    found: dict[Backend, Any] = {}
    with np.errstate(all="ignore"):
        for x in tensors:
            backend = backend_under(x)
            array = (x.detach().float() if is_half(x.dtype) else x).below
            with guarded(backend):
                found[backend] = found.get(backend, 0.0) + array.sum()
        return sum([float(total) for total in found.values()])


def check_finite(t: Training) -> None:
    """Raise DivergedError where the loss of this epoch or a weight is not finite: a state that is not worth saving."""
    if t.tally.count:
        _check(t, t.tally.scores().loss, "mean loss")
    _check(t, _sum(t.model.parameters()), "sum of the weights")


def _read(t: Training) -> tuple[Scores, float]:
    """The scores of the epoch so far, and its seconds with those in which a GPU did what was still to do for them."""
    began = perf_counter()
    scores = t.tally.scores()
    seconds = t.epoch_seconds + perf_counter() - began
    _check(t, scores.loss, "mean loss")
    return scores, seconds


def _check(
    t: Training, value: float, what: str, forward: Callable[[], tuple[Tensor, Tensor]] | None = None, before: Any = None
) -> None:
    """Raise DivergedError, with the operation at fault, where a value is not finite."""
    if math.isfinite(value):
        return
    found = f"its origin is gone, as not each step was looked at: {EACH_STEP} would name the operation"
    if forward is not None:
        after = default_generator.state
        default_generator.seek(before)
        found = explain_nonfinite(lambda: forward()[1], t.model)
        default_generator.seek(after)
    cure = f"; try a lower lr than {t.lr:g}, or clip the gradients" if t.step else ""  # before, it is not the steps
    raise DivergedError(f"[train] the {what} is {value} in epoch {t.epoch + 1}, after {t.step} steps: {found}{cure}")


def evaluate(model: nn.Module, loader: DataLoader, loss_fn: Loss = cross_entropy, *, dtype: Any = None) -> Scores:
    """The scores of a model over all batches of a loader, in evaluation mode, in which it is left."""
    model.eval()
    tally = Tally()
    with no_grad(), precision(device_of(model), dtype):
        for images, labels in loader:
            logits = model(images)
            tally.add(logits, labels, loss_fn(logits, labels))
    return tally.scores()


def step_report(t: Training) -> StepReport:
    """Where a training stands, for a callback of `on_step`; on a GPU this waits for all that was launched."""
    scores, seconds = _read(t)
    return StepReport(
        epoch=t.epoch + 1,
        epochs=t.epochs,
        step=t.step,
        seen=t.tally.count,
        images=len(t.loader.dataset),
        scores=scores,
        images_per_second=t.tally.count / max(seconds, 1e-9),
        lr=t.lr,
        memory=memory_used(get_backend(device_of(t.model))),
        seconds_left=seconds_left(t),
    )


def seconds_left(t: Training) -> float | None:
    """The time to the end at the pace so far, evaluations not counted; None where there is no end or no pace."""
    done = t.epoch + t.batch / len(t.loader)
    return None if t.epochs is None or done == 0 else max(0.0, t.seconds * (t.epochs / done - 1))
