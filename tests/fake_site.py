"""A web server on this machine, whose paths answer as they are told and which remembers what it was asked."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[["Handler"], None]


@dataclass
class Request:
    """A GET: its path, the headers that matter here, and the bytes of content that were sent for it."""

    path: str
    range: str | None
    if_range: str | None
    encoding: str | None
    sent: int = 0


@dataclass
class Site:
    """Runs within `with`; `answers` are by path, a path that has none is answered with 404."""

    answers: dict[str, Answer] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)  # ends answers that wait

    def __enter__(self) -> Site:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.site = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._server.server_port}{path}"

    def put(self, path: str, answer: Answer) -> str:
        """The address of `path`, which answers so from now on."""
        self.answers[path] = answer
        return self.url(path)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    def do_GET(self) -> None:
        self.site: Site = self.server.site  # type: ignore[attr-defined]
        names = ("Range", "If-Range", "Accept-Encoding")
        self.asked = Request(self.path, *[self.headers.get(name) for name in names])
        self.site.requests.append(self.asked)
        self.close_connection = True
        self.site.answers.get(self.path, status(404))(self)

    def head(self, code: int, **headers: object) -> None:
        """The status line and the headers, whose names have _ for -."""
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def body(self, content: bytes) -> None:
        self.asked.sent += len(content)  # before the client can have it, and look here
        try:
            self.wfile.write(content)
        except OSError:  # the client has gone
            self.asked.sent -= len(content)

    def hang_up(self) -> None:
        """Resets the connection."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.connection.close()

    def log_message(self, *arguments: object) -> None:
        pass


def status(code: int, **headers: object) -> Answer:
    """Nothing but a status."""
    return lambda handler: handler.head(code, Content_Length=0, **headers)


def serve(content: bytes, *, ranges: bool = True, tag: str | None = '"1"', cut: int | None = None) -> Answer:
    """`content`, or the range of it that is asked for; with `cut` the connection ends after so many bytes of a body."""

    def answer(handler: Handler) -> None:
        start, asked = 0, handler.asked
        if ranges and asked.range and asked.if_range in (None, tag):
            start = int(asked.range.removeprefix("bytes=").removesuffix("-"))
        headers: dict[str, object] = {"ETag": tag} if tag else {}
        if start >= len(content) > 0:
            return handler.head(416, Content_Range=f"bytes */{len(content)}", Content_Length=0)
        if start:
            headers["Content_Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        handler.head(206 if start else 200, Content_Length=len(content) - start, **headers)
        handler.body(content[start:] if cut is None else content[start : start + cut])
        return None

    return answer


def in_turn(*answers: Answer) -> Answer:
    """The answers one after the other, the last for all that follow."""
    left = list(answers)
    return lambda handler: (left.pop(0) if len(left) > 1 else left[0])(handler)
