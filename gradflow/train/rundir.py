"""The folder of a run."""

from __future__ import annotations

from itertools import count
from pathlib import Path

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


def _check(name: str) -> None:
    if not name.strip(". ") or RESERVED & set(name) or not name.isprintable():
        raise ValueError(f"[train] {name!r} cannot be the name of a folder; use letters, digits, - and _")
