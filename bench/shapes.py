"""The shape of a convolution."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """Images (n, c, size, size) and weights (k, c / groups, window, window)."""

    n: int
    c: int
    k: int
    size: int
    window: int = 3
    stride: int = 1
    padding: int = 1
    groups: int = 1

    def __str__(self) -> str:
        extra = f" stride {self.stride}" * (self.stride > 1) + f" groups {self.groups}" * (self.groups > 1)
        return f"{self.n}x{self.c}x{self.size}x{self.size} to {self.k}, {self.window}x{self.window}{extra}"

    @property
    def out(self) -> int:
        """Rows of the output."""
        return (self.size + 2 * self.padding - self.window) // self.stride + 1

    @property
    def flops(self) -> int:
        """Multiplications and additions of a forward pass."""
        return 2 * self.n * self.k * self.out**2 * (self.c // self.groups) * self.window**2
