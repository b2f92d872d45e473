"""nn.init, nn.utils and the smaller layers, as PyTorch has them."""

import copy

import numpy as np
import pytest
from parity.same import floats, same, torch
from parity.test_modules import filled, small

import gradflow as gf

# -- initialisation ----------------------------------------------------------------------------------------------------


GAINS = [(n, None) for n in ("relu", "tanh", "leaky_relu", "selu", "conv2d", "linear", "sigmoid", "nothing")]


@pytest.mark.parametrize("name, param", [*GAINS, ("leaky_relu", 0.3), ("leaky_relu", "a")])
def test_gains(name, param):
    same(lambda t: t.nn.init.calculate_gain(name, param), dtype=False)


INIT = {
    "constant_": (0.3,), "ones_": (), "zeros_": (), "eye_": (), "dirac_": (), "xavier_uniform_": (2.0,),
    "xavier_normal_": (), "kaiming_uniform_": (0.1, "fan_out"), "kaiming_normal_": (0, "fan_in", "relu"),
    "orthogonal_": (), "trunc_normal_": (0.5, 2.0, -1.0, 1.5), "uniform_": (-1, 3), "normal_": (1.0, 2.0),
    "sparse_": (0.3,),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Initializing zero-element")
@pytest.mark.parametrize("shape", [(200, 300), (64, 32, 3, 3), (5,), (30, 0)], ids=str)
@pytest.mark.parametrize("name", INIT)
def test_initial_values(name, shape):
    """What is fixed is the same; what is drawn has the same range, mean and deviation."""

    def run(t):
        x = getattr(t.nn.init, name)(t.zeros(*shape, requires_grad=True), *INIT[name])
        assert x.requires_grad and x.is_leaf
        x = x.detach()
        if name in ("constant_", "ones_", "zeros_", "eye_", "dirac_"):
            return x
        if not x.numel():
            return x.shape
        rough = [x.mean() * 100 // 10, x.std() * 8 // 1] if name != "orthogonal_" else []
        size = (x * x).sum() / x.numel()
        square = x.reshape(x.shape[0], -1) if name == "orthogonal_" else None
        return (
            [v * 0 for v in rough],
            size * 0,
            None if square is None else (square @ square.T).round(decimals=3).diagonal().sum() // 1,
        )

    same(run, grad=False)


@pytest.mark.parametrize(
    "name",
    [
        "xavier_uniform_",
        "xavier_normal_",
        "kaiming_uniform_",
        "kaiming_normal_",
        "trunc_normal_",
        "uniform_",
        "normal_",
        "sparse_",
    ],
)
def test_distributions_of_initial_values(name):
    def moments(t):
        x = getattr(t.nn.init, name)(t.zeros(400, 300), *INIT[name]).numpy().astype("f8")
        return np.array([x.mean(), x.std(), x.min(), x.max(), (x == 0).mean()]), x.std()

    (a, scale), (b, _) = moments(gf), moments(torch)
    extremes = 0.01 if "uniform" in name or name == "trunc_normal_" else np.inf
    tolerance = np.array([0.02, 0.02, extremes, extremes, 0.01]) * scale
    np.testing.assert_array_less(np.abs(a - b), tolerance + 1e-9)


def test_dirac_with_groups():
    same(lambda t: t.nn.init.dirac_(t.zeros(6, 2, 3), groups=3))
    same(lambda t: t.nn.init.dirac_(t.zeros(4, 4, 2, 4)))
    same(lambda t: t.nn.init.dirac_(t.zeros(5, 2, 3), groups=2))


# -- helpers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", [2, 1, 3.5, float("inf"), 0, -float("inf")])
@pytest.mark.parametrize("bound", [0.5, 1e6])
def test_gradients_are_clipped(norm, bound):
    def run(t, x, y):
        ps = [t.nn.Parameter(x.detach().clone()), t.nn.Parameter(y.detach().clone()), t.nn.Parameter(t.ones(2))]
        (ps[0] ** 3).sum().backward()
        (ps[1] ** 2).sum().backward()
        total = t.nn.utils.clip_grad_norm_(ps, bound, norm)
        return total, [p.grad for p in ps if p.grad is not None]

    same(run, floats(2, 3), floats(4, seed=1), grad=False)


def test_other_clipping():
    def by_value(t, x):
        p = t.nn.Parameter(x.detach().clone())
        (p**3).sum().backward()
        t.nn.utils.clip_grad_value_(p, 0.3)
        return p.grad

    same(by_value, floats(5), grad=False)
    same(lambda t, x: t.nn.utils.get_total_norm([x, x * 2]), floats(3), grad=False)
    same(lambda t, x: t.nn.utils.get_total_norm([]), floats(3), grad=False)
    same(lambda t, x: t.nn.utils.get_total_norm([x / 0], error_if_nonfinite=True), floats(3), grad=False)
    same(lambda t, x: t.nn.utils.get_total_norm([x * 200]), floats(8, dtype="f2"), grad=False)


def test_vectors_of_parameters():
    def run(t):
        m = filled(t, small(t))
        v = t.nn.utils.parameters_to_vector(m.parameters())
        t.nn.utils.vector_to_parameters(v * 2, m.parameters())
        return v, list(m.parameters()), v.requires_grad

    same(run)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dim", [0, 1, -2, None])
@pytest.mark.parametrize("layer", ["Linear", "Conv2d"])
def test_weight_norm(layer, dim):
    def run(t, x, y):
        m = filled(t, t.nn.Linear(3, 2) if layer == "Linear" else t.nn.Conv2d(2, 3, 2))
        m = t.nn.utils.weight_norm(m, dim=dim)
        with t.no_grad():
            m.weight_g.mul_(1.5)
        out = m(x if layer == "Linear" else y)
        (out**2).sum().backward()
        found = [out, m.weight, [(n, p.grad) for n, p in sorted(m.named_parameters())]]
        assert sorted(m.state_dict()) == ["bias", "weight_g", "weight_v"]
        m = t.nn.utils.remove_weight_norm(m)
        assert sorted(m.state_dict()) == ["bias", "weight"]
        return found[:2], [g for _, g in found[2]], m.weight

    same(run, floats(4, 3), floats(1, 2, 3, 3), grad=False)


@pytest.mark.parametrize("layer", ["Linear", "Conv2d", "ConvTranspose2d"])
def test_spectral_norm(layer):
    def run(t, x, y):
        m = t.nn.Linear(3, 2) if layer == "Linear" else getattr(t.nn, layer)(2, 3, 2)
        m = t.nn.utils.spectral_norm(filled(t, m), n_power_iterations=2)
        with t.no_grad():
            for vector in (m.weight_u, m.weight_v):
                vector.copy_(t.linspace(1, 2, vector.numel(), dtype=t.float64))
        outs = []
        for training in (True, True, False):
            m.train(training)
            out = m(x if layer == "Linear" else y)
            (out**2).sum().backward()
            outs += [out, m.weight_u, m.weight_v]
        outs += [m.weight_orig.grad, m.bias.grad, list(m.parameters())]
        m = t.nn.utils.remove_spectral_norm(m)
        return outs, m.weight

    same(run, floats(4, 3), floats(1, 2, 3, 3), grad=False)


@pytest.mark.parametrize("kind", ["weight_norm", "spectral_norm", "both", "own"])
def test_parametrizations(kind):
    def run(t, x):
        class Twice(t.nn.Module):
            def forward(self, weight):
                return weight * 2

            def right_inverse(self, weight):
                return weight / 2

        utils = t.nn.utils
        m = filled(t, t.nn.Linear(3, 2))
        if kind in ("weight_norm", "both"):
            utils.parametrizations.weight_norm(m)
        if kind == "both":
            utils.parametrize.register_parametrization(m, "bias", Twice())
        if kind == "own":
            utils.parametrize.register_parametrization(m, "weight", Twice())
        if kind == "spectral_norm":
            utils.parametrizations.spectral_norm(m)
            with t.no_grad():
                m.parametrizations.weight[0]._u.copy_(t.tensor([0.6, 0.8]))
                m.parametrizations.weight[0]._v.copy_(t.tensor([0.6, 0.8, 0.0]))
        out = m(x)
        (out**2).sum().backward()
        grads = [p.grad for _, p in sorted(m.named_parameters())]
        twin = copy.deepcopy(m)(x)  # before: PyTorch's parametrizations sit in a class that copies share
        with t.no_grad():
            m.weight = t.ones(2, 3, dtype=t.float64)
        changed = m.eval().weight
        m = utils.parametrize.remove_parametrizations(m, "weight")
        return out, grads, changed, m.weight, twin, m.weight.requires_grad

    def words(t):
        m = t.nn.utils.parametrizations.weight_norm(t.nn.Linear(3, 2))
        plain = t.nn.utils.parametrize.remove_parametrizations(copy.deepcopy(m), "weight")
        names = [n for n, _ in m.named_modules()]
        return sorted(m.state_dict()), repr(m), repr(plain), sorted(plain.state_dict()), names

    same(run, floats(4, 3), grad=False)
    assert words(gf) == words(torch)


@pytest.mark.parametrize("name", ["conv", "transposed", "linear", "plain", "training"])
def test_batch_norm_is_fused(name):
    def run(t, x, y):
        nn = t.nn
        first = {"linear": lambda: nn.Linear(3, 4), "transposed": lambda: nn.ConvTranspose2d(2, 4, 2)}.get(
            name, lambda: nn.Conv2d(2, 4, 2, bias=name != "plain")
        )()
        norm = nn.BatchNorm1d(4) if name == "linear" else nn.BatchNorm2d(4, affine=name != "plain")
        first, norm = filled(t, first), filled(t, norm)
        if name != "training":
            first.eval(), norm.eval()
        if name == "linear":
            fused = nn.utils.fusion.fuse_linear_bn_eval(first, norm)
        else:
            fused = nn.utils.fusion.fuse_conv_bn_eval(first, norm, transpose=name == "transposed")
        x = x if name == "linear" else y
        return fused(x), norm(first(x)), [p.requires_grad for p in fused.parameters()]

    if name == "training":
        with pytest.raises(ValueError, match=r"eval\(\)"):
            run(gf, gf.ones(1), gf.ones(1))
    else:
        same(run, floats(5, 3), floats(2, 2, 4, 4))


@pytest.mark.parametrize(
    "shapes",
    [((4, 3), (4, 2)), ((2, 4, 3), (2, 4, 2)), ((3,), (2,)), ((0, 3), (0, 2)), ((4, 3), (5, 2)), ((4, 2), (4, 3))],
    ids=str,
)
@pytest.mark.parametrize("bias", [True, False])
def test_bilinear(shapes, bias):
    inputs = floats(*shapes[0]), floats(*shapes[1], seed=1)

    def run(t, x, y, w, b):
        return t.nn.functional.bilinear(x, y, w, b if bias else None)

    same(run, *inputs, floats(5, 3, 2), floats(5), second=True)
    same(lambda t, x, y: filled(t, t.nn.Bilinear(3, 2, 4, bias=bias))(x, y), *inputs)


def test_unflatten():
    same(lambda t, x: t.nn.Unflatten(1, (2, -1))(x), floats(2, 6))
    same(lambda t, x: t.nn.Unflatten(-1, (4, 2))(x), floats(2, 6))
