"""Changes in place: item assignment and the methods that end in an underscore.

They work on tensors that do not require grad, at any time, and on leaves that do, and views of them, under no_grad.
Every change stamps the storage's version counter, by which a backward pass notices that a value it needs is gone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import functions as F
from .autograd.grad_mode import MODE, no_grad
from .autograd.primitive import raw_of
from .autograd.tape import MAIN, Node
from .autograd.value import TransformError, Value, backend_under, describe, stamp
from .backend.device import backend_of
from .backend.dtypes import can_cast, result_type
from .ops.index import build, has_flags, open_flags, parse


def _twin(name: str) -> Any:
    """The method `name`_: the function's result, put in this tensor's place."""

    def method(self: Any, *args: Any, **options: Any) -> Any:
        op = f"{name}_"
        _check_target(self, op)
        for value in (*args, *options.values()):
            if isinstance(value, Value):
                _check_source(value, op)
        with no_grad():
            result = getattr(F, name)(self.detach(), *args, **options)
        if result.shape != self.shape:
            raise ValueError(f"[{op}] the result {tuple(result.shape)} does not fit into x {tuple(self.shape)}")
        if not can_cast(result.dtype, self.dtype):
            raise TypeError(f"[{op}] a result of {result.dtype} does not fit into a tensor of {self.dtype}")
        return self._change(op, result, lambda array, raw: array.__setitem__(..., raw))

    method.__name__, method.__qualname__ = f"{name}_", f"Tensor.{name}_"
    method.__doc__ = f"`{name}`, in place."
    return method


_rounded_div = _twin("div")


class InPlace:
    """The in-place part of `Tensor`."""

    __slots__ = ()

    def check_change(self: Any, op: str) -> None:
        """Whether this tensor may be changed in place, before work is done for it."""
        _check_target(self, op)

    def _change(self: Any, op: str, value: Any, write: Any) -> Any:
        """Check that this tensor may be changed and `value` may go into it; write(array, raw value); stamp."""
        _check_target(self, op)
        raw = _check_source(value, op)
        array = self.below
        backend = raw_of(op, [a for a in (array, raw) if hasattr(a, "dtype")]).backend
        repeated = array.size and any([s == 0 and n > 1 for s, n in zip(array.strides, array.shape, strict=True)])
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
        except (ValueError, TypeError, OverflowError) as error:
            kind = TypeError if isinstance(error, TypeError) else type(error)  # NumPy has some of its own
            raise kind(f"[{op}] {error} (x {describe(self)}, value {describe(raw)})") from None
        stamp(self.version)
        return self

    def _arithmetic(self: Any, op: str, function: str, value: Any) -> Any:
        def write(array: Any, raw: Any) -> None:
            kind = result_type(array, raw)
            if not can_cast(kind, array.dtype):
                raise TypeError(f"a result of {kind} does not fit into a tensor of {array.dtype}")
            if np.broadcast_shapes(array.shape, np.shape(raw)) != array.shape:
                raise ValueError("the result's shape is not the tensor's")
            backend = backend_of(array)
            if hasattr(raw, "dtype"):
                raw = raw if raw.dtype == kind else raw.astype(kind)
            elif kind.kind == "V":  # to ml_dtypes, Python numbers are of a dtype of their own
                raw = backend.from_host(np.asarray(raw, kind))
            getattr(backend.module, function)(array, raw, out=array, casting="unsafe")

        return self._change(op, value, write)

    def add_(self: Any, other: Any, *, alpha: float = 1) -> Any:
        """self += alpha * other."""
        return self._arithmetic("add_", "add", _scaled("add_", other, alpha))

    def sub_(self: Any, other: Any, *, alpha: float = 1) -> Any:
        """self -= alpha * other."""
        return self._arithmetic("sub_", "subtract", _scaled("sub_", other, alpha))

    def mul_(self: Any, other: Any) -> Any:
        """self *= other."""
        return self._arithmetic("mul_", "multiply", other)

    def div_(self: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
        """self /= other, rounded as `div` has it."""
        if rounding_mode is not None:
            return _rounded_div(self, other, rounding_mode=rounding_mode)
        if self.dtype.kind in "biu":
            raise TypeError(f"[div_] a quotient does not fit into a tensor of {self.dtype}; use x / y")
        return self._arithmetic("div_", "divide", other)

    def copy_(self: Any, other: Any, non_blocking: bool = False) -> Any:
        """Take over other's elements, broadcast and cast; other may be on another device."""
        if isinstance(other, Value) and other.level is MAIN and other.device != self.device:  # type: ignore[attr-defined]
            other = other.detach().to(self.device) if not _recording(other) else other  # type: ignore[attr-defined]
        return self._change("copy_", other, lambda array, raw: array.__setitem__(..., raw))

    def fill_(self: Any, value: Any) -> Any:
        """One value everywhere: a number, or a 0-d tensor."""
        if getattr(value, "shape", ()) != ():
            raise ValueError(f"[fill_] value must be a number or a 0-d tensor, got {tuple(value.shape)}; use copy_")
        return self._change("fill_", value, lambda array, raw: array.__setitem__(..., raw))

    def zero_(self: Any) -> Any:
        """Zeros everywhere."""
        return self.fill_(0)

    abs_, neg_, sign_, square_, reciprocal_ = map(_twin, ("abs", "neg", "sign", "square", "reciprocal"))
    exp_, exp2_, expm1_, log_, log2_, log10_ = map(_twin, ("exp", "exp2", "expm1", "log", "log2", "log10"))
    log1p_, sqrt_, rsqrt_, pow_ = map(_twin, ("log1p", "sqrt", "rsqrt", "pow"))
    sin_, cos_, tan_, sinh_, cosh_, tanh_ = map(_twin, ("sin", "cos", "tan", "sinh", "cosh", "tanh"))
    asin_, acos_, atan_, erf_, erfinv_ = map(_twin, ("asin", "acos", "atan", "erf", "erfinv"))
    floor_, ceil_, round_, trunc_, frac_ = map(_twin, ("floor", "ceil", "round", "trunc", "frac"))
    remainder_, fmod_, floor_divide_ = map(_twin, ("remainder", "fmod", "floor_divide"))
    relu_, sigmoid_, nan_to_num_ = map(_twin, ("relu", "sigmoid", "nan_to_num"))
    clamp_, clamp_min_, clamp_max_, clip_ = map(_twin, ("clamp", "clamp_min", "clamp_max", "clip"))
    lerp_, addcmul_, addcdiv_ = map(_twin, ("lerp", "addcmul", "addcdiv"))
    masked_fill_, masked_scatter_, tril_, triu_ = map(_twin, ("masked_fill", "masked_scatter", "tril", "triu"))
    index_fill_, index_add_, index_copy_, index_put_ = map(
        _twin, ("index_fill", "index_add", "index_copy", "index_put")
    )
    scatter_, scatter_add_, scatter_reduce_ = map(_twin, ("scatter", "scatter_add", "scatter_reduce"))
    logical_and_, logical_or_, logical_not_ = map(_twin, ("logical_and", "logical_or", "logical_not"))
    logical_xor_, bitwise_not_, bitwise_and_ = map(_twin, ("logical_xor", "bitwise_not", "bitwise_and"))
    bitwise_or_, bitwise_xor_ = map(_twin, ("bitwise_or", "bitwise_xor"))
    bitwise_left_shift_, bitwise_right_shift_ = map(_twin, ("bitwise_left_shift", "bitwise_right_shift"))
    eq_, ne_, lt_, le_, gt_, ge_ = map(_twin, ("eq", "ne", "lt", "le", "gt", "ge"))
    asinh_, acosh_, atanh_, atan2_ = map(_twin, ("asinh", "acosh", "atanh", "atan2"))
    erfc_, lgamma_, digamma_, logit_, sinc_ = map(_twin, ("erfc", "lgamma", "digamma", "logit", "sinc"))
    hypot_, copysign_, xlogy_, cumsum_, cumprod_ = map(_twin, ("hypot", "copysign", "xlogy", "cumsum", "cumprod"))
    addmm_, addmv_, addr_, baddbmm_ = map(_twin, ("addmm", "addmv", "addr", "baddbmm"))
    multiply_, subtract_, divide_, true_divide_, negative_ = mul_, sub_, div_, div_, neg_

    def __setitem__(self: Any, index: Any, value: Any) -> None:
        _check_target(self, "setitem")
        if has_flags(index):
            shape, index = open_flags(self, index, "setitem")
            F.reshape(self.detach(), shape)[index] = value
            return
        spec, arrays = parse(self, index, "setitem")
        raws = [a.below if isinstance(a, Value) else a for a in arrays]
        raw_of("setitem", [self.below, *raws])
        place = build(spec, tuple(raws)) if raws else (*build(spec, ()), ...)  # a single element is an array too
        if isinstance(value, (list, tuple)):
            try:
                value = backend_under(self).from_host(np.asarray(value))
            except ValueError as error:
                raise ValueError(f"[setitem] a list that is no array: {error}") from None
        self._change("setitem", value, lambda array, raw: array.__setitem__(place, raw))

    __iadd__, __isub__, __imul__, __itruediv__, __ipow__ = add_, sub_, mul_, div_, pow_
    __ifloordiv__, __imod__, __iand__, __ior__, __ixor__ = (
        floor_divide_,
        remainder_,
        bitwise_and_,
        bitwise_or_,
        bitwise_xor_,
    )
    __ilshift__, __irshift__ = bitwise_left_shift_, bitwise_right_shift_

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
        self.below, self.version = value.below, value.version
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
        if hasattr(value, "dtype") or isinstance(value, (bool, int, float)):
            return value
        raise TypeError(f"[{op}] expected a tensor, an array or a number, got {type(value).__name__}")
    if value.level is not MAIN:
        raise TransformError(
            f"[{op}] a value inside {value.level.name} cannot be written in place into a tensor outside; return it"
        )
    if _recording(value):
        raise RuntimeError(
            f"[{op}] a value that requires grad cannot be written in place, as its history would be lost; detach() it, "
            "or build the result with where() or cat()"
        )
    return value.below


def _scaled(op: str, other: Any, alpha: float) -> Any:
    _check_source(other, op)
    return other if alpha == 1 else other * alpha
