"""A whole run: what is shown, what is kept, and how it stops."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import pytest

import gradflow as gf
from gradflow.data import Split, load_digits
from gradflow.models import cnn
from gradflow.train import (
    BatchReport,
    Display,
    DivergedError,
    EpochReport,
    Scores,
    Settings,
    load_weights,
    progress,
    read_metrics,
    train,
)

DIGITS = load_digits()
FEW = dataclasses.replace(
    DIGITS,
    train=Split(DIGITS.train.images[:100], DIGITS.train.labels[:100]),
    test=Split(DIGITS.test.images[:50], DIGITS.test.labels[:50]),
)
SETTINGS = Settings(epochs=3, batch_size=25, lr=1e-3)


class Recorder(Display):
    """Keeps what it is shown; `on_epoch` may interfere."""

    def __init__(self, on_epoch=lambda report: None) -> None:
        super().__init__(SETTINGS.epochs, len(FEW.train), io.StringIO())
        self.on_epoch = on_epoch

    def epoch(self, report: EpochReport) -> None:
        super().epoch(report)
        self.on_epoch(report)


def run(folder: Path, display: Display, settings: Settings = SETTINGS, **options):
    gf.manual_seed(0)
    model = cnn(10, FEW.input_shape).to("cpu")
    return model, train(model, FEW, settings, folder, display, "cpu", **options)


def test_a_run_keeps_weights_and_metrics(tmp_path: Path):
    model, outcome = run(tmp_path, Recorder())
    assert not outcome.interrupted
    assert outcome.epochs == 3
    assert outcome.last is not None
    state, metadata = load_weights(outcome.weights)
    assert all(value.tolist() == state[name].tolist() for name, value in model.state_dict().items())
    assert metadata["data"] == "digits"
    assert metadata["input_shape"] == [1, 8, 8]
    assert metadata["epochs_done"] == 3
    records = read_metrics(outcome.metrics)
    assert [r["event"] for r in records] == ["epoch"] * 3 + ["final"]
    assert records[2]["test_accuracy"] == records[3]["test_accuracy"] == outcome.last.test.accuracy
    assert records[3]["lr"] == 1e-3
    assert records[3]["seed"] == 0
    assert records[3]["interrupted"] is False


def test_two_runs_leave_the_same_bytes(tmp_path: Path):
    files = []
    for name in "ab":
        (tmp_path / name).mkdir()
        files.append(run(tmp_path / name, Recorder())[1].weights.read_bytes())
    assert files[0] == files[1]


def interrupt_after(epoch: int):
    def on_epoch(report: EpochReport) -> None:
        if report.epoch == epoch:
            raise KeyboardInterrupt

    return on_epoch


def test_an_interrupted_run_keeps_what_it_has(tmp_path: Path):
    model, outcome = run(tmp_path, Recorder(interrupt_after(2)))
    assert outcome.interrupted
    assert outcome.epochs == 2
    state, metadata = load_weights(outcome.weights)
    assert state["0.weight"].tolist() == model.state_dict()["0.weight"].tolist()
    assert metadata["epochs_done"] == 2
    final = read_metrics(outcome.metrics)[-1]
    assert final["event"] == "final"
    assert final["interrupted"] is True
    assert final["epochs_done"] == 2


def test_a_request_to_stop_ends_the_run_between_batches(tmp_path: Path):
    _, outcome = run(tmp_path, Recorder(), should_stop=lambda: True)
    assert outcome.interrupted
    assert outcome.epochs <= 1
    assert outcome.weights.exists()
    assert read_metrics(outcome.metrics)[-1]["interrupted"] is True


def test_a_request_that_comes_after_the_last_epoch_is_too_late(tmp_path: Path):
    display = Recorder()
    done: list[int] = []
    display.on_epoch = lambda report: done.append(report.epoch)
    _, outcome = run(tmp_path, display, should_stop=lambda: len(done) == 3)
    assert not outcome.interrupted
    assert outcome.epochs == 3


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_run_that_diverges_at_once_leaves_nothing(tmp_path: Path):
    with pytest.raises(DivergedError):
        run(tmp_path, Recorder(), dataclasses.replace(SETTINGS, lr=1e20, optimizer="sgd"))
    assert list(tmp_path.iterdir()) == []


BATCH = BatchReport(2, 50, Scores(0.51234, 0.875), 12_345.6)
EPOCH = EpochReport(2, Scores(0.25, 0.9375), Scores(0.3, 0.98611), 1.5, 12_345.6)


def test_plain_lines(monkeypatch):
    clock = iter([0.0, 1.0, 20.0, 20.0, 20.0, 24.0, 24.0])
    monkeypatch.setattr(progress, "perf_counter", lambda: next(clock))
    stream = io.StringIO()
    with Display(12, 100, stream) as display:
        display.batch(BATCH)  # too soon after the start to be worth a line
        display.batch(BATCH)
        display.epoch(EPOCH)
    assert stream.getvalue().splitlines() == [
        "epoch  2/12   50%  loss 0.5123  accuracy 87.50 %  12,346 images/s  2:20 left",
        "epoch  2/12  loss 0.2500  accuracy 93.75 %  test 98.61 %  12,346 images/s  2:00 left",
    ]


def test_the_last_epoch_has_no_time_left():
    stream = io.StringIO()
    Display(2, 100, stream).epoch(EPOCH)
    assert stream.getvalue().endswith("12,346 images/s\n")


@pytest.mark.parametrize(("seconds", "text"), [(0.2, "0:00"), (59.7, "1:00"), (61, "1:01"), (3600, "1:00:00")])
def test_time_left(monkeypatch, seconds: float, text: str):
    clock = iter([0.0, seconds])
    monkeypatch.setattr(progress, "perf_counter", lambda: next(clock))
    assert Display(2, 100, io.StringIO()).time_left(1) == text


def test_live_display():
    from rich.console import Console

    console = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    with progress.LiveDisplay(3, 100, console) as display:
        display.batch(BATCH)
        display.bar.refresh()
        display.epoch(EPOCH)
    shown = console.file.getvalue()
    for text in ("epoch 2/3", "loss 0.5123", "accuracy 87.50 %", "12,346 images/s", "left", "test 98.61 %"):
        assert text in shown
    assert display.bar.finished is False
    assert display.bar.live.is_started is False


def test_live_display_in_a_narrow_terminal_keeps_the_epoch_and_the_loss():
    from rich.console import Console

    console = Console(file=io.StringIO(), force_terminal=True, width=50, color_system=None)
    with progress.LiveDisplay(30, 100, console) as display:
        display.batch(BATCH)
        display.bar.refresh()
    shown = console.file.getvalue()
    assert "epoch  2/30 loss 0.5123  accuracy 87.50 %" in shown
    assert "\u2501" not in shown  # no bar


def test_plain_display_where_there_is_no_terminal(monkeypatch):
    assert type(progress.open_display(1, 1)) is Display
    monkeypatch.setattr(progress.sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "dumb")
    assert type(progress.open_display(1, 1)) is Display
    monkeypatch.setenv("TERM", "xterm")
    assert type(progress.open_display(1, 1)) is progress.LiveDisplay
