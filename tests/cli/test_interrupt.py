"""Ctrl-C and SIGTERM: the step is finished, all is saved, and the run goes on to the same result."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gradflow.cli.interrupt import StopRequest
from gradflow.train import Display, load_weights, read_metrics

from .conftest import environment

SIGNALS = [signal.SIGINT, *([] if sys.platform == "win32" else [signal.SIGTERM])]
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


@pytest.fixture(autouse=True)
def usual_handlers() -> Iterator[None]:
    """What a process of its own starts with; and afterwards what was there."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if sys.platform != "win32":
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_waits_and_the_second_does_not(number: signal.Signals):
    before = signal.getsignal(number)
    with StopRequest() as stop:
        assert stop.asked() is None
        signal.raise_signal(number)
        assert stop.asked() == {"SIGINT": "Ctrl-C", "SIGTERM": "SIGTERM"}[number.name]
        assert stop.code == CODES[number]
        with pytest.raises((KeyboardInterrupt, SystemExit)) as caught:
            signal.raise_signal(number)
    if number == signal.SIGTERM:
        assert caught.value.code == 143
    assert signal.getsignal(number) == before


@pytest.mark.parametrize("number", SIGNALS)
def test_before_the_first_step_there_is_nothing_to_wait_for(number: signal.Signals):
    with StopRequest(), pytest.raises((KeyboardInterrupt, SystemExit)):
        signal.raise_signal(number)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_that_is_ignored_stays_ignored(number: signal.Signals):
    signal.signal(number, signal.SIG_IGN)
    with StopRequest():
        assert signal.getsignal(number) is signal.SIG_IGN


class Interrupting(Display):
    """Sends a signal after an epoch, and keeps the lines it is shown."""

    def __init__(self, number: signal.Signals) -> None:
        self.number, self.lines = number, []

    def epoch(self, report):
        signal.raise_signal(self.number)

    def line(self, text, style=None):
        self.lines.append(text)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_stopped_run_goes_on_to_the_same_weights(number: signal.Signals, gradflow, trained: Path, monkeypatch):
    from gradflow.cli import train

    display = Interrupting(number)
    with monkeypatch.context() as patch:
        patch.setattr(train, "open_display", lambda mode: display)
        code = gradflow("train", "--config", trained / "config.toml", "--name", "again").code
    folder = trained.parent / "again"
    assert code == CODES[number]
    assert display.lines == [
        f"stopped   by {'Ctrl-C' if number == signal.SIGINT else 'SIGTERM'} after 1 of 2 epochs; everything is saved",
        "weights   runs/again/weights.safetensors",
        "metrics   runs/again/metrics.jsonl",
        "next      gradflow train --resume again",
    ]
    assert read_metrics(folder / "metrics.jsonl")[-1]["finished"] is False
    done = gradflow("train", "--resume", "again")
    assert done.code == 0
    assert done.out.splitlines()[-1].startswith("test accuracy ")
    one, two = [load_weights(path / "weights.safetensors")[0] for path in (trained, folder)]
    assert {name: value.numpy().tobytes() for name, value in one.items()} == {
        name: value.numpy().tobytes() for name, value in two.items()
    }
    assert read_metrics(folder / "metrics.jsonl")[-1]["finished"] is True


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGTERM")
def test_a_process_that_is_told_to_end(tiny: Path):
    process = subprocess.Popen(
        [sys.executable, "-m", "gradflow.cli", "train", "--data", "tiny.npz", "--epochs", "100000"],
        cwd=tiny.parent,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL),
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("epoch "):
            break
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert err == ""
    assert "by SIGTERM after" in out
    assert out.splitlines()[-1] == "next      gradflow train --resume tiny"
    assert "test accuracy" not in out.splitlines()[-1]
    assert load_weights(tiny.parent / "runs/tiny/weights.safetensors")[1]["settings"]["epochs"] == 100000
