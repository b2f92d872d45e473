"""`gradflow train`: begin a run or go on with one, and say where its results are."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data.catalog import SOURCES, find_files, locate
from ..models.files import is_file_spec, whole_spec
from ..train import CheckpointError, Checkpoints, Outcome, Settings, load_settings, make_run_dir, open_display, train
from ..train.account import epochs_text
from ..train.progress import Display
from ..train.run import BEST, CONFIG, METRICS, TIME_IS_UP, WEIGHTS, Saved
from ..train.rundir import HOLDER, LOCK
from ..train.settings import checked
from ..train.wording import labelled, percent
from .errors import describe
from .interrupt import StopRequest
from .names import OUT, run_names


@dataclass(frozen=True)
class Start:
    """What a run begins with: `saved`, a checkpoint's state and what is said about it, where it is taken up."""

    settings: Settings
    folder: Path
    saved: Saved | None = None
    fresh: bool = False


def run(
    *,
    given: Mapping[str, Any],
    config: Path | None = None,
    resume: str | None = None,
    from_previous: bool = False,
    out: Path = OUT,
    name: str | None = None,
    mode: str = "auto",
) -> int:
    """Train with the settings that are `given`, over those of a config or of a run; 0, or 130 or 143 where a signal
    ended it early. `mode` is one of `open_display`."""
    display = open_display(mode)
    with _told(display), StopRequest() as stop:
        start = (
            _begin(given, config, out, name) if resume is None else _again(resume, given, out, from_previous, display)
        )
        if mode == "quiet" and start.settings.data in SOURCES:  # what train would download, it would show
            find_files(SOURCES[start.settings.data], start.settings.data_dir, progress=False)
        with _nothing_left(start.folder) if start.fresh else nullcontext():
            outcome = train(
                start.settings,
                start.folder,
                display,
                device=start.settings.device,
                resume=start.saved,
                stop_asked=stop.asked,
            )
    trained = start.saved is None or outcome.steps > start.saved[0]["progress"]["step"]
    if mode == "json":
        display.final(_facts(outcome))
    else:
        _print_outcome(outcome, display, trained)
    return 0 if outcome.stopped is None else stop.code


@contextmanager
def _told(display: Display) -> Iterator[None]:
    """Tell an error to programs that read events, too."""
    try:
        yield
    except BrokenPipeError:
        raise
    except Exception as error:
        display.error(describe(error))
        raise


# -- how a run starts --------------------------------------------------------------------------------------------------


def _begin(given: Mapping[str, Any], config: Path | None, out: Path, name: str | None) -> Start:
    """A new run in a folder of its own."""
    settings = Settings(**whole({**(load_settings(config) if config is not None else {}), **given}))
    data = settings.data if settings.data in SOURCES else Path(settings.data).resolve().stem or "run"
    return Start(settings, make_run_dir(out, default=data, name=name), fresh=True)


def _again(resume: str, given: Mapping[str, Any], out: Path, from_previous: bool, display: Display) -> Start:
    """A run that there is, from its newest checkpoint; from the beginning where it was stopped before the first one."""
    folder = find_run(resume, out)
    if not folder.is_dir():
        raise CheckpointError(f"[train] {folder} is a file; --resume takes the name or the folder of a run")
    checkpoints = Checkpoints(folder / "checkpoints")
    paths = checkpoints.paths()
    if not paths:
        _check_restart(folder)
        display.warn(f"{folder} has no checkpoint yet: the run starts from the beginning")
        return Start(Settings(**{**load_settings(folder / CONFIG), **whole(given)}), folder)
    try:
        state, about, path = checkpoints.load(fallback=from_previous)
    except CheckpointError as error:
        if from_previous or len(paths) == 1:
            raise
        reason = error.__cause__ or error
        raise CheckpointError(f"{reason}; --from-previous goes on from the one before it, {paths[1]}") from error
    before = checked(about["settings"], str(path))
    return Start(Settings(**{**before, **whole(given)}), folder, (state, about))


def whole(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings whose paths are whole ones, so that a run can be used from any folder."""
    found = dict(values)
    if is_file_spec(found.get("model", "")):
        found["model"] = whole_spec(found["model"])
    for name in ("data", "data_dir"):
        if found.get(name) is not None and not (name == "data" and found[name] in SOURCES):
            found[name] = str(Path(found[name]).expanduser().resolve())
    return found


def _check_restart(folder: Path) -> None:
    """Raise where a folder without checkpoints is none of a run that has just begun."""
    if not (folder / CONFIG).is_file():
        raise CheckpointError(f"[train] {folder} is not the folder of a run: it has no checkpoints and no {CONFIG}")
    if (folder / WEIGHTS).exists():
        raise CheckpointError(
            f"[train] {folder} has weights but no checkpoints to go on from; "
            f"begin it anew with {command('train', '--config', folder / CONFIG)}"
        )


def find_run(text: str, out: Path) -> Path:
    """The run that is meant by a path or by its name in a folder of runs. FileNotFoundError where there is none."""
    for path in (out / text, Path(text).expanduser()):
        if path.exists():
            return path
    names = ", ".join(run_names(out)) or "none"
    raise FileNotFoundError(f"[train] there is no run {text!r}, neither in {out} (runs there: {names}) nor as a path")


@contextmanager
def _nothing_left(folder: Path) -> Iterator[None]:
    """Remove the folder of a run that failed before it had anything to keep."""
    try:
        yield
    except BaseException:
        if not any([(folder / name).exists() for name in (WEIGHTS, BEST, METRICS)]):
            with suppress(OSError):  # where something else is in it, it stays
                if (folder / "checkpoints").exists():
                    (folder / "checkpoints").rmdir()
                for name in (CONFIG, HOLDER, LOCK):
                    (folder / name).unlink(missing_ok=True)
                folder.rmdir()
        raise


# -- how it ended ------------------------------------------------------------------------------------------------------


def _print_outcome(outcome: Outcome, display: Display, trained: bool) -> None:
    """The table of epochs and the last lines: where things are, and what to do next."""
    if trained:
        display.table(outcome.history)
    epochs = epochs_text(len(outcome.history))
    if outcome.stopped is not None:
        planned = f" of {epochs_text(outcome.settings.epochs)}" if outcome.settings.epochs else ""
        done = f"{len(outcome.history)}{planned}" if planned else epochs
        lines = [("stopped", f"by {outcome.stopped} after {done}; everything is saved")]
    elif trained:
        early = f", then {outcome.ended}" if outcome.ended else ""
        lines = [("trained", f"{epochs} in {outcome.seconds:.1f} s{early}")]
    else:
        lines = [("finished", f"{epochs} in {outcome.seconds:.1f} s; there was nothing left to do")]
    lines += [("weights", str(outcome.weights)), ("metrics", str(outcome.metrics))]
    lines.append(("next", _next_command(outcome, trained)))
    for label, text in lines:
        display.line(labelled(label, text))
    if outcome.test is not None:
        display.line(f"test accuracy {percent(outcome.test.accuracy)}")


def _facts(outcome: Outcome) -> dict[str, Any]:
    """An outcome, as JSON has it."""
    return {
        "run": outcome.folder.name,
        "folder": outcome.folder,
        "weights": outcome.weights,
        "metrics": outcome.metrics,
        "epochs": len(outcome.history),
        "steps": outcome.steps,
        "seconds": outcome.seconds,
        "test_loss": outcome.test.loss if outcome.test else None,
        "test_accuracy": outcome.test.accuracy if outcome.test else None,
        "ended": outcome.ended,
        "stopped": outcome.stopped,
        "next": _next_command(outcome, True),
    }


def _next_command(outcome: Outcome, trained: bool) -> str:
    """What to do next: go on, where it has not ended or not just now; or try the larger data, or look closer."""
    resume = ("train", "--resume", named(outcome.folder))
    if outcome.stopped is not None:
        return command(*resume)
    if not trained:
        return command(*resume, *_longer(outcome))
    if outcome.settings.data == "digits" and locate(SOURCES["fashion-mnist"]) is not None:
        return command("train", "--data", "fashion-mnist")
    return command("eval", named(outcome.folder))


def _longer(outcome: Outcome) -> tuple[str, ...]:
    """The option that lets a finished run go on."""
    settings = outcome.settings
    if outcome.ended == TIME_IS_UP and settings.time_limit is not None:
        return ("--time-limit", f"{2 * settings.time_limit:g}s")
    if settings.epochs is not None and len(outcome.history) >= settings.epochs:
        return ("--epochs", str(2 * settings.epochs))
    return ("--patience", "0")


def named(folder: Path) -> str:
    """A run on a command line: its name, where it is in the usual folder of runs, or else its folder."""
    return folder.name if folder.parent == OUT and folder.name[0] != "-" else str(folder)


def command(*words: object) -> str:
    """What to type."""
    return shlex.join(["gradflow", *map(str, words)])
