"""Averages of weights over training: `AveragedModel`, its averages, `update_bn` and the schedule `SWALR`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from itertools import chain
from typing import Any

from ..autograd.grad_mode import no_grad
from ..creation import tensor
from ..nn import Module
from ..nn.normalization import _BatchNorm
from .optimizer import Optimizer
from .scheduler import LRScheduler, per_group

Average = Callable[[Any, Any, Any], Any]


def _check_decay(decay: float) -> None:
    if not 0.0 <= decay <= 1.0:
        raise ValueError(f"[swa_utils] decay must be in [0, 1], got {decay}")


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """decay * average + (1 - decay) * parameter, for AveragedModel's avg_fn."""
    _check_decay(decay)

    @no_grad()
    def average(ema: Any, current: Any, num_averaged: Any) -> Any:
        return decay * ema + (1 - decay) * current

    return average


def get_swa_avg_fn() -> Average:
    """The mean of all parameters so far, for AveragedModel's avg_fn."""

    @no_grad()
    def average(mean: Any, current: Any, num_averaged: Any) -> Any:
        return mean + (current - mean) / (num_averaged + 1)

    return average


def _each(average: Average) -> Callable[[Sequence[Any], Sequence[Any], Any], None]:
    @no_grad()
    def averages(means: Sequence[Any], currents: Sequence[Any], num_averaged: Any) -> None:
        for mean, current in zip(means, currents, strict=True):
            mean.copy_(average(mean, current, num_averaged))

    return averages


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable[[Sequence[Any], Sequence[Any], Any], None]:
    """The same as get_ema_avg_fn, in place on lists of averages and parameters, for AveragedModel's multi_avg_fn."""
    return _each(get_ema_avg_fn(decay))


def get_swa_multi_avg_fn() -> Callable[[Sequence[Any], Sequence[Any], Any], None]:
    """The same as get_swa_avg_fn, in place on lists of averages and parameters, for AveragedModel's multi_avg_fn."""
    return _each(get_swa_avg_fn())


class AveragedModel(Module):
    """A copy of a model whose parameters are averages of the model's, taken at each `update_parameters`.

    By default the mean of all (stochastic weight averaging, Izmailov et al., 2018). avg_fn(average, parameter, count)
    returns another, multi_avg_fn takes lists of both and writes it. use_buffers averages buffers too; without it they
    are the model's own at the last update. After training, batch norm's statistics are made anew by `update_bn`.
    """

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Average | None = None,
        multi_avg_fn: Callable[[Sequence[Any], Sequence[Any], Any], None] | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise ValueError("[AveragedModel] takes avg_fn or multi_avg_fn, not both")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device=device)
        self.register_buffer("n_averaged", tensor(0, device=device))
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the averaged model computes."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the model's parameters into the averages; the first time, take them over."""
        mine: Iterable[Any] = self.module.parameters()
        others: Iterable[Any] = model.parameters()
        if self.use_buffers:
            mine, others = chain(mine, self.module.buffers()), chain(others, model.buffers())
        means = [p.detach() for p in mine]
        currents = [p.detach().to(mean.device) for p, mean in zip(others, means, strict=True)]
        count = self.n_averaged
        if count.item() == 0:
            for mean, current in zip(means, currents, strict=True):
                mean.copy_(current)
        elif self.multi_avg_fn is not None and means:
            self.multi_avg_fn(means, currents, count.to(means[0].device))
        else:
            average = self.avg_fn or get_swa_avg_fn()
            for mean, current in zip(means, currents, strict=True):
                mean.copy_(average(mean, current, count.to(mean.device)))
        if not self.use_buffers:
            for mean, current in zip(self.module.buffers(), model.buffers(), strict=True):
                mean.detach().copy_(current.detach().to(mean.device))
        count.add_(1)


@no_grad()
def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Make batch norm's running statistics anew, as the means over the batches of a loader; no other state changes.

    Of batches that are lists or tuples the first element is given to the model.
    """
    layers = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    if not layers:
        return
    momenta, training = [layer.momentum for layer in layers], [(m, m.training) for m in model.modules()]
    try:
        model.train()
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None
        for batch in loader:
            x = batch[0] if isinstance(batch, (list, tuple)) else batch
            model(x if device is None else x.to(device))
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        for module, was in training:
            module.training = was


class SWALR(LRScheduler):
    """The rate goes to swa_lr in anneal_epochs, by a cosine or (anneal_strategy "linear") a line, and stays there."""

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: Any,
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"[SWALR] anneal_strategy must be 'cos' or 'linear', got {anneal_strategy!r}")
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"[SWALR] anneal_epochs must be an integer from 0 on, got {anneal_epochs}")
        for rate, group in zip(per_group("swa_lr", optimizer, swa_lr), optimizer.param_groups, strict=True):
            group["swa_lr"] = rate
        self._anneal_strategy, self.anneal_epochs = anneal_strategy, anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _part(self, step: int) -> float:
        """How far the rate is at a step, from 0 to 1."""
        t = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        return t if self._anneal_strategy == "linear" else (1 - math.cos(math.pi * t)) / 2

    def get_lr(self) -> list[Any]:
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, part, rates = self._part(step - 1), self._part(step), []
        for group in self.optimizer.param_groups:
            target = group["swa_lr"]
            start = target if before == 1 else (group["lr"] - before * target) / (1 - before)
            rates.append(target * part + start * (1 - part))
        return rates


__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]
