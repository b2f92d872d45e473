"""Launchers of bias and activation, and of their gradients: dense memory of any order."""

from __future__ import annotations

from ...dtypes import is_floating
from ..launcher import launcher
from ..operand import Operand
from ..plan import Planner
from .activation import FUNCTORS
from .channel_sum import channels_of, reduce_channels, width_of


def _functor(plan: Planner, activation: str) -> str:
    plan.require(activation in FUNCTORS, f"activation={activation!r}")
    return FUNCTORS[activation]


@launcher("bias.cu", names=("bias_add", "bias_act", "bias_gated"))
def forward(plan: Planner, x: Operand, bias: Operand, *, axis: int, activation: str | None = None) -> Operand:
    """y = f(x + bias)."""
    plan.require(bias.shape == (x.shape[axis],) and bias.dtype == x.dtype, "a bias of another size or dtype")
    plan.require(is_floating(x.dtype), f"dtype {x.dtype}")
    made = "Identity" if activation is None else _functor(plan, activation)
    x, bias = plan.dense(x), plan.contiguous(bias)
    y = plan.empty_like(x)
    if not x.size:
        return y
    _, channels, inner = channels_of(x, axis)
    plan.require(inner < 2**31, "2**31 elements of a channel or more")
    last = inner == 1
    n = width_of(channels, x, y, bias) if last else width_of(inner, x, y)
    plan.launch(
        "bias_forward", [made, x.dtype, plan.index_type(x), n, last], x, bias, y, x.size, plan.fast_div(inner),
        plan.fast_div(channels), threads=x.size // n,
    )  # fmt: skip
    return y


def _backward(
    plan: Planner, g: Operand, s: Operand, bias: Operand | None, axis: int, activation: str
) -> tuple[Operand, Operand]:  # fmt: skip
    plan.require(g.shape == s.shape and g.dtype == s.dtype, "operands that differ in shape or dtype")
    s, g = plan.dense(s, g)
    dx = plan.empty_like(s)
    made = _functor(plan, activation)
    return dx, reduce_channels(plan, "bias_backward", s, axis, [made], [g, s, bias, dx], with_inner=True)


@launcher("bias.cu")
def bias_act_backward(
    plan: Planner, g: Operand, y: Operand, *, axis: int, activation: str
) -> tuple[Operand, Operand]:  # fmt: skip
    return _backward(plan, g, y, None, axis, activation)


@launcher("bias.cu")
def bias_gated_backward(
    plan: Planner, g: Operand, x: Operand, bias: Operand, *, axis: int, activation: str
) -> tuple[Operand, Operand]:
    plan.require(bias.shape == (x.shape[axis],) and bias.dtype == x.dtype, "a bias of another size or dtype")
    return _backward(plan, g, x, plan.contiguous(bias), axis, activation)
