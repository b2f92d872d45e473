"""Errors as a person at a terminal wants them: one line, no traceback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it

# Errors whose message was written for people; of any other the type tells as much as the message.
EXPECTED = (ArithmeticError, ImportError, MemoryError, OSError, RuntimeError, ValueError)


@contextmanager
def one_line(debug: bool) -> Iterator[None]:
    """Print an error that leaves the block as one line and exit with 1, or with 130 on Ctrl-C.

    With `debug`, let it pass, traceback and all.
    """
    try:
        yield
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:
        raise  # typer ends quietly when the reader of a pipe has gone
    except Exception as error:
        if debug:
            raise
        print(f"error: {describe(error)}", file=sys.stderr)
        raise SystemExit(1) from None


def describe(error: Exception) -> str:
    """An error in one line; one that nobody foresaw gets its type and the way to its traceback."""
    message = " ".join(str(error).split())
    if isinstance(error, EXPECTED) and message:
        return message
    return f"{': '.join(filter(None, (type(error).__name__, message)))} (--debug shows where)"
