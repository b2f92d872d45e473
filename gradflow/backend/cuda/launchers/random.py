"""Launchers of random numbers and dropout. The key, (seed, offset), changes from call to call."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...dtypes import is_floating
from ..launcher import FLOATS, launcher
from ..operand import Operand
from ..plan import BLOCK, INT_SIZE, Planner
from ..signature import dtype_key
from .activation import full_width

BITS = {"f4": 24, "f8": 53, "f2": 11, "bfloat16": 8}
"""How many random bits a uniform number of each dtype holds exactly."""


@launcher("random.cu", runtime=("key",))
def random_uniform(plan: Planner, *, shape: tuple[int, ...], dtype: np.dtype, key: Any) -> Operand:
    plan.require(dtype_key(dtype) in FLOATS, f"dtype {dtype}")
    out, bits = plan.empty(shape, dtype), BITS[dtype_key(dtype)]
    threads = -(-out.size // (4 if bits == 53 else 8))
    plan.launch("random_uniform", [dtype, bits], out, out.size, key[0], key[1], threads=threads)
    return out


@launcher("random.cu", runtime=("key",))
def random_normal(plan: Planner, *, shape: tuple[int, ...], dtype: np.dtype, key: Any) -> Operand:
    plan.require(dtype_key(dtype) in FLOATS, f"dtype {dtype}")
    out = plan.empty(shape, dtype)
    pairs = -(-out.size // 2)
    plan.launch("random_normal", [dtype], out, out.size, pairs, key[0], key[1], threads=-(-pairs // 4))
    return out


@launcher("random.cu", runtime=("key", "low", "span"))
def random_integers(plan: Planner, *, shape: tuple[int, ...], low: Any, span: Any, key: Any) -> Operand:
    out = plan.empty(shape, "i8")
    plan.launch("random_integers", [], out, out.size, key[0], key[1], low, span, threads=-(-out.size // 4))
    return out


@launcher("random.cu", runtime=("key",))
def random_permutation(plan: Planner, *, shape: tuple[int, ...], key: Any) -> Operand:
    words, out = plan.empty(shape, "u8"), plan.empty(shape, "i8")
    plan.launch("random_words", [], words, words.size, key[0], key[1], threads=-(-words.size // 4))
    plan.call(_argsort, words, out)
    return out


def _argsort(np: Any, words: Any, out: Any) -> None:
    out[...] = np.argsort(words, axis=-1, kind="stable")


@launcher("random.cu", runtime=("key",))
def dropout(
    plan: Planner, x: Operand, *, key: Any, p: float, mask_shape: tuple[int, ...], residual: bool = False
) -> Any:  # fmt: skip
    """y, and no mask: the backward pass makes it again."""
    plan.require(is_floating(x.dtype), f"dtype {x.dtype}")
    size = math.prod(mask_shape)
    limit, scale = round(p * 2**32), 1.0 / (1.0 - p) if p < 1.0 else 0.0
    if _is_channels_last(x) and x.shape == mask_shape and x.size < INT_SIZE:
        y = plan.empty_like(x)
        images, channels, pixels = x.shape[0], x.shape[1], x.shape[2] * x.shape[3]
        groups = -(-pixels // 8)
        threads = images * channels * groups
        plan.launch(
            "dropout_channels_last", [x.dtype], x, y, threads, plan.fast_div(channels), plan.fast_div(groups), pixels,
            key[0], key[1], limit, scale, threads=threads,
        )  # fmt: skip
        return (y, None) if residual else y
    x = plan.contiguous(x)
    y = plan.empty_like(x)
    rows, n = x.size // max(size, 1), full_width(x, y)
    n = n if size % n == 0 else 1
    blocks = min(-(-size // (8 * BLOCK)), plan.max_blocks)
    across = max(1, min(rows, plan.max_blocks // max(blocks, 1)))
    plan.launch(
        "dropout", [x.dtype, n], x, y, rows, size, key[0], key[1], limit, scale, grid=(blocks if x.size else 0, across)
    )
    return (y, None) if residual else y


def _is_channels_last(x: Operand) -> bool:
    return x.ndim == 4 and not x.is_c and x.transpose(0, 2, 3, 1).is_c
