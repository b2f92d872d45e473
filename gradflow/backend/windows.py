"""Windows that slide over images: how many places they have, and the sizes that have so many."""

from __future__ import annotations

from collections.abc import Iterable

Pair = tuple[int, int]


def places(
    size: Iterable[int], kernel: Iterable[int], stride: Iterable[int], padding: Iterable[int], dilation: Iterable[int]
) -> tuple[int, ...]:  # fmt: skip
    """(n + 2 p - d (k - 1) - 1) // s + 1 along each axis."""
    each = zip(size, kernel, stride, padding, dilation, strict=True)
    return tuple([(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in each])


def least_size(
    count: Iterable[int], kernel: Iterable[int], stride: Iterable[int], padding: Iterable[int], dilation: Iterable[int]
) -> tuple[int, ...]:  # fmt: skip
    """The smallest sizes that have so many places: (count - 1) s - 2 p + d (k - 1) + 1 along each axis."""
    each = zip(count, kernel, stride, padding, dilation, strict=True)
    return tuple([(n - 1) * s - 2 * p + d * (k - 1) + 1 for n, k, s, p, d in each])


def out_size(
    size: tuple[int, ...], kernel: tuple[int, ...], stride: Pair, padding: Pair, dilation: Pair
) -> Pair:  # fmt: skip
    """`places` of two axes: rows and columns."""
    rows, cols = places(size, kernel, stride, padding, dilation)
    return rows, cols
