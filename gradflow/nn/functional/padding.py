"""Padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...functions.joining import WHOLE, cat
from ...functions.scattering import scalar_for
from ...ops import gather, shape
from ...ops.index import getitem, scatter_add
from .sizes import ndim_of, whole


def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    """input with elements added at both ends of its last dimensions, or taken away where a number is negative.

    pad    (before, after) of the last dimension, then of the one before it, and so on
    mode   "constant": `value` (0); "reflect": mirrored at the outermost element, which is not repeated; "replicate":
           the outermost element; "circular": the elements of the other end. These three pad the last one, two or three
           dimensions of an input of one or two dimensions more.
    """
    ndim = ndim_of("pad", input)
    if not isinstance(pad, Sequence) or not all([whole(n) for n in pad]):
        raise TypeError(f"[pad] pad must be integers, two for each last dimension, got {pad!r}")
    widths = [int(n) for n in pad]
    if len(widths) % 2 or len(widths) > 2 * ndim:
        raise ValueError(
            f"[pad] pad must hold two numbers for each last dimension, got {tuple(pad)} for x {tuple(input.shape)}"
        )
    first = ndim - len(widths) // 2
    ends = [(widths[k], widths[k + 1]) for k in range(len(widths) - 2, -1, -2)]  # in the order of the dimensions
    if mode == "constant":
        return _constant_pad(input, first, ends, value)
    if mode not in ("reflect", "replicate", "circular"):
        raise NotImplementedError(f"[pad] mode must be 'constant', 'reflect', 'replicate' or 'circular', got {mode!r}")
    if value:
        raise ValueError(f"[pad] mode {mode!r} takes no value, got {value}")
    if not (1 <= len(ends) <= 3 and first in (1, 2)):
        raise NotImplementedError(
            f"[pad] mode {mode!r} pads the last one, two or three dimensions of an input of one or two more, "
            f"got pad {tuple(pad)} for x {tuple(input.shape)}"
        )
    for d, (before, after) in enumerate(ends, first):
        input = _extended(input, d, before, after, mode)
    return input


def _wrong(x: Any, d: int, before: int, after: int, why: str) -> ValueError:
    return ValueError(f"[pad] ({before}, {after}) in dim {d} of x {tuple(x.shape)}: {why}")


def _constant_pad(x: Any, first: int, ends: list[tuple[int, int]], value: float | None) -> Any:
    inside: list[Any] = [WHOLE] * first
    place, grown = inside.copy(), list(x.shape)
    for d, (before, after) in enumerate(ends, first):
        n = x.shape[d]
        grown[d] = n + before + after
        if n + min(before, 0) + min(after, 0) < 0:
            raise _wrong(x, d, before, after, "less than nothing is left")
        kept = max(0, -before), max(n - max(0, -after), max(0, -before))
        inside.append((*kept, None))
        start = max(0, before)
        place.append((start, start + kept[1] - kept[0], None))
    if any(n < 0 for pair in ends for n in pair):
        x = getitem(x, spec=tuple(inside))
    if not value:
        return scatter_add(x, spec=tuple(place), shape=tuple(grown))
    return gather.assign(shape.broadcast_to(scalar_for("pad", x, value), shape=tuple(grown)), x, spec=tuple(place))


def _extended(x: Any, d: int, before: int, after: int, mode: str) -> Any:
    """x with elements of its own before and after a dimension."""
    n, lead = x.shape[d], (WHOLE,) * d

    def cut(start: int | None, stop: int | None, step: int | None = None) -> Any:
        return getitem(x, spec=(*lead, (start, stop, step)))

    if mode == "reflect" and max(before, after) >= n:
        raise _wrong(x, d, before, after, "mode 'reflect' needs less than the dimension's size")
    if mode == "circular" and max(before, after) > n:
        raise _wrong(x, d, before, after, "mode 'circular' takes no more than the dimension's size")
    if n + before + after < 1 or (n == 0 and mode == "replicate"):
        raise _wrong(x, d, before, after, "nothing is left")
    if mode == "circular" and min(before, after) < 0:  # PyTorch crops first
        return _extended(cut(max(0, -before), n - max(0, -after)), d, max(0, before), max(0, after), mode)
    parts = [cut(max(0, -before), n - max(0, -after))]
    if before > 0:
        parts.insert(0, _edge(cut, d, mode, before, (before, 0, -1), (n - before, None), (0, 1)))
    if after > 0:
        mirrored = (n - 2, None if after == n - 1 else n - 2 - after, -1)
        parts.append(_edge(cut, d, mode, after, mirrored, (0, after), (n - 1, n)))
    return cat(parts, d) if len(parts) > 1 else parts[0]


def _edge(cut: Any, d: int, mode: str, count: int, mirrored: Any, other_end: Any, outermost: Any) -> Any:
    if mode != "replicate":
        return cut(*(mirrored if mode == "reflect" else other_end))
    x = cut(*outermost)
    return shape.broadcast_to(x, shape=(*x.shape[:d], count, *x.shape[d + 1 :]))


__all__ = ["pad"]
