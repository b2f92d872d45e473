"""Hooks of modules: what they see and change, in which order, and that they can be taken away."""

import copy

import numpy as np
import pytest

import gradflow as gf
from gradflow import nn


def double(n=2):
    layer = nn.Linear(n, n, bias=False, dtype=gf.float64)
    with gf.no_grad():
        layer.weight.copy_(2 * np.eye(n))
    return layer


def test_forward_hooks_change_arguments_and_outputs_in_order():
    m, seen = double(), []
    m.register_forward_pre_hook(lambda module, args: args[0] + 1)
    m.register_forward_pre_hook(lambda module, args, kwargs: seen.append((len(args), kwargs)), with_kwargs=True)
    m.register_forward_hook(lambda module, args, out: seen.append("second"))
    m.register_forward_hook(
        lambda module, args, kwargs, out: seen.append("first") or out * 10, with_kwargs=True, prepend=True
    )
    assert m(gf.ones(2, dtype=gf.float64)).tolist() == [40, 40] and seen == [(1, {}), "first", "second"]


def test_keyword_arguments_reach_hooks_that_ask_for_them():
    class Scale(nn.Module):
        def forward(self, x, by=1.0):
            return x * by

    m = Scale()
    m.register_forward_pre_hook(lambda module, args, kwargs: (args, {"by": kwargs["by"] + 1}), with_kwargs=True)
    assert m(gf.ones(1), by=2.0).tolist() == [3]
    m.register_forward_pre_hook(lambda module, args, kwargs: 3, with_kwargs=True)
    with pytest.raises(TypeError, match=r"must return None or \(args, kwargs\), got 3"):
        m(gf.ones(1), by=2.0)
    with pytest.raises(NotImplementedError, match="always_call"):
        m.register_forward_hook(lambda *a: None, always_call=True)


def test_handles_remove_hooks():
    m, x = double(), gf.ones(2, dtype=gf.float64)
    handle = m.register_forward_hook(lambda module, args, out: out + 1)
    with m.register_forward_hook(lambda module, args, out: out * 100):
        assert m(x).tolist() == [300, 300]
    assert m(x).tolist() == [3, 3]
    twin = copy.deepcopy(m)
    handle.remove()
    handle.remove()
    assert m(x).tolist() == [2, 2] and twin(x).tolist() == [3, 3]


def test_backward_hooks_see_and_change_gradients():
    m, seen, x = nn.Sequential(double(), double()), [], gf.ones(3, 2, dtype=gf.float64, requires_grad=True)
    m[0].register_full_backward_hook(
        lambda module, gi, go: seen.append((module, gi[0].tolist()[0], go[0].tolist()[0])) or (gi[0] * 10,)
    )
    m[1].register_full_backward_pre_hook(lambda module, go: (go[0] * 5,))
    m(x).sum().backward()
    assert seen == [(m[0], [20, 20], [10, 10])] and x.grad.tolist() == [[200, 200]] * 3
    np.testing.assert_array_equal(m[0].weight.grad.numpy(), np.full((2, 2), 30.0))


def test_without_gradients_of_inputs_the_hook_is_called_with_none():
    m, seen = double(), []
    m.register_full_backward_hook(lambda module, gi, go: seen.append(gi))
    m(gf.ones(1, 2, dtype=gf.float64)).sum().backward()
    with gf.no_grad():
        m(gf.ones(1, 2, dtype=gf.float64))
    assert seen == [(None,)]
    m.register_full_backward_hook(lambda module, gi, go: (None, None))
    with pytest.raises(ValueError, match="returned 2 gradients, expected 1"):
        m(gf.ones(1, 2, dtype=gf.float64)).sum().backward()


def test_backward_hooks_inside_transforms():
    m = double()
    m.register_full_backward_hook(lambda module, gi, go: (gi[0] * 3,))
    x = gf.ones(4, 2, dtype=gf.float64)
    assert gf.func.grad(lambda x: m(x).sum())(x).tolist() == [[6, 6]] * 4
    assert gf.func.vmap(gf.func.grad(lambda row: m(row).sum()))(x).tolist() == [[6, 6]] * 4


def test_a_relu_with_a_hook_is_not_drawn_into_the_batch_norm_before_it():
    m, seen = nn.Sequential(nn.BatchNorm2d(2), nn.ReLU()), []
    x = gf.randn(3, 2, 2, 2)
    plain = m(x).detach().numpy()
    m[1].register_forward_hook(lambda module, args, out: seen.append(args[0].amin().item()))
    np.testing.assert_allclose(m(x).detach().numpy(), plain, rtol=1e-5, atol=1e-6)
    assert seen[0] < 0


def test_modules_without_hooks_do_not_look_for_them():
    assert "_hooks" not in nn.Linear(1, 1).__dict__ and nn.Linear(1, 1)._hooks is None


def test_state_hooks():
    m, seen = nn.Sequential(double()), []
    m.register_state_dict_pre_hook(lambda module, prefix, keep: seen.append((prefix, keep)))
    m[0].register_state_dict_post_hook(lambda module, state, prefix, _: state.update({prefix + "note": gf.ones(1)}))
    m.register_load_state_dict_pre_hook(lambda module, state, prefix, *_: state.pop("0.note") and None)
    m.register_load_state_dict_post_hook(
        lambda module, keys: seen.append(keys.missing_keys.copy()) or keys.missing_keys.clear()
    )
    state = m.state_dict()
    assert list(state) == ["0.weight", "0.note"] and seen == [("", False)]
    assert str(m.load_state_dict(state)) == "<All keys matched successfully>" and "0.note" in state
    del state["0.weight"]
    m.load_state_dict(state)
    assert seen[1:] == [[], ["0.weight"]]
