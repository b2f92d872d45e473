"""`OutOfMemory`: what a training step would hold, as a line and as a table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Holding:
    """What the recorded calls of an operation in a layer keep for the backward pass, in bytes.

    layer is the dotted name of a module, "" where none of the model's called the operation.
    """

    op: str
    layer: str
    bytes: int

    def __str__(self) -> str:
        return f"{self.op} in layer {self.layer}" if self.layer else self.op


@dataclass(frozen=True)
class OutOfMemory:
    """The memory that training at a batch size takes.

    batch_size  the one that failed
    rows        what is kept for the backward pass at that size, largest first
    fixed       bytes of weights, buffers, gradients and the optimiser's state
    per_image   bytes that one image more takes
    needed      bytes at the most, with the temporaries of the moment when most is in use
    limit       bytes that were there for all that, None where unknown
    fits        the largest batch size that would fit with a margin; 0 where not even the smallest does, None where
                that cannot be said
    """

    batch_size: int
    rows: tuple[Holding, ...]
    fixed: int
    per_image: int
    needed: int
    limit: int | None
    fits: int | None

    @property
    def temporary(self) -> int:
        """Bytes at that moment that are neither fixed nor kept for the backward pass."""
        return max(0, self.needed - self.fixed - sum([row.bytes for row in self.rows]))

    @property
    def advice(self) -> str:
        """The options of `gradflow train` that would do."""
        size = self.batch_size // 2 if self.fits is None else rounded(self.fits)
        if size == 0:
            return "use a smaller model"
        part = next(n for n in range(size, 0, -1) if self.batch_size % n == 0)
        gathered = f"--batch-size {part} --accumulate {self.batch_size // part}"
        if part == size:
            return f"try {gathered}"
        return f"try --batch-size {size}" + (f", or {gathered}" if 4 * part > size else "")

    def table(self, count: int = 10) -> str:
        """What takes the memory at that batch size, a line each: the `count` largest, the rest, the sum."""
        lines = [(row.bytes, str(row)) for row in self.rows[:count]]
        rest = sum([row.bytes for row in self.rows[count:]])
        lines += [(rest, f"{len(self.rows) - count} others")] if rest else []
        lines += [(self.temporary, "temporaries"), (self.fixed, "weights, gradients and the optimiser's state")]
        lines += [(self.needed, f"in all, at batch size {self.batch_size}")]
        return "\n".join([f"{in_units(size):>12}  {text}" for size, text in lines])

    def __str__(self) -> str:
        if not self.needed:
            there = "" if self.limit is None else f" into the {in_units(self.limit)} that are there"
            return f"[train] out of memory: not even the smallest batch fits{there}; {self.advice}"
        there = "" if self.limit is None else f", {in_units(self.limit)} are there"
        largest = ", ".join([f"{r} ({in_units(r.bytes)})" for r in self.rows[:3]])
        return (
            f"[train] out of memory: batch size {self.batch_size} needs about {in_units(self.needed)}{there}; "
            f"largest: {largest}; {self.advice}"
        )


def in_units(count: float) -> str:
    """Bytes as people read them: `31.2 GiB`."""
    power = 0
    while count >= 1000 and power < 4:
        count, power = count / 1024, power + 1
    return f"{count:.1f} {'KMGT'[power - 1]}iB" if power else f"{count:.0f} B"


def rounded(size: int) -> int:
    """A batch size rounded down to a multiple of 32, 8 or 1, by how large it is."""
    step = 32 if size >= 64 else 8 if size >= 16 else 1
    return size - size % step
