"""How much memory convolutions on a GPU may use for the columns of a part of the batch."""

from __future__ import annotations

_limit = [256 << 20]


def get_conv_workspace() -> int:
    """The most bytes that the columns of a convolution may take on a GPU, 256 MiB at the start."""
    return _limit[0]


def set_conv_workspace(bytes: int) -> None:
    """Have convolutions on a GPU work on parts of the batch whose columns take at most so many bytes.

    One image is the smallest part. On a CPU the parts are those that fit its cache.
    """
    if not isinstance(bytes, int) or isinstance(bytes, bool) or bytes < 0:
        raise ValueError(f"[set_conv_workspace] expected a number of bytes, got {bytes!r}")
    from .cuda.launcher import forget_plans

    _limit[0] = bytes
    forget_plans()
