"""Helpers around training: `checkpoint`, and the data sets and loaders of `data`."""

from . import checkpoint, data

__all__ = ["checkpoint", "data"]
