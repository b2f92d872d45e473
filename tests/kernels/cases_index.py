"""Kernel cases of embedding, its gradient, and of indexing's transposes."""

from __future__ import annotations

from typing import Any

import numpy as np
from kernels.harness import KernelCase, kernel_case

ARRAY, ALL = "array", (None, None, None)
SINGLE: dict[str, Any] = {"dtypes": ("f4",)}


def indices(n: int, *shape: int, dtype: str = "i8", low: int = 0) -> np.ndarray:
    return np.random.default_rng(n).integers(low, n, size=shape).astype(dtype)


def table(name: str, rows: int, index: np.ndarray, rest: tuple[int, ...], **options: Any) -> list[KernelCase]:
    """Rows of a table, and their gradient."""
    padding_idx = options.pop("padding_idx", None)
    return [
        kernel_case("embedding", (rows, *rest), index, id=f"embedding-{name}", padding_idx=padding_idx, **options),
        kernel_case("embedding_backward", (*index.shape, *rest), index, rows=rows, padding_idx=padding_idx,
            id=f"embedding_backward-{name}", tolerance={"f4": 1e-5}, **options),
    ]  # fmt: skip


def scattered(name: str, shape: tuple[int, ...], spec: Any, *arrays: np.ndarray, **options: Any) -> KernelCase:
    left = iter(arrays)
    index = tuple([slice(*e) if type(e) is tuple else next(left) if e == ARRAY else e for e in spec])
    return kernel_case("scatter_add", np.zeros(shape)[index].shape, *arrays, id=f"scatter_add-{name}", spec=spec,
        shape=shape, **options)  # fmt: skip


def along(name: str, x: tuple[int, ...], axis: int, dtype: str = "i8", **options: Any) -> list[KernelCase]:
    shape = (*x[:axis], *x[axis + 1 :])
    index = indices(x[axis], *shape, dtype=dtype)
    return [
        kernel_case("pick", x, index, axis=axis, id=f"pick-{name}", **options),
        kernel_case("place", shape, index, axis=axis, n=x[axis], id=f"place-{name}", **options),
    ]


HOT = np.where(np.arange(3000) % 7 == 0, indices(50, 3000), 3)  # most name one row
CASES = [
    *table("small", 5, indices(5, 2, 3), (4,)),
    *table("odd", 11, indices(11, 7), (3,)),
    *table("int32", 40, indices(40, 5, 5, dtype="i4"), (8,), **SINGLE),
    *table("uint8", 40, indices(40, 9, dtype="u1"), (1,), **SINGLE),
    *table("int16", 40, indices(40, 9, dtype="i2"), (5,), **SINGLE),
    *table("padding", 6, indices(6, 30), (4,), padding_idx=2, **SINGLE),
    *table("one-number", 6, np.array(4), (3,), **SINGLE),
    *table("columns", 6, indices(6, 8), (), **SINGLE),
    *table("blocks", 6, indices(6, 8), (2, 3), **SINGLE),
    *table("no-indices", 6, indices(6, 0), (3,), **SINGLE),
    *table("no-columns", 6, indices(6, 4), (0,), **SINGLE),
    *table("many", 300, indices(300, 20, 100), (16,)),
    *table("hot", 50, HOT, (6,)),
    *table("one-row", 1, np.zeros(1500, "i8"), (3,), **SINGLE),
    *table("hot-padding", 50, HOT, (2,), padding_idx=3, **SINGLE),
    scattered("slices", (5, 6), ((1, 4, None), (None, None, -2))),
    scattered("integers", (3, 4, 5), (1, None, ALL, -1), **SINGLE),
    scattered("array", (7, 3), (ARRAY,), indices(7, 12, low=-7)),
    scattered("array-2d", (7, 3), (ARRAY,), indices(7, 2, 5, low=-7), **SINGLE),
    scattered("array-int8", (200, 3), (ARRAY,), indices(128, 50, dtype="i1", low=-128), **SINGLE),
    scattered("arrays-int8", (4, 200), (ARRAY, ARRAY), indices(4, 9), indices(128, 9, dtype="i1", low=-128), **SINGLE),
    scattered("array-uint8", (7, 3), (ARRAY,), indices(7, 12, dtype="u1"), **SINGLE),
    scattered("array-last", (3, 7), (ALL, ARRAY), indices(7, 12, low=-7), **SINGLE),
    scattered("array-and-slice", (7, 6), (ARRAY, (1, 6, 2)), indices(7, 9, low=-7), **SINGLE),
    scattered("arrays", (4, 5, 3), (ARRAY, ARRAY), indices(4, 20, low=-4), indices(5, 20, low=-5)),
    scattered("arrays-broadcast", (4, 5), (ARRAY, ARRAY), indices(4, 6, 1), indices(5, 3), **SINGLE),
    scattered("arrays-apart", (4, 3, 5), (ARRAY, ALL, ARRAY), indices(4, 20), indices(5, 20, low=-5), **SINGLE),
    scattered("array-and-int", (4, 3, 5, 2), (ALL, ARRAY, None, 2, ALL), indices(3, 8), **SINGLE),
    scattered("int-beside-array", (4, 3, 5, 2), (ALL, -1, ARRAY, None), indices(5, 8), **SINGLE),
    scattered("none", (4, 3), (None, ALL, None, ARRAY), indices(3, 5), **SINGLE),
    scattered("0d-array", (4, 3), (ARRAY,), np.array(-2), **SINGLE),
    scattered("no-rows", (4, 3), (ARRAY,), indices(4, 0), **SINGLE),
    *along("first", (5, 3, 4), 0),
    *along("middle", (40, 7, 9), 1, "i4", **SINGLE),
    *along("last", (6, 5), 1, "u1", **SINGLE),
    *along("one", (1,), 0, **SINGLE),
    *along("none", (0, 3), 1, **SINGLE),
    kernel_case("pick", (4, 3), np.array([-1, 0, -3, 2]), axis=1, id="pick-negative", **SINGLE),
]
