"""Connectionist temporal classification."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...autograd.grad_mode import no_grad
from ...autograd.primitive import BIND
from ...autograd.value import Value, backend_under, unwrap
from ...backend.dtypes import is_floating, is_half
from ...functions import cat, exp, log, mean, sum, unsqueeze, where
from ...ops import index as _index
from .reduced import check_reduction

NEVER = -1e30
"""The logarithm of 0: a finite one, so that differences of two of them are not NaN."""


def ctc_loss(
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:
    """-log of the probability of a label sequence, summed over its alignments to T steps (Graves et al., 2006).

    log_probs (T, N, C) or (T, C); targets (N, S), or all sequences one after the other; lengths (N,) as tensors, lists
    or arrays. "mean" divides each loss by its target's length, then averages. zero_infinity makes losses of targets
    that do not fit their input 0, with zero gradients. The gradient is this formula's; PyTorch's takes log_probs for
    what log_softmax gave, through which both are the same. Raises ValueError for lengths that do not fit, IndexError
    for labels outside [0, C).
    """
    op = "ctc_loss"
    check_reduction(op, reduction)
    if not is_floating(log_probs.dtype) or log_probs.ndim not in (2, 3):
        raise ValueError(f"[{op}] log_probs must be floating, (T, N, C) or (T, C), got {tuple(log_probs.shape)}")
    one = log_probs.ndim == 2
    x = unsqueeze(log_probs, 1) if one else log_probs
    if is_half(x.dtype):
        args = (targets, input_lengths, target_lengths, blank, reduction, zero_infinity)
        return BIND.astype(ctc_loss(BIND.astype(log_probs, dtype="float32"), *args), dtype=x.dtype)
    steps, n, classes = x.shape
    if not steps or not n:
        raise ValueError(f"[{op}] log_probs must not be empty, got {tuple(log_probs.shape)}")
    if not 0 <= blank < classes:
        raise ValueError(f"[{op}] blank {blank} is none of {classes} classes")
    inputs, lengths = _lengths(op, input_lengths, n, steps), _lengths(op, target_lengths, n, None)
    labels = _padded(op, targets, lengths, classes, blank)
    loss = -_log_likelihood(x, labels, inputs, lengths, blank)
    loss = where(loss > -NEVER / 2, 0.0 if zero_infinity else np.inf, loss)
    if reduction == "mean":
        return mean(loss / backend_under(x).from_host(np.maximum(lengths, 1).astype("f4")))
    return sum(loss) if reduction == "sum" else loss[0] if one else loss


def _log_likelihood(x: Any, labels: np.ndarray, inputs: np.ndarray, lengths: np.ndarray, blank: int) -> Any:
    """Forward variables, step by step: a[t, s] = x[t, s] + log(sum of exp(a[t - 1, s]), of s - 1, and of s - 2 where a
    blank may be skipped), over the labels with blanks between them and around them."""
    device = backend_under(x).from_host
    n, places = len(lengths), 2 * labels.shape[1] + 1
    extended = np.full((n, places), blank)
    extended[:, 1::2] = labels
    skips = np.zeros((n, places), bool)
    skips[:, 3::2] = labels[:, 1:] != labels[:, :-1]
    spec = ((None, None, None), _index.ARRAY, _index.ARRAY)
    emitted = _index.getitem(x, device(np.arange(n)[:, None]), device(extended), spec=spec)  # (T, N, places)
    start = np.where(np.arange(places) < 2, 0.0, NEVER) + np.zeros((n, 1))
    start[(lengths == 0) | (inputs == 0), 1:] = NEVER
    first = device(start.astype("f4"))
    a = where(device((inputs > 0)[:, None]), BIND.maximum(emitted[0] + first, NEVER), first)
    never = BIND.broadcast_to(BIND.add(BIND.zeros_like(BIND.sum(emitted)), NEVER), shape=(n, 2))
    may_skip = device(skips)
    for t in range(1, len(emitted)):
        before = cat([never, a], 1)
        ways = a, before[:, 1:-1], where(may_skip, before[:, :-2], NEVER)
        running = device((t < inputs)[:, None])
        a = where(running, BIND.maximum(_log_sum(ways) + emitted[t], NEVER), a)
    last = _index.pick(a, device(2 * lengths), axis=1)
    other = where(device(lengths > 0), _index.pick(a, device(np.maximum(2 * lengths - 1, 0)), axis=1), NEVER)
    return _log_sum((last, other))


def _log_sum(ways: tuple[Any, ...]) -> Any:
    """log of the sum of exp."""
    with no_grad():
        largest = ways[0]
        for way in ways[1:]:
            largest = BIND.maximum(largest, way)
    total = exp(ways[0] - largest)
    for way in ways[1:]:
        total = total + exp(way - largest)
    return log(total) + largest


def _host(op: str, name: str, value: Any) -> np.ndarray:
    if isinstance(value, Value):
        backend, raw = backend_under(value), unwrap(value)
        if tuple(raw.shape) != tuple(value.shape):
            raise ValueError(f"[{op}] {name} must be the same for all examples of vmap; give ctc_loss the batch")
        value = backend.to_host(raw) if backend.array_type is not np.ndarray else raw
    array = np.asarray(value)
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"[{op}] {name} must be integers, got {array.dtype}")
    return array.astype("i8")


def _lengths(op: str, lengths: Any, n: int, most: int | None) -> np.ndarray:
    name = "target_lengths" if most is None else "input_lengths"
    found = np.atleast_1d(_host(op, name, lengths))
    if found.shape != (n,):
        raise ValueError(f"[{op}] {name} must hold {n} numbers, one per sequence, got shape {found.shape}")
    if (found < 0).any() or (most is not None and (found > most).any()):
        bound = "not be negative" if most is None else f"be between 0 and {most}"
        raise ValueError(f"[{op}] {name} must {bound}, got {found.tolist()}")
    return found


def _padded(op: str, targets: Any, lengths: np.ndarray, classes: int, blank: int) -> np.ndarray:
    """Labels as rows (N, longest), whose ends are filled with a label that does not count."""
    given = _host(op, "targets", targets)
    n, longest = len(lengths), int(lengths.max(initial=0))
    out = np.full((n, longest), (blank + 1) % classes)
    counts = np.arange(longest) < lengths[:, None]
    if given.ndim == 2 and given.shape[0] == n and given.shape[1] >= longest:
        out[counts] = given[:, :longest][counts]
    elif given.ndim == 1 and given.size == lengths.sum():
        out[counts] = given
    else:
        raise ValueError(
            f"[{op}] targets {given.shape} are neither ({n}, {longest} or more) nor {lengths.sum()} labels in a row"
        )
    if (out[counts] < 0).any() or (out[counts] >= classes).any():
        raise IndexError(f"[{op}] targets hold labels outside [0, {classes - 1}]")
    return out


__all__ = ["ctc_loss"]
