"""One line of code run by gradflow and by PyTorch: values, gradients, second derivatives and result dtypes agree."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import gradflow as gf

torch = pytest.importorskip("torch")
torch.set_num_threads(1)  # tensors are small, and waiting threads would slow everything else down


class Line(NamedTuple):
    """run(t, nn, *inputs, *constants), where t is gradflow or torch and nn its nn.functional."""

    name: str
    run: Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...]
    constants: tuple[Any, ...] = ()


def line(name: str, run: Callable[..., Any], *shapes: tuple[int, ...], c: tuple[Any, ...] = ()) -> Line:
    return Line(name, run, shapes, tuple([np.asarray(k) for k in c]))


LABELS, WEIGHTS = np.array([1, 3, 0, 3]), np.array([0.5, 2.0, 1.0, 1.5])
MEAN, VAR = np.array([0.1, -0.4, 0.2]), np.array([0.5, 1.5, 2.0])
INDEX = np.array([2, 0, 2, 1])
LINES = [
    line("arithmetic", lambda t, nn, x, y: (1 - x) / (y * y + 1) + x**3 - 2**y, (2, 3), (3,)),
    line("ties", lambda t, nn, x: t.maximum(x * 0, x * 0) + t.minimum(x, x) + t.amax(x * 0 + x.detach(), 1, True) * x,
        (2, 3)),
    line("amax ties", lambda t, nn, x: t.amax(nn.relu(x), (0, 1)) + t.amin(nn.relu(x), 1), (3, 4)),
    line("kinks", lambda t, nn, x: t.abs(nn.relu(x) * 0 + nn.relu(x)) + t.sqrt(x * x), (2, 3)),
    line("unary", lambda t, nn, x: t.exp(x) * t.tanh(x) + t.sigmoid(x) * t.log(x * x + 1), (2, 3)),
    line("gelu", lambda t, nn, x: nn.gelu(x) * nn.gelu(x * 3, approximate="tanh"), (3, 4)),
    line("silu", lambda t, nn, x: nn.silu(x) + nn.silu(x * 5), (3, 4)),
    line("power at 0", lambda t, nn, x: nn.relu(x) ** 2 + (x * 0) ** 0, (2, 3)),
    line("var", lambda t, nn, x: t.var(x, (0, 2), correction=0) + t.var(x) + t.mean(x, 1, keepdim=True).sum(),
        (2, 3, 4)),
    line("max", lambda t, nn, x: t.max(x, 1)[0] * t.min(x, -1, keepdim=True).values.squeeze(-1) + t.max(x), (3, 4)),
    line("softmax", lambda t, nn, x: t.softmax(x, 0) * t.log_softmax(x, 1), (3, 4)),
    line("getitem", lambda t, nn, x, i: x[i, :, None, 1:] * x[:, i[:3] - 3, ..., None, 0].sum(), (3, 3, 4), c=(INDEX,)),
    line("split", lambda t, nn, x: t.cat([p * k for k, p in enumerate(t.split(x, 2, 1))], 1), (2, 5)),
    line("stack", lambda t, nn, x, y: t.stack([x, y], 1).flatten(1).unsqueeze(-1).expand(-1, -1, 2), (2, 3), (2, 3)),
    line("where", lambda t, nn, x, y: t.where(x > 0, x, y * y), (2, 3), (3,)),
    line("permute", lambda t, nn, x: x.permute(2, 0, 1).reshape(4, -1).transpose(0, 1) @ x.mT[0], (2, 3, 4)),
    *[
        line(f"matmul {a} {b}", lambda t, nn, x, y: t.matmul(x, y), a, b)
        for a, b in [((3,), (3,)), ((2, 3), (3,)), ((3,), (2, 3, 4)), ((5, 2, 3), (3, 4)), ((4, 1, 2, 3), (2, 3, 2))]
    ],
    line("linear", lambda t, nn, x, w, b: nn.linear(x, w, b), (2, 4, 3), (5, 3), (5,)),
    *[
        line(f"conv2d {k}", lambda t, nn, x, w, b, k=k: nn.conv2d(x, w, b, **k), (2, 4, 6, 5),
            (6, 4 // k.get("groups", 1), 3, 2), (6,))
        for k in [
            {}, {"stride": 2, "padding": 1}, {"padding": "same"}, {"dilation": (2, 3)}, {"groups": 2, "stride": (1, 3)},
            {"padding": "same", "dilation": (1, 3), "groups": 2}, {"padding": (3, 2)},
        ]
    ],
    *[
        line(f"unfold and fold {k}", lambda t, nn, x, k=k: nn.fold(nn.unfold(x, **k) ** 2, (5, 6), **k), (2, 3, 5, 6))
        for k in [
            {"kernel_size": 2}, {"kernel_size": (3, 2), "stride": (1, 2), "padding": (2, 1), "dilation": (1, 2)},
        ]
    ],
    *[
        line(f"max_pool2d {k}", lambda t, nn, x, k=k: nn.max_pool2d(x, **k), (2, 3, 7, 8))
        for k in [
            {"kernel_size": 2}, {"kernel_size": 3, "stride": 2, "padding": 1},
                {"kernel_size": (2, 3), "stride": 1, "dilation": 2},
            {"kernel_size": 3, "stride": (2, 4), "ceil_mode": True},
                {"kernel_size": 3, "stride": 5, "padding": 1, "ceil_mode": True},
        ]
    ],
    line("max_pool2d of equal elements", lambda t, nn, x: nn.max_pool2d(nn.relu(x), 3, 1, 1), (1, 2, 5, 5)),
    *[
        line(f"avg_pool2d {k}", lambda t, nn, x, k=k: nn.avg_pool2d(x, **k), (2, 3, 7, 8))
        for k in [
            {"kernel_size": 2}, {"kernel_size": 3, "stride": 2, "padding": 1},
            {"kernel_size": (2, 3), "stride": 1, "padding": 1, "count_include_pad": False},
            {"kernel_size": 3, "stride": (2, 4), "ceil_mode": True},
            {"kernel_size": 3, "stride": 5, "padding": 1, "ceil_mode": True},
            {"kernel_size": (4, 2), "stride": 3, "padding": (2, 0), "ceil_mode": True, "count_include_pad": False},
            {"kernel_size": 2, "divisor_override": 3},
        ]
    ],
    *[
        line(f"adaptive_{kind}_pool2d {out}", lambda t, nn, x, kind=kind, out=out: getattr(nn,
            f"adaptive_{kind}_pool2d")(x, out), (2, 3, 7, 8))
        for kind in ("avg", "max") for out in (1, (7, 4), (3, 5), (None, 2), (9, 16))
    ],
    line("adaptive_max_pool2d of equal elements", lambda t, nn, x: nn.adaptive_max_pool2d(nn.relu(x), 3), (1, 2, 5, 7)),
    line("pooling of one image", lambda t, nn, x: nn.max_pool2d(x, 2) + nn.avg_pool2d(x, 2)
        + nn.adaptive_avg_pool2d(x, (3, 2)) + nn.adaptive_max_pool2d(x, (3, 2)), (2, 6, 5)),
    line("batch_norm train", lambda t, nn, x, w, b: nn.batch_norm(x, None, None, w, b, True), (4, 3, 2, 2), (3,), (3,)),
    line("batch_norm eval", lambda t, nn, x, w, b, m, v: nn.batch_norm(x, m, v, w, b, False, 0.1, 1e-3), (4, 3, 2),
        (3,), (3,), c=(MEAN, VAR)),
    *[
        line(f"layer_norm {shape}", lambda t, nn, x, w, b, shape=shape: nn.layer_norm(x, shape, w, b), (3, 4, 2), shape,
            shape)
        for shape in [(2,), (4, 2), (3, 4, 2)]
    ],
    line("layer_norm bare", lambda t, nn, x: nn.layer_norm(x, (4,), eps=1e-2), (3, 4)),
    line("dropout off", lambda t, nn, x: nn.dropout(x, 0.5, training=False) + nn.dropout(x, 1.0), (3, 4)),
    line("mse_loss", lambda t, nn, x, y: nn.mse_loss(x, y) + nn.mse_loss(x, y, reduction="sum"), (3, 4), (3, 4)),
    *[
        line(f"cross_entropy {k}", lambda t, nn, x, y, k=k: nn.cross_entropy(x, y, **k), (4, 4), c=(LABELS,))
        for k in [
            {}, {"reduction": "sum"}, {"reduction": "none"}, {"ignore_index": 3}, {"label_smoothing": 0.2},
            {"ignore_index": 3, "label_smoothing": 0.2},
        ]
    ],
    *[
        line(f"cross_entropy weighted {k}", lambda t, nn, x, y, w, k=k: nn.cross_entropy(x, y, w, **k), (4, 4),
            c=(LABELS, WEIGHTS))
        for k in [{}, {"reduction": "sum"}, {"ignore_index": 1, "label_smoothing": 0.3},
            {"reduction": "none", "label_smoothing": 0.3}]
    ],
    line("cross_entropy dense", lambda t, nn, x, y, w: nn.cross_entropy(x, y, w, label_smoothing=0.1), (2, 4, 2),
        c=(LABELS.reshape(2, 2), WEIGHTS)),
    line("cross_entropy of one row", lambda t, nn, x, y: nn.cross_entropy(x, y), (4,), c=(np.array(2),)),
    line("cross_entropy all ignored", lambda t, nn, x, y: nn.cross_entropy(x, y, reduction="sum"), (4, 4),
        c=(np.full(4, -100),)),
    line("cross_entropy probabilities", lambda t, nn, x, q: nn.cross_entropy(x, t.softmax(q, 1), label_smoothing=0.1),
        (3, 4), (3, 4)),
    *[
        line(f"cross_entropy probabilities {k}", lambda t, nn, x, q, w, k=k: nn.cross_entropy(x, q * q, w, **k), (4, 4),
            (4, 4), c=(WEIGHTS,))
        for k in [{}, {"reduction": "sum"}, {"reduction": "none", "label_smoothing": 0.3}, {"label_smoothing": 1.0}]
    ],
    line("cross_entropy probabilities of one row", lambda t, nn, x, q: nn.cross_entropy(x, q, label_smoothing=0.1),
        (4,), (4,)),
    line("cross_entropy probabilities 0 and 1", lambda t, nn, x, q: nn.cross_entropy(x, q), (4, 4),
        c=(np.eye(4)[LABELS],)),
    line("embedding", lambda t, nn, w, i: nn.embedding(i, w) * nn.embedding(i, w), (4, 3), c=(INDEX.reshape(2, 2),)),
    line("embedding padding", lambda t, nn, w, i: nn.embedding(i, w, padding_idx=-2) ** 2, (4, 3), c=(INDEX,)),
    line("one_hot", lambda t, nn, x, i: x * nn.one_hot(i) + nn.one_hot(i, 3), (4, 3), c=(INDEX,)),
    line("cross_entropy probabilities weighted", lambda t, nn, x, q, w: nn.cross_entropy(x,
        t.softmax(q, 1), w, reduction="none"), (3, 4, 2), (3, 4, 2), c=(WEIGHTS,)),
]  # fmt: skip


def outcome(lib: Any, functional: Any, make: Callable[[np.ndarray], Any], case: Line) -> list[np.ndarray]:
    """The value, the gradients and the second derivatives along fixed directions."""
    rng = np.random.default_rng(zlib.crc32(case.name.encode()))
    xs = [make(rng.standard_normal(s)).requires_grad_() for s in case.shapes]
    y = case.run(lib, functional, *xs, *[make(k) for k in case.constants])
    u = make(rng.standard_normal(tuple(y.shape)))
    loss = (u * (y + y * y / 2)).sum()
    first = lib.autograd.grad(loss, xs, create_graph=True)
    along = sum((g * make(rng.standard_normal(s))).sum() for g, s in zip(first, case.shapes, strict=True))
    second = lib.autograd.grad(along, xs, allow_unused=True, materialize_grads=True) if along.requires_grad else []
    return [v.detach().numpy() for v in (y, *first, *second)]


@pytest.mark.filterwarnings("ignore:Using padding='same'")  # PyTorch's, of a copy it makes
@pytest.mark.parametrize("case", LINES, ids=[case.name for case in LINES])
def test_values_and_derivatives(case: Line) -> None:
    found = outcome(gf, gf.nn.functional, gf.tensor, case)
    expected = outcome(torch, torch.nn.functional, lambda a: torch.from_numpy(np.array(a)), case)
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        assert np.linalg.norm(a - b) <= 1e-10 * max(np.linalg.norm(b), 1.0)


GRID = np.arange(20).reshape(4, 5)
NORMAL = np.random.default_rng(0).standard_normal((4, 5))
LOGITS = {
    "normal": NORMAL,
    "thousands": NORMAL * 1e3,
    "huge": NORMAL * 1e30,
    "-inf": np.where(GRID % 5 == 1, -np.inf, NORMAL),
    "inf": np.where(GRID == 7, np.inf, NORMAL),
    "a row of -inf": np.where(GRID // 5 == 2, -np.inf, NORMAL),
    "nan": np.where(GRID == 7, np.nan, NORMAL),
}
CLASS_WEIGHTS = [None, np.array([0.5, 2.0, 0.1, 1.5, 1.0]), np.array([0.0, 1.0, 0.5, 0.0, 2.0])]
CLASSES = [np.array([1, 0, 4, 3]), np.array([1, 2, 2, 3]), np.array([1, -100, 0, -100]), np.full(4, -100)]
PROBABILITIES = [np.random.default_rng(1).dirichlet(np.ones(5), 4), np.eye(5)[[1, 0, 4, 3]]]
REDUCTIONS, SMOOTHINGS = ("mean", "sum", "none"), (0.0, 0.1)


def assert_same_cross_entropy(x: np.ndarray, target: np.ndarray, weight: np.ndarray | None, **static: Any) -> None:
    """The loss, its gradient, and for ordinary logits the gradient of that one's square."""

    def outcome(lib: Any, make: Callable[[np.ndarray], Any]) -> list[np.ndarray]:
        logits, twice = make(x).requires_grad_(), x is NORMAL
        weights = None if weight is None else make(weight)
        loss = lib.nn.functional.cross_entropy(logits, make(target), weights, **static)
        (g,) = lib.autograd.grad(loss.sum(), [logits], create_graph=twice)
        second = lib.autograd.grad((g * g).sum(), [logits]) if twice else []
        return [v.detach().numpy() for v in (loss, g, *second)]

    expected = outcome(torch, lambda a: torch.from_numpy(a.copy()))
    with np.errstate(all="ignore"):
        found = outcome(gf, gf.tensor)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12 * np.nanmax(np.abs(b[np.isfinite(b)]), initial=1.0))


@pytest.mark.parametrize("kind", LOGITS)
def test_cross_entropy_of_classes(kind: str) -> None:
    """All combinations, but for ignored rows of infinite logits, whose gradient is 0 here and NaN in PyTorch."""
    x, top = LOGITS[kind], LOGITS[kind].max(1)
    for weight, target, reduction, smoothing, ignored in itertools.product(
        CLASS_WEIGHTS, CLASSES, REDUCTIONS, SMOOTHINGS, (-100, 2)
    ):
        if (ignored == 2 and (target < 0).any()) or not np.isfinite(top[target == ignored]).all():
            continue
        assert_same_cross_entropy(
            x, target, weight, reduction=reduction, label_smoothing=smoothing, ignore_index=ignored
        )


@pytest.mark.parametrize("kind", LOGITS)
def test_cross_entropy_of_probabilities(kind: str) -> None:
    """All combinations, but for infinite logits of classes of weight 0, which count nothing here and NaN in PyTorch."""
    x = LOGITS[kind]
    for weight, target, reduction, smoothing in itertools.product(CLASS_WEIGHTS, PROBABILITIES, REDUCTIONS, SMOOTHINGS):
        q = (target * (1 - smoothing) + smoothing / 5) * (1.0 if weight is None else weight)
        if (~np.isfinite(x) & (q == 0)).any():
            continue
        assert_same_cross_entropy(x, target, weight, reduction=reduction, label_smoothing=smoothing)


DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64"]
SCALARS = [True, 2, 1.5]


def dtype_of(x: Any) -> str:
    return str(x.dtype).removeprefix("torch.")


@pytest.mark.parametrize("op", ["add", "mul", "div", "where", "maximum"])
def test_result_dtypes(op: str) -> None:
    pytest.importorskip("ml_dtypes")

    def combine(t: Any, a: Any, b: Any) -> str:
        if op == "where":
            return dtype_of(t.where(t.tensor([True]), a, b))
        return dtype_of(getattr(t, op)(a, b))

    wrong = []
    kinds = [(d, s) for d in DTYPES for s in ((1,), ())]
    for (a, s), (b, r) in itertools.product(kinds, kinds):
        ours = combine(gf, gf.ones(s, dtype=a), gf.ones(r, dtype=b))
        theirs = combine(torch, torch.ones(s, dtype=getattr(torch, a)), torch.ones(r, dtype=getattr(torch, b)))
        if ours != theirs:
            wrong.append((a, s, b, r, ours, theirs))
    for (a, s), number in itertools.product(kinds, SCALARS if op != "maximum" else []):
        ours = combine(gf, gf.ones(s, dtype=a), number)
        theirs = combine(torch, torch.ones(s, dtype=getattr(torch, a)), number)
        if ours != theirs:
            wrong.append((a, s, number, (), ours, theirs))
    assert wrong == []
