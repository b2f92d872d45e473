"""Scattering and embedding as PyTorch has them."""

from __future__ import annotations

import numpy as np
import pytest
from parity.same import floats, integers, same

SCATTERING = {
    "scatter": lambda t, x, i, s: t.scatter(x, 0, i, s),
    "scatter last": lambda t, x, i, s: x.scatter(-1, i, src=s),
    "scatter number": lambda t, x, i, s: [x.scatter(0, i, 2), x.scatter(dim=-1, index=i, value=-1.5)],
    "scatter add": lambda t, x, i, s: [x.scatter(0, i, s, reduce="add"), x.scatter(0, i, 1.5, reduce="add")],
    "scatter odd": lambda t, x, i, s: x.scatter(0, i, s, reduce="max"),
    "scatter_": lambda t, x, i, s: (x * 1).detach().scatter_(0, i, s.detach()),
    "scatter_add": lambda t, x, i, s: t.scatter_add(x, 0, i, s),
    "scatter_add last": lambda t, x, i, s: x.scatter_add(-1, i, s),
    "scatter_add 1": lambda t, x, i, s: x.scatter_add(1, i, s),
    "scatter_add negative": lambda t, x, i, s: x.scatter_add(0, i - 2, s),
    "scatter_add_": lambda t, x, i, s: (x * 1).detach().scatter_add_(0, i, s.detach()),
    **{
        f"scatter_reduce {r} {inc}": lambda t, x, i, s, r=r, inc=inc: [
            t.scatter_reduce(x, 0, i, s, r, include_self=inc), x.scatter_reduce(-1, i, s, r, include_self=inc)
        ]
        for r in ("sum", "mean", "amax", "amin")
        for inc in (True, False)
    },
    "scatter_reduce odd": lambda t, x, i, s: x.scatter_reduce(0, i, s, "median"),
    "other dtype": lambda t, x, i, s: x.scatter_add(0, i, s.float()),
}  # fmt: skip
SHAPES = [
    ((3, 4), (3, 4), (3, 4)), ((3, 4), (2, 3), (2, 3)), ((3, 4), (2, 3), (3, 4)), ((3, 4), (3, 4), (2, 4)),
    ((3, 4), (5, 4), (5, 4)), ((3, 4), (3, 6), (3, 6)), ((3, 4), (0, 4), (3, 4)), ((3, 4), (3,), (3,)), ((4,), (6,),
    (7,)),
    ((4,), (), ()), ((), (), ()), ((), (3,), (3,)), ((3, 4, 2), (2, 4, 2), (3, 4, 2)), ((0, 3), (0, 3), (0, 3)),
    ((0, 3), (2, 3), (2, 3)),
]  # fmt: skip


def _once(index, shape, dim):
    """An index like the one given that names no place twice, or fits no src."""
    n, axis = shape[dim] if shape else 1, dim % max(index.ndim, 1)
    if not index.ndim or index.shape[axis] != n:
        return np.zeros([1 if k == axis else m for k, m in enumerate(index.shape)], int)
    row = np.arange(n)[::-1].reshape([n if k == axis else 1 for k in range(index.ndim)])
    return np.broadcast_to(row, index.shape).copy()


@pytest.mark.filterwarnings("ignore:The reduce argument of torch.scatter")
@pytest.mark.parametrize("shape, index, src", SHAPES)
@pytest.mark.parametrize("name", SCATTERING)
def test_scattering(name, shape, index, src):
    i = np.abs(integers(*index, seed=3)) % 3 % max(1, min(shape, default=1))
    if name in ("scatter", "scatter last", "scatter_"):
        i = _once(i, shape, -1 if name == "scatter last" else 0)
    grad = i.shape == tuple(src) and name != "scatter add"  # of others PyTorch knows no gradient
    same(SCATTERING[name], floats(*shape), i, floats(*src, seed=1), grad=grad, second=grad)
    if "number" not in name and "other" not in name and "1.5" not in name:
        if "mean" not in name and name != "scatter add":
            same(SCATTERING[name], integers(*shape, dtype="i4"), i, integers(*src, seed=1, dtype="i4"))
            same(SCATTERING[name], integers(*shape, dtype="u1"), i, integers(*src, seed=1, dtype="u1"))
        same(SCATTERING[name], floats(*shape, dtype="f2"), i, floats(*src, seed=1, dtype="f2"), grad=grad)


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("reduce", ["sum", "mean", "amax", "amin"])
def test_reducing_equal_and_infinite_elements(reduce):
    i = np.array([0, 0, 0, 2, 2, 3, 3, 3])
    infinite = [np.inf, np.inf, 1, -np.inf, -np.inf, np.inf, np.inf, 0]
    for src in ([1, 1, 1, 5, 5, -1, -2, -1], [np.inf, -np.inf, *infinite[2:]] if reduce[0] == "a" else infinite):
        for include in (True, False):  # PyTorch shares the gradient with elements of x that do not count, if equal
            same(
                lambda t, x, i, s, include=include: x.scatter_reduce(0, i, s, reduce, include_self=include),
                np.array([1.0, 2.0, 5.0, -1.0]) + 0.5 * (not include), i, np.array(src, float),
            )  # fmt: skip
    for include in (True, False):
        same(
            lambda t, x, i, s, include=include: x.scatter_reduce(0, i, s, reduce, include_self=include),
            np.array([1.0, np.nan, 5.0, -1.0]), i, np.array([1, np.nan, 3, 2, 2, 5, 6, 7]), grad=False,
        )  # fmt: skip


SLICES = {
    "index_add": lambda t, x, i, s: t.index_add(x, 0, i, s),
    "index_add alpha": lambda t, x, i, s: x.index_add(0, i.int(), s, alpha=-2),
    "index_add_": lambda t, x, i, s: (x * 1).detach().index_add_(0, i, s.detach()),
    "index_add negative": lambda t, x, i, s: x.index_add(0, i - 3, s),
    "index_copy": lambda t, x, i, s: t.index_copy(x, 0, i, s),
    "index_copy_": lambda t, x, i, s: (x * 1).detach().index_copy_(0, i, s.detach()),
    "index_fill": lambda t, x, i, s: [t.index_fill(x, 0, i, 2), x.index_fill(-1, i * 0, s.reshape(-1)[0])],
    "index_fill many": lambda t, x, i, s: x.index_fill(0, i, s.reshape(-1)[:2]),
    "index_fill_": lambda t, x, i, s: (x * 1).detach().index_fill_(0, i, 3),
    "index_put": lambda t, x, i, s: t.index_put(x, (i,), s),
    "index_put add": lambda t, x, i, s: x.index_put(((i > 1).long(),), s, accumulate=True),
    "index_put_": lambda t, x, i, s: (x * 1).detach().index_put_((i,), s.detach()),
}


@pytest.mark.parametrize(
    "shape, index, source",
    [((4, 3), (2,), (2, 3)), ((4, 3), (3,), (2, 3)), ((4, 3), (2,), (2, 2)), ((4,), (2,), (2,)), ((4, 2, 3), (4,), (4,
    2, 3)),
     ((4, 3), (0,), (0, 3)), ((4,), (), ()), ((4, 3), (2, 1), (2, 3))],
)  # fmt: skip
@pytest.mark.parametrize("name", SLICES)
def test_slices(name, shape, index, source):
    i = np.asarray(np.random.default_rng(0).permutation(4)[: int(np.prod(index))].reshape(index))
    if source == () and "put" not in name:
        source = (1,)
    same(SLICES[name], floats(*shape), i, floats(*source, seed=1), second=True)
    same(SLICES[name], integers(*shape), i, integers(*source, seed=1))
    same(SLICES[name], floats(*shape), i, integers(*source, seed=1))


PARTS = {
    "index_put two": lambda t, x: x.index_put((t.tensor([0, 2]), t.tensor([1, 1])), x[0, :2] * 2),
    "index_put row": lambda t, x: x.index_put((t.tensor([0, 2]),), x[1]),
    "index_put mask": lambda t, x: x.index_put((x > 0,), x[0, 0] * 3),
    "select_scatter": lambda t, x: [t.select_scatter(x, x[1] * 2, 0, 0), x.select_scatter(x[:, 0], -1, -1)],
    "select_scatter wrong": lambda t, x: x.select_scatter(x, 0, 0),
    "slice_scatter": lambda t, x: [
        t.slice_scatter(x, x[:2] * 2, 0, 1), x.slice_scatter(x[:, :2], 1, 0, -1, 2), x.slice_scatter(x * 2)],
    "slice_scatter wrong": lambda t, x: x.slice_scatter(x, 0, 1),
    "diagonal_scatter": lambda t, x: [
        t.diagonal_scatter(x, x[0, :3] * 2), x.diagonal_scatter(x[0, :2], -1), x.diagonal_scatter(x[0, :3], 1, 0, 1)],
    "diagonal_scatter wrong": lambda t, x: x.diagonal_scatter(x[0]),
    "diagonal written": lambda t, x: [(x * 1).detach().diagonal().fill_(2.0)],
}  # fmt: skip


@pytest.mark.parametrize("name", PARTS)
def test_parts(name):
    same(PARTS[name], floats(3, 4), second=True)


ROWS = np.array([[0, 3, 3], [4, 1, 3]])
EMBEDDING = {
    "plain": lambda t, w, i: t.nn.functional.embedding(i, w),
    "int32": lambda t, w, i: t.nn.functional.embedding(i.int(), w),
    "padding": lambda t, w, i: t.nn.functional.embedding(i, w, padding_idx=-2),
    "by frequency": lambda t, w, i: t.nn.functional.embedding(i, w, scale_grad_by_freq=True),
    "by frequency, padded": lambda t, w, i: t.nn.functional.embedding(i, w, 3, scale_grad_by_freq=True),
    "empty": lambda t, w, i: t.nn.functional.embedding(i[:, :0], w, scale_grad_by_freq=True),
    "far": lambda t, w, i: t.nn.functional.embedding(i + 1, w),
    "negative": lambda t, w, i: t.nn.functional.embedding(i - 1, w),
    "one_hot": lambda t, w, i: [t.nn.functional.one_hot(i), t.nn.functional.one_hot(i, 7)],
    "one_hot few": lambda t, w, i: t.nn.functional.one_hot(i, 3),
    **{
        f"max_norm {p}": lambda t, w, i, p=p: [t.nn.functional.embedding(i, w, max_norm=1.5, norm_type=p), w * 1]
        for p in (2.0, 1.0, 3.0, float("inf"))
    },
}


FLAT = np.array([0, 3, 3, 4, 1, 3, 0])
BAGS = {
    "rows": (ROWS, {}), "flat": (FLAT, {"offsets": [0, 2, 2, 5]}), "one": (FLAT, {"offsets": [0]}),
    "last": (FLAT, {"offsets": [0, 3, 7], "include_last_offset": True}), "padding": (ROWS, {"padding_idx": 3}),
    "padding flat": (FLAT, {"offsets": [0, 1, 3], "padding_idx": -5}),
    "norm": (ROWS, {"max_norm": 1.0}), "no offsets": (FLAT, {}), "both": (ROWS, {"offsets": [0, 1]}),
    "late": (FLAT, {"offsets": [1, 3]}),
    "no bags": (ROWS[:0], {}), "no indices": (FLAT[:0], {"offsets": [0, 0]}),
}  # fmt: skip


@pytest.mark.parametrize("mode", ["sum", "mean", "max", "min"])
@pytest.mark.parametrize("name", BAGS)
def test_embedding_bag(name, mode):
    """Not with scale_grad_by_freq: PyTorch takes the frequency of another index there."""
    index, options = BAGS[name]

    def run(t, w, i, *k):
        given = {**options, **({"offsets": t.tensor(options["offsets"])} if "offsets" in options else {})}
        weights = k[0] if k else None
        return t.nn.functional.embedding_bag(i, w, mode=mode, per_sample_weights=weights, **given)

    same(run, floats(5, 3), index)
    if name != "norm":
        same(run, floats(5, 3), index, floats(*index.shape, seed=2))


@pytest.mark.parametrize("name", EMBEDDING)
def test_embedding(name):
    for dtype in ("f8", "f4"):
        same(EMBEDDING[name], floats(5, 3, dtype=dtype), ROWS, second="frequency" not in name)
