"""The table's part on activations and distances."""

from __future__ import annotations

from typing import Any

import numpy as np
from ops import reference as ref
from ops.case import Case, Positive, case

import gradflow as gf
from gradflow.autograd.primitive import BIND as P
from gradflow.nn import functional as F

WIDE = np.array([[-3.5, -1.2, 0.4], [2.3, 7.1, -0.3]])  # on every piece of the activations made of pieces


def softplus(x: Any) -> Any:
    return np.logaddexp(x, 0)


def norm(x: Any, p: float, axis: int, keepdims: bool = True) -> Any:
    return np.linalg.norm(x, p, axis, keepdims=keepdims)


def elu(x: Any, alpha: float = 1.0, inner: float = 1.0) -> Any:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) * inner))


PRIMITIVES: list[tuple[str, Any, Any]] = [
    ("hardtanh", lambda x: F.hardtanh(x, -2, 3), lambda x: np.clip(x, -2, 3)),
    ("leaky_relu", lambda x: F.leaky_relu(x, 0.2), lambda x: np.where(x > 0, x, 0.2 * x)),
    ("elu", lambda x: F.elu(x, 0.7), lambda x: elu(x, 0.7)),
    ("softplus", lambda x: F.softplus(x, 2, 6), lambda x: np.where(2 * x > 6, x, softplus(2 * x) / 2)),
    ("mish", F.mish, lambda x: x * np.tanh(softplus(x))),
    ("hardswish", F.hardswish, lambda x: x * np.clip(x + 3, 0, 6) / 6),
]
COMPOSED: list[tuple[str, Any, Any]] = [
    ("relu6", lambda x: F.relu6(x) + F.relu(x) + F.silu(x) + F.gelu(x),
        lambda x: np.clip(x, 0, 6) + np.maximum(x, 0) + ref.silu(x) + ref.gelu(x)),
    ("rrelu", F.rrelu, lambda x: np.where(x > 0, x, x * 11 / 48)),
    ("selu", F.selu, lambda x: 1.0507009873554805 * elu(x, 1.6732632423543772)),
    ("celu", lambda x: F.celu(x, 0.5), lambda x: elu(x, 0.5, 2)),
    ("logsigmoid", F.logsigmoid, lambda x: -softplus(-x)), ("softsign", F.softsign, lambda x: x / (1 + np.abs(x))),
    ("hardsigmoid", F.hardsigmoid, lambda x: np.clip(x + 3, 0, 6) / 6),
    ("hardshrink", F.hardshrink, lambda x: x * (np.abs(x) > 0.5)),
    ("softshrink", F.softshrink, lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0)),
    ("tanhshrink", F.tanhshrink, lambda x: x - np.tanh(x)),
    ("threshold", lambda x: F.threshold(x, 1, 7), lambda x: np.where(x > 1, x, 7)),
    ("softmin", lambda x: F.softmin(x, 0), lambda x: ref.softmax(-x, 0)),
    ("softmax-layer", lambda x: F.softmax(x, axis=0) + F.log_softmax(x, -1),
        lambda x: ref.softmax(x, 0) + np.log(ref.softmax(x, -1))),
    *[(f"normalize-{p}", lambda x, p=p: F.normalize(x, p, 0), lambda x, p=p: x / norm(x, p, 0))
        for p in (2.0, 1.0, 3.0, np.inf)],
]  # fmt: skip
RANDOM: list[tuple[str, Any]] = [
    ("gumbel_softmax", lambda x: F.gumbel_softmax(x, 0.5, generator=gf.Generator(1))),
    ("gumbel_softmax-hard", lambda x: F.gumbel_softmax(x, hard=True, dim=0, generator=gf.Generator(1))),
    ("rrelu-training", lambda x: F.rrelu(x, training=True, generator=gf.Generator(1))),
]

CASES: list[Case] = [
    *[case(n, f, WIDE, ref=r, rows=(0,)) for n, f, r in PRIMITIVES],
    *[case(n, f, WIDE, ref=r, light=True) for n, f, r in COMPOSED],
    *[case(n, f, (2, 3), randomness="same", numeric=False, light=True) for n, f in RANDOM],
    case("softmax-0d", lambda x: gf.softmax(x, 0) * x + gf.log_softmax(x, -1), (), ref=np.copy, light=True),
    case("softmax-dtype", lambda x: gf.softmax(x, 1, dtype=gf.float64), (2, 3), ref=lambda x: ref.softmax(x, 1),
        out_dtype=gf.float64, light=True),
    case("prelu", F.prelu, (2, 3, 2), (3,), ref=lambda x, w: np.where(x > 0, x, w[:, None] * x), light=True),
    case("prelu-one", F.prelu, (2, 3), (1,), ref=lambda x, w: np.where(x > 0, x, w * x), light=True),
    case("glu", lambda x: F.glu(x, 1), (2, 4), ref=lambda x: x[:, :2] * ref.sigmoid(x[:, 2:]), light=True),
    case("cosine_similarity", F.cosine_similarity, (2, 3), (1, 3), light=True,
        ref=lambda x, y: (x * y).sum(1) / (norm(x, 2, 1, False) * norm(y, 2, 1, False))),
    case("pairwise_distance", lambda x, y: F.pairwise_distance(x, y, 3, keepdim=True), (2, 3), (3,), light=True,
        ref=lambda x, y: norm(x - y + 1e-6, 3, -1)),
    case("pairwise_distance-0", lambda x, y: F.pairwise_distance(x, y, 0.0) * x[:, 0], (2, 3), Positive((3,)),
        ref=lambda x, y: 3 * x[:, 0], light=True),
    case("logsigmoid-backward", lambda x: P.softplus(x), WIDE, ref=softplus, light=True),
]  # fmt: skip
