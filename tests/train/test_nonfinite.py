"""Which operation made NaN or infinity: who is named, who is not, and that running the step again changes nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradflow as gf
from gradflow import nn
from gradflow.autograd.primitive import raw_over
from gradflow.backend import get_backend
from gradflow.nn.functional import cross_entropy
from gradflow.ops.random import default_generator
from gradflow.train.nonfinite import explain_nonfinite

INF, NAN = float("inf"), float("nan")
NOTHING = "nothing was found: loss and gradients are finite when the step is repeated"
X = np.linspace(-2, 2, 32, dtype=np.float32).reshape(4, 8)
MIXED = np.linspace(-2, 2, 8, dtype=np.float32) + np.zeros((4, 1), np.float32)  # of both signs in each row
LAYER = "in layer '1' (Layer), from (4, 8) float32 with |x| up to"


class Layer(nn.Module):
    """A function as a layer."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(x)


class Thrice(gf.autograd.Function):
    """3 x, the infinite way round in one direction."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x * 3.0

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return gf.exp(g * 1e4) - gf.exp(g * 1e4)


def model_of(*parts: Any, device: str = "cpu") -> nn.Module:
    """A scale of one for each of 8 features, then the parts: modules, or functions as layers."""
    first = Layer(lambda x: x * first.weight)
    first.weight = nn.Parameter(gf.ones(8))
    return nn.Sequential(first, *[p if isinstance(p, nn.Module) else Layer(p) for p in parts]).to(device)


def explained(*parts: Any, x: Any = X, device: str = "cpu", loss: Callable[[Any], Any] = lambda y: y.sum()) -> str:
    model = model_of(*parts, device=device)
    images = gf.tensor(x, device=device)
    return explain_nonfinite(lambda: loss(model(images)), model)


def twice(y: Any) -> Any:
    return y * 3e38 + y * 3e38


def banned(rows: int) -> Any:
    return gf.tensor(np.arange(32).reshape(4, 8) < rows * 8)


FOUND: dict[str, tuple[tuple[Any, ...], str]] = {
    "an overflow": ((lambda x: gf.exp(x * 50),), f"exp made inf {LAYER} 100"),
    "NaN of an overflow": (
        (lambda x: gf.exp(x * 50), nn.ReLU(), lambda x: x - x),
        f"exp made inf {LAYER} 100; of that subtract made NaN in layer '3' (Layer)",
    ),
    "only the gradient": (
        (lambda x: gf.exp(x * 50), lambda x: 1 / (1 + x)),
        f"exp made inf {LAYER} 100; of that the backward of exp made NaN in layer '1' (Layer)",
    ),
    "a negative number": ((gf.sqrt,), f"sqrt made NaN {LAYER} 2 and the least x -2"),
    "a zero": (
        (lambda x: gf.log(nn.functional.relu(x)),),
        f"log made -inf {LAYER} 2 and the least x 0",
    ),
    "a division": (
        (lambda x: x / nn.functional.relu(x),),
        "divide made -inf in layer '1' (Layer), from (4, 8), (4, 8) float32 with |x| up to 2, zeros among them",
    ),
    "a root's gradient": (
        (lambda x: gf.sqrt(x * 0),),
        "the backward of sqrt made inf in layer '1' (Layer), from (4, 8), (4, 8) float32 with |x| up to 1, zeros among "
        "them; of that the backward of multiply made NaN in layer '1' (Layer)",
    ),
    "a row of masks": (
        (lambda x: gf.softmax(x.masked_fill(banned(1), -INF), 1),),
        f"softmax made NaN {LAYER} 2 and the least x -0.9677 (where had put in the number -inf)",
    ),
    "an overflow beside a mask": (
        (lambda x: (gf.exp(x * 50) - gf.exp(x * 50)).masked_fill(banned(1), -INF),),
        f"exp made inf {LAYER} 100; of that subtract made NaN in layer '1' (Layer)",
    ),
    "a product": (
        (lambda x: (x * 1e20) @ (x * 1e20).mT,),
        "matmul made inf in layer '1' (Layer), from (4, 8), (8, 4) float32 with |x| up to 2e+20",
    ),
    "a Function's backward": ((Thrice.apply,), f"the backward of Thrice made NaN {LAYER} 1"),
    "a sum of gradients": (
        (lambda x: twice(x * 0 + 0),),
        "the sum of the gradients of what add gave made inf in layer '1' (Layer), from (4, 8), (4, 8) float32 with |x| "
        "up to 3e+38",
    ),
    "a cast": ((lambda x: (x * 1e6).to(gf.float16).to(gf.float32),), f"astype made inf {LAYER} 2e+06"),
    "a nested layer": (
        (nn.Sequential(nn.ReLU(), nn.Sequential(Layer(lambda x: gf.exp(x * 50)))),),
        "exp made inf in layer '1.1.0' (Layer), ",
    ),
    "of two the first": (
        (lambda x: gf.log(x * 0 - 1), lambda x: gf.exp(x * 0 + 100)),
        f"log made NaN {LAYER} 1 and the least x -1",
    ),
}


@pytest.mark.parametrize("name", FOUND)
def test_the_first_operation_at_fault_is_named(name: str) -> None:
    parts, message = FOUND[name]
    assert explained(*parts).startswith(message)


HARMLESS: dict[str, tuple[Any, ...]] = {
    "a mask": (lambda x: gf.softmax(x.masked_fill(x < 0, -INF), 1)[:, -1:],),
    "a mask that is added": (lambda x: gf.softmax(x + gf.where(x < 0, -INF, 0.0), 1)[:, -1:],),
    "a log of zero that is masked": (nn.ReLU(), lambda x: gf.exp(gf.log(x.detach())) + x),
    "an overflow under a clamp": (lambda x: gf.exp(x.detach() * 50).clamp(max=1.0) + x,),
    "padding": (lambda x: nn.functional.max_pool2d(x.reshape(4, 1, 2, 4), 3, 1, 1),),
    "log_softmax of a mask": (lambda x: gf.log_softmax(x.masked_fill(x < 0, -INF), 1)[:, -1:],),
    "nothing at all": (nn.ReLU(),),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_infinities_of_which_nothing_comes_are_no_alarm(name: str) -> None:
    assert explained(*HARMLESS[name], x=MIXED) == NOTHING


def test_nan_of_which_nothing_came_is_mentioned() -> None:
    found = explained(lambda x: gf.where(x > 5, gf.log(x.detach() * 0 - 1), x))
    assert found.startswith(f"{NOTHING}; on the way log made NaN in layer '1' (Layer), from (4, 8) float32")
    assert found.endswith("but nothing came of that")


@pytest.mark.parametrize(("bad", "kind"), [(NAN, "NaN"), (INF, "inf"), (-INF, "-inf")])
def test_weights_and_images_come_first(bad: float, kind: str) -> None:
    model = model_of(nn.Linear(8, 3))
    images = X.copy()
    images[1, 2] = images[3, 3] = bad
    given = gf.tensor(images)
    assert explain_nonfinite(lambda: model(given).sum(), model) == (
        f"the images (4, 8) float32 hold {kind} in 2 of 32 values"
    )
    model[1].weight.detach()[0, 4] = bad
    assert explain_nonfinite(lambda: model(given).sum(), model) == (
        f"the weights went wrong before this step: parameter '1.weight' (3, 8) holds {kind} in 1 of 24 values"
    )
    model[1].bias.detach().fill_(bad)
    assert "in 1 of 24 values, and 1 more are not finite" in explain_nonfinite(lambda: model(given).sum(), model)


def test_buffers_are_named_where_they_are_used() -> None:
    model = model_of(lambda x: gf.softmax(x + model[1].mask, 1)[:, :1])
    model[1].register_buffer("mask", gf.tensor([0.0] + [-INF] * 7))
    step = lambda: model(gf.tensor(X)).sum()  # noqa: E731
    assert explain_nonfinite(step, model) == NOTHING
    model[1].mask.fill_(-INF)
    assert explain_nonfinite(step, model) == (
        "softmax made NaN in layer '1' (Layer), from (4, 8) float32 with |x| up to 0 and the least x 0 "
        "(add had put in -inf in the buffer '1.mask')"
    )
    model[1].mask[2] = NAN
    assert explain_nonfinite(step, model) == (
        "add made NaN in layer '1' (Layer), from (4, 8), (8,) float32 with |x| up to 2 and NaN in the buffer '1.mask'"
    )


def test_statistics_that_the_batch_itself_spoilt_are_not_blamed() -> None:
    model = model_of(lambda x: gf.exp(x * 50), nn.BatchNorm1d(8))
    step = lambda: model(gf.tensor(X)).sum()  # noqa: E731
    step()
    assert bool(gf.isnan(model[2].running_var).any())
    assert explain_nonfinite(step, model).startswith(
        f"exp made inf {LAYER} 100; of that batch_norm made NaN in layer '2'"
    )


def test_images_that_go_wrong_before_the_model_are_traced_further() -> None:
    model = model_of()
    found = explain_nonfinite(lambda: model(gf.log(gf.tensor(X) * 0 - 1)).sum(), model)
    assert found.startswith("log made NaN outside the model, from (4, 8) float32")


def test_the_loss_is_outside_the_model() -> None:
    labels = gf.tensor([0, 1, 2, 3])
    assert explained(loss=lambda y: cross_entropy(y * 3e38, labels)).startswith(
        "multiply made inf outside the model, from (4, 8) float32 with |x| up to 2; of that softmax_cross_entropy "
        "made NaN outside the model"
    )
    assert explained(loss=lambda y: cross_entropy(y, labels, label_smoothing=0.1)) == NOTHING


def test_operands_that_nobody_made() -> None:
    wrong = gf.tensor([1.0, NAN])
    found = explained(lambda x: x[:, :2] * wrong)
    assert found.startswith(
        "multiply made NaN in layer '1' (Layer), from (4, 2), (2,) float32 with |x| up to 2 and NaN in"
    )
    assert found.endswith("an operand (2,) float32 that no operation made")


def test_what_is_changed_in_place_unseen_is_said_so() -> None:
    def spoil(y: Any) -> Any:
        total = y.sum()
        total.below[...] = NAN
        return total

    assert explained(loss=spoil) == "the loss is NaN, but every operation that was watched gave finite results"


class Everything(nn.Module):
    """Layers that draw random numbers and keep statistics, and are run again in the backward pass."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.norm, self.drop, self.head, self.scale = nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2), scale

    def forward(self, x: Any) -> Any:
        x = gf.utils.checkpoint.checkpoint(lambda x: gf.tanh(self.drop(self.norm(x))), x)
        return gf.exp(self.head(x) * self.scale)


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_nothing_is_changed(scale: float) -> None:
    gf.manual_seed(3)
    model = Everything(scale)
    images = gf.tensor(X)
    model(images * 0.1).sum().backward()
    modules, forwards = list(model.modules()), [m.__dict__.copy() for m in model.modules()]
    before = {k: v.numpy() for k, v in model.state_dict().items()}
    grads = [(p.grad, p.grad.numpy()) for p in model.parameters()]
    buffers = list(model.buffers())
    state, run = default_generator.state, raw_over(get_backend("cpu")).run
    pending = model(images * 0.1).sum()  # its backward pass must still work
    middle = {k: v.numpy() for k, v in model.state_dict().items()}
    at = default_generator.state
    found = explain_nonfinite(lambda: model(images).sum(), model)
    assert (
        found == NOTHING
        if scale == 1.0
        else found.startswith("exp made inf in the model itself (Everything), from (4, 2)")
    )
    assert default_generator.state == at != state
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), middle[name], err_msg=name)
    assert any([not np.array_equal(before[k], middle[k]) for k in before])
    for p, (grad, value) in zip(model.parameters(), grads, strict=True):
        assert p.grad is grad
        np.testing.assert_array_equal(grad.numpy(), value)
    assert [a is b for a, b in zip(model.buffers(), buffers, strict=True)] == [True] * len(buffers)
    assert [m.__dict__ for m in modules] == forwards
    assert raw_over(get_backend("cpu")).run == run
    pending.backward()


def test_the_same_operations_run_as_in_training() -> None:
    """Batch norm and ReLU are one operation, as they are where nothing watches: its name proves it."""
    model = nn.Sequential(nn.BatchNorm2d(8), nn.ReLU())
    model[0].weight.detach().fill_(3e38)
    images = gf.tensor(X.reshape(4, 8, 1, 1))
    found = explain_nonfinite(lambda: model(images).sum(), model)
    assert found.startswith(
        "batch_norm_relu made inf in layer '0' (BatchNorm2d), from (4, 8, 1, 1), (8,), (8,) float32"
    )


def test_an_error_in_the_step_comes_through() -> None:
    model = model_of(lambda x: x.reshape(5, 5))
    with pytest.raises(ValueError, match="reshape"):
        explain_nonfinite(lambda: model(gf.tensor(X)).sum(), model)
    assert "forward" not in model[1].__dict__


def test_a_loss_without_gradients() -> None:
    model = model_of(lambda x: gf.log(x.detach() * 0))
    assert "log made -inf in layer '1'" in explain_nonfinite(lambda: model(gf.tensor(X)).sum(), model)
    fine = nn.Sequential(Layer(lambda x: x + 1))
    assert explain_nonfinite(lambda: fine(gf.tensor(X)).sum(), fine) == NOTHING


@pytest.mark.parametrize("device", ["emulated", "cuda:1"])
def test_other_devices(device: str, fake_cuda: Any) -> None:
    for name in ("only the gradient", "a root's gradient"):
        parts, message = FOUND[name]
        assert explained(*parts, device=device) == explained(*parts)
        assert explained(*parts, device=device).startswith(message)
    assert explained(*HARMLESS["an overflow under a clamp"], device=device) == NOTHING
    wrong = X.copy()
    wrong[0, 0] = NAN
    assert explained(x=wrong, device=device) == "the images (4, 8) float32 hold NaN in 1 of 32 values"


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_dtypes(dtype: str) -> None:
    kind = getattr(gf, dtype)
    model = nn.Sequential(nn.Linear(8, 2), Layer(lambda x: gf.exp(x * 0 + 1000))).to(dtype=kind)
    found = explain_nonfinite(lambda: model(gf.tensor(X).to(kind)).sum(), model)
    assert found == f"exp made inf in layer '1' (Layer), from (4, 2) {dtype} with |x| up to 1000"


def test_under_autocast() -> None:
    model = nn.Sequential(nn.Linear(8, 2))
    model[0].weight.detach().fill_(1e4)

    def step() -> Any:
        with gf.autocast("cpu", gf.float16):
            return model(gf.tensor(X)).sum()

    assert re.match(r"\w+ made (-?inf|NaN) in layer '0' \(Linear\), from .*float16", explain_nonfinite(step, model))
