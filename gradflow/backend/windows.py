"""Windows that slide over images: how many places they have."""

from __future__ import annotations

Pair = tuple[int, int]


def out_size(
    size: tuple[int, ...], kernel: tuple[int, ...], stride: Pair, padding: Pair, dilation: Pair
) -> Pair:  # fmt: skip
    """(H + 2 p - d (R - 1) - 1) // s + 1, for rows and columns."""
    rows, cols = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True)
    ]
    return rows, cols
