"""Grad mode: nested in itself, reused, as a decorator, in other threads, on errors, around and inside transforms."""

import threading

import numpy as np
import pytest

import gradflow as gf


def leaf(values=(1.0, 2.0)):
    return gf.tensor(np.asarray(values, dtype="f8"), requires_grad=True)


def close(actual, expected):
    np.testing.assert_allclose(actual.detach().numpy(), expected, rtol=1e-12)


def records():
    """Whether a multiply records now; the flag and the fact must agree."""
    y = leaf() * 2.0
    assert y.requires_grad == gf.is_grad_enabled() == (y.grad_fn is not None)
    return y.requires_grad


def test_no_grad_stops_recording_and_gives_leaves():
    assert records()
    x = leaf()
    with gf.no_grad():
        assert not records()
        y = x * x
        assert y.is_leaf
        assert not y.requires_grad
        z = gf.tensor([1.0], requires_grad=True)  # asked for by name
        assert z.requires_grad
        assert z.is_leaf
    assert records()
    assert not y.requires_grad
    assert x.requires_grad
    close((x * y).sum(), 9.0)


def test_an_object_nested_in_itself_and_reused():
    mode = gf.no_grad()
    for _ in range(2):
        with mode:
            with mode:
                assert not records()
                with gf.enable_grad(), mode:
                    assert not records()
                assert not records()
            assert not records()
        assert records()
    on = gf.enable_grad()
    with mode:
        with on, mode, on:
            assert records()
        assert not records()
    assert records()


def test_enable_grad_inside_no_grad():
    x = leaf()
    with gf.no_grad():
        frozen = x * 3.0
        with gf.enable_grad():
            y = (x * frozen).sum()
        assert not records()
    y.backward()
    close(x.grad, [3.0, 6.0])


def test_set_grad_enabled_as_a_call_and_as_a_context():
    with gf.set_grad_enabled(False):
        assert not records()
        with gf.set_grad_enabled(True):
            assert records()
        assert not records()
    assert records()
    try:
        gf.set_grad_enabled(False)
        assert not records()
    finally:
        gf.set_grad_enabled(True)
    assert records()


@pytest.mark.parametrize("mode", [gf.no_grad, gf.no_grad(), lambda f: gf.set_grad_enabled(False)(f)])
def test_as_a_decorator(mode):
    @mode
    def f(depth):
        """What f does."""
        assert not records()
        if depth:
            f(depth - 1)
            assert not records()
        return gf.is_grad_enabled()

    assert f.__name__ == "f"
    assert f.__doc__ == "What f does."
    assert f(3) is False
    assert records()
    with gf.enable_grad():
        assert f(1) is False
        assert records()


def test_enable_grad_as_a_decorator():
    inner = gf.enable_grad()(records)
    with gf.no_grad():
        assert inner()
        assert not records()


@pytest.mark.parametrize("decorate", [True, False])
def test_an_error_restores_the_mode(decorate):
    def fail():
        assert not records()
        raise KeyError("x")

    def in_a_block():
        with gf.no_grad(), gf.no_grad():
            fail()

    with pytest.raises(KeyError):
        (gf.no_grad()(fail) if decorate else in_a_block)()
    assert records()


def test_a_decorated_generator_is_in_its_mode_only_while_it_runs():
    @gf.no_grad()
    def values():
        received = []
        try:
            for i in range(3):
                assert not records()
                received.append((yield i))
        except ZeroDivisionError:
            assert not records()
            yield "caught"
        return received

    generator = values()
    assert next(generator) == 0
    assert records()
    assert generator.send("a") == 1
    assert records()
    assert generator.throw(ZeroDivisionError()) == "caught"
    assert records()
    with pytest.raises(StopIteration) as stop:
        next(generator)
    assert stop.value.value == ["a"]
    assert records()
    assert list(values()) == [0, 1, 2]
    assert records()


def test_a_mode_entered_inside_a_generator_follows_the_usual_rules():
    def values():
        with gf.no_grad():
            yield records()
        yield records()

    assert list(values()) == [False, True]
    assert records()


def run_threads(*targets):
    errors = []

    def guarded(target):
        def run():
            try:
                target()
            except BaseException as error:
                errors.append(error)

        return run

    threads = [threading.Thread(target=guarded(t)) for t in targets]
    for t in threads:
        t.start()
    for t in threads:
        t.join(timeout=30)
    if errors:
        raise errors[0]


def test_other_threads_are_unaffected():
    entered, checked = threading.Event(), threading.Event()

    def inside():
        with gf.no_grad():
            entered.set()
            assert checked.wait(10)
            assert not records()
        assert records()

    def outside():
        assert entered.wait(10)
        assert records()
        checked.set()

    run_threads(inside, outside)
    with gf.no_grad():
        run_threads(lambda: records() or pytest.fail("a new thread starts with gradients on"))
        assert not records()


def test_a_transform_in_another_thread_changes_nothing_here():
    transform = gf.func.grad(lambda x: (x * x).sum())
    with gf.no_grad():
        run_threads(lambda: transform(gf.ones(2)))
        assert not records()
    inside, done = threading.Event(), threading.Event()

    def wait(x):
        inside.set()
        assert done.wait(10)
        return (x * x).sum()

    def meanwhile():
        assert inside.wait(10)
        close(gf.func.grad(lambda x: frozen_cube(x).sum())(gf.tensor([2.0, 3.0])), [4.0, 9.0])
        assert records()
        done.set()

    run_threads(lambda: close(gf.func.grad(wait)(gf.ones(2)), [2.0, 2.0]), meanwhile)


def test_one_object_shared_by_two_threads():
    shared = gf.no_grad()
    first_in, second_in, first_out = threading.Event(), threading.Event(), threading.Event()

    def first():
        with shared:
            first_in.set()
            assert second_in.wait(10)
        assert records()  # not what the other thread had before it entered
        first_out.set()

    def second():
        with gf.no_grad():
            assert first_in.wait(10)
            with shared:
                second_in.set()
                assert first_out.wait(10)
                assert not records()
            assert not records()
        assert records()

    run_threads(first, second)


def test_backward_in_a_thread_of_its_own():
    x = leaf()
    y = (x * x).sum()
    run_threads(y.backward)
    close(x.grad, [2.0, 4.0])


def frozen_cube(x):
    """x^3, of which two factors count as constants."""
    with gf.no_grad():
        square = x * x
    return x * square


def test_a_transform_ignores_no_grad_outside_it():
    x, t = gf.tensor(np.array([2.0, 3.0])), gf.ones(2, dtype=gf.float64)
    with gf.no_grad():
        close(gf.func.grad(lambda x: (x * x).sum())(x), [4.0, 6.0])
        close(gf.func.grad_and_value(lambda x: (x * x).sum())(x)[0], [4.0, 6.0])
        close(gf.func.jvp(lambda x: x * x, (x,), (t,))[1], [4.0, 6.0])
        close(gf.func.vjp(lambda x: x * x, x)[1](t)[0], [4.0, 6.0])
        close(gf.func.jacrev(lambda x: x * x)(x), [[4.0, 0.0], [0.0, 6.0]])
        close(gf.func.hessian(lambda x: (x * x * x).sum())(x), [[12.0, 0.0], [0.0, 18.0]])
        close(gf.func.grad(lambda x: gf.func.grad(lambda x: (x * x * x).sum())(x).sum())(x), [12.0, 18.0])
        assert not records()


def test_a_transform_honours_no_grad_inside_it():
    x, t = gf.tensor(np.array([2.0, 3.0])), gf.ones(2, dtype=gf.float64)
    close(gf.func.grad(lambda x: frozen_cube(x).sum())(x), [4.0, 9.0])
    close(gf.func.vjp(frozen_cube, x)[1](t)[0], [4.0, 9.0])
    close(gf.func.vmap(gf.func.grad(frozen_cube))(x), [4.0, 9.0])
    with gf.no_grad():  # both at once
        close(gf.func.grad(lambda x: frozen_cube(x).sum())(x), [4.0, 9.0])
    nothing = gf.func.grad(lambda x: gf.no_grad()(lambda: (x * x).sum())())
    close(nothing(x), [0.0, 0.0])


def test_forward_mode_does_not_depend_on_no_grad():
    """As in PyTorch, no_grad is about recording: a tangent passes through it."""
    x, t = gf.tensor(np.array([2.0, 3.0])), gf.ones(2, dtype=gf.float64)
    close(gf.func.jvp(frozen_cube, (x,), (t,))[1], [12.0, 27.0])


def test_an_outer_weight_is_recorded_through_a_transform_only_outside_no_grad():
    x = gf.tensor(np.array([2.0, 3.0]))
    w = leaf()
    with gf.no_grad():
        y = gf.func.grad(lambda x: (w * x * x).sum())(x)
        assert not y.requires_grad
        assert not gf.func.jvp(lambda x: w * x, (x,), (x,))[1].requires_grad
        assert not gf.func.vmap(lambda x: w * x)(x).requires_grad
    y = gf.func.grad(lambda x: (w * x * x).sum())(x)
    assert y.requires_grad
    y.sum().backward()
    close(w.grad, [4.0, 6.0])


def test_backward_itself_is_not_recorded_and_leaves_the_mode_alone():
    x = leaf()
    seen = []
    y = x * x
    y.register_hook(lambda g: seen.append((gf.is_grad_enabled(), g.requires_grad)))
    y.sum().backward(retain_graph=True)
    y.sum().backward(create_graph=True)
    assert seen[0][1] is False
    assert seen[1][0] is True
    assert records()
    close(x.grad, [4.0, 8.0])


def test_requires_grad_follows_the_mode_at_the_operation_not_at_backward():
    x = leaf()
    y = (x * x).sum()
    with gf.no_grad():
        y.backward()
    close(x.grad, [2.0, 4.0])
    assert not x.grad.requires_grad
