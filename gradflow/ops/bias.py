"""Bias and activation in one, along one axis of channels; and sums per channel, the gradient of a bias.

Three primitives, as what a backward pass must hold differs: `bias_add` nothing, `bias_act` (sigmoid, tanh, relu) its
output, `bias_gated` (gelu, silu) its input.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..autograd.batch import spread
from ..autograd.define import fused, primitive
from ..autograd.primitive import BIND, PRIMITIVES, bind
from ..autograd.value import shape_of
from .elementwise import wide

Static = dict[str, Any]


class Activation(NamedTuple):
    """A primitive and its statics; `<primitive>_backward` is its derivative."""

    primitive: str
    static: Static = {}


ACTIVATIONS = {
    "relu": Activation("relu"),
    "sigmoid": Activation("sigmoid"),
    "tanh": Activation("tanh"),
}
"""Those whose derivative is a function of the output."""

GATED = {
    "gelu": Activation("gelu", {"approximate": "none"}),
    "gelu_tanh": Activation("gelu", {"approximate": "tanh"}),
    "silu": Activation("silu"),
}
"""Those whose derivative is a function of the input."""


def others(ndim: int, axis: int) -> tuple[int, ...]:
    """All axes but one."""
    return tuple([a for a in range(ndim) if a != axis])


def channel_shape(channels: int, ndim: int, axis: int = 1) -> tuple[int, ...]:
    """(1, C, 1, ...), C at `axis`: how an array of one number per channel meets one of `ndim` axes."""
    return *(1,) * axis, channels, *(1,) * (ndim - axis - 1)


def _bias_of_examples(bias: Any, flag: bool, ndim: int, axis: int) -> Any:
    """A bias to be added to (B, ...): (C,), or (B, C) where it is mapped over. `axis` counts the hidden axis."""
    shape = (shape_of(bias)[0] if flag else 1, *[1] * (ndim - 1))
    return BIND.reshape(bias, shape=(*shape[:axis], shape_of(bias)[-1], *shape[axis + 1 :]))


# -- sums per channel --------------------------------------------------------------------------------------------------


def _sum_batch(prim: Any, level: Any, values: list[Any], flags: list[bool], static: Static) -> Any:
    return BIND.sum(values[0], axis=others(values[0].ndim, static["axis"] + 1)[1:])


@fused(batch=_sum_batch)
def channel_sum(xp: Any, x: Any, *, axis: int) -> Any:
    """(C,), the sums of x over every axis but `axis` (counted from 0)."""
    return xp.sum(x, axis=others(x.ndim, axis))


# -- bias alone --------------------------------------------------------------------------------------------------------


def _sum_of(x: Any, bias: Any, axis: int) -> Any:
    if bias.shape != (x.shape[axis],):
        raise ValueError(f"bias has shape {tuple(bias.shape)}, expected ({x.shape[axis]},) for x {tuple(x.shape)}")
    return x + bias.reshape(channel_shape(len(bias), x.ndim, axis))


def _forward_batch(prim: Any, level: Any, values: list[Any], flags: list[bool], static: Static) -> Any:
    x, bias = values
    axis = static["axis"] + 1
    if flags[0] and not flags[1]:
        return bind(prim, (x, bias), dict(static, axis=axis))
    ndim = len(shape_of(x)) + (not flags[0])
    z = BIND.add(x, _bias_of_examples(bias, flags[1], ndim, axis))
    activation = static.get("activation")
    return z if activation is None else _apply(BIND, z, activation)


@primitive(
    vjps=(lambda xp, g: g, lambda xp, g, axis: xp.channel_sum(g, axis=axis)),
    jvp=lambda xp, primals, tangents, outs, *, axis: _bias_tangent(xp, tangents, outs[0], axis),
    batch=_forward_batch,
    promote="same",
)
def bias_add(np: Any, x: Any, bias: Any, *, axis: int = 1) -> Any:
    """x + bias along `axis`: x (..., C, ...), bias (C,)."""
    return _sum_of(x, bias, axis)


def _bias_tangent(xp: Any, tangents: Any, y: Any, axis: int) -> Any:
    dx, db = tangents
    if db is None:
        return dx
    db = xp.reshape(db, shape=channel_shape(db.shape[0], y.ndim, axis))
    return xp.broadcast_to(db, shape=y.shape) if dx is None else dx + db


# -- bias and activation -----------------------------------------------------------------------------------------------


def _apply(xp: Any, z: Any, activation: str) -> Any:
    found = ACTIVATIONS.get(activation) or GATED[activation]
    return getattr(xp, found.primitive)(z, **found.static)


def _pull(xp: Any, g: Any, at: Any, activation: str) -> Any:
    """The cotangent of x + bias, at the output or, for gated ones, at x + bias."""
    found = ACTIVATIONS.get(activation) or GATED[activation]
    return getattr(xp, f"{found.primitive}_backward")(g, at, **found.static)


def _forward(np: Any, x: Any, bias: Any, axis: int, activation: Activation) -> Any:
    z = _sum_of(wide(x), wide(bias), axis)
    return PRIMITIVES[activation.primitive].body(np, z, **activation.static).astype(x.dtype, copy=False)


def _backward_batch(prim: Any, level: Any, values: list[Any], flags: list[bool], static: Static) -> Any:
    g, at = [spread(v, f, level.size) for v, f in zip(values[:2], flags[:2], strict=True)]
    axis = static["axis"] + 1
    if len(values) == 3:
        at = BIND.add(at, _bias_of_examples(values[2], flags[2], len(shape_of(at)), axis))
    dx = _pull(BIND, g, at, static["activation"])
    return dx, BIND.sum(dx, axis=others(len(shape_of(at)), axis)[1:])


@fused(batch=_backward_batch)
def bias_act_backward(xp: Any, g: Any, y: Any, *, axis: int, activation: str) -> Any:
    """(dx, dbias) of y = bias_act(x, bias): dx = g f'(y), dbias its sums per channel."""
    dx = _pull(xp, g, y, activation)
    return dx, xp.channel_sum(dx, axis=axis)


def _act_joint(xp: Any, needs: Any, g: Any, y: Any, axis: int, activation: str) -> tuple[Any, ...]:
    if not needs[1]:
        return _pull(xp, g, y, activation), None
    dx, db = xp.bias_act_backward(g, y, axis=axis, activation=activation)
    return dx if needs[0] else None, db


@primitive(joint=_act_joint, batch=_forward_batch, promote="float")
def bias_act(np: Any, x: Any, bias: Any, *, axis: int = 1, activation: str) -> Any:
    """activation(x + bias along `axis`), for relu, sigmoid and tanh: x (..., C, ...), bias (C,)."""
    return _forward(np, x, bias, axis, ACTIVATIONS[activation])


@fused(batch=_backward_batch)
def bias_gated_backward(xp: Any, g: Any, x: Any, bias: Any, *, axis: int, activation: str) -> Any:
    """(dx, dbias) of bias_gated(x, bias): dx = g f'(x + bias), dbias its sums per channel."""
    dx = _pull(xp, g, xp.bias_add(x, bias, axis=axis), activation)
    return dx, xp.channel_sum(dx, axis=axis)


def _gated_joint(xp: Any, needs: Any, g: Any, x: Any, bias: Any, axis: int, activation: str) -> tuple[Any, ...]:
    if not needs[1]:
        return _pull(xp, g, xp.bias_add(x, bias, axis=axis), activation), None
    dx, db = xp.bias_gated_backward(g, x, bias, axis=axis, activation=activation)
    return dx if needs[0] else None, db


@primitive(joint=_gated_joint, batch=_forward_batch, promote="float")
def bias_gated(np: Any, x: Any, bias: Any, *, axis: int = 1, activation: str) -> Any:
    """activation(x + bias along `axis`), for gelu, gelu_tanh and silu: x (..., C, ...), bias (C,)."""
    return _forward(np, x, bias, axis, GATED[activation])
