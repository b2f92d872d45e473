"""What losses share: `reduction`, and operands of one shape."""

from __future__ import annotations

from typing import Any

from ...functions import mean, sum
from ...functions.arguments import check_tensors


def check_reduction(op: str, reduction: str, *others: str) -> None:
    """Raise ValueError for a reduction there is not."""
    known = ("mean", "sum", "none", *others)
    if reduction not in known:
        raise ValueError(f"[{op}] reduction must be one of {', '.join([repr(k) for k in known])}, got {reduction!r}")


def reduced(op: str, loss: Any, reduction: str) -> Any:
    """The mean of a loss, its sum, or itself."""
    check_reduction(op, reduction)
    return mean(loss) if reduction == "mean" else sum(loss) if reduction == "sum" else loss


def _shown(tensors: dict[str, Any]) -> str:
    return ", ".join([f"{name} {tuple(t.shape)}" for name, t in tensors.items()])


def check_ranks(op: str, **tensors: Any) -> None:
    """Raise ValueError unless all have as many dimensions."""
    check_tensors(op, **tensors)
    if len({t.ndim for t in tensors.values()}) > 1:
        raise ValueError(f"[{op}] needs tensors of as many dimensions ({_shown(tensors)}); unsqueeze() adds some")


def check_shapes(op: str, **tensors: Any) -> None:
    """Raise ValueError unless all have one shape: broadcast losses are nearly always mistakes."""
    check_tensors(op, **tensors)
    if len({tuple(t.shape) for t in tensors.values()}) > 1:
        shown = _shown(tensors)
        raise ValueError(f"[{op}] needs tensors of one shape ({shown}); broadcast them with expand() if that is meant")
