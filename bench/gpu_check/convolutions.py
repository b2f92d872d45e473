"""Convolutions in shapes of small CNNs, against PyTorch's, which has cuDNN search for its fastest algorithm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..shapes import Shape
from .book import Book
from .duel import Duel, Entry, Timed
from .place import Place, dtypes_here, probe

SHAPES = (
    Shape(512, 1, 32, 28),
    Shape(512, 32, 32, 28),
    Shape(512, 32, 64, 14),
    Shape(512, 64, 64, 14),
    Shape(512, 6, 16, 14, window=5, padding=0),
    Shape(128, 64, 64, 56),
    Shape(128, 64, 128, 56, stride=2),
    Shape(128, 256, 64, 28, window=1, padding=0),
    Shape(128, 64, 64, 28, groups=64),
)
SMALL = (Shape(2, 2, 4, 6), Shape(2, 4, 4, 5, window=1, padding=0))
HALVES = ("float16", "bfloat16")
LAYOUTS = ("contiguous", "channels_last")


def make(
    place: Place, *, shape: dict[str, int], dtype: str, backward: bool, channels_last: bool
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """A convolution; with `backward`, and its gradients of images and weights."""
    from gradflow.cli.bench_peers import noise

    s, lib = Shape(**shape), place.lib
    kind = getattr(lib, dtype)
    fan_in = s.c // s.groups * s.window**2
    with place.default():
        x = noise(lib, s.n, s.c, s.size, s.size).to(kind)
        w = noise(lib, s.k, s.c // s.groups, s.window, s.window, scale=fan_in**-0.5, seed=1).to(kind)
    if channels_last:
        x, w = [t.to(memory_format=lib.channels_last) for t in (x, w)]
    x.requires_grad_(backward)
    w.requires_grad_(backward)

    def forward() -> Any:
        return lib.nn.functional.conv2d(x, w, None, s.stride, s.padding, 1, s.groups)

    if not backward:
        return forward, lambda: probe(place, forward())
    with place.default():
        g = noise(lib, *forward().shape, seed=2).to(kind)
    if channels_last:
        g = g.to(memory_format=lib.channels_last)

    def step() -> Any:
        return lib.autograd.grad(forward(), [x, w], g)

    return step, lambda: probe(place, *step())


def run(book: Book) -> None:
    """float32 in all shapes, then 16-bit floats in the larger ones; PyTorch in both memory formats."""
    shapes = SMALL if book.small else SHAPES
    large = shapes[:1] if book.small else [s for s in shapes if s.c >= 32 and s.groups == 1]
    work = [(s, "float32", False) for s in shapes] + [(s, "float32", True) for s in shapes]
    work += [(s, dtype, True) for dtype in dtypes_here(*HALVES) for s in large]
    book.note("float32 on both sides is IEEE float32: TF32 is off. 16-bit products are summed in float32.")
    with Duel(book) as duel:
        for shape, dtype, backward in work:
            if book.left() < 3:
                book.leave_out(f"{shape} in {dtype} and what comes after it")
                break
            one(book, duel, shape, dtype, backward)


def one(book: Book, duel: Duel, shape: Shape, dtype: str, backward: bool) -> None:
    """A row: gradflow, PyTorch in both layouts, and the ratio to the faster of these."""
    common = {"shape": vars(shape), "dtype": dtype, "backward": backward}
    entries = [Entry("gradflow", "gradflow", __name__, {**common, "channels_last": False})]
    entries += [Entry(name, "torch", __name__, {**common, "channels_last": name == LAYOUTS[1]}) for name in LAYOUTS]
    passes = "forward and backward" if backward else "forward"
    timed = duel.run(f"{shape}, {dtype}, {passes}", entries, 0.12, tolerant=dtype != "float32")
    ours = timed["gradflow"]
    best = min([timed[k] for k in LAYOUTS if k in timed and timed[k].seconds], key=_seconds, default=None)
    flops = shape.flops * (3 if backward else 1)
    cells: dict[str, Any] = {"convolution": str(shape), "dtype": dtype, "pass": passes, "ms": ours.ms}
    cells["TFLOP/s"] = flops / ours.seconds / 1e12 if ours.seconds else None
    for name in LAYOUTS:
        cells[f"PyTorch {name} ms"] = timed[name].ms if name in timed else None
    cells["ratio"] = ours.over(best)
    cells["remark"] = "; ".join([f"{label}: {t.error}" for label, t in timed.items() if t.error])[:160]
    book.add("", cells)


def _seconds(timed: Timed) -> float:
    return timed.seconds or 0.0
