"""The folder of a run: its name, and who works in it."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from .atomic import cannot_write, write_atomically

LOCK, HOLDER = "lock", "lock.json"
RESERVED = frozenset('<>:"/\\|?*')


def make_run_dir(root: str | Path, default: str, name: str | None = None) -> Path:
    """Make and return `root/name`, or FileExistsError where it exists.

    Without a `name`: `root/default`, or the first of `default-2`, `default-3`, ... that is not there yet. The folder is
    made by this call, so two runs that start together get two folders.
    """
    root = Path(root)
    if name is not None:
        _check(name)
    names = (default if i == 1 else f"{default}-{i}" for i in count(1))
    for candidate in names if name is None else (name,):
        try:
            root.mkdir(parents=True, exist_ok=True)
            (root / candidate).mkdir()
        except FileExistsError:
            if not root.is_dir():
                raise NotADirectoryError(f"[train] {root} is a file, not a folder for runs; choose another") from None
            if name is not None:
                raise FileExistsError(
                    f"[train] there is a run {root / name} already; choose another name or remove it"
                ) from None
        except OSError as error:
            raise OSError(f"[train] cannot make the folder {root / candidate}: {error.strerror or error}") from error
        else:
            return root / candidate
    raise AssertionError("unreachable")


class RunLockedError(OSError):
    """Another process works in a run's folder; the message names it."""


@contextmanager
def lock_run(folder: str | Path) -> Iterator[None]:
    """Hold the folder of a run, which exists, as the only process that trains in it.

    The system frees it when the process ends, however it ends. RunLockedError at once where another process holds it
    (or another thread of this one), OSError where no file can be written there.
    """
    from filelock import FileLock, Timeout

    folder = Path(folder)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunLockedError(
            f"[train] {folder} is in use by {_holder(folder)}; wait for it, stop it, or give this run another name"
        ) from None
    except NotImplementedError:
        raise OSError(
            f"[train] the file system of {folder} has no locks, so two runs there could mix; choose another folder"
        ) from None
    except OSError as error:
        raise OSError(f"[train] {cannot_write(folder / LOCK, error, 0)}") from error
    try:
        _write_holder(folder)
        yield
    finally:
        with suppress(OSError):  # what stays there is overwritten by the next holder
            (folder / HOLDER).unlink()
        lock.release()


def is_locked(folder: Path) -> bool:
    """Whether a process holds the folder of a run now."""
    if not (folder / HOLDER).exists():
        return False  # and the lock is left alone, which a run that starts just now may be after
    from filelock import FileLock, Timeout

    try:
        with FileLock(folder / LOCK, timeout=0):
            return False
    except Timeout:
        return True
    except (OSError, NotImplementedError):  # nobody can have it there
        return False


def _write_holder(folder: Path) -> None:
    """Say who holds the lock, in a file beside it: some versions of filelock empty the lock file itself."""
    text = json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode()
    try:
        write_atomically(folder / HOLDER, text)
    except OSError as error:
        raise OSError(f"[train] {cannot_write(folder / HOLDER, error, len(text))}") from error


def _holder(folder: Path) -> str:
    try:
        found = json.loads((folder / HOLDER).read_text(encoding="utf-8"))
        return f"process {found['pid']} on {found['host']}"
    except (OSError, ValueError, LookupError, TypeError):  # it has the lock and has not yet said who it is
        return "another process"


def _check(name: str) -> None:
    if not name.strip(". ") or RESERVED & set(name) or not name.isprintable() or name.startswith("-"):
        raise ValueError(f"[train] {name!r} cannot be the name of a folder; use letters, digits, - and _")
