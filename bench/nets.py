"""The four nets of the benchmarks, built with gradflow: `build("lenet")`. `gradflow bench` times the same ones."""

from __future__ import annotations

import gradflow as gf
from gradflow.cli.bench_peers import NETS, cnn, cnn_bn, lenet, mlp

__all__ = ["NETS", "build", "cnn", "cnn_bn", "lenet", "mlp"]


def build(name: str) -> gf.nn.Module:
    """A net for images (n, 1, 28, 28) and ten classes, with gradflow's initial weights."""
    model: gf.nn.Module = NETS[name](gf.nn)
    return model
