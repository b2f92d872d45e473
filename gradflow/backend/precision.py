"""How precisely float32 matrices are multiplied on a GPU."""

from __future__ import annotations

_PRECISIONS = ("highest", "high", "medium")
_chosen = ["highest"]


def get_float32_matmul_precision() -> str:
    """How float32 matrices are multiplied on a GPU: "highest" at the start."""
    return _chosen[0]


def set_float32_matmul_precision(precision: str) -> None:
    """Have matrix products and convolutions of float32 on a GPU multiply in "highest", "high" or "medium" precision.

    highest  float32, 24 bits of significand
    high     TensorFloat-32, 11 bits: several times as fast on GPUs that have it (Ampere and later)
    medium   bfloat16, 8 bits
    Sums are in float32. CPUs always multiply in float32.
    """
    if precision not in _PRECISIONS:
        raise ValueError(f"[set_float32_matmul_precision] expected one of {_PRECISIONS}, got {precision!r}")
    from .cuda.launcher import forget_plans

    _chosen[0] = precision
    forget_plans()
