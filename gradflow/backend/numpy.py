"""The CPU backend: NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .base import Backend, Device
from .numpy_kernels import KERNELS


class NumpyBackend(Backend):
    """NumPy on the host. Index arrays are checked here too, so that the message names the op on every device."""

    def __init__(self) -> None:
        self.device = Device("cpu")
        self.module = np
        self.array_type = np.ndarray
        self.kernels: dict[str, Callable[..., Any]] = dict(KERNELS)

    def from_host(self, array: np.ndarray) -> np.ndarray:
        return np.array(array)

    def to_host(self, array: np.ndarray) -> np.ndarray:
        return np.array(array)

    def as_array(self, value: Any) -> np.ndarray:
        return np.asarray(value)

    def check_index(self, index: np.ndarray, low: int, high: int, op: str = "index") -> int | None:
        if index.size == 0 or (index.min() >= low and index.max() < high):
            return None
        return int(index[(index < low) | (index >= high)].flat[0])
