"""Sums of products over shared dimensions: einsum and tensordot, by transposes, reshapes and matrix products."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from ..ops import elementwise, reduce, shape
from ..ops import linalg as products
from ..ops.arrange import diagonal
from .arguments import check_tensors

Labels = tuple[Any, ...]  # one per dimension: a letter, or for those under an ellipsis -1 (the last), -2, ...


def einsum(equation: Any, *operands: Any) -> Any:
    """Sums of products of operands' elements, as an equation of the dimensions' letters says: "bij,bjk->bik".

    Dimensions without "->" in the equation: those under "..." and then, sorted, the letters that occur once. A letter
    that occurs twice in one operand takes its diagonal; dimensions of size 1 are repeated. Also
    einsum(a, [0, 1], b, [1, 2], [0, 2]), with integers below 52, or `...`, as letters. Three operands or more are
    multiplied two at a time, those first whose product is smallest beside what it replaces.
    """
    if not isinstance(equation, str):
        equation, operands = _from_lists((equation, *operands))
    elif len(operands) == 1 and isinstance(operands[0], (tuple, list)):
        operands = tuple(operands[0])
    if not operands:
        raise ValueError("[einsum] needs at least one operand")
    check_tensors("einsum", **{f"operand {i}": x for i, x in enumerate(operands)})
    terms, result, recipe, turn = _plan(equation, tuple([tuple(x.shape) for x in operands]))
    if recipe is not None:
        x = _follow(recipe, *operands)
        return x if turn is None else shape.transpose(x, axes=turn)
    found = [_diagonals(x, labels) for x, labels in zip(operands, terms, strict=True)]
    while len(found) > 2:
        i, j = _cheapest([(labels, tuple(x.shape)) for x, labels in found], result)
        b, a = found.pop(j), found.pop(i)
        kept = frozenset(result).union(*[labels for _, labels in found])
        found.append(_multiply(*a, *b, kept))
    x, labels = _multiply(*found[0], *found[1], frozenset(result)) if len(found) == 2 else _summed(*found[0], result)
    turn = _turned(labels, result)
    return x if turn is None else shape.transpose(x, axes=turn)


def _turned(labels: Labels, result: Labels) -> tuple[int, ...] | None:
    """The axes in the result's order, None where they are."""
    return None if labels == result else tuple([labels.index(k) for k in result])


@lru_cache(maxsize=1024)
def _plan(equation: str, shapes: tuple[tuple[int, ...], ...]) -> tuple[Any, ...]:
    """(labels of the operands, of the result; for two operands without diagonals: the recipe, and how to turn what it
    gives)."""
    terms, result = _parse(equation, tuple(map(len, shapes)))
    _check_sizes(equation, terms, shapes)
    if len(terms) != 2 or any(len(set(labels)) < len(labels) for labels in terms):
        return terms, result, None, None
    recipe = _recipe(terms[0], shapes[0], terms[1], shapes[1], frozenset(result))
    return terms, result, recipe, _turned(recipe[-1], result)


def _from_lists(args: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    def term(labels: Any) -> str:
        if not isinstance(labels, (tuple, list)):
            raise TypeError(f"[einsum] expected an equation, or operands with lists of dimensions, got {labels!r}")
        found = ""
        for k in labels:
            if k is Ellipsis:
                found += "..."
            elif not isinstance(k, int) or not 0 <= k < 52:
                raise ValueError(f"[einsum] dimensions are integers from 0 to 51 or Ellipsis, got {k!r}")
            else:
                found += chr(65 + k if k < 26 else 71 + k)
        return found

    pairs = len(args) // 2
    equation = ",".join([term(args[2 * i + 1]) for i in range(pairs)])
    return (equation + "->" + term(args[-1]) if len(args) % 2 else equation), args[: 2 * pairs : 2]


def _parse(equation: str, ranks: tuple[int, ...]) -> tuple[tuple[Labels, ...], Labels]:
    """The labels of each operand's dimensions and of the result's."""
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    for part in [*terms, right]:
        if not re.fullmatch(r"[a-zA-Z]*(\.\.\.)?[a-zA-Z]*", part):
            raise ValueError(f"[einsum] {part!r} in {equation!r} may have letters and one ellipsis '...' only")
    if len(terms) != len(ranks):
        raise ValueError(f"[einsum] {equation!r} is for {len(terms)} operands, got {len(ranks)}")
    labels, deepest = [], 0
    for i, (part, rank) in enumerate(zip(terms, ranks, strict=True)):
        hidden = rank - len(part.replace("...", ""))
        if hidden < 0 or (hidden and "..." not in part):
            raise ValueError(
                f"[einsum] {part!r} in {equation!r} does not fit operand {i}, which has {rank} dimensions"
            )  # fmt: skip
        labels.append(_labels(part, hidden))
        deepest = max(deepest, hidden)
    if arrow:
        result = _labels(right, deepest)
        for letter in right.replace("...", ""):
            if right.count(letter) > 1 or letter not in left:
                why = "occurs twice in the result" if letter in left else "is in no operand"
                raise ValueError(f"[einsum] {letter!r} {why} ({equation!r})")
    else:
        once = sorted([c for c in set(left) if c.isalpha() and left.count(c) == 1])
        result = (*range(-deepest, 0), *once)
    return tuple(labels), result


def _labels(part: str, hidden: int) -> Labels:
    before, dots, after = part.partition("...")
    return (*before, *(range(-hidden, 0) if dots else ()), *after)


def _check_sizes(equation: str, terms: Sequence[Labels], shapes: tuple[tuple[int, ...], ...]) -> None:
    sizes: dict[Any, int] = {}
    for labels, sizes_here in zip(terms, shapes, strict=True):
        for k, n in zip(labels, sizes_here, strict=True):
            if n != 1 and sizes.setdefault(k, n) != n:
                what = f"dimension {k!r}" if isinstance(k, str) else "a dimension under '...'"
                operands = ", ".join(map(str, shapes))
                raise ValueError(f"[einsum] {what} of {equation!r} has the sizes {sizes[k]} and {n} ({operands})")


def _diagonals(x: Any, labels: Labels) -> tuple[Any, Labels]:
    """x with each label once: the diagonals of dimensions that share one."""
    while len(set(labels)) < len(labels):
        i = next(i for i, k in enumerate(labels) if labels.count(k) > 1)
        j = labels.index(labels[i], i + 1)
        if x.shape[i] != x.shape[j]:  # one of them is 1, and repeated
            wide = [max(x.shape[i], x.shape[j]) if d in (i, j) else n for d, n in enumerate(x.shape)]
            x = shape.broadcast_to(x, shape=tuple(wide))
        rest = [d for d in range(len(labels)) if d not in (i, j)]
        x, labels = diagonal(x, offset=0, axis1=i, axis2=j), (*[labels[d] for d in rest], labels[i])
    return x, labels


def _summed(x: Any, labels: Labels, kept: Labels) -> tuple[Any, Labels]:
    """x without the dimensions that nothing else has."""
    gone = tuple([i for i, k in enumerate(labels) if k not in kept])
    if not gone:
        return x, labels
    return reduce.sum(x, axis=gone), tuple([k for k in labels if k in kept])


def _cheapest(found: list[tuple[Labels, tuple[int, ...]]], result: Labels) -> tuple[int, int]:
    """The two operands to multiply next: those whose product is smallest beside what it replaces."""
    best = None
    for j in range(1, len(found)):
        for i in range(j):
            rest = set(result).union(*[found[k][0] for k in range(len(found)) if k not in (i, j)])
            sizes: dict[Any, int] = {}
            for labels, lengths in (found[i], found[j]):
                for k, n in zip(labels, lengths, strict=True):
                    sizes[k] = max(n, sizes.get(k, 1))
            size = math.prod([n for k, n in sizes.items() if k in rest])
            gain = size - math.prod(found[i][1]) - math.prod(found[j][1])
            cost = (gain, math.prod(sizes.values()), j, i)
            best = cost if best is None or cost < best else best
    assert best is not None
    return best[3], best[2]


@lru_cache(maxsize=1024)
def _recipe(
    la: Labels, sa: tuple[int, ...], lb: Labels, sb: tuple[int, ...], kept: frozenset[Any]
) -> tuple[Any, ...]:  # fmt: skip
    """How to multiply two operands: what to sum before and which dimensions to drop (they are 1), then per operand
    (axes, shape), whether the product is a matrix product, and the result's shape and labels."""
    size = {k: n for labels, lengths in ((la, sa), (lb, sb)) for k, n in zip(labels, lengths, strict=True) if n != 1}
    size = {**dict.fromkeys((*la, *lb), 1), **size}
    both = [k for k in la if k in lb and sa[la.index(k)] == sb[lb.index(k)]]
    left = [k for k in la if k not in both and not (k in lb and sa[la.index(k)] == 1)]
    right = [k for k in lb if k not in both and not (k in la and sb[lb.index(k)] == 1)]
    drop_a = tuple([i for i, k in enumerate(la) if k not in both and k not in left])
    drop_b = tuple([i for i, k in enumerate(lb) if k not in both and k not in right])
    sum_a, sum_b = (tuple([labels.index(k) for k in own if k not in kept]) for labels, own in ((la, left), (lb, right)))
    left, right = [k for k in left if k in kept], [k for k in right if k in kept]
    batch, inner = [k for k in both if k in kept], [k for k in both if k not in kept]
    left_a = [k for k in la if k in batch + left + inner]
    left_b = [k for k in lb if k in batch + right + inner]
    out = (*batch, *left, *right)

    def arranged(labels: list[Any], groups: list[list[Any]]) -> tuple[Any, Any]:
        order = [k for group in groups for k in group]
        axes = tuple([labels.index(k) for k in order])
        target = (*[size[k] for k in groups[0]], *[math.prod([size[k] for k in group]) for group in groups[1:]])
        plain = target == tuple([size[k] for k in order])
        return None if axes == tuple(range(len(axes))) else axes, None if plain else target

    if inner:
        a, b = arranged(left_a, [batch, left, inner]), arranged(left_b, [batch, inner, right])
    else:
        a, b = arranged(left_a, [batch + left]), arranged(left_b, [batch + right])
        target = (*[size[k] for k in batch], *[1] * len(left), *[size[k] for k in right])
        a = (a[0], (*[size[k] for k in batch + left], *[1] * len(right)) if right else None)
        b = (b[0], target if left else None)
    full = tuple([size[k] for k in out])
    plain = not inner or (len(left) == len(right) == 1)
    return (sum_a + drop_a, bool(sum_a), a), (sum_b + drop_b, bool(sum_b), b), bool(inner), None if plain else full, out


def _ready(x: Any, gone: tuple[int, ...], sums: bool, arranged: tuple[Any, Any]) -> Any:
    if gone:
        if sums:
            x = reduce.sum(x, axis=gone)
        else:
            x = shape.reshape(x, shape=tuple([n for i, n in enumerate(x.shape) if i not in gone]))
    axes, target = arranged
    if axes is not None:
        x = shape.transpose(x, axes=axes)
    return x if target is None else shape.reshape(x, shape=target)


def _follow(recipe: tuple[Any, ...], a: Any, b: Any) -> Any:
    for_a, for_b, inner, target, _ = recipe
    a, b = _ready(a, *for_a), _ready(b, *for_b)
    x = products.matmul(a, b) if inner else elementwise.multiply(a, b)
    return x if target is None else shape.reshape(x, shape=target)


def _multiply(a: Any, la: Labels, b: Any, lb: Labels, kept: frozenset[Any]) -> tuple[Any, Labels]:
    """The sum of products over the dimensions that are not kept, and the labels of its own."""
    recipe = _recipe(la, tuple(a.shape), lb, tuple(b.shape), kept)
    return _follow(recipe, a, b), recipe[-1]


def tensordot(a: Any, b: Any, dims: Any = 2) -> Any:
    """The sum of products over the last `dims` dimensions of a and the first of b, or over two lists of them."""
    check_tensors("tensordot", a=a, b=b)
    if hasattr(dims, "tolist"):
        dims = dims.tolist()
    if isinstance(dims, int):
        if not 0 <= dims <= min(a.ndim, b.ndim):
            raise ValueError(f"[tensordot] dims {dims} is more than a {tuple(a.shape)} and b {tuple(b.shape)} have")
        left, right = list(range(a.ndim - dims, a.ndim)), list(range(dims))
    elif not isinstance(dims, (tuple, list)) or len(dims) != 2:
        raise TypeError(f"[tensordot] dims must be an integer or two lists of them, got {dims!r}")
    else:
        left, right = [[d] if isinstance(d, int) else list(d) for d in dims]
    if len(left) != len(right):
        raise ValueError(f"[tensordot] as many dimensions of a as of b are needed, got {left} and {right}")
    for x, own in ((a, left), (b, right)):
        if any(not -x.ndim <= d < x.ndim for d in own):
            raise IndexError(f"[tensordot] dims {own} are out of range for {tuple(x.shape)}")
    left, right = [d % a.ndim for d in left], [d % b.ndim for d in right]
    if len(set(left)) < len(left) or len(set(right)) < len(right):
        raise ValueError(f"[tensordot] dims {dims} name a dimension twice")
    if any(a.shape[i] != b.shape[j] and 1 not in (a.shape[i], b.shape[j]) for i, j in zip(left, right, strict=True)):
        raise ValueError(
            f"[tensordot] dimensions {left} of a {tuple(a.shape)} and {right} of b {tuple(b.shape)} differ in size"
        )
    la = tuple(range(a.ndim))
    lb = tuple([left[right.index(j)] if j in right else a.ndim + j for j in range(b.ndim)])
    kept = (*[k for k in la if k not in left], *[k for k in lb if k >= a.ndim])
    x, labels = _multiply(a, la, b, lb, frozenset(kept))
    turn = _turned(labels, kept)
    return x if turn is None else shape.transpose(x, axes=turn)


__all__ = ["einsum", "tensordot"]
