"""Sequences of different lengths in one tensor: padded, or packed for recurrent layers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from ...autograd.value import Value, device_under
from ...creation import full, tensor
from ...functions import argsort, cat, reshape, split, stack, transpose
from ...ops.elementwise import astype


class _Packed(NamedTuple):
    data: Any
    batch_sizes: Any
    sorted_indices: Any
    unsorted_indices: Any


class PackedSequence(_Packed):
    """The steps of several sequences without padding: those of step 0, longest sequence first, then of step 1, ...

    data              (sum of lengths, ...)
    batch_sizes       (T,) on the CPU: how many sequences reach each step
    sorted_indices    (N,): which sequence was given at each place, longest first; None where they were in this order
    unsorted_indices  (N,): the inverse
    """

    def __new__(
        cls, data: Any, batch_sizes: Any, sorted_indices: Any = None, unsorted_indices: Any = None
    ) -> PackedSequence:
        if unsorted_indices is None and sorted_indices is not None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *target: Any, **options: Any) -> PackedSequence:
        """With data of another dtype, or on another device together with the indices."""
        data = self.data.to(*target, **options)
        moved = [None if i is None else i.to(device=data.device) for i in (self.sorted_indices, self.unsorted_indices)]
        return PackedSequence(data, self.batch_sizes, *moved)

    def cpu(self) -> PackedSequence:
        return self.to("cpu")

    def cuda(self, device: Any = "cuda") -> PackedSequence:
        return self.to(device)

    @property
    def is_cuda(self) -> bool:
        return bool(self.data.is_cuda)


def invert_permutation(permutation: Any) -> Any:
    """The permutation that undoes another, (N,) each; None for None."""
    return None if permutation is None else argsort(permutation)


def reordered(state: Any, order: Any) -> Any:
    """state (layers, N, features) with the examples in another order, or as it is (None)."""
    return state if order is None else state[:, order]


def _on_host(numbers: Any) -> np.ndarray:
    return np.asarray(numbers.numpy() if isinstance(numbers, Value) else numbers, "i8")  # type: ignore[attr-defined]


def pack_padded_sequence(
    input: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """The first lengths[n] steps of each sequence n of (T, N, ...), with batch_first (N, T, ...), packed.

    With enforce_sorted they must come longest first. Raises ValueError where they do not, or lengths do not fit.
    """
    if input.ndim < 2:
        raise ValueError(f"[pack_padded_sequence] expected sequences (T, N, ...), got {tuple(input.shape)}")
    x = transpose(input, 0, 1) if batch_first else input
    steps, n = x.shape[:2]
    sizes = _on_host(lengths)
    if sizes.shape != (n,) or not n or sizes.min() < 1 or sizes.max() > steps:
        raise ValueError(
            f"[pack_padded_sequence] lengths must be {n} numbers from 1 to {steps}, got {sizes.tolist()} (input "
            f"{tuple(input.shape)})"
        )
    order = np.arange(n) if enforce_sorted else np.argsort(-sizes, kind="stable")
    if (np.diff(sizes[order]) > 0).any():
        raise ValueError(
            "[pack_padded_sequence] lengths must not increase where enforce_sorted=True; pass enforce_sorted=False"
        )
    step = np.arange(sizes.max())[:, None]
    present = step < sizes[order]
    device = device_under(x)
    rows = reshape(x, steps * n, *x.shape[2:])[tensor((step * n + order)[present], device=device)]
    batch_sizes = tensor(present.sum(1), device="cpu")
    if enforce_sorted:
        return PackedSequence(rows, batch_sizes)
    indices = [tensor(i, device=device) for i in (order, np.argsort(order))]
    return PackedSequence(rows, batch_sizes, *indices)


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Any, Any]:
    """(padded, lengths): (T, N, ...), with batch_first (N, T, ...), in the order they were packed from, and (N,).

    T is the longest sequence's length, or total_length, which must not be less.
    """
    data, sizes = sequence.data, _on_host(sequence.batch_sizes)
    steps, n, device = len(sizes), sizes[0], device_under(sequence.data)
    total = steps if total_length is None else total_length
    if total < steps:
        raise ValueError(f"[pad_packed_sequence] total_length {total} is less than the longest sequence's {steps}")
    place = np.arange(n) if sequence.unsorted_indices is None else _on_host(sequence.unsorted_indices)
    rows = np.full((total, n), data.shape[0])  # the last one is padding
    starts = np.cumsum(sizes) - sizes
    rows[:steps] = np.where(place < sizes[:, None], starts[:, None] + place, data.shape[0])
    padding = full((1, *data.shape[1:]), padding_value, dtype=data.dtype, device=device)
    padded = cat([data, padding])[tensor(rows.T if batch_first else rows, device=device)]
    return padded, tensor((place < sizes[:, None]).sum(0), device="cpu")


def pad_sequence(
    sequences: Iterable[Any], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Any:
    """Sequences (length, ...) as one tensor (T, N, ...), with batch_first (N, T, ...), T the longest one's length.

    Its dtype is the first sequence's.
    """
    held = list(sequences)
    if padding_side not in ("left", "right"):
        raise ValueError(f"[pad_sequence] padding_side must be 'left' or 'right', got {padding_side!r}")
    shapes = [tuple(s.shape) for s in held]
    if not held or any([not shape or shape[1:] != shapes[0][1:] for shape in shapes]):
        raise ValueError(f"[pad_sequence] expected sequences that differ in their first size only, got {shapes}")
    steps, dtype = max([shape[0] for shape in shapes]), held[0].dtype
    rows = []
    for s in held:
        s = s if s.dtype == dtype else astype(s, dtype=dtype)
        if s.shape[0] < steps:
            missing = (steps - s.shape[0], *s.shape[1:])
            padding = full(missing, padding_value, dtype=dtype, device=device_under(s))
            s = cat([s, padding] if padding_side == "right" else [padding, s])
        rows.append(s)
    return stack(rows, 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Any, lengths: Any, batch_first: bool = False) -> list[Any]:
    """The sequences (length, ...) in a padded tensor."""
    axis = 0 if batch_first else 1
    rows = [r.squeeze(axis) for r in split(padded_sequences, 1, axis)]
    return [row[:length] for row, length in zip(rows, _on_host(lengths).tolist(), strict=True)]


def pack_sequence(sequences: Iterable[Any], enforce_sorted: bool = True) -> PackedSequence:
    """Sequences (length, ...) packed; longest first, unless enforce_sorted=False."""
    held = list(sequences)
    return pack_padded_sequence(pad_sequence(held), [s.shape[0] for s in held], enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Any]:
    """The sequences (length, ...) that were packed."""
    return unpad_sequence(*pad_packed_sequence(packed_sequences))


__all__ = [
    "PackedSequence", "invert_permutation", "pack_padded_sequence", "pack_sequence", "pad_packed_sequence",
    "pad_sequence", "unpack_sequence", "unpad_sequence",
]  # fmt: skip
