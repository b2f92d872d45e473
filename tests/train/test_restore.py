"""`load_model`: the model that a run trained, from any of its files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import gradflow as gf
from gradflow.models import build_model
from gradflow.train import (
    CheckpointError,
    Checkpoints,
    Display,
    Settings,
    load_model,
    preprocessing,
    save_weights,
    train,
)
from gradflow.train.restore import weights_file

IMAGES = np.random.default_rng(0).random((5, 1, 8, 8), np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A run of a model in a file, in float64."""
    root = tmp_path_factory.mktemp("run")
    (root / "net.py").write_text(
        "import gradflow as gf\n"
        "def build(num_classes, input_shape):\n"
        "    return gf.nn.Sequential(gf.nn.Flatten(), gf.nn.Linear(64, num_classes), gf.nn.BatchNorm1d(num_classes))\n"
    )
    settings = Settings(
        model=f"{root / 'net.py'}:build", epochs=1, batch_size=200, ema=0.5, dtype="float64", augment=()
    )
    (root / "run").mkdir()
    train(settings, root / "run", Display(), device="cpu")
    return root / "run"


def answers(path: Path) -> list:
    model, about = load_model(path, "cpu")
    assert not model.training
    images, _ = preprocessing(about)(gf.tensor(IMAGES), gf.zeros(5), np.random.default_rng(0))
    assert images.dtype == gf.float64
    with gf.no_grad():
        return model(images).tolist()


def test_all_files_of_a_run_give_its_average(folder: Path):
    step = Checkpoints(folder / "checkpoints").paths()[0]
    expected = answers(folder)
    for path in (folder / "weights.safetensors", folder / "best.safetensors", step):
        assert answers(path) == expected


def test_a_run_that_has_not_ended_gives_its_newest_checkpoint(folder: Path, tmp_path: Path):
    for number in (3, 12):
        (tmp_path / "checkpoints").mkdir(exist_ok=True)
        (tmp_path / "checkpoints" / f"step-{number:08}.safetensors").touch()
    assert weights_file(tmp_path) == tmp_path / "checkpoints" / "step-00000012.safetensors"
    (tmp_path / "weights.safetensors").touch()
    assert weights_file(tmp_path) == tmp_path / "weights.safetensors"


def test_what_has_changed_is_said(folder: Path, caplog):
    net = folder.parent / "net.py"
    text = net.read_text()
    try:
        net.write_text(text + "# another line\n")
        answers(folder)
        assert "net.py:build has changed since" in caplog.text
        net.write_text(text.replace("64, num_classes", "64, 3").replace("1d(num_classes", "1d(3"))
        with pytest.raises(ValueError, match="with 10 classes it must give"):
            load_model(folder, "cpu")
    finally:
        net.write_text(text)


def about(**change) -> dict:
    found = {"model": "mlp", "width": 4, "classes": ["a", "b"], "input_shape": [1, 2, 2], "mean": None, "std": None}
    return {**found, **change}


def test_other_versions_and_other_weights(tmp_path: Path, caplog):
    path = tmp_path / "w.safetensors"
    state = build_model("mlp", 2, (1, 2, 2), 4).state_dict()
    save_weights(path, state, about(environment={"gradflow": "0.0.1"}))
    model, _ = load_model(path, "cpu")
    assert {k: v.tolist() for k, v in model.state_dict().items()} == {k: v.tolist() for k, v in state.items()}
    assert "was written by gradflow 0.0.1, this is" in caplog.text
    save_weights(path, state, about(width=5))
    with pytest.raises(CheckpointError, match="are not those of mlp as it is built now"):
        load_model(path, "cpu")
    save_weights(path, state, json.loads(json.dumps({"note": "mine"})))
    with pytest.raises(CheckpointError, match=r"does not say which model it is of \(no model, width"):
        load_model(path, "cpu")
    with pytest.raises(CheckpointError, match="there are no weights and no checkpoints"):
        load_model(tmp_path, "cpu")
    with pytest.raises(CheckpointError, match=r"nothing\.safetensors"):
        load_model(tmp_path / "nothing.safetensors", "cpu")
