"""The table of models."""

from __future__ import annotations

import json

import pytest

from gradflow.cli.models import run
from gradflow.models import MODELS


def test_the_table_has_a_line_for_each_model(capsys: pytest.CaptureFixture[str]):
    assert run() == 0
    header, *rest = capsys.readouterr().out.splitlines()
    rows, notes = rest[: len(MODELS)], rest[len(MODELS) :]
    assert header.split() == ["model", "parameters", "width", "images"]
    assert [row.split()[0] for row in rows] == list(MODELS)
    cnn = rows[list(MODELS).index("cnn")]
    assert " ".join(cnn.split()) == "cnn 29,066 16 from 4x4 three convolutions, ReLU"
    assert rows[list(MODELS).index("lenet")].split()[1:4] == ["61,706", "-", "28x28"]
    assert notes[0] == "Parameters are those for 10 classes and images of 1x28x28."
    assert max([len(line) for line in (header, *rest)]) <= 80


def test_the_table_as_json(capsys: pytest.CaptureFixture[str]):
    assert run(as_json=True) == 0
    found = {known["name"]: known for known in json.loads(capsys.readouterr().out)}
    assert list(found) == list(MODELS)
    assert found["resnet9"] == {
        "name": "resnet9",
        "about": "batch norm, quick to train",
        "width": 64,
        "smallest": 8,
        "parameters": 6571978,
        "images": "from 8x8",
    }
