"""Weights and checkpoints: exact, whole or refused, and clear about what is wrong."""

from __future__ import annotations

import io
import json
import os
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy

import gradflow as gf
from gradflow.models import cnn
from gradflow.train import checkpoint
from gradflow.train.checkpoint import (
    CheckpointError,
    Checkpoints,
    load_about,
    load_checkpoint,
    load_weights,
    save_checkpoint,
    save_weights,
)
from gradflow.train.tensorfile import NAMES

STATE = {"model": {"w": np.arange(3, dtype=np.float32)}, "step": 7}


def weights(value: float) -> dict[str, gf.Tensor]:
    return {"a.weight": gf.tensor([[value, 2.0], [3.0, 4.0]]), "a.count": gf.tensor(7)}


def read(path: Path, name: str) -> np.ndarray:
    return load_weights(path)[0][name].numpy()


# -- what is kept ------------------------------------------------------------------------------------------------------


def test_round_trip_of_a_model(tmp_path: Path):
    path = tmp_path / "weights.safetensors"
    gf.manual_seed(0)
    model, other = cnn(10, (1, 8, 8)), cnn(10, (1, 8, 8))
    save_weights(path, model.state_dict(), {"epoch": 3, "classes": ["a", "é"]})
    state, about = load_weights(path)
    assert about == load_about(path) == {"epoch": 3, "classes": ["a", "é"]}
    assert list(state) == list(model.state_dict())
    other.load_state_dict(state)
    assert list(tmp_path.iterdir()) == [path]
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[name].numpy(), value.numpy())


@pytest.mark.parametrize("name", NAMES)
def test_every_dtype_and_layout_is_what_the_safetensors_library_reads(tmp_path: Path, name: str):
    path = tmp_path / "w"
    kind = gf.zeros(0, dtype=name).numpy().dtype
    array = (np.arange(24) % 2 if name == "bool" else np.arange(24)).astype(kind).reshape(2, 3, 4)
    turned, strided = array.transpose(2, 0, 1), array[:, ::-2]
    expected = {
        "c": array,
        "t": turned,
        "s": strided,
        "zero": array[0, 0, 1],
        "none": array[:0],
        "z": np.zeros(3, "u1"),
    }
    expected = {key: np.asarray(value) for key, value in expected.items()}
    save_weights(path, {key: gf.as_tensor(value) for key, value in expected.items()})
    library = dict(safetensors.deserialize(path.read_bytes()))
    assert set(library) == set(expected)
    for key, value in expected.items():
        got = read(path, key)
        assert (got.dtype, got.shape, got.tobytes()) == (value.dtype, value.shape, value.tobytes())
        assert library[key]["shape"] == list(value.shape) and bytes(library[key]["data"]) == value.tobytes()


def test_files_of_the_safetensors_library_and_of_pytorch(tmp_path: Path):
    path = tmp_path / "w"
    arrays = {n: np.ones((2, 3), n) for n in NAMES if n != "bfloat16"} | {
        "0-d": np.array(2.5),
        "none": np.zeros((0, 2)),
    }
    safetensors.numpy.save_file(arrays, path, {"format": "pt"})
    state, about = load_weights(path)
    assert about == load_about(path) == {} and set(state) == set(arrays)
    for name, array in arrays.items():
        assert state[name].dtype == array.dtype and np.array_equal(state[name].numpy(), array)
    with pytest.raises(CheckpointError, match=rf"{path} is a weights file, not a checkpoint; use load_weights"):
        load_checkpoint(path)


def test_a_checkpoint_and_what_is_said_about_it(tmp_path: Path):
    path = tmp_path / "c"
    save_checkpoint(
        path, {"model": weights(2.0), "seen": {1, 2} and (1, 2), 3: np.float16(0.5)}, {"seed": 1, "lr": [0.1]}
    )
    state, about = load_checkpoint(path)
    assert about == load_about(path) == {"seed": 1, "lr": [0.1]}
    assert state["seen"] == (1, 2) and state[3].dtype == np.float16
    assert state["model"]["a.weight"].tolist() == [[2.0, 2.0], [3.0, 4.0]]
    assert set(safetensors.numpy.load_file(path)) == {"model.a.weight", "model.a.count", "3"}
    with pytest.raises(CheckpointError, match="is a training checkpoint, not a weights file; use load_checkpoint"):
        load_weights(path)
    save_weights(path, weights(1.0))
    with pytest.raises(CheckpointError, match="is a weights file, not a checkpoint; use load_weights"):
        load_checkpoint(path)


def test_the_same_weights_give_the_same_bytes(tmp_path: Path):
    for name in "ab":
        save_weights(tmp_path / name, weights(1.0), {f"key{i}": i for i in range(20)})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_model_is_not_copied_to_be_written_or_read(tmp_path: Path):
    path = tmp_path / "w"
    state = {str(i): gf.ones(1 << 20) for i in range(8)}
    peaks = []
    tracemalloc.start()
    for work in (lambda: save_weights(path, state), lambda: load_weights(path, device="cpu")):
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        work()
        peaks.append((tracemalloc.get_traced_memory()[1] - before) >> 20)
    tracemalloc.stop()
    assert peaks[0] < 4 and peaks[1] <= 33  # MiB, of 32


@pytest.mark.parametrize(
    "save, message",
    [
        (lambda p: save_weights(p, {"n": 3}), "n is of type int, and weights are tensors"),
        (lambda p: save_weights(p, {"__metadata__": gf.ones(1)}), "an array cannot be named __metadata__"),
        (lambda p: save_weights(p, {}, {"x": {1}}), "what is said about it: .* set is not JSON serializable; use what"),
        (lambda p: save_checkpoint(p, {"x": {1}}), "cannot save x, which is of type set"),
    ],
)
def test_what_cannot_be_saved_leaves_no_file(tmp_path: Path, save: Callable[[Path], None], message: str):
    with pytest.raises((TypeError, ValueError), match=message):
        save(tmp_path / "w")
    assert list(tmp_path.iterdir()) == []


def test_a_header_that_could_not_be_read_again(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("gradflow.train.tensorfile.LONGEST_HEADER", 1000)
    with pytest.raises(
        CheckpointError, match=r"would need a header of .* bytes.*; keep long lists of numbers as arrays"
    ):
        save_checkpoint(tmp_path / "c", list(range(1000)))


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["weights", "checkpoint"])
def test_one_flipped_bit_or_a_cut_anywhere_is_found(tmp_path: Path, kind: str):
    path = tmp_path / "w"
    if kind == "weights":
        save_weights(path, {"a": gf.tensor([1.0, 2.0])}, {"seed": 1})
        load: Callable[[Path], Any] = load_weights
    else:
        save_checkpoint(path, {"a": gf.tensor([1.0, 2.0]), "n": (1,)}, {"seed": 1})
        load = load_checkpoint
    load(path)
    data = path.read_bytes()
    damaged = [data[:length] for length in range(len(data))] + [data + b"\0", b" " + data]
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        damaged.append(bytes(flipped))
    with open(path, "r+b", buffering=0) as file:
        for wrong in damaged:
            file.seek(0)
            file.write(wrong)
            file.truncate(len(wrong))
            with pytest.raises(CheckpointError, match=r"^\[checkpoint\] .*w (is|was|has|cannot)"):
                load(path)


def test_random_bits_and_cuts_of_a_larger_checkpoint(tmp_path: Path):
    path = tmp_path / "c"
    rng = np.random.default_rng(0)
    save_checkpoint(path, {"a": rng.normal(size=(100, 99)), "b": gf.ones(1000, dtype=gf.float16)})
    data = path.read_bytes()
    for i in range(200):
        at = int(rng.integers(len(data)))
        wrong = bytearray(data)
        wrong[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(data[:at] if i % 2 else bytes(wrong))
        with pytest.raises(CheckpointError):
            load_checkpoint(path)


def file_of(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def one(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> bytes:
    return file_of({"x": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}, bytes(8))


@pytest.mark.parametrize(
    "data, message",
    [
        (b"", "is empty; take another copy"),
        (b"\0\0\0", "it has 3 bytes, too few"),
        ((1 << 63).to_bytes(8, "little") + b"{}", "its header would have 9,223,372,036,854,775,808 bytes"),
        ((10**8).to_bytes(8, "little") + b"{}", "its header has 100,000,000 bytes, and only 2 are there"),
        (
            one(shape=(1 << 40,), offsets=(0, 1 << 42)),
            "it has 8 bytes of arrays where its header says 4,398,046,511,104",
        ),
        (one(shape=(1 << 62, 1 << 62)), "x, F32 .*, does not fill its 8 bytes"),
        (one(shape=(1 << 80,)), "the header does not describe x"),
        (one(shape=[1] * 65 + [2]), "the header does not describe x"),
        (one(shape=(-2,)), "the header does not describe x"),
        (one(shape=(2.0,)), "the header does not describe x"),
        (one(offsets=(8, 0)), "does not fill"),
        (one(offsets=(4, 12)), "a gap or an overlap before x"),
        (one(dtype=3), "the header does not describe x"),
        (file_of({"x": {}}), "the header does not describe x"),
        (file_of([]), "its header is not an object"),
        (file_of({"__metadata__": {"a": 1}}), "its metadata are not texts"),
        (file_of(b"[" * 100_000), "is not a whole safetensors file"),
        (file_of(b'{"x": ' + b"9" * 5000 + b"}"), "is not a whole safetensors file"),
        (file_of(b"\xff\xfe"), "is not a whole safetensors file"),
        (b"# just some notes", "is not a whole safetensors file: its header would have"),
        (one("F8_E4M3", (8,)), "x is of dtype F8_E4M3, which gradflow has not; convert it first"),
        (one("C64", (1,)), "x is of dtype C64, which gradflow has not"),
        (one(shape=(0, 1 << 62, 1 << 62), offsets=(0, 0))[:-8], "x has a shape no array can have"),
        (file_of({"__metadata__": {"gradflow": "5"}}), "is damaged: its metadata are not what gradflow writes"),
    ],
)
def test_headers_that_lie_are_refused_before_anything_is_allocated(tmp_path: Path, data: bytes, message: str):
    path = tmp_path / "w"
    path.write_bytes(data)
    tracemalloc.start()
    with pytest.raises(CheckpointError, match=message):
        load_weights(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 << 20


def zipped(member: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(member, b"x" * 100)
    return file.getvalue()


@pytest.mark.parametrize(
    "data, message",
    [
        (zipped("archive/data.pkl"), "is PyTorch's .pt, a pickle-based file, which gradflow does not read; save"),
        (zipped("archive/data.pkl")[:150], "is PyTorch's .pt, a pickle-based file"),
        (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "is a pickle-based file, which gradflow does not read"),
        (zipped("x.npy"), r"is a zip archive \(.npz, .zip\), not a safetensors file"),
        (b"\x93NUMPY\x01\x00v\x00{'descr'", "is a NumPy .npy file"),
        (b"\x89HDF\r\n\x1a\n" + bytes(90), "is an HDF5 file"),
        (b"\x1f\x8b\x08\x00" + bytes(20), "is compressed by gzip; unpack it first"),
        (b"GGUF\x03\x00\x00\x00" + bytes(20), "is a GGUF file"),
    ],
)
def test_other_formats_are_named(tmp_path: Path, data: bytes, message: str):
    path = tmp_path / "w"
    path.write_bytes(data)
    for load in (load_weights, load_checkpoint, load_about):
        with pytest.raises(CheckpointError, match=rf"{path} {message}"):
            load(path)


def test_paths_that_are_no_files(tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"there is no file .*; check the path"):
        load_weights(tmp_path / "w")
    with pytest.raises(CheckpointError, match="is a folder; give a safetensors file"):
        load_checkpoint(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(CheckpointError, match="is no regular file"):
            load_about(tmp_path / "pipe")


def test_a_file_of_a_newer_version(tmp_path: Path, monkeypatch):
    path = tmp_path / "c"
    monkeypatch.setattr(checkpoint, "FORMAT", checkpoint.FORMAT + 1)
    monkeypatch.setattr(checkpoint, "__version__", "99.1")
    save_checkpoint(path, STATE)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match=r"was made by gradflow 99\.1, which is newer than this one; update"):
        load_checkpoint(path)


def test_a_checkpoint_changed_by_another_program(tmp_path: Path):
    path = tmp_path / "c"
    save_checkpoint(path, STATE)
    with safetensors.safe_open(path, "np") as file:
        metadata = file.metadata()
    safetensors.numpy.save_file({"model.w": np.ones(3, np.float32)}, path, metadata)
    with pytest.raises(CheckpointError, match="is damaged: its SHA-256 is not the one it was written with"):
        load_checkpoint(path)


# -- a folder of them --------------------------------------------------------------------------------------------------


def test_the_latest_are_kept_by_number(tmp_path: Path):
    folder = tmp_path / "run" / "checkpoints"
    kept = Checkpoints(folder, keep=3)
    assert kept.paths() == []
    for step in (8, 9, 10, 99_999_999, 100_000_000):
        path = kept.save(step, {"step": step}, {"said": step})
    assert path.name == "step-100000000.safetensors"
    assert [p.name for p in kept.paths()] == [f"step-{n:08d}.safetensors" for n in (10**8, 10**8 - 1, 10)]
    assert kept.load() == ({"step": 10**8}, {"said": 10**8}, path)
    assert kept.load(step=10)[0] == {"step": 10}
    (folder / "step-1.safetensors.bak").touch()
    (folder / "notes.txt").touch()
    assert len(kept.paths()) == 3


def test_a_run_that_goes_back_leaves_later_steps_behind(tmp_path: Path):
    kept = Checkpoints(tmp_path, keep=2)
    for step in (10, 20, 30):
        kept.save(step, {"step": step})
    kept.save(25, {"step": 25})
    assert [kept.load()[0]["step"], len(kept.paths())] == [25, 2]
    assert kept.save(25, {"step": "again"}) == kept.paths()[0]
    assert [kept.load()[0]["step"], kept.load(20)[0]["step"]] == ["again", 20]


def test_the_previous_good_one_is_taken_where_asked(tmp_path: Path, caplog):
    kept = Checkpoints(tmp_path, keep=3)
    paths = [kept.save(step, {"step": step}) for step in (1, 2, 3)]
    paths[2].write_bytes(paths[2].read_bytes()[:-1])
    with pytest.raises(
        CheckpointError, match=rf"{paths[2]} is not a whole .* \(the one before is {paths[1]}: load\(fall"
    ):
        kept.load()
    assert not caplog.records
    assert kept.load(fallback=True)[::2] == ({"step": 2}, paths[1])
    assert [str(paths[2]) in str(error) for error in kept.passed_over] == [True]
    assert "taking the checkpoint before it" in caplog.text and str(paths[2]) in caplog.text
    paths[1].write_bytes(b"")
    assert kept.load(fallback=True)[2] == paths[0] and len(kept.passed_over) == 2
    paths[0].unlink()
    with pytest.raises(
        CheckpointError, match=r"none of the 2 checkpoints in .* can be read; of the newest: .*not a whole"
    ):
        kept.load(fallback=True)


def test_wrong_use_of_a_folder(tmp_path: Path):
    with pytest.raises(ValueError, match="keep must be at least 1, got 0"):
        Checkpoints(tmp_path, keep=0)
    kept = Checkpoints(tmp_path / "c")
    with pytest.raises(ValueError, match="step must not be negative, got -1"):
        kept.save(-1, {})
    with pytest.raises(CheckpointError, match=r"there is no checkpoint in .*; check the folder"):
        kept.load()
    kept.save(3, {})
    with pytest.raises(CheckpointError, match=r"there is no checkpoint of step 2 in .*; there are: 3"):
        kept.load(step=2)
    (tmp_path / "file").touch()
    for broken in (Checkpoints(tmp_path / "file"), Checkpoints(tmp_path / "file" / "c")):
        with pytest.raises(CheckpointError, match="cannot make the folder"):
            broken.save(1, {})
        with pytest.raises(CheckpointError, match="cannot list"):
            broken.load()
