"""The folder and the metrics file of a run."""

from __future__ import annotations

import errno
import io
import json
import math
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import filelock
import pytest

from gradflow.train import metrics
from gradflow.train.metrics import MetricsFile, read_metrics
from gradflow.train.rundir import RunLockedError, lock_run, make_run_dir


def test_a_run_never_takes_the_folder_of_another(tmp_path: Path):
    root = tmp_path / "some" / "runs"
    assert [make_run_dir(root, "digits").name for _ in range(3)] == ["digits", "digits-2", "digits-3"]
    assert make_run_dir(root, "digits", name="mine") == root / "mine"
    with pytest.raises(FileExistsError, match=r"there is a run .*mine already; choose another name"):
        make_run_dir(root, "digits", name="mine")
    (root / "digits-2").rmdir()
    assert make_run_dir(root, "digits").name == "digits-2"


def test_a_file_in_the_way_counts_as_a_run(tmp_path: Path):
    (tmp_path / "digits").write_text("x")
    assert make_run_dir(tmp_path, "digits").name == "digits-2"


@pytest.mark.parametrize("name", ["", " ", ".", "..", "a/b", "../a", "/tmp/a", "a\\b", "a\nb", "a:b", "-a"])
def test_names_that_are_no_folder(tmp_path: Path, name: str):
    with pytest.raises(ValueError, match="cannot be the name of a folder"):
        make_run_dir(tmp_path / "runs", "digits", name=name)
    assert not (tmp_path / "runs").exists()


def test_a_root_that_is_a_file(tmp_path: Path):
    root = tmp_path / "runs"
    root.write_text("x")
    for place in (root, root / "deeper"):
        with pytest.raises(OSError, match="runs"):
            make_run_dir(place, "digits")


def test_metrics_are_json_lines(tmp_path: Path):
    file = MetricsFile(tmp_path / "m.jsonl")
    file.write("epoch", epoch=1, test_accuracy=0.5, test_loss=math.inf)
    file.write("final", test_accuracy=0.5, input_shape=(1, 8, 8))
    assert [json.loads(line) for line in file.path.read_text().splitlines()] == read_metrics(file.path)
    assert read_metrics(file.path) == [
        {"event": "epoch", "epoch": 1, "test_accuracy": 0.5, "test_loss": None},
        {"event": "final", "test_accuracy": 0.5, "input_shape": [1, 8, 8]},
    ]


def test_a_cut_last_line_is_passed_over_and_another_is_not(tmp_path: Path):
    path = tmp_path / "m.jsonl"
    path.write_text('{"a": 1}\n{"a": 2}\n{"a"')
    assert read_metrics(path) == [{"a": 1}, {"a": 2}]
    path.write_text('{"a": 1}\n{"a"\n{"a": 2}\n')
    with pytest.raises(ValueError, match=r"line 2 is not a JSON object.*; mend or remove"):
        read_metrics(path)


class FullDisk(io.FileIO):
    """A file on a disk with room for ten bytes."""

    room = 10

    def write(self, data: Any) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = super().write(data[: self.room])
        self.room -= written
        return written


def test_metrics_on_a_full_disk(tmp_path: Path, monkeypatch):
    file = MetricsFile(tmp_path / "m")
    file.write("epoch", step=1)
    monkeypatch.setattr(metrics, "open", lambda path, mode, buffering: FullDisk(path, mode), raising=False)
    with pytest.raises(
        OSError, match=r"\[metrics\] cannot write .*m \(33 bytes\): No space left .* untouched; free some"
    ):
        file.write("epoch", step=2000)
    monkeypatch.undo()
    file.write("epoch", step=3)
    assert [record["step"] for record in read_metrics(file.path)] == [1, 3]


def test_a_file_is_written_anew(tmp_path: Path):
    file = MetricsFile(tmp_path / "m.jsonl")
    file.rewrite([])
    assert read_metrics(file.path) == []
    for step in (1, 5, 6):
        file.write("epoch", step=step)
    with open(file.path, "a") as cut:
        cut.write('{"event": "step", "st')
    file.rewrite([("epoch", {"step": 1, "loss": math.nan}), ("note", {"text": "é"})])
    assert read_metrics(file.path) == [{"event": "epoch", "step": 1, "loss": None}, {"event": "note", "text": "é"}]
    file.write("epoch", step=2)
    assert [record.get("step") for record in read_metrics(file.path)] == [1, None, 2]
    assert list(tmp_path.iterdir()) == [file.path]


def test_writing_anew_on_a_full_disk_keeps_the_old_file(tmp_path: Path, monkeypatch):
    file = MetricsFile(tmp_path / "m")
    file.path.write_text('{"step": 1}\n{"step": 2}\n')

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"\[metrics\] cannot write .*m \(30 bytes\): No space left .*; free some space"):
        file.rewrite([("epoch", {"step": 1})])
    assert len(read_metrics(file.path)) == 2 and list(tmp_path.iterdir()) == [file.path]


# -- who works in a folder ---------------------------------------------------------------------------------------------

HOLDER = """
import sys
from gradflow.train.rundir import lock_run
with lock_run(sys.argv[1]):
    print("has it", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("ends", ["in peace", "killed"])
def test_a_second_process_is_told_who_has_the_run(tmp_path: Path, ends: str):
    if ends == "killed" and not hasattr(signal, "SIGKILL"):
        pytest.skip("needs SIGKILL")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], **pipes) as holder:
        assert holder.stdout is not None and holder.stdin is not None
        assert holder.stdout.readline().strip() == b"has it"
        who = f"process {holder.pid} on {socket.gethostname()}"
        with (
            pytest.raises(RunLockedError, match=rf"{tmp_path} is in use by {who}; wait for it, stop it, or give"),
            lock_run(tmp_path),
        ):
            pytest.fail("both have it")
        (tmp_path / "lock.json").unlink()
        with pytest.raises(RunLockedError, match="is in use by another process"), lock_run(tmp_path):
            pytest.fail("both have it")
        if ends == "killed":
            holder.kill()
        else:
            holder.stdin.close()
        holder.wait(timeout=60)
    with lock_run(tmp_path):
        assert json.loads((tmp_path / "lock.json").read_text())["pid"] == os.getpid()
    assert [path.name for path in tmp_path.iterdir()] in ([], ["lock"])


def test_a_run_is_free_after_an_exception_and_locked_within_a_process_too(tmp_path: Path):
    with lock_run(tmp_path), pytest.raises(RunLockedError, match=f"process {os.getpid()} on"), lock_run(tmp_path):
        pytest.fail("both have it")
    with pytest.raises(KeyError), lock_run(tmp_path):
        raise KeyError
    with lock_run(tmp_path):
        pass


@pytest.mark.parametrize(
    "error, message",
    [
        (
            OSError(errno.EROFS, "Read-only file system"),
            "cannot write .*lock .*: Read-only file system; .* read-only: choose",
        ),
        (NotImplementedError(), "has no locks, so two runs there could mix; choose another folder"),
    ],
)
def test_folders_that_cannot_be_locked(tmp_path: Path, monkeypatch, error: Exception, message: str):
    def acquire(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(filelock.FileLock, "acquire", acquire)
    with pytest.raises(OSError, match=rf"\[train\] .*{message}"), lock_run(tmp_path):
        pytest.fail("it was not locked")


def test_a_lock_whose_holder_cannot_be_written_is_given_back(tmp_path: Path):
    (tmp_path / "lock.json").mkdir()
    with pytest.raises(OSError, match=r"\[train\] cannot write .*lock.json \(\d+ bytes\)"), lock_run(tmp_path):
        pytest.fail("nobody knows who has it")
    (tmp_path / "lock.json").rmdir()
    with lock_run(tmp_path):
        pass
