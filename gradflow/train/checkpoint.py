"""Weights and training checkpoints: safetensors files with JSON in their header, and the folder of a run's latest.

A file holds, beside its arrays, one JSON text under the key "gradflow": the version of this layout, whether it is of
weights or a checkpoint, the version of gradflow that wrote it, what was said about it, and how the state is nested.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ..backend import DeviceLike
from ..creation import as_tensor
from ..tensor import Tensor
from ..version import __version__
from .atomic import remove_stale, write_atomically
from .packing import on_host, pack, unpack
from .tensorfile import DIGEST, CheckpointError, read_metadata, read_tensors, write_tensors

KEY = "gradflow"
FORMAT = 1  # goes up when an older gradflow could not read what is written


def save_weights(path: str | Path, state: Mapping[str, Tensor], metadata: Mapping[str, Any] | None = None) -> None:
    """Write a `state_dict` to a safetensors file, with `metadata` that JSON can hold.

    A crash at any moment leaves the previous file, if there was one, as it was. CheckpointError where it can't be
    written, for example on a full disk; TypeError for metadata that JSON cannot hold.
    """
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise TypeError(
                f"[checkpoint] {name} is of type {type(value).__name__}, and weights are tensors; "
                "leave it out, or put it into the metadata"
            )
    arrays = {name: on_host(value) for name, value in state.items()}
    write_tensors(path, arrays, _described("weights", dict(metadata or {})))


def load_weights(path: str | Path, device: DeviceLike = None) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The `state_dict`, on `device`, and the metadata in a safetensors file, PyTorch's too (its metadata are {}).

    CheckpointError where it is missing, damaged or of another kind. A file that gradflow wrote has a checksum, which
    is verified; another's is only known to be whole.
    """
    arrays, info = read_tensors(path, partial(_info, path, wanted="weights"))
    return {name: as_tensor(array, device=device) for name, array in arrays.items()}, info.get("about", {})


def save_checkpoint(path: str | Path, state: Any, about: Mapping[str, Any] | None = None) -> None:
    """Write a training's state to a file, with what is to be said `about` it, which JSON can hold.

    state  what `packing.pack` takes: dicts, lists, tuples, numbers, texts, tensors, arrays

    As `save_weights` does: the old file or the new one, whole. TypeError names the part of a state that can't be saved.
    """
    arrays, plain = pack(state)
    write_tensors(path, arrays, _described("checkpoint", dict(about or {}), state=plain))


def load_checkpoint(path: str | Path) -> tuple[Any, dict[str, Any]]:
    """The state, its tensors on the CPU, and what was said about it.

    CheckpointError where the file is missing, damaged (every bit is checked), of another kind, or made by a newer
    gradflow.
    """
    arrays, info = read_tensors(path, partial(_info, path, wanted="checkpoint"))
    try:
        return unpack(arrays, info["state"]), info["about"]
    except (ValueError, LookupError) as error:
        raise CheckpointError(f"[checkpoint] {path} does not hold what it should: {error}; take another") from error


def load_about(path: str | Path) -> dict[str, Any]:
    """What was said about a checkpoint or weights: reads the header alone, so the checksum is not verified.

    {} for a file of another program; CheckpointError as `load_checkpoint`.
    """
    return _info(path, read_metadata(path)).get("about", {})


class Checkpoints:
    """The latest checkpoints of a run, in a folder of files step-00001234.safetensors.

    folder  made at the first save
    keep    how many to keep, at least 1
    passed_over  why the last `load` with fallback took no newer file
    """

    def __init__(self, folder: str | Path, keep: int = 2) -> None:
        if keep < 1:
            raise ValueError(f"[checkpoint] keep must be at least 1, got {keep}")
        self.folder, self.keep = Path(folder), keep
        self.passed_over: list[CheckpointError] = []

    def save(self, step: int, state: Any, about: Mapping[str, Any] | None = None) -> Path:
        """Save a state under its number of steps and, once that is safely there, remove those beyond the `keep` latest.

        Files of later steps go too: the run has gone back before them, and they would be taken for its newest.
        CheckpointError where it can't be written, and all that were there still are.
        """
        if step < 0:
            raise ValueError(f"[checkpoint] step must not be negative, got {step}")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CheckpointError(
                f"[checkpoint] cannot make the folder {self.folder}: {error.strerror or error}; choose another"
            ) from error
        remove_stale(self.folder, _FILE.pattern)
        path = self.folder / f"step-{step:08d}.safetensors"
        save_checkpoint(path, state, about)
        steps = {number: old for number, old in self._steps().items() if number != step}
        earlier = [number for number in steps if number < step]
        for number in set(steps) - set(earlier[: self.keep - 1]):
            try:
                steps[number].unlink(missing_ok=True)
            except OSError as error:
                logging.getLogger(KEY).warning(
                    "[checkpoint] saved %s, but cannot remove %s: %s", path, steps[number], error.strerror or error
                )
        return path

    def paths(self) -> list[Path]:
        """The files, newest first, by their steps."""
        return list(self._steps().values())

    def load(self, step: int | None = None, fallback: bool = False) -> tuple[Any, dict[str, Any], Path]:
        """The state, what was said about it, and its file: the newest, or that of `step`.

        With `fallback` a file that can't be read is passed over for the one before it; a warning is logged and the
        error kept in `passed_over`. CheckpointError where there is none that can be read.
        """
        self.passed_over = []
        steps = self._steps()
        if step is not None and step not in steps:
            there = ", ".join(map(str, steps)) or "none"
            raise CheckpointError(
                f"[checkpoint] there is no checkpoint of step {step} in {self.folder}; there are: {there}"
            )
        paths = [path for number, path in steps.items() if step is None or number <= step]
        if not paths:
            raise CheckpointError(f"[checkpoint] there is no checkpoint in {self.folder}; check the folder")
        for path, earlier in zip(paths, [*paths[1:], None], strict=True):
            try:
                return *load_checkpoint(path), path
            except CheckpointError as error:
                if not fallback:
                    hint = f" (the one before is {earlier}: load(fallback=True) takes it)" if earlier else ""
                    raise CheckpointError(f"{error}{hint}") from error
                self.passed_over.append(error)
                logging.getLogger(KEY).warning("%s; taking the checkpoint before it", error)
        raise CheckpointError(
            f"[checkpoint] none of the {len(paths)} checkpoints in {self.folder} can be read; "
            f"of the newest: {self.passed_over[0]}"
        )

    def _steps(self) -> dict[int, Path]:
        """The files by step, newest first."""
        try:
            found = {path: _FILE.fullmatch(path.name) for path in self.folder.iterdir()}
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise CheckpointError(
                f"[checkpoint] cannot list {self.folder}: {error.strerror or error}; check the path"
            ) from error
        steps = {int(match[1]): path for path, match in found.items() if match}
        return dict(sorted(steps.items(), reverse=True))


_FILE = re.compile(r"step-(\d+)\.safetensors")


def _described(kind: str, about: dict[str, Any], **more: Any) -> dict[str, str]:
    info = {"format": FORMAT, "kind": kind, "version": __version__, "about": about, **more}
    try:
        return {KEY: json.dumps(info)}
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"[checkpoint] cannot save what is said about it: {error}; use what JSON has: texts, numbers, lists, dicts"
        ) from error


def _info(path: str | Path, metadata: Mapping[str, str], wanted: str | None = None) -> dict[str, Any]:
    """What gradflow wrote into a file; {} for another program's, which is one of weights.

    CheckpointError where that is damaged, of a newer gradflow, or where the file's kind is not the one `wanted`.
    """
    info: dict[str, Any] = {}
    kind = "weights"
    if KEY in metadata:
        try:
            info = json.loads(metadata[KEY])
            kind, version, newer = info["kind"], info["version"], info["format"] > FORMAT
            if not newer and (DIGEST not in metadata or kind not in _INSTEAD or "about" not in info):
                raise ValueError("a part is missing")
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            raise CheckpointError(
                f"[checkpoint] {path} is damaged: its metadata are not what gradflow writes ({error}); "
                "take another copy of it"
            ) from error
        if newer:
            raise CheckpointError(
                f"[checkpoint] {path} was made by gradflow {version}, which is newer than this one; update gradflow"
            )
    if wanted not in (kind, None):
        raise CheckpointError(f"[checkpoint] {path} is {_INSTEAD[kind]}")
    return info


_INSTEAD = {
    "weights": "a weights file, not a checkpoint; use load_weights",
    "checkpoint": "a training checkpoint, not a weights file; use load_checkpoint",
}


__all__ = [
    "CheckpointError",
    "Checkpoints",
    "load_about",
    "load_checkpoint",
    "load_weights",
    "save_checkpoint",
    "save_weights",
    "write_atomically",
]
