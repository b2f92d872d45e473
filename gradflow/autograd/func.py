"""Function transforms, with the names and signatures of torch.func: grad, vjp, jvp, vmap and what they make together.

Each runs its function with values of a level of its own above whatever the arguments are, so that they nest in any
order, and operations on outer tensors that the function closes over are recorded as ever.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..backend.dtypes import is_floating
from .api import owned
from .batch import BatchLevel
from .engine import run_backward
from .forward import DualLevel
from .grad_mode import MODE
from .primitive import BIND
from .tape import MAIN, Tape
from .tree import Tree, broadcast_prefix, flatten, map_tree, unflatten
from .value import Level, TransformError, Value, backend_under, make, unwrap

Function = Callable[..., Any]
ArgNums = int | tuple[int, ...]


@contextmanager
def _within(level: Level) -> Iterator[None]:
    """A transform at work: `no_grad` outside it stays in force for the levels below, and only for them."""
    was = MODE.cutoff, MODE.base, MODE.depth, MODE.mapped
    MODE.base, MODE.depth = MODE.cutoff, level.depth
    if isinstance(level, BatchLevel):
        MODE.mapped = (*MODE.mapped, level)
    try:
        yield
    finally:
        MODE.cutoff, MODE.base, MODE.depth, MODE.mapped = was
        level.ended = True


def _below(value: Any) -> Any:
    """A transform's argument as what lies below its level: raw, where nothing records it."""
    if isinstance(value, Value):
        return value.below if value.level is MAIN and not (value.tracked and MODE.cutoff < 0) else value
    return value


def _shown(value: Any, bases: Sequence[Any] = ()) -> Any:
    """A result as users see it: raw arrays become tensors, those that share an argument's memory with its counter."""
    if isinstance(value, Value):
        return value
    for base in bases:
        if isinstance(base, Value) and type(unwrap(base)) is type(value) and np.may_share_memory(unwrap(base), value):
            return make(value, MAIN, version=base.version)
    return make(value, MAIN)


def _check_array(name: str, value: Any) -> Any:
    if not isinstance(value, Value) and not (hasattr(value, "dtype") and hasattr(value, "shape")):
        raise TypeError(f"[{name}] expected tensors, got {type(value).__name__}")
    return value


def _leaf(name: str, value: Any, tape: Tape) -> Any:
    _check_array(name, value)
    if not is_floating(value.dtype):
        raise TypeError(f"[{name}] can differentiate with respect to floating tensors only, got {value.dtype}")
    return make(_below(value), tape, requires_grad=True, version=getattr(value, "version", None))


def _lower(value: Any, level: Level) -> Any:
    """An output seen from below a level."""
    return value.below if isinstance(value, Value) and value.level is level else value


def vjp(func: Function, *primals: Tree, has_aux: bool = False) -> Any:
    """(func(*primals), function from output cotangents to the primals'), and aux where func returns (output, aux).

    The function may be called any number of times.
    """
    return _vjp("vjp", func, primals, has_aux)


def _vjp(name: str, func: Function, primals: tuple[Tree, ...], has_aux: bool) -> Any:
    tape = Tape(name)
    leaves, structure = flatten(primals)
    inputs = [_leaf(name, x, tape) for x in leaves]
    with _within(tape):
        out = func(*unflatten(structure, inputs))
        out, aux = _split_aux(name, out, has_aux)
        outs, out_structure = flatten(out)
    for o in outs:
        _check_array(name, o)
    lowered = [_shown(_lower(o, tape)) for o in outs]

    def pull_back(*cotangents: Tree) -> Any:
        given = flatten(cotangents if len(cotangents) != 1 else cotangents[0])[0]
        if len(given) != len(outs):
            raise ValueError(f"[vjp] got {len(given)} cotangents for {len(outs)} outputs")
        roots = []
        for o, low, g in zip(outs, lowered, given, strict=True):
            if tuple(g.shape) != tuple(low.shape):
                raise ValueError(f"[vjp] a cotangent of shape {tuple(g.shape)} for an output of {tuple(low.shape)}")
            if isinstance(o, Value) and o.level is tape and o.tracked:
                roots.append((o, _below(g)))
        grads = run_backward(roots, inputs, retain_graph=True) if roots else [None] * len(inputs)
        filled = [BIND.zeros_like(x.below) if g is None else g for g, x in zip(grads, inputs, strict=True)]
        found = [_shown(g) for g in owned(filled, given)]
        return tuple(unflatten(structure, found))

    result = unflatten(out_structure, lowered)
    return (result, pull_back, _lower_tree(aux, tape)) if has_aux else (result, pull_back)


def _split_aux(name: str, out: Any, has_aux: bool) -> tuple[Any, Any]:
    if not has_aux:
        return out, None
    if not isinstance(out, tuple) or len(out) != 2:
        raise TypeError(f"[{name}] with has_aux=True the function must return (output, aux)")
    return out


def _lower_tree(tree: Tree, level: Level) -> Tree:
    return map_tree(lambda v: _shown(_lower(v, level)) if isinstance(v, Value) else v, tree)


def _of_some(func: Function, args: tuple[Any, ...], places: Sequence[int], kwargs: dict[str, Any] | None = None) -> Any:
    """func of the arguments at `places` alone, the others as they are in `args`."""

    def chosen(*picked: Any) -> Any:
        full = list(args)
        for n, value in zip(places, picked, strict=True):
            full[n] = value
        return func(*full, **kwargs or {})

    return chosen


def grad_and_value(func: Function, argnums: ArgNums = 0, has_aux: bool = False) -> Function:
    """A function that returns (gradient, value) of a scalar-valued func with respect to the arguments at `argnums`."""

    @functools.wraps(func)
    def call(*args: Any, **kwargs: Any) -> Any:
        numbers = argnums if isinstance(argnums, tuple) else (argnums,)
        for n in numbers:
            if not -len(args) <= n < len(args):
                raise ValueError(f"[grad] argnums={argnums} but the function was called with {len(args)} arguments")
        places = [n % len(args) for n in numbers]

        chosen = _of_some(func, args, places, kwargs)
        value, pull_back, *aux = _vjp("grad", chosen, tuple([args[n] for n in places]), has_aux)
        if not isinstance(value, Value) or tuple(value.shape) != ():
            shape = tuple(value.shape) if isinstance(value, Value) else type(value).__name__
            raise RuntimeError(f"[grad] the function must return a scalar tensor, got {shape}; sum() it, or use vjp")
        grads = pull_back(_shown(BIND.ones_like(_below(value))))
        picked = grads if isinstance(argnums, tuple) else grads[0]
        return (picked, (value, aux[0])) if has_aux else (picked, value)

    return call


def grad(func: Function, argnums: ArgNums = 0, has_aux: bool = False) -> Function:
    """A function that returns the gradient of a scalar-valued func with respect to the arguments at `argnums`."""
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def call(*args: Any, **kwargs: Any) -> Any:
        gradient, value = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return call


def jvp(func: Function, primals: tuple[Any, ...], tangents: tuple[Any, ...], *, has_aux: bool = False) -> Any:
    """(func(*primals), its derivative in the direction of the tangents), and aux where func returns (output, aux)."""
    if not isinstance(primals, tuple) or not isinstance(tangents, tuple):
        raise TypeError("[jvp] primals and tangents must be tuples, one entry per argument")
    level = DualLevel()
    leaves, structure = flatten(primals)
    directions = flatten(tangents)[0]
    if len(directions) != len(leaves):
        raise ValueError(f"[jvp] {len(leaves)} primals but {len(directions)} tangents")
    inputs = []
    for x, t in zip(leaves, directions, strict=True):
        _check_array("jvp", x), _check_array("jvp", t)
        if tuple(x.shape) != tuple(t.shape):
            raise ValueError(f"[jvp] a tangent of shape {tuple(t.shape)} for a primal of shape {tuple(x.shape)}")
        if not is_floating(x.dtype):
            raise TypeError(f"[jvp] can differentiate with respect to floating tensors only, got {x.dtype}")
        value = make(_below(x), level)
        value.aux = BIND.astype(_below(t), dtype=x.dtype) if t.dtype != x.dtype else _below(t)
        inputs.append(value)
    with _within(level):
        out, aux = _split_aux("jvp", func(*unflatten(structure, inputs)), has_aux)
        outs, out_structure = flatten(out)
    bases = [*leaves, *directions]
    results, derivatives = [], []
    for o in outs:
        mine = isinstance(o, Value) and o.level is level
        primal = _lower(_check_array("jvp", o), level)
        results.append(_shown(primal, bases))
        derivatives.append(_shown(o.aux if mine else BIND.zeros_like(_below(primal)), bases))
    pair = unflatten(out_structure, results), unflatten(out_structure, derivatives)
    return (*pair, _lower_tree(aux, level)) if has_aux else pair


def vmap(
    func: Function, in_dims: Any = 0, out_dims: Any = 0, randomness: str = "error", *, chunk_size: None = None
) -> Function:
    """func, written for one example, applied to all at once.

    in_dims     per argument (nested as the arguments are) the axis to map over, or None for none
    out_dims    per output the axis at which the mapped axis is put; None for an output that does not depend on it
    randomness  what random operations do: 'error', 'same' for all examples, or 'different'
    """
    if randomness not in ("error", "same", "different"):
        raise ValueError(f"[vmap] randomness must be 'error', 'same' or 'different', got {randomness!r}")
    if chunk_size is not None:
        raise NotImplementedError("[vmap] chunk_size is not supported")

    @functools.wraps(func)
    def call(*args: Any, **kwargs: Any) -> Any:
        leaves, structure = flatten(args)
        dims = broadcast_prefix(_as_args(in_dims, args), args, "in_dims")
        size, moved = _move_in(leaves, dims)
        level = BatchLevel(size, randomness)
        inputs = [v if d is None else make(v, level) for v, d in zip(moved, dims, strict=True)]
        with _within(level):
            outs, out_structure = flatten(func(*unflatten(structure, inputs), **kwargs))
        out_tree = unflatten(out_structure, outs)
        places = broadcast_prefix(out_dims, out_tree, "out_dims")
        return unflatten(out_structure, [_move_out(o, d, level, leaves) for o, d in zip(outs, places, strict=True)])

    return call


def _as_args(in_dims: Any, args: tuple[Any, ...]) -> Any:
    if isinstance(in_dims, list):
        in_dims = tuple(in_dims)
    if isinstance(in_dims, tuple) and len(in_dims) != len(args):
        raise ValueError(f"[vmap] in_dims {in_dims} has {len(in_dims)} entries for {len(args)} arguments")
    return in_dims


def _move_in(leaves: list[Any], dims: list[Any]) -> tuple[int, list[Any]]:
    """(size of the mapped axis, values below the level with that axis first)."""
    size, moved = None, []
    for x, d in zip(leaves, dims, strict=True):
        if d is None:
            moved.append(x)
            continue
        shape = tuple(_check_array("vmap", x).shape)
        if not -len(shape) <= d < len(shape):
            raise ValueError(f"[vmap] in_dims says axis {d} of a tensor of shape {shape}")
        d %= len(shape)
        if size is None:
            size = shape[d]
        elif size != shape[d]:
            raise ValueError(f"[vmap] mapped axes must agree: one has size {size}, axis {d} of shape {shape} does not")
        moved.append(_move(_below(x), d, 0))
    if size is None:
        raise ValueError("[vmap] at least one argument must be mapped over: in_dims is None everywhere")
    return size, moved


def _move(x: Any, source: int, target: int) -> Any:
    if source == target:
        return x
    axes = [a for a in range(len(x.shape)) if a != source]
    axes.insert(target, source)
    return BIND.transpose(x, axes=tuple(axes))


def _move_out(out: Any, dim: Any, level: BatchLevel, bases: list[Any]) -> Any:
    if isinstance(out, (bool, int, float)):
        out = np.asarray(out, np.float32 if isinstance(out, float) else None)
    _check_array("vmap", out)
    mapped = isinstance(out, Value) and out.level is level
    if dim is None:
        if mapped:
            raise ValueError("[vmap] out_dims is None for an output that was mapped over")
        return _shown(out, bases)
    below = out.below if mapped else BIND.broadcast_to(_below(out), shape=(level.size, *out.shape))
    rank = len(below.shape)
    if not -rank <= dim < rank:
        raise ValueError(f"[vmap] out_dims says axis {dim} of an output with {rank} axes")
    return _shown(_move(below, 0, dim % rank), bases)


def _basis(x: Any) -> Any:
    """One unit tensor of x's shape per element: (size, *shape)."""
    size = int(np.prod(x.shape))
    eye = np.eye(size, dtype=x.dtype if x.dtype.kind == "f" else np.float32).astype(x.dtype)
    return make(backend_under(x).from_host(eye.reshape(size, *x.shape)), MAIN)


def _one_argnum(name: str, argnums: ArgNums) -> tuple[tuple[int, ...], bool]:
    if isinstance(argnums, tuple):
        return argnums, True
    return (argnums,), False


def jacrev(func: Function, argnums: ArgNums = 0, *, has_aux: bool = False) -> Function:
    """A function that returns the Jacobian (*output shape, *input shape) of func, row by row, by reverse mode."""
    numbers, many = _one_argnum("jacrev", argnums)

    @functools.wraps(func)
    def call(*args: Any) -> Any:
        chosen = _of_some(func, args, numbers)
        out, pull_back, *aux = vjp(chosen, *[args[n] for n in numbers], has_aux=has_aux)
        outs, structure = flatten(out)
        rows = []
        for k, y in enumerate(outs):

            def one(g: Any, k: int = k) -> Any:
                cotangents = [g if i == k else _shown(BIND.zeros_like(_below(o))) for i, o in enumerate(outs)]
                return pull_back(unflatten(structure, cotangents))

            parts = vmap(one)(_basis(y))
            shaped = [map_tree(lambda p, y=y: BIND.reshape(p, shape=(*y.shape, *p.shape[1:])), p) for p in parts]
            rows.append(tuple(shaped) if many else shaped[0])
        result = unflatten(structure, rows)
        return (result, aux[0]) if has_aux else result

    return call


def jacfwd(func: Function, argnums: ArgNums = 0, has_aux: bool = False, *, randomness: str = "error") -> Function:
    """A function that returns the Jacobian (*output shape, *input shape) of func, column by column, by forward mode."""
    numbers, many = _one_argnum("jacfwd", argnums)

    @functools.wraps(func)
    def call(*args: Any) -> Any:
        chosen = _of_some(func, args, numbers)
        leaves, structure = flatten(tuple([args[n] for n in numbers]))
        aux = None
        columns = []  # per input leaf: (leaves, structure) of the output's derivative
        for k, x in enumerate(leaves):

            def one(t: Any, k: int = k) -> Any:
                def moved(v: Any) -> Any:
                    return chosen(*unflatten(structure, [*leaves[:k], v, *leaves[k + 1 :]]))

                found = jvp(moved, (leaves[k],), (t,), has_aux=has_aux)
                return (found[1], found[2]) if has_aux else found[1]

            derivative = vmap(one, out_dims=(-1, 0) if has_aux else -1, randomness=randomness)(_basis(x))
            if has_aux:
                derivative, aux = derivative
                aux = map_tree(lambda a: BIND.getitem(a, spec=(0,)), aux)
            shaped = map_tree(lambda p, x=x: BIND.reshape(p, shape=(*p.shape[:-1], *x.shape)), derivative)
            columns.append(flatten(shaped))
        per_output = [
            unflatten(structure, list(parts)) for parts in zip(*[c[0] for c in columns], strict=True)
        ]  # fmt: skip
        result = unflatten(columns[0][1], [p if many else p[0] for p in per_output])
        return (result, aux) if has_aux else result

    return call


def hessian(func: Function, argnums: ArgNums = 0) -> Function:
    """A function that returns the Hessian (*input shape, *input shape) of a scalar func: forward over reverse."""
    return jacfwd(jacrev(func, argnums), argnums)


__all__ = ["TransformError", "grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "vjp", "vmap"]
