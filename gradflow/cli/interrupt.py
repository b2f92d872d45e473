"""Ctrl-C, and SIGTERM, as a request that is granted at a good moment."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType
from typing import Any

from .errors import INTERRUPTED

NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}


class StopRequest:
    """Within this context a first Ctrl-C or SIGTERM only makes `asked()` true; a second ends the process, as ever.

    So does the first one before `asked` was called at all: then nobody would grant it soon. Ctrl-C raises
    KeyboardInterrupt, SIGTERM SystemExit. Does nothing outside the main thread, nor to a signal that the process was
    started to ignore; SIGTERM is none that Windows sends.
    """

    def __init__(self) -> None:
        self._heard: int | None = None
        self._granted = False
        self._previous: dict[int, Any] = {}

    def asked(self) -> str | None:
        """What was asked by, "Ctrl-C" or "SIGTERM"; None where nothing was."""
        self._granted = True
        return None if self._heard is None else NAMES[signal.Signals(self._heard)]

    @property
    def code(self) -> int:
        """The exit code, as a shell reports the signal; that of Ctrl-C where there was none."""
        return INTERRUPTED if self._heard is None else 128 + self._heard

    def __enter__(self) -> StopRequest:
        usual: dict[int, Any] = {signal.SIGINT: signal.default_int_handler}
        if sys.platform != "win32":
            usual[signal.SIGTERM] = signal.SIG_DFL
        if threading.current_thread() is threading.main_thread():
            for number, handler in usual.items():
                if signal.getsignal(number) == handler:
                    self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._granted and self._heard is None:
            self._heard = number
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
        else:
            raise SystemExit(128 + number)
