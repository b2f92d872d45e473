"""The table's part on layers and losses: convolution, pooling, normalisation, dropout, cross entropy."""

from __future__ import annotations

from typing import Any

import numpy as np
from ops import reference as ref
from ops.case import Case, Positive, case

import gradflow as gf
from gradflow.autograd.primitive import BIND as P
from gradflow.nn import functional as F

MASK = np.array([[True, False, True], [False, True, True]])
LABELS = np.array([1, 3, 0])
DENSE_LABELS = np.array([[[1, 0], [2, 1]], [[0, 2], [2, 2]]])
WEIGHTS = np.array([0.5, 2.0, 1.0, 1.5])
WON = (np.arange(24).reshape(2, 3, 2, 2) * 5 % 6).astype("u1")  # positions in a (2, 3) window


def conv(name: str, x: Any, w: Any, *biases: Any, **options: Any) -> list[Case]:
    """F.conv2d, and the two primitives that are its cotangents, with one set of options."""
    y = ref.conv2d(np.zeros(x), np.zeros(w), None, **options).shape
    static = {k: ref.pair(options.get(k, d)) for k, d in (("stride", 1), ("padding", 0), ("dilation", 1))}
    static["groups"] = options.get("groups", 1)
    return [
        case(
            f"conv2d-{name}",
            lambda x, w, *b: F.conv2d(x, w, *b, **options),
            x,
            w,
            *biases,
            ref=lambda x, w, *b: ref.conv2d(x, w, *b, **options),
            rows=(0,),
        ),
        case(
            f"conv2d_input_grad-{name}",
            lambda g, w: P.conv2d_input_grad(g, w, x_shape=(g.shape[0], *x[1:]), **static),
            y,
            w,
            ref=lambda g, w: ref.conv2d_adjoint(g, w, x, "x", **options),
            rows=(0,),
        ),
        case(
            f"conv2d_weight_grad-{name}",
            lambda x, g: P.conv2d_weight_grad(x, g, w_shape=w, **static),
            x,
            y,
            ref=lambda x, g: ref.conv2d_adjoint(g, x, w, "w", **options),
            rows=(0, 1),
        ),
    ]


def pool(name: str, x: Any, kernel: Any, **options: Any) -> list[Case]:
    return [
        case(
            f"max_pool2d-{name}",
            lambda x: F.max_pool2d(x, kernel, **options),
            x,
            ref=lambda x: ref.max_pool2d(x, kernel, **options),
            rows=(0,),
        )
    ]


def pooled(name: str, out: tuple[int, int], stride: Any, padding: Any, dilation: Any) -> list[Case]:
    """pool_pick and pool_place over (2, 3, 5, 6) with (2, 3) windows."""
    static = {"kernel": (2, 3), "stride": stride, "padding": padding, "dilation": dilation, "out": out}
    won = np.resize(WON, (2, 3, *out))

    def seen(x: np.ndarray, i: np.ndarray) -> Any:
        windows = ref.windows(x, (2, 3), stride, padding, dilation, out, 0.0)
        return np.take_along_axis(windows, i[..., None].astype(int), -1)[..., 0]

    def spread(g: np.ndarray, i: np.ndarray) -> Any:
        units = np.eye(180).reshape(180, 2, 3, 5, 6)
        return np.stack([(seen(u, i) * g).sum() for u in units]).reshape(2, 3, 5, 6)

    return [
        case(
            f"pool_pick-{name}",
            lambda x, i: P.pool_pick(x, i, **static),
            (2, 3, 5, 6),
            c=won,
            ref=seen,
            rows=(0,),
            constant_rows=(0,),
        ),
        case(
            f"pool_place-{name}",
            lambda g, i: P.pool_place(g, i, x_shape=(g.shape[0], 3, 5, 6), **static),
            (2, 3, *out),
            c=won,
            ref=spread,
            rows=(0,),
            constant_rows=(0,),
        ),
    ]


def batch_norm(x: Any, mean: Any, var: Any, weight: Any, bias: Any, training: bool) -> Any:
    return F.batch_norm(x, mean, var, weight, bias, training, eps=1e-2)


def soft(x: Any, q: Any, *weight: Any) -> Any:
    return F.cross_entropy(x, gf.softmax(q, 1), *weight, label_smoothing=0.1)


LAYERS = [
    case("linear", F.linear, (2, 3), (4, 3), (4,), ref=lambda x, w, b: x @ w.T + b, rows=(0,)),
    case("linear-1d", F.linear, (3,), (2, 3), ref=lambda x, w: w @ x),
    case("linear-3d", F.linear, (2, 2, 3), (2, 3), (2,), ref=lambda x, w, b: x @ w.T + b, rows=(0,)),
    *conv("plain", (2, 2, 4, 5), (3, 2, 3, 2), (3,)),
    *conv("padded", (2, 1, 3, 3), (2, 1, 3, 3), padding=1),
    *conv("stride", (1, 2, 5, 4), (2, 2, 2, 3), (2,), stride=(2, 1), padding=(0, 1)),
    *conv("stride-remainder", (2, 1, 6, 6), (1, 1, 3, 3), stride=2),
    *conv("dilation", (1, 2, 5, 6), (2, 2, 2, 2), (2,), dilation=(2, 3), padding=1),
    *conv("groups", (2, 4, 3, 3), (6, 2, 2, 2), (6,), groups=2),
    *conv("depthwise", (1, 3, 4, 4), (3, 1, 3, 3), groups=3, stride=2, padding=1),
    *conv("padded-more-than-kernel", (1, 1, 2, 2), (1, 1, 2, 2), padding=(2, 3)),
    case("conv2d-same", lambda x, w: F.conv2d(x, w, padding="same"), (1, 2, 3, 4), (2, 2, 3, 3),
        ref=lambda x, w: ref.conv2d(x, w, padding=1)),
    case("conv2d-same-even", lambda x, w: F.conv2d(x, w, padding="same", dilation=(1, 3)), (1, 1, 3, 5), (1, 1, 2, 2),
        ref=lambda x, w: ref.conv2d(x, w, padding=((0, 1), (1, 2)), dilation=(1, 3))),
    case("conv2d-one-image", lambda x, w, b: F.conv2d(x, w, b, padding="valid"), (2, 3, 3), (2, 2, 2, 2), (2,),
        ref=lambda x, w, b: ref.conv2d(x[None], w, b)[0]),
    *pool("plain", (2, 2, 4, 5), 2),
    *pool("overlapping", (1, 2, 5, 5), 3, stride=1),
    *pool("padded", (2, 1, 4, 6), (2, 3), stride=(1, 2), padding=1),
    *pool("ceil", (1, 2, 5, 6), 2, stride=(2, 3), ceil_mode=True),
    *pool("ceil-padded", (1, 1, 6, 7), 3, stride=4, padding=1, ceil_mode=True),
    *pool("dilation", (1, 2, 5, 7), 2, stride=1, dilation=(2, 3)),
    *pool("gaps", (1, 1, 5, 7), 2, stride=3),
    case("max_pool2d-one-image", lambda x: F.max_pool2d(x, 2), (2, 4, 4), ref=lambda x: ref.max_pool2d(x[None], 2)[0]),
    *pooled("apart", (2, 2), (3, 3), (0, 0), (1, 1)),
    *pooled("apart-in-rows", (2, 4), (3, 1), (0, 0), (1, 1)),
    *pooled("overlapping", (5, 4), (1, 1), (0, 0), (1, 1)),
    *pooled("padded", (4, 3), (2, 3), (1, 1), (2, 2)),
    case("batch_norm-outputs", lambda x, w, b: P.batch_norm(x, w, b, eps=1e-2), (3, 2, 2, 2), (2,), (2,),
        ref=lambda x, w, b: (ref.batch_norm(x, w, b, eps=1e-2), x.mean((0, 2, 3)), x.var((0, 2, 3)))),
    case("batch_norm-statistics", lambda x: P.batch_norm(x, None, None, eps=1e-2)[1:], (4, 2),
        ref=lambda x: (x.mean(0), x.var(0))),
    case("batch_norm-train", lambda x, w, b: batch_norm(x, None, None, w, b, True), (3, 2, 2, 2), (2,), (2,),
        ref=lambda x, w, b: ref.batch_norm(x, w, b, eps=1e-2)),
    case("batch_norm-train-3d", lambda x, b: batch_norm(x, None, None, None, b, True), (2, 2, 3), (2,),
        ref=lambda x, b: ref.batch_norm(x, None, b, eps=1e-2)),
    case("batch_norm-no-running", lambda x, w: batch_norm(x, None, None, w, None, False), (4, 2), (2,),
        ref=lambda x, w: ref.batch_norm(x, w, eps=1e-2)),
    case("batch_norm-eval", lambda x, w, b, m, v: batch_norm(x, m, v, w, b, False), (2, 2, 2, 2), (2,), (2,),
        c=(np.array([0.3, -1.0]), np.array([0.5, 2.0])),
        ref=lambda x, w, b, m, v: ref.batch_norm(x, w, b, m, v, 1e-2), rows=(0,)),
    case("batch_norm-eval-bare", lambda x, m, v: batch_norm(x, m, v, None, None, False), (2, 2), (2,), Positive((2,)),
        ref=lambda x, m, v: ref.batch_norm(x, None, None, m, v, 1e-2), rows=(0,)),
    case("dropout", lambda x: F.dropout(x, 0.4, generator=gf.Generator(3)), (3, 4), randomness="same",
        ref=lambda x: x / 0.6 * (F.dropout(gf.ones(3, 4), 0.4, generator=gf.Generator(3)).numpy() > 0)),
    case("dropout-all", lambda x: F.dropout(x, 1.0, generator=gf.Generator(3)), (3, 4), randomness="same",
        ref=np.zeros_like),
    case("dropout-off", lambda x: F.dropout(x, 0.4, training=False) * F.dropout(x, 0.0), (3, 4), ref=np.square,
        rows=(0,)),
    case("mask_scale", lambda x, m: P.mask_scale(x, m, scale=1.5), (2, 3), c=MASK, ref=lambda x, m: x * m * 1.5,
        rows=(0,), constant_rows=(0,)),
    case("softmax_cross_entropy", lambda x, t: P.softmax_cross_entropy(x, t, None), (3, 4), c=LABELS,
        ref=lambda x, t: ref.cross_entropy(x, t, reduction="none"), rows=(0,), constant_rows=(0,)),
    case("softmax_cross_entropy-all",
        lambda x, t, w: P.softmax_cross_entropy(x, t, w, ignore_index=0, label_smoothing=0.2), (3, 4),
        c=(LABELS, WEIGHTS), ref=lambda x, t, w: ref.cross_entropy(x, t, w, 0, "none", 0.2), rows=(0,),
        constant_rows=(0,)),
    case("cross_entropy", F.cross_entropy, (3, 4), c=LABELS, ref=ref.cross_entropy),
    case("cross_entropy-sum", lambda x, t: F.cross_entropy(x, t, reduction="sum"), (3, 4), c=LABELS,
        ref=lambda x, t: ref.cross_entropy(x, t, reduction="sum"), rows=(0,), constant_rows=(0,)),
    case("cross_entropy-none", lambda x, t: F.cross_entropy(x, t, reduction="none", label_smoothing=0.1), (3, 4),
        c=LABELS, ref=lambda x, t: ref.cross_entropy(x, t, reduction="none", smoothing=0.1), rows=(0,),
        constant_rows=(0,)),
    case("cross_entropy-weight", F.cross_entropy, (3, 4), c=(LABELS, WEIGHTS), ref=ref.cross_entropy),
    case("cross_entropy-ignore", lambda x, t: F.cross_entropy(x, t, ignore_index=3), (3, 4), c=LABELS,
        ref=lambda x, t: ref.cross_entropy(x, t, ignore=3)),
    case("cross_entropy-ignore-outside", F.cross_entropy, (3, 4), c=np.array([2, -100, 1]), ref=ref.cross_entropy),
    case("cross_entropy-ignore-outside-weight", F.cross_entropy, (3, 4), c=(np.array([2, -100, 1]), WEIGHTS),
        ref=ref.cross_entropy),
    case("cross_entropy-everything",
        lambda x, t, w: F.cross_entropy(x, t, w, ignore_index=1, label_smoothing=0.3), (3, 4), c=(LABELS, WEIGHTS),
        ref=lambda x, t, w: ref.cross_entropy(x, t, w, 1, smoothing=0.3)),
    case("cross_entropy-one-row", lambda x, t: F.cross_entropy(x, t, label_smoothing=0.1), (4,), c=np.array(2),
        ref=lambda x, t: ref.cross_entropy(x[None], t[None], smoothing=0.1)),
    case("cross_entropy-dense", lambda x, t, w: F.cross_entropy(x, t, w, ignore_index=0), (2, 3, 2, 2),
        c=(DENSE_LABELS, WEIGHTS[:3]), ref=lambda x, t, w: ref.cross_entropy(x, t, w, 0)),
    case("cross_entropy-probabilities", soft, (3, 4), (3, 4),
        ref=lambda x, q: ref.soft_cross_entropy(x, ref.softmax(q, 1), None, 0.1)),
    case("cross_entropy-probabilities-dense", soft, (2, 3, 2), (2, 3, 2), c=WEIGHTS[:3],
        ref=lambda x, q, w: ref.soft_cross_entropy(x, ref.softmax(q, 1), w, 0.1)),
    case("cross_entropy-probabilities-0", F.cross_entropy, (2, 3), c=np.eye(3)[:2], ref=ref.soft_cross_entropy),
    case("mse_loss", F.mse_loss, (2, 3), (2, 3), ref=lambda x, y: np.square(x - y).mean()),
    case("mse_loss-sum", lambda x, y: F.mse_loss(x, y, "sum"), (2, 3), c=np.ones((2, 3)),
        ref=lambda x, y: np.square(x - y).sum(), rows=(0,), constant_rows=(0,)),
    case("mse_loss-none", lambda x, y: F.mse_loss(x, y, reduction="none"), (2, 3), (2, 3),
        ref=lambda x, y: np.square(x - y), rows=(0, 1)),
]  # fmt: skip
