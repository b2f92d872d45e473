"""`Value`: what every transform works on. A value belongs to a level; the level says what its slots hold."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..backend.base import Array, Backend, Device
from ..backend.device import backend_of

if TYPE_CHECKING:
    from .tape import Node

next_sequence = itertools.count(1).__next__
"""Numbers that order the making of nodes and the changing of storages, across threads."""

last_change = [0]
"""The sequence number of the latest change in place of any storage: nodes made after it need not be checked."""


def stamp(version: list[int]) -> None:
    """Note that the storage with this version counter was changed in place."""
    version[0] = last_change[0] = next_sequence()


_depths = itertools.count(0)


class TransformError(RuntimeError):
    """A value was used in a way that the transform it belongs to cannot follow."""


class Level:
    """One transform at work: the tape, forward mode, or vmap. A newer level lies above an older one.

    `process` receives the primitives whose highest argument is of this level. It unwraps its own values, binds the
    primitive again on what lies below, and wraps the results.
    """

    name = "level"
    hides_axis = False

    def __init__(self) -> None:
        self.depth = next(_depths)
        self.ended = False

    def process(self, prim: Any, args: tuple[Any, ...], static: dict[str, Any]) -> Any:
        raise NotImplementedError

    def check(self, prim: Any) -> None:
        if self.ended:
            raise TransformError(
                f"[{prim.name}] an operand is a value of a {self.name} call that has ended; return it from the "
                f"function given to {self.name} instead of keeping it in a variable"
            )


class Value:
    """An array at some level, without operators: `Tensor` adds those.

    below           what lies below it: a raw array, or a Value of a lower level (vmap: with a hidden leading axis)
    level           the Level it belongs to
    edge            where it comes from: None for a leaf, a Node for its first output, (Node, i) for a further one
    tracked         whether the tape at `level` records what is done with it: `requires_grad` to users
    grad            a leaf's gradient
    version         [n]: n is the sequence number of the last in-place change of its storage; views share the list
    hooks           a leaf's hooks
    aux             forward mode: the tangent
    """

    __slots__ = ("__weakref__", "aux", "below", "edge", "grad", "hooks", "level", "tracked", "version")

    below: Any
    level: Level
    edge: Node | tuple[Node, int] | None
    tracked: bool
    grad: Any
    version: list[int]
    hooks: list[Callable[..., Any]] | None
    aux: Any

    @property
    def shape(self) -> tuple[int, ...]:
        shape = self.below.shape
        return shape[1:] if self.level.hides_axis else shape

    @property
    def dtype(self) -> np.dtype:
        return self.below.dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size_(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)


_classes: list[type[Value]] = [Value]


def set_tensor_class(cls: type[Value]) -> None:
    """Called once by `tensor.py`: the class whose instances users see."""
    from . import fast

    _classes[0] = cls
    fast.Tensor = cls


new = object.__new__


def make(inner: Any, level: Level, edge: Any = None, requires_grad: bool = False, version: Any = None) -> Any:
    """A new value at `level`, of the class users see."""
    cls = _classes[0]
    value = new(cls)
    value.below = inner
    value.level = level
    value.edge = edge
    value.tracked = requires_grad or edge is not None
    value.grad = value.hooks = value.aux = None
    value.version = [0] if version is None else version
    return value


def depends(value: Any) -> bool:
    """Whether a derivative is being taken with respect to a value, at any level."""
    while isinstance(value, Value):
        if value.tracked or value.aux is not None:
            return True
        value = value.below
    return False


def unwrap(value: Any) -> Array:
    """The raw array under every level (vmap's hidden axes included)."""
    while isinstance(value, Value):
        value = value.below
    return value


def is_mapped(value: Any) -> bool:
    """Whether a vmap maps over a value, at any level, so that there are many arrays."""
    while isinstance(value, Value):
        if value.level.hides_axis:
            return True
        value = value.below
    return False


def frozen(array: Array) -> Array:
    """A cotangent as the user's code may see it: others may hold its memory, so it must not be changed in place."""
    if not isinstance(array, np.ndarray):
        return array.copy()
    view = array.view()
    view.flags.writeable = False
    return view


def shape_of(value: Any) -> tuple[int, ...]:
    """The shape of a value, an array, or a Python number."""
    return value.shape if hasattr(value, "shape") else ()


def backend_under(value: Any) -> Backend:
    """The backend of the raw array under a value."""
    return backend_of(unwrap(value))


def host_array(value: Value, what: str) -> np.ndarray:
    """A copy of the array on the host, for use outside of gradflow; this is also when a device tells of its faults.

    `what` is who asks. Raises TransformError where a transform hides that there are many arrays.
    """
    if is_mapped(value):
        raise TransformError(
            f"[{what}] a value that vmap maps over has no single value; use where() instead of if, and keep "
            f"{what} outside of vmap"
        )
    array = unwrap(value)
    return backend_of(array).to_host(array)


def device_under(value: Any) -> Device:
    return backend_under(value).device


def describe(value: Any) -> str:
    """An operand as error messages show it: its shape and dtype."""
    if value is None or isinstance(value, (bool, int, float)):
        return repr(value)
    return f"{tuple(value.shape)} {value.dtype}"
