"""The error of everything that reads or arranges data."""

from __future__ import annotations


class DataError(ValueError):
    """Data that is missing, truncated, corrupt or not what it should be; the message names it and the cure."""
