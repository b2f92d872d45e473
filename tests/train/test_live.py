"""The live bar, on terminals of all widths: what is drawn, what goes above it, and what it leaves behind."""

from __future__ import annotations

import io
import os
import re
import struct
import sys
import warnings
from dataclasses import replace

import pytest

from gradflow.train import live
from gradflow.train.progress import open_display
from gradflow.train.report import EpochReport, Scores, StepReport

MIB = 1 << 20
STEP = StepReport(2, 12, 70, 50, 100, Scores(0.51234, 0.875), 12_345.6, 0.00123, 300 * MIB, 140.2)
EPOCH = EpochReport(2, 12, 90, Scores(0.25, 0.9375), Scores(0.3, 0.98611), 0.001, 1.5, 12_345.6, 300 * MIB, 120.0)
WIDTHS = (40, 60, 80, 120, 200)


@pytest.fixture
def clock(monkeypatch):
    """The time by which displays go, in seconds; it stands still unless it is set."""

    class Clock:
        now = 0.0

    monkeypatch.setattr(live, "perf_counter", lambda: Clock.now)
    return Clock


class Screen:
    """A terminal of so many columns that knows what a live display uses: lines, returns, and clearing the rest."""

    def __init__(self, width: int) -> None:
        self.width, self.rows, self.y, self.x = width, [""], 0, 0

    def feed(self, text: str) -> Screen:
        for part in re.findall(r"\x1b\[[\d;]*[A-Za-z]|[^\x1b]", text):
            if part == "\r":
                self.x = 0
            elif part == "\n":
                self.y, self.x = self.y + 1, 0
                self.rows += [""] * (self.y + 1 - len(self.rows))
            elif part == "\x1b[J":
                self.rows[self.y :] = [self.rows[self.y][: self.x]]
            elif part.startswith("\x1b"):
                assert part.endswith("m"), f"{part!r} does more than colour"
            else:
                if self.x == self.width:
                    self.feed("\n")
                row = self.rows[self.y]
                self.rows[self.y] = row[: self.x] + part + row[self.x + 1 :]
                self.x += 1
        return self


def terminal(width: int, **options):
    from rich.console import Console

    options = {"color_system": None, "height": 30, "_environ": {"TERM": "xterm"}} | options
    stream = io.StringIO()
    return live.Live(stream, Console(file=stream, force_terminal=True, width=width, **options))


def shown(display: live.Live) -> list[str]:
    """The rows of the terminal, and that its cursor stands at the beginning of the last."""
    screen = Screen(display._size()[0]).feed(display.stream.getvalue())
    assert (screen.y, screen.x) == (len(screen.rows) - 1, 0)
    return screen.rows


@pytest.mark.parametrize(
    ("width", "bar", "line"),
    [
        (40, "epoch  2/12  loss 0.5123  2:20 left", "epoch  2/12  loss 0.2500  test 98.61 %"),
        (60, "epoch  2/12  loss 0.5123  accuracy 87.50 %  2:20 left",
         "epoch  2/12  loss 0.2500  accuracy 93.75 %  test 98.61 %"),
        (80, "epoch  2/12  ╸        loss 0.5123  accuracy 87.50 %  12,346 images/s  2:20 left",
         "epoch  2/12  loss 0.2500  accuracy 93.75 %  test 98.61 %  12,346 images/s"),
        (120, "epoch  2/12  ━━╸" + " " * 17 + "   50%  loss 0.5123  accuracy 87.50 %  12,346 images/s  300 MiB  "
         "lr 0.00123  2:20 left",
         "epoch  2/12  loss 0.2500  accuracy 93.75 %  test 98.61 %  12,346 images/s  2:00 left"),
        (200, "epoch  2/12  ━━━━━━━╸" + " " * 52 + "   50%  loss 0.5123  accuracy 87.50 %  12,346 images/s  300 MiB  "
         "lr 0.00123  2:20 left",
         "epoch  2/12  loss 0.2500  accuracy 93.75 %  test 98.61 %  12,346 images/s  2:00 left"),
    ],
)  # fmt: skip
def test_the_bar_and_the_lines_above_it(clock, width: int, bar: str, line: str):
    with terminal(width) as display:
        display.line("begin")
        clock.now = 1.0
        display.step(STEP)
        assert shown(display) == ["begin", bar]
        display.epoch(EPOCH)
        assert shown(display)[:2] == ["begin", line]
        assert shown(display)[2].startswith("epoch  2/12  ")
        assert len(shown(display)) == 3
    assert shown(display) == ["begin", line, ""]


def test_nothing_wraps_at_any_width_and_columns_drop_out_one_by_one(clock):
    counts = []
    for width in range(1, 131):
        with terminal(width, color_system="truecolor") as display:
            clock.now += 1
            display.step(STEP)
            assert [len(row) < max(width, 2) for row in shown(display)] == [True]
            display.epoch(EPOCH)
            rows = shown(display)
            text = rows[-1]
            columns = ("epoch", "loss", "accuracy", "images/s", "MiB", "lr", "left", "━", "%  loss")
            counts.append(sum([name in text for name in columns]))
            if width >= 12:  # "epoch  2/12" and a column to spare
                assert len(rows) == 2
                assert all(len(row) < width for row in rows)
    assert counts[10:] == sorted(counts[10:])
    assert {*counts[10:]} == {*range(10)} - {0}


def test_columns_keep_their_places(clock):
    with terminal(100) as display:
        for speed, left in ((12_345.6, 140.0), (987.0, 59.0), (9_876.0, None)):
            clock.now += 1
            display.step(replace(STEP, images_per_second=speed, seconds_left=left))
        frames = [Screen(100).feed(f).rows[0] for f in display.stream.getvalue().split("\x1b[J\r")[:3]]
    assert [frame.index("images/s") for frame in frames] == [frames[0].index("images/s")] * 3
    assert [frame.endswith("left") for frame in frames] == [True, True, False]
    assert "%     987 images/s  300 MiB  0:59 left" in frames[1]


def test_the_bar_is_drawn_at_most_twenty_times_a_second(clock):
    with terminal(80) as display:
        for step in range(1, 1001):
            clock.now = step / 1000
            display.step(STEP)
        assert 15 <= display.stream.getvalue().count("\r") / 2 <= 21


@pytest.mark.parametrize(
    ("changes", "done"),
    [
        ({}, 1.5 / 12),
        ({"epochs": None}, 60 / (60 + 140.2)),  # of the time
        ({"epochs": None, "seconds_left": None}, 0.5),  # of the epoch
        ({"epochs": None, "seconds_left": None, "seen": 0, "images": 0}, 0.0),
        ({"epoch": 12, "seen": 120}, 1.0),
    ],
)
def test_how_far_the_bar_is(clock, changes: dict, done: float):
    with terminal(80) as display:
        clock.now = 60.0
        display.step(replace(STEP, **changes))
        assert display.done == pytest.approx(done)
        shown(display)


def test_what_is_not_known_is_left_out_of_the_bar(clock):
    with terminal(200) as display:
        clock.now = 1.0
        display.step(replace(STEP, epochs=None, memory=None, seconds_left=None))
        assert re.fullmatch(
            r"epoch 2  ━{30} {30}   50%  loss 0\.5123  accuracy 87\.50 %  12,346 images/s  lr 0\.00123",
            shown(display)[0],
        )


def test_colours_and_their_absence(clock, monkeypatch):
    for environment, coloured in (
        ({"TERM": "xterm-256color"}, True),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, False),
    ):
        with terminal(80, color_system="auto", _environ=environment) as display:
            clock.now += 1.0
            display.step(STEP)
            display.warn("hot")
            text = display.stream.getvalue()
        assert ("\x1b[33mwarning: hot" in text) == coloured
        assert bool(re.search(r"\x1b\[(\d+;)*[349]\d", text)) == coloured
        assert ("━━━" in text) == coloured  # what is to come, in grey


def test_a_terminal_without_unicode(clock):
    raw = io.BytesIO()
    from rich.console import Console

    stream = io.TextIOWrapper(raw, encoding="ascii", newline="\n")
    with live.Live(stream, Console(file=stream, force_terminal=True, width=80, color_system=None)) as display:
        clock.now = 1.0
        display.step(replace(STEP, epoch=7))
        display.line("\u732b [bold]x[/bold] :smile:")
    text = raw.getvalue()
    assert b"epoch  7/12  ---      loss" in text
    assert b"\\u732b [bold]x[/bold] :smile:\n" in text


def test_long_and_strange_lines_above_the_bar(clock):
    with terminal(40) as display:
        clock.now = 1.0
        display.step(STEP)
        display.line("x" * 100)
        display.line("a\x1b[2Jb\nc")
        rows = shown(display)
    assert rows[:5] == ["x" * 40, "x" * 40, "x" * 20, "a\\x1b[2Jb", "c"]
    assert rows[5].startswith("epoch")


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.filterwarnings("default")
def test_what_others_print_goes_above_the_bar(clock, monkeypatch):
    stdout, stderr = Tty(), Tty()
    monkeypatch.setattr(sys, "stdout", stdout)
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setattr(warnings, "showwarning", lambda *args, **kwargs: sys.stderr.write("a warning\n"))
    with terminal(80) as display:
        print("before the bar")
        clock.now = 1.0
        display.step(STEP)
        print("of a", end=" ", flush=True)
        assert len(shown(display)) == 2  # not yet a whole line
        print("callback\n[bold]not markup[/bold]")
        warnings.warn("hot", stacklevel=1)
        sys.stderr.writelines(["two\nlines\n", "and a rest"])
        assert sys.stdout.isatty() and sys.stdout.encoding == stdout.encoding
        rows = shown(display)
    assert rows[:-1] == ["before the bar", "of a callback", "[bold]not markup[/bold]", "a warning", "two", "lines"]
    assert rows[-1].startswith("epoch  2/12")
    assert sys.stdout is stdout and sys.stderr is stderr
    assert (stdout.getvalue(), stderr.getvalue()) == ("", "and a rest")


def test_what_goes_to_a_file_is_left_alone(clock, monkeypatch):
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    with terminal(80) as display:
        clock.now = 1.0
        display.step(STEP)
        print("for the log", file=sys.stderr)
    assert log.getvalue() == "for the log\n"


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_the_terminal_is_as_it_was_after_errors(clock, monkeypatch, error: type[BaseException]):
    stdout = Tty()
    monkeypatch.setattr(sys, "stdout", stdout)
    display = terminal(80, color_system="standard")

    def use() -> None:
        with display:
            clock.now = 1.0
            display.step(STEP)
            raise error

    with pytest.raises(error):
        use()
    assert sys.stdout is stdout
    assert shown(display) == [""]
    display.step(STEP)  # and no bar comes back
    display.draw()
    display.line("after")
    assert shown(display) == ["after", ""]
    assert "\x1b[?" not in display.stream.getvalue()  # the cursor was never hidden


def test_a_drawing_cut_short_leaves_nothing(clock):
    display = terminal(80)
    write = display.stream.write

    def cut(text: str) -> int:
        write(text[: len(text) // 2])
        display.stream.write = write
        raise KeyboardInterrupt

    display.stream.write = cut
    clock.now = 1.0
    with pytest.raises(KeyboardInterrupt), display:
        display.step(STEP)
    assert shown(display) == [""]
    assert display.stream.getvalue().endswith("\x1b[0m\r\x1b[J")  # no colour stays


@pytest.mark.parametrize("width", range(60, 100))
def test_the_table_fits_on_the_screen(clock, width: int):
    with terminal(width, height=20) as display:
        clock.now = 1.0
        display.step(STEP)
        history = [replace(EPOCH, epoch=i, test=Scores(0.3, 0.9 if i == 50 else 0.5)) for i in range(1, 101)]
        display.table(history)
        rows = shown(display)
    assert all(len(row) < width for row in rows)
    assert [row.split()[0] for row in rows[2:-2]] == ["1", "2", "...", "50", "...", "96", "97", "98", "99", "100"]
    assert rows[-1].startswith("epoch  2/12")


def test_the_size_is_the_terminals_own_at_each_drawing(clock, monkeypatch):
    termios, fcntl, pty = [pytest.importorskip(name) for name in ("termios", "fcntl", "pty")]
    monkeypatch.setenv("COLUMNS", "300")  # what a shell may say of another one
    monkeypatch.setenv("TERM", "xterm")
    for name in ("TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    reader, writer = pty.openpty()
    lengths = []
    with os.fdopen(reader, "rb", buffering=0) as master, os.fdopen(writer, "w", encoding="utf-8") as stream:
        display = open_display("auto", stream)
        assert type(display) is live.Live
        with display:
            for width in (*WIDTHS, 50):
                fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 30, width, 0, 0))
                clock.now += 1
                display.step(STEP)
                lengths.append(len(Screen(300).feed(os.read(master.fileno(), 10_000).decode()).rows[0].rstrip()))
    assert all(length < width for length, width in zip(lengths, (*WIDTHS, 50), strict=True))
    assert lengths == sorted(lengths[:-1]) + lengths[-1:]
    assert lengths[-1] < lengths[1]
