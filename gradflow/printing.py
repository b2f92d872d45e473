"""How tensors print."""

from __future__ import annotations

from typing import Any

import numpy as np

from .autograd.tape import MAIN
from .backend.dtypes import get_default_dtype


def show(x: Any) -> str:
    """`tensor([1., 2.], requires_grad=True)`, with dtype and device where they are not the usual ones."""
    if x.level is not MAIN:
        return f"<value inside {x.level.name}, shape {tuple(x.shape)}, {x.dtype}>"
    array = x.numpy()
    body = np.array2string(
        array.astype("f4") if array.dtype.name == "bfloat16" else array,
        separator=", ",
        prefix="tensor(",
        precision=4,
        threshold=1000,
        suppress_small=True,
    )
    extra = []
    if x.size_ == 0 and x.ndim != 1:
        extra.append(f"size={tuple(x.shape)}")
    if str(x.device) != "cpu":
        extra.append(f"device='{x.device}'")
    if array.dtype not in (get_default_dtype(), np.dtype("i8"), np.dtype("?")):
        extra.append(f"dtype={array.dtype}")
    if x.grad_fn is not None:
        extra.append(f"grad_fn=<{x.grad_fn.name()}>")
    elif x.tracked:
        extra.append("requires_grad=True")
    return f"tensor({', '.join([body, *extra])})"
