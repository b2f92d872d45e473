"""Module, containers, state and hooks, as PyTorch has them."""

import copy
from collections import OrderedDict

import numpy as np
import pytest
from parity.same import floats, same, torch

import gradflow as gf


def filled(t, module):
    """Parameters and floating buffers with numbers that both libraries have."""
    for i, (_, value) in enumerate(sorted([*module.named_parameters(), *module.named_buffers()])):
        if value.is_floating_point():
            array = np.abs(floats(*value.shape, seed=i)) + 0.3
            with t.no_grad():
                value.copy_(t.tensor(array))
    return module.double()


def small(t):
    nn = t.nn
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(1, 2, 3), norm=nn.BatchNorm2d(2), act=nn.ReLU(), flat=nn.Flatten(),
            head=nn.Sequential(nn.Linear(8, 3), nn.Identity()),
        )
    )  # fmt: skip


def tied(t):
    class Tied(t.nn.Module):
        def __init__(self):
            super().__init__()
            self.one = t.nn.Linear(2, 2)
            self.two = self.one
            self.alone = t.nn.Parameter(t.zeros(3))
            self.again = self.alone
            self.register_buffer("kept", t.ones(1))
            self.register_buffer("passing", t.ones(1), persistent=False)
            self.register_parameter("none", None)
            self.layers = t.nn.ModuleList([t.nn.Linear(2, 2), self.one])

        def forward(self, x):
            return self.two(self.one(x)) + self.alone[:2]

    return Tied()


MODELS = {"small": small, "tied": tied}


@pytest.mark.parametrize("name", MODELS)
def test_names_and_lists(name):
    def run(t):
        m = MODELS[name](t)
        lists = [
            [n for n, _ in m.named_parameters()], [n for n, _ in m.named_parameters("x", False)],
            [n for n, _ in m.named_parameters(remove_duplicate=False)], [n for n, _ in m.named_buffers()],
            [n for n, _ in m.named_buffers(prefix="p", recurse=False)], [n for n, _ in m.named_modules()],
            [n for n, _ in m.named_modules(prefix="a", remove_duplicate=False)], [n for n, _ in m.named_children()],
            list(m.state_dict()), list(m.state_dict(prefix="q.")), [type(c).__name__ for c in m.children()],
            [len(list(f(recurse=False))) for f in (m.parameters, m.buffers)],
            [v.requires_grad for v in m.state_dict(keep_vars=True).values()], [type(c).__name__ for c in m.modules()],
        ]  # fmt: skip
        return [str(v) for v in lists]

    assert run(gf) == run(torch)


PATHS = ["head.0", "head.0.weight", "norm.running_mean", "", "head.5", "weight", "head.0.nothing", "norm"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("get", ["get_submodule", "get_parameter", "get_buffer"])
def test_paths(get, path):
    same(lambda t: type(getattr(small(t), get)(path)).__name__ == "nothing")


def shown(t):
    nn, lin = t.nn, t.nn.Linear
    return [
        small(t), tied(t), nn.Sequential(), nn.ModuleList(),
        nn.ModuleList([lin(1, 2), lin(1, 2), nn.ReLU(), lin(1, 2)]),
        nn.ModuleDict({"a": lin(1, 1), "b": nn.Sequential(nn.ReLU())}), nn.ParameterList([t.zeros(2, 3), t.zeros(1)]),
        nn.ParameterList([t.zeros(2)]), nn.Bilinear(1, 2, 3, bias=False), nn.Identity(3, x=2), nn.Unflatten(1, (2, 3)),
        nn.Flatten(2), nn.ModuleList([nn.Sequential(lin(1, 1), nn.ReLU())] * 2),
    ]  # fmt: skip


@pytest.mark.parametrize("i", range(13))
def test_modules_print_alike(i):
    assert repr(shown(gf)[i]) == repr(shown(torch)[i]).replace("torch.", "")


CONTAINERS = {
    "index": lambda t, s: s[1], "negative": lambda t, s: s[-1], "slice": lambda t, s: s[1:],
    "slice_step": lambda t, s: s[::2], "beyond": lambda t, s: s[7], "delete": lambda t, s: s.__delitem__(0) or s,
    "delete_slice": lambda t, s: s.__delitem__(slice(0, 2)) or s, "append": lambda t, s: s.append(t.nn.ReLU()),
    "insert": lambda t, s: [s.insert(1, t.nn.Tanh()) is None, s],
    "insert_end": lambda t, s: [s.insert(3, t.nn.Tanh()) is None, s],
    "extend": lambda t, s: s.extend([t.nn.ReLU(), t.nn.Tanh()]), "pop": lambda t, s: [s.pop(0), s],
    "set": lambda t, s: s.__setitem__(1, t.nn.Tanh()) or s, "add": lambda t, s: s + s, "iterate": lambda t, s: list(s),
    "length": lambda t, s: len(s), "wrong": lambda t, s: s.append(3), "multiply": lambda t, s: s * 2,
    "contains": lambda t, s: s[0] in s, "iadd": lambda t, s: s.__iadd__(s[:1]),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTAINERS)
@pytest.mark.parametrize("kind", ["Sequential", "ModuleList"])
def test_containers(kind, name):
    def run(t):
        modules = [t.nn.Linear(2, 3), t.nn.ReLU(), t.nn.Linear(3, 1)]
        held = t.nn.Sequential(*modules) if kind == "Sequential" else t.nn.ModuleList(modules)
        try:
            return str(CONTAINERS[name](t, held)).replace("torch.", "")
        except Exception as error:
            return f"refused {isinstance(error, (TypeError, IndexError, ValueError))}"

    assert run(gf) == run(torch)


def test_dictionaries_of_modules_and_parameters():
    def run(t):
        d = t.nn.ModuleDict({"a": t.nn.ReLU()})
        d["b"] = t.nn.Linear(1, 1)
        d.update([("c", t.nn.Tanh())])
        out = [
            list(d),
            len(d),
            "a" in d,
            list(d.keys()),
            str(list(d.values())),
            str(d.pop("a")),
            [k for k, _ in d.items()],
            list(d.state_dict()),
        ]
        p = t.nn.ParameterDict({"v": t.nn.Parameter(t.ones(2))})
        p["w"] = t.zeros(3)
        p.update({"x": t.ones(1)})
        out += [
            list(p.keys()),
            len(p),
            "v" in p,
            [k for k, _ in p.items()],
            list(p.state_dict()),
            p["w"].requires_grad,
            p.pop("v").shape[0],
            list(p),
            p.get("none") is None,
        ]
        q = t.nn.ParameterList([t.ones(1)])
        q.append(t.ones(2))
        q += [t.ones(3)]
        q[0] = t.zeros(4)
        out += [
            len(q),
            [len(v) for v in q],
            list(q.state_dict()),
            [len(v) for v in q[1:]],
            len(q[-1]),
            [n for n, _ in q.named_parameters()],
        ]
        return [str(v) for v in out]

    assert run(gf) == run(torch)


# -- state -------------------------------------------------------------------------------------------------------------


def test_loading_tells_what_is_missing():
    def run(t):
        m, state = small(t), small(t).state_dict()
        found = [str(m.load_state_dict(state))]
        del state["conv.bias"]
        state["more"] = t.ones(1)
        keys = m.load_state_dict(state, strict=False)
        found += [str(keys.missing_keys), str(keys.unexpected_keys), str(keys[0])]
        for wrong in (state, dict(small(t).state_dict(), **{"conv.bias": t.ones(5)})):
            try:
                m.load_state_dict(wrong)
            except Exception as error:
                found.append(str(isinstance(error, (KeyError, ValueError, RuntimeError))))
        return found

    assert run(gf) == run(torch)
    with pytest.raises(NotImplementedError, match="assign"):
        small(gf).load_state_dict(small(gf).state_dict(), assign=True)


@pytest.mark.parametrize("name", MODELS)
def test_copies_are_independent_and_keep_ties(name):
    def run(t, x):
        m = filled(t, MODELS[name](t))
        twin = copy.deepcopy(m)
        with t.no_grad():
            for p in m.parameters():
                p.zero_()
        shared = [twin.one is twin.two, twin.alone is twin.again, twin.layers[1] is twin.one] if name == "tied" else []
        return twin(x), len(list(twin.parameters())), shared, [p.requires_grad for p in twin.parameters()]

    same(run, floats(2, 2) if name == "tied" else floats(2, 1, 4, 4))


def test_state_hooks():
    def run(t):
        m, seen = small(t), []
        m.register_state_dict_pre_hook(lambda module, prefix, keep: seen.append(("pre", prefix, keep)))
        m.head.register_state_dict_post_hook(lambda module, state, prefix, meta: state.__delitem__(prefix + "0.bias"))
        m.register_load_state_dict_post_hook(lambda module, keys: keys.missing_keys.clear())
        m.register_load_state_dict_pre_hook(lambda module, state, prefix, *rest: state.pop("extra", None) and None)
        state = m.state_dict()
        found = [list(state), str(m.load_state_dict({**state, "extra": t.ones(1)})), str(seen)]
        handle = m.head.register_state_dict_post_hook(lambda *args: None)
        handle.remove()
        return found

    assert run(gf) == run(torch)


# -- hooks -------------------------------------------------------------------------------------------------------------


def hooked(t, m, seen):
    m.register_forward_pre_hook(lambda module, args: (args[0] * 2,))
    m.register_forward_pre_hook(lambda module, args, kwargs: (args, {**kwargs}), with_kwargs=True)
    m.register_forward_hook(lambda module, args, out: out * 3)
    m.register_forward_hook(lambda module, args, kwargs, out: seen.append(out.sum()), with_kwargs=True, prepend=True)
    return m


def test_forward_hooks():
    def run(t, x):
        seen = []
        m = hooked(t, filled(t, t.nn.Linear(3, 2)), seen)
        return m(x), seen, m(x)

    same(run, floats(4, 3))


BACKWARD = {
    "watch": lambda seen: lambda m, gi, go: seen.append((gi, go)),
    "double": lambda seen: lambda m, gi, go: tuple([None if g is None else g * 2 for g in gi]),
    "count": lambda seen: lambda m, gi, go: (gi[0],) * 5,
}


@pytest.mark.filterwarnings("ignore:Full backward hook")
@pytest.mark.parametrize("name", BACKWARD)
@pytest.mark.parametrize("leaf", [True, False])
def test_backward_hooks(name, leaf):
    def run(t, x):
        seen = []
        m = filled(t, t.nn.Sequential(t.nn.Linear(3, 2), t.nn.Tanh(), t.nn.Linear(2, 2)))
        for part in (m, m[0], m[2]):
            part.register_full_backward_hook(BACKWARD[name](seen))
        m[1].register_full_backward_pre_hook(lambda module, go: (go[0] * 0.5,))
        m(x if leaf else x.detach()).pow(2).sum().backward()
        found = [p.grad for p in m.parameters()] + ([x.grad] if leaf else [])
        return found, [g for gi, go in seen for g in (*gi, *go)], [g is None for gi, _ in seen for g in gi]

    same(run, floats(4, 3), grad=True)


def test_backward_hooks_of_several_inputs_and_outputs():
    def run(t, x, y):
        class Two(t.nn.Module):
            def forward(self, a, b, k):
                return a * b, a + 1.0, k

        m, seen = Two(), []
        m.register_full_backward_hook(lambda module, gi, go: seen.append((gi, go)))
        p, _, k = m(x, y, 3)
        (p.sum() + k).backward()
        return (
            [x.grad, y.grad],
            [[v is None for v in (*gi, *go)] for gi, go in seen],
            [v for gi, go in seen for v in (*gi, *go)],
        )

    same(run, floats(3), floats(3, seed=1), grad=True)


def test_hooks_are_removed():
    def run(t, x):
        m = filled(t, t.nn.Linear(3, 2))
        first = m.register_forward_hook(lambda module, args, out: out * 2)
        with m.register_forward_pre_hook(lambda module, args: (args[0] + 1,)):
            a = m(x)
        b = m(x)
        first.remove()
        return a, b, m(x)

    same(run, floats(2, 3))


def test_second_derivatives_pass_backward_hooks():
    def run(t, x):
        m, seen = filled(t, t.nn.Sequential(t.nn.Linear(3, 2), t.nn.Tanh())), []
        m.register_full_backward_hook(lambda module, gi, go: seen.append(gi[0]))
        return m(x)

    same(run, floats(2, 3), second=True)


# -- conversions -------------------------------------------------------------------------------------------------------

MOVES = {
    "to": lambda t, m: m.to(t.float16), "to_tensor": lambda t, m: m.to(t.ones(1, dtype=t.float64)),
    "to_both": lambda t, m: m.to("cpu", t.float64), "half": lambda t, m: m.half(),
    "bfloat16": lambda t, m: m.bfloat16(), "type": lambda t, m: m.type(t.float64), "double": lambda t, m: m.double(),
    "int": lambda t, m: m.to(t.int64), "keywords": lambda t, m: m.to(device="cpu", dtype=t.float64, non_blocking=True),
    "requires": lambda t, m: m.requires_grad_(False), "zero": lambda t, m: m.zero_grad() or m,
    "eval": lambda t, m: m.eval(), "train": lambda t, m: m.eval().train(),
}  # fmt: skip


@pytest.mark.parametrize("name", MOVES)
def test_conversions(name):
    def run(t):
        m = MOVES[name](t, small(t))
        return (
            [str(v.dtype).replace("torch.", "") for v in m.state_dict().values()],
            [p.requires_grad for p in m.parameters()],
            [c.training for c in m.modules()],
        )

    try:
        expected = run(torch)
    except Exception as error:
        with pytest.raises(type(error)):
            run(gf)
    else:
        assert run(gf) == expected


def test_registration_is_checked():
    def run(t):
        found = []
        for call in (
            lambda m: m.register_buffer("a.b", t.ones(1)), lambda m: m.register_parameter("", None),
            lambda m: m.add_module("forward", t.nn.ReLU()), lambda m: m.register_parameter("p", t.ones(1)),
            lambda m: m.add_module("x", 3), lambda m: m.register_buffer("b", 3), lambda m: setattr(m, "head", 3),
            lambda m: delattr(m, "nothing"), lambda m: m.train("yes"), lambda m: m.nothing,
        ):  # fmt: skip
            try:
                call(small(t))
                found.append("fine")
            except Exception as error:
                found.append(type(error).__name__)
        return found

    assert run(gf) == run(torch)


@pytest.mark.filterwarnings("ignore:.*ackward hooks")
def test_rare_uses_of_modules():
    def run(t, x):
        nn = t.nn
        m = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
        m.set_submodule("1", nn.Tanh())
        p = nn.Parameter(t.ones(2))
        p.grad = t.ones(2)

        class Named(nn.Module):
            def forward(self, x):
                return {"y": 2 * x}

        watched = Named()
        watched.register_full_backward_hook(lambda module, given, taken: (given[0] * 3,))
        y = watched(x)["y"]
        names = list(reversed(nn.ParameterDict({"a": p, "b": p})))
        found = (type(m[1]).__name__, copy.deepcopy(p).grad is None, names == ["b", "a"], p.grad is None)
        vector, row = nn.functional.linear(x, x[0]), nn.functional.linear(x[0], x[1], x[0, 0])
        return m[0](input=x).shape, nn.Flatten(0)(input=x), y, vector, row, t.tensor([bool(f) for f in found])

    same(run, np.array([[1.0, 2.0], [3.0, 5.0]], "f4"))


@pytest.mark.parametrize("bias", [(3,), (5, 2, 4), ()])
def test_biases_that_do_not_fit(bias):
    same(lambda t, x: t.nn.functional.linear(x, t.ones(4, 3), t.ones(bias)), np.ones((2, 3), "f4"))
