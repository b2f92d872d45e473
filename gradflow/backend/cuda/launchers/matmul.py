"""The launcher of products of matrices, by cuBLAS."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from ...dtypes import is_floating
from ..blas import LIMIT, readable
from ..launcher import launcher
from ..operand import Operand
from ..plan import Planner


@launcher(None)
def matmul(plan: Planner, a: Operand, b: Operand) -> Operand:
    """(..., n, k) @ (..., k, m) -> (..., n, m), leading axes broadcast."""
    plan.require(is_floating(a.dtype), f"operands of dtype {a.dtype}")
    plan.require(max(*a.shape, *b.shape) <= LIMIT, "an axis of 2**31 elements")
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    out = plan.empty((*lead, a.shape[-2], b.shape[-1]), a.dtype)
    left, right = [_batch(plan, x, lead) for x in (a, b)]
    plan.matmul(left, right, out.reshape(math.prod(lead), *out.shape[-2:]))
    return out


def _batch(plan: Planner, x: Operand, lead: Sequence[int]) -> Operand:
    """x broadcast to leading axes, as (batch, rows, columns) with rows or columns contiguous, copied where need be."""
    if not readable(x.view(x.shape[-2:], x.strides[-2:])):
        x = plan.contiguous(x)
    missing = len(lead) - (x.ndim - 2)
    steps = [0] * missing + [0 if n == 1 else s for n, s in zip(x.shape[:-2], x.strides[:-2], strict=True)]
    stride = _one_stride(lead, steps)
    if stride is None or stride < 0:
        x = plan.contiguous(x.view((*lead, *x.shape[-2:]), (*steps, *x.strides[-2:])))
        stride = x.itemsize * math.prod(x.shape[-2:])
    return x.view((math.prod(lead), *x.shape[-2:]), (stride, *x.strides[-2:]))


def _one_stride(shape: Sequence[int], strides: Sequence[int]) -> int | None:
    """The stride that walks through all axes as through one, if there is one."""
    axes = [(n, s) for n, s in zip(shape, strides, strict=True) if n != 1]
    if any([s != n * t for (_, s), (n, t) in pairwise(axes)]):
        return None
    return axes[-1][1] if axes else 0
