"""A training step of each net: forward, cross entropy, backward, SGD with momentum, 128 images of 28x28."""

from __future__ import annotations

from typing import Any

import pytest
from nets import NETS

import gradflow as gf
from gradflow.cli.bench_peers import BATCH, training_step


@pytest.mark.parametrize("name", NETS)
def test_training_step(benchmark: Any, tell: Any, name: str) -> None:
    step, check = training_step(gf, net=NETS[name])
    exact = training_step(gf, net=NETS[name], dtype=gf.float64)[1]()
    assert check() == pytest.approx(exact, rel=1e-3)  # float32 computes what float64 does
    benchmark(step)
    tell("images per second", lambda seconds: round(BATCH / seconds))


@pytest.mark.parametrize("name", NETS)
def test_inference(benchmark: Any, name: str) -> None:
    model = NETS[name](gf.nn).eval()
    x = gf.randn(BATCH, 1, 28, 28)

    def step() -> gf.Tensor:
        with gf.no_grad():
            logits: gf.Tensor = model(x)
        return logits

    assert tuple(step().shape) == (BATCH, 10)
    benchmark(step)
