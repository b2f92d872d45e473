"""Weights in safetensors files, written so that a file is either the old one or the new one, whole."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ..backend import DeviceLike
from ..creation import tensor
from ..tensor import Tensor

METADATA_KEY = "gradflow"  # one key with JSON under it: safetensors writes several keys in no fixed order


class CheckpointError(OSError):
    """A weights file that cannot be written or read; the message names it, the reason and the cure."""


def save_weights(path: str | Path, state: Mapping[str, Tensor], metadata: Mapping[str, Any] | None = None) -> None:
    """Write a `state_dict` to a safetensors file, with `metadata` that JSON can hold.

    A crash at any moment leaves the previous file, if there was one, as it was. CheckpointError where it can't be
    written, for example on a full disk.
    """
    from safetensors.numpy import save

    # safetensors copies memory as it lies, so every array must be in C order (a channels-last weight is not).
    arrays = {name: np.asarray(value.numpy(), order="C") for name, value in state.items()}
    data = save(arrays, {METADATA_KEY: json.dumps(dict(metadata or {}), sort_keys=True)})
    try:
        write_atomically(Path(path), data)
    except OSError as error:
        kept = "the file there before is untouched" if os.path.exists(path) else "nothing was left behind"
        raise CheckpointError(
            f"[checkpoint] cannot write {path} ({len(data):,} bytes): {error.strerror or error}; {kept}; "
            "free some space or choose another folder"
        ) from error


def load_weights(path: str | Path, device: DeviceLike = None) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The `state_dict` and the metadata in a safetensors file. CheckpointError where it is missing or corrupt."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            metadata = (file.metadata() or {}).get(METADATA_KEY, "{}")
            state = {name: tensor(file.get_tensor(name), device=device) for name in file.keys()}  # noqa: SIM118 (not a dict)
            return state, json.loads(metadata)
    except FileNotFoundError:
        raise CheckpointError(f"[checkpoint] there is no file {path}") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"[checkpoint] {path} is not a whole safetensors file: {error}; it is truncated or corrupt, save it again"
        ) from error


def write_atomically(path: Path, data: bytes) -> None:
    """Put `data` in the file `path` by writing a file beside it, flushing that to the disk and renaming it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    _flush_folder(path.parent)


def _flush_folder(folder: Path) -> None:
    """Make a rename last through a power cut; where the system has no such thing (Windows), do nothing."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
