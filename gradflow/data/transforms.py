"""Random changes to training images, made on the host while a batch is cut."""

from __future__ import annotations

import numpy as np


def random_shift(images: np.ndarray, rng: np.random.Generator, pixels: int = 1, share: float = 0.5) -> np.ndarray:
    """`images` (n, c, h, w), about a `share` of them moved by up to `pixels` each way; zeros come in at the edges."""
    height, width = images.shape[2:]
    padded = np.pad(images, ((0, 0), (0, 0), (pixels, pixels), (pixels, pixels)))
    # windows[i, :, dy, dx] is image i moved by (pixels - dy, pixels - dx); (pixels, pixels) leaves it in place.
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(2, 3))
    offsets = rng.integers(0, 2 * pixels + 1, size=(2, len(images)))
    moved = rng.random(len(images)) < share
    dy, dx = np.where(moved, offsets, pixels)
    return windows[np.arange(len(images)), :, dy, dx]
