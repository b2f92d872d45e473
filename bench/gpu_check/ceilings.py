"""What the device can do at most: large copies and large matrix products, by each library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .book import Book
from .duel import Duel, Entry
from .place import Place, dtypes_here, probe

COPY = 1 << 28  # float32 elements; the two arrays fill no cache
DTYPES = ("float32", "float16", "bfloat16")


def make(
    place: Place, *, what: str, size: int, dtype: str = "float32"
) -> tuple[Callable[[], Any], Callable[[], Any]]:  # fmt: skip
    """A copy of `size` float32 numbers, or the product of two matrices (size, size)."""
    lib = place.lib
    if what == "copy":
        return copy(place, size)
    from gradflow.cli.bench_peers import noise

    with place.default():
        a, b = [noise(lib, size, size, scale=size**-0.5, seed=s).to(getattr(lib, dtype)) for s in (0, 1)]
    return lambda: a @ b, lambda: probe(place, a @ b)


def copy(place: Place, size: int) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """target = source, on the arrays themselves."""
    with place.default():
        source, target = place.lib.ones(size), place.lib.zeros(size)
    if place.library == "torch":
        return lambda: target.copy_(source), lambda: probe(place, target.copy_(source))
    a, b = source.below, target.below

    def call() -> None:
        b[...] = a

    def check() -> list[float]:
        call()
        return probe(place, target)

    return call, check


def run(book: Book) -> None:
    """Copies in GB/s, counting bytes read and written; products in TFLOP/s, with TF32 off."""
    module = __name__
    with Duel(book) as duel:
        for size in (1 << 10, 1 << 12) if book.small else (COPY >> 6, COPY >> 3, COPY):
            entries = [Entry(lib, lib, module, {"what": "copy", "size": size}) for lib in ("gradflow", "torch")]
            for label, timed in duel.run("copy", entries, 0.3).items():
                speed = 2 * 4 * size / timed.seconds / 1e9 if timed.seconds else None
                cells = {"library": label, "MB copied": size * 4 / 1e6, "GB/s": speed, "spread": timed.spread}
                book.add("Copies, device to device", {**cells, "remark": timed.error or ""})
        size = 32 if book.small else 8192
        for dtype in dtypes_here(*DTYPES):
            if book.left() < 3:
                book.leave_out(f"products in {dtype}")
                continue
            options = {"what": "matmul", "size": size, "dtype": dtype}
            entries = [Entry(lib, lib, module, options) for lib in ("gradflow", "torch")]
            for label, timed in duel.run(f"matmul {dtype}", entries, 0.5, tolerant=dtype != "float32").items():
                speed = 2 * size**3 / timed.seconds / 1e12 if timed.seconds else None
                cells = {"library": label, "matrices": f"{size} x {size}", "dtype": dtype, "TFLOP/s": speed}
                book.add("Matrix products, TF32 off", {**cells, "ms": timed.ms, "remark": timed.error or ""})
