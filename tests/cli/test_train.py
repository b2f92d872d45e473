"""`gradflow train`: options become settings, runs begin, go on and end as people expect."""

from __future__ import annotations

import json
import shutil
from dataclasses import fields
from pathlib import Path

import pytest
import typer.main

from gradflow.cli import options
from gradflow.cli import train as command
from gradflow.cli.main import app
from gradflow.train import Settings, load_settings, load_weights, read_metrics
from gradflow.train.checkpoint import Checkpoints
from gradflow.train.rundir import lock_run

from .conftest import TRAIN

FILES = {"weights.safetensors", "best.safetensors", "metrics.jsonl", "config.toml", "checkpoints", "lock"}

OPTIONS = [
    ("--data digits", {"data": "digits"}),
    ("--data-dir there", {"data_dir": "there"}),
    ("--model file.py:build", {"model": "file.py:build"}),
    ("--width 3", {"width": 3}),
    ("--epochs 7", {"epochs": 7}),
    ("--time-limit 1h30m", {"time_limit": 5400.0}),
    ("--batch-size 9", {"batch_size": 9}),
    ("--accumulate 2", {"accumulate": 2}),
    ("--optimizer lion", {"optimizer": "lion"}),
    ("--lr 0.25", {"lr": 0.25}),
    ("--momentum 0", {"momentum": 0.0}),
    ("--weight-decay 0.5", {"weight_decay": 0.5}),
    ("--schedule step", {"schedule": "step"}),
    ("--warmup 0", {"warmup": 0.0}),
    ("--label-smoothing 0.1", {"label_smoothing": 0.1}),
    ("--ema 0.99", {"ema": 0.99}),
    ("--clip-norm 1", {"clip_norm": 1.0}),
    ("--augment", {"augment": ("auto",)}),
    ("--no-augment", {"augment": ()}),
    ("--augmentations flip,crop=4", {"augment": ("flip", "crop=4")}),
    ("--augment --augmentations flip", {"augment": ("flip",)}),
    ("--normalize", {"normalize": True}),
    ("--no-normalize", {"normalize": False}),
    ("--seed 5", {"seed": 5}),
    ("--dtype float64", {"dtype": "float64"}),
    ("--device cuda:1", {"device": "cuda:1"}),
    ("--eval-every 2", {"eval_every": 2}),
    ("--patience 3", {"patience": 3}),
    ("--validation 0.2", {"validation": 0.2}),
    ("--save-every 5m", {"save_every": 300.0}),
    ("--keep 4", {"keep": 4}),
    ("--workers 0", {"workers": 0}),
    ("--data-on host", {"data_on": "host"}),
    ("--check-every 5", {"check_every": 5}),
]


@pytest.fixture
def started(monkeypatch) -> list[dict]:
    """What `run` is called with, instead of a training."""
    calls: list[dict] = []
    monkeypatch.setattr(command, "run", lambda **arguments: calls.append(arguments) or 0)
    return calls


def test_options_become_settings_and_what_is_not_given_stays_open():
    train = typer.main.get_command(app).commands["train"]  # type: ignore[attr-defined]
    for words, expected in [("", {}), *OPTIONS]:
        given = options.given(train.make_context("train", words.split()).params)
        assert given == expected, words
        assert all(type(given[name]) is type(value) for name, value in expected.items()), words
        Settings(**given)
    assert {name for _, found in OPTIONS for name in found} == {field.name for field in fields(Settings)}


def test_the_other_options(gradflow, started: list[dict]):
    gradflow("train", "--config", "a.toml", "--runs-dir", "there", "--name", "b", "--json")
    gradflow("train", "--resume", "b", "--from-previous", "--out", "there", "--quiet")
    usual = {"given": {}, "config": None, "resume": None, "from_previous": False, "name": None, "out": Path("there")}
    assert started == [
        {**usual, "config": Path("a.toml"), "name": "b", "mode": "json"},
        {**usual, "resume": "b", "from_previous": True, "mode": "quiet"},
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [("90s", 90.0), ("10m", 600.0), ("1h30m", 5400.0), ("90", 90.0), ("1.5m", 90.0), ("1d", 86400.0), ("1m5", 65.0)],
)
def test_times(text: str, found: float):
    assert options.seconds(text) == found


def test_a_run_from_end_to_end(gradflow, trained: Path):
    done = gradflow(*TRAIN)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert [line.split()[0] for line in lines if line] == [
        *("data", "model", "training", "epoch", "epoch"),  # the plan and the epochs
        *("epoch", "1", "2"),  # the table
        *("trained", "weights", "metrics", "next", "test"),
    ]
    assert lines[-4:-1] == [
        "weights   runs/tiny-2/weights.safetensors",
        "metrics   runs/tiny-2/metrics.jsonl",
        "next      gradflow eval tiny-2",
    ]
    folder = trained.parent / "tiny-2"
    assert {path.name for path in folder.iterdir()} == FILES
    final = read_metrics(folder / "metrics.jsonl")[-1]
    assert lines[-1] == f"test accuracy {100 * final['test_accuracy']:.2f} %"
    assert (folder / "weights.safetensors").read_bytes() == (trained / "weights.safetensors").read_bytes()


def test_json_is_all_there_is(gradflow, tiny: Path):
    done = gradflow(*TRAIN, "--json")
    assert (done.code, done.err) == (0, "")
    events = [json.loads(line) for line in done.out.splitlines()]
    assert [event["event"] for event in events if event["event"] != "step"] == ["plan", "epoch", "epoch", "final"]
    assert events[-1]["run"] == "tiny"
    assert events[-1]["weights"] == "runs/tiny/weights.safetensors"
    assert events[-1]["stopped"] is None
    assert 0 <= events[-1]["test_accuracy"] <= 1


def test_json_tells_errors_too(gradflow):
    done = gradflow("train", "--lr", "-1", "--json")
    assert done.err == "error: [train] lr must be positive, got -1.0\n"
    assert json.loads(done.out) == {"event": "error", "text": "[train] lr must be positive, got -1.0"}


def test_a_run_on_ones_own_files_can_be_used_from_any_folder(gradflow, tiny: Path, monkeypatch):
    (tiny.parent / "net.py").write_text(NET)
    assert gradflow(*TRAIN, "--model", "net.py:build", "--quiet") == (0, "", "")
    run = tiny.parent / "runs" / "tiny"
    found = load_settings(run / "config.toml")
    assert (found["model"], found["data"]) == (f"{tiny.parent / 'net.py'}:build", str(tiny))
    assert gradflow("runs").out.splitlines()[1].endswith("  net.py:build 8  tiny.npz")

    assert gradflow("train", "--resume", "tiny", "--model", "net.py:build")[::2] == (0, "")  # no other model
    (tiny.parent / "elsewhere").mkdir()
    monkeypatch.chdir(tiny.parent / "elsewhere")
    assert gradflow("eval", run).code == 0
    assert gradflow("train", "--resume", run, "--epochs", "3", "--quiet").code == 0
    (tiny.parent / "net.py").unlink()
    assert gradflow("eval", run).err == f"error: [models] there is no file {tiny.parent / 'net.py'}\n"


NET = """
from gradflow import nn
def build(num_classes, in_channels, width):
    return nn.Sequential(nn.Flatten(), nn.Linear(64 * in_channels, width), nn.ReLU(), nn.Linear(width, num_classes))
"""


def test_a_config_runs_again_and_options_come_first(gradflow, trained: Path):
    config = trained / "config.toml"
    assert gradflow("train", "--config", config, "--name", "same", "--quiet") == (0, "", "")
    same = trained.parent / "same"
    assert (same / "weights.safetensors").read_bytes() == (trained / "weights.safetensors").read_bytes()
    assert (same / "config.toml").read_bytes() == config.read_bytes()
    words = ("--epochs", "1", "--no-augment", "--seed", "4")
    assert gradflow("train", "--config", config, "--name", "other", "--quiet", *words) == (0, "", "")
    expected = {**load_settings(config), "epochs": 1, "augment": (), "seed": 4}
    assert load_settings(trained.parent / "other" / "config.toml") == expected


def test_augment_is_what_suits_the_data(gradflow, tiny: Path):
    assert gradflow(*TRAIN[:-6], "--augment", "--epochs", "1", "--quiet") == (0, "", "")
    assert load_settings(tiny.parent / "runs/tiny/config.toml")["augment"] == ("shift=1",)


def test_a_finished_run_says_so_and_how_to_go_on(gradflow, trained: Path):
    (trained / "weights.safetensors").unlink()
    done = gradflow("train", "--resume", "tiny")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[3].startswith("finished  2 epochs in ")
    assert lines[-2] == "next      gradflow train --resume tiny --epochs 4"
    assert lines[-1].startswith("test accuracy ")
    assert (trained / "weights.safetensors").exists()
    assert [r["event"] for r in read_metrics(trained / "metrics.jsonl")] == ["epoch", "epoch", "final"]

    done = gradflow("train", "--resume", trained, "--epochs", "3")  # a folder will do
    assert done.code == 0
    assert "epoch 3/3" in done.out
    assert load_weights(trained / "weights.safetensors")[1]["settings"]["ema"] == 0.5  # all else as it was


def test_resuming_a_run_that_was_killed_before_its_first_checkpoint(gradflow, trained: Path):
    young = trained.parent / "young"
    young.mkdir()
    for name in ("config.toml", "metrics.jsonl", "best.safetensors"):  # what a run may have before that
        shutil.copy(trained / name, young)
    done = gradflow("train", "--resume", "young", "--quiet")
    assert done.code == 0
    assert done.err == "warning: runs/young has no checkpoint yet: the run starts from the beginning\n"
    assert (young / "weights.safetensors").read_bytes() == (trained / "weights.safetensors").read_bytes()
    assert [r["event"] for r in read_metrics(young / "metrics.jsonl")] == ["epoch", "epoch", "final"]


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    path.write_bytes(data)


def test_a_damaged_checkpoint_names_the_cure(gradflow, trained: Path, caplog):
    newest, previous = Checkpoints(trained / "checkpoints").paths()
    weights = (trained / "weights.safetensors").read_bytes()
    flip_a_bit(newest)
    done = gradflow("train", "--resume", "tiny")
    assert (done.code, done.out) == (1, "")
    assert f"{newest.relative_to(trained.parents[1])} is damaged" in done.err
    assert f"--from-previous goes on from the one before it, {previous.relative_to(trained.parents[1])}" in done.err
    assert done.err.count("\n") == 1

    done = gradflow("train", "--resume", "tiny", "--from-previous", "--quiet")
    assert done.code == 0
    assert "is damaged" in caplog.text and "taking the checkpoint before it" in caplog.text
    assert (trained / "weights.safetensors").read_bytes() == weights  # the same steps once more

    newest, previous = Checkpoints(trained / "checkpoints").paths()
    flip_a_bit(newest)
    previous.unlink()
    done = gradflow("train", "--resume", "tiny")
    assert done.code == 1
    assert "--from-previous" not in done.err


def prepare(folder: Path, trained: Path) -> None:
    """Folders that cannot be resumed."""
    (folder / "foreign").mkdir()
    (folder / "file").write_text("")
    shutil.copytree(trained, folder / "bare")
    shutil.rmtree(folder / "bare" / "checkpoints")
    shutil.copytree(trained, folder / "spoiled")
    shutil.rmtree(folder / "spoiled" / "checkpoints")
    (folder / "spoiled" / "weights.safetensors").unlink()
    (folder / "spoiled" / "config.toml").write_text("epochs = 'many'")


def test_what_cannot_be_resumed(gradflow, trained: Path):
    prepare(trained.parent, trained)
    for words, message in [
        (["nothing"], "there is no run 'nothing', neither in runs (runs there: bare, foreign, spoiled, tiny)"),
        (["foreign"], "runs/foreign is not the folder of a run: it has no checkpoints and no config.toml"),
        (["runs/file"], "runs/file is a file"),
        (
            ["bare"],
            "has weights but no checkpoints to go on from; begin it anew with gradflow train --config runs/bare",
        ),
        (["spoiled"], "epochs must be an integer, got 'many'"),
        (["tiny", "--lr", "0"], "lr must be positive"),
    ]:
        before = sorted(trained.parent.rglob("*"))
        done = gradflow("train", "--resume", *words)
        assert done.code == 1, words
        assert message in done.err
        assert done.err.startswith("error: [")
        assert done.err.count("\n") == 1
        assert sorted(trained.parent.rglob("*")) == before
    with lock_run(trained):
        done = gradflow("train", "--resume", "tiny", "--epochs", "3")
    assert done.code == 1
    assert "runs/tiny is in use by process" in done.err


def test_a_run_that_fails_keeps_what_it_has(gradflow, tiny: Path, monkeypatch):
    """A folder that holds something of worth stays, and so does what somebody else put there."""
    folder = tiny.parent / "runs" / "tiny"

    kept: list[str] = []

    def fail(settings, folder: Path, *arguments, **options):
        (folder / "config.toml").write_text("")
        (folder / "lock").write_text("")
        for name in kept:
            (folder / name).write_text("")
        raise OSError("[train] the disk is full")

    monkeypatch.setattr(command, "train", fail)
    for names, left in [([], None), (["metrics.jsonl"], 3), (["notes.txt"], 1)]:
        kept[:] = names
        done = gradflow(*TRAIN)
        assert (done.code, done.err) == (1, "error: [train] the disk is full\n")
        assert len(list(folder.iterdir())) == left if left else not folder.exists()
        shutil.rmtree(folder, ignore_errors=True)


def test_quiet_says_nothing_while_it_fetches(gradflow, tiny: Path, monkeypatch):
    asked: list[tuple] = []
    monkeypatch.setattr(command, "find_files", lambda *arguments, **options: asked.append((arguments, options)))
    monkeypatch.setattr(command, "SOURCES", {"tiny.npz": "the source"})
    assert gradflow(*TRAIN, "--quiet") == (0, "", "")
    assert asked == [(("the source", None), {"progress": False})]
