"""Elementwise functions: the primitives as they are, under PyTorch's names and NumPy's."""

from __future__ import annotations

from typing import Any

from ..ops.activation import gelu, relu, sigmoid, silu, tanh
from ..ops.elementwise import (
    absolute,
    add,
    copy,
    divide,
    equal,
    exp,
    greater,
    greater_equal,
    isnan,
    less,
    less_equal,
    log,
    logical_and,
    logical_not,
    logical_or,
    maximum,
    minimum,
    multiply,
    negative,
    not_equal,
    power,
    sign,
    sqrt,
    subtract,
    where,
)

abs, div, eq, mul, neg, pow, sub = absolute, divide, equal, multiply, negative, power, subtract


def clone(x: Any) -> Any:
    """A differentiable copy in memory of its own."""
    return copy(x)


__all__ = [
    "abs", "absolute", "add", "clone", "div", "divide", "eq", "equal", "exp", "gelu", "greater", "greater_equal",
    "isnan", "less", "less_equal", "log", "logical_and", "logical_not", "logical_or", "maximum", "minimum", "mul",
    "multiply", "neg", "negative", "not_equal", "pow", "power", "relu", "sigmoid", "sign", "silu", "sqrt", "sub",
    "subtract", "tanh", "where",
]  # fmt: skip
