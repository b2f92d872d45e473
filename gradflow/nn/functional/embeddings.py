"""Rows of a table by index, and one-hot vectors."""

from __future__ import annotations

from typing import Any

from ...autograd.primitive import BIND
from ...autograd.value import backend_under, unwrap
from ...backend.base import guarded
from ...ops import index as _index


def embedding(input: Any, weight: Any, padding_idx: int | None = None) -> Any:
    """y = weight[input]: indices (...) in [0, n), weight (n, d) -> (..., d).

    Row `padding_idx` is used as any other, but gets no gradient. Raises IndexError for an index out of range; on
    devices with kernels, at the next synchronisation.
    """
    if weight.ndim != 2:
        raise ValueError(f"[embedding] weight must be (n, d), got {tuple(weight.shape)}")
    if input.dtype.kind not in "iu":
        raise TypeError(f"[embedding] indices must be integers, got {input.dtype}")
    n = weight.shape[0]
    if padding_idx is not None:
        padding_idx = row_of_padding("embedding", padding_idx, n)
    if "embedding" not in backend_under(input).kernels:  # the kernel checks, as it reads the indices anyway
        _check("embedding", input, n, f"weight has rows 0 to {n - 1}")
    return _index.embedding(weight, input, padding_idx=padding_idx)


def one_hot(input: Any, num_classes: int = -1) -> Any:
    """1 at the class and 0 elsewhere: classes (...) in [0, n) -> int64 (..., n).

    n is the largest class + 1 unless given, which has to wait for the device. Raises IndexError for a class out of
    range, and ValueError where there is none to tell n.
    """
    if input.dtype.kind not in "iu":
        raise TypeError(f"[one_hot] classes must be integers, got {input.dtype}")
    if num_classes == -1:
        if input.size == 0:
            raise ValueError("[one_hot] cannot tell the number of classes from an empty tensor; pass num_classes")
        raw = unwrap(input)
        with guarded(backend_under(input)):
            num_classes = int(raw.max()) + 1
    if num_classes < 1:
        raise ValueError(f"[one_hot] num_classes must be positive, or -1 to find it, got {num_classes}")
    _check("one_hot", input, num_classes, f"there are classes 0 to {num_classes - 1}")
    classes = BIND.astype(input, dtype="int64")
    return BIND.place(BIND.ones_like(classes), classes, axis=len(input.shape), n=num_classes)


def _check(op: str, index: Any, n: int, known: str) -> None:
    backend = backend_under(index)
    with guarded(backend):
        bad = backend.check_index(unwrap(index), 0, n, op)
    if bad is not None:
        raise IndexError(f"[{op}] the input holds {bad}, but {known}")


def row_of_padding(op: str, padding_idx: int, n: int) -> int:
    """`padding_idx` counted from the start."""
    if not -n <= padding_idx < n:
        raise ValueError(f"[{op}] padding_idx {padding_idx} is outside of the {n} rows")
    return padding_idx % n


__all__ = ["embedding", "one_hot"]
