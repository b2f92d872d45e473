"""A whole training run: from settings to a folder with weights, metrics and checkpoints, started or taken up again."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

from .. import nn
from ..backend import Device, DeviceLike, get_backend
from ..data import ImageData, Split
from ..optim.lr_scheduler import LambdaLR
from ..tensor import Tensor
from . import recipe
from .account import about, flat, plan, stale
from .checkpoint import CheckpointError, Checkpoints, load_weights, save_weights
from .environment import differences
from .loop import check_finite, check_interval, evaluate, fit, precision, step_report
from .metrics import MetricsFile
from .out_of_memory import explain_out_of_memory, is_out_of_memory
from .progress import Display
from .report import EpochReport, Scores, StepReport, best
from .rundir import lock_run
from .settings import Settings
from .state import Training

WEIGHTS, BEST, METRICS, CONFIG = "weights.safetensors", "best.safetensors", "metrics.jsonl", "config.toml"
LOOK = 0.1  # seconds between two step reports
TIME_IS_UP, NO_BETTER = "the time is up", "no better for a while"
HARMLESS = (
    *("epochs", "time_limit", "save_every", "keep", "workers", "data_on", "device", "data_dir", "eval_every"),
    "check_every",
)
"""Settings whose change needs no word when a run is taken up: asked for, or without effect on what is computed."""

Report = TypeVar("Report", StepReport, EpochReport)
Saved = tuple[Mapping[str, Any], Mapping[str, Any]]
"""What `Checkpoints.load` returns first: the state of a training, and what is said about it."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended. `stopped` is why it is not finished, None where it is; `test` the scores of what is kept."""

    folder: Path
    settings: Settings
    history: tuple[EpochReport, ...]
    steps: int
    seconds: float
    test: Scores | None
    ended: str | None
    stopped: str | None

    @property
    def weights(self) -> Path:
        """The weights that `gradflow eval` and `gradflow predict` use."""
        return self.folder / WEIGHTS

    @property
    def metrics(self) -> Path:
        """A JSON line for each epoch, and one for the end."""
        return self.folder / METRICS


def train(
    settings: Settings,
    folder: Path,
    display: Display,
    *,
    device: DeviceLike = None,
    resume: Saved | None = None,
    stop_asked: Callable[[], str | None] = lambda: None,
) -> Outcome:
    """Train as settings say, with everything that is to be kept in `folder`.

    resume is what `Checkpoints.load` found there, (state, about): the run goes on from it, on the same device and
    number of threads to the very same weights as without a pause; elsewhere the display says what may differ.
    stop_asked() returns a reason ("Ctrl-C") when the run is to save and stop. Raises DivergedError, MemoryError with
    what takes the memory, CheckpointError where nothing can be saved; the last checkpoint then stays as it was.
    """
    with lock_run(folder):
        place = get_backend(device).device
        data, test = recipe.load(settings)
        return _Run(settings.suited(data), data, test, folder, display, place, stop_asked).run(resume)


class _Run:
    """The parts of a run that its steps and its end have in common."""

    def __init__(
        self, settings: Settings, data: ImageData, test: Split, folder: Path, display: Display, device: Device,
        stop_asked: Callable[[], str | None],
    ) -> None:  # fmt: skip
        self.settings, self.data, self.test, self.folder = settings, data, test, folder
        self.display, self.device, self.stop_asked, self.seconds = display, device, stop_asked, 0.0
        self.measured = recipe.statistics(data.train) if settings.normalize else None
        self.about = about(settings, data, self.measured, device)
        self.checkpoints = Checkpoints(folder / "checkpoints", settings.keep)
        self.metrics, self.metrics_lost = MetricsFile(folder / METRICS), False
        self.look_every = check_interval(device, settings.check_every)
        self.saved = self.shown = perf_counter()

    def run(self, resume: Saved | None) -> Outcome:
        """Build the parts, fit them, and keep what came of it."""
        s, data = self.settings, recipe.placed(self.settings, self.data, self.device)
        model = recipe.make_model(s, data, self.device)
        loader = recipe.train_loader(s, data, self.measured, self.device)
        loss, optimizer = recipe.make_loss(s), recipe.make_optimizer(s, model)
        schedule = recipe.make_schedule(s, optimizer, len(loader), lambda: self.seconds)
        average, scaler = recipe.make_average(s, model, lambda: schedule.last_epoch), recipe.make_scaler(s)
        parts = Training(model, optimizer, loader, scheduler=schedule, ema=average, scaler=scaler)
        state = self._taken_up(*resume, parts, schedule) if resume is not None else None
        if state is not None or self.metrics.path.exists():  # it may know of steps that were lost
            self.metrics.rewrite([("epoch", flat(r)) for r in parts.history])
        s.save(self.folder / CONFIG)
        self.display.plan(plan(s, self.data, model, self.device))
        with self.display:
            try:
                t = fit(
                    model, loader, optimizer, loss,
                    epochs=s.epochs,
                    test_loader=recipe.test_loader(s, data.test, self.measured, self.device),
                    eval_every=s.eval_every,
                    scheduler=schedule,
                    accumulate=s.accumulate,
                    max_norm=s.clip_norm or None,
                    ema=average,
                    dtype=recipe.mixed(s.dtype),
                    scaler=scaler,
                    check_every=self.look_every,
                    on_step=[self._step],
                    on_epoch=[self._epoch],
                    resume=state,
                )  # fmt: skip
            except BaseException as error:
                if not is_out_of_memory(error):
                    raise
                batch = partial(self._first_images, model, data)
                found = explain_out_of_memory(batch, model, optimizer, s.batch_size or 1, get_backend(self.device))
                for line in found.table().splitlines():
                    self.display.line(line)
                raise MemoryError(str(found)) from error
            return self._finish(t)

    def _taken_up(
        self, state: Mapping[str, Any], before: Mapping[str, Any], parts: Training, schedule: LambdaLR
    ) -> dict[str, Any]:
        """A checkpoint's state to go on from, once the parts have taken it; else nothing in the folder has changed.

        The display says what may make the result another one. ValueError where the state is of other parts.
        """
        settings, self.seconds = before["settings"], state["progress"]["seconds"]
        try:
            if settings["optimizer"] != self.settings.optimizer:
                raise ValueError(f"its optimiser was {settings['optimizer']}, not {self.settings.optimizer}")
            state = recipe.with_settings(state, settings, self.settings, parts, schedule)
            parts.load_state_dict(state)
        except (LookupError, RuntimeError, TypeError, ValueError) as error:
            raise ValueError(
                f"[train] the run in {self.folder} cannot go on with these settings: {error.args[0]}; "
                "leave out what changes the model, the images or the optimiser, or begin another run"
            ) from error
        if before["data_digest"] != self.about["data_digest"]:
            self.display.warn("the images are not those that the run began with; what it learns will differ")
        if before["model_digest"] != self.about["model_digest"]:
            self.display.warn(f"{self.settings.model} has changed since the run began: it may be another model now")
        found = differences(before["environment"], self.about["environment"])
        if found:
            self.display.warn(
                f"the weights may differ in their last bits from those of a run in one go: {', '.join(found)}"
            )
        changed = {k: v for k, v in self.about["settings"].items() if settings.get(k) != v}
        for name in sorted(set(changed) - set(HARMLESS)):
            was, now = settings.get(name), changed[name]
            self.display.warn(f"{name} was {was} and is {now}: the result is not that of a run in one go")
        return {**state, "progress": {**state["progress"], "stop": self._ending(parts.history, parts.seconds)}}

    # -- while it runs ------------------------------------------------------------------------------------------------

    def _ending(self, history: Sequence[EpochReport], seconds: float) -> str | None:
        """Why the run ends before its last epoch, if it does."""
        if self.settings.time_limit is not None and seconds >= self.settings.time_limit:
            return TIME_IS_UP
        return NO_BETTER if self.settings.patience and stale(history) >= self.settings.patience else None

    def _step(self, t: Training) -> None:
        """After each step: show, stop, save, where it is time to."""
        now = perf_counter()
        if now - self.shown >= LOOK and t.step % self.look_every == 0:
            self.shown = now
            self.display.step(self._limited(step_report(t), t))
        self.seconds = t.seconds
        t.stop = self.stop_asked() or (TIME_IS_UP if self._ending((), t.seconds) else None)
        if t.stop is None and now - self.saved >= self.settings.save_every:
            self._try(lambda: self._save(t))

    def _epoch(self, t: Training) -> None:
        report = t.history[-1] = self._limited(t.history[-1], t)
        self.display.epoch(report)
        self.metrics_lost |= not self._try(lambda: self.metrics.write("epoch", **flat(report)))
        if best(t.history) is report:
            self._try(lambda: self._keep(BEST, t, report.test))
        t.stop = self._ending(t.history, t.seconds)
        if t.stop is None and t.epoch != t.epochs:
            t.stop = self.stop_asked()

    def _limited(self, report: Report, t: Training) -> Report:
        """A report whose time left is no more than the time limit leaves."""
        if self.settings.time_limit is None:
            return report
        left = max(0.0, self.settings.time_limit - t.seconds)
        return replace(report, seconds_left=min(left, math.inf if report.seconds_left is None else report.seconds_left))

    def _try(self, write: Callable[[], None]) -> bool:
        """Write; where that fails, say so and go on: the disk may have room again before the end."""
        try:
            write()
        except OSError as error:
            self.display.warn(f"{error}; the training goes on and will try again")
            return False
        return True

    def _save(self, t: Training) -> None:
        check_finite(t)
        try:
            self.checkpoints.save(t.step, t.state_dict(), self.about)
        finally:
            self.saved = perf_counter()  # now: else a disk that takes longer than save_every would be all that works

    def _keep(self, name: str, t: Training, test: Scores | None) -> None:
        """Write the weights that are evaluated to a file of their own."""
        reached = {"epoch": t.epoch, "step": t.step, "test": test and asdict(test)}
        save_weights(self.folder / name, t.best_model.state_dict(), {**self.about, **reached})

    def _first_images(self, model: nn.Module, data: ImageData, count: int) -> Callable[[], Tensor]:
        """A step on a batch of so many images, for measuring."""
        few = recipe.train_loader(replace(self.settings, batch_size=count), data, self.measured, self.device)
        images, labels = next(iter(few))

        def step() -> Tensor:
            with precision(self.device, recipe.mixed(self.settings.dtype)):
                return recipe.make_loss(self.settings)(model(images), labels)

        return step

    # -- at the end ---------------------------------------------------------------------------------------------------

    def _finish(self, t: Training) -> Outcome:
        stopped = t.stop if t.stop not in (None, TIME_IS_UP, NO_BETTER) else None
        try:
            self._save(t)
        except OSError:  # weights take less room, and they are what all the time went into
            with suppress(OSError):
                self._keep(WEIGHTS, t, None)
                self.display.warn(f"the checkpoint could not be saved, but {self.folder / WEIGHTS} was")
            raise
        test = None if stopped else self._final_scores(t)
        self._keep(WEIGHTS, t, test)
        if self.metrics_lost:
            self.metrics.rewrite([("epoch", flat(r)) for r in t.history])
        self.metrics.write(
            "final",
            step=t.step,
            epoch=t.epoch,
            seconds=round(t.seconds, 3),
            ended=t.stop,
            finished=stopped is None,
            test_loss=test.loss if test else None,
            test_accuracy=test.accuracy if test else None,
        )
        ended = t.stop if stopped is None else None
        return Outcome(self.folder, self.settings, tuple(t.history), t.step, t.seconds, test, ended, stopped)

    def _final_scores(self, t: Training) -> Scores:
        """The scores on the test images of the weights that are kept: the best, where the run waited for better."""
        taken = self.settings.patience > 0 and self._take_best(t)
        if not taken and not self.settings.validation and t.batch == 0 and t.history and t.history[-1].test is not None:
            return t.history[-1].test
        loader = recipe.test_loader(self.settings, self.test, self.measured, self.device)
        return evaluate(t.best_model, loader, recipe.make_loss(self.settings), dtype=recipe.mixed(self.settings.dtype))

    def _take_best(self, t: Training) -> bool:
        """Give the model its best weights back; False, with a word on why, where their file is not there."""
        top = best(t.history)
        if top is None:
            return False
        try:
            weights, said = load_weights(self.folder / BEST, self.device)
            if said.get("step") != top.step:
                raise CheckpointError(f"[train] {self.folder / BEST} is not of epoch {top.epoch}, the best one")
        except CheckpointError as error:  # it could not be written then
            self.display.warn(f"{error}; the last weights are kept instead")
            return False
        t.best_model.load_state_dict(weights)
        return True
