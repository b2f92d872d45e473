"""`gradflow verify-resume`: real processes, killed and taken up; and what it says where the results differ."""

from __future__ import annotations

import copy
import random
from pathlib import Path

import numpy as np
import pytest

import gradflow as gf
from gradflow.cli import verify
from gradflow.data import load_digits
from gradflow.train import Settings, save_checkpoint

QUICK = {"model": "mlp", "width": 4, "batch_size": 16, "device": "cpu", "augment": ("shift=1",), "ema": 0.5}


def test_a_killed_run_comes_to_the_same(capsys):
    assert verify.run(given=QUICK, steps=8, kills=1, rng=random.Random(1)) == 0
    run, killed, compared, verdict = capsys.readouterr().out.splitlines()
    assert run == "run       mlp on digits, adam, 8 steps of 16 images, on cpu"
    assert killed.startswith("killed    soon after step ")
    assert compared.split()[0] == "compared" and int(compared.split()[1]) > 12
    assert verdict == "resumed runs are the same as one that was not stopped, bit for bit"


def test_a_run_that_fails_gives_its_reason():
    with pytest.raises(RuntimeError, match=r"\[verify\] the training failed: \[models\] lenet takes images of 28x28"):
        verify.run(given={**QUICK, "model": "lenet", "width": None}, steps=2, kills=1)


STATE = {
    "model": {"0.weight": gf.tensor([1.0, 2.0, float("nan")]), "0.bias": gf.tensor([0.0])},
    "optimizer": {"state": {0: {"step": 3}}, "param_groups": [{"lr": 0.1, "params": [0]}]},
    "progress": {"step": 3, "seconds": 1.0},
    "history": [{"epoch": 1, "seconds": 2.0}],
}


def changed(change) -> dict:
    state = copy.deepcopy({k: v for k, v in STATE.items() if k != "model"}) | {"model": dict(STATE["model"])}
    change(state)
    return state


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda s: None, []),
        (lambda s: s["progress"].update(seconds=9.0) or s["history"][0].update(seconds=8.0), []),
        (
            lambda s: s["model"].update({"0.weight": gf.tensor([1.0, 2.5, float("nan")])}),
            ["model.0.weight: 1 of 3 values differ, by up to 0.5"],
        ),
        (
            lambda s: s["model"].update({"0.bias": gf.tensor([-0.0])}),
            ["model.0.bias: 1 of 1 values differ, by up to 0"],
        ),
        (
            lambda s: s["model"].update({"0.bias": gf.tensor([0.0], dtype=gf.float64)}),
            ["model.0.bias: float32 (1,) and float64 (1,)"],
        ),
        (lambda s: s["optimizer"]["param_groups"][0].update(lr=0.2), ["optimizer.param_groups[0].lr: 0.1 and 0.2"]),
        (lambda s: s["optimizer"]["state"][0].update(step=3.0), ["optimizer.state.0.step: 3 and 3.0"]),
        (lambda s: s["model"].pop("0.bias"), ["model.0.bias, which only one of them has"]),
    ],
)
def test_any_difference_is_found(change, expected: list[str]):
    verdict = verify.compare(STATE, changed(change))
    assert list(verdict.differing) == expected
    assert (verdict.tensors, verdict.others) == (2, 5)


@pytest.fixture
def pretended(monkeypatch):
    """Trainings that only write checkpoints, other ones after a pause; the moments at which they can be killed."""

    def train(folder: Path, name: str) -> None:
        checkpoints = folder / name / "checkpoints"
        checkpoints.mkdir(parents=True)
        state = {"model": {str(i): np.full(2, i if name == "whole" else i + 1) for i in range(7)}}
        for step in (7, 8):
            save_checkpoint(checkpoints / f"step-0000000{step}.safetensors", state)

    monkeypatch.setattr(verify, "_train", train)
    moments = set(range(8))
    monkeypatch.setattr(verify, "_kill", lambda folder, step, later: step if step in moments else None)
    return moments


def test_a_difference_is_told_and_the_code_is_1(pretended: set[int], capsys):
    assert verify.run(given=QUICK, steps=8, kills=9) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "killed    soon after steps 1, 2, 3, 4, 5, 6 and 7, and taken up again"
    assert lines[3:] == [
        "they differ:",
        *[f"  model.{i}: 2 of 2 values differ, by up to 1" for i in range(5)],
        "  and 2 more",
    ]


def test_a_run_that_was_never_killed_proves_nothing(pretended: set[int]):
    pretended.clear()
    with pytest.raises(RuntimeError, match="over before it could be killed; give it more --steps"):
        verify.run(given=QUICK, steps=8, kills=2)


@pytest.mark.parametrize(
    ("steps", "more", "epochs", "images"),
    [
        (20, {}, 2, 160 - 8),
        (20, {"accumulate": 3}, 2, 10 * 48 - 8),
        (2, {}, 2, 8),
        (3, {"batch_size": 1}, 3, 1),
        (300, {}, 3, 89 * 16 - 8),
    ],
)
def test_the_short_run(steps: int, more: dict, epochs: int, images: int, tmp_path: Path):
    data = load_digits()
    short = verify.shorten(Settings(**{**QUICK, "augment": ("auto",), **more}), data, steps, tmp_path)
    assert (short.epochs, short.save_every, short.augment) == (epochs, 0.0, ("shift=1",))
    from gradflow.data.catalog import load_data

    found = load_data(short.data)
    np.testing.assert_array_equal(found.train.images, data.train.images[:images])
    assert len(found.train) == images
    batches = -(-images // (short.batch_size or 1))
    assert -(-batches // short.accumulate) == verify.steps_an_epoch(short, data, steps)
