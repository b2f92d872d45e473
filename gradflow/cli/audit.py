"""`gradflow audit`: a training step of a small network, one operation at a time, on a device and on NumPy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from .. import nn
from ..backend import get_backend
from ..backend.base import Backend
from ..creation import manual_seed, rand, randint
from ..models import cnn
from ..nn.functional import cross_entropy
from ..train.audit import TOLERANCE, audit
from ..train.audit_report import DIVERGES, HEADINGS, Audit
from .bench_peers import NETS

if TYPE_CHECKING:
    from rich.console import Console

DEFAULT = "default"
BATCH, EMULATED_BATCH = 128, 8  # images; an emulated GPU takes its time
CLASSES = 10


def build(model: str) -> nn.Module:
    """A network for images (n, 1, 28, 28): one of the benchmarks' or, "default", the one `gradflow train` trains."""
    return cnn(CLASSES, (1, 28, 28)) if model == DEFAULT else NETS[model](nn)  # type: ignore[no-any-return]


def images_in(batch_size: int | None, backend: Backend) -> int:
    """The batch size that is asked for, or the one that suits the device."""
    return batch_size or (EMULATED_BATCH if backend.device.type == "emulated" else BATCH)


def examine(model: str, device: str | None, batch_size: int | None, seed: int, tolerance: float | None) -> Audit:
    """Audit a training step of a network on random images."""
    backend = get_backend(device)
    size = images_in(batch_size, backend)
    manual_seed(seed)
    network = build(model).to(backend.device)
    images, labels = rand(size, 1, 28, 28, device="cpu"), randint(0, CLASSES, (size,), device="cpu")
    return audit(
        lambda x, target: cross_entropy(network(x), target),
        images,
        labels,
        device=backend.device,
        tolerance=TOLERANCE if tolerance is None else tolerance,
    )


def render(found: Audit, console: Console) -> None:
    """Print an audit: the table, then what it amounts to."""
    from rich.text import Text

    for i, line in enumerate(found.lines()):
        style = "red" if DIVERGES in line else "bold" if i == 0 or line in HEADINGS.values() else ""
        console.print(Text(line, style=style), soft_wrap=True)


def run(
    *,
    model: str,
    device: str | None,
    batch_size: int | None,
    seed: int,
    tolerance: float | None,
    json_file: Path | None,
) -> int:
    """Audit and print; 0, or 1 where an operation diverges."""
    from rich.console import Console

    found = examine(model, device, batch_size, seed, tolerance)
    render(found, Console())
    if json_file is not None:
        json_file.write_text(json.dumps(found.as_dict(), indent=1) + "\n", encoding="utf-8")
    return 0 if found.ok else 1
