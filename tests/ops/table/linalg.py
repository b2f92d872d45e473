"""The table's part on linear algebra."""

from __future__ import annotations

import numpy as np
from ops.case import Case, case

import gradflow as gf


def product(*pairs: tuple[tuple[int, ...], tuple[int, ...]]) -> list[Case]:
    return [case(f"matmul-{len(a)}d-{len(b)}d-{i}", gf.matmul, a, b, ref=np.matmul) for i, (a, b) in enumerate(pairs)]


CASES = [
    *product(
        ((3,), (3,)), ((3,), (3, 2)), ((2, 3), (3,)), ((2, 3), (3, 4)), ((2, 2, 3), (3, 2)), ((2, 3), (2, 3, 2)),
        ((2, 2, 3), (2, 3, 2)), ((2, 2, 3), (3,)), ((3,), (2, 3, 2)), ((2, 1, 2, 3), (3, 3, 1)),
    ),
]  # fmt: skip
