"""backward() and autograd.grad: arguments, orders, unused inputs, freed graphs, dtypes and infinities."""

import numpy as np
import pytest

import gradflow as gf

F = gf.nn.functional
ERROR = (RuntimeError, ValueError, TypeError)
grad = gf.autograd.grad


def leaf(values=(1.0, 2.0), dtype="f8"):
    return gf.tensor(np.asarray(values, dtype=dtype), requires_grad=True)


def plain(values, dtype="f8"):
    return gf.tensor(np.asarray(values, dtype=dtype))


def close(actual, expected, tol=1e-9):
    np.testing.assert_allclose(actual.detach().numpy(), expected, rtol=tol, atol=1e-12)


def test_a_non_scalar_needs_a_gradient():
    x = leaf([[1.0, 2.0]])
    with pytest.raises(RuntimeError, match=r"\(1, 2\)[\s\S]*gradient"):
        (x * 2.0).backward()
    with pytest.raises(RuntimeError, match=r"\(1, 2\)[\s\S]*grad"):
        grad(x * 2.0, x)
    assert x.grad is None
    (x * 2.0)[:, :1].backward()  # one element is enough, whatever its rank
    close(x.grad, [[2.0, 0.0]])


def test_a_tensor_passed_as_gradient():
    x = leaf()
    g = plain([10.0, 100.0])
    (x * x).backward(g)
    close(x.grad, [20.0, 400.0])
    close(g, [10.0, 100.0])
    (x * x).backward(gradient=gf.ones(2))  # float32 beside float64
    close(x.grad, [22.0, 404.0])
    assert x.grad.dtype == gf.float64
    (x * x).sum().backward(gf.tensor(2.0))
    close(x.grad, [26.0, 412.0])
    (x * x).backward(leaf([1.0, 1.0]))  # one that requires grad is not followed without create_graph
    close(x.grad, [28.0, 416.0])
    assert not x.grad.requires_grad
    with pytest.raises(ERROR, match="gradient"):
        (x * x).backward("g")


def test_a_gradient_that_requires_grad_is_differentiated_too():
    x, u = leaf(), leaf([3.0, 5.0])
    (g,) = grad(x * x, x, u, create_graph=True)
    close(g, [6.0, 20.0])
    close(grad(g.sum(), u)[0], [2.0, 4.0])


@pytest.mark.parametrize("shape", [(3,), (1,), (), (2, 2), (1, 2)])
def test_a_gradient_of_the_wrong_shape_is_refused(shape):
    x = leaf()
    with pytest.raises(ERROR, match=r"(?s)\(2,\)"):
        (x * x).backward(gf.ones(shape))
    with pytest.raises(ERROR, match=r"(?s)\(2,\)"):
        grad(x * x, x, gf.ones(shape))
    assert x.grad is None


def test_backward_where_nothing_requires_grad():
    x = plain([1.0, 2.0])
    for call in (lambda: (x * x).sum().backward(), x[0].backward, lambda: grad((x * x).sum(), x)):
        with pytest.raises(RuntimeError, match=r"requires?.grad"):
            call()
    with gf.no_grad():
        y = (leaf() * 2.0).sum()
    with pytest.raises(RuntimeError, match=r"requires?.grad"):
        y.backward()
    with pytest.raises(RuntimeError, match=r"requires?.grad"):
        grad((leaf() * 2.0).sum(), x)  # the input does not require grad
    assert x.grad is None


def test_a_leaf_may_be_its_own_root():
    x = leaf(3.0)
    x.backward()
    close(x.grad, 1.0)
    y = leaf()
    y.backward(plain([5.0, 6.0]))
    close(y.grad, [5.0, 6.0])
    close(grad(x, x)[0], 1.0)


def test_a_second_backward_through_a_freed_graph():
    x = leaf()
    y = (x * x).sum()
    y.backward()
    with pytest.raises(RuntimeError, match=r"(?s)mul.*retain_graph=True"):
        y.backward()
    with pytest.raises(RuntimeError, match=r"(?s)mul.*retain_graph=True"):
        grad(y, x)
    close(x.grad, [2.0, 4.0])
    e = gf.exp(x)
    y1, y2 = e.sum(), (e * 2.0).sum()
    y1.backward()
    with pytest.raises(RuntimeError, match=r"(?s)\[exp\].*retain_graph=True"):
        y2.backward()


def test_a_second_backward_is_fine_where_nothing_was_freed():
    x = leaf()
    y = (x.reshape(2, 1) + 1.0).sum() - x[0] + gf.cat([x, x]).sum()
    y.backward()
    y.backward()
    close(x.grad, [4.0, 6.0])


def test_retain_graph_accumulates():
    x = leaf()
    y = (x * x).sum()
    for n in (1.0, 2.0, 3.0):
        y.backward(retain_graph=True)
        close(x.grad, [2.0 * n, 4.0 * n])
    close(grad(y, x, retain_graph=True)[0], [2.0, 4.0])
    y.backward()
    close(x.grad, [8.0, 16.0])


def test_create_graph_to_order_three():
    x = leaf()
    y = (x**4).sum() + (x[0] * x[1]) ** 2
    (first,) = grad(y, x, create_graph=True)
    (second,) = grad(first.sum(), x, create_graph=True)
    (third,) = grad(second.sum(), x)
    a, b = 1.0, 2.0
    close(first, [4 * a**3 + 2 * a * b**2, 4 * b**3 + 2 * b * a**2])
    close(second, [12 * a**2 + 2 * b**2 + 4 * a * b, 12 * b**2 + 2 * a**2 + 4 * a * b])
    close(third, [24 * a + 8 * b + 4 * a, 24 * b + 8 * a + 4 * b])
    assert first.requires_grad
    assert second.requires_grad
    assert not third.requires_grad
    x.grad = None
    (x**3).sum().backward(create_graph=True)  # a penalty on the gradient itself
    penalty = (x.grad * x.grad).sum()
    close(grad(penalty, x)[0], [36.0 * a**3, 36.0 * b**3])


def test_grad_of_non_leaf_inputs_stops_there():
    x = leaf()
    h = x * 3.0
    y = (h * h * x).sum()
    by_h, by_x = grad(y, (h, x), retain_graph=True)
    close(by_h, [6.0, 24.0])
    close(by_x, [27.0, 108.0])
    close(grad(y, [h])[0], [6.0, 24.0])
    assert x.grad is None
    assert not h.is_leaf


def test_unused_inputs():
    x, unused = leaf(), leaf([4.0])
    with pytest.raises(RuntimeError, match="allow_unused=True"):
        grad((x * x).sum(), (x, unused))
    used, none = grad((x * x).sum(), (x, unused), allow_unused=True)
    close(used, [2.0, 4.0])
    assert none is None
    _, zero = grad((x * x).sum(), (x, unused), materialize_grads=True)
    close(zero, [0.0])
    later = x * 2.0
    assert grad((x * x).sum(), later, allow_unused=True) == (None,)


def test_several_outputs_with_their_gradients():
    x = leaf()
    a, b = x * x, x * 3.0
    (g,) = grad((a, b), x, (plain([1.0, 10.0]), plain([2.0, 0.0])), retain_graph=True)
    close(g, [2.0 + 6.0, 40.0])
    (g,) = grad([a.sum() * 0.0 + x[0], b.sum()], [x], retain_graph=True)
    close(g, [4.0, 3.0])
    (g,) = grad((x[0], b), x, (None, gf.ones(2)), retain_graph=True)  # None means one where the output is a scalar
    close(g, [4.0, 3.0])
    gf.autograd.backward([(x * x).sum(), b], [None, gf.ones(2)])
    close(x.grad, [5.0, 7.0])


def test_one_output_of_an_operation_with_several():
    x = leaf([[1.0, 5.0, 2.0], [7.0, 0.0, 6.0]])
    values, indices = x.max(dim=1)
    close(values, [5.0, 7.0])
    close(indices, [1, 0])
    assert values.requires_grad
    assert not indices.requires_grad
    assert indices.grad_fn is None
    (values * plain([1.0, 10.0])).sum().backward()
    close(x.grad, [[0.0, 1.0, 0.0], [10.0, 0.0, 0.0]])
    for i, expected in enumerate(([[2.0, 10.0, 0.0], [14.0, 0.0, 0.0]], [[0.0, 0.0, 4.0], [0.0, 0.0, 12.0]])):
        x.grad = None
        part = gf.split(x, 2, dim=1)[i]
        (part * part).sum().backward()
        close(x.grad, expected)
    parts = x.split([1, 2], dim=1)
    (g,) = grad((parts[1] * parts[0]).sum(), x, create_graph=True)
    close(grad((g * g).sum(), x)[0], [[4.0, 14.0, 14.0], [28.0, 12.0, 12.0]])


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "bool"])
def test_integers_do_not_require_grad(dtype):
    dtype = getattr(gf, dtype)
    with pytest.raises(ERROR, match=r"(?i)float"):
        gf.tensor([1, 0], dtype=dtype, requires_grad=True)
    with pytest.raises(ERROR, match=r"(?i)float"):
        gf.tensor([1, 0], dtype=dtype).requires_grad_()
    with pytest.raises(ERROR, match=r"(?i)float"):
        gf.tensor([1, 0], dtype=dtype).requires_grad = True
    x = leaf()
    assert not x.to(dtype).requires_grad
    assert not (x > 1.5).requires_grad
    y = x * gf.tensor([1, 0], dtype=dtype)
    y.sum().backward()
    close(x.grad, [1.0, 0.0])


def test_requires_grad_of_a_result_cannot_be_switched_off():
    y = leaf() * 2.0
    with pytest.raises(RuntimeError, match="detach"):
        y.requires_grad = False
    x = plain([1.0])
    assert x.requires_grad_() is x
    assert x.requires_grad
    x.requires_grad_(False)
    assert not (x * 2.0).requires_grad


def test_detach():
    x = leaf()
    d = x.detach()
    assert not d.requires_grad
    assert d.is_leaf
    assert d.grad_fn is None
    (x * d).sum().backward()
    close(x.grad, [1.0, 2.0])
    h = x * x
    (h.detach() * x).sum().backward()
    close(x.grad, [2.0, 6.0])


def test_an_infinite_value_in_the_branch_not_selected():
    x, y = leaf([1.0, np.inf, 3.0]), leaf([-np.inf, 2.0, np.nan])
    mask = gf.tensor([True, False, True])
    for create_graph in (False, True):
        out = gf.where(mask, x * 3.0, y + 1.0)
        close(out, [3.0, 3.0, 9.0])
        by_x, by_y = grad(out.sum(), (x, y), create_graph=create_graph)
        close(by_x, [3.0, 0.0, 3.0])
        close(by_y, [0.0, 1.0, 0.0])
    inputs = x.detach(), y.detach()
    close(gf.func.grad(lambda x, y: gf.where(mask, x, y).sum())(*inputs), [1.0, 0.0, 1.0])
    close(gf.func.jvp(lambda x, y: gf.where(mask, x, y), inputs, (gf.ones(3), gf.ones(3)))[1], [1.0, 1.0, 1.0])
    one = gf.func.vmap(gf.func.grad(lambda m, x, y: gf.where(m, x, y), argnums=2))(mask, *inputs)
    close(one, [0.0, 1.0, 0.0])
    for create_graph in (False, True):  # an infinite cotangent: the other branch gets 0, not NaN
        a, b = leaf([1.0, 2.0]), leaf([3.0, 4.0])
        y = gf.where(gf.tensor([True, False]), a, b)
        by_a, by_b = grad(y, (a, b), plain([np.inf, -np.inf]), create_graph=create_graph)
        close(by_a, [np.inf, 0.0])
        close(by_b, [0.0, -np.inf])


def test_an_infinite_loss_starts_from_a_gradient_of_one():
    for create_graph in (False, True):
        x = leaf([np.inf, 2.0])
        (g,) = grad((x * 3.0).sum(), x, create_graph=create_graph)
        close(g, [3.0, 3.0])
    x = leaf([np.inf, 2.0])
    (x * 3.0).sum().backward()
    close(x.grad, [3.0, 3.0])
    close(gf.func.grad(lambda x: (x * 3.0).sum())(x.detach()), [3.0, 3.0])
    close(gf.func.jvp(lambda x: (x * 3.0).sum(), (x.detach(),), (plain([1.0, 2.0]),))[1], 9.0)
    unused = gf.func.grad(lambda x, y: y * 1.0)(x.detach(), plain(1.0))
    close(unused, [0.0, 0.0])


@pytest.mark.parametrize("loss", ["cross_entropy", "log_softmax", "softmax"])
def test_infinite_logits(loss):
    """-inf masks a class: probability 0, gradient 0, at every order."""
    target = gf.tensor([0, 2])
    f = {
        "cross_entropy": lambda x: F.cross_entropy(x, target),
        "log_softmax": lambda x: gf.log_softmax(x, dim=1)[gf.tensor([0, 1]), target].sum() * -0.5,
        "softmax": lambda x: gf.log(gf.softmax(x, dim=1)[gf.tensor([0, 1]), target]).sum() * -0.5,
    }[loss]
    values = np.array([[0.5, -np.inf, 1.5], [-np.inf, 0.0, 2.0]])
    p = np.exp(values) / np.exp(values).sum(1, keepdims=True)
    expected = (p - np.eye(3)[[0, 2]]) / 2
    x = leaf(values)
    f(x).backward()
    close(x.grad, expected)
    (g,) = grad(f(x), x, create_graph=True)
    close(g, expected)
    u = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    (second,) = grad((g * plain(u)).sum(), x)
    close(second, (p * u - p * (p * u).sum(1, keepdims=True)) / 2)
    close(gf.func.grad(f)(x.detach()), expected)


def test_a_float32_leaf_beside_float64():
    for create_graph in (False, True):
        x, c = leaf([1.0, 2.0], "f4"), leaf([3.0, 4.0])
        y = (x * x * c).sum()
        assert y.dtype == gf.float64
        by_x, by_c = grad(y, (x, c), create_graph=create_graph)
        assert by_x.dtype == gf.float32
        assert by_c.dtype == gf.float64
        close(by_x, [6.0, 16.0])
        if create_graph:
            second_x, second_c = grad(by_x.sum() + by_c.sum(), (x, c))
            assert second_x.dtype == gf.float32
            assert second_c.dtype == gf.float64
            close(second_x, [8.0, 12.0])
            close(second_c, [2.0, 4.0])
    x = leaf([1.0, 2.0], "f4")
    (x * c).sum().backward()
    assert x.grad.dtype == gf.float32
    total = x + c.detach()  # add: the cotangent arrives as float64
    total.backward(plain([1.0, 1.0]), create_graph=True)
    assert x.grad.dtype == gf.float32
    g32 = gf.func.grad(lambda x: (x * x * c.detach()).sum())(x.detach())
    assert g32.dtype == gf.float32
    x16 = leaf([1.0, 2.0], "f2")
    (x16 * plain([1.0, 2.0], "f4")).sum().backward()
    assert x16.grad.dtype == gf.float16


def test_bfloat16_is_recorded():
    pytest.importorskip("ml_dtypes")
    x = gf.tensor([1.0, 2.0], requires_grad=True, dtype=gf.bfloat16)
    y = gf.tanh(x) * x + gf.exp(x) * gf.tensor([1.0, 0.5], dtype=gf.bfloat16)
    assert y.dtype == gf.bfloat16
    assert y.requires_grad
    for create_graph in (False, True):
        (g,) = grad(y.sum(), x, create_graph=create_graph, retain_graph=True)
        assert g.dtype == gf.bfloat16
        v = np.array([1.0, 2.0])
        expected = np.tanh(v) + v * (1 - np.tanh(v) ** 2) + np.exp(v) * [1.0, 0.5]
        close(g.to(gf.float32), expected, 0.05)
    wide = leaf([1.0, 2.0], "f4")
    (wide.to(gf.bfloat16) * x).sum().backward()
    assert wide.grad.dtype == gf.float32
    assert x.grad.dtype == gf.bfloat16
    close(wide.grad, [1.0, 2.0])
