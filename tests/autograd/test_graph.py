"""The graph itself: hooks, ownership of .grad, deep chains, memory, lifetimes, and messages of operations."""

import contextlib
import gc
import tracemalloc
import weakref

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


def close(actual, expected):
    np.testing.assert_allclose(actual.detach().numpy(), expected, rtol=1e-9, atol=1e-12)


@contextlib.contextmanager
def no_collector():
    """Whatever dies in here dies by its reference count."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


# ---- .grad ----


GRADIENTS = {  # leaves whose cotangents arrive broadcast, transposed, shared or as a view
    "shared": lambda a, b: (a + b).sum(),
    "broadcast": lambda a, b: a.sum() + b.sum(),
    "transposed": lambda a, b: (a.T * plain(np.ones((3, 2)))).sum() + b.T.sum(),
    "reshaped": lambda a, b: a.reshape(6).sum() + b.reshape(3, 2).sum(),
    "a slice": lambda a, b: (a[:, 1:] + b[:, :2]).sum() + (a + b).sum(),
    "cat": lambda a, b: gf.cat([a, b], dim=1).sum(),
    "stack": lambda a, b: gf.stack([a, b]).sum(),
    "twice": lambda a, b: (a + a + b + b).sum(),
}


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("name", GRADIENTS)
def test_a_leafs_grad_is_its_own_writable_and_dense(name, create_graph):
    a, b = leaf(np.ones((2, 3))), leaf(np.full((2, 3), 2.0))
    for x in (a, b):
        assert x.grad is None
    GRADIENTS[name](a, b).backward(create_graph=create_graph)
    expected = [x.grad.detach().numpy().copy() for x in (a, b)]
    with gf.no_grad():
        ga, gb = a.grad.detach(), b.grad.detach()
        ga[0, 0] = 99.0
        ga += 1.0
    expected[0][0, 0] = 99.0
    close(ga, expected[0] + 1.0)  # every element written once: no stride of 0, no overlap
    close(gb, expected[1])
    assert type(a.grad) is gf.Tensor
    assert a.grad.dtype == a.dtype
    assert a.grad.device == a.device


def test_the_gradient_given_to_backward_is_not_adopted():
    x, g = leaf(), plain([1.0, 1.0])
    x.backward(g)
    (x + 0.0).backward(g)
    (x + x + x).backward(g)
    close(x.grad, [5.0, 5.0])
    x.grad.zero_()
    close(g, [1.0, 1.0])
    y = x.reshape(2)
    y.retain_grad()
    y.backward(g)
    g.fill_(7.0)
    close(x.grad, [1.0, 1.0])
    close(y.grad, [1.0, 1.0])


def test_grad_accumulates_and_may_be_cleared():
    x = leaf()
    for n in (1, 2, 3):
        (x * 2.0).sum().backward()
        close(x.grad, [2.0 * n, 2.0 * n])
    x.grad = None
    (x * 3.0).sum().backward()
    close(x.grad, [3.0, 3.0])
    x.grad.zero_()
    (x * 5.0).sum().backward()
    close(x.grad, [5.0, 5.0])
    x.grad = plain([1.0, 1.0])
    x.sum().backward()
    close(x.grad, [2.0, 2.0])


def test_grad_of_a_float32_leaf_is_float32_even_where_accumulated():
    x = leaf(dtype="f4")
    for _ in range(2):
        (x * plain([1.0, 2.0])).sum().backward()
    assert x.grad.dtype == gf.float32
    assert not x.grad.requires_grad
    close(x.grad, [2.0, 4.0])


# ---- hooks ----


def test_a_hook_on_a_leaf_gets_the_total_once_and_may_replace_it():
    x, seen = leaf(), []
    x.register_hook(lambda g: seen.append(g))
    second = x.register_hook(lambda g: g * 10.0)
    (x * 2.0 + x * 3.0 + x).sum().backward()
    assert len(seen) == 1
    assert type(seen[0]) is gf.Tensor
    close(seen[0], [6.0, 6.0])
    close(x.grad, [60.0, 60.0])
    second.remove()
    second.remove()  # twice is harmless
    x.grad = None
    (x * 2.0).sum().backward()
    close(x.grad, [2.0, 2.0])
    assert len(seen) == 2


def test_a_hook_on_a_result_gets_the_total_once_and_may_replace_it():
    x, seen = leaf(), []
    h = x * 2.0
    h.register_hook(lambda g: seen.append(g) or g * -1.0)
    (h * 3.0 + h * h).sum().backward()
    assert len(seen) == 1
    close(seen[0], [7.0, 11.0])
    close(x.grad, [-14.0, -22.0])


def test_hooks_run_in_autograd_grad_and_see_recorded_tensors_under_create_graph():
    x, seen = leaf(), []
    h = x * x
    handle = h.register_hook(lambda g: seen.append(g) or g * g)
    (g,) = grad((h * h).sum(), x, create_graph=True)  # (2 h)^2 * 2 x = 8 x^5
    assert seen[0].requires_grad
    close(g, [8.0, 256.0])
    handle.remove()
    close(grad(g.sum(), x)[0], [40.0, 640.0])
    assert len(seen) == 1
    x.register_hook(lambda g: g * 10.0)
    close(grad((x * x).sum(), x)[0], [20.0, 40.0])  # a leaf's hook counts here too


def test_a_hook_on_one_output_of_several():
    x, seen = leaf([[1.0, 3.0], [4.0, 2.0]]), []
    first, second = gf.split(x, 1, dim=0)
    second.register_hook(lambda g: seen.append(g) or g + 1.0)
    (first * 2.0 + second * 3.0).sum().backward()
    close(seen[0], [[3.0, 3.0]])
    close(x.grad, [[2.0, 2.0], [4.0, 4.0]])


def test_a_hook_needs_a_tensor_that_requires_grad_and_its_result_the_right_shape():
    with pytest.raises(RuntimeError, match=r"requires_grad|require grad"):
        plain([1.0]).register_hook(print)
    x = leaf()
    x.register_hook(lambda g: g[:1])
    with pytest.raises(ERROR, match=r"(?s)hook.*\(2,\)"):
        (x * 2.0).sum().backward()


def test_retain_grad():
    x = leaf()
    h = x * 3.0
    assert h.grad is None
    h.retain_grad()
    h.retain_grad()
    y = (h * h).sum()
    y.backward(retain_graph=True)
    close(h.grad, [6.0, 12.0])
    y.backward()
    close(h.grad, [12.0, 24.0])
    x.retain_grad()  # nothing to do for a leaf
    with pytest.raises(RuntimeError, match=r"requires_grad|require grad"):
        plain([1.0]).retain_grad()


# ---- depth, memory, lifetime ----


def test_a_chain_of_100000_operations_runs_backward_and_is_freed():
    x = leaf()
    y = x
    for _ in range(100_000):
        y = y + 1.0
    with no_collector():
        middle = weakref.ref(y)
        y.sum().backward()
        close(x.grad, [1.0, 1.0])
        del y
        assert middle() is None
    z, one = x, leaf([1.0, 1.0])
    for _ in range(100_000):  # one that never runs backward
        z = z * one
    del z


def test_chained_adds_retain_one_output():
    x = leaf(np.ones(250_000))
    (x + 1.0).sum().backward()  # whatever is made once
    x.grad = None
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        y = x
        for _ in range(20):
            y = y + 1.0
        retained = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert retained < 1.3 * 2_000_000
    assert y.requires_grad


def test_backward_frees_as_it_goes():
    """Twenty saved values of 2 MB: by the time the leaf is reached they are gone."""
    x = leaf(np.ones(250_000))
    held = []
    x.register_hook(lambda g: held.append(tracemalloc.get_traced_memory()[0]))
    tracemalloc.start()
    try:
        y = x
        for _ in range(20):
            y = gf.tanh(y)
        y = y.sum()
        saved = tracemalloc.get_traced_memory()[0]
        y.backward()
    finally:
        tracemalloc.stop()
    assert saved > 38_000_000
    assert held[0] < 10_000_000


def test_no_reference_cycles_in_ordinary_use():
    x = leaf(np.ones((2, 3)))
    w = leaf(np.ones((3, 4)))

    def forward():
        h = gf.sigmoid(x @ w)
        values, _ = h.max(dim=1)
        return [h, values, F.cross_entropy(h, gf.tensor([0, 3])) + values.sum() + gf.exp(h[0]).sum()]

    with no_collector():
        for run in (
            lambda y: None,
            lambda y: y.backward(),
            lambda y: grad(y, x, retain_graph=True),
            lambda y: grad(y, x, create_graph=True)[0].sum().backward(),
            lambda y: (y.register_hook(lambda g: g * 2.0), y.backward()),
        ):
            results = forward()
            run(results[-1])
            refs = [weakref.ref(r) for r in results]
            del results
            assert [r() for r in refs] == [None, None, None]
        inner = []

        def f(x):
            y = gf.exp(x)
            inner.append(weakref.ref(y))
            return y.sum()

        gf.func.grad(f)(x.detach())
        gf.func.jvp(f, (x.detach(),), (x.detach(),))
        gf.func.vmap(f)(x.detach())
        gf.func.hessian(f)(x.detach())
        assert [r() for r in inner] == [None] * len(inner)


def live_tensors():
    return sum(isinstance(o, gf.Tensor) for o in gc.get_objects())


@pytest.mark.parametrize("given", [False, True])
def test_a_first_order_backward_makes_no_tensor(given):
    """Fifty branches wait for their turn in the middle of a backward pass; none of them waits as a Tensor."""
    x, counts = leaf(np.ones((2, 3))), []
    first = x * 1.0
    branches = [gf.tanh(first * float(i)) @ leaf(np.ones((3, 2))) for i in range(50)]
    branches[25].register_hook(lambda g: counts.append(live_tensors()))
    first.register_hook(lambda g: counts.append(live_tensors()))
    y = gf.stack(branches) if given else gf.stack(branches).sum()
    gradient = gf.ones_like(y) if given else None
    gc.collect()
    before = live_tensors()
    y.backward(gradient)
    assert len(counts) == 2
    grads_made = 50  # of the fifty leaves
    assert counts[0] <= before + 1 + grads_made // 2 + 1  # the hook's own argument; leaves reached so far
    assert counts[1] <= before + 1 + grads_made
    assert live_tensors() <= before + grads_made + 1


# ---- messages of operations ----


MESSAGES = {  # name: (call, kind of error, what it must say)
    "add shapes": (lambda: gf.ones(2, 3) + gf.ones(4), ERROR, r"\[add\].*\(2, 3\).*\(4,\)"),
    "multiply shapes": (lambda: gf.ones(2, 3) * gf.ones(2, 4), ERROR, r"\[mul\w*\].*\(2, 3\).*\(2, 4\)"),
    "matmul shapes": (lambda: gf.ones(2, 3) @ gf.ones(4, 5), ERROR, r"\[matmul\].*\(2, 3\).*\(4, 5\)"),
    "matmul 0-d": (lambda: gf.matmul(gf.ones(2), gf.tensor(1.0)), ERROR, r"\[matmul\].*\(\)"),
    "where shapes": (lambda: gf.where(gf.ones(2) > 0, gf.ones(3), gf.ones(3)), ERROR, r"\[where\].*\(2,\).*\(3,\)"),
    "reshape": (lambda: gf.ones(2, 3).reshape(4, 2), ERROR, r"\[reshape\](?=.*\(2, 3\)).*\(4, 2\)"),
    "cat shapes": (lambda: gf.cat([gf.ones(2, 3), gf.ones(2, 4)]), ERROR, r"\[cat\](?=.*\(2, 3\)).*\(2, 4\)"),
    "sum axis": (lambda: gf.ones(2, 3).sum(dim=2), (IndexError, *ERROR), r"\[sum\].*2.*\(2, 3\)"),
    "a string operand": (lambda: gf.ones(2) * "a", TypeError, "str"),
    "float index": (lambda: gf.ones(3)[gf.tensor([0.5])], IndexError, "float32"),
    "integer index": (lambda: gf.ones(2, 3)[0, 3], IndexError, r"(?s)\[getitem\].*3.*\(2, 3\)"),
    "negative index": (lambda: gf.ones(3)[-4], IndexError, r"(?s)\[getitem\].*-4.*\(3,\)"),
    "index array": (lambda: gf.ones(3)[gf.tensor([0, 7, 1])], IndexError, r"(?s)\[getitem\].*7.*\(3,\)"),
    "negative index array": (lambda: gf.ones(3)[gf.tensor([0, -5])], IndexError, r"(?s)\[getitem\].*-5.*\(3,\)"),
    "too many indices": (lambda: gf.ones(3)[0, 0], IndexError, r"(?s)\[getitem\].*\(3,\)"),
    "mask shape": (lambda: gf.ones(3)[gf.tensor([True, False])], IndexError, r"(?s)\[getitem\].*\(2,\).*\(3,\)"),
    "label too large": (
        lambda: F.cross_entropy(gf.ones(2, 3), gf.tensor([0, 3])),
        (IndexError, *ERROR),
        r"(?s)\[cross_entropy\].*3",
    ),
    "label count": (lambda: F.cross_entropy(gf.ones(2, 3), gf.tensor([0])), ERROR, r"(?s)\[cross_entropy\].*\(2, 3\)"),
    "split sizes": (lambda: gf.split(gf.ones(5), [2, 2]), ERROR, r"(?s)\[split\].*5"),
    "convolution channels": (
        lambda: F.conv2d(gf.ones(1, 4, 5, 5), gf.ones(2, 3, 3, 3)),
        ERROR,
        r"\[conv2d\].*4.*3.*\(1, 4, 5, 5\).*\(2, 3, 3, 3\)",
    ),
    "item of many": (lambda: gf.ones(2).item(), ERROR, r"2"),
    "truth of many": (lambda: bool(gf.ones(2)), ERROR, r"(?i)ambiguous|truth"),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_misuse_is_named_with_its_operands(name):
    call, kind, said = MESSAGES[name]
    with pytest.raises(kind, match=said):
        call()
