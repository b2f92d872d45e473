"""The table of epochs at the end of a run: its columns and rows, and which are shown where room is short."""

from __future__ import annotations

import io
import math
import re
from dataclasses import replace

import pytest

from gradflow.train.progress import Plain
from gradflow.train.report import EpochReport, Scores
from gradflow.train.table import table_lines

EPOCH = EpochReport(2, 12, 90, Scores(0.25, 0.9375), Scores(0.3, 0.98611), 0.001, 1.5, 12_345.6, 300 << 20, 120.0)


def reports(count: int, best: int | None = None, **changes) -> list[EpochReport]:
    """A history of `count` epochs, of which number `best` is the best; None: no tests were made."""
    return [
        replace(
            EPOCH,
            epoch=i,
            epochs=count,
            test=None if best is None else Scores(0.3, 0.98 if i == best else 0.5),
            **changes,
        )
        for i in range(1, count + 1)
    ]


def test_a_table():
    history = [
        replace(EPOCH, epoch=9, test=None, lr=1e-3, seconds=1234.56),
        replace(EPOCH, epoch=10, lr=2.5e-05, images_per_second=99.6),
    ]
    assert [text for text, _ in table_lines(history)] == [
        "epoch    loss  accuracy  test loss  test accuracy       lr  images/s  seconds   memory",
        "    9  0.2500   93.75 %                              0.001    12,346  1,234.6  300 MiB",
        "   10  0.2500   93.75 %     0.3000        98.61 %  2.5e-05       100      1.5  300 MiB  best",
    ]
    assert [style for _, style in table_lines(history)] == ["bold", None, "bold green"]


def test_a_table_of_nothing():
    assert table_lines([]) == []
    stream = io.StringIO()
    Plain(stream).table([])
    assert stream.getvalue() == ""


def test_columns_that_say_nothing_are_left_out_of_a_table():
    head, row = [text for text, _ in table_lines(reports(1, memory=None))]
    assert head == "epoch    loss  accuracy     lr  images/s  seconds"
    assert "best" not in row


def test_the_first_of_equals_is_the_best():
    history = [replace(EPOCH, epoch=i, test=Scores(0.1, share)) for i, share in enumerate([math.nan, 0.5, 0.9, 0.9], 1)]
    marked = [text.split()[0] for text, _ in table_lines(history) if text.endswith("best")]
    assert marked == ["3"]


@pytest.mark.parametrize(
    ("count", "best", "rows", "shown"),
    [
        (8, 4, 8, "1 2 3 4 5 6 7 8"),
        (9, 9, 8, "1 2 ... 5 6 7 8 9"),
        (50, 1, 10, "1 2 3 ... 45 46 47 48 49 50"),
        (50, 25, 10, "1 2 ... 25 ... 46 47 48 49 50"),
        (50, 3, 10, "1 2 3 ... 45 46 47 48 49 50"),
        (50, 4, 10, "1 2 3 4 ... 46 47 48 49 50"),  # no gap of one row
        (50, None, 10, "1 2 3 ... 45 46 47 48 49 50"),
        (50, 25, 1, "1 ... 25 ... 50"),
        (6, 3, 5, "1 2 3 ... 6"),
    ],
)
def test_long_tables_are_shortened_in_the_middle(count: int, best: int | None, rows: int, shown: str):
    lines = [text for text, _ in table_lines(reports(count, best), rows=rows)][1:]
    assert [line.split()[0] for line in lines] == shown.split()
    assert len(lines) <= max(rows, 5)


def test_a_table_fits_in_its_width():
    history = reports(3, best=2)
    columns = []
    for width in range(1, 120):
        lines = [text for text, _ in table_lines(history, width)]
        columns.append(len(re.split("  +", lines[0].strip())))
        assert all(len(line) <= max(width, len("epoch  best")) for line in lines)
        assert lines[2].endswith("best")
    assert columns == sorted(columns)
    assert {*columns} == {*range(1, 10)}  # one by one
