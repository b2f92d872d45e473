"""gf.func: grad, vjp, jvp, jacobians and hessians: arguments, structures, nestings, outer weights, escaped values."""

import itertools

import numpy as np
import pytest

import gradflow as gf

F = gf.nn.functional
ERROR = (RuntimeError, ValueError, TypeError)
func = gf.func
RNG = np.random.default_rng(0)
X = np.array([0.7, -1.2, 0.4])
V = np.array([1.0, -0.5, 2.0])


def leaf(values):
    return gf.tensor(np.asarray(values, dtype="f8"), requires_grad=True)


def plain(values):
    return gf.tensor(np.asarray(values, dtype="f8"))


def value(x):
    return x.detach().numpy() if isinstance(x, gf.Tensor) else x


def close(actual, expected, tol=1e-9, message=""):
    np.testing.assert_allclose(value(actual), value(expected), rtol=tol, atol=tol, err_msg=message)


# ---- arguments and structures ----


def test_grad_argnums():
    f = lambda a, b, c: (a * b * b).sum() + c.sum()  # noqa: E731
    a, b, c = plain([1.0, 2.0]), plain([3.0, 4.0]), plain(5.0)
    close(func.grad(f)(a, b, c), [9.0, 16.0])
    close(func.grad(f, argnums=1)(a, b, c), [6.0, 16.0])
    close(func.grad(f, argnums=-1)(a, b, c), 1.0)
    by_c, by_a = func.grad(f, argnums=(2, 0))(a, b, c)
    close(by_c, 1.0)
    close(by_a, [9.0, 16.0])
    with pytest.raises(ERROR, match="argnums"):
        func.grad(f, argnums=3)(a, b, c)


def test_grad_has_aux_and_grad_and_value():
    f = lambda x: ((x * x).sum(), {"double": x * 2.0})  # noqa: E731
    g, aux = func.grad(f, has_aux=True)(plain(X))
    close(g, 2 * X)
    close(aux["double"], 2 * X)
    aux["double"] + 1.0  # an ordinary tensor again
    g, loss = func.grad_and_value(lambda x: (x * x).sum())(plain(X))
    close(g, 2 * X)
    close(loss, (X * X).sum())
    g, (loss, aux) = func.grad_and_value(f, has_aux=True)(plain(X))
    close(loss, (X * X).sum())
    close(aux["double"], 2 * X)


def test_grad_of_nested_structures_and_keyword_arguments():
    def loss(params, x, *, scale):
        (w, b), head = params["layer"], params["head"]
        return ((x @ w + b) @ head[0] * scale).sum()

    params = {"layer": (plain(np.ones((3, 2))), plain([0.5, 0.25])), "head": [plain([1.0, 2.0])]}
    g = func.grad(loss)(params, plain(X), scale=3.0)
    assert set(g) == {"layer", "head"}
    assert isinstance(g["layer"], tuple)
    assert isinstance(g["head"], list)
    close(g["layer"][0], 3 * np.outer(X, [1.0, 2.0]))
    close(g["layer"][1], [3.0, 6.0])
    close(g["head"][0], 3 * (X.sum() + np.array([0.5, 0.25])))


def test_grad_wants_a_scalar_tensor():
    with pytest.raises(ERROR, match=r"(?s)grad.*\(3,\)"):
        func.grad(lambda x: x * x)(plain(X))
    with pytest.raises(ERROR, match="grad"):
        func.grad(lambda x: (x, x))(plain(X))
    close(func.grad(lambda x, unused: (x * x).sum(), argnums=1)(plain(X), plain([np.inf, 1.0])), [0.0, 0.0])


def test_vjp_structures():
    out, pull = func.vjp(lambda x, y: {"product": x * y, "sum": (x + y).sum()}, plain(X), plain(V))
    close(out["product"], X * V)
    by_x, by_y = pull({"product": plain([1.0, 2.0, 3.0]), "sum": plain(10.0)})
    close(by_x, V * [1, 2, 3] + 10)
    close(by_y, X * [1, 2, 3] + 10)
    again_x, _ = pull({"product": plain([0.0, 0.0, 0.0]), "sum": plain(1.0)})  # as often as wanted
    close(again_x, [1.0, 1.0, 1.0])
    out, pull, aux = func.vjp(lambda x: (x * x, x + 1.0), plain(X), has_aux=True)
    close(aux, X + 1)
    close(pull(plain(V))[0], 2 * X * V)
    out, pull = func.vjp(lambda x: (x * 2.0, x.sum()), plain(X))
    assert isinstance(out, tuple)
    close(pull((plain(V), plain(1.0)))[0], 2 * V + 1)


def test_jvp_structures():
    x, y = plain(X), plain(V)
    (a, b), (ta, tb) = func.jvp(lambda x, y: (x * y, gf.exp(x).sum()), (x, y), (plain(V), plain(np.ones(3))))
    close(a, X * V)
    close(ta, V * V + X)
    close(b, np.exp(X).sum())
    close(tb, (np.exp(X) * V).sum())
    out, tangent, aux = func.jvp(lambda x: (x * x, x), (x,), (plain(V),), has_aux=True)
    close(tangent, 2 * X * V)
    close(aux, X)
    out, tangent = func.jvp(lambda x: gf.ones(2), (x,), (plain(V),))  # does not depend on x
    close(out, [1.0, 1.0])
    close(tangent, [0.0, 0.0])
    for primals, tangents in (((x,), (plain([1.0]),)), ((x,), (y, y)), (x, y)):
        with pytest.raises(ERROR, match=r"jvp|tangent|primal"):
            func.jvp(lambda x: x * x, primals, tangents)


def test_integer_results_have_no_tangent_or_gradient():
    (_, indices), (tangent, none) = func.jvp(lambda x: tuple(x.max(dim=0)), (plain(X),), (plain(V),))
    close(indices, 0)
    close(tangent, V[0])
    assert none is None or not value(none).any()
    close(func.grad(lambda x: x[x.max(dim=0)[1]] * 3.0)(plain(X)), [3.0, 0.0, 0.0])


# ---- closed forms ----

A = RNG.standard_normal((3, 3))


@pytest.mark.parametrize("jacobian", [func.jacrev, func.jacfwd])
def test_jacobians_equal_closed_forms(jacobian):
    close(jacobian(lambda x: plain(A) @ x)(plain(X)), A)
    close(jacobian(lambda x: gf.exp(x) * x.sum())(plain(X)), np.diag(np.exp(X)) * X.sum() + np.exp(X)[:, None])
    p = np.exp(X) / np.exp(X).sum()
    close(jacobian(lambda x: gf.softmax(x, dim=0))(plain(X)), np.diag(p) - np.outer(p, p))
    outer = np.einsum("ik,j->ijk", np.eye(3), X) + np.einsum("jk,i->ijk", np.eye(3), X)
    close(jacobian(lambda x: x.unsqueeze(1) * x.unsqueeze(0))(plain(X)), outer)
    close(jacobian(lambda x: (x * x).sum())(plain(X)), 2 * X)
    close(jacobian(lambda x: gf.ones(2))(plain(X)), np.zeros((2, 3)))
    by_a, by_x = jacobian(lambda a, x: a @ x, argnums=(0, 1))(plain(A), plain(X))
    close(by_a, np.einsum("ij,k->ijk", np.eye(3), X))
    close(by_x, A)
    first, (second,) = jacobian(lambda x: (x * x, (x.sum(),)))(plain(X))
    close(first, np.diag(2 * X))
    close(second, np.ones(3))
    in_dict = jacobian(lambda d: d["a"] * d["b"])({"a": plain(X), "b": plain(V)})
    close(in_dict["a"], np.diag(V))
    rows, aux = jacobian(lambda x: (x * x, x.sum()), has_aux=True)(plain(X))
    close(aux, X.sum())
    close(rows, np.diag(2 * X))


def test_hessians_equal_closed_forms():
    close(func.hessian(lambda x: x @ plain(A) @ x)(plain(X)), A + A.T)
    close(func.hessian(lambda x: gf.exp(x).sum() * x[0])(plain(X)), np.diag(X[0] * np.exp(X)) + _cross(np.exp(X)))
    p = np.exp(X) / np.exp(X).sum()
    loss = lambda x: F.cross_entropy(x.unsqueeze(0), gf.tensor([1]))  # noqa: E731
    close(func.hessian(loss)(plain(X)), np.diag(p) - np.outer(p, p))
    (_, xy), (yx, _) = func.hessian(lambda x, y: (x * y * y).sum(), argnums=(0, 1))(plain(X), plain(V))
    close(xy, np.diag(2 * V))
    close(yx, np.diag(2 * V))
    third = func.jacfwd(func.hessian(lambda x: (x * x * x).sum()))(plain(X))
    close(third, 6 * np.einsum("ij,jk->ijk", np.eye(3), np.eye(3)))


def _cross(e):
    out = np.zeros((3, 3))
    out[0] += e
    out[:, 0] += e
    return out


# ---- nestings ----

K = RNG.standard_normal((3, 4))
LABEL = gf.tensor([2])
FUNCTIONS = {  # three numbers to three
    "arithmetic": lambda x: (x * 2.0 + 1.0) / (x * x + 3.0) - x**3,
    "exp, tanh, sigmoid": lambda x: gf.exp(x) * gf.tanh(x) + gf.sigmoid(x * x),
    "matmul, softmax": lambda x: gf.softmax(x @ plain(K), dim=-1) @ plain(K.T) * x,
    "indexing": lambda x: x[gf.tensor([2, 0, 2])] * x[gf.tensor([1, 1, 0])] * x[1:].sum(),
    "cat, stack, where": lambda x: gf.where(x > 0, x * x, gf.cat([x[1:], gf.stack([x[0] ** 3])]) * x),
    "max, log": lambda x: gf.log(1.0 + x * x) * (x * x).max(dim=0)[0],
    "loss": lambda x: x * F.cross_entropy((x * x).unsqueeze(0), LABEL),
}
WEIGHTS = np.array([0.5, 2.0, -1.0])


def weighted_sum(f):
    return lambda x: (f(x) * plain(WEIGHTS)).sum()


def over_two(f):
    """vmap over two points, summed with weights, so that three numbers go to three again."""
    return lambda x: (func.vmap(f, in_dims=1)(gf.stack([x, x * 0.5], 1)) * plain([[1.0], [3.0]])).sum(0)


TRANSFORMS = {
    "grad": lambda f: func.grad(weighted_sum(f)),
    "jvp": lambda f: lambda x: func.jvp(f, (x,), (plain(V),))[1],
    "vmap": over_two,
}


def central(f, x, direction, h=1e-5):
    return (value(f(plain(x + h * direction))) - value(f(plain(x - h * direction)))) / (2 * h)


NUMERIC = {
    "grad": lambda f: lambda x: np.stack([central(weighted_sum(f), x, e) for e in np.eye(3)]),
    "jvp": lambda f: lambda x: central(f, x, V),
    "vmap": lambda f: lambda x: value(f(plain(x))) + 3.0 * value(f(plain(x * 0.5))),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_every_nesting_equals_differences_of_the_one_inside(name, depth):
    for chain in itertools.product(TRANSFORMS, repeat=depth):
        f = FUNCTIONS[name]
        for inner in chain[:-1]:
            f = TRANSFORMS[inner](f)
        outermost = chain[-1]
        close(TRANSFORMS[outermost](f)(plain(X)), NUMERIC[outermost](f)(X), 2e-6, f"innermost first: {chain}")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_tape_over_transforms_equals_a_transform_over_transforms(name):
    for chain in itertools.product(TRANSFORMS, repeat=2):
        f = FUNCTIONS[name]
        for inner in chain:
            f = TRANSFORMS[inner](f)
        x = leaf(X)
        (weighted_sum(f)(x)).backward()
        close(x.grad, TRANSFORMS["grad"](f)(plain(X)), message=f"innermost first: {chain}")


OUTER = {  # transforms of x -> w * x * x over an outer w, and what each gives in terms of w
    "grad": (lambda f: func.grad(lambda x: f(x).sum())(plain(X)), 2 * X),
    "vjp": (lambda f: func.vjp(f, plain(X))[1](plain(V))[0], 2 * X * V),
    "jvp": (lambda f: func.jvp(f, (plain(X),), (plain(V),))[1], 2 * X * V),
    "vmap": (lambda f: func.vmap(f)(plain([X, V])), X * X + V * V),
    "vmap of grad": (lambda f: func.vmap(func.grad(lambda x: f(x).sum()))(plain([X, V])), 2 * (X + V)),
    "grad of vmap": (lambda f: func.grad(lambda x: func.vmap(f)(x).sum())(plain([X, V])), 2 * (X + V)),
    "jacrev": (lambda f: func.jacrev(f)(plain(X)), 2 * X),
    "jacfwd": (lambda f: func.jacfwd(f)(plain(X)), 2 * X),
    "hessian": (lambda f: func.hessian(lambda x: f(x).sum())(plain(X)), 2 * np.ones(3)),
    "jvp of grad": (lambda f: func.jvp(func.grad(lambda x: f(x).sum()), (plain(X),), (plain(V),))[1], 2 * V),
}


@pytest.mark.parametrize("name", OUTER)
def test_an_outer_weight_is_recorded(name):
    transform, by_w = OUTER[name]
    w = leaf([2.0, 3.0, 4.0])
    y = transform(lambda x: w * x * x)
    assert y.requires_grad
    (g,) = gf.autograd.grad((y * y).sum(), w, create_graph=True)  # y is linear in w
    (gg,) = gf.autograd.grad(g.sum(), w)
    reference = transform(lambda x: w.detach() * x * x)
    assert not reference.requires_grad
    close(y, reference)
    transform(lambda x: w * x * x).sum().backward()
    close(w.grad, by_w)
    close(gg * w, g)


def test_results_without_a_tangent_are_tensors():
    x = gf.tensor(X)

    def f(v):
        return (gf.argmax(v).double() * (v > 0).double() * gf.max(v, 0).indices.double() * v).sum()

    primal, tangent = func.jvp(f, (x,), (gf.tensor(V),))
    close(primal, f(x))
    close(tangent, (func.grad(f)(x).numpy() * V).sum())


def test_a_backward_pass_of_the_tape_inside_a_transform():
    x = leaf(X)
    y = x * x * x

    def pull(v):
        return gf.autograd.grad(y, x, v, retain_graph=True)[0]

    rows = func.vmap(pull)(gf.eye(3, dtype=gf.float64))
    close(rows, np.diag(3 * X * X))
    close(func.jvp(pull, (gf.tensor(V),), (gf.tensor(X),))[1], 3 * X**3)
    close(func.grad(lambda v: pull(v).sum())(gf.tensor(V)), 3 * X * X)
    with pytest.raises(gf.autograd.TransformError, match=r"\[backward\] .grad cannot hold a value inside vmap"):
        func.vmap(lambda v: y.backward(v, retain_graph=True) or v)(gf.eye(3, dtype=gf.float64))
    assert x.grad is None


def test_inputs_may_be_any_iterable():
    x = leaf(X)
    (g,) = gf.autograd.grad((x * x).sum(), (v for v in [x]))
    close(g, 2 * X)


def test_detach_cuts_every_level():
    x = gf.tensor(X)
    close(func.grad(lambda v: func.vmap(lambda r: r.detach() * r)(v).sum())(x), X)

    def slope(v):
        return func.grad(lambda w: (w.detach() * w * w).sum())(v).sum()

    close(func.grad(slope)(x), 2 * X)
    close(func.jvp(slope, (x,), (gf.tensor(V),))[1], (2 * X * V).sum())


def test_an_outer_weight_that_only_shapes_the_tangent():
    w = leaf(V)
    y = func.jvp(lambda x: x * x, (plain(X),), (w,))[1]
    y.sum().backward()
    close(w.grad, 2 * X)


def test_a_leaf_given_to_a_transform_stays_on_the_outer_tape():
    x = leaf(X)
    y = func.grad(lambda x: (x * x * x).sum())(x)
    close(gf.autograd.grad(y.sum(), x)[0], 6 * X)
    assert x.grad is None


# ---- escaped values ----


@pytest.mark.parametrize(
    ("named", "call"),
    [
        ("grad", lambda f: func.grad(f)(plain(X))),
        ("vjp", lambda f: func.vjp(f, plain(X))[1](plain(1.0))),
        ("jvp", lambda f: func.jvp(f, (plain(X),), (plain(V),))),
        ("vmap", lambda f: func.vmap(f)(plain([X, V]))),
    ],
)
def test_an_escaped_value_is_named_when_used(named, call):
    kept = []

    def f(x):
        kept.append(x * 2.0)
        return (x * x).sum()

    result = call(f)
    if named == "vjp":
        del result
    word = rf"(?<![\w.]){named}(?![\w])"
    for use in (
        lambda k: k + 1.0,
        lambda k: plain(X) * k,
        lambda k: k.sum(),
        lambda k: k[0],
        lambda k: gf.stack([k, k]),
    ):
        with pytest.raises(RuntimeError, match=word):
            use(kept[0])
    with pytest.raises(RuntimeError, match=word):
        func.grad(lambda x: (x * kept[0]).sum())(plain(X))
    with pytest.raises(RuntimeError, match=word):
        func.vmap(lambda x: x * kept[0])(plain([X, V]))
    assert named in repr(kept[0])  # printing it says what it is, without failing


def test_an_error_inside_leaves_nothing_behind():
    def fail(x):
        raise KeyError("inside")

    for call in (
        lambda: func.grad(fail)(plain(X)),
        lambda: func.jvp(fail, (plain(X),), (plain(V),)),
        lambda: func.vmap(func.grad(fail))(plain([X, V])),
    ):
        with pytest.raises(KeyError, match="inside"):
            call()
    assert gf.is_grad_enabled()
    close(func.grad(lambda x: (x * x).sum())(plain(X)), 2 * X)
