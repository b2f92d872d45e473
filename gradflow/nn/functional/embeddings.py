"""Rows of a table by index, and one-hot vectors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...autograd.primitive import BIND
from ...autograd.value import TransformError, Value, backend_under, host_array, is_mapped, unwrap
from ...backend.base import guarded
from ...functions.indexing import getitem
from ...functions.scattering import scatter_reduce
from ...functions.shape import ravel
from ...ops import index as _index


def embedding(
    input: Any, weight: Any, padding_idx: int | None = None, max_norm: float | None = None, norm_type: float = 2.0,
    scale_grad_by_freq: bool = False, sparse: bool = False,
) -> Any:  # fmt: skip
    """y = weight[input]: indices (...) in [0, n), weight (n, d) -> (..., d).

    padding_idx         a row that is used as any other, but gets no gradient
    max_norm            rows that are used and whose `norm_type`-norm is larger are first scaled to it: in place, so
                        that weight must be a tensor that can be changed
    scale_grad_by_freq  divide each row's gradient by how often it was used

    Gradients are dense: `sparse` is refused. Raises IndexError for an index out of range; on devices with kernels, at
    the next synchronisation.
    """
    if sparse:
        raise NotImplementedError("[embedding] there are no sparse gradients; leave sparse out")
    _integers("embedding", input)
    if weight.ndim != 2:
        raise ValueError(f"[embedding] weight must be (n, d), got {tuple(weight.shape)}")
    n = weight.shape[0]
    if padding_idx is not None:
        padding_idx = row_of_padding("embedding", padding_idx, n)
    if max_norm is not None or "embedding" not in backend_under(input).kernels:  # the kernel checks, as it reads them
        _check("embedding", input, n, f"weight has rows 0 to {n - 1}")
    if max_norm is not None:
        _renormalize(weight, input, max_norm, norm_type)
    rows = _index.embedding(weight, input, padding_idx=padding_idx)
    if not scale_grad_by_freq:
        return rows
    flat = BIND.reshape(BIND.astype(input, dtype="int64"), shape=(math.prod(input.shape),))
    uses = _index.scatter_add(BIND.ones_like(flat), flat, spec=(_index.ARRAY,), shape=(n,))
    share = BIND.divide(1.0, BIND.astype(_index.embedding(uses, input), dtype=weight.dtype))
    return _index.scale_gradient(rows, BIND.reshape(share, shape=(*input.shape, 1)))


def _renormalize(weight: Any, index: Any, max_norm: float, norm_type: float) -> None:
    """Scale the rows that `index` names, and whose norm is larger, to max_norm, in place."""
    if not hasattr(weight, "detach"):
        raise TypeError("[embedding] max_norm changes weight in place, which must be a tensor")
    weight, index = weight.detach(), index.reshape(-1).long()
    rows = _index.embedding(weight, index)
    size = BIND.absolute(rows)
    if norm_type == math.inf:
        norm = BIND.amax(size, axis=1, keepdims=True)
    else:
        norm = BIND.power(BIND.sum(BIND.power(size, norm_type), axis=1, keepdims=True), 1.0 / norm_type)
    weight[index] = rows * BIND.where(BIND.greater(norm, max_norm), max_norm / (norm + 1e-7), 1.0)


def embedding_bag(
    input: Any, weight: Any, offsets: Any = None, max_norm: float | None = None, norm_type: float = 2.0,
    scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False, per_sample_weights: Any = None,
    include_last_offset: bool = False, padding_idx: int | None = None,
) -> Any:  # fmt: skip
    """y[b] = the "sum", "mean" or "max" of the rows of weight (n, d) that bag b names: (bags, d), zeros for no rows.

    input               indices (bags, k), or a vector, of which bag b is what begins at offsets[b]
    include_last_offset the last of `offsets` is the end of the last bag
    per_sample_weights  of input's shape: factors of the rows, for mode "sum"
    padding_idx         an index that does not count

    The others are those of `embedding`. Vectors of indices, and `padding_idx`, have to wait for the device. In mode
    "max" equal elements share the gradient.
    """
    _integers("embedding_bag", input)
    if mode not in ("sum", "mean", "max"):
        raise ValueError(f"[embedding_bag] mode must be 'sum', 'mean' or 'max', got {mode!r}")
    if per_sample_weights is not None and mode != "sum":
        raise NotImplementedError(f"[embedding_bag] per_sample_weights are for mode 'sum', got mode {mode!r}")
    if scale_grad_by_freq and mode == "max":
        raise ValueError("[embedding_bag] scale_grad_by_freq is not for mode 'max'")
    if per_sample_weights is not None and tuple(per_sample_weights.shape) != tuple(input.shape):
        raise ValueError(
            f"[embedding_bag] per_sample_weights must be of input's shape {tuple(input.shape)}, got "
            f"{tuple(per_sample_weights.shape)}"
        )
    sizes = _bag_sizes(input, offsets, include_last_offset)
    bags = backend_under(input).from_host(np.repeat(np.arange(len(sizes)), sizes))
    index, factors = ravel(input), None if per_sample_weights is None else ravel(per_sample_weights)
    if padding_idx is not None:
        counted = BIND.not_equal(index, row_of_padding("embedding_bag", padding_idx, weight.shape[0]))
        index, bags = getitem(index, counted), getitem(bags, counted)
        factors = None if factors is None else getitem(factors, counted)
    rows = embedding(index, weight, None, max_norm, norm_type, scale_grad_by_freq, sparse)
    shape = (len(sizes), weight.shape[1])
    if mode == "max":
        zeros = backend_under(weight).from_host(np.zeros(shape, weight.dtype))
        places = BIND.broadcast_to(BIND.reshape(bags, shape=(rows.shape[0], 1)), shape=tuple(rows.shape))
        return scatter_reduce(zeros, 0, places, rows, "amax", include_self=False)
    if factors is not None:
        rows = rows * BIND.reshape(factors, shape=(rows.shape[0], 1))
    sums = _index.scatter_add(rows, bags, spec=(_index.ARRAY,), shape=shape)
    if mode == "sum":
        return sums
    uses = _index.scatter_add(BIND.ones_like(bags), bags, spec=(_index.ARRAY,), shape=shape[:1])
    count = BIND.astype(BIND.maximum(uses, 1), dtype=weight.dtype)
    return sums / BIND.reshape(count, shape=(shape[0], 1))


def _bag_sizes(input: Any, offsets: Any, include_last_offset: bool) -> np.ndarray:
    """How many indices each bag has."""
    if input.ndim == 2:
        if offsets is not None:
            raise ValueError(f"[embedding_bag] offsets are for a vector of indices, got input {tuple(input.shape)}")
        return np.full(input.shape[0], input.shape[1])
    if input.ndim != 1 or offsets is None or offsets.ndim != 1:
        raise ValueError(
            f"[embedding_bag] expected indices (bags, k), or a vector of them and one of offsets, got input "
            f"{tuple(input.shape)}, offsets {None if offsets is None else tuple(offsets.shape)}"
        )
    if offsets.dtype.kind not in "iu":
        raise TypeError(f"[embedding_bag] offsets must be integers, got {offsets.dtype}")
    starts = host_array(offsets, "embedding_bag") if isinstance(offsets, Value) else np.asarray(offsets)
    ends = starts[1:] if include_last_offset else np.append(starts[1:], input.shape[0])
    sizes = ends - starts[: len(ends)]
    last = starts[-1] if len(starts) else 0
    if (sizes < 0).any() or last > input.shape[0] or (len(starts) and starts[0] != 0):
        raise ValueError(
            f"[embedding_bag] offsets must begin with 0, not decrease, and stay within the {input.shape[0]} indices, "
            f"got {starts.tolist()}"
        )
    if include_last_offset and last != input.shape[0]:
        raise ValueError(f"[embedding_bag] the last offset must be {input.shape[0]}, the end of input, got {last}")
    return sizes  # type: ignore[no-any-return]


def one_hot(input: Any, num_classes: int = -1) -> Any:
    """1 at the class and 0 elsewhere: classes (...) in [0, n) -> int64 (..., n).

    n is the largest class + 1 unless given, which has to wait for the device. Raises IndexError for a class out of
    range, and ValueError where there is none to tell n.
    """
    _integers("one_hot", input)
    if num_classes == -1:
        if 0 in input.shape:
            raise ValueError("[one_hot] cannot tell the number of classes from an empty tensor; pass num_classes")
        if is_mapped(input):
            raise TransformError(
                "[one_hot] the number of classes may differ among what vmap maps over; pass num_classes"
            )
        raw = unwrap(input)
        with guarded(backend_under(input)):
            num_classes = int(raw.max()) + 1
    if num_classes < 1:
        raise ValueError(f"[one_hot] num_classes must be positive, or -1 to find it, got {num_classes}")
    _check("one_hot", input, num_classes, f"there are classes 0 to {num_classes - 1}")
    classes = BIND.astype(input, dtype="int64")
    return BIND.place(BIND.ones_like(classes), classes, axis=len(input.shape), n=num_classes)


def _integers(op: str, index: Any) -> None:
    if not hasattr(index, "dtype") or index.dtype.kind not in "iu":
        got = getattr(index, "dtype", type(index).__name__)
        raise TypeError(f"[{op}] input must be a tensor of integers, got {got}")


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


__all__ = ["embedding", "embedding_bag", "one_hot"]
