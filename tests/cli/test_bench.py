"""`gradflow bench`: the peers, their turns, and the table."""

from __future__ import annotations

import io
import sys
from importlib.util import find_spec

import pytest
from rich.console import Console

import gradflow as gf
from gradflow.cli import bench, bench_peers, bench_turns
from gradflow.cli.bench_turns import Peer, PeerError, Timing


def test_a_peer_is_timed_in_a_process_of_its_own():
    with Peer("gradflow") as peer:
        assert peer.facts["version"] == gf.__version__
        timing = bench_turns.race("tape", [peer], seconds=0.0)["gradflow"]
        assert len(timing.seconds) >= 3
        assert 0 < timing.median < 10
        with pytest.raises(PeerError, match=r"gradflow failed with KeyError: 'nothing'"):
            peer.ask(load="x", case="nothing", channels_last=False)


def test_a_peer_that_cannot_start_says_why():
    with pytest.raises(PeerError, match=r"no_such_library failed with ModuleNotFoundError"):
        Peer("no_such_library")


def test_variables_are_unset_for_a_peer(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GRADFLOW_DEVICE", "cuda")
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    environ = bench_turns.environ_for(["OPENBLAS_CORETYPE"])
    assert "OPENBLAS_CORETYPE" not in environ
    assert environ["GRADFLOW_DEVICE"] == "cpu"


def test_peers_that_compute_something_else_are_not_timed():
    assert bench_turns.agree([1.0, 0.0], [1.001, 1e-6])
    assert not bench_turns.agree([1.0], [1.01])
    assert not bench_turns.agree([1.0], [1.0, 1.0])
    assert not bench_turns.agree([float("nan")], [float("nan")])


@pytest.mark.parametrize("name", ["tape", "mlp", "lenet"])
def test_cases_compute_the_same_every_time(name: str):
    make = bench_peers.CASES[name].make
    first, second = [make(gf)[1]() for _ in range(2)]
    assert bench_turns.agree(first, second)
    assert len(first) > 1


def test_every_net_takes_its_images():
    for build in bench_peers.NETS.values():
        model = bench_peers.fill(gf, build(gf.nn))
        assert tuple(model(bench_peers.noise(gf, 2, 1, 28, 28)).shape) == (2, 10)


def test_a_timing_is_shown_as_median_and_spread():
    timing = Timing((0.001, 0.002, 0.003))
    assert timing.median == 0.002
    row = bench.Result("x", {"gradflow": timing, "torch": Timing((0.004,))}, unit="us", per=100)
    assert row.shown("gradflow") == "20.0 µs ±50 %"
    assert row.shown("torch") == "40.0 µs ±0 %"
    assert row.ratio == "0.50"
    assert bench.Result("y", {"gradflow": Timing((1.5416,))}).shown("gradflow") == "1542 ms ±0 %"


def test_the_command_prints_machine_versions_and_rows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(bench, "CASES", {"tape": bench_peers.CASES["tape"]})
    monkeypatch.setattr(bench, "find_spec", lambda name: None)
    monkeypatch.setenv("OPENBLAS_L2_SIZE", "1")
    assert bench.run() == 0
    out = capsys.readouterr().out
    assert "OPENBLAS_L2_SIZE=1 stands in for the CPU's real cache size" in " ".join(out.split())
    for word in (
        "machine ",
        f"gradflow  {gf.__version__}",
        "BLAS ",
        "recorded multiply",
        "µs",
        "import, ",
        "pip install torch",
    ):
        assert word in out
    assert "ratio" not in out


@pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")
def test_pytorch_stands_beside_gradflow():
    found = bench.measure(["tape", "lenet"], sys.executable, seconds=0.0)
    assert found.rows()[0] == ["", "gradflow", "PyTorch", "ratio"]
    assert [len(row) for row in found.rows()] == [4] * 4
    assert "PyTorch" in dict(found.facts)


@pytest.mark.parametrize("terminal", [True, False])
def test_the_table_fits_a_terminal(terminal: bool):
    both = {"gradflow": Timing((0.123, 0.123)), "torch": Timing((0.123, 0.123))}
    rows = [bench.Result(case.label, both) for case in bench_peers.CASES.values()]
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=80)
    bench.render(bench.Bench([("machine", "m")], rows, ["a note"]), console)
    shown = text.getvalue()
    assert shown.count("123 ms ±0 %") == 2 * len(rows)
    assert all(case.label in shown for case in bench_peers.CASES.values())
