"""Launchers of activations: element by element, on dense memory of any order."""

from __future__ import annotations

from ...dtypes import is_floating
from ..launcher import launcher
from ..operand import Operand
from ..plan import Planner

FUNCTORS = {
    "sigmoid": "Sigmoid", "tanh": "Tanh", "relu": "Relu", "silu": "Silu", "gelu": "Gelu", "gelu_tanh": "GeluTanh",
    "normal_cdf": "NormalCdf",
}  # fmt: skip
"""activation.cuh's names for what primitives compute."""


def functor(plan: Planner, name: str, approximate: str = "none") -> str:
    plan.require(approximate in ("none", "tanh"), f"approximate={approximate!r}")
    return FUNCTORS[f"{name}_tanh" if approximate == "tanh" else name]


def full_width(*xs: Operand) -> int:
    """How many neighbours make 16 bytes, where all addresses are multiples of that; else 1."""
    return 16 // xs[0].itemsize if all([x.aligned for x in xs]) else 1


@launcher("activation.cu", names=("sigmoid", "tanh", "relu", "silu", "gelu", "normal_cdf"))
def activation(plan: Planner, x: Operand, **static: str) -> Operand:
    """y = f(x)."""
    plan.require(is_floating(x.dtype), f"dtype {x.dtype}")  # relu takes integers as well
    made = functor(plan, plan.name, **static)
    x = plan.dense(x)
    y = plan.empty_like(x)
    n = full_width(x, y)
    plan.launch("activation", [made, x.dtype, plan.index_type(x), n], x, y, x.size, threads=-(-x.size // n))
    return y


@launcher(
    "activation.cu",
    names=("sigmoid_backward", "tanh_backward", "relu_backward", "silu_backward", "gelu_backward"),
)
def backward(plan: Planner, g: Operand, s: Operand, **static: str) -> Operand:
    """dx from g, and from the output or, for gelu and silu, the input."""
    made = functor(plan, plan.name.removesuffix("_backward"), **static)
    plan.require(g.shape == s.shape and g.dtype == s.dtype, "operands that differ in shape or dtype")
    s, g = plan.dense(s, g)
    dx = plan.empty_like(s)
    n = full_width(g, s, dx)
    plan.launch(
        "activation_backward", [made, s.dtype, plan.index_type(s), n], g, s, dx, s.size, threads=-(-s.size // n)
    )  # fmt: skip
    return dx
