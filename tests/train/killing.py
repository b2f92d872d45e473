"""A program that kills a training process again and again, and lets the last one end. See test_kill.py.

Each life of the training is a fork of this process, which has imported everything, so that a life costs no start.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

from gradflow.train import Settings, load_weights, read_metrics, train
from gradflow.train.checkpoint import Checkpoints
from gradflow.train.progress import Display

POINTS = ("fsync", "replace", "unlink")  # calls of which a save is made, after its file is written
SETTINGS = Settings(
    epochs=8, batch_size=32, width=2, ema=0.9, optimizer="adam", validation=0.6, save_every=0.0, augment=("shift=1",)
)


def live(folder: Path, moment: tuple[str, int, bool] | None) -> None:
    """Train, taking up what is there; SIGKILL at the n-th call of one of POINTS, before or after it, if asked to."""
    if moment is not None:
        name, count, after = moment
        calls, original = [0], getattr(os, name)

        def counted(*arguments: Any, **options: Any) -> Any:
            calls[0] += 1
            if calls[0] < count:
                return original(*arguments, **options)
            if after:
                original(*arguments, **options)
            os.kill(os.getpid(), signal.SIGKILL)

        setattr(os, name, counted)
    checkpoints = Checkpoints(folder / "checkpoints")
    resume = checkpoints.load()[:2] if checkpoints.paths() else None
    train(SETTINGS, folder, Display(), device="cpu", resume=resume)


def life(folder: Path, moment: tuple[str, int, bool] | None, seconds: float | None) -> int:
    """The status of a life, which ends after so many seconds at the latest."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            live(folder, moment)
            code = 0
        finally:
            os._exit(code)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def outcome(folder: Path) -> dict[str, Any]:
    """What a finished run has left, in what must not depend on how often it was killed."""
    files = {name: load_weights(folder / f"{name}.safetensors") for name in ("weights", "best")}
    about = files["weights"][1]
    records = read_metrics(folder / "metrics.jsonl")
    return {
        "weights": {f"{file} {k}": v.numpy().tobytes() for file, (state, _) in files.items() for k, v in state.items()},
        "reached": [about["step"], about["test"]],
        "scores": [[r["event"], r["step"], r.get("test_accuracy"), r.get("train_loss")] for r in records],
        "temporary files": [path.name for path in folder.rglob("*.tmp")],
    }


def main(root: Path, kills: int, seed: int) -> None:
    """Print, as JSON, how the lives ended, where they got to, and which runs are not as an uninterrupted one."""
    whole = root / "whole"
    whole.mkdir()
    start = time.perf_counter()
    assert life(whole, None, None) == 0
    usual, wanted = time.perf_counter() - start, outcome(whole)
    rng = random.Random(seed)
    ends: list[int] = []
    reached, different, runs = set(), [], 0
    while True:
        folder = root / f"killed-{runs}"
        folder.mkdir(exist_ok=True)
        # Every other one within a save; the rest at any time, most of which is spent in steps and saves.
        within = len(ends) % 2 == 1
        moment = (rng.choice(POINTS), rng.randint(1, 20), rng.random() < 0.5) if within else None
        over = ends.count(-signal.SIGKILL) >= kills
        ends.append(life(folder, None if over else moment, None if over or within else rng.uniform(0, 0.15 * usual)))
        paths = Checkpoints(folder / "checkpoints").paths()
        reached.add((runs, paths[0].name if paths else ""))
        if ends[-1] == 0:  # this run is finished: the next life begins another
            found = outcome(folder)
            different += [f"{folder.name}: {name}" for name in wanted if found[name] != wanted[name]]
            runs += 1
        if over:
            break
    told = {"ends": ends, "places": len(reached), "different": different, "runs": runs}
    print(json.dumps({**told, "step": wanted["reached"][0]}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
