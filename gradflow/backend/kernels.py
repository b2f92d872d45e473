"""Counters of kernel launches and of calls a kernel declined, by name, so that tests can prove which path ran."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

_launches: Counter[str] = Counter()
_fallbacks: dict[str, Counter[str]] = {}


class Declined:
    """What a kernel's launcher returns when it leaves a call to the array code, with the reason."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __repr__(self) -> str:
        return f"<declined: {self.reason}>"


ABSENT = Declined("there is no kernel of this name")


def run(table: Mapping[str, Callable[..., Any]], name: str, /, *args: Any, **static: Any) -> Any:
    """What the kernel `name` of a backend's table returns, counted; Declined where it declines or is not there."""
    if name not in table:
        return ABSENT
    out = table[name](*args, **static)
    if type(out) is Declined:
        _fallbacks.setdefault(name, Counter())[out.reason] += 1
    else:
        _launches[name] += 1
    return out


def launches() -> dict[str, int]:
    """How often each kernel has run since the last `reset()`."""
    return dict(_launches)


def fallbacks() -> dict[str, dict[str, int]]:
    """How often each kernel declined, so that the array code of the same name ran instead: name -> reason -> calls."""
    return {name: dict(reasons) for name, reasons in _fallbacks.items()}


def reset() -> None:
    """Set all counters to zero."""
    _launches.clear()
    _fallbacks.clear()
