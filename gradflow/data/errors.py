"""The errors of everything that reads or arranges data."""

from __future__ import annotations


class DataError(ValueError):
    """Data that is missing, truncated, corrupt or not what it should be; the message names it and the cure."""


class ContentError(Exception):
    """What is wrong with the content of a file, without the file's name: who knows that makes a DataError of it."""


def reason(error: Exception) -> str:
    """An error in words: of the system's errors without number and path, of those without words the type."""
    words = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return words or type(error).__name__
