"""The benchmark on Fashion-MNIST, rehearsed on digits: both sides get the same, and the page says what came of it."""

from __future__ import annotations

import datetime
import math
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradflow as gf
from gradflow.data import DataLoader, Split

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))  # behind all else: what is installed is tested as it is

from bench import fashion, fashion_peer  # noqa: E402
from bench.fashion import FashionError, Run  # noqa: E402


def job(**changes: Any) -> dict[str, Any]:
    found = {"model": "cnn", "width": 2, "classes": 10, "input_shape": (1, 28, 28), "epochs": 1, "batch_size": 250}
    return {**found, "lr": 0.01, "seed": 3, "threads": 1, "trial": (1, 1, 1), **changes}


def rehearse(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench.fashion", "--small", "--width", "2", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("name", fashion_peer.NETS)
def test_the_nets_are_those_of_the_models(name: str):
    ours = gf.models.build_model(name, 7, (2, 20, 17), 3)
    copied = fashion_peer.NETS[name](gf.nn, 7, (2, 20, 17), 3)
    assert copied.load_state_dict(ours.state_dict()).missing_keys == []
    x = gf.randn(4, 2, 20, 17)
    assert np.array_equal(ours(x).detach().numpy(), copied(x).detach().numpy())


def test_the_batches_are_those_of_the_loader():
    split = Split(np.zeros((50, 1, 2, 2), np.float32), np.arange(50))
    loader = DataLoader(split, 16, shuffle=True, seed=5)
    for epoch in range(2):
        expected = [labels.tolist() for _, labels in loader]
        assert [chosen.tolist() for chosen in fashion_peer.batches(5, epoch, 50, 16)] == expected


def test_the_learning_rate_rises_and_falls():
    shares = [fashion_peer.one_cycle(step, 40) for step in range(40)]
    assert shares[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert math.isclose(shares[22], 0.5)
    assert sorted(shares[4:], reverse=True) == shares[4:]
    assert 0 < shares[-1] < 0.01


def test_a_rehearsal_writes_a_page(tmp_path: Path):
    out = tmp_path / "page.md"
    done = rehearse("--peer", "none", "--epochs", "2", "--seed", "4", "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    lines = out.read_text().splitlines()
    assert lines[0].startswith("# Rehearsal on digits, ")
    facts = dict([line[2:].split(": ", 1) for line in lines if line.startswith("- ")])
    assert list(facts) == ["machine", "gradflow", "BLAS", "data", "model", "training", "command"]
    assert facts["data"] == "digits, for rehearsal, 500 training and 100 test images of 1x28x28"
    assert facts["model"] == "cnn of width 2, 1,122 parameters"
    assert facts["training"].startswith("2 epochs, batches of 128, Adam at 0.005, one cycle")
    assert facts["command"].startswith(
        "`python -m bench.fashion --small --width 2 --peer none --epochs 2 --seed 4 --out"
    )
    rows = [line.split(" | ") for line in lines if line.startswith("| ")]
    assert [row[0] for row in rows] == ["| epoch", "| ---:", "| 1", "| 2", "| all"]
    assert all([len(row) == 5 for row in rows])
    assert "PyTorch" not in out.read_text()
    assert [line for line in done.stderr.splitlines() if line.startswith("gradflow  epoch ")][1:]


def test_the_same_job_gives_the_same_curve_and_another_one_is_found_out(tmp_path: Path):
    fashion.prepare(tmp_path, fashion.small_data(), job(epochs=2))
    runs = [fashion.execute("gradflow", sys.executable, tmp_path, ()) for _ in range(2)]
    curves = [[{k: v for k, v in epoch.items() if k != "seconds"} for epoch in run.epochs] for run in runs]
    assert curves[0] == curves[1]
    assert len(runs[0].first) == fashion_peer.CHECKED
    with pytest.raises(FashionError, match=r"the first losses in gradflow are \[.*\], not \[2.4, 2.4, 2.4\]"):
        fashion.execute("gradflow", sys.executable, tmp_path, [2.4] * 3)
    (tmp_path / "y.npy").unlink()
    with pytest.raises(FashionError, match="the process of gradflow ended with 1"):
        fashion.execute("gradflow", sys.executable, tmp_path, ())


def test_how_near_the_first_losses_must_be():
    assert fashion.same_start([2.3, 2.2], [2.3004, 2.25])
    assert not fashion.same_start([2.3, 2.2], [2.31, 2.2])
    assert not fashion.same_start([2.3, 2.2], [2.3, 2.4])


def test_the_seed_decides_the_weights(tmp_path: Path):
    weights = []
    for seed in (3, 3, 4):
        fashion.prepare(tmp_path, fashion.small_data(), job(seed=seed))
        with np.load(tmp_path / "weights.npz") as found:
            weights.append(found["0.weight"].tolist())
    assert weights[0] == weights[1] != weights[2]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--peer", "torch", "--torch-python", "/nowhere/python"), "error: there is no Python /nowhere/python to run"),
        (("--peer", "none", "--out", "/nowhere/page.md"), "error: there is no folder /nowhere for the page"),
    ],
)
def test_what_a_person_reads_when_it_cannot_be(arguments: tuple[str, ...], message: str):
    done = rehearse("--batch-size", "500", *arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_two_libraries_stand_side_by_side():
    epoch = {"epoch": 1, "loss": 0.51239, "accuracy": 0.8, "test_accuracy": 0.9156, "seconds": 12.34}
    ours = Run("gradflow", {}, first=[2.3], epochs=[epoch])
    theirs = Run("torch", trial={"contiguous": 0.02, "channels_last": 0.0101}, layout="channels_last", first=[2.31])
    theirs.take({**epoch, "seconds": 6.0})
    page = fashion.markdown([ours, theirs], [("machine", "this")], fashion.notes_of([ours, theirs], 2.0), "Title")
    assert "| 1 | 0.5124 | 80.00 % | 91.56 % | 12.3 | 0.5124 | 80.00 % | 91.56 % | 6.0 |" in page
    assert "| all |   |   |   | 12.3 |   |   |   | 6.0 |" in page
    assert "first steps are 2.300000 in gradflow and 2.310000 in PyTorch." in page
    assert "in channels-last memory format" in page
    assert "a step took 20.0 ms contiguous and 10.1 ms channels-last." in page
    assert "(load 2.0)" in page


@pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")
@pytest.mark.parametrize("model", fashion_peer.NETS)
def test_pytorch_learns_the_same(model: str, tmp_path: Path):
    out = tmp_path / "page.md"
    done = rehearse("--model", model, "--out", str(out))
    assert done.returncode == 0, done.stderr
    text = out.read_text()
    assert f"# Rehearsal on digits, {datetime.date.today().isoformat()}" in text
    assert "PyTorch computed in " in text
    cells = next(line for line in text.splitlines() if line.startswith("| 1 ")).split(" | ")
    assert abs(float(cells[1]) - float(cells[5])) < 0.05 * float(cells[1])
