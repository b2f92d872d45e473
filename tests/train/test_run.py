"""A whole run: what is shown, what is kept, how it ends, and how it is taken up again."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradflow as gf
from gradflow.data import load_digits
from gradflow.train import (
    CheckpointError,
    Checkpoints,
    Display,
    DivergedError,
    EpochReport,
    Outcome,
    Settings,
    StepReport,
    account,
    load_settings,
    load_weights,
    read_metrics,
    recipe,
    run,
    train,
)

# 288 images are left to train on, 9 steps an epoch.
SETTINGS = Settings(epochs=3, batch_size=32, validation=0.8, width=2, save_every=0.0)


class Recorder(Display):
    """Keeps what it is told; `on_epoch` and `on_step` may interfere."""

    def __init__(self, on_epoch: Callable[[EpochReport], None] | None = None) -> None:
        self.told: dict[str, list[Any]] = {}
        self.on_epoch = on_epoch

    def note(self, kind: str, value: Any) -> None:
        self.told.setdefault(kind, []).append(value)

    def plan(self, lines: Sequence[tuple[str, str]]) -> None:
        self.note("plan", dict(lines))

    def step(self, report: StepReport) -> None:
        self.note("step", report)

    def epoch(self, report: EpochReport) -> None:
        self.note("epoch", report)
        if self.on_epoch is not None:
            self.on_epoch(report)

    def warn(self, text: str) -> None:
        self.note("warning", text)

    def final(self, values: Mapping[str, Any]) -> None:
        self.note("final", values)


def go(folder: Path, settings: Settings = SETTINGS, display: Display | None = None, **options) -> Outcome:
    folder.mkdir(exist_ok=True)
    return train(settings, folder, display or Recorder(), device="cpu", **options)


def taken_up(folder: Path, settings: Settings = SETTINGS, display: Display | None = None, **options) -> Outcome:
    state, about, _ = Checkpoints(folder / "checkpoints").load()
    return go(folder, settings, display, resume=(state, about), **options)


def kept(path: Path) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in load_weights(path)[0].items()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Outcome:
    """An uninterrupted run."""
    return go(tmp_path_factory.mktemp("runs") / "whole")


def test_a_run_keeps_what_is_worth_keeping(whole: Outcome):
    assert whole.stopped is whole.ended is None
    assert whole.steps == 27
    assert len(whole.history) == 3
    names = {p.relative_to(whole.folder).as_posix() for p in whole.folder.rglob("*")} - {"lock", "lock.json"}
    assert names == {
        *("config.toml", "metrics.jsonl", "weights.safetensors", "best.safetensors", "checkpoints"),
        *("checkpoints/step-00000027.safetensors", "checkpoints/step-00000026.safetensors"),
    }
    about = load_weights(whole.weights)[1]
    assert (about["model"], about["width"], about["data"]) == ("cnn", 2, "digits")
    assert about["input_shape"] == [1, 8, 8]
    assert about["classes"] == list("0123456789")
    assert about["mean"][0] == pytest.approx(0.305, abs=0.01)
    assert (about["epoch"], about["step"]) == (3, 27)
    assert about["settings"]["lr"] == 5e-3
    assert whole.test is not None
    assert about["test"] == {"loss": whole.test.loss, "accuracy": whole.test.accuracy}


def test_its_metrics(whole: Outcome):
    records = read_metrics(whole.metrics)
    assert [r["event"] for r in records] == ["epoch"] * 3 + ["final"]
    assert [r["step"] for r in records] == [9, 18, 27, 27]
    for record, report in zip(records, whole.history, strict=False):
        assert report.test is not None
        assert record["train_loss"] == report.train.loss
        assert record["test_accuracy"] == report.test.accuracy
    assert records[-1]["finished"] is True
    assert whole.test is not None
    assert records[-1]["test_accuracy"] == whole.test.accuracy


def test_the_scores_at_the_end_are_those_of_the_test_images(whole: Outcome):
    """Not those of the images held out to watch the training by."""
    data = load_digits()
    settings = SETTINGS.suited(data)
    model = recipe.make_model(settings, data, gf.zeros(1, device="cpu").device)
    model.load_state_dict(load_weights(whole.weights)[0])
    measured = recipe.statistics(recipe.load(settings)[0].train)
    images = (data.test.images - measured.mean[0]) / measured.std[0]
    model.eval()
    right = model(gf.tensor(images, dtype=gf.float32, device="cpu")).argmax(1).numpy() == data.test.labels
    assert whole.test is not None
    assert whole.test.accuracy == pytest.approx(right.mean())
    assert whole.history[-1].test is not None
    assert whole.history[-1].test.accuracy != whole.test.accuracy


def test_its_config_makes_the_same_run_again(whole: Outcome, tmp_path: Path):
    again = go(tmp_path / "again", Settings(**load_settings(whole.folder / "config.toml")))
    assert again.weights.read_bytes() == whole.weights.read_bytes()
    assert (again.folder / "best.safetensors").read_bytes() == (whole.folder / "best.safetensors").read_bytes()


def test_best_is_the_first_with_the_highest_accuracy(whole: Outcome):
    top = run.best(whole.history)
    assert top is not None and top.test is not None
    assert load_weights(whole.folder / "best.safetensors")[1]["test"]["accuracy"] == top.test.accuracy


STOPS = [1, 4, 9, 10, 26]


@pytest.mark.parametrize("steps", STOPS)
def test_a_run_that_is_asked_to_stop_saves_and_goes_on_to_the_same_bits(whole: Outcome, tmp_path: Path, steps: int):
    asked: list[None] = []

    def stop() -> str | None:
        asked.append(None)
        return "Ctrl-C" if len(asked) >= steps + (steps > 9) + (steps > 18) else None  # asked after epochs, too

    settings = dataclasses.replace(SETTINGS, save_every=1e9)
    stopped = go(tmp_path / "run", settings, stop_asked=stop)
    assert stopped.stopped == "Ctrl-C"
    assert stopped.test is None
    assert stopped.steps == steps
    last = read_metrics(stopped.metrics)[-1]
    assert (last["event"], last["finished"], last["step"]) == ("final", False, steps)
    display = Recorder()
    outcome = taken_up(tmp_path / "run", settings, display)
    assert "warning" not in display.told
    assert kept(outcome.weights) == kept(whole.weights)
    assert outcome.test == whole.test
    strip = [{k: v for k, v in r.items() if k not in VARYING} for r in read_metrics(outcome.metrics)]
    assert strip == [{k: v for k, v in r.items() if k not in VARYING} for r in read_metrics(whole.metrics)]


VARYING = {"seconds", "images_per_second", "memory"}


def test_a_request_after_the_last_epoch_is_too_late(tmp_path: Path):
    done: list[int] = []
    display = Recorder(lambda report: done.append(report.epoch))
    outcome = go(tmp_path / "run", display=display, stop_asked=lambda: "Ctrl-C" if len(done) == 3 else None)
    assert outcome.stopped is None
    assert outcome.test is not None


def test_a_finished_run_taken_up_is_the_same(whole: Outcome, tmp_path: Path):
    first = go(tmp_path / "run")
    for name in ("weights.safetensors", "metrics.jsonl"):
        (first.folder / name).unlink()  # as if killed just before
    again = taken_up(tmp_path / "run")
    assert again.steps == 27
    assert kept(again.weights) == kept(whole.weights)
    assert [r["event"] for r in read_metrics(again.metrics)] == ["epoch"] * 3 + ["final"]


def test_more_epochs_go_on_from_there(tmp_path: Path):
    go(tmp_path / "run", dataclasses.replace(SETTINGS, epochs=1))
    more = taken_up(tmp_path / "run", dataclasses.replace(SETTINGS, epochs=2))
    assert [r.epoch for r in more.history] == [1, 2]
    assert load_settings(tmp_path / "run" / "config.toml")["epochs"] == 2


def test_early_stopping_keeps_the_best_weights(tmp_path: Path):
    settings = dataclasses.replace(SETTINGS, epochs=40, lr=1e-9, patience=2)  # it learns nothing
    outcome = go(tmp_path / "run", settings)
    assert outcome.ended == run.NO_BETTER
    assert outcome.stopped is None
    assert run.stale(outcome.history) == 2
    assert len(outcome.history) == 3
    assert kept(outcome.weights) == kept(tmp_path / "run" / "best.safetensors")
    again = taken_up(tmp_path / "run", settings)
    assert again.steps == outcome.steps
    assert again.test == outcome.test


def test_the_time_limit_ends_a_run_in_the_middle_of_an_epoch(tmp_path: Path):
    settings = dataclasses.replace(SETTINGS, epochs=None, time_limit=0.02)
    outcome = go(tmp_path / "run", settings)
    assert outcome.ended == run.TIME_IS_UP
    assert outcome.test is not None
    assert 0.02 <= outcome.seconds < 5
    assert taken_up(tmp_path / "run", settings).steps == outcome.steps
    longer = taken_up(tmp_path / "run", dataclasses.replace(settings, time_limit=outcome.seconds + 0.02))
    assert longer.steps > outcome.steps


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_run_that_diverges_keeps_its_last_checkpoint(tmp_path: Path):
    settings = dataclasses.replace(SETTINGS, lr=1e18, optimizer="sgd", warmup=0.0, schedule="constant")
    with pytest.raises(DivergedError, match="lower lr"):
        go(tmp_path / "run", settings)
    state, _, _ = Checkpoints(tmp_path / "run" / "checkpoints").load()
    assert all(np.isfinite(value.numpy()).all() for value in state["model"].values())


def test_what_differs_is_said(tmp_path: Path, monkeypatch):
    go(tmp_path / "run", stop_asked=lambda: "Ctrl-C")
    display = Recorder()
    other = load_digits()
    other.train.pixels[0] ^= 1
    monkeypatch.setattr(recipe, "load_data", lambda *arguments: other)
    monkeypatch.setattr(account, "environment", lambda device: {"numpy": "9.9", "device": "cpu"})
    taken_up(tmp_path / "run", dataclasses.replace(SETTINGS, lr=1e-3, epochs=4, keep=1), display)
    images, versions, setting = display.told["warning"]
    assert "the images are not those that the run began with" in images
    assert f"numpy was {np.__version__} and is 9.9" in versions
    assert "may differ in their last bits" in versions
    assert setting == "lr was 0.005 and is 0.001: the result is not that of a run in one go"


def full(*arguments: Any, **options: Any) -> None:
    raise CheckpointError("[checkpoint] cannot write x: No space left on device")


def test_a_disk_that_is_full_for_a_while_costs_nothing(whole: Outcome, tmp_path: Path, monkeypatch):
    """Saves and metrics fail in the second epoch; the run goes on, and all is there at the end."""
    display = Recorder()

    def fill(report: EpochReport) -> None:
        if report.epoch == 1:
            monkeypatch.setattr(run.Checkpoints, "save", full)
            monkeypatch.setattr(run.MetricsFile, "write", full)
        elif report.epoch == 2:
            there = Checkpoints(tmp_path / "run" / "checkpoints").paths()
            assert there[0].name == "step-00000009.safetensors"  # the old one is kept
            monkeypatch.undo()

    display.on_epoch = fill
    outcome = go(tmp_path / "run", display=display)
    assert all("No space left on device; the training goes on" in text for text in display.told["warning"])
    assert len(display.told["warning"]) >= 9
    assert kept(outcome.weights) == kept(whole.weights)
    assert [r["event"] for r in read_metrics(outcome.metrics)] == ["epoch"] * 3 + ["final"]


def test_a_disk_that_is_full_at_the_end_is_an_error(whole: Outcome, tmp_path: Path, monkeypatch):
    display = Recorder(lambda report: monkeypatch.setattr(run.Checkpoints, "save", full) if report.epoch == 3 else None)
    with pytest.raises(CheckpointError, match="No space left"):
        go(tmp_path / "run", display=display)
    monkeypatch.undo()
    assert "weights.safetensors was" in display.told["warning"][-1]  # they are smaller, and may find room
    assert kept(tmp_path / "run" / "weights.safetensors") == kept(whole.weights)
    assert taken_up(tmp_path / "run").steps == 27


def test_two_runs_in_one_folder(tmp_path: Path):
    seen: list[str] = []

    def second(report: EpochReport) -> None:
        with pytest.raises(OSError, match="is in use by") as caught:
            go(tmp_path / "run")
        seen.append(str(caught.value))

    go(tmp_path / "run", dataclasses.replace(SETTINGS, epochs=1), Recorder(second))
    assert len(seen) == 1


def test_out_of_memory_says_what_takes_it_and_what_would_fit(tmp_path: Path, monkeypatch):
    real = run.recipe.make_loss

    def exhausted(settings: Settings) -> Callable[..., Any]:
        loss = real(settings)

        def fails(logits: Any, labels: Any) -> Any:
            if len(logits) > 16:
                raise MemoryError
            return loss(logits, labels)

        return fails

    monkeypatch.setattr(run.recipe, "make_loss", exhausted)
    with pytest.raises(MemoryError, match=r"batch size 32 needs about .*relu in layer .*; try --batch-size"):
        go(tmp_path / "run")


def test_the_plan_and_the_reports(tmp_path: Path):
    display = Recorder()
    go(tmp_path / "run", dataclasses.replace(SETTINGS, epochs=2, accumulate=3, time_limit=1000.0), display)
    (told,) = display.told["plan"]
    assert told["data"] == ("digits: 287 training and 1,150 test images (held out of the training images) of 1x8x8")
    assert told["model"].startswith("CNN, ")
    assert told["training"] == "2 epochs or 1000 s, batches of 32, 3 to a step, adam at 0.005, seed 0"
    assert [r.epoch for r in display.told["epoch"]] == [1, 2]
    json.dumps([dataclasses.asdict(r) for r in display.told["epoch"]])


@pytest.mark.parametrize("options", [{"ema": 0.9}, {"dtype": "float64"}, {"dtype": "bfloat16"}, {"normalize": False}])
def test_options_reach_the_training(whole: Outcome, tmp_path: Path, options: dict):
    settings = dataclasses.replace(SETTINGS, **options)
    outcome = go(tmp_path / "run", settings, stop_asked=counted(14))
    state, about, _ = Checkpoints(tmp_path / "run" / "checkpoints").load()
    assert ("ema" in state) == ("ema" in options)
    assert (about["mean"] is None) == ("normalize" in options)
    wanted = np.dtype("float64" if options.get("dtype") == "float64" else "float32")
    assert {v.dtype for v in state["model"].values()} == {wanted}
    outcome = taken_up(tmp_path / "run", settings)
    assert kept(outcome.weights) == kept(go(tmp_path / "other", settings).weights)
    assert kept(outcome.weights) != kept(whole.weights)


def counted(steps: int) -> Callable[[], str | None]:
    asked: list[None] = []

    def stop() -> str | None:
        asked.append(None)
        return "Ctrl-C" if len(asked) >= steps else None

    return stop
