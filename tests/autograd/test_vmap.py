"""gf.func.vmap: dimensions, structures, outputs of every kind, indices and labels, randomness, per-sample gradients."""

import numpy as np
import pytest

import gradflow as gf

F = gf.nn.functional
ERROR = (RuntimeError, ValueError, TypeError)
func = gf.func
vmap = func.vmap
RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.standard_normal(shape)


def plain(values):
    return gf.tensor(np.asarray(values))


def value(x):
    return x.detach().numpy() if isinstance(x, gf.Tensor) else np.asarray(x)


def close(actual, expected, tol=1e-9):
    actual, expected = value(actual), value(expected)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=tol, atol=tol)


def looped(f, in_dims, *arrays):
    """What vmap should give: f on one sample at a time, stacked."""
    size = next(a.shape[d] for a, d in zip(arrays, in_dims, strict=True) if d is not None)
    samples = [[a if d is None else a.take(i, d) for a, d in zip(arrays, in_dims, strict=True)] for i in range(size)]
    return np.stack([value(f(*map(plain, sample))) for sample in samples])


I3, J3 = np.array([2, 0, 2]), np.array([[1, 0, 3], [2, 2, 2], [0, 3, 1], [3, 0, 0], [1, 1, 3]])
X5, Y5, W = normal(5, 4, 3), normal(5, 4, 3), normal(3, 2)
LABELS = np.array([[0, 2, 1, 1], [2, 2, 2, 2], [0, 0, 1, 0], [1, 2, 0, 0], [2, 1, 0, 2]])
IMAGES, FILTERS = normal(5, 2, 3, 6, 6), normal(5, 4, 3, 3, 3)

CASES = {  # name: (function of one sample, in_dims, arrays)
    "elementwise, ranks differ": (lambda x, y: x * y + gf.exp(y), (0, 0), (X5, normal(5, 3))),
    "with a constant": (lambda x, w: x @ w, (0, None), (X5, W)),
    "constant first": (lambda w, x: gf.tanh(x @ w), (None, 1), (W, normal(4, 5, 3))),
    "last axes": (lambda x, y: x - y, (-1, 2), (normal(4, 3, 5), normal(4, 3, 5))),
    "vector dot vector": (lambda x, y: x @ y, (0, 1), (normal(5, 4), normal(4, 5))),
    "matrix by vector": (lambda a, x: a @ x, (0, 0), (X5, normal(5, 3))),
    "stack of matrices": (lambda a, b: a @ b, (0, 0), (normal(5, 2, 4, 3), normal(5, 3, 2))),
    "reductions": (lambda x: x.sum(dim=0) * x.mean() + x.sum(dim=-1, keepdim=True).sum(), (0,), (X5,)),
    "shapes": (lambda x: gf.cat([x.T.reshape(2, 6), x.unsqueeze(0).expand(2, 4, 3).flatten(1)[:, :6]]), (0,), (X5,)),
    "squeeze": (lambda x: x[:1].squeeze() + x[1:2].squeeze(0), (0,), (X5,)),
    "split and stack": (lambda x: gf.stack([p.sum() for p in x.split([1, 3])]), (0,), (X5,)),
    "softmax over each axis": (lambda x: gf.softmax(x, dim=0) + gf.log_softmax(x, dim=-1), (0,), (X5,)),
    "maximum": (lambda x, y: gf.maximum(x, y) + x.max(dim=1)[0].sum(), (0, 0), (X5, Y5)),
    "where": (lambda x, y: gf.where(x > y, x, 0.0), (0, 0), (X5, Y5)),
    "a mask that is batched": (lambda m, x: gf.where(m, x, -x), (0, None), (X5[:, 0] > 0, Y5[0])),
    "slices": (lambda x: x[1:, ::2] * x[0, None, ..., 1:], (0,), (X5,)),
    "x batched": (lambda x: x[:, gf.tensor(I3)] + x[gf.tensor([2, 0, 2, 1]), 1:2], (0,), (X5,)),
    "x batched, two index arrays": (lambda x: x[gf.tensor(I3), gf.tensor([0, 1, 2])], (0,), (X5,)),
    "index batched": (lambda x, i: x[i], (None, 0), (X5[0], J3)),
    "index batched behind a slice": (lambda x, i: x[:, i], (None, 0), (normal(2, 4), J3)),
    "both batched": (lambda x, i: x[i], (0, 0), (X5, J3)),
    "both batched behind a slice": (lambda x, i: x[1:, i], (0, 0), (normal(5, 3, 4), J3)),
    "one index of two batched": (lambda x, i: x[i, gf.tensor([0, 1, 2])], (0, 0), (X5, J3)),
    "index arrays around a slice": (lambda x, i: x[i, :, gf.tensor([0, 1, 2])], (0, 0), (normal(5, 4, 2, 3), J3)),
    "a scalar index that is batched": (lambda x, i: x[i] * 2.0, (0, 0), (X5, np.array([3, 0, 1, 2, 3]))),
    "a negative index that is batched": (lambda x, i: x[i], (None, 0), (X5[0], -1 - J3)),
    "labels batched": (F.cross_entropy, (0, 0), (X5, LABELS)),
    "labels only batched": (F.cross_entropy, (None, 0), (X5[0], LABELS)),
    "logits only batched": (F.cross_entropy, (0, None), (X5, LABELS[0])),
    "one label a sample": (
        lambda x, t: F.cross_entropy(x.unsqueeze(0), t.unsqueeze(0)),
        (0, 0),
        (X5[:, 0], LABELS[:, 0]),
    ),
    "labels ignored": (
        lambda x, t: F.cross_entropy(x, t, ignore_index=2, label_smoothing=0.1, weight=plain([1.0, 2.0, 3.0])),
        (0, 0),
        (X5[[0, 2, 3]], LABELS[[0, 2, 3]]),
    ),
    "images": (lambda x, w: F.conv2d(x, w, stride=2, padding=1), (0, None), (IMAGES, FILTERS[0])),
    "filters": (lambda x, w: F.conv2d(x, w), (None, 0), (IMAGES[0], FILTERS)),
    "images and filters": (lambda x, w: F.conv2d(x, w, padding=1), (0, 0), (IMAGES, FILTERS)),
    "pooling": (lambda x: F.max_pool2d(x, 2), (0,), (IMAGES,)),
    "integers out": (lambda x: x.max(dim=1)[1], (0,), (X5,)),
    "booleans out": (lambda x: x > 0, (0,), (X5,)),
    "scalars in and out": (lambda a, b: a * b, (0, None), (normal(5), np.float64(3.0))),
    "nothing batched reaches the output": (lambda x: gf.ones(2), (0,), (X5,)),
}


@pytest.mark.parametrize("name", CASES)
def test_vmap_equals_a_loop(name):
    f, in_dims, arrays = CASES[name]
    close(vmap(f, in_dims)(*map(plain, arrays)), looped(f, in_dims, *arrays))


CONSTANT = ("integers out", "booleans out", "nothing batched reaches the output")
DIFFERENTIABLE = [name for name in CASES if name not in CONSTANT]


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradients_under_and_over_vmap_equal_a_loop(name):
    f, in_dims, arrays = CASES[name]
    which = next(i for i, a in enumerate(arrays) if a.dtype.kind == "f")
    scalar = lambda *xs: (f(*xs) * f(*xs)).sum()  # noqa: E731
    per_sample = func.grad(scalar, argnums=which)
    tensors = [plain(a) for a in arrays]
    expected = looped(per_sample, in_dims, *arrays)
    close(vmap(per_sample, in_dims)(*tensors), expected)
    total = func.grad(lambda *xs: vmap(scalar, in_dims)(*xs).sum(), argnums=which)(*tensors)
    d = in_dims[which]
    close(total, expected.sum(0) if d is None else np.moveaxis(expected, 0, d))
    tensors[which].requires_grad_()
    vmap(scalar, in_dims)(*tensors).sum().backward()
    close(tensors[which].grad, total)


@pytest.mark.parametrize(("out_dims", "shape"), [(0, (5, 4, 3)), (1, (4, 5, 3)), (2, (4, 3, 5)), (-1, (4, 3, 5))])
def test_out_dims(out_dims, shape):
    y = vmap(lambda x: x * 2.0, out_dims=out_dims)(plain(X5))
    assert tuple(y.shape) == shape
    close(y, np.moveaxis(2 * X5, 0, out_dims))


def test_structures_in_and_out():
    def f(pair, d, n):
        (a, b), c = pair, d["c"]
        return {"sum": a + b, "rest": [c * n, (a * c).sum()]}

    out = vmap(f, in_dims=((0, None), {"c": 1}, None), out_dims={"sum": 1, "rest": [0, 0]})(
        (plain(X5), plain(Y5[0])), {"c": plain(normal(4, 5, 3))}, 2.0
    )
    close(out["sum"], np.moveaxis(X5 + Y5[0], 0, 1))
    assert isinstance(out["rest"], list)
    assert tuple(out["rest"][1].shape) == (5,)
    # one number may stand for a whole container
    same = vmap(f, in_dims=(0, 0, None))((plain(X5), plain(Y5)), {"c": plain(X5)}, 2.0)
    close(same["sum"], X5 + Y5)
    close(same["rest"][0], 2 * X5)


def test_tuple_constant_and_none_outputs():
    c = plain([1.0, 2.0])
    double, constant, index = vmap(lambda x: (x * 2.0, c, x.max(dim=0)[1]))(plain(X5[:, 0]))
    close(double, 2 * X5[:, 0])
    close(constant, np.broadcast_to([1.0, 2.0], (5, 2)))
    close(index, X5[:, 0].argmax(1))
    assert index.dtype == gf.int64
    shared, moved = vmap(lambda x: (c, x), out_dims=(None, 1))(plain(X5))
    close(shared, [1.0, 2.0])
    close(moved, np.moveaxis(X5, 0, 1))
    with pytest.raises(ERROR, match="out_dims"):
        vmap(lambda x: x, out_dims=None)(plain(X5))
    (only,) = vmap(lambda x: (x,))(plain(X5))
    close(only, X5)


SIZE_ZERO = {
    "elementwise": (lambda x: gf.exp(x) * 2.0, (0, 4, 3)),
    "sum": (lambda x: x.sum(), (0,)),
    "matmul": (lambda x: x @ plain(W), (0, 4, 2)),
    "softmax": (lambda x: gf.softmax(x, dim=-1), (0, 4, 3)),
    "indices": (lambda x: x[gf.tensor(I3)], (0, 3, 3)),
    "constant": (lambda x: gf.ones(2), (0, 2)),
    "integers": (lambda x: x.max(dim=1)[1], (0, 4)),
    "loss": (lambda x: F.cross_entropy(x, gf.tensor(LABELS[0])), (0,)),
    "gradient": (func.grad(lambda x: (gf.tanh(x) @ plain(W)).sum()), (0, 4, 3)),
    "tangent": (lambda x: func.jvp(gf.sigmoid, (x,), (x,))[1], (0, 4, 3)),
    "convolution": (lambda x: F.conv2d(x.reshape(1, 1, 4, 3), gf.ones(2, 1, 2, 2, dtype=gf.float64)), (0, 1, 2, 3, 2)),
    "transposed out": (lambda x: (x.T * 2.0).reshape(12), (0, 12)),
}


@pytest.mark.parametrize("name", SIZE_ZERO)
def test_a_batch_of_size_zero(name):
    f, shape = SIZE_ZERO[name]
    assert tuple(vmap(f)(plain(np.zeros((0, 4, 3)))).shape) == shape


def test_vmap_of_vmap():
    f = lambda a, b: (a * b).sum()  # noqa: E731
    table = vmap(vmap(f, (None, 0)), (0, None))(plain(X5[0]), plain(Y5[1]))
    close(table, X5[0] @ Y5[1].T)
    crossed = vmap(vmap(lambda x, i: x[i], (0, None)), (None, 0))(plain(X5), plain(J3))
    close(crossed, np.stack([[x[i] for x in X5] for i in J3]))


def test_misuse_is_named():
    for call, said in (
        (lambda: vmap(lambda x, y: x + y)(plain(X5), plain(Y5[:3])), r"(?s)vmap.*5.*3"),
        (lambda: vmap(lambda x: x, in_dims=3)(plain(X5)), r"(?s)in_dims.*3"),
        (lambda: vmap(lambda x: x, in_dims=None)(plain(X5)), "in_dims"),
        (lambda: vmap(lambda x: x, in_dims=(0, 0))(plain(X5)), "in_dims"),
        (lambda: vmap(lambda x: x, out_dims=(0, 0))(plain(X5)), "out_dims"),
        (lambda: vmap(lambda x: x, out_dims=5)(plain(X5)), "out_dims"),
        (lambda: vmap(lambda x: x)(plain(1.0)), "vmap"),
        (lambda: vmap(lambda x: x, randomness="some")(plain(X5)), "randomness"),
    ):
        with pytest.raises((IndexError, *ERROR), match=said):
            call()


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x if x.sum() > 0 else -x,
        lambda x: x * float(x[0, 0]),
        lambda x: x * x.sum().item(),
        lambda x: x[: int(x[0, 0])],
        lambda x: x[x > 0],
        lambda x: gf.tensor(x.numpy()),
        lambda x: x.tolist(),
    ],
)
def test_control_flow_on_a_batched_value_is_refused(f):
    with pytest.raises(ERROR, match="vmap"):
        vmap(f)(plain(X5))


def test_randomness():
    x = gf.ones(6, 50, dtype=gf.float64)
    for draw in (lambda x: F.dropout(x, 0.5), lambda x: x * gf.rand(50, dtype=gf.float64)):
        with pytest.raises(RuntimeError, match="randomness"):
            vmap(draw)(x)
        gf.manual_seed(0)
        same = value(vmap(draw, randomness="same")(x))
        assert (same == same[0]).all()
        assert len(set(same[0])) > 1
        different = value(vmap(draw, randomness="different")(x))
        assert len({row.tobytes() for row in different}) == 6
    off = vmap(lambda x: F.dropout(x, 0.5, training=False))(x)  # draws nothing
    close(off, np.ones((6, 50)))
    with pytest.raises(RuntimeError, match="randomness"):
        vmap(lambda i: F.dropout(gf.ones(3), 0.5) + i)(x[:, 0])  # also where nothing batched is dropped


def test_per_sample_gradients_equal_a_loop():
    def loss(params, image, label):
        h = gf.relu(F.conv2d(image.unsqueeze(0), params["filters"], padding=1))
        logits = F.max_pool2d(h, 2).flatten(1) @ params["weight"]
        return F.cross_entropy(logits, label.unsqueeze(0))

    params = {"filters": plain(normal(4, 3, 3, 3)), "weight": plain(normal(36, 5))}
    images, labels = plain(IMAGES[:, 0]), plain(np.array([0, 4, 2, 2, 1]))
    per_sample = vmap(func.grad(loss), (None, 0, 0))(params, images, labels)
    for i in range(5):
        one = func.grad(loss)(params, images[i], labels[i])
        for name in params:
            close(per_sample[name][i], one[name])
    mean = func.grad(lambda p: vmap(loss, (None, 0, 0))(p, images, labels).mean())(params)
    for name in params:
        close(mean[name], value(per_sample[name]).mean(0))


def test_batch_norm_keeps_plain_buffers_under_transforms():
    x, t = plain(normal(4, 3, 2, 2).astype("f4")), plain(normal(4, 3, 2, 2).astype("f4"))
    calls = {
        "nothing": lambda m: m(x),
        "grad": lambda m: func.grad(lambda x: (m(x) * m.weight[0] * t).sum())(x),
        "vjp": lambda m: func.vjp(m, x)[1](t),
        "jvp": lambda m: func.jvp(m, (x,), (t,)),
        "jvp of grad": lambda m: func.jvp(func.grad(lambda x: (m(x) * t).sum()), (x,), (t,)),
    }
    expected = 0.1 * value(x).mean((0, 2, 3))
    for name, call in calls.items():
        m = gf.nn.BatchNorm2d(3)
        call(m)
        np.testing.assert_allclose(value(m.running_mean), expected, rtol=1e-5, err_msg=name)
        assert not m.running_mean.requires_grad
        m.running_mean + 1.0  # not a value of an ended transform
        m.eval()
        assert tuple(m(x).shape) == (4, 3, 2, 2)


def test_batch_norm_in_training_is_refused_under_vmap():
    m = gf.nn.BatchNorm2d(3)
    xs = plain(normal(5, 4, 3, 2, 2).astype("f4"))
    with pytest.raises(RuntimeError, match=r"(?s)vmap.*eval"):
        vmap(m)(xs)
    close(m.running_mean, np.zeros(3))
    m.eval()
    close(vmap(m)(xs), np.stack([value(m(x)) for x in xs]), 1e-5)
