"""In-place changes: which are allowed, which are refused, and that a value needed by backward never changes unseen."""

import inspect

import numpy as np
import pytest

import gradflow as gf

ERROR = (RuntimeError, ValueError, TypeError)


def leaf(values=(1.0, 2.0, 3.0)):
    return gf.tensor(np.asarray(values, dtype="f8"), requires_grad=True)


def plain(values=(1.0, 2.0, 3.0)):
    return gf.tensor(np.asarray(values, dtype="f8"))


def close(actual, expected):
    np.testing.assert_allclose(actual.detach().numpy(), expected, rtol=1e-12)


def line_here():
    return inspect.currentframe().f_back.f_lineno


def add_assign(t):
    t += 1.0


def subtract_assign(t):
    t -= 1.0


def multiply_assign(t):
    t *= 2.0


def divide_assign(t):
    t /= 2.0


def set_item(t):
    t[...] = 7.0


def set_slice(t):
    t[1:] = gf.zeros(2)


def set_masked(t):
    t[gf.tensor([True, False, True])] = 5.0


def set_picked(t):
    t[gf.tensor([0, 2])] = plain((8.0, 9.0))


CHANGES = {  # name: (change, what becomes of [1, 2, 3])
    "+=": (add_assign, [2, 3, 4]),
    "-=": (subtract_assign, [0, 1, 2]),
    "*=": (multiply_assign, [2, 4, 6]),
    "/=": (divide_assign, [0.5, 1, 1.5]),
    "add_": (lambda t: t.add_(plain((1.0, 0.0, 1.0))), [2, 2, 4]),
    "add_ alpha": (lambda t: t.add_(gf.ones(3), alpha=-0.5), [0.5, 1.5, 2.5]),
    "sub_": (lambda t: t.sub_(1.0), [0, 1, 2]),
    "mul_": (lambda t: t.mul_(gf.full((1,), 3.0)), [3, 6, 9]),
    "div_": (lambda t: t.div_(2.0), [0.5, 1, 1.5]),
    "copy_": (lambda t: t.copy_(gf.tensor([4, 5, 6])), [4, 5, 6]),
    "zero_": (lambda t: t.zero_(), [0, 0, 0]),
    "fill_": (lambda t: t.fill_(2.5), [2.5, 2.5, 2.5]),
    "x[...] = v": (set_item, [7, 7, 7]),
    "x[1:] = v": (set_slice, [1, 0, 0]),
    "x[mask] = v": (set_masked, [5, 2, 5]),
    "x[index] = v": (set_picked, [8, 2, 9]),
}

ALIASES = {  # ways to hold the same storage (of three elements, or more)
    "itself": lambda t: t,
    "detach": lambda t: t.detach(),
    "data": lambda t: t.data,
    "slice": lambda t: t[1:],
    "reversed axes": lambda t: t.reshape(1, -1).T,
    "reshape": lambda t: t.reshape(1, 3),
    "view of a view": lambda t: t.reshape(3, 1)[1:].squeeze(1),
    "flatten": lambda t: t.reshape(1, 3).flatten(),
    "unsqueeze": lambda t: t.unsqueeze(0),
    "expand": lambda t: t.expand(2, 3),
    "permute": lambda t: t.reshape(1, 3).permute(1, 0),
    "split": lambda t: t.split(2)[1],
    "detached view": lambda t: t[1:].detach(),
    "view of detach": lambda t: t.detach()[1:],
    "view of data": lambda t: t.data.reshape(3, 1),
}


@pytest.mark.parametrize("name", CHANGES)
def test_each_change_works_in_place_and_is_seen_by_backward(name):
    change, after = CHANGES[name]
    c, x = plain(), leaf()
    same, y = c, x * c
    change(c)
    close(c, after)
    assert same is c
    assert not c.requires_grad
    with pytest.raises(RuntimeError, match=r"(?s)mul.*in.place"):
        y.sum().backward()


@pytest.mark.parametrize("name", CHANGES)
def test_each_change_on_a_leaf_under_no_grad(name):
    change, after = CHANGES[name]
    x = leaf()
    y = x * x
    with gf.no_grad():
        change(x)
    close(x, after)
    assert x.requires_grad
    assert x.is_leaf
    with pytest.raises(RuntimeError, match=r"(?s)mul.*in.place"):
        y.sum().backward()
    (x * x).sum().backward()  # a fresh graph is fine
    close(x.grad, 2 * np.asarray(after, dtype="f8"))


@pytest.mark.parametrize("name", CHANGES)
def test_each_change_is_refused_where_it_would_have_to_be_recorded(name):
    change, _ = CHANGES[name]
    x = leaf()
    for target in (x, x * 1.0):
        with pytest.raises(ERROR, match=r"(?i)in.place"):
            change(target)
    result = x * 1.0
    with gf.no_grad(), pytest.raises(ERROR, match=r"(?i)in.place"):
        change(result)  # a recorded result, also under no_grad
    close(x, [1.0, 2.0, 3.0])
    close(result, [1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    "change",
    [
        lambda t, v: t.add_(v),
        lambda t, v: t.copy_(v),
        lambda t, v: t.__setitem__(0, v[0]),
        lambda t, v: t.__imul__(v),
    ],
)
def test_a_value_that_requires_grad_is_refused_unless_under_no_grad(change):
    c, v = plain(), leaf()
    with pytest.raises(ERROR, match=r"(?i)requires.grad"):
        change(c, v)
    close(c, [1.0, 2.0, 3.0])
    with gf.no_grad():
        change(c, v)
    assert not c.requires_grad


@pytest.mark.parametrize("change", ["add_", "x[...] = v", "*=", "zero_"])
@pytest.mark.parametrize(
    ("transform", "named"),
    [
        (lambda f: gf.func.grad(f)(plain()), "grad"),
        (lambda f: gf.func.jvp(f, (plain(),), (plain(),)), "jvp"),
        (lambda f: gf.func.vmap(f)(plain(np.ones((2, 3)))), "vmap"),
    ],
)
def test_changes_inside_a_transform_are_refused(transform, named, change):
    def f(x):
        CHANGES[change][0](x)
        return x.sum()

    with pytest.raises(ERROR, match=f"(?is)in.place.*{named}|{named}.*in.place"):
        transform(f)


def test_a_transforms_value_is_not_written_into_a_plain_tensor():
    def f(x):
        buffer = gf.zeros(3, dtype=gf.float64)
        buffer[0] = x[0]
        return x.sum()

    for call in (lambda: gf.func.grad(f)(plain()), lambda: gf.func.vmap(f)(plain(np.ones((2, 3))))):
        with pytest.raises(ERROR, match="setitem"):
            call()


@pytest.mark.parametrize("saved", ALIASES)
@pytest.mark.parametrize("changed", ["itself", "detach", "data", "slice", "reversed axes", "view of detach"])
def test_aliases_share_one_counter(saved, changed):
    c, x = plain(), leaf([2.0])
    kept, other = ALIASES[saved](c), ALIASES[changed](c)  # both made before anything is saved
    y = x * kept
    other.add_(1.0)
    with pytest.raises(RuntimeError, match=r"in.place"):
        y.sum().backward()


@pytest.mark.parametrize("saved", [name for name in ALIASES if name != "itself"])
def test_a_leaf_changed_after_a_view_of_it_was_saved(saved):
    x = leaf()
    view = ALIASES[saved](x)
    y = leaf([2.0]) * view
    with gf.no_grad():
        x.add_(1.0)
    with pytest.raises(RuntimeError, match=r"in.place"):
        y.sum().backward()


def test_a_view_of_a_leaf_changed_under_no_grad():
    x = leaf()
    y = (x * x).sum()
    with gf.no_grad():
        x[1:].mul_(2.0)
    close(x, [1.0, 4.0, 6.0])
    with pytest.raises(RuntimeError, match=r"in.place"):
        y.backward()


def test_the_error_names_the_operation_and_where_it_was_made():
    x = leaf()
    e = gf.exp(x)
    y, line = (e * e).sum(), line_here()
    e.detach().zero_()
    with pytest.raises(RuntimeError, match=rf"(?s)\[mul\w*\].*in.place.*test_versions\.py:{line}\b"):
        y.backward()
    e, line = gf.exp(x), line_here()
    e.detach().zero_()
    with pytest.raises(RuntimeError, match=rf"(?s)\[exp\].*in.place.*test_versions\.py:{line}\b"):
        e.sum().backward()


def test_higher_orders_and_transforms_check_too():
    x = leaf()
    (g,) = gf.autograd.grad((x * x * x).sum(), x, create_graph=True)
    with gf.no_grad():
        x.add_(1.0)
    with pytest.raises(RuntimeError, match=r"in.place"):
        g.sum().backward()
    c = plain()
    _, pull = gf.func.vjp(lambda x: x * c, plain())
    c.zero_()
    with pytest.raises(RuntimeError, match=r"in.place"):
        pull(plain())


NOT_NEEDED = {  # name: (a function of x and c, its gradient in x at x = c = [1, 2, 3])
    "exp's input": (lambda x, c: gf.exp(x), np.exp([1.0, 2.0, 3.0])),
    "add": (lambda x, c: x + c, [1.0, 1.0, 1.0]),
    "subtract": (lambda x, c: x - c, [1.0, 1.0, 1.0]),
    "a Python scalar": (lambda x, c: x * 3.0, [3.0, 3.0, 3.0]),
    "sum, reshape, indexing": (lambda x, c: x.reshape(3, 1)[:2].sum() + c, [3.0, 3.0, 0.0]),
    "tanh's input": (lambda x, c: gf.tanh(x), 1 - np.tanh([1.0, 2.0, 3.0]) ** 2),
    "sigmoid's input": (lambda x, c: gf.sigmoid(x) + c, [0.19661193324148185, 0.1049935854035065, 0.04517665973091214]),
    "a copy": (lambda x, c: x * c.clone(), [1.0, 2.0, 3.0]),
    "a reshape that copies": (
        lambda x, c: (x.unsqueeze(0) * c.expand(2, 3).T.reshape(2, 3)).sum(0),
        [1.0 + 2.0, 1.0 + 3.0, 2.0 + 3.0],
    ),
    "indices make a copy": (lambda x, c: x * c[gf.tensor([0, 1, 2])], [1.0, 2.0, 3.0]),
}


@pytest.mark.parametrize("name", NOT_NEEDED)
def test_no_false_alarm(name):
    f, expected = NOT_NEEDED[name]
    x, c = leaf(), plain()
    y = f(x, c)
    c.zero_()
    with gf.no_grad():
        x.zero_()
    y.sum().backward()
    close(x.grad, expected)


def test_no_false_alarm_for_an_operand_whose_partner_needs_no_gradient():
    x, c = leaf(), plain()
    y = (x * c).sum()
    with gf.no_grad():
        x.zero_()  # only c is needed
    y.backward()
    close(x.grad, [1.0, 2.0, 3.0])


def test_no_false_alarm_on_another_path():
    x = leaf()
    _, linear = x * x, x * 2.0
    with gf.no_grad():
        x.zero_()
    linear.sum().backward()
    close(x.grad, [2.0, 2.0, 2.0])


@pytest.mark.parametrize("make", [lambda t: t.expand(2, 3), lambda t: gf.broadcast_to(t, (4, 3))])
def test_a_broadcast_destination_is_refused(make):
    c = plain()
    wide = make(c)
    with pytest.raises(ERROR, match=r"(?i)broadcast|expand"):
        wide.add_(1.0)
    with pytest.raises(ERROR, match=r"(?i)broadcast|expand"):
        wide[:, 0] = 5.0
    close(c, [1.0, 2.0, 3.0])


def test_a_destination_keeps_its_shape_and_dtype():
    c = plain()
    with pytest.raises(ERROR, match=r"add_.*\(3,\).*\(2, 3\)"):
        c.add_(gf.ones(2, 3))
    with pytest.raises(ERROR, match=r"\(2,\)"):
        c[0:3] = gf.ones(2)
    with pytest.raises(ERROR, match="int64"):
        gf.tensor([1, 2, 3]).add_(1.5)
    narrow = gf.tensor(np.ones(3, dtype="f4"))
    narrow.add_(c)
    assert narrow.dtype == gf.float32
    close(narrow, [2.0, 3.0, 4.0])
    with pytest.raises(IndexError, match="3"):
        c[3] = 1.0
    close(c, [1.0, 2.0, 3.0])
