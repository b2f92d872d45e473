"""Files that are either the old one or the new one, whole, whatever happens while they are written."""

from __future__ import annotations

import errno
import logging
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

if sys.platform != "win32":
    import fcntl
    import resource

POSIX = os.name == "posix"


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` when the block ends well.

    It is written beside `path`, flushed to the disk and renamed, and the folder flushed. After an exception, or a
    crash at any moment, the file that was there before is still there; what a crash left beside it is removed by the
    next call. OSError as the system raises it: `cannot_write` puts it into words.
    """
    remove_stale(path.parent, re.escape(path.name))
    temporary = path.with_name(f".{path.name}.{token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            _mark_in_use(file)
            yield file
            file.flush()
            os.fsync(file.fileno())
            if POSIX:  # while the mark holds
                os.replace(temporary, path)
        if not POSIX:  # Windows renames no open file
            os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    _flush_folder(path.parent)


def write_atomically(path: Path, data: bytes) -> None:
    """Put `data` in the file `path` by way of `replacing`."""
    with replacing(path) as file:
        file.write(data)


def remove_stale(folder: Path, name: str) -> None:
    """Remove the temporary files in `folder`, of files whose names match the pattern `name`, whose process is gone."""
    temporary = re.compile(rf"\.{name}\.[0-9a-f]{{8}}\.tmp")
    with suppress(OSError), os.scandir(folder) as entries:  # where that fails, so will the write, and say why
        for entry in entries:
            if temporary.fullmatch(entry.name):
                with suppress(OSError):  # in use, or another user's
                    if POSIX:
                        with open(entry.path, "rb") as file:
                            _mark_in_use(file)
                            os.unlink(entry.path)
                    else:  # Windows removes no file that is open
                        os.unlink(entry.path)


def cannot_write(path: str | Path, error: OSError, needed: int) -> str:
    """Why the `needed` bytes of the file `path` could not be written, what is there now, and the cure."""
    kept = "the file there before is untouched" if os.path.lexists(path) else "nothing was left behind"
    reason = error.strerror or str(error)
    return f"cannot write {path} ({needed:,} bytes): {reason}; {kept}; {_cure(Path(path).parent, error)}"


def _cure(folder: Path, error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        with suppress(OSError):
            return f"free some space ({shutil.disk_usage(folder).free:,} bytes are free) or choose another folder"
    if error.errno == errno.EFBIG and sys.platform != "win32":
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        if limit != resource.RLIM_INFINITY:
            return f"this process may write files of {limit:,} bytes at most: raise that with ulimit -f"
    return _CURES.get(error.errno or 0, "choose another folder")


_CURES = {
    errno.ENOSPC: "free some space or choose another folder",
    errno.EFBIG: "the file system takes no file so large: choose another folder",
    errno.EROFS: "the file system is read-only: choose another folder",
    errno.EACCES: "the folder or file may not be written by this user: change that or choose another folder",
    errno.EPERM: "the folder or file may not be written by this user: change that or choose another folder",
    errno.ENOENT: "make the folder first or choose another",
    errno.ENOTDIR: "a file stands where a folder is needed: choose another folder",
    errno.EISDIR: "a folder stands where the file belongs: choose another name",
    errno.EIO: "the disk or the way to it fails: choose a folder on another",
}
if hasattr(errno, "EDQUOT"):
    _CURES[errno.EDQUOT] = "your quota is used up: remove files of yours or choose another folder"


def _mark_in_use(file: BinaryIO) -> None:
    """Hold a lock on the file until it is closed or the process ends. OSError where another process holds it.

    A process number would not do: it is used again, and means nothing in another container or on another host.
    """
    if sys.platform != "win32":
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if file.writable():  # ours: without locks in this file system it is only not cleaned up after a crash
                return
            raise


def _flush_folder(folder: Path) -> None:
    """Make a rename last through a power cut; where the system has no such thing (Windows), do nothing."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno == errno.EIO:
            logging.getLogger("gradflow").warning(
                "[checkpoint] the folder %s could not be flushed: what was renamed there may not outlast a power cut; "
                "check the disk",
                folder,
            )
