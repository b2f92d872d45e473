"""`gradflow runs`: the runs in a folder, some of them side by side, and the best."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..train import CheckpointError, Checkpoints, load_settings, read_metrics
from ..train.checkpoint import load_about
from ..train.progress import jsonable
from ..train.run import BEST, CONFIG, METRICS, WEIGHTS
from ..train.rundir import is_locked
from ..train.settings import checked
from ..train.wording import aligned, duration, percent, visible
from .names import run_names
from .train import command, find_run, named

RUNNING, FINISHED, STOPPED, BROKEN, FOREIGN = "running", "finished", "stopped", "broken", "no run"
TRACES = (CONFIG, METRICS, WEIGHTS, BEST, "checkpoints")  # what is in the folder of a run


@dataclass(frozen=True)
class Run:
    """What the files of a run tell of it; None where they do not.

    `problem` is why it is broken. `test_accuracy` and `test_loss` are those of the weights that it kept at its end,
    `best_accuracy` the highest of any epoch.
    """

    name: str
    folder: Path
    state: str
    problem: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    epochs: int = 0
    seconds: float | None = None
    train_loss: float | None = None
    test_loss: float | None = None
    test_accuracy: float | None = None
    best_accuracy: float | None = None
    images_per_second: float | None = None


def look(folder: Path) -> Run:
    """Read what a folder holds of a run, whatever it is."""
    name = folder.name
    try:
        if not folder.is_dir() or not any([(folder / trace).exists() for trace in TRACES]):
            return Run(name, folder, FOREIGN, "there is nothing of a run in it")
        return _look(folder)
    except (OSError, ValueError) as error:
        return Run(name, folder, BROKEN, " ".join(str(error).split()))


def _look(folder: Path) -> Run:
    metrics = folder / METRICS
    records = read_metrics(metrics) if metrics.exists() else []
    epochs = [record for record in records if record.get("event") == "epoch"]
    final = records[-1] if records and records[-1].get("event") == "final" else {}
    last = epochs[-1] if epochs else {}
    state = RUNNING if is_locked(folder) else FINISHED if final.get("finished") is True else STOPPED
    tested = [a for a in [_number(record, "test_accuracy") for record in epochs] if a is not None]
    spent = [_number(record, "seconds") or 0.0 for record in epochs]
    speeds = [s for s in [_number(record, "images_per_second") for record in epochs] if s is not None]
    return Run(
        name=folder.name,
        folder=folder,
        state=state,
        settings=_settings(folder),
        epochs=len(epochs),
        seconds=_number(final, "seconds") if final else sum(spent) if epochs else None,
        train_loss=_number(last, "train_loss"),
        test_loss=_number(final, "test_loss") if final else _number(last, "test_loss"),
        test_accuracy=_number(final, "test_accuracy"),
        best_accuracy=max(tested, default=_number(final, "test_accuracy")),
        images_per_second=sum(speeds) / len(speeds) if speeds else None,
    )


def _settings(folder: Path) -> dict[str, Any]:
    """What the run was made with at last: its newest file says it, before the first there is only the config."""
    files = [folder / WEIGHTS, *Checkpoints(folder / "checkpoints").paths()[:1]]
    for file in sorted(files, key=_written, reverse=True):
        try:
            return checked(load_about(file)["settings"], str(file))
        except (CheckpointError, KeyError, AttributeError):
            continue  # there is none, or it is damaged, which is for those who use it
    return load_settings(folder / CONFIG) if (folder / CONFIG).exists() else {}


def _written(file: Path) -> float:
    """When a file was written; one that is not there, or no longer, long ago."""
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0


def _number(record: Mapping[str, Any], name: str) -> float | None:
    value = record.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


# -- the list ----------------------------------------------------------------------------------------------------------

KEYS: dict[str, Callable[[Run], float | str]] = {
    "accuracy": lambda run: -(run.best_accuracy if run.best_accuracy is not None else -1.0),
    "time": lambda run: run.seconds if run.seconds is not None else math.inf,
    "loss": lambda run: run.test_loss if run.test_loss is not None else math.inf,
    "name": lambda run: run.name,
}


def run_list(*, out: Path, sort: str, as_json: bool) -> int:
    """List the runs in a folder; 0."""
    found = sorted(_all(out), key=KEYS[sort])  # type: ignore[arg-type]
    if as_json:
        print(json.dumps([_facts(run) for run in found], indent=1, allow_nan=False))
        return 0
    if not found:
        print(f"there are no runs in {out}; make one with {command('train')}")
        return 0
    rows: list[tuple[str, ...]] = [("run", "state", "best", "test", "epochs", "time", "model", "data")]
    rows += [_row(run) for run in found]
    print("\n".join(aligned(rows, right=(2, 3, 4, 5))))
    for run in found:
        if run.problem:
            print(f"{visible(run.name)}: {visible(run.problem)}")
    return 0


def _all(out: Path) -> list[Run]:
    if out.exists() and not out.is_dir():
        raise NotADirectoryError(f"[runs] {out} is a file, not a folder of runs")
    return [look(out / name) for name in run_names(out)]


def _row(run: Run) -> tuple[str, ...]:
    known = run.settings
    planned = f"/{known['epochs']}" if "epochs" in known else ""
    width = f" {known['width']}" if "width" in known else ""
    usual = "cnn" if known else ""
    return (
        visible(run.name),
        run.state,
        *[percent(share) if share is not None else "" for share in (run.best_accuracy, run.test_accuracy)],
        f"{run.epochs}{planned}" if known else "",
        duration(run.seconds) if run.seconds is not None else "",
        f"{Path(known.get('model', usual)).name}{width}",  # of paths the end will do here
        Path(known.get("data", "digits" if known else "")).name,
    )


def _facts(run: Run) -> dict[str, Any]:
    return dict(jsonable(asdict(run)))


# -- some of them side by side -----------------------------------------------------------------------------------------

METRIC_ROWS: dict[str, Callable[[Run], str]] = {
    "state": lambda run: run.state,
    "epochs done": lambda run: str(run.epochs),
    "best accuracy": lambda run: _text(run.best_accuracy, percent),
    "test accuracy": lambda run: _text(run.test_accuracy, percent),
    "test loss": lambda run: _text(run.test_loss, "{:.4f}".format),
    "train loss": lambda run: _text(run.train_loss, "{:.4f}".format),
    "time": lambda run: _text(run.seconds, duration),
    "images/s": lambda run: _text(run.images_per_second, "{:,.0f}".format),
}


def _text(value: float | None, write: Callable[[float], str]) -> str:
    return "" if value is None else write(value)


def run_compare(runs: Sequence[str], *, out: Path, as_json: bool) -> int:
    """Show in which settings runs differ, and their metrics, side by side; 0."""
    found = [look(find_run(text, out)) for text in runs]
    for run in found:
        if run.problem:
            raise ValueError(f"[runs] {run.folder} cannot be compared: {run.problem}")
    names = list(dict.fromkeys([name for run in found for name in run.settings]))
    differing = [name for name in names if len({repr(run.settings.get(name)) for run in found}) > 1]
    if as_json:
        settings = {name: [run.settings.get(name) for run in found] for name in differing}
        print(json.dumps(jsonable({"runs": [_facts(run) for run in found], "differing": settings}), indent=1))
        return 0
    rows = [["", *[visible(run.name) for run in found]]]
    rows += [[name, *[_setting(run.settings.get(name)) for run in found]] for name in differing]
    same = len(names) - len(differing)
    rows += [[name, *[write(run) for run in found]] for name, write in METRIC_ROWS.items()]
    lines = aligned(rows)
    lines.insert(1 + len(differing), "")
    print("\n".join(lines))
    print(f"\n{same} of {len(names)} settings are the same")
    return 0


def _setting(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ",".join([str(v) for v in value]) or "none"
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


# -- the best ----------------------------------------------------------------------------------------------------------


def run_best(*, out: Path, as_json: bool) -> int:
    """Name the finished run with the highest test accuracy for each data set, and how it is used; 0."""
    tops: dict[str, Run] = {}
    for run in _all(out):
        data = str(run.settings.get("data", "digits"))
        usable = run.state == FINISHED and run.test_accuracy is not None and (run.folder / WEIGHTS).is_file()
        if usable and (data not in tops or (run.test_accuracy or 0) > (tops[data].test_accuracy or 0)):
            tops[data] = run
    if as_json:
        print(json.dumps({data: _facts(run) for data, run in tops.items()}, indent=1, allow_nan=False))
        return 0
    if not tops:
        raise FileNotFoundError(f"[runs] there is no finished run in {out}")
    for data, run in sorted(tops.items()):
        print(f"{data}: {visible(run.name)}, test accuracy {percent(run.test_accuracy or 0.0)}")
        print(f"  {command('eval', named(run.folder))}")
        print(f"  {command('predict', named(run.folder))} IMAGE")
    return 0
