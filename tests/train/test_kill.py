"""Training processes killed at random moments, within saves too: what is left always leads to the same weights."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import gradflow as gf

PROGRAM = Path(__file__).with_name("killing.py")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_thirty_kills_lead_to_the_same_weights(tmp_path: Path):
    environment = {**os.environ, "PYTHONPATH": str(Path(gf.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(tmp_path), "30", "0"],
        capture_output=True, text=True, timeout=300, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["ends"].count(-signal.SIGKILL) == 30
    assert set(found["ends"]) <= {-signal.SIGKILL, 0}, done.stderr  # a run may end before a life's time is up
    assert found["ends"][-1] == 0
    assert found["places"] >= 12  # they came in many places
    assert found["runs"] >= 1
    assert found["step"] == 144
    assert found["different"] == []
