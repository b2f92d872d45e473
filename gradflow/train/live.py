"""The live display: lines that stay, and below them one that is drawn again and again. Imports rich."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from threading import RLock
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO, cast

from rich.console import Console
from rich.text import Text

from .progress import Plain
from .table import table_lines
from .wording import GAP, epoch_cells, seen_share, step_cells, that_fit, visible

if TYPE_CHECKING:
    from .report import EpochReport, StepReport

FRAME = 0.05  # seconds between two drawings, at least
SHORTEST_BAR, LONGEST_BAR = 6, 60
BELOW_TABLE = 10  # lines of the screen that the table leaves to what comes before and after it
ORDER = ("epoch", "bar", "share", "loss", "accuracy", "speed", "memory", "lr", "left")
RANKS = ("epoch", "loss", "left", "accuracy", "speed", "bar", "share", "memory", "lr")
LINE_RANKS = ("epoch", "test", "loss", "accuracy", "speed", "left")
STYLES = {"epoch": "bold", "left": "cyan"}

CLEAR = "\r\x1b[J"  # all from the beginning of this line on
REST = "\x1b[J"  # all from here on
PLAIN_COLOURS = "\x1b[0m"


class Live(Plain):
    """A bar with loss, accuracy, images a second, memory, learning rate and the time left, below a line for each epoch.

    The cursor stays at the beginning of the bar's line. So a terminal that breaks the line as its window becomes
    narrower takes the cursor along to where the bar begins, and the next drawing clears all of it; and as it is not
    hidden, there is nothing to put right where the process is killed or suspended. No thread draws: the bar moves as
    reports come.

    What is printed to a terminal by `sys.stdout` and `sys.stderr` meanwhile goes above the bar.
    """

    def __init__(self, stream: TextIO | None = None, console: Console | None = None) -> None:
        super().__init__(stream)
        self.console = Console(file=self.stream, force_terminal=True) if console is None else console
        self.cells: dict[str, str] = {}
        self.widths: dict[str, int] = {}  # the widest that each cell has been, so that columns keep their places
        self.done = 0.0  # the share of the run
        self.active = False
        self.start = self.drawn = perf_counter()
        self.lock = RLock()  # a loader's thread may warn
        self.proxies: list[tuple[str, Any, _Above]] = []

    def __enter__(self) -> Live:
        self.active, self.start = True, perf_counter()
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if stream is not None and stream.isatty():
                proxy = _Above(self, stream)
                setattr(sys, name, cast(TextIO, proxy))
                self.proxies.append((name, stream, proxy))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self.lock:
            self.active = False
            proxies, self.proxies = self.proxies, []
            for name, stream, proxy in proxies:
                if getattr(sys, name) is proxy:
                    setattr(sys, name, stream)
            if self.cells:
                self._write(PLAIN_COLOURS + CLEAR, self.stream)  # a drawing may have been cut short
            for _, _, proxy in proxies:
                proxy.release()

    def step(self, report: StepReport) -> None:
        self.cells = step_cells(report)
        self.done = self._done(report, seen_share(report))
        if perf_counter() - self.drawn >= FRAME:
            self.draw()

    def epoch(self, report: EpochReport) -> None:
        self.cells = {**epoch_cells(report), "share": "100%"}
        self.done = self._done(report, 1.0)
        cells = self.summary(report)
        names = that_fit({name: len(text) for name, text in cells.items()}, LINE_RANKS, self._size()[0] - 1)
        self.line(GAP.join([cells[name] for name in names]))

    def line(self, text: str, style: str | None = None) -> None:
        self.above(self._rendered(Text(visible(text), style=style or "")) + "\n")

    def table(self, reports: Sequence[EpochReport]) -> None:
        width, height = self._size()
        self.lines(table_lines(reports, width - 1, height - BELOW_TABLE))

    def above(self, text: str) -> None:
        """Write whole lines, as they are, above the bar."""
        with self.lock:
            if self.active and self.cells:
                self.drawn = perf_counter()
                text = CLEAR + text + self._frame()
            self._write(text, self.stream)

    def draw(self) -> None:
        """Draw the bar again, over itself."""
        with self.lock:
            if self.active:
                self.drawn = perf_counter()
                self._write("\r" + self._frame(), self.stream)

    def _done(self, report: StepReport | EpochReport, share: float) -> float:
        """The share of the run after this `share` of an epoch; of the epoch, where the run's length is not known."""
        if report.epochs is not None:
            return (report.epoch - 1 + share) / max(1, report.epochs)
        if report.seconds_left is not None:
            elapsed = perf_counter() - self.start
            return elapsed / max(1e-9, elapsed + report.seconds_left)
        return share

    def _frame(self) -> str:
        """The bar as it stands, in one line with a column to spare; the cursor ends up where it begins."""
        room = max(1, self._size()[0] - 1)
        cells = {**self.cells, "bar": " " * SHORTEST_BAR}
        for name, text in cells.items():
            self.widths[name] = max(self.widths.get(name, 0), len(text))
        widths = {name: self.widths[name] for name in ORDER if name in self.widths}
        names = that_fit(widths, RANKS, room)
        spare = room - sum([widths[name] for name in names]) - len(GAP) * (len(names) - 1)
        parts = [
            self._bar(min(SHORTEST_BAR + spare, LONGEST_BAR))
            if name == "bar"
            else Text(cells.get(name, "").rjust(widths[name])[:room], style=STYLES.get(name, ""))
            for name in names
        ]
        return self._rendered(Text(GAP).join(parts)) + REST + "\r"

    def _bar(self, width: int) -> Text:
        """A bar as rich draws it: halves of characters count; without colours what is to come is left blank."""
        console = self.console
        whole, half = ("-", " ") if console.options.ascii_only else ("\u2501", "\u2578")
        halves = int(2 * width * min(1.0, max(0.0, self.done)))
        seen = whole * (halves // 2) + half * (halves % 2)
        unseen = (" " if console.no_color or console.color_system is None else whole) * (width - len(seen))
        return Text.assemble((seen, "bar.complete"), (unseen, "bar.back"))

    def _rendered(self, text: Text) -> str:
        with self.console.capture() as captured:
            self.console.print(text, end="", soft_wrap=True)
        return captured.get()

    def _size(self) -> tuple[int, int]:
        """Columns and lines of the terminal as it is now; where it cannot be asked, as rich has them."""
        try:
            columns, lines = os.get_terminal_size(self.stream.fileno())
        except (OSError, ValueError, AttributeError):  # not a terminal, or not a file
            columns, lines = 0, 0
        return columns or self.console.width, lines or self.console.height


class _Above:
    """A stream to a terminal whose lines appear above the bar, each once it is whole."""

    def __init__(self, live: Live, stream: TextIO) -> None:
        self._live, self._stream, self._rest = live, stream, ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._live.lock:
            whole, newline, self._rest = (self._rest + text).rpartition("\n")
            if newline:
                self._live.above(whole + newline)
        return len(text)

    def writelines(self, lines: Sequence[str]) -> None:
        self.write("".join(lines))

    def flush(self) -> None:
        """Nothing: what is not a whole line yet would stand in the bar."""

    def release(self) -> None:
        """Write what has come of a last line."""
        self._stream.write(self._rest)
        self._stream.flush()
        self._rest = ""
