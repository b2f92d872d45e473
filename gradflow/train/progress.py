"""What a person, or a program, sees while a model trains: a live line on a terminal, plain or JSON lines elsewhere."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from .table import table_lines
from .wording import GAP, duration, encodable, epoch_cells, labelled, percent, step_cells, visible, worded

if TYPE_CHECKING:
    from .report import EpochReport, StepReport

__all__ = ["Display", "JsonLines", "Plain", "Quiet", "duration", "open_display", "percent"]

SILENCE = 10.0  # seconds between plain lines within an epoch
TABLE_ROWS = 24  # of the table in a log, which has a line for each epoch anyway


class Display(AbstractContextManager["Display"]):
    """What is told how a run goes. This one shows nothing; subclasses define what they show.

    As a context, it has the terminal to itself from beginning to end. What is told before or after is shown too. An
    output that cannot be written, a log on a full disk, is said once on the standard error, for no run is to end by it;
    one that nobody reads any more raises BrokenPipeError.
    """

    lost = False  # whether that was said

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""

    def plan(self, lines: Sequence[tuple[str, str]]) -> None:
        """Say what will be done: labels and texts, ("data", "digits: 1,437 training images")."""

    def step(self, report: StepReport) -> None:
        """Show how far an epoch is. Cheap: may be called at every step."""

    def epoch(self, report: EpochReport) -> None:
        """Show the results of an epoch."""

    def line(self, text: str, style: str | None = None) -> None:
        """Print text that stays; `style` is one of rich's, for terminals."""

    def warn(self, text: str) -> None:
        """Print a warning."""

    def error(self, text: str) -> None:
        """Tell programs why the run ends; people read it on the standard error."""

    def table(self, reports: Sequence[EpochReport]) -> None:
        """Show all epochs of the run at its end."""

    def final(self, values: Mapping[str, Any]) -> None:
        """Show the run's outcome: by name its files, times and scores."""

    def _write(self, text: str, stream: TextIO) -> None:
        try:
            stream.write(encodable(text, stream.encoding))
            stream.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            if not self.lost and stream is not sys.stderr:
                self.lost = True
                with suppress(OSError):  # it may be the same file
                    print(f"warning: the output cannot be written: {error.strerror}", file=sys.stderr)


class Plain(Display):
    """Plain lines, for logs and pipes: one for each epoch, and one each ten seconds within one."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = sys.stdout if stream is None else stream
        self.shown = perf_counter()

    def plan(self, lines: Sequence[tuple[str, str]]) -> None:
        for label, text in lines:
            self.line(labelled(label, text))

    def step(self, report: StepReport) -> None:
        if perf_counter() - self.shown >= SILENCE:
            cells = step_cells(report)
            names = ("epoch", "share", "loss", "accuracy", "speed", "left")
            self.line(GAP.join([cells[name] for name in names if name in cells]))

    def epoch(self, report: EpochReport) -> None:
        self.line(GAP.join(self.summary(report).values()))

    def line(self, text: str, style: str | None = None) -> None:
        self.shown = perf_counter()
        self._write(visible(text) + "\n", self.stream)

    def warn(self, text: str) -> None:
        self.line(f"warning: {text}", "yellow")

    def table(self, reports: Sequence[EpochReport]) -> None:
        self.lines(table_lines(reports, rows=TABLE_ROWS))

    def final(self, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            self.line(labelled(name.replace("_", " "), worded(name, value)))

    def lines(self, table: Sequence[tuple[str, str | None]]) -> None:
        """A table with its styles, between empty lines."""
        if table:
            for text, style in [("", None), *table, ("", None)]:
                self.line(text, style)

    def summary(self, report: EpochReport) -> dict[str, str]:
        """The cells of an epoch's line: the time left is of no use after the last one."""
        last = report.epochs is not None and report.epoch >= report.epochs
        hidden = {"memory", "lr", "left"} if last else {"memory", "lr"}
        return {name: text for name, text in epoch_cells(report).items() if name not in hidden}


class JsonLines(Display):
    """Each report as one JSON object in a line of its own, `{"event": "step", ...}`. NaN and infinity become null.

    Events are "plan", "step", "epoch", "message", "warning", and last "final" or "error".
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = sys.stdout if stream is None else stream

    def plan(self, lines: Sequence[tuple[str, str]]) -> None:
        self._event("plan", lines=lines)

    def step(self, report: StepReport) -> None:
        self._event(
            "step", epoch=report.epoch, epochs=report.epochs, step=report.step, seen=report.seen, images=report.images,
            loss=report.scores.loss, accuracy=report.scores.accuracy, images_per_second=report.images_per_second,
            lr=report.lr, memory=report.memory, seconds_left=report.seconds_left,
        )  # fmt: skip

    def epoch(self, report: EpochReport) -> None:
        test = report.test
        self._event(
            "epoch", epoch=report.epoch, epochs=report.epochs, step=report.step,
            train_loss=report.train.loss, train_accuracy=report.train.accuracy,
            test_loss=test.loss if test else None, test_accuracy=test.accuracy if test else None,
            lr=report.lr, seconds=report.seconds, images_per_second=report.images_per_second,
            memory=report.memory, seconds_left=report.seconds_left,
        )  # fmt: skip

    def line(self, text: str, style: str | None = None) -> None:
        self._event("message", text=text)

    def warn(self, text: str) -> None:
        self._event("warning", text=text)

    def error(self, text: str) -> None:
        self._event("error", text=text)

    def final(self, values: Mapping[str, Any]) -> None:
        self._event("final", **values)

    def _event(self, event: str, **values: Any) -> None:
        self._write(json.dumps({"event": event} | jsonable(values), allow_nan=False) + "\n", self.stream)


class Quiet(Display):
    """Warnings on the standard error, and nothing else."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = sys.stderr if stream is None else stream

    def warn(self, text: str) -> None:
        self._write(visible(f"warning: {text}\n"), self.stream)


def open_display(mode: str = "auto", stream: TextIO | None = None) -> Display:
    """The display of a mode: "plain", "live", "json", "quiet" or "auto": live on a terminal that can redraw a line.

    Without `stream` it writes to the standard output, a quiet one to the standard error. ValueError for other modes.
    """
    if mode == "auto":
        mode = "live" if _can_redraw(sys.stdout if stream is None else stream) else "plain"
    makers: dict[str, Callable[[TextIO | None], Display]] = {
        "plain": Plain, "live": _live, "json": JsonLines, "quiet": Quiet
    }  # fmt: skip
    if mode not in makers:
        raise ValueError(f"[display] no display is called {mode!r}; choose one of auto, {', '.join(makers)}")
    return makers[mode](stream)


def _live(stream: TextIO | None) -> Display:
    from .live import Live

    return Live(stream)


def _can_redraw(stream: TextIO) -> bool:
    """Whether a stream is a terminal that moves its cursor; rich knows the rest of what may stand against it."""
    if not stream.isatty():
        return False
    from rich.console import Console

    console = Console(file=stream)
    return console.is_interactive and not console.is_dumb_terminal and not console.legacy_windows


def jsonable(value: Any) -> Any:
    """`value` as strict JSON has it: no NaN, no infinity; paths, and what else is not known, as text."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)
