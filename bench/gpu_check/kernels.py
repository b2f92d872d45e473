"""Operations that move memory: how near each comes to a copy, and to PyTorch's same operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .book import Book
from .ceilings import copy
from .duel import Duel, Entry
from .place import Place, probe

SIZE = 1 << 26  # float32 elements of the operand: 256 MiB, more than any cache holds
SMALL = 1 << 12
FORWARD, BACKWARD, BOTH = "forward", "backward", "forward and backward"


@dataclass(frozen=True)
class Case:
    """An operation of one large operand x, and what it must move at the least, in sizes of x, in each pass timed.

    `call(lib, x, *parameters, constant)`; `shape(n)` is that of x of about n elements, `parameters(shape)` are those of
    weights, `constant(lib, shape)` is a further operand without a gradient.
    """

    call: Callable[..., Any]
    moved: Mapping[str, float]
    shape: Callable[[int], tuple[int, ...]] = lambda n: (n,)
    parameters: Callable[[tuple[int, ...]], Sequence[tuple[int, ...]]] = lambda shape: ()
    constant: Callable[[Any, tuple[int, ...]], Any] | None = None
    random: bool = False


def rows(columns: int) -> Callable[[int], tuple[int, ...]]:
    return lambda n: (max(2, n // columns), columns)


def images(size: int) -> Callable[[int], tuple[int, ...]]:
    return lambda n: (max(2, n // (64 * size * size)), 64, size, size) if n > SMALL else (2, 4, 8, 8)


def per_channel(shape: tuple[int, ...]) -> Sequence[tuple[int, ...]]:
    return (shape[1],), (shape[1],)


def labels(lib: Any, shape: tuple[int, ...]) -> Any:
    """Every class in turn, one for each row."""
    n, classes = shape
    return (lib.zeros(n // classes + 1, 1, dtype=lib.int64) + lib.arange(classes)).reshape(-1)[:n]


def indices(lib: Any, shape: tuple[int, ...]) -> Any:
    """As many as there are rows: each row of the first half twice, those of the second half not at all."""
    half = shape[0] // 2
    return (lib.zeros(1, 2, dtype=lib.int64) + lib.arange(half).reshape(-1, 1)).reshape(-1)


def _cross_entropy(lib: Any, x: Any, target: Any) -> Any:
    return lib.nn.functional.cross_entropy(x, target)


def _embedding(lib: Any, table: Any, chosen: Any) -> Any:
    return lib.nn.functional.embedding(chosen, table)


ELEMENTWISE, ROWS = {FORWARD: 2, BACKWARD: 3}, {FORWARD: 2, BACKWARD: 3}
CASES: dict[str, Case] = {
    "sigmoid": Case(lambda lib, x: lib.sigmoid(x), ELEMENTWISE),
    "tanh": Case(lambda lib, x: lib.tanh(x), ELEMENTWISE),
    "relu": Case(lambda lib, x: lib.relu(x), ELEMENTWISE),
    "gelu": Case(lambda lib, x: lib.nn.functional.gelu(x), ELEMENTWISE),
    "silu": Case(lambda lib, x: lib.nn.functional.silu(x), ELEMENTWISE),
    "softmax, 1,000 columns": Case(lambda lib, x: lib.softmax(x, 1), ROWS, rows(1000)),
    "log_softmax, 1,000 columns": Case(lambda lib, x: lib.log_softmax(x, 1), ROWS, rows(1000)),
    "cross_entropy, 10 classes": Case(_cross_entropy, {BOTH: 2}, rows(10), constant=labels),
    "cross_entropy, 1,000 classes": Case(_cross_entropy, {BOTH: 2}, rows(1000), constant=labels),
    "cross_entropy, 50,257 classes": Case(_cross_entropy, {BOTH: 2}, rows(50257), constant=labels),
    "max_pool2d, 2x2": Case(
        lambda lib, x: lib.nn.functional.max_pool2d(x, 2), {FORWARD: 1.25, BACKWARD: 1.25}, images(56)
    ),
    "avg_pool2d, 2x2": Case(
        lambda lib, x: lib.nn.functional.avg_pool2d(x, 2), {FORWARD: 1.25, BACKWARD: 1.25}, images(56)
    ),
    "adaptive_avg_pool2d, to 1x1": Case(
        lambda lib, x: lib.nn.functional.adaptive_avg_pool2d(x, 1), {FORWARD: 1, BACKWARD: 1}, images(56)
    ),
    "batch_norm": Case(
        lambda lib, x, w, b: lib.nn.functional.batch_norm(x, None, None, w, b, True),
        {FORWARD: 3, BACKWARD: 5},
        images(28),
        per_channel,
    ),
    "layer_norm, 1,024 columns": Case(
        lambda lib, x, w, b: lib.nn.functional.layer_norm(x, w.shape, w, b), ROWS, rows(1024), per_channel
    ),
    "bias of channels": Case(
        lambda lib, x, w, b: x + b.reshape(1, -1, 1, 1), {FORWARD: 2, BACKWARD: 1}, images(28), per_channel
    ),
    "unfold, 3x3": Case(
        lambda lib, x: lib.nn.functional.unfold(x, 3, padding=1),
        {FORWARD: 10, BACKWARD: 10},
        lambda n: images(28)(n // 8 + 1),
    ),
    "dropout": Case(lambda lib, x: lib.nn.functional.dropout(x, 0.5), {FORWARD: 2, BACKWARD: 2}, random=True),
    "embedding, 256 columns": Case(_embedding, {FORWARD: 1.5, BACKWARD: 2}, rows(256), constant=indices),
    "rand": Case(lambda lib, x: lib.rand(*x.shape, device=x.device), {FORWARD: 1}, random=True),
    "randn": Case(lambda lib, x: lib.randn(*x.shape, device=x.device), {FORWARD: 1}, random=True),
}
OPTIMIZERS = {"SGD with momentum": 5, "Adam": 7}  # read: weight, gradient, state; written: weight, state


def make(
    place: Place, *, case: str, kind: str = FORWARD, size: int
) -> tuple[Callable[[], Any], Callable[[], Any]]:  # fmt: skip
    """One pass of a case, or a step of an optimiser over 64 parameters of `size` elements in all."""
    from gradflow.cli.bench_peers import noise

    if case == "copy":
        return copy(place, size)
    if case in OPTIMIZERS:
        return optimizer_step(place, case, size)
    lib, chosen = place.lib, CASES[case]
    recorded = kind != FORWARD
    with place.default():
        shape = chosen.shape(size)
        shapes = (shape, *chosen.parameters(shape))
        x = [noise(lib, *s, scale=2.0, seed=i).requires_grad_(recorded) for i, s in enumerate(shapes)]
        constant = [] if chosen.constant is None else [chosen.constant(lib, shape)]

    def forward() -> Any:
        return chosen.call(lib, *x, *constant)

    def both() -> Any:
        y = forward()
        return lib.autograd.grad(y, x, lib.ones_like(y))

    if kind == FORWARD:
        return forward, lambda: None if chosen.random else probe(place, forward())
    if kind == BOTH:
        return both, lambda: probe(place, *both())
    y = forward()
    with place.default():
        g = noise(lib, *y.shape, seed=7)

    def backward() -> Any:
        return lib.autograd.grad(y, x, g, retain_graph=True, allow_unused=True)

    return backward, lambda: None if chosen.random else probe(place, *[t for t in backward() if t is not None])


def optimizer_step(place: Place, name: str, size: int) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """A step over 64 parameters whose gradients stay as they are."""
    from gradflow.cli.bench_peers import noise

    lib = place.lib
    with place.default():
        params = [noise(lib, size // 64, seed=i).requires_grad_() for i in range(64)]
        for i, p in enumerate(params):
            p.grad = noise(lib, size // 64, seed=100 + i)
    fused = {"fused": True} if place.library == "torch" and place.device == "cuda" else {}
    if name == "Adam":
        optimizer = lib.optim.Adam(params, lr=1e-3, **fused)
    else:
        optimizer = lib.optim.SGD(params, lr=1e-3, momentum=0.9, **fused)

    def check() -> list[float]:
        optimizer.step()
        optimizer.step()
        return probe(place, params[0], params[-1])

    return optimizer.step, check


def run(book: Book) -> None:
    """A table of all cases in float32; the share of a copy is that of the faster library's copy."""
    size = SMALL if book.small else SIZE
    seconds = 0.15
    best = None
    with Duel(book) as duel:
        for case, kind, moved in work():
            if book.left() < 3:
                book.leave_out(f"{case}, {kind}, and what comes after it")
                break
            options = {"case": case, "kind": kind, "size": size}
            entries = [Entry(lib, lib, __name__, options) for lib in ("gradflow", "torch")]
            timed = duel.run(f"{case}, {kind}", entries, seconds)
            ours, theirs = timed["gradflow"], timed.get("torch")
            elements = size if case == "copy" or case in OPTIMIZERS else _elements(CASES[case].shape(size))
            speed = [4 * moved * elements / t.seconds / 1e9 if t and t.seconds else None for t in (ours, theirs)]
            if best is None:
                best = max([s for s in speed if s] or [0.0]) or None
            cells: dict[str, Any] = {"operation": case, "pass": kind, "MB": 4e-6 * moved * elements, "ms": ours.ms}
            cells |= {"GB/s": speed[0], "of copy": speed[0] / best if speed[0] and best else None}
            cells |= {"PyTorch ms": theirs.ms if theirs else None, "ratio": ours.over(theirs)}
            remark = "; ".join([f"{label}: {t.error}" for label, t in timed.items() if t.error])
            book.add("float32; MB: the least that must be moved", {**cells, "remark": remark[:160]})


def work() -> list[tuple[str, str, float]]:
    """(case, pass, sizes of the operand moved), the copy first."""
    listed: list[tuple[str, str, float]] = [("copy", FORWARD, 2.0)]
    listed += [(name, "step", moved) for name, moved in OPTIMIZERS.items()]
    return listed + [(name, kind, moved) for name, case in CASES.items() for kind, moved in case.moved.items()]


def _elements(shape: tuple[int, ...]) -> int:
    count = 1
    for n in shape:
        count *= n
    return count
