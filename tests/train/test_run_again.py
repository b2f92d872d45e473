"""A run taken up with other settings, and what is said and kept where something has gone wrong."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradflow.train import (
    Checkpoints,
    Display,
    DivergedError,
    EpochReport,
    Outcome,
    Settings,
    StepReport,
    load_weights,
    read_metrics,
    run,
    train,
)

# 288 images are left to train on, 9 steps an epoch.
SETTINGS = Settings(epochs=3, batch_size=32, validation=0.8, width=2, save_every=0.0)


class Recorder(Display):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: dict[str, list[Any]] = {"step": [], "epoch": [], "warning": []}

    def step(self, report: StepReport) -> None:
        self.told["step"].append(report)

    def epoch(self, report: EpochReport) -> None:
        self.told["epoch"].append(report)

    def warn(self, text: str) -> None:
        self.told["warning"].append(text)


def go(folder: Path, settings: Settings = SETTINGS, display: Display | None = None, **options) -> Outcome:
    folder.mkdir(exist_ok=True)
    return train(settings, folder, display or Display(), device="cpu", **options)


def taken_up(folder: Path, settings: Settings, display: Display | None = None) -> Outcome:
    state, about, _ = Checkpoints(folder / "checkpoints").load()
    return go(folder, settings, display, resume=(state, about))


def kept(path: Path) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in load_weights(path)[0].items()}


def test_options_given_to_a_run_that_goes_on_are_those_it_goes_on_with(tmp_path: Path):
    """Not those in the optimiser's and the schedule's saved state."""
    settings = dataclasses.replace(SETTINGS, epochs=2, schedule="constant", warmup=0.0, optimizer="sgd", lr=0.01)
    go(tmp_path / "run", dataclasses.replace(settings, epochs=1))
    changed = dataclasses.replace(settings, lr=0.002, weight_decay=0.25, momentum=0.5, seed=3)
    taken_up(tmp_path / "run", changed, display := Recorder())
    assert {report.lr for report in display.told["step"]} <= {0.002}
    state, _, _ = Checkpoints(tmp_path / "run" / "checkpoints").load()
    group = state["optimizer"]["param_groups"][0]
    assert (group["lr"], group["weight_decay"], group["momentum"]) == (0.002, 0.25, 0.5)
    assert state["scheduler"]["base_lrs"] == [0.002]
    assert state["loader"]["seed"] == 3


@pytest.mark.parametrize(("calls", "steps", "left"), [(8, 8, 4), (15, 14, 2)])
def test_an_epoch_goes_on_from_the_same_part_with_other_batches(tmp_path: Path, calls: int, steps: int, left: int):
    """Paused after some of 2 * 9 steps, and gone on with in 3 batches an epoch, the schedule too."""
    settings = dataclasses.replace(SETTINGS, epochs=2, schedule="linear", warmup=0.0, lr=0.01)
    requests = iter([*[None] * (calls - 1), "Ctrl-C"])  # after each step, and after an epoch
    assert go(tmp_path / "run", settings, stop_asked=lambda: next(requests)).steps == steps
    more = taken_up(tmp_path / "run", dataclasses.replace(settings, batch_size=96))
    assert more.steps == steps + left
    assert [r.epoch for r in more.history] == [1, 2]
    assert more.history[-1].lr == pytest.approx(0.01 * (1 - 6 / 7))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"width": 3}, "0.weight has shape"),
        ({"model": "mlp"}, "missing"),
        ({"optimizer": "sgd"}, "its optimiser was adam, not sgd"),
        ({"ema": 0.9}, "these are ema"),
        ({"dtype": "float16"}, "these are .*scaler"),
    ],
)
def test_a_run_that_cannot_go_on_with_other_settings_stays_as_it_is(tmp_path: Path, change: dict, why: str):
    outcome = go(tmp_path / "run", dataclasses.replace(SETTINGS, epochs=1))
    before = {path.name: path.read_bytes() for path in outcome.folder.iterdir() if path.is_file()}
    with pytest.raises(ValueError, match=rf"cannot go on with these settings: .*{why}.*begin another run"):
        taken_up(tmp_path / "run", dataclasses.replace(SETTINGS, epochs=2, **change))
    assert {path.name: path.read_bytes() for path in outcome.folder.iterdir() if path.is_file()} == before


def test_a_model_whose_file_has_changed_is_named(tmp_path: Path):
    file = tmp_path / "own.py"
    text = "from gradflow.models import cnn\n\n\ndef build():\n    return cnn(10, (1, 8, 8))\n"
    file.write_text(text)
    settings = dataclasses.replace(SETTINGS, model=f"{file}:build", width=None, epochs=1)
    go(tmp_path / "run", settings)
    file.write_text(text + "# changed\n")
    taken_up(tmp_path / "run", settings, display := Recorder())
    assert "own.py:build has changed since the run began" in display.told["warning"][0]


def test_a_run_begun_again_before_its_first_checkpoint_forgets_its_metrics(tmp_path: Path):
    (tmp_path / "metrics.jsonl").write_bytes(b'{"event": "epoch", "epoch": 1}\n{"event": "ep')  # as a killed one leaves
    outcome = go(tmp_path, dataclasses.replace(SETTINGS, epochs=1))
    assert [(r["event"], r["epoch"]) for r in read_metrics(outcome.metrics)] == [("epoch", 1), ("final", 1)]


def test_the_time_left_is_no_more_than_the_limit_leaves(tmp_path: Path):
    display = Recorder()
    outcome = go(tmp_path / "run", dataclasses.replace(SETTINGS, epochs=None, time_limit=3600.0), display,
                 stop_asked=lambda: "Ctrl-C" if display.told["epoch"] else None)  # fmt: skip
    for report in (*display.told["step"], *display.told["epoch"], *outcome.history):
        assert 3500 < report.seconds_left < 3600
    both = go(tmp_path / "both", dataclasses.replace(SETTINGS, time_limit=3600.0))
    assert all(report.seconds_left < 600 for report in both.history)  # the epochs end first


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path, monkeypatch):
    """A GPU's loss is looked at now and then: a save between two looks would replace the last good checkpoint."""

    def spoil(t: run.Training) -> None:
        next(iter(t.model.parameters())).detach()[:] = float("nan")

    def spoilt(self: run._Run, t: run.Training) -> None:
        if t.epoch:
            spoil(t)
        save(self, t)

    save = run._Run._save
    monkeypatch.setattr(run._Run, "_save", spoilt)
    with pytest.raises(DivergedError, match="the sum of the weights is nan"):
        go(tmp_path / "run")
    state, _, path = Checkpoints(tmp_path / "run" / "checkpoints").load()
    assert path.name == "step-00000009.safetensors"
    assert all(np.isfinite(value.numpy()).all() for value in state["model"].values())


def test_a_disk_slower_than_save_every_does_not_have_each_step_saved(tmp_path: Path, monkeypatch):
    now, saves = [0.0], []

    def clock() -> float:
        now[0] += 1.0
        return now[0]

    def slow(self: Checkpoints, step: int, *arguments: Any) -> None:
        now[0] += 100.0
        saves.append(step)

    monkeypatch.setattr(run, "perf_counter", clock)
    monkeypatch.setattr(run.Checkpoints, "save", slow)
    go(tmp_path / "run", dataclasses.replace(SETTINGS, save_every=10.0))
    assert len(saves) in (3, 4)  # of 27 steps, and at the end


@pytest.mark.parametrize("best", ["none", "of another epoch"])
def test_early_stopping_without_its_best_weights_says_so(tmp_path: Path, monkeypatch, best: str):
    settings = dataclasses.replace(SETTINGS, epochs=40, lr=1e-9, patience=2)
    keep = run._Run._keep

    def spoilt(self: run._Run, name: str, t: run.Training, test: Any) -> None:
        if name == run.WEIGHTS:
            keep(self, name, t, test)
        elif best != "none":
            t.step += 1
            keep(self, name, t, test)
            t.step -= 1

    monkeypatch.setattr(run._Run, "_keep", spoilt)
    outcome = go(tmp_path / "run", settings, display := Recorder())
    assert display.told["warning"][-1].endswith("the last weights are kept instead")
    state, _, _ = Checkpoints(tmp_path / "run" / "checkpoints").load()
    assert kept(outcome.weights) == {name: value.numpy().tobytes() for name, value in state["model"].items()}
