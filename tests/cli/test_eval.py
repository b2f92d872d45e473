"""`gradflow eval`: the scores of a trained model, and what it confuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from gradflow.cli.evaluate import Evaluation, lines
from gradflow.train import Scores, Settings, read_metrics


def test_the_scores_are_those_of_the_run(gradflow, trained: Path):
    final = read_metrics(trained / "metrics.jsonl")[-1]
    step = next(iter(sorted((trained / "checkpoints").iterdir(), reverse=True)))
    for words in (["tiny"], [trained], [trained / "weights.safetensors"], [step]):
        done = gradflow("eval", *words, "--json")
        assert (done.code, done.err) == (0, "")
        found = json.loads(done.out)
        assert found["images"] == 20
        assert (found["loss"], found["accuracy"]) == (final["test_loss"], final["test_accuracy"])
    assert list(found["classes"]) == ["0", "1", "2"]
    best = max(read_metrics(trained / "metrics.jsonl")[:2], key=lambda r: r["test_accuracy"])
    for words in (["tiny", "--best"], [trained / "best.safetensors"], [trained / "weights.safetensors", "--best"]):
        found = json.loads(gradflow("eval", *words, "--json").out)
        assert (found["loss"], found["accuracy"]) == (best["test_loss"], best["test_accuracy"])
    assert found["checkpoint"].endswith("runs/tiny/best.safetensors")
    some = json.loads(gradflow("eval", "tiny", "--json", "--batch-size", "7").out)
    assert some["accuracy"] == final["test_accuracy"]
    assert some["loss"] == pytest.approx(final["test_loss"], rel=1e-5)


def test_in_words(gradflow, trained: Path):
    done = gradflow("eval", "tiny")
    assert (done.code, done.err) == (0, "")
    text = done.out.splitlines()
    assert text[0] == "model     mlp of runs/tiny/weights.safetensors, on cpu"
    assert text[1] == "data      tiny: 20 test images"
    assert text[-1].startswith("test accuracy ")


MANY = tuple([f"class {i}" for i in range(30)])


@pytest.mark.parametrize(
    ("classes", "wrong", "expected"),
    [
        (("cat", "dog", "bird"), {}, ["  cat   100.00 %  of 10", "every image was recognised"]),
        (
            ("cat", "dog", "bird"),
            {(0, 1): 3, (1, 0): 1},
            ["  cat    76.92 %  of 13", "  bird  100.00 %  of 10", "  cat  for dog: 3 times", "  dog  for cat: 1 time"],
        ),
        (MANY, {(29, 0): 30}, ["accuracy of the 20 worst of 30 classes", "  class 29   25.00 %  of 40"]),
    ],
)
def test_classes_and_pairs(classes: tuple[str, ...], wrong: dict, expected: list[str]):
    confusion = np.eye(len(classes), dtype=np.int64) * 10
    for pair, count in wrong.items():
        confusion[pair] = count
    found = lines(Evaluation(Scores(0.5, 0.75), confusion, classes, 1.0), Settings(label_smoothing=0.1))
    assert [line for line in found if line in expected] == expected
    assert found[0] == "loss      0.5000 (with label smoothing of 0.1)"
    assert found[-1] == "test accuracy 75.00 %"


def test_a_class_without_images_has_no_line_and_no_accuracy():
    found = Evaluation(Scores(0.0, 1.0), np.diag([2, 0]), ("a", "b"), 1.0)
    assert [str(a) for a in found.accuracies()] == ["1.0", "nan"]
    assert not any([line.startswith("  b") for line in lines(found, Settings())])


def save(folder: Path, name: str, side: int, classes: int) -> None:
    x, y = np.zeros((20, side, side), np.uint8), np.arange(20) % classes
    np.savez(folder / name, x=x, y=y)


def test_what_does_not_fit(gradflow, trained: Path):
    folder = trained.parents[1]
    save(folder, "large.npz", 9, 3)
    save(folder, "four.npz", 8, 4)
    shutil.copy(trained / "weights.safetensors", folder / "cut.safetensors")
    (folder / "cut.safetensors").write_bytes((folder / "cut.safetensors").read_bytes()[:-1])
    (trained.parent / "empty").mkdir()
    for words, message in [
        (
            ["tiny", "--data", "large.npz"],
            "the images of large are 1x9x9, the model in runs/tiny/weights.safetensors ta",
        ),
        (["tiny", "--data", "four.npz"], "the 4 classes of four (0, 1, 2, ...) are not the 3 that the model"),
        (["nothing"], "there is no run 'nothing'"),
        (["empty"], "there are no weights and no checkpoints in runs/empty"),
        (["cut.safetensors"], "cut.safetensors"),
        (["tiny.npz"], "tiny.npz"),
    ]:
        done = gradflow("eval", *words)
        assert (done.code, done.out) == (1, ""), words
        assert message in done.err
        assert done.err.count("\n") == 1


def test_other_data_of_the_same_kind(gradflow, trained: Path):
    save(trained.parents[1], "other.npz", 8, 3)
    done = gradflow("eval", "tiny", "--data", "other.npz", "--json")
    assert done.code == 0
    assert json.loads(done.out)["data"] == "other"
