"""Indexing as PyTorch has it, in what it shares with NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from parity.same import floats, integers, same

import gradflow as gf


def L(t, *values):
    return t.tensor(values if len(values) != 1 else values[0])


INDICES = {
    "int": lambda t: 1, "negative": lambda t: -2, "numpy int": lambda t: np.int64(1), "far": lambda t: 3,
    "far back": lambda t: -4, "slice": lambda t: slice(1, None), "step": lambda t: slice(None, None, 2),
    "open": lambda t: (slice(None), 1), "three": lambda t: (0, 1, 2, 3), "too many": lambda t: (0, 0, 0, 0, 0),
    "none": lambda t: None, "none between": lambda t: (slice(1), None, 2, None), "ellipsis": lambda t: (..., 0),
    "two ellipses": lambda t: (..., 0, ...), "empty tuple": lambda t: (), "empty slice": lambda t: slice(2, 1),
    "numpy bounds": lambda t: slice(np.int32(1), L(t, 3)), "list": lambda t: [0, 2, -1], "nested": lambda t: [[0, 1],
    [2, 0]],
    "empty list": lambda t: [], "empty lists": lambda t: [[], []], "bools": lambda t: [True, False, True],
    "list far": lambda t: [0, 3], "array": lambda t: np.array([1, 0]), "array 2d": lambda t: np.array([[1], [-1]]),
    "tensor": lambda t: L(t, 2, 0, 0), "0d tensor": lambda t: L(t, 1), "int32": lambda t: L(t, 2, 0).int(),
    "uint8": lambda t: L(t, 1, 0, 1, 1).to(t.uint8), "float": lambda t: 1.0, "float tensor": lambda t: L(t, 1.0, 2.0),
    "string": lambda t: "a", "tensor far": lambda t: L(t, 0, 7), "tensor last": lambda t: (slice(None), slice(1, 3),
    L(t, 0, 3)),
    "two tensors": lambda t: (L(t, 0, 1), L(t, 2, 3)), "broadcast": lambda t: (L(t, [[0], [2]]), L(t, 1, 3, 0)),
    "mismatched": lambda t: (L(t, 0, 1), L(t, 2, 3, 1)), "apart": lambda t: (L(t, 0, 1), slice(None), L(t, 2, 3)),
    "int apart": lambda t: (0, slice(None), L(t, 2, 3)), "int beside": lambda t: (slice(None), 1, L(t, 2, 3)),
    "none apart": lambda t: (L(t, 0, 1), None, L(t, 2, 3)), "0d apart": lambda t: (L(t, 1), slice(None), L(t, 2, 3)),
    "tensor ellipsis": lambda t: (..., L(t, 0, 1), None), "mask 1d": lambda t: L(t, True, False, True),
    "mask 2d": lambda t: L(t, np.eye(3, 4, dtype=bool).tolist()), "mask none": lambda t: L(t, False, False, False),
    "mask wrong": lambda t: L(t, True, False), "mask inside": lambda t: (slice(None), L(t, True, False, True, False)),
    "mask and tensor": lambda t: (L(t, True, False, True), L(t, 0, 3)), "mask and int": lambda t: (L(t, True, True,
    False), 1),
    "numpy mask": lambda t: np.array([True, False, True]), "mask apart": lambda t: (L(t, True, False, True),
    slice(None), L(t, 0, 3)),
    "true": lambda t: True, "false": lambda t: False, "true tensor": lambda t: L(t, True), "0d false": lambda t: L(t,
    False),
    "true and slice": lambda t: (True, slice(1, 2)), "ellipsis true": lambda t: (..., True),
    "true and list": lambda t: (True, [0, 2]), "list of tensors": lambda t: [L(t, 0), L(t, 2)],
    "tuple in tuple": lambda t: ((0, 2), slice(1)), "range": lambda t: range(2),
    "listed range": lambda t: list(range(2)),
}  # fmt: skip
NUMPYS = {
    "uint8": "PyTorch still takes it for a mask, with a warning; here it is refused",
    "two ellipses": "NumPy and we refuse them",
    "nested": "PyTorch takes an outer list for a tuple, and says that it will change",
    "empty lists": "the same",
    "list of tensors": "the same",
    "int apart": "to NumPy and us an integer beside index arrays is one of them, to PyTorch it comes first",
    "0d apart": "the same",
    "true and list": "NumPy and we broadcast a bool with index arrays",
}
"""What follows NumPy where PyTorch differs from it; test_numpys_rules compares with NumPy."""

FAR = ("list far", "tensor far")  # which PyTorch overlooks where the result is empty
SHAPES = [(3, 4, 5), (3, 4), (3,), (0, 4, 5), (3, 0, 4), ()]


def test_numpys_rules():
    x = floats(3, 4, 5)
    for name in [n for n in NUMPYS if n not in ("uint8", "two ellipses")]:
        index = INDICES[name](gf)
        plain = (
            [i.numpy() if isinstance(i, gf.Tensor) else i for i in index] if isinstance(index, (tuple, list)) else index
        )
        expected = x[tuple(plain) if isinstance(index, tuple) else plain]
        found = gf.tensor(x)[index].numpy()
        assert found.shape == expected.shape and np.array_equal(found, expected), name


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", [n for n in INDICES if n not in NUMPYS])
def test_getitem(name, shape):
    if name in FAR and 0 in shape:
        return
    same(lambda t, x: x[INDICES[name](t)], floats(*shape))


@pytest.mark.parametrize(
    "x", [floats(4, 3).T, integers(3, 4, dtype="i2"), integers(3, 4) > 0, floats(3, 4, dtype="f2")]
)
@pytest.mark.parametrize("name", ["int", "step", "broadcast", "mask 2d", "0d tensor", "true", "bools"])
def test_getitem_of_other_arrays(name, x):
    same(lambda t, x: x[INDICES[name](t)], x)


VALUES = {
    "number": lambda t, y: 7, "float": lambda t, y: -0.5, "same": lambda t, y: y * 2 + 1,
    "0d": lambda t, y: t.tensor(3.0), "ones": lambda t, y: t.ones(1, 1, *y.shape), "int": lambda t,
    y: t.arange(y.numel()).reshape(y.shape),
    "row": lambda t, y: t.arange(y.shape[-1]).float() if y.ndim else t.tensor(1.0), "wrong": lambda t, y: t.ones(7, 11),
    "bool": lambda t, y: y > 0,
}  # fmt: skip


CASTING = ("int", "slice", "open", "none between", "ellipsis", "empty slice")  # of others PyTorch wants x's dtype


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("name", [n for n in INDICES if n not in (*NUMPYS, "tensor")])
def test_setitem(name, value):
    if (name, value) == ("false", "wrong"):  # PyTorch does not look at what it writes nowhere
        return
    for x in (floats(3, 4, 5), floats(3, 4, 5, dtype="f4"), integers(3, 4, 5, dtype="i4")):

        def change(t, x):
            index = INDICES[name](t)
            with t.no_grad():
                v = VALUES[value](t, x[index])
                x[index] = v if isinstance(v, (int, float)) or name in CASTING else v.to(x.dtype)
            return x

        same(change, x, grad=False)


def test_setitem_on_leaves_and_views():
    def leaf(t, x):
        y = x * 1.0
        with t.no_grad():
            x[1:, 0] = 5.0
            x.view(-1)[0] = t.tensor(2.0)
        return y, x * x

    same(leaf, floats(3, 2), second=True)

    def saved(t, x):
        y = x * x
        with t.no_grad():
            x[0] = 5.0
        return y

    same(saved, floats(3, 2))
    same(lambda t, x: x.__setitem__(0, 1.0), floats(3))


# -- choosing ----------------------------------------------------------------------------------------------------------

SELECTING = {
    "index_select": lambda t, x, i: [t.index_select(x, 0, i.reshape(-1)), x.index_select(-1, i.int().reshape(-1))],
    "index_select 0d": lambda t, x, i: x.index_select(0, i.reshape(-1)[0]),
    "index_select 2d": lambda t, x, i: x.index_select(0, i.reshape(1, 1, -1)),
    "index_select negative": lambda t, x, i: x.index_select(0, -1 - i.reshape(-1)),
    "index_select float": lambda t, x, i: x.index_select(0, i.reshape(-1) * 1.0),
    "gather 0": lambda t, x, i: t.gather(x, 0, i),
    "gather last": lambda t, x, i: x.gather(-1, i),
    "gather 1": lambda t, x, i: x.gather(dim=1, index=i),
    "gather negative": lambda t, x, i: x.gather(0, i - 1),
    "gather float": lambda t, x, i: x.gather(0, i * 1.0) if i.numel() else x,
    "take": lambda t, x, i: [t.take(x, i), x.take(-i - 1)],
    "take far": lambda t, x, i: x.take(i + x.numel()),
    "take_along_dim": lambda t, x, i: t.take_along_dim(x, i, 0),
    "take_along_dim last": lambda t, x, i: x.take_along_dim(i, dim=-1),
    "take_along_dim flat": lambda t, x, i: x.take_along_dim(i),
}
GATHERED = [
    ((3, 4), (3, 4)), ((3, 4), (2, 3)), ((3, 4), (5, 4)), ((3, 4), (3, 6)), ((3, 4), (1, 1)), ((3, 4), (3,)),
    ((3, 4), (0, 4)), ((3, 4), (2, 0)), ((4,), (6,)), ((4,), ()), ((), ()), ((), (3,)), ((3, 4, 2), (3, 4, 2)),
    ((3, 4, 2), (1, 4, 2)), ((3, 1, 2), (3, 4, 2)), ((0, 3), (0, 3)), ((0, 3), (2, 3)), ((3, 4), (3, 4, 1)),
]  # fmt: skip


@pytest.mark.parametrize("shape, index", GATHERED)
@pytest.mark.parametrize("name", SELECTING)
def test_selecting(name, shape, index):
    i = np.abs(integers(*index, seed=3)) % 3 % max(1, min(shape, default=1))
    same(SELECTING[name], floats(*shape), i, second=True)
    if name in ("gather 0", "gather last", "take", "index_select"):
        same(SELECTING[name], integers(*shape, dtype="i4"), i)
        same(SELECTING[name], floats(*shape, dtype="f2"), i + 1)


MASKED = [((3, 4), (3, 4)), ((3, 4), (4,)), ((3, 1), (1, 4)), ((4,), (3, 4)), ((), ()), ((3, 4), ()), ((0, 3), (3,)),
          ((3, 4), (3,))]  # fmt: skip
MASKING = {
    "masked_select": lambda t, x, m: [t.masked_select(x, m), x.masked_select(m.logical_not())],
    "masked_fill": lambda t, x, m: [t.masked_fill(x, m, -1.5), x.masked_fill(m, t.tensor(2.0)), x.masked_fill(m, 3)],
    "masked_fill inf": lambda t, x, m: x.masked_fill(m, float("-inf")) if x.is_floating_point() else x,
    "masked_fill int": lambda t, x, m: x.masked_fill(m.long(), 1),
    "masked_fill many": lambda t, x, m: x.masked_fill(m, t.ones(2)),
    "masked_fill_": lambda t, x, m: (x * 1).detach().masked_fill_(m, 4),
    "masked_scatter": lambda t, x, m: t.masked_scatter(x, m, t.arange(30).to(x.dtype)),
    "masked_scatter few": lambda t, x, m: x.masked_scatter(m, t.ones(1).to(x.dtype)),
    "masked_scatter_": lambda t, x, m: (x * 1).detach().masked_scatter_(m, t.arange(30).to(x.dtype)),
    "nonzero": lambda t, x, m: [t.nonzero(m), x.nonzero(), *m.nonzero(as_tuple=True), t.argwhere(x)],
}


@pytest.mark.parametrize("shape, mask", MASKED)
@pytest.mark.parametrize("name", MASKING)
def test_masking(name, shape, mask):
    m = integers(*mask, seed=3) > 0
    same(MASKING[name], floats(*shape), m, second=True)
    same(MASKING[name], floats(*shape, dtype="f2"), m)


@pytest.mark.parametrize("value", [1, 1.0, 1.5, -1, True, 300, float("nan"), float("inf")])
@pytest.mark.parametrize("dtype", ["i8", "u1", "?", "f4", "f2"])
def test_numbers_that_fit_or_not(value, dtype):
    if (value, dtype) == (-1, "u1"):  # which PyTorch lets wrap around to 255
        return
    x, i = np.ones(3, dtype), np.array([0])
    for line in [
        lambda t, x, i: x.masked_fill(x > 0, value),
        lambda t, x, i: x.index_fill(0, i, value),
        lambda t, x, i: x.scatter(0, i, value),
        lambda t, x, i: t.nn.functional.pad(x, (1, 0), value=value),
    ]:
        same(line, x, i, grad=False)
