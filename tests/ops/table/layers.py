"""The table's part on layers and losses: convolution, pooling, normalisation, dropout, cross entropy."""

from __future__ import annotations

from typing import Any

import numpy as np
from ops import reference as ref
from ops.case import Case, Positive, case

import gradflow as gf
from gradflow.autograd.primitive import BIND as P
from gradflow.nn import functional as F
from gradflow.ops.pool import adaptive as adaptive_walk
from gradflow.ops.pool import strided

MASK = np.array([[True, False, True], [False, True, True]])
LABELS = np.array([1, 3, 0])
DENSE_LABELS = np.array([[[1, 0], [2, 1]], [[0, 2], [2, 2]]])
WEIGHTS = np.array([0.5, 2.0, 1.0, 1.5])
ROWS = np.array([[2, 0, 2], [1, 4, 2]])
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


def pool(op: str, name: str, x: Any, kernel: Any, **options: Any) -> list[Case]:
    return [
        case(
            f"{op}-{name}",
            lambda x: getattr(F, op)(x, kernel, **options),
            x,
            ref=lambda x: getattr(ref, op)(x, kernel, **options),
            rows=(0,),
        )
    ]


def shares(name: str, x: Any, pool: Any, **static: Any) -> list[Case]:
    """avg_pool2d_backward for one image of two channels, against the transpose of the reference `pool`."""
    units = np.eye(int(np.prod(x))).reshape(-1, *x)
    y = pool(units[:1]).shape
    return [
        case(
            f"avg_pool2d_backward-{name}",
            lambda g: P.avg_pool2d_backward(g, x_shape=(g.shape[0], *x), **static),
            y,
            ref=lambda g: np.stack([(pool(u[None]) * g).sum() for u in units]).reshape(1, *x),
            rows=(0,),
        )
    ]


def adaptive(name: str, x: Any, out: Any) -> list[Case]:
    return [
        case(
            f"adaptive_{kind}_pool2d-{name}",
            lambda x, op=op: op(x, out),
            x,
            ref=lambda x, reduce=reduce: ref.adaptive_pool2d(x, ref.pair(out), reduce),
            rows=(0,),
        )
        for kind, op, reduce in (("avg", F.adaptive_avg_pool2d, np.mean), ("max", F.adaptive_max_pool2d, np.max))
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


def unfolded(x: Any, kernel: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1) -> Any:
    """(N, C, R S, L): the windows of x as columns."""
    (sh, sw), (p, q), (dh, dw) = ref.pair(stride), ref.pair(padding), ref.pair(dilation)
    rows = (x.shape[2] + 2 * p - dh * (kernel[0] - 1) - 1) // sh + 1
    cols = (x.shape[3] + 2 * q - dw * (kernel[1] - 1) - 1) // sw + 1
    seen = ref.windows(x, kernel, stride, padding, dilation, (rows, cols), 0.0)
    return np.moveaxis(seen, -1, 2).reshape(*x.shape[:2], kernel[0] * kernel[1], rows * cols)


def sliding(name: str, x: Any, kernel: Any, **options: Any) -> list[Case]:
    """F.unfold and F.fold with one set of options."""
    columns = unfolded(np.zeros(x), kernel, **options)
    n, c, taps, places = columns.shape

    def folded(g: np.ndarray) -> np.ndarray:
        size = int(np.prod(x[1:]))
        units = unfolded(np.eye(size).reshape(size, *x[1:]), kernel, **options).reshape(size, -1)
        return (g.reshape(len(g), -1) @ units.T).reshape(len(g), *x[1:])

    return [
        case(f"unfold-{name}", lambda x: F.unfold(x, kernel, **options), x,
            ref=lambda x: unfolded(x, kernel, **options).reshape(len(x), c * taps, places), rows=(0,)),
        case(f"fold-{name}", lambda g: F.fold(g, x[2:], kernel, **options), (n, c * taps, places), ref=folded,
            rows=(0,)),
    ]  # fmt: skip


def batch_norm(x: Any, mean: Any, var: Any, weight: Any, bias: Any, training: bool) -> Any:
    return F.batch_norm(x, mean, var, weight, bias, training, eps=1e-2)


def soft(x: Any, q: Any, *weight: Any) -> Any:
    return F.cross_entropy(x, gf.softmax(q, 1), *weight, label_smoothing=0.1)


def numbers(x: Any) -> Any:
    """Every way to draw numbers."""
    where: dict[str, Any] = {"generator": gf.Generator(4), "device": x.device}
    normal = P.astype(gf.randn(3, dtype=gf.float64, **where), dtype=x.dtype)
    uniform = P.astype(gf.rand(3, dtype=gf.float64, **where), dtype=x.dtype)
    return x * normal + uniform * x * gf.randint(1, 4, (3,), **where) + x * gf.randperm(3, **where)


ACTIVATIONS: list[tuple[str | None, Any]] = [
    (None, np.copy), ("relu", ref.relu), ("sigmoid", ref.sigmoid), ("tanh", np.tanh), ("gelu", ref.gelu),
    ("gelu_tanh", ref.gelu_tanh), ("silu", ref.silu),
]  # fmt: skip


def gated_backward(activation: str, f: Any) -> Case:
    """bias_gated_backward, whose derivative is a function of the input."""

    def reference(g: np.ndarray, x: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        dx = g * ref.slope(f, x + bias[:, None])
        return dx, dx.sum((0, 2))

    return case(f"bias_gated_backward-{activation}",
        lambda g, x, b: P.bias_gated_backward(g, x, b, axis=1, activation=activation), (2, 3, 2), (2, 3, 2), (3,),
        ref=reference, mixed=False)  # fmt: skip


CASES = [
    *[case(f"bias_act-{a}", lambda x, b, a=a: F.bias_act(x, b, a), (2, 3, 2), np.array([0.1, -0.2, 0.15]), rows=(0,),
        ref=lambda x, b, f=f: ref.bias_act(x, b, f)) for a, f in ACTIVATIONS],
    case("bias_act-last", lambda x, b: F.bias_act(x, b, "silu", dim=-1), (2, 3), (3,), rows=(0,),
        ref=lambda x, b: ref.silu(x + b)),
    case("bias_act-first", lambda x, b: F.bias_act(x, b, dim=0), (3, 2), (3,), ref=lambda x, b: x + b[:, None]),
    case("bias_act_backward", lambda g, y: P.bias_act_backward(g, y, axis=1, activation="tanh"), (2, 3, 2), (2, 3, 2),
        ref=lambda g, y: (g * (1 - y**2), (g * (1 - y**2)).sum((0, 2))), mixed=False, rows=(0, 1)),
    gated_backward("gelu", ref.gelu),
    gated_backward("silu", ref.silu),
    case("channel_sum", lambda x: P.channel_sum(x, axis=1), (2, 3, 2, 2), ref=lambda x: x.sum((0, 2, 3)), rows=(0,)),
    case("channel_sum-first", lambda x: P.channel_sum(x, axis=0), (3, 2), ref=lambda x: x.sum(1)),
    case("linear", F.linear, (2, 3), (4, 3), (4,), ref=lambda x, w, b: x @ w.T + b, rows=(0,)),
    case("linear-1d", F.linear, (3,), (2, 3), ref=lambda x, w: w @ x),
    case("linear-3d", F.linear, (2, 2, 3), (2, 3), (2,), ref=lambda x, w, b: x @ w.T + b, rows=(0,)),
    case("bilinear", F.bilinear, (2, 3), (2, 2), (4, 3, 2), (4,), light=True, rows=(0, 1),
        ref=lambda x, y, w, b: np.einsum("ni,kij,nj->nk", x, w, y) + b),
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
    *sliding("plain", (2, 2, 4, 5), (2, 3)),
    *sliding("padded", (1, 2, 3, 4), (3, 2), padding=(1, 2), stride=(1, 2)),
    *sliding("dilation", (2, 1, 5, 6), (2, 2), dilation=(3, 2), stride=2, padding=1),
    case("unfold-one-image", lambda x: F.unfold(x, 2), (2, 3, 3),
        ref=lambda x: unfolded(x[None], (2, 2)).reshape(8, 4)),
    case("fold-one-image", lambda g: F.fold(g, 2, (1, 2)), (2, 2),
        ref=lambda g: np.stack([g[0], g[1]], -1).reshape(1, 2, 2)),
    *pool("max_pool2d", "plain", (2, 2, 4, 5), 2),
    *pool("max_pool2d", "overlapping", (1, 2, 5, 5), 3, stride=1),
    *pool("max_pool2d", "padded", (2, 1, 4, 6), (2, 3), stride=(1, 2), padding=1),
    *pool("max_pool2d", "ceil", (1, 2, 5, 6), 2, stride=(2, 3), ceil_mode=True),
    *pool("max_pool2d", "ceil-padded", (1, 1, 6, 7), 3, stride=4, padding=1, ceil_mode=True),
    *pool("max_pool2d", "dilation", (1, 2, 5, 7), 2, stride=1, dilation=(2, 3)),
    *pool("max_pool2d", "gaps", (1, 1, 5, 7), 2, stride=3),
    case("max_pool2d-one-image", lambda x: F.max_pool2d(x, 2), (2, 4, 4), ref=lambda x: ref.max_pool2d(x[None], 2)[0]),
    *pool("avg_pool2d", "plain", (2, 2, 4, 5), 2),
    *pool("avg_pool2d", "overlapping", (1, 2, 5, 5), 3, stride=1),
    *pool("avg_pool2d", "padded", (2, 1, 4, 6), (2, 3), stride=(1, 2), padding=1),
    *pool("avg_pool2d", "padding-not-counted", (1, 2, 5, 4), 3, stride=2, padding=1, count_include_pad=False),
    *pool("avg_pool2d", "ceil", (1, 2, 5, 6), 2, stride=(2, 3), ceil_mode=True),
    *pool("avg_pool2d", "ceil-padded", (1, 1, 6, 7), 3, stride=4, padding=1, ceil_mode=True),
    *pool("avg_pool2d", "gaps", (1, 1, 5, 7), 2, stride=3, divisor_override=3),
    case("avg_pool2d-one-image", lambda x: F.avg_pool2d(x, 2), (2, 4, 4), ref=lambda x: ref.avg_pool2d(x[None], 2)[0]),
    *shares("padded", (2, 5, 4), lambda x: ref.avg_pool2d(x, (3, 2), (2, 1), 1), rows=strided(3, 2, 1, 3),
        cols=strided(2, 1, 1, 5), padding=True),
    *shares("divisor", (2, 3, 4), lambda x: ref.avg_pool2d(x, 2, divisor_override=3), rows=strided(2, 2, 0, 1),
        cols=strided(2, 2, 0, 2), divisor=3),
    *shares("adaptive", (2, 4, 7), lambda x: ref.adaptive_pool2d(x, (1, 3), np.mean), rows=adaptive_walk(4, 1),
        cols=adaptive_walk(7, 3)),
    *adaptive("global", (2, 3, 3, 4), 1),
    *adaptive("dividing", (1, 2, 6, 4), (3, 2)),
    *adaptive("overlapping", (1, 2, 5, 7), (3, 2)),
    *adaptive("more-than-there-are", (1, 1, 3, 4), (5, 6)),
    case("adaptive_avg_pool2d-one-image", lambda x: F.adaptive_avg_pool2d(x, (None, 2)), (2, 3, 4),
        ref=lambda x: ref.adaptive_pool2d(x[None], (3, 2), np.mean)[0]),
    case("adaptive_max_pool2d-one-image", lambda x: F.adaptive_max_pool2d(x, (2, None)), (2, 3, 3),
        ref=lambda x: ref.adaptive_pool2d(x[None], (2, 3), np.max)[0]),
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
    case("batch_norm-weight-alone", lambda x, w: batch_norm(x, None, None, w, None, True), (4, 2), (2,),
        ref=lambda x, w: ref.batch_norm(x, w, eps=1e-2)),
    case("batch_norm-eval", lambda x, w, b, m, v: batch_norm(x, m, v, w, b, False), (2, 2, 2, 2), (2,), (2,),
        c=(np.array([0.3, -1.0]), np.array([0.5, 2.0])),
        ref=lambda x, w, b, m, v: ref.batch_norm(x, w, b, m, v, 1e-2), rows=(0,)),
    case("batch_norm-eval-bare", lambda x, m, v: batch_norm(x, m, v, None, None, False), (2, 2), (2,), Positive((2,)),
        ref=lambda x, m, v: ref.batch_norm(x, None, None, m, v, 1e-2), rows=(0,)),
    case("batch_norm-train-relu",
        lambda x, w, b: F.batch_norm(x, None, None, w, b, True, eps=1e-2, activation="relu"), (3, 2, 2, 2), (2,), (2,),
        ref=lambda x, w, b: np.maximum(ref.batch_norm(x, w, b, eps=1e-2), 0)),
    case("batch_norm_relu-outputs", lambda x: P.batch_norm_relu(x, None, None, eps=1e-2), (5, 2),
        ref=lambda x: (np.maximum(ref.batch_norm(x, eps=1e-2), 0), x.mean(0), x.var(0))),
    case("batch_norm-eval-relu",
        lambda x, w, b, m, v: F.batch_norm(x, m, v, w, b, eps=1e-2, activation="relu"), (2, 2, 2, 2), (2,), (2,),
        c=(np.array([0.3, -1.0]), np.array([0.5, 2.0])),
        ref=lambda x, w, b, m, v: np.maximum(ref.batch_norm(x, w, b, m, v, 1e-2), 0), rows=(0,)),
    case("batch_norm_backward", lambda g, x, w, v, m: P.batch_norm_backward(g, x, None, w, m, v, eps=1e-2),
        (3, 2, 2, 2), (3, 2, 2, 2), (2,), Positive((2,)), c=np.array([0.3, -0.2]),
        ref=lambda g, x, w, v, m: ref.batch_norm_backward(g, x, w, v, 1e-2)),
    case("batch_norm_backward-relu", lambda g, x, v, m, y: P.batch_norm_backward(g, x, y, None, m, v, eps=1e-2),
        (4, 2), (4, 2), Positive((2,)), c=(np.array([0.3, -0.2]), np.arange(-3.0, 5.0).reshape(4, 2)),
        ref=lambda g, x, v, m, y: ref.batch_norm_backward(g * (y > 0), x, np.ones(2), v, 1e-2)),
    case("layer_norm_backward", lambda g, x, w: P.layer_norm_backward(g, x, w, dims=1, eps=1e-2), (3, 4), (3, 4), (4,),
        ref=lambda g, x, w: ref.layer_norm_backward(g, x, w, 1e-2), rows=(0, 1)),
    case("layer_norm_backward-bare", lambda g, x: P.layer_norm_backward(g, x, None, dims=1, eps=1e-2), (2, 3), (2, 3),
        ref=lambda g, x: ref.layer_norm_backward(g, x, np.ones(3), 1e-2)[:1], rows=(0, 1)),
    case("layer_norm", lambda x, w, b: F.layer_norm(x, 4, w, b, 1e-2), (3, 4), (4,), (4,),
        ref=lambda x, w, b: ref.layer_norm(x, 1, w, b, 1e-2), rows=(0,)),
    case("layer_norm-2-axes", lambda x, w: F.layer_norm(x, (3, 2), w, None, 1e-2), (2, 2, 3, 2), (3, 2),
        ref=lambda x, w: ref.layer_norm(x, 2, w, None, 1e-2), rows=(0,)),
    case("layer_norm-bias-alone", lambda x, b: F.layer_norm(x, (4,), None, b, 1e-2), (2, 4), (4,),
        ref=lambda x, b: ref.layer_norm(x, 1, None, b, 1e-2), rows=(0,)),
    case("layer_norm-bare", lambda x: F.layer_norm(x, (5,), eps=1e-2), (5,),
        ref=lambda x: ref.layer_norm(x, 1, None, None, 1e-2)),
    case("dropout", lambda x: F.dropout(x, 0.4, generator=gf.Generator(3)), (3, 4), randomness="same",
        ref=lambda x: x / 0.6 * (F.dropout(gf.ones(3, 4), 0.4, generator=gf.Generator(3)).numpy() > 0)),
    case("dropout-all", lambda x: F.dropout(x, 1.0, generator=gf.Generator(3)), (3, 4), randomness="same",
        ref=np.zeros_like),
    case("dropout-off", lambda x: F.dropout(x, 0.4, training=False) * F.dropout(x, 0.0), (3, 4), ref=np.square,
        rows=(0,)),
    case("dropout-rows", lambda x: P.dropout(x, key=(5, 7), p=0.3, mask_shape=(4,)), (3, 4), rows=(0,),
        ref=lambda x: x / 0.7 * (np.random.Philox(key=5, counter=7).random_raw(2).view("u4") >= 0.3 * 2**32)),
    case("random", numbers, (3,), randomness="same", ref=lambda x: numbers(gf.tensor(x)).numpy()),
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
    case("cross_entropy-probabilities-sum", lambda x, q: F.cross_entropy(x, gf.sigmoid(q), reduction="sum"), (3, 4),
        (3, 4), ref=lambda x, q: 3 * ref.soft_cross_entropy(x, 1 / (1 + np.exp(-q))), rows=(0, 1)),
    case("softmax_cross_entropy_probabilities",
        lambda x, q, w: P.softmax_cross_entropy_probabilities(x, q, w, label_smoothing=0.2), (2, 3), (2, 3),
        c=WEIGHTS[:3], ref=lambda x, q, w: [ref.soft_cross_entropy(a[None], b[None], w, 0.2) for a, b in
            zip(x, q, strict=True)]),
    case("cross_entropy_mean", lambda x, t: P.cross_entropy_mean(x, t, None, ignore_index=3), (3,), c=LABELS,
        ref=lambda x, t: x.sum() / 2),
    case("cross_entropy_mean-weight", lambda x, t, w: P.cross_entropy_mean(x, t, w, ignore_index=3), (3,),
        c=(LABELS, WEIGHTS), ref=lambda x, t, w: x.sum() / 2.5),
    case("cross_entropy_scale", lambda g, s, t: P.cross_entropy_scale(g, s, t, ignore_index=3), (3,), (3, 4), c=LABELS,
        ref=lambda g, s, t: (g * (t != 3))[:, None] * s, rows=(0, 1), constant_rows=(0,), mixed=False),
    case("embedding", lambda w, i: F.embedding(i, w), (5, 3), c=ROWS, ref=lambda w, i: w[i], constant_rows=(0,)),
    case("embedding-padding", lambda w, i: F.embedding(i, w, padding_idx=-1), (5, 3), c=ROWS, ref=lambda w, i: w[i],
        constant_rows=(0,), numeric=False),
    case("embedding_backward", lambda g, i: P.embedding_backward(g, i, rows=5, padding_idx=None), (2, 3, 2), c=ROWS,
        ref=lambda g, i: np.stack([g[i == k].sum(0) for k in range(5)]), rows=(0,), constant_rows=(0,)),
    case("embedding_backward-padding", lambda g, i: P.embedding_backward(g, i, rows=5, padding_idx=2), (2, 3), c=ROWS,
        ref=lambda g, i: np.array([g[i == k].sum() * (k != 2) for k in range(5)]), rows=(0,), constant_rows=(0,)),
    case("one_hot", lambda x, i: x * F.one_hot(i, 5), (2, 3, 5), c=ROWS, ref=lambda x, i: x * np.eye(5)[i], rows=(0,),
        constant_rows=(0,)),
]  # fmt: skip
