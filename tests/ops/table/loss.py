"""The table's part on losses other than cross entropy."""

from __future__ import annotations

from typing import Any

import numpy as np
from ops import reference as ref
from ops.case import Case, Positive, case
from scipy import special

from gradflow.autograd.primitive import BIND as P
from gradflow.nn import functional as F

SIGN = np.array([[1.0, -1, 1, -1], [-1, -1, 1, 1], [1, 1, 1, -1]])
LABELS = np.array([1, 3, 0])
LISTS = np.array([[1, 3, -1, 0], [2, -1, -1, -1], [0, 1, 2, 3]])
WEIGHT = np.array([0.5, 2.0, 1.0, 1.5])
CHANCES = np.linspace(0.25, 0.75, 6).reshape(2, 3)
COUNTS = np.array([[0.5, 2.0, 3.0], [4.0, 0.3, 1.3]])
X = (3, 4)


def bce(x: Any, t: Any) -> Any:
    return -special.xlogy(t, x) - special.xlog1py(1 - t, -x)


def hinge(x: Any) -> Any:
    return np.maximum(x, 0)


def distance(a: Any, b: Any) -> Any:
    return np.linalg.norm(a - b + 1e-6, axis=-1)


def squares(x: Any, y: Any) -> Any:
    return ((x - y) ** 2).sum(1)


def multi_margin(x: Any, y: Any, weight: Any) -> Any:
    rows = np.arange(len(y))
    gap = hinge(0.7 - x[rows, y][:, None] + x) ** 2 * weight[y][:, None]
    gap[rows, y] = 0
    return gap.sum(1).mean() / x.shape[1]


def multilabel_margin(x: Any, lists: Any) -> Any:
    total = 0.0
    for row, found in zip(x, lists, strict=True):
        named = found[: list(found).index(-1)] if -1 in found else found
        others = [i for i in range(len(row)) if i not in named]
        total += sum(max(0.0, 1 - row[j] + row[i]) for j in named for i in others) / len(row)
    return total / len(x)


def ctc(x: Any, labels: Any) -> Any:
    """By all alignments of the one sequence, which is what the sum means."""
    steps, _, classes = x.shape
    total = 0.0
    for path in np.ndindex(*(classes,) * steps):
        merged = [c for i, c in enumerate(path) if i == 0 or c != path[i - 1]]
        if [c for c in merged if c != 0] == list(labels[0]):
            total += np.exp(sum(x[t, 0, c] for t, c in enumerate(path)))
    return -np.log(total) / labels.shape[1]


PLAIN: list[tuple[str, Any, Any]] = [
    ("mse_loss", F.mse_loss, lambda d: d * d),
    ("l1_loss", F.l1_loss, np.abs),
    ("smooth_l1_loss", lambda x, y: F.smooth_l1_loss(x, y, beta=0.8),
        lambda d: np.where(abs(d) < 0.8, d * d / 1.6, abs(d) - 0.4)),
    ("huber_loss", lambda x, y: F.huber_loss(x, y, delta=0.8),
        lambda d: np.where(abs(d) <= 0.8, d * d / 2, 0.8 * (abs(d) - 0.4))),
]  # fmt: skip

CASES: list[Case] = [
    *[case(name, f, (2, 3), (2, 3), ref=lambda x, y, r=r: r(x - y).mean(), light=name != "mse_loss")
        for name, f, r in PLAIN],
    case("mse_loss-sum", lambda x, y: F.mse_loss(x, y, reduction="sum"), (2, 3), (2, 3),
        ref=lambda x, y: ((x - y) ** 2).sum(), light=True),
    case("mse_loss-none", lambda x, y: F.mse_loss(x, y, "none"), (2, 3), (2, 3), ref=lambda x, y: (x - y) ** 2,
        rows=(0, 1), light=True),
    case("mse_loss-weight", lambda x, y, w: F.mse_loss(x, y, weight=w), (2, 3), (2, 3), Positive((2, 3)),
        ref=lambda x, y, w: ((x - y) ** 2 * w).sum() / w.sum(), light=True),
    case("binary_cross_entropy-primitive", P.binary_cross_entropy, CHANCES, CHANCES[::-1].copy(), ref=bce, rows=(0, 1)),
    case("binary_cross_entropy", lambda x, t, w: F.binary_cross_entropy(x, t, w), CHANCES, CHANCES[::-1] * 0.5,
        np.ones(3), ref=lambda x, t, w: (bce(x, t) * w).mean(), light=True),
    case("binary_cross_entropy_with_logits",
        lambda x, t, w: F.binary_cross_entropy_with_logits(x, t, w, pos_weight=w + 1), (2, 3), CHANCES,
        np.ones(3) * 0.6,
        ref=lambda x, t, w: -(w * (t * (w + 1) * special.log_expit(x) + (1 - t) * special.log_expit(-x))).mean(),
        light=True),
    case("kl_div", lambda x, t: F.kl_div(x, t, reduction="batchmean"), (2, 3), CHANCES,
        ref=lambda x, t: (t * (np.log(t) - x)).sum() / 2, light=True),
    case("kl_div-log", lambda x, t: F.kl_div(x, t, log_target=True), (2, 3), (2, 3),
        ref=lambda x, t: (np.exp(t) * (t - x)).mean(), light=True),
    case("gaussian_nll_loss", lambda x, y, v: F.gaussian_nll_loss(x, y, v, full=True), (2, 3), (2, 3), Positive((2,)),
        ref=lambda x, y, v: (np.log(2 * np.pi * v[:, None]) + (x - y) ** 2 / v[:, None]).mean() / 2, light=True),
    case("gaussian_nll_loss-least", lambda x, y, v: F.gaussian_nll_loss(x, y, v, eps=5.0), (2, 3), (2, 3),
        Positive((2, 3)), ref=lambda x, y, v: (np.log(5) + (x - y) ** 2 / 5).mean() / 2, numeric=False, light=True),
    case("poisson_nll_loss", lambda x, y: F.poisson_nll_loss(x, y, full=True), (2, 3), COUNTS,
        ref=lambda x, y: (np.exp(x) - y * x + np.where(y > 1, special.xlogy(y, y) - y + 0.5 * np.log(2 * np.pi *
            np.maximum(y, 1)), 0)).mean(), light=True),
    case("poisson_nll_loss-rate", lambda x, y: F.poisson_nll_loss(x, y, log_input=False), Positive((2, 3)), (2, 3),
        ref=lambda x, y: (x - y * np.log(x + 1e-8)).mean(), light=True),
    case("hinge_embedding_loss", lambda x, t: F.hinge_embedding_loss(x, t), X, c=SIGN,
        ref=lambda x, t: np.where(t == 1, x, hinge(1 - x)).mean(), light=True),
    case("margin_ranking_loss", lambda x, y, t: F.margin_ranking_loss(x, y, t, 0.5), X, X, c=SIGN,
        ref=lambda x, y, t: hinge(0.5 - t * (x - y)).mean(), light=True),
    case("soft_margin_loss", lambda x, t: F.soft_margin_loss(x, t), X, c=SIGN,
        ref=lambda x, t: np.log1p(np.exp(-t * x)).mean(), light=True),
    case("cosine_embedding_loss", lambda x, y, t: F.cosine_embedding_loss(x, y, t, -0.9), X, X, c=SIGN[:, 1],
        ref=lambda x, y, t: np.where(t == 1, 1 - ref.cosine(x, y), hinge(ref.cosine(x, y) + 0.9)).mean(), light=True),
    case("triplet_margin_loss", lambda a, p, n: F.triplet_margin_loss(a, p, n, 2.0, swap=True), X, X, X,
        ref=lambda a, p, n: hinge(2 + distance(a, p) - np.minimum(distance(a, n), distance(p, n))).mean(), light=True),
    case("triplet_margin_with_distance_loss",
        lambda a, p, n: F.triplet_margin_with_distance_loss(a, p, n, distance_function=squares),
        X, X, X, ref=lambda a, p, n: hinge(1 + squares(a, p) - squares(a, n)).mean(), light=True),
    case("multi_margin_loss", lambda x, y, w: F.multi_margin_loss(x, y, 2, 0.7, w), X, c=(LABELS, WEIGHT),
        ref=multi_margin, light=True),
    case("multilabel_margin_loss", F.multilabel_margin_loss, X, c=LISTS, ref=multilabel_margin, light=True),
    case("multilabel_soft_margin_loss", F.multilabel_soft_margin_loss, X, Positive(X),
        ref=lambda x, t: -(t * special.log_expit(x) + (1 - t) * special.log_expit(-x)).mean(1).mean(), light=True),
    case("nll_loss", lambda x, y, w: F.nll_loss(x, y, w), X, c=(LABELS, WEIGHT),
        ref=lambda x, y, w: -(x[np.arange(3), y] * w[y]).sum() / w[y].sum(), light=True),
    case("nll_loss-ignore", lambda x, y: F.nll_loss(x, y, ignore_index=3), X, c=LABELS,
        ref=lambda x, y: -(x[0, 1] + x[2, 0]) / 2, light=True),
    case("ctc_loss", lambda x, y: F.ctc_loss(x, y, [4], [2]), (4, 1, 3), c=np.array([[1, 2]]), ref=ctc, mapped=False,
        light=True),
    case("ctc_loss-repeated", lambda x, y: F.ctc_loss(x, y, [4], [2]), (4, 1, 3), c=np.array([[2, 2]]), ref=ctc,
        mapped=False, light=True),
]  # fmt: skip
