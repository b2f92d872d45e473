"""The short way for elementwise primitives on the main tape: what `Tape.process` does, for the usual case only.

Plain NumPy floats of one dtype, one or two operands, a Python number at most beside them; anything else leaves for
`bind`. Written as one closure per primitive and arity because recording is most of what a small model costs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import asarray, ndarray

from ..backend.device import get_backend
from ..backend.dtypes import float32, float64
from .grad_mode import MODE
from .primitive import Primitive, bind, raw_over
from .tape import MAIN, PACKAGE, Node, caller
from .value import Value, next_sequence

Tensor: type[Value] = Value  # set once by value.set_tensor_class

_NO_STATIC: dict[str, Any] = {}
_NO_OUTPUT = (None,)

_switches: list[Callable[[bool], None]] = []


def take_short_way(on: bool) -> None:
    """Whether the short way is taken where it can be; without it every call reaches `Raw.run`, where it can be seen."""
    for switch in _switches:
        switch(on)


def binary(prim: Primitive) -> Callable[[Any, Any], Any]:
    """prim(a, b), recorded on the short way where the operands allow it."""
    body, name = prim.body, prim.name
    cpu = get_backend("cpu")
    raw, plain = raw_over(cpu), name not in cpu.kernels
    new, main, getframe = object.__new__, MAIN, sys._getframe
    keep = []  # per tracked operands (1: a, 2: b, 3: both): whether a, b and the output are saved
    for i in range(4):
        inputs, _, outs = prim.keep((bool(i & 1), bool(i & 2)))
        keep.append((0 in inputs, 1 in inputs, 0 in outs))
    both = keep[3] == (True, True, False)
    constant = not prim.vjps

    def switch(on: bool) -> None:
        nonlocal plain
        plain = on and name not in cpu.kernels

    _switches.append(switch)

    def call(input: Any, other: Any) -> Any:
        x: Any
        y: Any
        if isinstance(input, Value):
            x = input.below
            if isinstance(other, Value):
                y = other.below
                if (
                    input.level is not main
                    or other.level is not main
                    or type(x) is not ndarray
                    or type(y) is not ndarray
                ):
                    return bind(prim, (input, other), _NO_STATIC)
                dtype = x.dtype
                if dtype is not y.dtype:
                    return bind(prim, (input, other), _NO_STATIC)
                which = (1 if input.tracked else 0) + (2 if other.tracked else 0)
            else:
                y = other
                if (
                    input.level is not main
                    or type(x) is not ndarray
                    or (type(other) is not float and type(other) is not int)
                ):
                    return bind(prim, (input, other), _NO_STATIC)
                dtype, which = x.dtype, (1 if input.tracked else 0)
        else:
            if (
                not isinstance(other, Value)
                or other.level is not main
                or (type(input) is not float and type(input) is not int)
            ):
                return bind(prim, (input, other), _NO_STATIC)
            x, y = input, other.below
            if type(y) is not ndarray:
                return bind(prim, (input, other), _NO_STATIC)
            dtype, which = y.dtype, (2 if other.tracked else 0)
        if (dtype is not float32 and dtype is not float64) or not plain:
            return bind(prim, (input, other), _NO_STATIC)
        try:
            out = body(np, x, y)
        except ValueError:
            return bind(prim, (input, other), _NO_STATIC)  # raises again, naming the operands
        if type(out) is not ndarray:
            out = asarray(out)
        t = new(Tensor)
        t.below = out
        t.level = main
        t.grad = t.hooks = t.aux = None
        t.version = [0]
        if not which or constant or MODE.cutoff >= 0:
            t.edge = None
            t.tracked = False
            return t
        n = new(Node)
        n.prim = prim
        n.static = _NO_STATIC
        n.level = main
        n.raw = raw
        n.residual = n.hooks = None
        n.nout = 1
        n.dtypes = (dtype, dtype)
        if which == 3:
            n.edges = (input.edge or input, other.edge or other)
            n.shapes = shapes = (x.shape, y.shape)
            n.uniform = shapes[0] == shapes[1]
        elif which == 1:
            n.edges = (input.edge or input, None)
            n.shapes = (x.shape, ())
            n.uniform = type(y) is not ndarray
        else:
            n.edges = (None, other.edge or other)
            n.shapes = ((), y.shape)
            n.uniform = type(x) is not ndarray
        if which == 3 and both:
            n.args, n.outs = (x, y), _NO_OUTPUT
            n.counters = (input.version, other.version, None)
        elif any(keep[which]):
            ka, kb, ko = keep[which]
            n.args = (x if ka else None, y if kb else None)
            n.outs = (out if ko else None,)
            n.counters = (
                input.version if ka and type(x) is ndarray else None,
                other.version if kb and type(y) is ndarray else None,
                t.version if ko else None,
            )
        else:
            n.args = n.outs = n.counters = ()
        frame = getframe(1)
        code = frame.f_code
        n.made = caller() if code.co_filename.startswith(PACKAGE) else (code, frame.f_lasti)
        n.seq = next_sequence()
        t.edge = n
        t.tracked = True
        return t

    call.__name__ = call.__qualname__ = name
    call.__doc__ = prim.body.__doc__
    return call


def unary(prim: Primitive) -> Callable[[Any], Any]:
    """prim(x), recorded on the short way where the operand allows it."""
    body, name = prim.body, prim.name
    cpu = get_backend("cpu")
    raw, plain = raw_over(cpu), name not in cpu.kernels
    new, main = object.__new__, MAIN
    inputs, _, outs = prim.keep((True,))
    keep_x, keep_y, constant = 0 in inputs, 0 in outs, not prim.vjps

    def switch(on: bool) -> None:
        nonlocal plain
        plain = on and name not in cpu.kernels

    _switches.append(switch)

    def call(input: Any) -> Any:
        if not isinstance(input, Value) or input.level is not main:
            return bind(prim, (input,), _NO_STATIC)
        array = input.below
        if type(array) is not ndarray or not plain:
            return bind(prim, (input,), _NO_STATIC)
        dtype = array.dtype
        if dtype is not float32 and dtype is not float64:
            return bind(prim, (input,), _NO_STATIC)
        out = body(np, array)
        if type(out) is not ndarray:
            out = asarray(out)
        t = new(Tensor)
        t.below = out
        t.level = main
        t.grad = t.hooks = t.aux = None
        t.version = [0]
        if not input.tracked or constant or MODE.cutoff >= 0:
            t.edge = None
            t.tracked = False
            return t
        n = new(Node)
        n.prim = prim
        n.static = _NO_STATIC
        n.level = main
        n.raw = raw
        n.residual = n.hooks = None
        n.nout = 1
        n.dtypes = (dtype,)
        n.edges = (input.edge or input,)
        n.uniform = True
        n.shapes = (array.shape,)
        n.args = (array if keep_x else None,) if keep_x or keep_y else ()
        n.outs = (out if keep_y else None,)
        n.counters = (input.version if keep_x else None, t.version if keep_y else None)
        n.made = caller()
        n.seq = next_sequence()
        t.edge = n
        t.tracked = True
        return t

    call.__name__ = call.__qualname__ = name
    call.__doc__ = prim.body.__doc__
    return call
