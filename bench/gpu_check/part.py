"""The process of one part: `python -m bench.gpu_check.part MODULE FILE DEVICE BUDGET [DATA]`.

Started with a pipe as its standard input, in a process group of its own; when the pipe closes, because the check was
killed, the group ends itself.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
import traceback
from pathlib import Path

from .book import Book, Skip


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os.killpg(os.getpgid(0), signal.SIGKILL)


def main(module: str, file: str, device: str, budget: str, data: str | None = None) -> int:
    """Run a part; 0 unless it failed."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    book = Book(Path(file), device, float(budget), data)
    book.save()
    try:
        importlib.import_module(module).run(book)
    except Skip as reason:
        book.end("skipped", str(reason))
        return 0
    except Exception as error:
        book.fault(traceback.format_exc(limit=-6))
        book.end("failed", " ".join(f"{type(error).__name__}: {error}".split())[:300])
        return 1
    faults, left_out = book.found["faults"], book.found["left out"]
    if faults:
        book.end("failed", faults[0].splitlines()[0][:300])
        return 1
    book.end("out of time" if left_out else "passed", f"left out: {'; '.join(left_out)}" if left_out else "")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
