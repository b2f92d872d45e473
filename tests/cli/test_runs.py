"""`gradflow runs`: whatever lies in a folder of runs is listed for what it is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from gradflow.cli.runs import look
from gradflow.train import MetricsFile, read_metrics
from gradflow.train.rundir import HOLDER, lock_run

from .conftest import TRAIN

LINE = {"step": 3, "train_loss": 1.0, "test_loss": 0.8, "seconds": 1.5, "images_per_second": 64.0}


def write(folder: Path, accuracies: list[float], final: dict | None = None, config: str = 'model = "mlp"\n') -> Path:
    """A run's folder with a config, epochs of these accuracies, and an end."""
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(config)
    metrics = MetricsFile(folder / "metrics.jsonl")
    for i, accuracy in enumerate(accuracies):
        metrics.write("epoch", epoch=i + 1, test_accuracy=accuracy, **LINE)
    if final is not None:
        metrics.write("final", **final)
    return folder


END = {"finished": True, "test_accuracy": 0.8, "test_loss": 0.5, "seconds": 70.0}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder of runs of all kinds."""
    out = tmp_path / "runs"
    write(out / "done", [0.5, 0.9], END, 'data = "mnist"\nepochs = 2\nwidth = 8\n')
    write(out / "killed", [0.6])
    write(out / "stopped", [0.7], {"finished": False, "test_accuracy": None, "seconds": 20.0})
    write(out / "young", [])
    torn = write(out / "torn", [0.4]) / "metrics.jsonl"
    torn.write_text(torn.read_text() + '{"event": "epo')
    (write(out / "spoiled", [0.4]) / "metrics.jsonl").write_text("no JSON\nat all\n")
    write(out / "odd", [], {"finished": "yes", "test_accuracy": "high", "seconds": [1]})
    write(out / "newer", [], config="hyperdrive = 1\n")
    (out / "other").mkdir()
    (out / "weights").mkdir()
    (out / "weights" / "weights.safetensors").write_bytes(b"nonsense")
    (out / "other" / "photo.jpg").touch()
    (out / "file.txt").touch()
    return out


STATES = {
    "done": "finished", "killed": "stopped", "newer": "broken", "odd": "stopped", "other": "no run",
    "spoiled": "broken", "stopped": "stopped", "torn": "stopped", "weights": "stopped", "young": "stopped",
}  # fmt: skip


def test_all_kinds_are_listed(gradflow, runs: Path):
    done = gradflow("runs")
    assert (done.code, done.err) == (0, "")
    header, *lines = done.out.splitlines()
    assert header.split() == ["run", "state", "best", "test", "epochs", "time", "model", "data"]
    assert [(line[:7].strip(), line[9:17].strip()) for line in lines[: len(STATES)]] == list(STATES.items())
    assert " ".join(lines[0].split()) == "done finished 90.00 % 80.00 % 2/2 1:10 cnn 8 mnist"
    assert " ".join(lines[1].split()) == "killed stopped 60.00 % 1 0:02 mlp digits"
    notes = lines[len(STATES) :]
    assert [note.split(":")[0] for note in notes] == ["newer", "other", "spoiled"]
    assert "there is no setting 'hyperdrive'" in notes[0]
    assert "line 1 is not a JSON object" in notes[2]


@pytest.mark.parametrize(
    ("key", "first"),
    [("accuracy", ["done", "stopped", "killed"]), ("time", ["killed", "torn", "stopped", "done"]), ("loss", ["done"])],
)
def test_the_order(gradflow, runs: Path, key: str, first: list[str]):
    found = json.loads(gradflow("runs", "--sort", key, "--json").out)
    assert [run["name"] for run in found][: len(first)] == first
    assert {run["name"]: run["state"] for run in found} == STATES


def test_a_run_that_goes_on_now(runs: Path):
    assert look(runs / "killed").state == "stopped"
    with lock_run(runs / "killed"):
        assert look(runs / "killed").state == "running"
    (runs / "killed" / HOLDER).write_text("{}")  # as a process that was killed leaves it
    assert look(runs / "killed").state == "stopped"


def test_looking_leaves_a_folder_as_it_was(runs: Path):
    """A lock that is taken to look, be it for a moment, would keep a run from starting just then."""
    before = sorted((runs / "young").iterdir())
    look(runs / "young")
    assert sorted((runs / "young").iterdir()) == before


def test_names_that_look_like_options(gradflow, tmp_path: Path):
    folder = write(tmp_path / "runs" / "--x", [], END)
    (folder / "weights.safetensors").touch()
    assert gradflow("runs", "best").out.splitlines()[1] == "  gradflow eval runs/--x"


def test_where_there_are_none(gradflow, tmp_path: Path):
    assert gradflow("runs").out == "there are no runs in runs; make one with gradflow train\n"
    assert gradflow("runs", "--json").out == "[]\n"
    (tmp_path / "file").touch()
    done = gradflow("runs", "--out", "file")
    assert (done.code, done.err) == (1, "error: [runs] file is a file, not a folder of runs\n")
    assert gradflow("runs", "best") == (1, "", "error: [runs] there is no finished run in runs\n")


def test_a_real_run(gradflow, tiny: Path, trained: Path):
    final = read_metrics(trained / "metrics.jsonl")[-1]
    found = look(trained)
    assert (found.state, found.epochs, found.test_accuracy) == ("finished", 2, final["test_accuracy"])
    assert (found.settings["data"], found.settings["width"], found.settings["lr"]) == (str(tiny), 8, 0.005)
    (trained / "weights.safetensors").unlink()
    shutil.rmtree(trained / "checkpoints")
    assert look(trained).settings == found.settings  # from the config


def test_runs_side_by_side(gradflow, trained: Path):
    assert gradflow(*TRAIN, "--optimizer", "sgd", "--name", "sgd", "--quiet", "--augmentations", "").code == 0
    done = gradflow("runs", "compare", "tiny", "runs/sgd")
    assert (done.code, done.err) == (0, "")
    blocks = done.out.split("\n\n")
    assert [line.split() for line in blocks[0].splitlines()] == [
        ["tiny", "sgd"], ["optimizer", "adam", "sgd"], ["lr", "0.005", "0.1"], ["weight_decay", "0", "0.0005"],
        ["augment", "shift=1", "none"],
    ]  # fmt: skip
    assert [line[:14].strip() for line in blocks[1].splitlines()] == [
        *("state", "epochs done", "best accuracy", "test accuracy", "test loss", "train loss", "time", "images/s")
    ]
    assert blocks[2].endswith(" settings are the same\n")
    found = json.loads(gradflow("runs", "compare", "tiny", "sgd", "--json").out)
    assert found["differing"]["optimizer"] == ["adam", "sgd"]
    (trained / "config.toml").write_text("=")
    (trained / "metrics.jsonl").write_text("=\n\n")
    done = gradflow("runs", "compare", "tiny", "sgd")
    assert (done.code, done.out) == (1, "")
    assert "tiny cannot be compared" in done.err


def test_the_best_of_each_data_set(gradflow, tiny: Path, trained: Path):
    out = trained.parent
    top = write(out / "top", [], {**END, "test_accuracy": 1.0}, 'data = "mnist"\n')
    low = write(out / "low", [], {**END, "test_accuracy": 0.1}, 'data = "mnist"\n')
    write(out / "lost", [], {**END, "test_accuracy": 1.0}, 'data = "kmnist"\n')  # its weights are gone
    for folder in (top, low):
        (folder / "weights.safetensors").touch()
    done = gradflow("runs", "best")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[3:] == [
        "mnist: top, test accuracy 100.00 %",
        "  gradflow eval top",
        "  gradflow predict top IMAGE",
    ]
    assert lines[0].startswith(f"{tiny}: tiny, test accuracy ")
    assert len(lines) == 6
    assert {data: run["name"] for data, run in json.loads(gradflow("runs", "best", "--json").out).items()} == {
        "mnist": "top",
        str(tiny): "tiny",
    }
