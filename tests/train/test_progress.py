"""What is shown of a run in plain lines and in JSON lines, and which display is chosen where."""

from __future__ import annotations

import errno
import io
import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gradflow.train import progress, wording
from gradflow.train.progress import Display, JsonLines, Plain, Quiet, duration, open_display
from gradflow.train.report import EpochReport, Scores, StepReport

MIB = 1 << 20
STEP = StepReport(2, 12, 70, 50, 100, Scores(0.51234, 0.875), 12_345.6, 0.00123, 300 * MIB, 140.2)
EPOCH = EpochReport(2, 12, 90, Scores(0.25, 0.9375), Scores(0.3, 0.98611), 0.001, 1.5, 12_345.6, 300 * MIB, 120.0)


@pytest.fixture
def clock(monkeypatch):
    """The time by which displays go, in seconds; it stands still unless it is set."""

    class Clock:
        now = 0.0

    monkeypatch.setattr(progress, "perf_counter", lambda: Clock.now)
    return Clock


# -- words -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0:00"), (59.7, "1:00"), (61, "1:01"), (3599.6, "1:00:00"), (90_061, "25:01:01"), (-1, "0:00"),
     (math.inf, "?"), (math.nan, "?")],
)  # fmt: skip
def test_durations(seconds: float, text: str):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1 KiB"), (412 * MIB, "412 MiB"), (1024 * MIB - 1, "1.0 GiB"),
     (1229 * MIB, "1.2 GiB"), (1 << 52, "4096.0 TiB")],
)  # fmt: skip
def test_sizes(count: int, text: str):
    assert wording.size(count) == text


# -- plain lines -------------------------------------------------------------------------------------------------------


def test_plain_lines(clock):
    stream = io.StringIO()
    with Plain(stream) as display:
        display.plan([("data", "digits: 1,437 training images"), ("model", "CNN")])
        clock.now = 9.9
        display.step(STEP)  # too soon after the last line to be worth one
        clock.now = 10.0
        display.step(STEP)
        display.step(STEP)
        clock.now = 12.0
        display.epoch(EPOCH)
        clock.now = 21.0
        display.step(STEP)
        display.line("saved")
        display.warn("the disk is full")
    assert stream.getvalue().splitlines() == [
        "data      digits: 1,437 training images",
        "model     CNN",
        "epoch  2/12   50%  loss 0.5123  accuracy 87.50 %  12,346 images/s  2:20 left",
        "epoch  2/12  loss 0.2500  accuracy 93.75 %  test 98.61 %  12,346 images/s  2:00 left",
        "saved",
        "warning: the disk is full",
    ]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"epoch": 12}, "epoch 12/12  loss 0.2500  accuracy 93.75 %  test 98.61 %  12,346 images/s"),
        ({"seconds_left": None}, "epoch  2/12  loss 0.2500  accuracy 93.75 %  test 98.61 %  12,346 images/s"),
        ({"test": None}, "epoch  2/12  loss 0.2500  accuracy 93.75 %  12,346 images/s  2:00 left"),
        ({"epochs": None}, "epoch 2  loss 0.2500  accuracy 93.75 %  test 98.61 %  12,346 images/s  2:00 left"),
        ({"train": Scores(math.nan, 0.1), "test": None, "seconds_left": math.inf},
         "epoch  2/12  loss nan  accuracy 10.00 %  12,346 images/s"),
    ],
)  # fmt: skip
def test_what_is_not_known_is_left_out_of_an_epochs_line(changes: dict, text: str):
    stream = io.StringIO()
    Plain(stream).epoch(replace(EPOCH, **changes))
    assert stream.getvalue() == text + "\n"


def test_plain_lines_have_no_control_characters_and_no_characters_that_the_stream_has_not():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="latin-1", newline="\n")
    Plain(stream).line("na\xefve \u732b.png \x1b[2J\r\udcff\tend\nnext")
    assert raw.getvalue() == b"na\xefve \\u732b.png \\x1b[2J\\r\\udcff\tend\nnext\n"


def test_lines_are_flushed_at_once():
    class Pipe(io.StringIO):
        def flush(self) -> None:
            self.seen = self.getvalue()

    for display in (Plain(Pipe()), JsonLines(Pipe())):
        display.line("text")
        assert "text" in display.stream.seen


def test_the_outcome_in_words():
    stream = io.StringIO()
    Plain(stream).final(
        {"trained": "30 epochs", "weights": Path("w"), "test_accuracy": 0.99167, "steps": 12_345, "finished": True,
         "train_seconds": 61.0, "loss": 0.123456, "ended": None, "shape": (1, 8), "test": {"accuracy": 0.5}},
    )  # fmt: skip
    assert stream.getvalue().splitlines() == [
        "trained   30 epochs",
        "weights   w",
        "test accuracy 99.17 %",
        "steps     12,345",
        "finished  yes",
        "train seconds 1:01",
        "loss      0.1235",
        "ended     none",
        "shape     1, 8",
        "test      accuracy 50.00 %",
    ]


def test_quiet_and_the_base_class_show_nothing_but_warnings(capsys):
    for display in (Quiet(), Display()):
        with display:
            display.plan([("data", "digits")])
            display.step(STEP)
            display.epoch(EPOCH)
            display.line("text")
            display.table([EPOCH])
            display.final({"loss": 1.0})
        assert capsys.readouterr() == ("", "")
    with Quiet() as display:
        display.warn("the disk is full")
    assert capsys.readouterr() == ("", "warning: the disk is full\n")


# -- JSON --------------------------------------------------------------------------------------------------------------


def test_json_lines(capsys):
    with JsonLines() as display:
        display.plan([("data", "digits")])
        display.step(replace(STEP, scores=Scores(math.nan, 0.5), epochs=None, seconds_left=math.inf))
        display.epoch(replace(EPOCH, test=None, memory=None))
        display.epoch(EPOCH)
        display.line("na\xefve \x1b", style="bold")
        display.warn("full")
        display.table([EPOCH])  # its rows were reported
        display.final({"weights": Path("w"), "scores": {"loss": -math.inf, 1: (np.float32(0.5), np.int64(3), True)}})
    lines = capsys.readouterr().out.splitlines()
    refused: list[str] = []
    events = [json.loads(line, parse_constant=refused.append) for line in lines]
    assert refused == []
    assert all(line.isascii() for line in lines)
    step = {"epoch": 2, "epochs": None, "step": 70, "seen": 50, "images": 100, "loss": None, "accuracy": 0.5,
            "images_per_second": 12_345.6, "lr": 0.00123, "memory": 300 * MIB, "seconds_left": None}  # fmt: skip
    epoch = {"epoch": 2, "epochs": 12, "step": 90, "train_loss": 0.25, "train_accuracy": 0.9375, "test_loss": 0.3,
             "test_accuracy": 0.98611, "lr": 0.001, "seconds": 1.5, "images_per_second": 12_345.6,
             "memory": 300 * MIB, "seconds_left": 120.0}  # fmt: skip
    assert events == [
        {"event": "plan", "lines": [["data", "digits"]]},
        {"event": "step", **step},
        {"event": "epoch", **epoch, "test_loss": None, "test_accuracy": None, "memory": None},
        {"event": "epoch", **epoch},
        {"event": "message", "text": "na\xefve \x1b"},
        {"event": "warning", "text": "full"},
        {"event": "final", "weights": "w", "scores": {"loss": None, "1": [0.5, 3, True]}},
    ]


# -- which display -----------------------------------------------------------------------------------------------------


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("mode", "terminal", "environment", "kind"),
    [
        ("auto", False, {}, "Plain"),
        ("auto", False, {"FORCE_COLOR": "1"}, "Plain"),
        ("auto", True, {}, "Live"),
        ("auto", True, {"NO_COLOR": "1"}, "Live"),
        ("auto", True, {"TERM": "dumb"}, "Plain"),
        ("auto", True, {"TERM": "unknown"}, "Plain"),
        ("plain", True, {}, "Plain"),
        ("live", False, {}, "Live"),
        ("json", True, {}, "JsonLines"),
        ("quiet", True, {}, "Quiet"),
    ],
)
def test_which_display(monkeypatch, mode: str, terminal: bool, environment: dict, kind: str):
    for name in ("FORCE_COLOR", "TTY_INTERACTIVE", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ({"TERM": "xterm"} | environment).items():
        monkeypatch.setenv(name, value)
    stream = Tty() if terminal else io.StringIO()
    display = open_display(mode, stream)
    assert type(display).__name__ == kind
    assert display.stream is stream
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        assert type(open_display(mode)).__name__ == kind


def test_an_unknown_display():
    with pytest.raises(ValueError, match=r"\[display\] no display is called 'fancy'; choose one of auto, plain, live"):
        open_display("fancy")


def test_without_a_terminal_rich_is_not_loaded():
    code = (
        "import sys; from gradflow.train.progress import open_display\n"
        "with open_display() as display: display.line('text')\n"
        "print(sorted({'rich', 'scipy'} & {*sys.modules}))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "text\n[]\n"


class Full(io.StringIO):
    """A log on a full disk, or a pipe whose reader is gone."""

    encoding = "utf-8"  # type: ignore[assignment]

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def flush(self) -> None:
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize("mode", ["plain", "json", "quiet"])
def test_a_log_on_a_full_disk_ends_no_run(mode: str, capsys):
    display = open_display(mode, Full(errno.ENOSPC))
    for _ in range(3):
        display.warn("something")
    assert capsys.readouterr().err == "warning: the output cannot be written: No space left on device\n"
    with pytest.raises(BrokenPipeError):
        open_display(mode, Full(errno.EPIPE)).warn("something")
