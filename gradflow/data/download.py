"""Downloading a file: resumed where it broke off, from the first mirror that has it, named only when it is whole."""

from __future__ import annotations

import http.client
import json
import logging
import os
import re
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

from .errors import DataError
from .meter import Meter, megabytes, open_meter

TIMEOUT = 20.0  # seconds without an answer, or without a byte
SLOWEST = 1024  # bytes a second, over TIMEOUT: a server that is slower only holds the line
TRIES = 5  # requests to one mirror whose connection breaks
CHUNK = 1 << 16
SPARE = 1 << 24  # bytes of the disk that stay free
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})  # answers that may be better in a moment
RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


@dataclass(frozen=True)
class RemoteFile:
    """A file that somebody publishes: its addresses, the publisher's first, and what it must be.

    `checksum` is "md5:..." or "sha256:..."; `size` is in bytes, None where nobody says it.
    """

    name: str
    urls: tuple[str, ...]
    checksum: str
    size: int | None = None


class _BrokenError(Exception):
    """A transfer that broke off; another request may go on with it."""


class _EndError(Exception):
    """Range Not Satisfiable: there is nothing after what was had already; with the answer's Content-Range."""


class _MirrorError(Exception):
    """A mirror that cannot give the file."""


class _ChecksumError(_MirrorError):
    """A mirror that gave something else."""


def download(
    file: RemoteFile,
    folder: Path,
    *,
    cure: str = "",
    progress: bool | None = None,
    timeout: float = TIMEOUT,
    tries: int = TRIES,
    sleep: Callable[[float], None] = time.sleep,
) -> Path:
    """The path of `file` in `folder`, downloaded unless it is there already with the right checksum.

    What has come is kept in `NAME.part` when the transfer ends early, by Ctrl-C too, and the next call goes on from
    there. Of several processes one downloads and the others wait for it. `progress`: None shows a bar on a terminal
    and a line elsewhere, True a bar, False nothing. Raises DataError, which ends with `cure`, where no mirror has the
    file or the disk has no room for it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with open_meter(progress) as meter, _alone_in(folder, meter):
            return _Download(file, folder, cure, meter, timeout, tries, sleep).run()
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise DataError(
            f"[download] {file.name} cannot be written to {folder}: {reason}; "
            "make room there, or name another folder in GRADFLOW_DATA"
        ) from error


@contextmanager
def _alone_in(folder: Path, meter: Meter) -> Iterator[None]:
    """Holds the lock of `folder`, which the system frees when a process dies."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        meter.note(f"waiting for another process that downloads to {folder}")
        lock.acquire()
    try:
        for left in folder.glob("tmp????????"):  # pooch's, of a process that was killed
            if left.is_file():  # and no folder of somebody else's
                left.unlink()
        yield
    finally:
        lock.release()


@dataclass
class _Download:
    """The download of one file."""

    file: RemoteFile
    folder: Path
    cure: str
    meter: Meter
    timeout: float
    tries: int
    sleep: Callable[[float], None]

    def __post_init__(self) -> None:
        self.part = _Part(self.folder / f"{self.file.name}.part")

    def run(self) -> Path:
        failures = []
        for url in self.file.urls:
            try:
                path = self._from(url)
            except _MirrorError as failure:
                failures.append(f"{url.removesuffix(self.file.name)}: {failure}")
            else:
                self.part.forget()
                return path
        size = self.part.size()
        kept = f"; {megabytes(size)} of it are kept, and the next try goes on there" if size else ""
        cure = self.cure or f"try again later, or put it into {self.folder} by hand"
        raise DataError(f"[download] {self.file.name} could not be had ({'; '.join(failures)}){kept}; {cure}")

    def _from(self, url: str) -> Path:
        begun = self.part.size()
        try:
            return self._retrieve(url)
        except _ChecksumError:
            self.part.forget()
            if not begun:
                raise
        return self._retrieve(url)  # what an earlier run or another mirror left may have been at fault

    def _retrieve(self, url: str) -> Path:
        """pooch calls `_to`, and gives what it brought its name where the checksum is right."""
        import pooch

        file, log = self.file, pooch.get_logger()
        level = log.level
        log.setLevel(logging.WARNING)  # the meter says it
        try:
            pooch.retrieve(url, file.checksum, file.name, self.folder, downloader=self._to)
            return self.folder / file.name
        except DataError:
            raise
        except ValueError:
            raise _ChecksumError(f"what came has not the checksum {file.checksum}, it was deleted") from None
        finally:
            log.setLevel(level)

    def _to(self, url: str, target: str, _: object) -> None:
        """Has all of the file in `target`, by as many requests as it takes."""
        for attempt in range(self.tries):
            if attempt:
                self.sleep(min(0.5 * 2 ** (attempt - 1), 8.0))
            try:
                self._request(url)
            except _BrokenError as error:
                trouble = error
            else:
                os.replace(self.part.path, target)
                return
        raise _MirrorError(f"{trouble}, in {self.tries} tries")

    def _request(self, url: str) -> None:
        """Appends to the part what is missing of it."""
        size, have = self.file.size, self.part.size()
        if size is not None and have >= size:
            if have == size:
                return  # an earlier run ended just before the checksum
            self.part.drop()
            have = 0
        headers = {"Accept-Encoding": "identity", "User-Agent": "gradflow"}
        if have:
            headers["Range"] = f"bytes={have}-"
            if validator := self.part.validator(url):
                headers["If-Range"] = validator
        try:
            response = _answer(url, headers, self.timeout)
        except _EndError as end:
            if str(end) == f"bytes */{have}":
                return
            self.part.drop()
            raise _BrokenError("the server's file is shorter than what was there of it") from None
        with response:
            self._receive(response, url, have)

    def _receive(self, response: http.client.HTTPResponse, url: str, have: int) -> None:
        """Writes an answer to the part: what is missing where it is that, else all of it."""
        if response.status == 206 and not _begins_at(response, have):
            self.part.drop()
            raise _BrokenError("the server sends another part than was asked for")
        start = have if response.status == 206 else 0
        total = self._total(response, start)
        try:
            with self.part.open(start, url, response) as out:
                self.meter.start(self.file.name, url, start, total)
                self._copy(response, out, total)
                out.flush()
                os.fsync(out.fileno())
        except _MirrorError:
            self.part.drop()
            raise
        if total is not None and (have := self.part.size()) < total:
            raise _BrokenError(f"the connection broke after {have:,} of {total:,} bytes")

    def _total(self, response: http.client.HTTPResponse, start: int) -> int | None:
        """The size of the whole file, None if unknown; raises where it is wrong or the disk has no room for it."""
        size, total = self.file.size, None if response.length is None else start + response.length
        if response.status not in (200, 206):
            raise _MirrorError(f"HTTP {response.status} {response.reason}")
        if size is not None and total is not None and size != total:
            raise _MirrorError(f"it offers {total:,} bytes, expected {size:,}")
        total = size if total is None else total
        needed, free = (total or 0) - start, shutil.disk_usage(self.folder).free
        if needed > max(0, free - SPARE):
            raise DataError(
                f"[download] {self.file.name} needs {megabytes(needed)}, the disk of {self.folder} has "
                f"{megabytes(free)} free; make room there, or name another folder in GRADFLOW_DATA"
            )
        return total

    def _copy(self, response: http.client.HTTPResponse, out: IO[bytes], total: int | None) -> None:
        """Writes what comes, until it ends; a server that only trickles is given up."""
        since, count = time.monotonic(), 0
        while True:
            try:
                chunk = response.read1(CHUNK)
            except TimeoutError:
                raise _BrokenError(f"the server fell silent for {self.timeout:g} s") from None
            except (OSError, http.client.HTTPException) as error:
                raise _BrokenError(_words(f"the connection broke: {error or type(error).__name__}")) from error
            if not chunk:
                return
            out.write(chunk)
            if total is not None and out.tell() > total:
                raise _MirrorError(f"it sends more than the {total:,} bytes expected")
            self.meter.advance(len(chunk))
            count += len(chunk)
            if (now := time.monotonic()) - since > self.timeout:
                if count < SLOWEST * self.timeout:
                    raise _BrokenError(f"only {count:,} bytes came in {self.timeout:g} s")
                since, count = now, 0


class _Part:
    """What has come of a file, and beside it a note of where it came from."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.note = path.with_name(f"{path.name}.json")

    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def validator(self, url: str) -> str | None:
        """What names the version that `url` gave, so that no other is appended to it."""
        try:
            note = json.loads(self.note.read_text(encoding="utf-8"))
            return str(note["validator"]) if note["url"] == url and note["validator"] else None
        except (OSError, ValueError, KeyError, TypeError):
            return None  # the checksum finds out

    def open(self, start: int, url: str, response: http.client.HTTPResponse) -> IO[bytes]:
        """The file, to be written from byte `start` on."""
        tag = response.headers.get("ETag") or ""
        validator = response.headers.get("Last-Modified") if not tag or tag.startswith("W/") else tag
        self.note.write_text(json.dumps({"url": url, "validator": validator}), encoding="utf-8")
        return self.path.open("ab" if start else "wb")

    def drop(self) -> None:
        self.path.unlink(missing_ok=True)
        self.forget()

    def forget(self) -> None:
        self.note.unlink(missing_ok=True)


def _begins_at(response: http.client.HTTPResponse, start: int) -> bool:
    match = RANGE.fullmatch(response.headers.get("Content-Range") or "")
    return match is not None and int(match[1]) == start


def _answer(url: str, headers: dict[str, str], timeout: float) -> http.client.HTTPResponse:
    """The answer to a GET of `url`, redirections followed."""
    if not url.startswith(("http://", "https://")):
        raise _MirrorError("only http and https are spoken here")
    try:
        request = urllib.request.Request(url, headers=headers)
        return urllib.request.urlopen(request, timeout=timeout, context=_certificates())  # type: ignore[no-any-return]
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:
            raise _EndError(error.headers.get("Content-Range")) from None
        kind = _BrokenError if error.code in TRANSIENT else _MirrorError
        raise kind(_words(f"HTTP {error.code} {error.reason}")) from None
    except TimeoutError:
        raise _MirrorError(f"no answer in {timeout:g} s") from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            raise _MirrorError(f"no answer in {timeout:g} s") from None
        reason = getattr(error.reason, "strerror", None) or error.reason
        raise _MirrorError(_words(f"no connection ({reason})")) from None
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenError(_words(f"the connection broke: {error or type(error).__name__}")) from error


def _words(text: str) -> str:
    """A server's words on one line, and not too many of them."""
    return " ".join(text.split())[:200]


@cache
def _certificates() -> ssl.SSLContext:
    """The authorities of the system, and certifi's where it is installed, as some systems give Python none."""
    context = ssl.create_default_context()
    with suppress(ImportError):
        import certifi

        context.load_verify_locations(certifi.where())
    return context
