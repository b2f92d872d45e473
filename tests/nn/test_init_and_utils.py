"""nn.init and nn.utils: ranges, generators, norms, and weights that are computed anew."""

import copy
import math

import numpy as np
import pytest

import gradflow as gf
from gradflow import nn
from gradflow.nn import init, utils

BOUNDS = {
    "uniform_": (lambda x, g: init.uniform_(x, -0.5, 2.0, generator=g), -0.5, 2.0),
    "trunc_normal_": (lambda x, g: init.trunc_normal_(x, 1.0, 2.0, -0.5, 1.5, generator=g), -0.5, 1.5),
    "xavier_uniform_": (lambda x, g: init.xavier_uniform_(x, 2.0, g), -2 * math.sqrt(6 / 500), 2 * math.sqrt(6 / 500)),
    "kaiming_uniform_": (lambda x, g: init.kaiming_uniform_(x, 0, "fan_out", "relu", g), -(0.03**0.5), 0.03**0.5),
}  # fmt: skip
DEVIATIONS = {
    "normal_": (lambda x, g: init.normal_(x, 0.0, 3.0, generator=g), 3.0),
    "xavier_normal_": (lambda x, g: init.xavier_normal_(x, generator=g), math.sqrt(2 / 500)),
    "kaiming_normal_": (lambda x, g: init.kaiming_normal_(x, generator=g), math.sqrt(2 / 300)),
}  # fmt: skip


@pytest.mark.parametrize("name", [*BOUNDS, *DEVIATIONS, "orthogonal_", "sparse_"])
def test_initial_values(name):
    def made(seed):
        x = gf.zeros(200, 300, requires_grad=True)
        if name in BOUNDS or name in DEVIATIONS:
            y = (BOUNDS.get(name) or DEVIATIONS[name])[0](x, gf.Generator(seed))
        else:
            y = (
                init.orthogonal_(x, 2.0, gf.Generator(seed))
                if name == "orthogonal_"
                else init.sparse_(x, 0.25, generator=gf.Generator(seed))
            )
        assert y is x and x.is_leaf and x.requires_grad
        return x.numpy()

    x = made(1)
    assert np.array_equal(x, made(1)) and not np.array_equal(x, made(2))
    if name in BOUNDS:
        low, high = BOUNDS[name][1:]
        assert low <= x.min() < low + 0.01 * (high - low) and high >= x.max() > high - 0.01 * (high - low)
    elif name in DEVIATIONS:
        assert abs(x.std() / DEVIATIONS[name][1] - 1) < 0.02 and abs(x.mean()) < 0.02 * x.std()
    elif name == "orthogonal_":
        np.testing.assert_allclose(x @ x.T, 4 * np.eye(200), atol=1e-5)
    else:
        assert ((x == 0).sum(0) == 50).all()


def test_fixed_values_and_refusals():
    assert init.eye_(gf.zeros(2, 3)).tolist() == [[1, 0, 0], [0, 1, 0]] and init.constant_(gf.zeros(1), 3).tolist() == [
        3
    ]
    assert init.ones_(gf.zeros(1)).tolist() == [1] and init.zeros_(gf.ones(1)).tolist() == [0]
    conv = nn.Conv2d(4, 4, 3, padding=1, groups=2, bias=False)
    init.dirac_(conv.weight, groups=2)
    x = gf.randn(1, 4, 5, 5)
    np.testing.assert_allclose(conv(x).detach().numpy(), x.numpy(), atol=1e-6)
    assert init.calculate_gain("leaky_relu", 0.5) == math.sqrt(2 / 1.25)
    for message, call in {
        r"\[calculate_gain\] no gain is known for 'swish'": lambda: init.calculate_gain("swish"),
        r"\[xavier_uniform_\] fan in and fan out need two dimensions": lambda: init.xavier_uniform_(gf.ones(2)),
        r"\[kaiming_normal_\] mode must be 'fan_in' or 'fan_out'": lambda: init.kaiming_normal_(
            gf.ones(2, 2), mode="fan"
        ),
        r"\[dirac_\] 3 output channels do not divide into 2 groups": lambda: init.dirac_(gf.ones(3, 2, 2), 2),
        r"\[eye_\] expected a matrix": lambda: init.eye_(gf.ones(2)),
    }.items():
        with pytest.raises(ValueError, match=message):
            call()


def gradients(*arrays):
    parameters = [nn.Parameter(gf.zeros(*np.shape(a))) for a in arrays]
    for p, a in zip(parameters, arrays, strict=True):
        p.grad = gf.tensor(a)
    return [*parameters, nn.Parameter(gf.ones(1))]


@pytest.mark.parametrize("p, expected", [(2.0, 5.0), (1, 7.0), (math.inf, 4.0)])
def test_norms_are_clipped(p, expected):
    held = gradients([3.0, 0.0], [[-4.0]])
    assert utils.get_total_norm([h.grad for h in held[:2]], p).item() == expected
    total = utils.clip_grad_norm_((h for h in held), 1.0, p)
    assert total.item() == expected and held[2].grad is None
    np.testing.assert_allclose(held[0].grad.numpy(), np.array([3.0, 0]) / expected, rtol=1e-5)
    before = held[0].grad.numpy()
    assert utils.clip_grad_norm_(held, 100.0, p).item() == pytest.approx(1.0, rel=1e-5)
    np.testing.assert_array_equal(held[0].grad.numpy(), before)


def test_other_clipping():
    held = gradients([3.0, -0.5])
    utils.clip_grad_value_(held, 1.0)
    assert held[0].grad.tolist() == [1.0, -0.5]
    wrong = gradients([math.inf])
    with pytest.raises(ValueError, match=r"\[get_total_norm\] the 2.0-norm of the gradients is inf"):
        utils.clip_grad_norm_(wrong, 1.0, error_if_nonfinite=True)
    assert wrong[0].grad.tolist() == [math.inf] and utils.clip_grad_norm_([], 1.0).item() == 0
    half = gradients(np.full(100, 300.0, "f2"))
    assert utils.clip_grad_norm_(half, 1.0).item() == 3000


def test_vectors():
    m = nn.Linear(2, 3)
    v = utils.parameters_to_vector(m.parameters())
    utils.vector_to_parameters(v * 2, m.parameters())
    np.testing.assert_array_equal(utils.parameters_to_vector(m.parameters()).detach().numpy(), 2 * v.detach().numpy())
    with pytest.raises(ValueError, match=r"expected a vector of 9 elements, got \(8,\)"):
        utils.vector_to_parameters(v[:8], m.parameters())


@pytest.mark.parametrize("make", [utils.weight_norm, utils.spectral_norm])
def test_weights_computed_anew(make):
    m, x = nn.Linear(3, 2, dtype=gf.float64), gf.ones(1, 3, dtype=gf.float64)
    weight = m.weight.detach().numpy()
    assert make(m) is m and "weight" not in dict(m.named_parameters())
    with pytest.raises(RuntimeError, match="normalised so already"):
        make(m)
    for _ in range(60 if make is utils.spectral_norm else 1):
        y = m(x)
    y.sum().backward()
    y = m(x)
    assert all([p.grad is not None for p in m.parameters()]) and not m.weight.is_leaf
    expected = weight if make is utils.weight_norm else weight / np.linalg.norm(weight, 2)
    np.testing.assert_allclose(m.weight.detach().numpy(), expected, rtol=1e-9)
    remove = utils.remove_weight_norm if make is utils.weight_norm else utils.remove_spectral_norm
    assert isinstance(remove(m).weight, nn.Parameter) and sorted(m.state_dict()) == ["bias", "weight"]
    np.testing.assert_allclose(m(x).detach().numpy(), y.detach().numpy(), rtol=1e-9)
    with pytest.raises(ValueError, match="is not normalised so"):
        remove(m)


def test_copies_of_parametrized_modules_are_independent():
    m = utils.parametrizations.weight_norm(nn.Linear(3, 2))
    twin, x = copy.deepcopy(m), gf.ones(1, 3)
    utils.parametrizations.weight_norm(m, "bias", dim=None)
    assert type(m).__name__ == "ParametrizedLinear" and not utils.parametrize.is_parametrized(twin, "bias")
    expected = m(x).tolist()
    np.testing.assert_allclose(twin(x).tolist(), expected, rtol=1e-5)
    for name in ("weight", "bias"):
        utils.parametrize.remove_parametrizations(m, name)
    assert type(m) is nn.Linear and sorted(m.state_dict()) == ["bias", "weight"]
    np.testing.assert_allclose([m(x).tolist(), twin(x).tolist()], [expected] * 2, rtol=1e-5)
    older = utils.weight_norm(nn.Linear(3, 2))
    twin.load_state_dict(older.state_dict())
    np.testing.assert_allclose(twin(x).tolist(), older(x).tolist(), rtol=1e-5)
    for message, call in {
        "has no parameter or buffer 'nothing'": lambda: utils.parametrize.register_parametrization(
            m, "nothing", nn.ReLU()
        ),
        "would change from": lambda: utils.parametrize.register_parametrization(m, "weight", nn.Flatten(0)),
        "is not parametrized": lambda: utils.parametrize.remove_parametrizations(m, "weight"),
    }.items():
        with pytest.raises(ValueError, match=message):
            call()


def test_batch_norm_is_fused():
    conv, norm, x = (
        nn.Conv2d(2, 3, 2, dtype=gf.float64),
        nn.BatchNorm2d(3, dtype=gf.float64),
        gf.randn(4, 2, 3, 3, dtype=gf.float64),
    )
    norm(conv(x))
    with pytest.raises(ValueError, match=r"call eval\(\) on both first"):
        utils.fuse_conv_bn_eval(conv, norm)
    fused = utils.fuse_conv_bn_eval(conv.eval(), norm.eval())
    np.testing.assert_allclose(fused(x).detach().numpy(), norm(conv(x)).detach().numpy(), rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match="no running statistics"):
        utils.fuse_conv_bn_eval(conv, nn.BatchNorm2d(3, track_running_stats=False).eval())
