"""The parity audit of the benchmark networks: every operation of a training step against NumPy."""

from __future__ import annotations

from gradflow.cli.audit import examine
from gradflow.cli.bench_peers import NETS
from gradflow.train.audit_report import HEADINGS, INSIDE

from .book import Book

BATCH = 128


def run(book: Book) -> None:
    """A table for each net; a fault for a net in which an operation diverges or a kernel fell back to array code."""
    for name in ("mlp", "lenet") if book.small else NETS:
        if book.left() < 5:
            book.leave_out(name)
            continue
        found = examine(name, book.device, 2 if book.small else BATCH, seed=0, tolerance=None)
        for row in sorted(found.rows, key=lambda row: list(HEADINGS).index(row.part)):
            cells = {"part": row.part, "op": row.op, "calls": row.calls}
            cells["device error"], cells["NumPy error"] = row.device_error, row.numpy_error
            cells["ms"] = row.seconds * 1e3
            cells["MB"] = row.bytes / 1e6 if row.bytes else None
            cells["of copy"] = row.bandwidth / found.copy_bandwidth if row.bytes else None
            cells["ran as"] = ", ".join([f"{n} {how}" for how, n in row.ran.items()])
            book.add(f"{name}, {2 if book.small else BATCH} images", cells)
            for reason in row.refusals:
                book.fault(f"{name}: {row.op} ran as array code: {reason}")
        plain = sorted({row.op for row in found.rows if row.part == INSIDE and "array code" in row.ran and row.bytes})
        if plain:
            book.note(f"{name}: without a kernel in the backward pass: {', '.join(plain)}.")
        if found.diverged:
            book.fault(f"{name}: first to diverge: {found.diverged}")
