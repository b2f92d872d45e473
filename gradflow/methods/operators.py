"""Python's operators."""

from __future__ import annotations

from typing import Any

from ..functions import linalg
from ..functions.comparison import (
    bitwise_and,
    bitwise_left_shift,
    bitwise_not,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
)
from ..ops import elementwise as E
from ..ops import rounding as R


class Operators:
    """The operators of `Tensor`, on tensors, NumPy arrays and Python numbers."""

    __slots__ = ()

    __add__, __sub__, __mul__, __truediv__, __pow__ = E.add, E.subtract, E.multiply, E.divide, E.power
    __floordiv__, __mod__ = R.floor_divide, R.remainder
    __and__, __or__, __xor__, __invert__ = bitwise_and, bitwise_or, bitwise_xor, bitwise_not
    __lshift__, __rshift__ = bitwise_left_shift, bitwise_right_shift
    __neg__, __abs__ = E.negative, E.absolute
    __lt__, __le__, __gt__, __ge__ = E.less, E.less_equal, E.greater, E.greater_equal
    __rand__, __ror__, __rxor__ = bitwise_and, bitwise_or, bitwise_xor  # which side is which makes no difference

    def __radd__(self, other: Any) -> Any:
        return E.add(other, self)

    def __rsub__(self, other: Any) -> Any:
        return E.subtract(other, self)

    def __rmul__(self, other: Any) -> Any:
        return E.multiply(other, self)

    def __rtruediv__(self, other: Any) -> Any:
        return E.divide(other, self)

    def __rpow__(self, other: Any) -> Any:
        return E.power(other, self)

    def __rfloordiv__(self, other: Any) -> Any:
        return R.floor_divide(other, self)

    def __rmod__(self, other: Any) -> Any:
        return R.remainder(other, self)

    def __divmod__(self, other: Any) -> Any:
        return R.floor_divide(self, other), R.remainder(self, other)

    def __rdivmod__(self, other: Any) -> Any:
        return R.floor_divide(other, self), R.remainder(other, self)

    def __rlshift__(self, other: Any) -> Any:
        return bitwise_left_shift(other, self)

    def __rrshift__(self, other: Any) -> Any:
        return bitwise_right_shift(other, self)

    def __matmul__(self, other: Any) -> Any:
        return linalg.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return linalg.matmul(other, self)

    def __pos__(self) -> Any:
        return self

    def __eq__(self, other: object) -> Any:
        return NotImplemented if other is None or isinstance(other, str) else E.equal(self, other)

    def __ne__(self, other: object) -> Any:
        return NotImplemented if other is None or isinstance(other, str) else E.not_equal(self, other)

    __hash__ = object.__hash__
