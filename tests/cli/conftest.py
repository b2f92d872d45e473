"""Running commands in this process, which saves an interpreter's start, on data so small that a run takes no time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Done]


def process(*words: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, in `cwd`, with more environment variables."""
    command = [sys.executable, "-m", "gradflow.cli", *words]
    return subprocess.run(command, cwd=cwd, env=environment() | variables, capture_output=True, text=True, timeout=120)


def environment() -> dict[str, str]:
    """What such a process has: the CPU, and this checkout's package."""
    import gradflow as gf

    paths = [str(Path(gf.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "GRADFLOW_DEVICE": "cpu"}


@pytest.fixture
def gradflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """gradflow("train", "--epochs", "1"): run a command on the CPU, in a folder of the test's own."""
    from gradflow.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRADFLOW_DEVICE", "cpu")

    def run(*words: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["gradflow", *map(str, words)])
        with pytest.raises(SystemExit) as caught:
            main.main()
        code = caught.value.code
        return Done(0 if code is None else int(code), *capsys.readouterr())

    return run


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """tiny.npz: 96 training and 20 test images of 8x8, of three classes that are easily told apart."""
    rng = np.random.default_rng(0)

    def images(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(count) % 3
        pixels = rng.integers(0, 60, (count, 8, 8))
        for i, label in enumerate(labels):
            pixels[i, 2 * label : 2 * label + 3] += 150
        return pixels.astype(np.uint8), labels

    train, test = images(96), images(20)
    np.savez(tmp_path / "tiny.npz", x_train=train[0], y_train=train[1], x_test=test[0], y_test=test[1])
    return tmp_path / "tiny.npz"


@pytest.fixture
def trained(gradflow: Command, tiny: Path) -> Path:
    """runs/tiny: a finished run of two epochs on tiny.npz, six steps, with an average of the weights."""
    done = gradflow(*TRAIN, "--quiet")
    assert done == (0, "", "")
    return tiny.parent / "runs" / "tiny"


TRAIN = (
    "train", "--data", "tiny.npz", "--model", "mlp", "--width", "8", "--epochs", "2", "--batch-size", "32",
    "--augmentations", "shift=1", "--ema", "0.5", "--save-every", "0",
)  # fmt: skip
"""The command that makes the run `trained`."""
