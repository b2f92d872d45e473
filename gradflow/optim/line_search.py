"""A line search by cubic interpolation, for a step that satisfies the strong Wolfe conditions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple


class Point(NamedTuple):
    """A place on the line: the step size, the loss, the gradient, and its part along the line."""

    t: float
    loss: float
    g: Any
    slope: float


def cubic(a: Point, b: Point, low: float, high: float) -> float:
    """The minimum between low and high of the cubic through two points with their slopes; the middle if it has none."""
    d1 = a.slope + b.slope - 3 * _over(a.loss - b.loss, a.t - b.t)
    square = d1**2 - a.slope * b.slope
    if not square >= 0:
        return (low + high) / 2.0
    d2 = math.sqrt(square)
    if a.t > b.t:
        a, b = b, a
    place = b.t - (b.t - a.t) * _over(b.slope + d2 - d1, b.slope - a.slope + 2 * d2)
    return min(max(place, low), high)


def _over(x: float, y: float) -> float:
    """x / y as arrays divide."""
    if y:
        return x / y
    return math.nan if not x or math.isnan(x) else math.copysign(math.inf, x)


def strong_wolfe(
    evaluate: Callable[[float], tuple[float, Any]],
    t: float,
    d: Any,
    d_norm: float,
    loss: float,
    g: Any,
    slope: float,
    most: int,
    c1: float = 1e-4,
    c2: float = 0.9,
    tolerance: float = 1e-9,
) -> tuple[float, Any, float, int]:
    """(loss, gradient, step size, evaluations) after at most about `most` iterations, from the guess t along d.

    Accepted is a loss below loss + c1 t slope whose slope is below c2 |slope| in size; a bracket around such a place is
    widened until it holds one, then narrowed (Nocedal and Wright, Numerical Optimization, 3.5 and 3.6).
    """

    def at(t: float) -> Point:
        value, gradient = evaluate(t)
        return Point(t, value, gradient, float(gradient @ d))

    start = previous = Point(0.0, loss, g, slope)
    new, used, n = at(t), 1, 0
    bracket: list[Point] = []
    done = False
    while n < most:
        if new.loss > loss + c1 * new.t * slope or (n > 1 and new.loss >= previous.loss):
            bracket = [previous, new]
            break
        if abs(new.slope) <= -c2 * slope:
            bracket, done = [new], True
            break
        if new.slope >= 0:
            bracket = [previous, new]
            break
        t = cubic(previous, new, new.t + 0.01 * (new.t - previous.t), new.t * 10)
        previous, new = new, at(t)
        used += 1
        n += 1
    if n == most:
        bracket = [start, new]
    low, high = (0, 1) if bracket[0].loss <= bracket[-1].loss else (1, 0)
    stuck = False
    while not done and n < most:
        ends = [p.t for p in bracket]
        if abs(ends[1] - ends[0]) * d_norm < tolerance:
            break
        t = cubic(bracket[0], bracket[1], min(ends), max(ends))
        margin = 0.1 * (max(ends) - min(ends))
        if min(max(ends) - t, t - min(ends)) < margin:
            if stuck or t >= max(ends) or t <= min(ends):
                t = max(ends) - margin if abs(t - max(ends)) < abs(t - min(ends)) else min(ends) + margin
                stuck = False
            else:
                stuck = True
        else:
            stuck = False
        new = at(t)
        used += 1
        n += 1
        if new.loss > loss + c1 * t * slope or new.loss >= bracket[low].loss:
            bracket[high] = new
            low, high = (0, 1) if bracket[0].loss <= bracket[1].loss else (1, 0)
        else:
            if abs(new.slope) <= -c2 * slope:
                done = True
            elif new.slope * (bracket[high].t - bracket[low].t) >= 0:
                bracket[high] = bracket[low]
            bracket[low] = new
    best = bracket[low]
    return best.loss, best.g, best.t, used
