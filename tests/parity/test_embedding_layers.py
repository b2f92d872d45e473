"""Embedding layers against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from parity.modules import pair, refused, same_module
from parity.same import floats, torch

import gradflow as gf

ROWS = np.array([[2, 0, 2], [1, 4, 2]])


@pytest.mark.parametrize(
    "options",
    [
        {}, {"padding_idx": 2}, {"padding_idx": -1}, {"max_norm": 0.5}, {"max_norm": 0.4, "norm_type": 1.0},
        {"scale_grad_by_freq": True}, {"max_norm": 0.5, "padding_idx": 0, "scale_grad_by_freq": True},
    ],
)  # fmt: skip
def test_embedding(options: dict[str, Any]) -> None:
    def make(nn: Any) -> Any:
        return nn.Embedding(5, 3, **options)

    same_module(make, ROWS)
    same_module(make, ROWS[0])
    assert repr(make(gf.nn)) == repr(make(torch.nn))
    ours, theirs = pair(make)
    ours(gf.tensor(ROWS)), theirs(torch.tensor(ROWS))
    assert np.allclose(ours.weight.detach().numpy(), theirs.weight.detach().numpy(), rtol=1e-12)


@pytest.mark.parametrize("freeze", [True, False])
def test_from_pretrained(freeze: bool) -> None:
    table = floats(5, 3)

    def make(nn: Any) -> Any:
        t = gf if nn is gf.nn else torch
        return nn.Embedding.from_pretrained(t.from_numpy(table.copy()), freeze, padding_idx=1, max_norm=2.0)

    def bags(nn: Any) -> Any:
        t = gf if nn is gf.nn else torch
        return nn.EmbeddingBag.from_pretrained(t.from_numpy(table.copy()), freeze, mode="sum", padding_idx=1)

    same_module(make, ROWS)
    same_module(bags, ROWS)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize(
    "options", [{}, {"padding_idx": 2}, {"max_norm": 0.5}, {"include_last_offset": True}, {"norm_type": 1.0}]
)
def test_embedding_bag(options: dict[str, Any], mode: str) -> None:
    offsets = np.array([0, 3, 3, 5] if options.get("include_last_offset") else [0, 3, 3])

    def make(nn: Any) -> Any:
        return nn.EmbeddingBag(5, 3, mode=mode, **options)

    same_module(make, ROWS)
    same_module(make, np.array([2, 0, 1, 4, 2]), call=lambda m, t, x: m(x, t.from_numpy(offsets)))
    if mode == "sum":
        same_module(make, floats(2, 3), call=lambda m, t, w: m(t.from_numpy(ROWS), per_sample_weights=w))
    assert repr(make(gf.nn)) == repr(make(torch.nn))


def test_starts_and_refusals() -> None:
    layer = gf.nn.Embedding(200, 50, padding_idx=3)
    for _ in range(2):
        w = layer.weight.detach().numpy()
        assert not w[3].any() and abs(w.std() - 1) < 0.05
        layer.weight.detach().fill_(5.0)
        layer.reset_parameters()
    refused(lambda nn: nn.Embedding(3, 2, padding_idx=3))
    refused(lambda nn: nn.Embedding(3, 2, padding_idx=-4))
    refused(lambda nn: nn.Embedding(3, 2), np.array([3]))
    refused(lambda nn: nn.Embedding(3, 2), np.array([-1]))
    offsets = np.array([0.0, 1.0])
    refused(lambda nn: nn.EmbeddingBag(3, 2), np.array([1, 2]), call=lambda m, t, x: m(x, t.from_numpy(offsets)))
    refused(lambda nn: nn.Embedding.from_pretrained((gf if nn is gf.nn else torch).zeros(3)))
    with pytest.raises(NotImplementedError, match="no sparse gradients"):
        gf.nn.Embedding(3, 2, sparse=True)
