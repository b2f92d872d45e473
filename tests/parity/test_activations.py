"""Activations, distances and their layers against PyTorch on generated inputs; what both refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from parity.same import SPECIAL, binary, every, floats, integers, same, unary

import gradflow as gf

torch = pytest.importorskip("torch")
ENDS = np.array([-np.inf, -300, -20, -6, -3, -1, -0.5, -0.0, 0, 0.3, 0.5, 1, 2, 3, 6, 8, 25, 300, np.inf, np.nan])
TOLERANCE = {"float64": 1e-14, "float32": 1e-6, "float16": 2e-3, "bfloat16": 1.6e-2}
PLAIN = (
    "relu gelu silu relu6 hardtanh leaky_relu elu selu celu mish softplus logsigmoid softsign hardsigmoid hardswish "
    "hardshrink softshrink tanhshrink rrelu"
)
ACTIVATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "sigmoid": lambda t, x: t.sigmoid(x),
    "tanh": lambda t, x: t.tanh(x),
    "gelu-tanh": lambda t, x: t.nn.functional.gelu(x, approximate="tanh"),
    **{name: lambda t, x, name=name: getattr(t.nn.functional, name)(x) for name in PLAIN.split()},
    "hardtanh-2": lambda t, x: t.nn.functional.hardtanh(x, -2, 0.5),
    "leaky_relu-2": lambda t, x: t.nn.functional.leaky_relu(x, 0.3),
    "elu-2": lambda t, x: t.nn.functional.elu(x, 1.7),
    "celu-2": lambda t, x: t.nn.functional.celu(x, 0.6),
    "softplus-2": lambda t, x: t.nn.functional.softplus(x, 2, 5),
    "hardshrink-2": lambda t, x: t.nn.functional.hardshrink(x, 1),
    "softshrink-2": lambda t, x: t.nn.functional.softshrink(x, 1),
    "threshold": lambda t, x: t.nn.functional.threshold(x, 0.5, 3),
}


LOOSE = {"celu-2": 1e-6, "hardsigmoid": 1e-6, "Hardsigmoid": 1e-6, "CELU": 1e-6}  # float32 numbers in PyTorch
LEFT_OUT = {  # PyTorch refuses these, for no reason that would not hold of others
    **dict.fromkeys(("relu", "relu6", "hardtanh", "hardtanh-2", "tanhshrink"), "bool uint8"),
    "prelu": "scalar_right mixed",
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_values_and_gradients_at_the_ends(name: str, dtype: str) -> None:
    pytest.importorskip("ml_dtypes")
    theirs = torch.tensor(ENDS, dtype=getattr(torch, dtype), requires_grad=True)
    ours = gf.tensor(ENDS, dtype=getattr(gf, dtype), requires_grad=True)
    y, expected = ACTIVATIONS[name](gf, ours), ACTIVATIONS[name](torch, theirs)
    y.backward(gf.ones_like(y))
    expected.backward(torch.ones_like(expected))
    assert str(expected.dtype) == f"torch.{y.dtype}"
    if name == "hardsigmoid":  # of which NaN has slope 0 there
        theirs.grad[-1] = theirs.grad[10]
    for a, b in ((y.detach(), expected.detach()), (ours.grad, theirs.grad)):
        limit = max(TOLERANCE[dtype], LOOSE.get(name, 0))
        np.testing.assert_allclose(a.numpy().astype("f8"), b.double().numpy(), rtol=limit, atol=limit)


@pytest.mark.parametrize("name, x", every(ACTIVATIONS, unary(special=False), LEFT_OUT))
def test_inputs(name: str, x: np.ndarray) -> None:
    second = name != "hardsigmoid"  # PyTorch has none
    same(lambda t, x: ACTIVATIONS[name](t, x), x, second=second, rtol=LOOSE.get(name) if x.dtype == "f8" else None)


ALONG: dict[str, Callable[..., Any]] = {
    "softmax": lambda t, x, dim: t.softmax(x, dim),
    "log_softmax": lambda t, x, dim: x.log_softmax(dim),
    "softmin": lambda t, x, dim: t.nn.functional.softmin(x, dim),
    "glu": lambda t, x, dim: t.nn.functional.glu(x, dim),
    "normalize": lambda t, x, dim: t.nn.functional.normalize(x, dim=dim),
    "normalize 1": lambda t, x, dim: t.nn.functional.normalize(x, 1, dim),
    "normalize 3": lambda t, x, dim: t.nn.functional.normalize(x, 3.0, dim, 1.0),
    "normalize inf": lambda t, x, dim: t.nn.functional.normalize(x, float("inf"), dim),
    "softmax of a dtype": lambda t, x, dim: t.softmax(x, dim, dtype=t.float64),
    "log_softmax of a dtype": lambda t, x, dim: t.nn.functional.log_softmax(x, dim, dtype=t.float32),
}
SHAPED = {
    "matrix": floats(3, 4), "single": floats(2, 4, dtype="f4"), "half": floats(4, 2, dtype="f2"), "0-d": floats(),
    "empty": floats(0, 4), "empty dim": floats(4, 0), "cube": floats(2, 4, 3).transpose(2, 0, 1),
    "integers": integers(2, 4), "zeros": np.zeros((2, 4)),
}  # fmt: skip


@pytest.mark.parametrize("dim", [0, 1, -1, 2, -3])
@pytest.mark.parametrize("x", SHAPED.values(), ids=SHAPED)
@pytest.mark.parametrize("name", ALONG)
def test_along_a_dimension(name: str, x: np.ndarray, dim: int) -> None:
    rtol = 2e-2 if x.dtype == "f2" else 1e-5 if "dtype" in name else None
    atol = 1e-3 if x.dtype == "f2" else 1e-12
    second = name in ("softmax", "log_softmax", "glu")
    same(lambda t, x: ALONG[name](t, x, dim), x, second=second, rtol=rtol, atol=atol)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("x", [floats(), floats(3), floats(2, 3), floats(2, 3, 2), floats(2, 2, 2, 3)], ids=np.ndim)
def test_a_dimension_that_is_not_given(x: np.ndarray) -> None:
    for name in ("softmax", "log_softmax", "softmin"):
        same(lambda t, x, name=name: getattr(t.nn.functional, name)(x), x)


PAIRED: dict[str, Callable[..., Any]] = {
    "cosine_similarity": lambda t, a, b: t.nn.functional.cosine_similarity(a, b),
    "cosine_similarity last": lambda t, a, b: t.nn.functional.cosine_similarity(a, b, -1, 0.5),
    "pairwise_distance": lambda t, a, b: t.nn.functional.pairwise_distance(a, b),
    "pairwise_distance 1": lambda t, a, b: t.nn.functional.pairwise_distance(a, b, 1, keepdim=True),
    "pairwise_distance 3": lambda t, a, b: t.nn.functional.pairwise_distance(a, b, 3.0, 0.1),
    "pairwise_distance inf": lambda t, a, b: t.nn.functional.pairwise_distance(a, b, float("inf")),
    "prelu": lambda t, a, b: t.nn.functional.prelu(a, b),
}
ZEROS = [
    pytest.param(np.zeros((2, 3)), floats(2, 3), id="zeros"),
    pytest.param(floats(2, 3) * 1e-9, floats(2, 3), id="short"),
    pytest.param(floats(2, 3), floats(2, 3), id="alike"),
    pytest.param(floats(2, 3), floats(3), id="channels"), pytest.param(floats(2, 3, 2), floats(1), id="one"),
    pytest.param(floats(2, 3, 2), floats(3), id="three"), pytest.param(floats(4), floats(1), id="vector"),
    pytest.param(floats(), floats(1), id="0-d"), pytest.param(floats(), floats(), id="0-d both"),
    pytest.param(floats(2, 3), floats(2), id="misfit"),
    pytest.param(np.where(np.isfinite(SPECIAL), SPECIAL, 0.0)[:, None], np.array([0.5]), id="special"),
]  # fmt: skip


@pytest.mark.parametrize("name, a, b", every(PAIRED, [*binary(integer=False, special=False), *ZEROS], LEFT_OUT))
def test_pairs(name: str, a: np.ndarray, b: np.ndarray) -> None:
    same(PAIRED[name], a, b)


LAYER_NAMES = (
    "ReLU ReLU6 Sigmoid Tanh GELU SiLU Mish LeakyReLU PReLU ELU CELU SELU Softplus LogSigmoid Softsign Hardtanh "
    "Hardsigmoid Hardswish Hardshrink Softshrink Tanhshrink Softmax Softmin LogSoftmax GLU Softmax2d"
)
LAYERS: list[tuple[Any, ...]] = [
    *[(name,) for name in LAYER_NAMES.split()],
    ("GELU", "tanh"), ("LeakyReLU", 0.2), ("PReLU", 2, 0.1), ("ELU", 0.5), ("CELU", 2.0), ("Softplus", 2, 4),
    ("Hardtanh", -3, 0.5), ("Hardshrink", 0.1), ("Softshrink", 0.1), ("Softmax", 1), ("Softmin", 0), ("GLU", 0),
    ("LogSoftmax", -1), ("Threshold", 0.2, 7),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name, args", [(name, args) for name, *args in LAYERS], ids=str)
def test_layers(name: str, args: list[Any]) -> None:
    same(lambda t, x: getattr(t.nn, name)(*args).to(t.float64)(x), floats(2, 2, 4, 4), rtol=LOOSE.get(name))
    ours, theirs = [getattr(lib.nn, name)(*args) for lib in (gf, torch)]
    assert repr(ours) == repr(theirs)
    shapes = [{k: tuple(v.shape) for k, v in layer.state_dict().items()} for layer in (ours, theirs)]
    assert shapes[0] == shapes[1]


IN_PLACE = "ReLU ReLU6 LeakyReLU ELU CELU SELU Hardtanh SiLU Mish RReLU Threshold"


@pytest.mark.parametrize("name", IN_PLACE.split())
def test_inplace_is_accepted_and_shown_by_layers(name: str) -> None:
    args = (0.1, 2) if name == "Threshold" else ()
    x = gf.tensor([-1.0, 0.5])
    layer = getattr(gf.nn, name)(*args, inplace=True).eval()
    assert repr(layer) == repr(getattr(torch.nn, name)(*args, inplace=True))
    assert gf.equal(layer(x), getattr(gf.nn, name)(*args).eval()(x)) and x.tolist() == [-1.0, 0.5]


def test_layers_of_pairs() -> None:
    a, b = floats(2, 3, 4), floats(2, 3, 4, seed=1)
    same(lambda t, a, b: (t.nn.CosineSimilarity()(a, b), t.nn.CosineSimilarity(2, 0.1)(a, b)), a, b)
    same(lambda t, a, b: (t.nn.PairwiseDistance()(a, b), t.nn.PairwiseDistance(1, 0.1, True)(a, b)), a, b)
    same(lambda t, a: t.nn.Softmax2d()(a), a)
    same(lambda t, a: t.nn.Softmax2d()(a[0]), a)


@pytest.mark.parametrize(
    "run, error",
    [
        (lambda t: t.nn.functional.dropout(t.ones(3), 1.5), ValueError),
        (lambda t: t.nn.functional.dropout(t.ones(3), -0.1), ValueError),
        (lambda t: t.nn.functional.dropout(t.tensor([1, 2]), 0.5), (TypeError, RuntimeError)),
        (lambda t: t.nn.functional.gelu(t.ones(3), approximate="both"), (ValueError, RuntimeError)),
        (lambda t: t.randint(3, 3, (2,)), (ValueError, RuntimeError)),
        (lambda t: t.randint(0, 2.5, (2,)), TypeError),
        (lambda t: t.randperm(-1), (ValueError, RuntimeError)),
        (lambda t: t.nn.functional.glu(t.ones(3)), (ValueError, RuntimeError)),
        (lambda t: t.nn.functional.softshrink(t.ones(3), -1), (ValueError, RuntimeError)),
        (lambda t: t.nn.functional.celu(t.ones(3), 0), (ValueError, RuntimeError)),
        (lambda t: t.nn.functional.hardtanh(t.ones(3), 1, 0), ValueError),
        (lambda t: t.nn.Hardtanh(1, 1), (ValueError, AssertionError)),
        (lambda t: t.nn.functional.prelu(t.ones(2, 3), t.ones(2)), (ValueError, RuntimeError)),
        (lambda t: t.nn.functional.rrelu(t.ones(2, 3), 2, 1, True), (ValueError, RuntimeError)),
        (lambda t: t.nn.functional.softmax(t.ones(2, 3), 2), IndexError),
        (lambda t: t.softmax(t.ones(2, 3)), TypeError),
        (lambda t: t.nn.Softmax2d()(t.ones(2, 3)), (ValueError, RuntimeError)),
    ],
)
def test_both_refuse(run: Callable[[Any], Any], error: Any) -> None:
    for library in (gf, torch):
        with pytest.raises(error):
            run(library)
