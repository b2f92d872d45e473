"""What a case of the table is, and the numbers it is given."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Case:
    """A function to be checked, and what to give it.

    call          call(*inputs, *constants) -> tensor, or a tuple of them
    inputs        float64 arrays
    constants     arrays of any dtype; those of a floating one follow the inputs' dtype
    reference     the same in NumPy
    rows          inputs whose first axis is a batch that may be empty; `constant_rows`: constants
    mapped        whether vmap may map over the constants
    randomness    what vmap is told
    numeric       whether finite differences make sense
    mixed         whether inputs may be of different dtypes
    out_dtype     the result's, where it is not the inputs'
    lands         the device of the results, where it is not the inputs'
    half          whether 16-bit floats are taken; else they are refused with a TypeError
    light         a composition of primitives that have cases of their own: the long tests run with `-m slow` only
    """

    name: str
    call: Callable[..., Any]
    inputs: tuple[np.ndarray, ...]
    constants: tuple[np.ndarray, ...] = ()
    reference: Callable[..., Any] | None = None
    rows: tuple[int, ...] = ()
    constant_rows: tuple[int, ...] = ()
    mapped: bool = True
    randomness: str = "error"
    numeric: bool = True
    mixed: bool = True
    out_dtype: Any = None
    lands: str | None = None
    half: bool = True
    light: bool = False

    def __repr__(self) -> str:
        return self.name


def spaced(shape: tuple[int, ...], name: str, i: int) -> np.ndarray:
    """Numbers of either sign whose sizes are all different, 0.3 to 2: far from 0, one another, other inputs'."""
    rng = np.random.default_rng(zlib.crc32(name.encode()) + i)
    count = int(np.prod(shape))
    sizes = (np.linspace(0.3, 1.9, count) if count > 1 else np.full(count, 0.7)) + 0.06 * i
    return rng.permutation(sizes * rng.choice([-1.0, 1.0], count)).reshape(shape)


class Positive(tuple):
    """A shape to be filled with positive numbers."""


def case(name: str, call: Any, *shapes: Any, c: Any = (), ref: Any = None, **flags: Any) -> Case:
    """A Case whose inputs are given as shapes, or as arrays."""
    inputs = []
    for i, shape in enumerate(shapes):
        made = shape if isinstance(shape, np.ndarray) else spaced(tuple(shape), name, i)
        inputs.append(np.asarray(np.abs(made) if isinstance(shape, Positive) else made))
    constants = tuple([np.asarray(k) for k in (c if isinstance(c, tuple) else (c,))])
    return Case(name, call, tuple(inputs), constants, ref, **flags)
