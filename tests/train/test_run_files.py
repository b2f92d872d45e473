"""The folder and the metrics file of a run."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from gradflow.train import MetricsFile, make_run_dir, metrics, read_metrics


def test_a_run_never_takes_the_folder_of_another(tmp_path: Path):
    root = tmp_path / "some" / "runs"
    assert [make_run_dir(root, "digits").name for _ in range(3)] == ["digits", "digits-2", "digits-3"]
    assert make_run_dir(root, "digits", name="mine") == root / "mine"
    with pytest.raises(FileExistsError, match=r"there is a run .*mine already; choose another name"):
        make_run_dir(root, "digits", name="mine")
    (root / "digits-2").rmdir()
    assert make_run_dir(root, "digits").name == "digits-2"


def test_a_file_in_the_way_counts_as_a_run(tmp_path: Path):
    (tmp_path / "digits").write_text("x")
    assert make_run_dir(tmp_path, "digits").name == "digits-2"


@pytest.mark.parametrize("name", ["", " ", ".", "..", "a/b", "../a", "/tmp/a", "a\\b", "a\nb", "a:b"])
def test_names_that_are_no_folder(tmp_path: Path, name: str):
    with pytest.raises(ValueError, match="cannot be the name of a folder"):
        make_run_dir(tmp_path / "runs", "digits", name=name)
    assert not (tmp_path / "runs").exists()


def test_a_root_that_is_a_file(tmp_path: Path):
    root = tmp_path / "runs"
    root.write_text("x")
    for place in (root, root / "deeper"):
        with pytest.raises(OSError, match="runs"):
            make_run_dir(place, "digits")


def test_metrics_are_json_lines(tmp_path: Path):
    file = MetricsFile(tmp_path / "m.jsonl")
    file.write("epoch", epoch=1, test_accuracy=0.5, test_loss=math.inf)
    file.write("final", test_accuracy=0.5, input_shape=(1, 8, 8))
    assert [json.loads(line) for line in file.path.read_text().splitlines()] == read_metrics(file.path)
    assert read_metrics(file.path) == [
        {"event": "epoch", "epoch": 1, "test_accuracy": 0.5, "test_loss": None},
        {"event": "final", "test_accuracy": 0.5, "input_shape": [1, 8, 8]},
    ]


def test_a_cut_last_line_is_passed_over_and_another_is_not(tmp_path: Path):
    path = tmp_path / "m.jsonl"
    path.write_text('{"a": 1}\n{"a": 2}\n{"a"')
    assert read_metrics(path) == [{"a": 1}, {"a": 2}]
    path.write_text('{"a": 1}\n{"a"\n{"a": 2}\n')
    with pytest.raises(ValueError, match="line 2 is not JSON"):
        read_metrics(path)


def test_metrics_on_a_full_disk(tmp_path: Path, monkeypatch):
    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(metrics, "open", full, raising=False)
    with pytest.raises(OSError, match=r"\[metrics\] cannot write .*m: No space left on device; free"):
        MetricsFile(tmp_path / "m").write("epoch")
