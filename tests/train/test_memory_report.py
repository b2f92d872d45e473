"""What is said of a step that does not fit: the line, the table, the options that would do."""

from __future__ import annotations

from typing import Any

import pytest

from gradflow.train.memory_report import Holding, OutOfMemory, in_units, rounded

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
ROWS = (Holding("conv2d", "2.0", 12 * GIB), Holding("relu", "3", 6 * GIB), Holding("exp", "", 2 * GIB))


def report(batch_size: int = 512, fits: int | None = 400, **options: Any) -> OutOfMemory:
    return OutOfMemory(
        **{
            "batch_size": batch_size, "rows": ROWS, "fixed": GIB, "per_image": 60 * MIB, "needed": 31 * GIB,
            "limit": 24 * GIB, "fits": fits, **options,
        }
    )  # fmt: skip


def test_the_line_and_the_table() -> None:
    assert str(report()) == (
        "[train] out of memory: batch size 512 needs about 31.0 GiB, 24.0 GiB are there; largest: conv2d in layer 2.0 "
        "(12.0 GiB), relu in layer 3 (6.0 GiB), exp (2.0 GiB); try --batch-size 384, or --batch-size 256 --accumulate 2"
    )
    assert report().table(2).splitlines() == [
        "    12.0 GiB  conv2d in layer 2.0",
        "     6.0 GiB  relu in layer 3",
        "     2.0 GiB  1 others",
        "    10.0 GiB  temporaries",
        "     1.0 GiB  weights, gradients and the optimiser's state",
        "    31.0 GiB  in all, at batch size 512",
    ]


@pytest.mark.parametrize(
    ("batch_size", "fits", "advice"),
    [
        (512, 300, "try --batch-size 288, or --batch-size 256 --accumulate 2"),
        (512, 130, "try --batch-size 128 --accumulate 4"),
        (512, 0, "use a smaller model"),
        (1, None, "use a smaller model"),
        (97, 50, "try --batch-size 48"),
        (96, None, "try --batch-size 48 --accumulate 2"),
        (10, 7, "try --batch-size 7, or --batch-size 5 --accumulate 2"),
    ],
)
def test_the_advice(batch_size: int, fits: int | None, advice: str) -> None:
    assert report(batch_size, fits).advice == advice


def test_sizes_in_words() -> None:
    assert [in_units(n) for n in (0, 999, 1000, 1536 * KIB, 40 << 40)] == [
        "0 B",
        "999 B",
        "1.0 KiB",
        "1.5 MiB",
        "40.0 TiB",
    ]
    assert [rounded(n) for n in (1, 15, 16, 23, 63, 64, 100)] == [1, 15, 16, 16, 56, 64, 96]
