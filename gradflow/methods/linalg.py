"""Linear algebra as methods."""

from __future__ import annotations

from ..functions import linalg as L


class LinalgMethods:
    """The linear algebra of `Tensor`."""

    __slots__ = ()

    matmul = L.matmul
