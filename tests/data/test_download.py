"""Downloads from a server on this machine that behaves, and from some that do not."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from fake_site import Handler, Site, in_turn, serve, status

import gradflow
from gradflow.data import DataError
from gradflow.data import download as module
from gradflow.data.download import RemoteFile, download
from gradflow.data.meter import Meter, megabytes

CONTENT = np.random.default_rng(0).bytes(300_000)
HALF = len(CONTENT) // 2


@pytest.fixture
def site(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with Site() as site:
        yield site


def remote(*urls: str, content: bytes = CONTENT, size: int | None = len(CONTENT)) -> RemoteFile:
    return RemoteFile("data.bin", urls, f"md5:{hashlib.md5(content).hexdigest()}", size)


def get(file: RemoteFile, folder: Path, **options) -> bytes:
    """What a download brings, in haste and in silence; it must leave nothing else behind."""
    quick = {"timeout": 5.0, "sleep": lambda seconds: None, "progress": False}
    path = download(file, folder, **{**quick, **options})
    assert path == folder / "data.bin"
    assert sorted(entry.name for entry in folder.iterdir() if entry.name != ".lock") == ["data.bin"]
    return path.read_bytes()


def part_of(folder: Path) -> Path:
    return folder / "data.bin.part"


def test_a_good_server(site: Site, tmp_path: Path):
    file = remote(site.put("/good", serve(CONTENT)))
    assert get(file, tmp_path / "new" / "folder") == CONTENT
    assert get(file, tmp_path / "new" / "folder") == CONTENT
    assert len(site.requests) == 1  # the second found the file
    assert site.requests[0].encoding == "identity"


@pytest.mark.parametrize("checksum", ["md5", "sha256"])
def test_both_checksums(site: Site, tmp_path: Path, checksum: str):
    digest = hashlib.new(checksum, CONTENT).hexdigest()
    assert get(RemoteFile("data.bin", (site.put("/x", serve(CONTENT)),), f"{checksum}:{digest}"), tmp_path) == CONTENT


def test_a_file_that_is_there_but_wrong_is_replaced(site: Site, tmp_path: Path):
    (tmp_path / "data.bin").write_bytes(b"damaged")
    assert get(remote(site.put("/good", serve(CONTENT))), tmp_path) == CONTENT


def test_folders_of_others_are_left_alone(site: Site, tmp_path: Path):
    (tmp_path / "tmp_images_").mkdir()
    download(remote(site.put("/good", serve(CONTENT))), tmp_path)
    assert (tmp_path / "tmp_images_").is_dir()


def test_a_dropped_connection_goes_on_where_it_broke(site: Site, tmp_path: Path):
    waits: list[float] = []
    url = site.put("/drops", in_turn(serve(CONTENT, cut=HALF), serve(CONTENT, cut=1000), serve(CONTENT)))
    assert get(remote(url), tmp_path, sleep=waits.append) == CONTENT
    first, second, third = site.requests
    assert (first.range, first.sent) == (None, HALF)
    assert (second.range, second.if_range, second.sent) == (f"bytes={HALF}-", '"1"', 1000)
    assert (third.range, third.sent) == (f"bytes={HALF + 1000}-", HALF - 1000)
    assert waits == [0.5, 1.0]


def reset_after(count: int):
    def answer(handler: Handler) -> None:
        handler.head(200, Content_Length=len(CONTENT), ETag='"1"')
        handler.body(CONTENT[:count])
        handler.hang_up()

    return answer


def test_a_connection_that_is_reset(site: Site, tmp_path: Path):
    assert get(remote(site.put("/resets", in_turn(reset_after(0), serve(CONTENT)))), tmp_path) == CONTENT
    assert len(site.requests) == 2


def test_the_next_run_goes_on(site: Site, tmp_path: Path):
    url = site.put("/drops", serve(CONTENT, cut=HALF))
    with pytest.raises(DataError) as caught:
        get(remote(url), tmp_path, tries=1)
    assert "the connection broke after 150,000 of 300,000 bytes" in str(caught.value)
    assert "150.0 kB of it are kept, and the next try goes on there" in str(caught.value)
    assert part_of(tmp_path).stat().st_size == HALF
    site.put("/drops", serve(CONTENT))
    assert get(remote(url), tmp_path) == CONTENT
    assert site.requests[-1].sent == HALF


def test_another_mirror_goes_on(site: Site, tmp_path: Path):
    urls = site.put("/drops", serve(CONTENT, cut=HALF, tag='"a"')), site.put("/good", serve(CONTENT, tag='"b"'))
    assert get(remote(*urls), tmp_path, tries=1) == CONTENT
    last = site.requests[-1]
    assert (last.path, last.range, last.if_range, last.sent) == ("/good", f"bytes={HALF}-", None, HALF)


@pytest.mark.parametrize("ranges", [False, True], ids=["no ranges", "another version"])
def test_a_server_that_does_not_go_on_sends_all(site: Site, tmp_path: Path, ranges: bool):
    url = site.put("/drops", in_turn(serve(CONTENT[::-1], cut=HALF), serve(CONTENT, ranges=ranges, tag='"2"')))
    assert get(remote(url), tmp_path) == CONTENT
    assert [request.sent for request in site.requests] == [HALF, len(CONTENT)]


def test_what_was_left_of_something_else_is_thrown_away(site: Site, tmp_path: Path):
    part_of(tmp_path).write_bytes(b"x" * HALF)
    assert get(remote(site.put("/good", serve(CONTENT))), tmp_path) == CONTENT
    assert [request.range for request in site.requests] == [f"bytes={HALF}-", None]


def test_a_whole_part_needs_no_request(site: Site, tmp_path: Path):
    part_of(tmp_path).write_bytes(CONTENT)
    assert get(remote(site.put("/good", serve(CONTENT))), tmp_path) == CONTENT
    assert site.requests == []


@pytest.mark.parametrize("left", [CONTENT, CONTENT + b"more"], ids=["all", "too much"])
def test_nothing_after_what_is_there(site: Site, tmp_path: Path, left: bytes):
    part_of(tmp_path).write_bytes(left)
    assert get(remote(site.put("/good", serve(CONTENT)), size=None), tmp_path) == CONTENT


def test_another_range_than_was_asked_for(site: Site, tmp_path: Path):
    def answer(handler: Handler) -> None:
        handler.head(206, Content_Length=10, Content_Range=f"bytes 0-9/{len(CONTENT)}")
        handler.body(CONTENT[:10])

    part_of(tmp_path).write_bytes(CONTENT[:HALF])
    assert get(remote(site.put("/odd", in_turn(answer, serve(CONTENT)))), tmp_path) == CONTENT
    assert site.requests[-1].range is None


def test_a_wrong_checksum_names_the_mirror_and_leaves_nothing(site: Site, tmp_path: Path):
    lie = site.put("/lie/data.bin", serve(CONTENT[::-1]))
    with pytest.raises(DataError) as caught:
        get(remote(lie), tmp_path)
    assert f"{site.url('/lie/')}: what came has not the checksum md5:" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    good = site.put("/good", serve(CONTENT))
    assert get(remote(lie, good), tmp_path) == CONTENT


def silent(handler: Handler) -> None:
    handler.site.released.wait()


def falls_silent(handler: Handler) -> None:
    handler.head(200, Content_Length=len(CONTENT))
    handler.body(CONTENT[:HALF])
    handler.site.released.wait()


def trickles(handler: Handler) -> None:
    handler.head(200, Content_Length=len(CONTENT))
    while not handler.site.released.wait(0.02):
        handler.body(b"x")


def without_length(content: bytes):
    def answer(handler: Handler) -> None:
        handler.head(200)
        handler.body(content)

    return answer


FAILURES = {
    "404": (status(404), "HTTP 404 Not Found", 1),
    "403": (status(403), "HTTP 403 Forbidden", 1),
    "204": (status(204), "HTTP 204 No Content", 1),
    "503": (status(503), "HTTP 503 Service Unavailable, in 2 tries", 2),
    "silent": (silent, "no answer in 0.4 s", 1),
    "falls silent": (falls_silent, "the server fell silent for 0.4 s, in 2 tries", 2),
    "trickles": (trickles, "bytes came in 0.4 s, in 2 tries", 2),
    "another size": (serve(CONTENT[:-1]), "it offers 299,999 bytes, expected 300,000", 1),
    "more than it should": (without_length(CONTENT + b"x" * 70_000), "sends more than the 300,000 bytes", 1),
    "less than it should": (without_length(CONTENT[:-1]), "broke after 299,999 of 300,000 bytes, in 2", 2),
    "redirected in circles": (status(302, Location="/bad"), "HTTP 302", None),
    "to a file": (status(302, Location="file:///etc/passwd"), "HTTP 302", 1),
    "no HTTP": (lambda handler: handler.wfile.write(b"what?\r\n\r\n"), "the connection broke: what?", 2),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_mirror_that_fails_and_the_next(site: Site, tmp_path: Path, name: str):
    answer, reason, requests = FAILURES[name]
    bad, good = site.put("/bad", answer), site.put("/good", serve(CONTENT))
    timeout = 0.4 if answer in (silent, falls_silent, trickles) else 5.0
    with pytest.raises(DataError) as caught:
        get(remote(bad), tmp_path, timeout=timeout, tries=2, cure="ask the author")
    message = str(caught.value)
    assert message.startswith(f"[download] data.bin could not be had ({bad}: ")
    assert reason in message
    assert message.endswith("; ask the author")
    assert "\n" not in message
    assert requests in (None, len(site.requests))
    if answer not in (falls_silent, trickles):  # waiting for one of the three is enough
        part_of(tmp_path).unlink(missing_ok=True)
        assert get(remote(bad, good), tmp_path, timeout=max(timeout, 1.0), tries=1) == CONTENT


def test_no_connection(site: Site, tmp_path: Path):
    with Site() as gone:
        nobody = gone.url("/data.bin")
    with pytest.raises(DataError) as caught:
        get(remote(nobody, "http://no-such-host.invalid/data.bin", "file:///etc/passwd"), tmp_path)
    message = str(caught.value)
    assert message.count("no connection (") == 2
    assert "only http and https are spoken here" in message
    assert f"put it into {tmp_path} by hand" in message
    assert get(remote(nobody, site.put("/good", serve(CONTENT))), tmp_path) == CONTENT


def test_a_redirection_is_followed_with_its_range(site: Site, tmp_path: Path):
    site.put("/good", serve(CONTENT))
    part_of(tmp_path).write_bytes(CONTENT[:HALF])
    assert get(remote(site.put("/moved", status(302, Location="/good"))), tmp_path) == CONTENT
    assert site.requests[-1].sent == HALF


def test_without_a_length_or_a_known_size(site: Site, tmp_path: Path):
    assert get(remote(site.put("/x", without_length(CONTENT)), size=None), tmp_path) == CONTENT


def test_a_content_encoding_is_left_on(site: Site, tmp_path: Path):
    def answer(handler: Handler) -> None:
        handler.head(200, Content_Length=len(CONTENT), Content_Encoding="gzip")
        handler.body(CONTENT)

    assert get(remote(site.put("/x", answer)), tmp_path) == CONTENT


def test_a_disk_without_room(site: Site, tmp_path: Path, monkeypatch):
    usage = module.shutil.disk_usage(tmp_path)._replace(free=module.SPARE + HALF)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: usage)
    file = remote(site.put("/good", serve(CONTENT)))
    with pytest.raises(DataError, match=r"needs 300\.0 kB, the disk of .* has 16\.9 MB free; .*GRADFLOW_DATA"):
        get(file, tmp_path)
    assert not part_of(tmp_path).exists()
    part_of(tmp_path).write_bytes(CONTENT[:HALF])  # for the rest there is room
    assert get(file, tmp_path) == CONTENT


def test_a_declared_size_that_no_disk_has(site: Site, tmp_path: Path):
    url = site.put("/huge", lambda handler: handler.head(200, Content_Length=10**18))
    with pytest.raises(DataError, match=r"needs 1000000000\.0 GB"):
        get(remote(url, size=None), tmp_path)


def test_a_disk_that_gets_full(site: Site, tmp_path: Path, monkeypatch):
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    file = remote(site.put("/good", serve(CONTENT)))
    with monkeypatch.context() as patch:
        patch.setattr(module.os, "fsync", full)
        with pytest.raises(DataError, match=r"data\.bin cannot be written to .*: No space left on device; make room"):
            get(file, tmp_path)
    assert get(file, tmp_path) == CONTENT


def test_a_folder_that_cannot_be(site: Site, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot be written to .*file/folder: .*GRADFLOW_DATA"):
        get(remote(site.url("/x")), tmp_path / "file" / "folder")


class Trap(Meter):
    """Sends this process a signal when half of the file has come."""

    def __init__(self, number: int) -> None:
        self.number, self.left = number, HALF

    def advance(self, count: int) -> None:
        self.left -= count
        if self.left <= 0:
            os.kill(os.getpid(), self.number)


def test_ctrl_c_keeps_what_came(site: Site, tmp_path: Path, monkeypatch):
    @contextmanager
    def trap(progress):
        yield Trap(signal.SIGINT)

    file = remote(site.put("/good", serve(CONTENT)))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(module, "open_meter", trap)
            with pytest.raises(KeyboardInterrupt):
                get(file, tmp_path)
    finally:
        signal.signal(signal.SIGINT, before)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [".lock", "data.bin.part", "data.bin.part.json"]
    kept = part_of(tmp_path).read_bytes()
    assert HALF <= len(kept) < len(CONTENT)
    assert get(file, tmp_path) == CONTENT
    assert site.requests[-1].range == f"bytes={len(kept)}-"
    assert site.requests[-1].if_range == '"1"'


CHILD = """
import os, sys
from contextlib import contextmanager
from pathlib import Path
from gradflow.data import download as module
if sys.argv[5] == "dies":
    left = int(sys.argv[4]) // 2
    class Trap(module.Meter):
        def advance(self, count):
            global left
            left -= count
            if left <= 0:
                os.kill(os.getpid(), 9)
    @contextmanager
    def trap(progress):
        yield Trap()
    module.open_meter = trap
file = module.RemoteFile("data.bin", (sys.argv[1],), sys.argv[2], int(sys.argv[4]))
module.download(file, Path(sys.argv[3]))
"""


def child(file: RemoteFile, folder: Path, end: str = "lives") -> subprocess.Popen[str]:
    """A process that downloads a file."""
    arguments = [file.urls[0], file.checksum, str(folder), str(file.size), end]
    paths = os.pathsep.join([str(Path(gradflow.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths}
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments], env=environment, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGKILL")
def test_a_killed_process_leaves_what_came_and_no_lock(site: Site, tmp_path: Path):
    file = remote(site.put("/good", serve(CONTENT)))
    with child(file, tmp_path, "dies") as process:
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert part_of(tmp_path).exists()
    assert list(tmp_path.glob("tmp*"))  # pooch's, which the next run clears away
    assert get(file, tmp_path) == CONTENT
    assert site.requests[-1].range is not None


def test_two_processes_download_once(site: Site, tmp_path: Path):
    asked = threading.Event()

    def answer(handler: Handler) -> None:
        asked.set()
        handler.site.released.wait()
        serve(CONTENT)(handler)

    file = remote(site.put("/slow", answer))
    with child(file, tmp_path) as first:
        assert asked.wait(60)
        with child(file, tmp_path) as second:
            assert second.stderr is not None
            assert next(second.stderr) == f"waiting for another process that downloads to {tmp_path}\n"
            site.released.set()
            codes = first.wait(60), second.wait(60)
    assert codes == (0, 0)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT
    assert len(site.requests) == 1


def test_one_line_where_there_is_no_terminal(site: Site, tmp_path: Path, capsys):
    url = site.put("/drops", in_turn(serve(CONTENT, cut=HALF), serve(CONTENT)))
    get(remote(url), tmp_path, progress=None)
    host = url.removeprefix("http://").removesuffix("/drops")
    assert capsys.readouterr() == ("", f"downloading data.bin, 300.0 kB, from {host}\n")
    get(remote(url), tmp_path, progress=None)
    assert capsys.readouterr() == ("", "")


def test_nothing_where_nothing_is_wanted(site: Site, tmp_path: Path, capfd):
    get(remote(site.put("/good", serve(CONTENT))), tmp_path)
    assert capfd.readouterr() == ("", "")


def test_a_bar_where_there_is_one(site: Site, tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    url = site.put("/drops", in_turn(serve(CONTENT, cut=HALF), serve(CONTENT)))
    get(remote(url), tmp_path, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "data.bin" in err
    assert "300.0/300.0 kB" in err


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 bytes"), (812, "812 bytes"), (5_148, "5.1 kB"), (26_421_880, "26.4 MB"), (2e9, "2.0 GB")]
)
def test_bytes_for_people(count: int, text: str):
    assert megabytes(count) == text
