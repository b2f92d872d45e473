"""Changes in place: item assignment and the methods that end in an underscore.

They work on tensors that do not require grad, at any time, and on leaves that do, and views of them, under no_grad.
Every change stamps the storage's version counter, by which a backward pass notices that a value it needs is gone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .autograd.grad_mode import MODE
from .autograd.primitive import raw_of
from .autograd.tape import MAIN, Node
from .autograd.value import TransformError, Value, backend_under, stamp
from .backend.dtypes import promote_types, result_type
from .ops.index import build, parse


class InPlace:
    """The in-place part of `Tensor`."""

    __slots__ = ()

    def _change(self: Any, op: str, value: Any, write: Any) -> Any:
        """Check that this tensor may be changed and `value` may go into it; write(array, raw value); stamp."""
        _check_target(self, op)
        raw = _check_source(value, op)
        array = self.inner
        backend = raw_of(op, [a for a in (array, raw) if hasattr(a, "dtype")]).backend
        repeated = any([s == 0 and n > 1 for s, n in zip(array.strides, array.shape, strict=True)])
        if repeated or (backend.array_type is np.ndarray and not array.flags.writeable):
            raise RuntimeError(
                f"[{op}] the tensor's memory is read-only (an expanded tensor, or a read-only NumPy array); clone() it"
            )
        try:
            if backend.guard is None:
                write(array, raw)
            else:
                with backend.guard:
                    write(array, raw)
        except ValueError as error:
            raise ValueError(f"[{op}] {error} (x {tuple(self.shape)}, value {np.shape(raw)})") from None
        stamp(self.version)
        return self

    def _arithmetic(self: Any, op: str, function: str, value: Any) -> Any:
        def write(array: Any, raw: Any) -> None:
            kind = result_type(array, raw)
            if promote_types(kind, array.dtype) != array.dtype and kind.kind != array.dtype.kind:
                raise TypeError(f"[{op}] a result of {kind} does not fit into a tensor of {array.dtype}")
            if np.broadcast_shapes(array.shape, np.shape(raw)) != array.shape:
                raise ValueError("the result's shape is not the tensor's")
            module = np if isinstance(array, np.ndarray) else raw_of(op, [array]).np
            getattr(module, function)(array, raw, out=array, casting="same_kind")

        return self._change(op, value, write)

    def add_(self: Any, other: Any, *, alpha: float = 1) -> Any:
        """self += alpha * other."""
        return self._arithmetic("add_", "add", other if alpha == 1 else _scaled(other, alpha))

    def sub_(self: Any, other: Any, *, alpha: float = 1) -> Any:
        """self -= alpha * other."""
        return self._arithmetic("sub_", "subtract", other if alpha == 1 else _scaled(other, alpha))

    def mul_(self: Any, other: Any) -> Any:
        """self *= other."""
        return self._arithmetic("mul_", "multiply", other)

    def div_(self: Any, other: Any) -> Any:
        """self /= other."""
        if self.dtype.kind in "biu":
            raise TypeError(f"[div_] a quotient does not fit into a tensor of {self.dtype}; use x / y")
        return self._arithmetic("div_", "divide", other)

    def copy_(self: Any, other: Any) -> Any:
        """Take over other's elements, broadcast and cast; other may be on another device."""
        if isinstance(other, Value) and other.level is MAIN and other.device != self.device:  # type: ignore[attr-defined]
            other = other.detach().to(self.device) if not _recording(other) else other  # type: ignore[attr-defined]
        return self._change("copy_", other, lambda array, raw: array.__setitem__(..., raw))

    def fill_(self: Any, value: Any) -> Any:
        """One value everywhere."""
        return self._change("fill_", value, lambda array, raw: array.__setitem__(..., raw))

    def zero_(self: Any) -> Any:
        """Zeros everywhere."""
        return self.fill_(0)

    def __setitem__(self: Any, index: Any, value: Any) -> None:
        _check_target(self, "setitem")
        spec, arrays = parse(self, index, "setitem")
        place = build(spec, tuple([a.inner if isinstance(a, Value) else a for a in arrays]))
        if isinstance(value, (list, tuple)):
            value = backend_under(self).from_host(np.asarray(value))
        self._change("setitem", value, lambda array, raw: array.__setitem__(place, raw))

    def __iadd__(self: Any, other: Any) -> Any:
        return self.add_(other)

    def __isub__(self: Any, other: Any) -> Any:
        return self.sub_(other)

    def __imul__(self: Any, other: Any) -> Any:
        return self.mul_(other)

    def __itruediv__(self: Any, other: Any) -> Any:
        return self.div_(other)

    def replace_storage(self: Any, value: Any) -> None:
        """`x.data = value`: other memory, of the same shape and dtype."""
        _check_leaf(self, "data")
        if not isinstance(value, Value) or value.level is not MAIN:
            raise TypeError(f"[data] expected a tensor, got {type(value).__name__}")
        if value.shape != self.shape or value.dtype != self.dtype:
            raise ValueError(
                f"[data] expected {tuple(self.shape)} {self.dtype}, got {tuple(value.shape)} {value.dtype}"
            )
        stamp(self.version)  # whoever saved the old memory must not take the new for it
        self.inner, self.version = value.inner, value.version
        stamp(self.version)


def _recording(x: Any) -> bool:
    return bool(x.tracked) and MODE.cutoff < 0


def _check_leaf(x: Any, op: str) -> None:
    if x.level is not MAIN:
        raise TransformError(f"[{op}] a value inside {x.level.name} cannot be changed in place; make a new one")
    if x.edge is not None:
        node: Node = x.grad_fn
        raise RuntimeError(
            f"[{op}] a recorded result cannot be changed in place (it is the output of {node.name()} made at "
            f"{node.place()}); write x = x + y instead of x += y, or detach() it"
        )


def _check_target(x: Any, op: str) -> None:
    _check_leaf(x, op)
    if _recording(x):
        raise RuntimeError(f"[{op}] a leaf that requires grad can be changed in place only under gf.no_grad()")


def _check_source(value: Any, op: str) -> Any:
    if not isinstance(value, Value):
        return value
    if value.level is not MAIN:
        raise TransformError(
            f"[{op}] a value inside {value.level.name} cannot be written in place into a tensor outside; return it"
        )
    if _recording(value):
        raise RuntimeError(
            f"[{op}] a value that requires grad cannot be written in place, as its history would be lost; detach() it, "
            "or build the result with where() or cat()"
        )
    return value.inner


def _scaled(other: Any, alpha: float) -> Any:
    if isinstance(other, Value):
        _check_source(other, "add_")
    return other * alpha
