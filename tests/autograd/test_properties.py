"""Over random shapes and indices: broadcasting and indexing are NumPy's, and their gradients the transposes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradflow as gf

few = settings(derandomize=True, deadline=None, max_examples=60, database=None)


def normal(shape):
    """Random numbers away from 0, so that they may be divided by; Hypothesis seeds NumPy for each example."""
    x = np.asarray(np.random.standard_normal(shape))
    return np.where(x < 0, x - 0.5, x + 0.5)


def leaf(array):
    return gf.tensor(array, requires_grad=True)


def plain(array):
    return gf.tensor(np.asarray(array))


def close(actual, expected):
    actual = actual.detach().numpy()
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-11)


shapes = st.lists(st.sampled_from([0, 1, 1, 2, 3]), max_size=4).map(tuple)


@st.composite
def broadcastable(draw, count):
    """`count` shapes that broadcast together: a common shape with axes set to 1 and leading axes dropped."""
    full = draw(shapes)
    picked = []
    for _ in range(count):
        kept = draw(st.integers(0, len(full)))
        picked.append(tuple(n if draw(st.booleans()) else 1 for n in full[len(full) - kept :]))
    return picked


def sum_to(g, shape):
    """The transpose of broadcasting `shape` to g's."""
    g = g.sum(tuple(range(g.ndim - len(shape))))
    return g.sum(tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True).reshape(shape)


BINARY = {  # name: (ours, NumPy's, the two partial derivatives)
    "add": (lambda a, b: a + b, np.add, lambda a, b: (1.0, 1.0)),
    "subtract": (lambda a, b: a - b, np.subtract, lambda a, b: (1.0, -1.0)),
    "multiply": (lambda a, b: a * b, np.multiply, lambda a, b: (b, a)),
    "divide": (lambda a, b: a / b, np.divide, lambda a, b: (1 / b, -a / b**2)),
    "maximum": (lambda a, b: gf.maximum(a, b), np.maximum, lambda a, b: (1.0 * (a > b), 1.0 * (b > a))),
    "minimum": (lambda a, b: gf.minimum(a, b), np.minimum, lambda a, b: (1.0 * (a < b), 1.0 * (b < a))),
    "power": (
        lambda a, b: abs(a) ** b,
        lambda a, b: np.abs(a) ** b,
        lambda a, b: (b * np.abs(a) ** (b - 1) * np.sign(a), np.abs(a) ** b * np.log(np.abs(a))),
    ),
}


@few
@given(broadcastable(2), st.sampled_from(sorted(BINARY)), st.booleans())
def test_broadcasting_arithmetic(pair, name, create_graph):
    ours, numpys, partials = BINARY[name]
    a, b = map(normal, pair)
    x, y = leaf(a), leaf(b)
    out = ours(x, y)
    expected = numpys(a, b)
    close(out, np.asarray(expected))
    u = normal(expected.shape)
    by_x, by_y = gf.autograd.grad(out, (x, y), plain(u), create_graph=create_graph)
    for g, d, shape in zip((by_x, by_y), partials(a, b), pair, strict=True):
        close(g, sum_to(np.asarray(u * d), shape))


@few
@given(broadcastable(3))
def test_broadcasting_where(triple):
    c, a, b = (normal(s) for s in triple)
    x, y = leaf(a), leaf(b)
    out = gf.where(plain(c > 0), x, y)
    expected = np.where(c > 0, a, b)
    close(out, expected)
    u = normal(expected.shape)
    by_x, by_y = gf.autograd.grad(out, (x, y), plain(u))
    close(by_x, sum_to(np.asarray(np.where(c > 0, u, 0.0)), a.shape))
    close(by_y, sum_to(np.asarray(np.where(c > 0, 0.0, u)), b.shape))


@few
@given(broadcastable(2), st.integers(1, 3), st.integers(1, 3), st.integers(0, 3))
def test_broadcasting_matmul(pair, n, m, k):
    a, b = normal((*pair[0], n, k)), normal((*pair[1], k, m))
    x, y = leaf(a), leaf(b)
    out = x @ y
    close(out, a @ b)
    u = normal(out.shape)
    by_x, by_y = gf.autograd.grad(out, (x, y), plain(u))
    close(by_x, sum_to(u @ np.swapaxes(b, -1, -2), a.shape))
    close(by_y, sum_to(np.swapaxes(a, -1, -2) @ u, b.shape))


@few
@given(broadcastable(2))
def test_broadcast_errors_where_numpy_does(pair):
    a, b = normal(pair[0]), normal((*pair[1], 5))
    try:
        expected = a + b
    except ValueError:
        with pytest.raises((RuntimeError, ValueError), match="add"):
            plain(a) + plain(b)
    else:
        close(plain(a) + plain(b), expected)


@st.composite
def indexing(draw):
    """A shape and an index into it, as NumPy arrays and Python values."""
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple))
    index, axis, ellipsis = [], 0, False
    pick = draw(st.lists(st.integers(0, 3), min_size=1, max_size=2).map(tuple))  # the shape of the index arrays
    end = len(shape)
    while axis < end:
        kind = draw(st.sampled_from(["slice", "slice", "int", "array", "mask", "none", "ellipsis", "stop"]))
        n = shape[axis]
        if kind == "slice":
            bound = st.none() | st.integers(-n - 2, n + 2)
            index.append(slice(draw(bound), draw(bound), draw(st.sampled_from([None, 1, 2, -1, -2]))))
            axis += 1
        elif kind == "int":
            index.append(draw(st.integers(-n, n - 1)))
            axis += 1
        elif kind == "array":
            index.append(np.random.randint(-n, n, pick))
            axis += 1
        elif kind == "mask" and not any(isinstance(i, np.ndarray) for i in index):
            rank = draw(st.integers(1, end - axis))
            mask = np.random.random(shape[axis : axis + rank]) < 0.6
            index.append(mask)
            pick = (int(mask.sum()),)
            axis += rank
        elif kind == "none":
            index.append(None)
            if len(index) > 7:
                break
        elif kind == "ellipsis" and not ellipsis:
            ellipsis = True
            index.append(Ellipsis)
            skipped = draw(st.integers(0, end - axis))
            axis += skipped
            if skipped == 0 and axis == end:
                break
        elif kind == "stop":
            break
    if ellipsis and axis < end:  # an ellipsis takes every axis that is left: spell the rest out
        index += [slice(None)] * (end - axis)
    return shape, tuple(index)


def ours(index, as_tensor):
    items = tuple(plain(i) if as_tensor and isinstance(i, np.ndarray) else i for i in index)
    return items[0] if len(items) == 1 else items


@settings(few, max_examples=150)
@given(indexing(), st.booleans(), st.booleans())
def test_indexing_and_its_scatter_add(case, as_tensor, create_graph):
    shape, index = case
    a = normal(shape)
    x = leaf(a)
    out = x[ours(index, as_tensor)]
    expected = np.asarray(a[index])
    close(out, expected)
    u = normal(expected.shape)
    (g,) = gf.autograd.grad(out, x, plain(u), create_graph=create_graph)
    scattered = np.zeros(shape)
    np.add.at(scattered, index, u)  # repeated indices add
    close(g, scattered)


@settings(few, max_examples=60)
@given(indexing())
def test_indexing_under_transforms(case):
    shape, index = case
    a, t = normal((2, *shape)), normal(shape)
    f = lambda x: x[ours(index, True)]  # noqa: E731
    close(gf.func.jvp(f, (plain(a[0]),), (plain(t),))[1], np.asarray(t[index]))
    close(gf.func.vmap(f)(plain(a)), np.stack([a[0][index], a[1][index]]))
    square = gf.func.grad(lambda x: (f(x) * f(x)).sum())
    twice = gf.func.jvp(square, (plain(a[0]),), (plain(t),))[1]
    scattered = np.zeros(shape)
    np.add.at(scattered, index, 2 * t[index])
    close(twice, scattered)
    rows = gf.func.vmap(square)(plain(a))
    for i in range(2):
        scattered = np.zeros(shape)
        np.add.at(scattered, index, 2 * a[i][index])
        close(rows[i], scattered)


@settings(few, max_examples=60)
@given(indexing(), st.booleans())
def test_assignment_by_index(case, scalar):
    shape, index = case
    a = normal(shape)
    x = plain(a)
    v = 7.0 if scalar else normal(a[index].shape)
    x[ours(index, True)] = v if scalar else plain(v)
    once = a.copy()
    once[index] = v
    if scalar or len(np.unique(np.arange(a.size).reshape(shape)[index])) == np.size(a[index]):  # else the order decides
        close(x, once)


@few
@given(shapes, st.data(), st.booleans())
def test_sums_over_any_axes(shape, data, keepdims):
    axes = tuple(i for i in range(len(shape)) if data.draw(st.booleans()))
    dims = tuple(i - len(shape) if data.draw(st.booleans()) else i for i in axes) or None
    a = normal(shape)
    x = leaf(a)
    out = x.sum(dim=dims, keepdim=keepdims)
    expected = np.asarray(a.sum(axes or None, keepdims=keepdims))
    close(out, expected)
    u = normal(expected.shape)
    (g,) = gf.autograd.grad(out, x, plain(u))
    u = u if keepdims or not axes else np.expand_dims(u, axes)
    close(g, np.broadcast_to(u, shape) if axes or keepdims else np.full(shape, u))


@few
@given(shapes, st.data())
def test_permutations_and_reshapes(shape, data):
    order = data.draw(st.permutations(range(len(shape))))
    a = normal(shape)
    x = leaf(a)
    out = x.permute(tuple(order)).reshape(-1)
    expected = a.transpose(order).reshape(-1)
    close(out, expected)
    u = normal(expected.shape)
    (g,) = gf.autograd.grad(out, x, plain(u))
    positions = np.arange(a.size).reshape(shape).transpose(order).reshape(-1)
    back = np.empty(a.size)
    back[positions] = u.reshape(-1)
    close(g, back.reshape(shape))
