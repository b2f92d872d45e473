"""Counters of kernel launches and of calls a kernel declined, by name, so that tests can prove which path ran."""

from __future__ import annotations

from collections import Counter

_launches: Counter[str] = Counter()
_fallbacks: Counter[str] = Counter()


def count_launch(name: str) -> None:
    _launches[name] += 1


def count_fallback(name: str) -> None:
    _fallbacks[name] += 1


def launches() -> dict[str, int]:
    """How often each kernel has run since the last `reset()`."""
    return dict(_launches)


def fallbacks() -> dict[str, int]:
    """How often each kernel declined, so that the array code of the same name ran instead."""
    return dict(_fallbacks)


def reset() -> None:
    """Set all counters to zero."""
    _launches.clear()
    _fallbacks.clear()
