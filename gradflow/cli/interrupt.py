"""Ctrl-C as a request that is granted at a good moment."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class StopRequest:
    """Within this context the first Ctrl-C only makes `asked()` true; a second raises KeyboardInterrupt, as ever.

    Does nothing outside the main thread, or where the process was started with Ctrl-C ignored.
    """

    def __init__(self) -> None:
        self._asked = False
        self._previous: Any = None

    def asked(self) -> bool:
        """Whether Ctrl-C was pressed."""
        return self._asked

    def __enter__(self) -> StopRequest:
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._previous = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
