"""Weights files: exact, atomic, and clear about what is wrong."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gradflow as gf
from gradflow.models import cnn
from gradflow.train import CheckpointError, checkpoint, load_weights, save_weights


def weights(value: float) -> dict[str, gf.Tensor]:
    return {"a.weight": gf.tensor([[value, 2.0], [3.0, 4.0]]), "a.count": gf.tensor(7)}


def test_round_trip_of_a_model(tmp_path: Path):
    path = tmp_path / "weights.safetensors"
    gf.manual_seed(0)
    model, other = cnn(10, (1, 8, 8)), cnn(10, (1, 8, 8))
    save_weights(path, model.state_dict(), {"epoch": 3, "classes": ["a", "b"]})
    state, metadata = load_weights(path)
    assert metadata == {"epoch": 3, "classes": ["a", "b"]}
    other.load_state_dict(state)
    assert list(tmp_path.iterdir()) == [path]
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[name].numpy(), value.numpy())


def test_dtypes_and_zero_dimensions_survive(tmp_path: Path):
    path = tmp_path / "w"
    arrays = {
        "half": np.ones((2, 3), np.float16),
        "double": np.full((), 1e-300),
        "count": np.array(7, np.int64),
        "none": np.zeros((0, 2), np.float32),
    }
    save_weights(path, {name: gf.tensor(array) for name, array in arrays.items()})
    state, _ = load_weights(path)
    for name, array in arrays.items():
        read = state[name].numpy()
        assert read.dtype == array.dtype
        assert read.shape == array.shape
        assert np.array_equal(read, array)


def test_weights_that_do_not_lie_in_c_order(tmp_path: Path):
    path = tmp_path / "w"
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    save_weights(path, {"t": gf.as_tensor(array.transpose(2, 0, 1)), "s": gf.as_tensor(array[:, ::2])})
    state, _ = load_weights(path)
    np.testing.assert_array_equal(state["t"].numpy(), array.transpose(2, 0, 1))
    np.testing.assert_array_equal(state["s"].numpy(), array[:, ::2])


def test_the_same_weights_give_the_same_bytes(tmp_path: Path):
    for name in "ab":
        save_weights(tmp_path / name, weights(1.0), {f"key{i}": i for i in range(20)})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
from gradflow.train import checkpoint
checkpoint.os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
checkpoint.write_atomically(Path(sys.argv[1]), b"new" * 1000)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_process_killed_while_writing_leaves_the_old_file(tmp_path: Path):
    path = tmp_path / "w"
    save_weights(path, weights(1.0))
    done = subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, str(path)], timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert load_weights(path)[0]["a.weight"].tolist() == [[1.0, 2.0], [3.0, 4.0]]
    save_weights(path, weights(5.0))  # and what it left behind is in nobody's way
    assert load_weights(path)[0]["a.weight"].tolist()[0][0] == 5.0


class FullDisk:
    """A file on a disk with room for ten bytes."""

    def __init__(self, path: Path, mode: str) -> None:
        self.file = path.open(mode)

    def __enter__(self) -> FullDisk:
        return self

    def __exit__(self, *exception: object) -> None:
        self.file.close()

    def write(self, data: bytes) -> None:
        self.file.write(data[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("earlier", [True, False])
def test_full_disk(tmp_path: Path, monkeypatch, earlier: bool):
    path = tmp_path / "w"
    if earlier:
        save_weights(path, weights(1.0))
    monkeypatch.setattr(checkpoint, "open", FullDisk, raising=False)
    kept = "the file there before is untouched" if earlier else "nothing was left behind"
    with pytest.raises(
        CheckpointError, match=rf"cannot write {path} \(.* bytes\): No space left on device; {kept}; free"
    ):
        save_weights(path, weights(5.0))
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == ([path] if earlier else [])
    if earlier:
        assert load_weights(path)[0]["a.weight"].tolist()[0][0] == 1.0


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_nothing_is_left_behind_when_the_last_steps_fail(tmp_path: Path, monkeypatch, fails: str):
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint.os, fails, interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_weights(tmp_path / "w", weights(1.0))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", [lambda d: b"", lambda d: d[:5], lambda d: d[:-1], lambda d: b"PK" + d[2:]])
def test_corrupt_file(tmp_path: Path, damage):
    path = tmp_path / "w"
    save_weights(path, weights(1.0))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(
        CheckpointError, match=rf"{path} is not a whole safetensors file: .*; it is truncated or corrupt"
    ):
        load_weights(path)


def test_missing_file_and_foreign_metadata(tmp_path: Path):
    from safetensors.numpy import save_file

    with pytest.raises(CheckpointError, match="there is no file"):
        load_weights(tmp_path / "w")
    save_file({"x": np.ones(2, np.float32)}, tmp_path / "w", {"format": "pt"})
    state, metadata = load_weights(tmp_path / "w")
    assert state["x"].tolist() == [1.0, 1.0]
    assert metadata == {}
