"""Losses against PyTorch's: values, first and second derivatives, reductions, shapes, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from parity.same import SPECIAL, floats, integers, same

import gradflow as gf

SIGN = np.array([[1.0, -1, 1, -1], [-1, -1, 1, 1], [1, 1, 1, -1]])
X, Y, Z = floats(3, 4), floats(3, 4, seed=1), floats(3, 4, seed=2)
P, Q = 1 / (1 + np.exp(-X)), 1 / (1 + np.exp(-Y))
LOG_P = X - np.log(np.exp(X).sum(1, keepdims=True))
LABELS = np.array([1, 3, 0])
WEIGHT = np.array([0.5, 2.0, 1.0, 1.5])
LISTS = np.array([[1, 3, -1, 0], [2, -1, -1, -1], [0, 1, 2, 3]])
REDUCTIONS = ("mean", "sum", "none")

LOSSES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("mse_loss", (X, Y), {}),
    ("mse_loss", (X, Y), {"weight": np.abs(Z)}),
    ("l1_loss", (X, Y), {}),
    ("l1_loss", (X, Y), {"weight": np.abs(Z)}),
    ("l1_loss", (X, X), {}),
    *[("smooth_l1_loss", (X, Y), {"beta": b}) for b in (1.0, 0.3, 0.0)],
    *[("huber_loss", (X, Y), {"delta": d}) for d in (1.0, 0.3)],
    ("huber_loss", (X, Y), {"weight": np.abs(Z)}),
    ("binary_cross_entropy", (P, Q), {}),
    ("binary_cross_entropy", (P, Q), {"weight": WEIGHT}),
    ("binary_cross_entropy", (np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.0, 1.0, 0.0, 1.0])), {}),
    ("binary_cross_entropy", (X, Q), {}),
    ("binary_cross_entropy", (P, Y), {}),
    ("binary_cross_entropy_with_logits", (X, Q), {}),
    ("binary_cross_entropy_with_logits", (X * 300, (Q > 0.5) * 1.0), {"pos_weight": WEIGHT}),
    ("binary_cross_entropy_with_logits", (X, Q), {"weight": WEIGHT, "pos_weight": WEIGHT + 1}),
    ("kl_div", (LOG_P, np.where(Q > 0.4, Q, 0.0)), {}),
    ("kl_div", (LOG_P, np.log(Q)), {"log_target": True}),
    ("gaussian_nll_loss", (X, Y, np.abs(Z)), {}),
    ("gaussian_nll_loss", (X, Y, np.abs(Z[:, :1])), {"full": True}),
    ("gaussian_nll_loss", (X, Y, np.abs(Z[:, 0])), {"eps": 0.5}),
    ("gaussian_nll_loss", (X, Y, 0.7), {}),
    ("gaussian_nll_loss", (X, Y, Z), {}),
    ("gaussian_nll_loss", (X, Y, np.abs(Z[:2])), {}),
    ("poisson_nll_loss", (X, np.abs(Y) * 3), {}),
    ("poisson_nll_loss", (X, np.abs(Y) * 3), {"full": True}),
    ("poisson_nll_loss", (np.abs(X), np.abs(Y)), {"log_input": False, "full": True, "eps": 0.1}),
    ("hinge_embedding_loss", (X, SIGN), {}),
    ("hinge_embedding_loss", (X, SIGN * 2), {"margin": 0.4}),
    ("margin_ranking_loss", (X, Y, SIGN), {"margin": 0.5}),
    ("margin_ranking_loss", (X, X, SIGN), {}),
    ("soft_margin_loss", (X, SIGN), {}),
    ("cosine_embedding_loss", (X, Y, SIGN[:, 0]), {"margin": -0.3}),
    ("cosine_embedding_loss", (X[0], Y[0], np.asarray(-1.0)), {}),
    ("cosine_embedding_loss", (X, Y, SIGN), {}),
    *[("triplet_margin_loss", (X, Y, Z), {"p": p, "swap": s}) for p in (2, 1, 3.5) for s in (False, True)],
    ("triplet_margin_loss", (X[0], Y[0], Z[0]), {"margin": 3.0}),
    ("triplet_margin_with_distance_loss", (X, Y, Z), {"swap": True, "margin": 2.0}),
    *[("multi_margin_loss", (X, LABELS), {"p": p}) for p in (1, 2)],
    ("multi_margin_loss", (X, LABELS), {"weight": WEIGHT, "margin": 0.4, "p": 2}),
    ("multi_margin_loss", (X[0], np.asarray(2)), {}),
    ("multilabel_margin_loss", (X, LISTS), {}),
    ("multilabel_margin_loss", (X[0], LISTS[0]), {}),
    ("multilabel_soft_margin_loss", (X, (Q > 0.5) * 1.0), {}),
    ("multilabel_soft_margin_loss", (X, Q), {"weight": WEIGHT}),
    ("nll_loss", (LOG_P, LABELS), {}),
    ("nll_loss", (LOG_P, LABELS), {"weight": WEIGHT}),
    ("nll_loss", (LOG_P, LABELS), {"weight": WEIGHT, "ignore_index": 3}),
    ("nll_loss", (LOG_P, np.full(3, 2)), {"ignore_index": 2}),
    ("nll_loss", (LOG_P, np.array([1, -100, 0])), {"weight": WEIGHT}),
    ("nll_loss", (LOG_P[0], np.asarray(2)), {}),
    ("nll_loss", (floats(2, 4, 3), integers(2, 3, seed=5) % 4), {"weight": WEIGHT}),
    ("nll_loss", (LOG_P, LABELS + 1), {}),
    ("nll_loss", (LOG_P, LABELS[:2]), {}),
]


def run(name: str, options: dict[str, Any], count: int) -> Any:
    """A loss of the first `count` tensors, with those after them as options by name."""
    tensors = [k for k, v in options.items() if isinstance(v, np.ndarray)]
    plain = {k: v for k, v in options.items() if k not in tensors}

    def call(t: Any, *xs: Any) -> Any:
        given = {k: x.detach() for k, x in zip(tensors, xs[count:], strict=True)}
        constant = name in ("soft_margin_loss",)  # PyTorch has no gradient of its target
        operands = [x.detach() if constant and i else x for i, x in enumerate(xs[:count])]
        return getattr(t.nn.functional, name)(*operands, **given, **plain)

    return call


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name, operands, options", LOSSES, ids=[f"{n}-{i}" for i, (n, _, _) in enumerate(LOSSES)])
def test_losses(name: str, operands: Any, options: dict[str, Any], reduction: str) -> None:
    if name == "kl_div" and reduction == "mean":
        options = {**options, "reduction": "batchmean"}
    else:
        options = {**options, "reduction": reduction}
    extra = [v for v in options.values() if isinstance(v, np.ndarray)]
    twice = name not in ("multi_margin_loss", "multilabel_margin_loss")  # which PyTorch differentiates once only
    rtol = 1e-8 if name == "binary_cross_entropy" else None  # PyTorch's least denominator is 1e-12 in float32
    same(run(name, options, len(operands)), *operands, *extra, second=twice, rtol=rtol)


@pytest.mark.parametrize("x", [SPECIAL, SPECIAL.astype("f4")], ids=["float64", "float32"])
@pytest.mark.parametrize(
    "name", ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy_with_logits"]
)
def test_special_numbers(name: str, x: np.ndarray) -> None:
    x = x[1:] if name == "l1_loss" else x  # PyTorch's slope of |NaN| is 0
    other = np.roll(x, 3)
    same(lambda t, x, y: getattr(t.nn.functional, name)(x, y.detach(), reduction="none"), x, other)


@pytest.mark.parametrize("name", ["mse_loss", "smooth_l1_loss", "huber_loss"])
def test_curvature(name: str) -> None:
    def call(t: Any, x: Any) -> Any:
        x = x.detach().requires_grad_()
        loss = getattr(t.nn.functional, name)(x, t.zeros_like(x), reduction="sum")
        (slope,) = t.autograd.grad(loss, x, create_graph=True)
        return t.autograd.grad(slope.sum(), x)[0]

    same(call, np.array([0.0, 0.3, -0.3, 1.0, -1.0, 2.0]), grad=False)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (2, 0), (5,)], ids=str)
def test_shapes_and_dtypes(shape: tuple[int, ...], dtype: str) -> None:
    x, y = floats(*shape, dtype=dtype), floats(*shape, dtype=dtype, seed=1)
    for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy_with_logits"):
        same(lambda t, x, y, name=name: getattr(t.nn.functional, name)(x, y.detach()), x, y)


CTC = [
    {"blank": 0}, {"blank": 2, "reduction": "sum"}, {"reduction": "none"}, {"zero_infinity": True, "reduction": "none"},
]  # fmt: skip


@pytest.mark.parametrize("options", CTC, ids=str)
@pytest.mark.parametrize("targets", ["padded", "joined"])
def test_ctc(options: dict[str, Any], targets: str) -> None:
    logits = floats(6, 3, 4, seed=3)
    labels = np.array([[1, 3, 3], [3, 1, 0], [1, 0, 0]])
    lengths, inputs = np.array([3, 2, 1]), np.array([6, 4, 5])
    if targets == "joined":
        labels = np.concatenate([row[:n] for row, n in zip(labels, lengths, strict=True)])

    def call(t: Any, x: Any, y: Any) -> Any:
        return t.nn.functional.ctc_loss(t.log_softmax(x, 2), y, t.tensor(inputs), t.tensor(lengths), **options)

    same(call, logits, labels, rtol=1e-9)


def test_ctc_of_impossible_and_empty_targets() -> None:
    logits = floats(3, 6, 4, seed=3)
    labels = np.array([[1, 1, 1], [1, 2, 3], [0, 0, 0], [2, 0, 0], [0, 0, 0], [1, 0, 0]])
    lengths, inputs = [3, 3, 0, 1, 0, 1], [3, 3, 3, 1, 0, 0]

    def call(t: Any, x: Any, y: Any) -> Any:
        x = t.log_softmax(x, 2)
        loss = t.nn.functional.ctc_loss(x, y, t.tensor(inputs), t.tensor(lengths), reduction="none", zero_infinity=True)
        return loss, t.nn.functional.ctc_loss(x.detach(), y, t.tensor(inputs), t.tensor(lengths), reduction="none")

    same(call, logits, labels, rtol=1e-9)


def test_one_sequence() -> None:
    same(
        lambda t, x: t.nn.functional.ctc_loss(
            t.log_softmax(x, 1), t.tensor([1, 2]), t.tensor([5]), t.tensor([2]), reduction="mean"
        ),
        floats(5, 4),
    )


MODULES: list[tuple[str, dict[str, Any], tuple[Any, ...]]] = [
    ("NLLLoss", {"weight": WEIGHT, "ignore_index": 3}, (LOG_P, LABELS)),
    ("MSELoss", {"reduction": "sum"}, (X, Y)),
    ("L1Loss", {}, (X, Y)),
    ("SmoothL1Loss", {"beta": 0.4}, (X, Y)),
    ("HuberLoss", {"delta": 0.4}, (X, Y)),
    ("BCELoss", {"weight": WEIGHT}, (P, Q)),
    ("BCEWithLogitsLoss", {"weight": WEIGHT, "pos_weight": WEIGHT + 1}, (X, Q)),
    ("KLDivLoss", {"reduction": "batchmean", "log_target": True}, (LOG_P, np.log(Q))),
    ("GaussianNLLLoss", {"full": True, "eps": 0.8}, (X, Y, np.abs(Z))),
    ("PoissonNLLLoss", {"full": True, "log_input": False}, (np.abs(X), np.abs(Y))),
    ("HingeEmbeddingLoss", {"margin": 0.5}, (X, SIGN)),
    ("MarginRankingLoss", {"margin": 0.5}, (X, Y, SIGN)),
    ("SoftMarginLoss", {}, (X, SIGN)),
    ("CosineEmbeddingLoss", {"margin": 0.1}, (X, Y, SIGN[:, 0])),
    ("TripletMarginLoss", {"margin": 2.0, "swap": True}, (X, Y, Z)),
    ("TripletMarginWithDistanceLoss", {"margin": 2.0, "swap": True}, (X, Y, Z)),
    ("MultiMarginLoss", {"p": 2, "weight": WEIGHT}, (X, LABELS)),
    ("MultiLabelMarginLoss", {}, (X, LISTS)),
    ("MultiLabelSoftMarginLoss", {"weight": WEIGHT}, (X, Q)),
    ("CrossEntropyLoss", {"weight": WEIGHT, "label_smoothing": 0.1}, (X, LABELS)),
]


@pytest.mark.parametrize("name, options, operands", MODULES, ids=[m[0] for m in MODULES])
def test_modules(name: str, options: dict[str, Any], operands: tuple[Any, ...]) -> None:
    def call(t: Any, *xs: Any) -> Any:
        xs = (xs[0], xs[1].detach(), *xs[2:]) if name == "SoftMarginLoss" else xs
        given = {k: t.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
        module = getattr(t.nn, name)(**given)
        return module(*xs), [str(k) for k in module.state_dict()] == [], name in repr(module)

    same(call, *operands, second="Margin" not in name)


def test_ctc_module() -> None:
    def call(t: Any, x: Any) -> Any:
        loss = t.nn.CTCLoss(blank=1, zero_infinity=True)
        return loss(t.log_softmax(x, 2), t.tensor([[2, 3], [0, 2]]), t.tensor([5, 4]), t.tensor([2, 2]))

    same(call, floats(5, 2, 4), rtol=1e-9)


@pytest.mark.parametrize(
    "call",
    [
        lambda t: t.nn.functional.mse_loss(t.ones(2), t.ones(2), reduction="all"),
        lambda t: t.nn.functional.huber_loss(t.ones(2), t.ones(2), delta=0.0),
        lambda t: t.nn.functional.smooth_l1_loss(t.ones(2), t.ones(2), beta=-1.0),
        lambda t: t.nn.functional.multi_margin_loss(t.ones(2, 3), t.tensor([1, 3])),
        lambda t: t.nn.functional.multi_margin_loss(t.ones(2, 3), t.tensor([1, 2]), p=3),
        lambda t: t.nn.functional.triplet_margin_loss(t.ones(2), t.ones(2), t.ones(2), margin=0.0),
        lambda t: t.nn.functional.triplet_margin_loss(t.ones(2), t.ones(2), t.ones(1, 2)),
        lambda t: t.nn.functional.triplet_margin_with_distance_loss(t.ones(2), t.ones(1, 2), t.ones(2)),
        lambda t: t.nn.functional.margin_ranking_loss(t.ones(2), t.ones(2), t.ones(1, 2)),
        lambda t: t.nn.functional.ctc_loss(t.ones(0, 1, 3), t.tensor([[1]]), t.tensor([0]), t.tensor([0])),
        lambda t: t.nn.functional.ctc_loss(t.ones(2, 1, 3), t.tensor([[1]]), t.tensor([3]), t.tensor([1])),
        lambda t: t.nn.functional.ctc_loss(t.ones(2, 1, 3), t.tensor([[1]]), t.tensor([2]), t.tensor([2])),
        lambda t: t.nn.functional.ctc_loss(t.ones(2, 1, 3), t.tensor([[1]]), t.tensor([2]), t.tensor([1]), blank=3),
    ],
)  # fmt: skip
def test_refusals(call: Any) -> None:
    same(call)


def test_ctc_targets_are_not_mapped_over() -> None:
    def call(x: gf.Tensor, y: gf.Tensor) -> gf.Tensor:
        return gf.nn.functional.ctc_loss(x, y, [3, 3], [1, 1])

    with pytest.raises(ValueError, match=r"\[ctc_loss\] targets must be the same for all examples of vmap"):
        gf.func.vmap(call)(gf.zeros(2, 3, 2, 4), gf.ones(2, 2, dtype=gf.int64))


def test_broadcast_losses_are_refused() -> None:
    """PyTorch computes them, with a warning that it is likely wrong."""
    with pytest.raises(ValueError, match=r"\[mse_loss\] needs tensors of one shape \(x \(3,\), target \(3, 1\)\)"):
        gf.nn.functional.mse_loss(gf.ones(3), gf.ones(3, 1))
