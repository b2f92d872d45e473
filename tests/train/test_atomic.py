"""Whatever happens while a file is written, the file before it stays whole: real kills, real limits, failing disks."""

from __future__ import annotations

import errno
import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradflow as gf
from gradflow.train import atomic
from gradflow.train.checkpoint import CheckpointError, Checkpoints, load_weights, save_weights

posix = pytest.mark.skipif(os.name != "posix", reason="needs signals, limits and users of POSIX")


def weights(value: float) -> dict[str, gf.Tensor]:
    return {"a": gf.full((1000,), value)}


def value(path: Path) -> float:
    return load_weights(path)[0]["a"][0].item()


# -- killed ------------------------------------------------------------------------------------------------------------

# Forks a child for each line "FUNCTION CALL FOLDER" it reads, and says its number and, when it is dead, so. The child
# saves steps as fast as it can and says which it has saved; it kills itself in that call of that function, if given.
SAVER = """
import os, signal, sys
from itertools import count
from pathlib import Path
import numpy as np
from gradflow.train.checkpoint import Checkpoints

def deadly(place, name, call):
    calls, real = count(1), getattr(place, name)
    def function(*arguments, **options):
        if next(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)
    setattr(place, name, function)

for line in sys.stdin:
    name, call, folder = line.split()
    if not (child := os.fork()):
        kept = Checkpoints(folder, keep=2)
        step = kept.load()[0]["step"] if kept.paths() else 0
        deadly({"unlink": Path}.get(name, os), name, int(call))
        while True:
            step += 1
            kept.save(step, {"step": step, "x": np.full(100_000, step)})
            print("saved", step, flush=True)
    print("child", child, flush=True)
    os.waitpid(child, 0)
    print("dead", child, flush=True)
"""


class Saver:
    """A process that forks children that save until they are killed."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", SAVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(self, folder: Path, function: str = "fsync", call: int = 0) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{function} {call} {folder}\n")
        self.process.stdin.flush()

    def said(self) -> Iterator[tuple[str, int]]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            word, number = line.split()
            yield word, int(number)
            if word == "dead":
                return

    def close(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        assert self.process.wait(timeout=60) == 0


@pytest.fixture(scope="module")
def saver() -> Iterator[Saver]:
    saver = Saver()
    yield saver
    saver.close()


def check(folder: Path, saved: int) -> int:
    """The newest of the checkpoints, all of which are whole; `saved` is known to be there."""
    kept = Checkpoints(folder)
    steps = []
    for path in kept.paths():
        step = int(path.stem.split("-")[1])
        state, _, _ = kept.load(step)
        assert state["step"] == step and np.array_equal(state["x"], np.full(100_000, step))
        steps.append(step)
    assert steps[0] in (saved, saved + 1) and len(steps) <= 3
    return steps[0]


@posix
def test_killed_at_random_moments_while_saving(tmp_path: Path, saver: Saver):
    rng = np.random.default_rng(0)
    newest = 0
    for _ in range(10):
        saver.start(tmp_path)
        child, saved, until = 0, newest, newest + int(rng.integers(1, 6))
        for word, number in saver.said():
            if word == "child":
                child = number
            elif word == "saved":
                saved = number
            if saved == until:
                until = -1
                time.sleep(rng.random() * 0.01)  # somewhere in the save that follows, or the next
                os.kill(child, signal.SIGKILL)
        newest = check(tmp_path, saved)
    Checkpoints(tmp_path).save(newest + 1, {})
    assert len(list(tmp_path.iterdir())) == 2  # what the kills left behind is gone


@posix
@pytest.mark.parametrize(
    "function, call, newest, left",
    [
        ("fsync", 1, 4, 3),  # written, not flushed
        ("replace", 1, 4, 3),  # flushed, not renamed
        ("fsync", 2, 5, 3),  # renamed, the folder not flushed, the old one not removed
        ("unlink", 1, 5, 3),  # about to remove the old one
        ("unlink", 2, 6, 3),  # the next time
        ("fsync", 3, 5, 3),  # while writing the next
    ],
)  # fmt: skip
def test_killed_at_every_step_of_a_save(tmp_path: Path, saver: Saver, function: str, call: int, newest: int, left: int):
    for step in (3, 4):
        Checkpoints(tmp_path).save(step, {"step": step, "x": np.full(100_000, step)})
    saver.start(tmp_path, function, call)
    assert [word for word, _ in saver.said()][-1] == "dead"
    assert check(tmp_path, newest) == newest
    assert len(list(tmp_path.iterdir())) == left
    Checkpoints(tmp_path).save(newest + 1, {})
    assert len(list(tmp_path.iterdir())) == 2


@posix
def test_the_file_of_a_process_that_still_writes_is_not_removed(tmp_path: Path):
    path = tmp_path / "w"
    with atomic.replacing(path) as file:
        file.write(b"first")
        stale = tmp_path / ".w.0123abcd.tmp"
        stale.write_bytes(b"of a dead process")
        (tmp_path / ".w.mine.tmp").touch()
        atomic.write_atomically(path, b"second")
        assert not stale.exists() and path.read_bytes() == b"second"
    assert path.read_bytes() == b"first"
    assert sorted(p.name for p in tmp_path.iterdir()) == [".w.mine.tmp", "w"]


# -- failing disks -----------------------------------------------------------------------------------------------------


class FullDisk(io.FileIO):
    """A file on a disk with room for ten bytes."""

    number = errno.ENOSPC

    def write(self, data: Any) -> int:
        super().write(bytes(data[:10]))
        raise OSError(self.number, os.strerror(self.number))


def failing(number: int) -> Callable[..., Any]:
    def function(*arguments: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    return function


CURES = {
    errno.ENOSPC: r"free some space \([\d,]+ bytes are free\) or choose another folder",
    errno.EFBIG: "the file system takes no file so large: choose another folder",
    errno.EROFS: "the file system is read-only: choose another folder",
    errno.EACCES: "may not be written by this user: change that or choose another folder",
    errno.EIO: "the disk or the way to it fails: choose a folder on another",
    getattr(errno, "EDQUOT", errno.EIO): "remove files of yours|the disk or the way to it",
    errno.ENOTSUP: "choose another folder",
}


@pytest.mark.parametrize("number", CURES)
@pytest.mark.parametrize("where", ["open", "write", "fsync", "replace"])
@pytest.mark.parametrize("earlier", [True, False])
def test_a_disk_that_fails(tmp_path: Path, monkeypatch, earlier: bool, where: str, number: int):
    path = tmp_path / "w"
    if earlier:
        save_weights(path, weights(1.0))
    if where == "write":
        monkeypatch.setattr(FullDisk, "number", number)
        monkeypatch.setattr(atomic, "open", FullDisk, raising=False)
    elif where == "open":
        monkeypatch.setattr(atomic, "open", failing(number), raising=False)
    else:
        monkeypatch.setattr(atomic.os, where, failing(number))
    kept = "the file there before is untouched" if earlier else "nothing was left behind"
    with pytest.raises(CheckpointError, match=rf"cannot write {path} \(4,[\d]+ bytes\): [^;]+; {kept}; ") as caught:
        save_weights(path, weights(2.0))
    assert caught.value.errno == number and re.search(CURES[number], str(caught.value))
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == ([path] if earlier else [])
    assert not earlier or value(path) == 1.0
    save_weights(path, weights(2.0))
    assert value(path) == 2.0


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_an_interrupt_leaves_nothing_behind(tmp_path: Path, monkeypatch, function: str):
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(atomic.os, function, interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_weights(tmp_path / "w", weights(1.0))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there(tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"No such file or directory; nothing was left .*; make the folder first"):
        save_weights(tmp_path / "no" / "w", weights(1.0))
    (tmp_path / "w").mkdir()
    with pytest.raises(CheckpointError, match=r"a folder stands where the file belongs|choose another"):
        save_weights(tmp_path / "w", weights(1.0))
    assert [p.name for p in tmp_path.iterdir()] == ["w"]


@posix
def test_a_folder_that_cannot_be_flushed_is_told(tmp_path: Path, monkeypatch, caplog):
    real = os.fsync
    monkeypatch.setattr(
        atomic.os, "fsync", lambda d: failing(errno.EIO)() if os.path.isdir(f"/proc/self/fd/{d}") else real(d)
    )
    save_weights(tmp_path / "w", weights(1.0))
    assert value(tmp_path / "w") == 1.0
    assert ("may not outlast a power cut" in caplog.text) == Path("/proc/self/fd").exists()


def test_an_old_one_that_cannot_be_removed_is_told(tmp_path: Path, monkeypatch, caplog):
    kept = Checkpoints(tmp_path, keep=1)
    kept.save(1, {})
    monkeypatch.setattr(Path, "unlink", failing(errno.EACCES))
    path = kept.save(2, {"step": 2})
    monkeypatch.undo()
    assert kept.load() == ({"step": 2}, {}, path)
    assert re.search(rf"saved {path}, but cannot remove .*step-00000001.*: Permission denied", caplog.text)


# -- real limits -------------------------------------------------------------------------------------------------------

# Says what came of saving more than a file may hold, or into a folder that may not be written, and what is still there.
LIMITED = """
import os, resource, sys
from pathlib import Path
import numpy as np
from gradflow.train.checkpoint import Checkpoints
from gradflow.train.metrics import MetricsFile, read_metrics
from gradflow.train.rundir import lock_run

def lock():
    with lock_run("."):
        pass

os.chdir(sys.argv[2])
lock()  # loads all it needs now: another user may not be let to where the packages are
kept, metrics = Checkpoints("."), MetricsFile("m.jsonl")
kept.save(1, {"x": np.ones(100)})
metrics.write("epoch", step=1)
if sys.argv[1] == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
else:
    Path("lock").unlink(missing_ok=True)
    os.chmod(".", 0o555)
    if os.getuid() == 0:
        os.setgroups([])
        os.setuid(65534)
for work in (
    lambda: kept.save(2, {"x": np.ones(100_000)}),
    lambda: metrics.write("epoch", long="x" * 30_000),
    lock,
):
    try:
        work()
        print("done")
    except OSError as error:
        print(error)
print(kept.load()[2], read_metrics("m.jsonl"), sorted(os.listdir(".")))
"""


def limited(kind: str, folder: Path) -> list[str]:
    run = [sys.executable, "-c", LIMITED, kind, str(folder)]
    return subprocess.run(run, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()


@posix
def test_a_limit_on_the_size_of_files(tmp_path: Path):
    cure = "this process may write files of 20,000 bytes at most: raise that with ulimit -f"
    new, line, lock, left = limited("limit", tmp_path)
    assert re.fullmatch(
        r"\[checkpoint\] cannot write step-00000002.safetensors \(800,\d+ bytes\): File too large; "
        f"nothing was left behind; {cure}", new
    )  # fmt: skip
    assert re.fullmatch(
        r"\[metrics\] cannot write m.jsonl \(30,\d+ bytes\): File too large; the file there before is untouched; "
        + cure,
        line,
    )
    assert lock == "done"
    files = left.replace("'lock', ", "")  # some versions of filelock leave it, some not
    assert files == "step-00000001.safetensors [{'event': 'epoch', 'step': 1}] ['m.jsonl', 'step-00000001.safetensors']"


@posix
def test_a_read_only_folder(tmp_path: Path):
    cure = "the folder or file may not be written by this user: change that or choose another folder"
    new, line, lock, left = limited("read-only", tmp_path)
    assert re.fullmatch(
        rf"\[checkpoint\] cannot write step-.*: Permission denied; nothing was left behind; {cure}", new
    )
    assert re.fullmatch(rf"\[train\] cannot write lock .*: Permission denied; nothing was left behind; {cure}", lock)
    if os.getuid() == 0:  # else the file is still ours, and open to us
        assert re.fullmatch(rf"\[metrics\] .*: Permission denied; the file there before is untouched; {cure}", line)
    assert left.startswith("step-00000001.safetensors [{'event': 'epoch', 'step': 1}")
    os.chmod(tmp_path, 0o755)
