"""What a person sees while a model trains: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from .loop import BatchReport, EpochReport

if TYPE_CHECKING:
    from rich.console import Console

QUIET = 10.0  # seconds between plain lines within an epoch
ROOM_FOR_BAR = 76  # columns: the text takes about 66


class Display(AbstractContextManager["Display"]):
    """Shows reports of `fit`; this one prints plain lines to `stream`, for logs and pipes.

    `epochs` is the number of epochs to come, `images` that of the images in each.
    """

    def __init__(self, epochs: int, images: int, stream: TextIO | None = None) -> None:
        self.epochs = epochs
        self.images = images
        self.stream = sys.stdout if stream is None else stream
        self.start = self.shown = perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""

    def batch(self, report: BatchReport) -> None:
        """Show how far an epoch is."""
        now = perf_counter()
        if now - self.shown >= QUIET:
            done = report.seen / self.images
            self.line(
                f"{self.numbered(report.epoch)}  {done:4.0%}  loss {report.scores.loss:.4f}  "
                f"accuracy {percent(report.scores.accuracy)}  {report.images_per_second:,.0f} images/s  "
                f"{self.time_left(report.epoch - 1 + done)} left"
            )

    def epoch(self, report: EpochReport) -> None:
        """Show the results of an epoch."""
        left = f"  {self.time_left(report.epoch)} left" if report.epoch < self.epochs else ""
        self.line(self.summary(report) + left)

    def line(self, text: str) -> None:
        """Print a line that stays."""
        self.shown = perf_counter()
        print(text, file=self.stream, flush=True)

    def numbered(self, epoch: int) -> str:
        """`epoch  3/30`."""
        return f"epoch {epoch:{len(str(self.epochs))}}/{self.epochs}"

    def summary(self, report: EpochReport) -> str:
        """An epoch in one line."""
        return (
            f"{self.numbered(report.epoch)}  loss {report.train.loss:.4f}  accuracy {percent(report.train.accuracy)}  "
            f"test {percent(report.test.accuracy)}  {report.images_per_second:,.0f} images/s"
        )

    def time_left(self, done: float) -> str:
        """The time for the epochs to come, after `done` of them, at the pace so far."""
        seconds = (perf_counter() - self.start) * (self.epochs - done) / max(done, 1e-9)
        minutes, seconds = divmod(round(seconds), 60)
        return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}" if minutes >= 60 else f"{minutes}:{seconds:02}"


class LiveDisplay(Display):
    """A bar that moves, with loss, accuracy, images a second and the time left, below a line for each epoch."""

    def __init__(self, epochs: int, images: int, console: Console) -> None:
        from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn
        from rich.table import Column

        super().__init__(epochs, images)
        self.console = console
        # Where room is short the bar goes first, then the right end of the text.
        whole = Column(no_wrap=True, min_width=len(self.numbered(1)))
        columns: list[ProgressColumn] = [TextColumn("{task.fields[numbered]}", style="bold", table_column=whole)]
        if console.width >= ROOM_FOR_BAR:
            columns.append(BarColumn(bar_width=None))
        columns.append(TextColumn("{task.fields[status]}"))
        self.bar = Progress(*columns, console=console, transient=True, expand=True)
        self.task = self.bar.add_task("train", total=epochs * images, numbered=self.numbered(1), status="")

    def __enter__(self) -> LiveDisplay:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def batch(self, report: BatchReport) -> None:
        done = report.epoch - 1 + report.seen / self.images
        status = (
            f"loss {report.scores.loss:.4f}  accuracy {percent(report.scores.accuracy)}  "
            f"{report.images_per_second:,.0f} images/s  {self.time_left(done)} left"
        )
        self._move(report.epoch, done, status)

    def epoch(self, report: EpochReport) -> None:
        self.line(self.summary(report))
        status = (
            f"loss {report.train.loss:.4f}  accuracy {percent(report.train.accuracy)}  "
            f"{report.images_per_second:,.0f} images/s  {self.time_left(report.epoch)} left"
        )
        self._move(min(report.epoch + 1, self.epochs), report.epoch, status)

    def line(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True)

    def _move(self, epoch: int, done: float, status: str) -> None:
        self.bar.update(self.task, completed=done * self.images, numbered=self.numbered(epoch), status=status)


def open_display(epochs: int, images: int) -> Display:
    """A LiveDisplay where the standard output is a terminal that can redraw a line, or else plain lines."""
    if not sys.stdout.isatty():
        return Display(epochs, images)
    from rich.console import Console

    console = Console()
    return Display(epochs, images) if console.is_dumb_terminal else LiveDisplay(epochs, images, console)


def percent(share: float) -> str:
    """A share in [0, 1] as it is printed everywhere: `98.61 %`."""
    return f"{100 * share:.2f} %"
