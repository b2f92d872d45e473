"""`gradflow verify-resume`: kill a training, take it up again, and compare what comes out bit for bit."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np

from ..backend import get_backend
from ..data import ImageData
from ..data.catalog import load_data
from ..tensor import Tensor
from ..train import CheckpointError, Checkpoints, Settings
from ..train.settings import AUTO, augmentations
from ..train.wording import labelled

TEST_IMAGES = 100
LOOKS = 0.001  # seconds between two looks at the folder of checkpoints
TIMES = frozenset({"seconds", "epoch_seconds", "images_per_second", "memory", "seconds_left"})
"""Parts of a training's state that no two runs have in common."""

CHECKPOINTS = "checkpoints"
WHOLE, KILLED = "whole", "killed"


@dataclass(frozen=True)
class Verdict:
    """What was compared, and what differs: paths in the state, with how much."""

    tensors: int
    others: int
    differing: tuple[str, ...]


def run(*, given: Mapping[str, Any], steps: int, kills: int, rng: random.Random | None = None) -> int:
    """Train in one go and with pauses; print and return 0 where that gives the same, 1 where it does not."""
    rng = rng or random.Random()
    settings = Settings(**given)
    place = get_backend(settings.device).device
    data = load_data(settings.data, settings.data_dir)
    with tempfile.TemporaryDirectory(prefix="gradflow-verify-") as name:
        folder = Path(name)
        short = shorten(settings, data, steps, folder)
        short.save(folder / "config.toml")
        total = (short.epochs or 1) * steps_an_epoch(short, data, steps)
        size = f"{total} steps of {(short.batch_size or 1) * short.accumulate} images"
        print(labelled("run", f"{short.model} on {settings.data}, {short.optimizer}, {size}, on {place}"), flush=True)
        _train(folder, WHOLE)
        pace = _pace(folder / WHOLE / CHECKPOINTS)
        moments = sorted(rng.sample(range(1, total), min(kills, total - 1)))
        stops = [step for step in moments if _kill(folder, step, rng.uniform(0, pace)) is not None]
        if not stops:
            raise RuntimeError("[verify] each time the run was over before it could be killed; give it more --steps")
        _train(folder, KILLED)
        print(labelled("killed", _killed(stops)))
        verdict = compare(*[Checkpoints(folder / name / CHECKPOINTS).load()[0] for name in (WHOLE, KILLED)])
    print(labelled("compared", f"{verdict.tensors} tensors and {verdict.others} other values of the last checkpoints"))
    if verdict.differing:
        print("they differ:")
        for line in verdict.differing[:5]:
            print(f"  {line}")
        if len(verdict.differing) > 5:
            print(f"  and {len(verdict.differing) - 5} more")
        return 1
    print("resumed runs are the same as one that was not stopped, bit for bit")
    return 0


def _killed(stops: Sequence[int]) -> str:
    """The moments in words."""
    listed = ", ".join(map(str, stops[:-1])) + " and " * (len(stops) > 1) + str(stops[-1])
    return f"soon after step{'s' * (len(stops) > 1)} {listed}, and taken up again"


# -- a short run -------------------------------------------------------------------------------------------------------


def steps_an_epoch(settings: Settings, data: ImageData, steps: int) -> int:
    """The steps of an epoch of the short run: half of those asked for, or as many as the images make."""
    images = (settings.batch_size or 1) * settings.accumulate
    return max(1, min(steps // 2, len(data.train) // images))


def shorten(settings: Settings, data: ImageData, steps: int, folder: Path) -> Settings:
    """The same training of a few steps: of some of the images, in a file, with a smaller last batch."""
    if settings.augment == AUTO:
        settings = replace(settings, augment=augmentations(data))  # the file's name will say nothing of its images
    settings = settings.suited(data)
    size, batch = steps_an_epoch(settings, data, steps), settings.batch_size or 1
    settings = replace(settings, epochs=steps // size, time_limit=None, save_every=0.0, keep=2)
    count = size * batch * settings.accumulate - batch // 2
    images, labels = data.train.__getitems__(np.arange(count))
    test = data.test.__getitems__(np.arange(min(TEST_IMAGES, len(data.test))))
    arrays = {"x_train": images, "y_train": labels, "x_test": test[0], "y_test": test[1]}
    arrays = {name: np.asarray(a).transpose(0, 2, 3, 1) if name[0] == "x" else a for name, a in arrays.items()}
    np.savez(folder / "images.npz", **arrays)
    return replace(settings, data=str(folder / "images.npz"), data_dir=None)


def _train(folder: Path, name: str) -> None:
    """Train, from the beginning or from what there is, to the end. RuntimeError with its error."""
    process = _start(folder, name)
    try:
        code = process.wait()
    finally:
        process.kill()
        process.wait()
    if code != 0:
        raise RuntimeError(_reason(folder, code))


def _pace(folder: Path) -> float:
    """The seconds between the last two checkpoints."""
    last, before = [path.stat().st_mtime for path in Checkpoints(folder).paths()]
    return max(0.0, last - before)


def _kill(folder: Path, step: int, later: float) -> int | None:
    """Train until a checkpoint of `step` is there and `later` seconds more, then kill it; None where it had ended."""
    process, code = _start(folder, KILLED), None
    try:
        while process.poll() is None and newest(folder / KILLED / CHECKPOINTS) < step:
            sleep(LOOKS)
        sleep(later)
        code = process.poll()
    finally:
        process.kill()
        process.wait()
    if code:
        raise RuntimeError(_reason(folder, code))
    return step if code is None else None


def newest(folder: Path) -> int:
    """The step of the newest checkpoint in a folder, 0 where there is none."""
    paths = Checkpoints(folder).paths()
    return int(paths[0].stem.partition("-")[2]) if paths else 0


def _start(folder: Path, name: str) -> subprocess.Popen[bytes]:
    """A process that trains in `folder`/name; what it prints goes to files."""
    begun = (folder / name).exists()
    words = ["--resume", str(folder / name)] if begun else ["--config", str(folder / "config.toml"), "--name", name]
    command = [sys.executable, "-m", "gradflow.cli", "train", *words, "--out", str(folder), "--json"]
    root = str(Path(__file__).parents[2])
    paths = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    with open(folder / "out", "wb") as out, open(folder / "errors", "wb") as errors:
        return subprocess.Popen(command, stdout=out, stderr=errors, env={**os.environ, "PYTHONPATH": paths})


def _reason(folder: Path, code: int) -> str:
    """What a process that failed said last."""
    lines = (folder / "errors").read_text(encoding="utf-8", errors="replace").splitlines()
    last = lines[-1].removeprefix("error: ") if lines else f"nothing, and exit code {code}"
    return f"[verify] the training failed: {last}"


# -- what came of it ---------------------------------------------------------------------------------------------------


def compare(first: Any, second: Any) -> Verdict:
    """Compare the states of two trainings, but for the times in them, each value bit for bit."""
    ours, theirs = dict(leaves(first)), dict(leaves(second))
    tensors = [path for path, value in ours.items() if _is_array(value)]
    differing = [f"{path}, which only one of them has" for path in sorted(set(ours) ^ set(theirs))]
    for path, value in ours.items():
        if path in theirs:
            found = _difference(value, theirs[path])
            if found:
                differing.append(f"{path}: {found}")
    if not tensors:
        raise CheckpointError("[verify] there is no tensor in the checkpoints")
    return Verdict(len(tensors), len(ours) - len(tensors), tuple(differing))


def leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(path, value) of all that is in nested dicts, lists and tuples, but for times."""
    if isinstance(tree, Mapping):
        for name, value in tree.items():
            if name not in TIMES or not isinstance(value, (int, float, type(None))):
                yield from leaves(value, f"{path}.{name}" if path else str(name))
    elif isinstance(tree, (list, tuple)):
        for i, value in enumerate(tree):
            yield from leaves(value, f"{path}[{i}]")
    else:
        yield path, tree


def _is_array(value: Any) -> bool:
    return isinstance(value, (Tensor, np.ndarray))


def _difference(one: Any, two: Any) -> str | None:
    """How two values differ, None where they do not in any bit."""
    if not (_is_array(one) and _is_array(two)):
        return None if type(one) is type(two) and repr(one) == repr(two) else f"{one!r} and {two!r}"
    a, b = [np.ascontiguousarray(x.cpu().numpy() if isinstance(x, Tensor) else x) for x in (one, two)]
    if (a.shape, a.dtype) != (b.shape, b.dtype):
        return f"{a.dtype} {a.shape} and {b.dtype} {b.shape}"
    if a.tobytes() == b.tobytes():
        return None
    with np.errstate(all="ignore"):
        gaps = np.abs(a.astype(np.float64) - b.astype(np.float64))
    unequal = int((a.view(np.uint8).reshape(a.size, -1) != b.view(np.uint8).reshape(a.size, -1)).any(1).sum())
    return f"{unequal:,} of {a.size:,} values differ, by up to {float(np.nanmax(gaps, initial=0.0)):.3g}"
