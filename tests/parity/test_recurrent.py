"""Recurrent layers and packed sequences against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from parity.modules import pair, refused, same_module, same_training
from parity.same import floats, integers, same, torch

import gradflow as gf

L, N, F, H = 4, 3, 5, 6
NAMES = ["RNN", "GRU", "LSTM"]
OPTIONS: list[dict[str, Any]] = [
    {}, {"num_layers": 2}, {"bidirectional": True}, {"num_layers": 2, "bidirectional": True}, {"bias": False},
    {"batch_first": True}, {"batch_first": True, "bidirectional": True, "num_layers": 3, "bias": False},
]  # fmt: skip
OWN = [
    *[(name, options) for name in NAMES for options in OPTIONS],
    ("RNN", {"nonlinearity": "relu"}), ("LSTM", {"proj_size": 2}),
    ("LSTM", {"proj_size": 3, "num_layers": 2, "bidirectional": True}),
]  # fmt: skip


def states(name: str, options: dict[str, Any], *batch: int) -> list[np.ndarray]:
    count = options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)
    h = floats(count, *batch, options.get("proj_size", H), seed=2)
    return [h, floats(count, *batch, H, seed=3)] if name == "LSTM" else [h]


def given(module: Any, t: Any, x: Any, *hx: Any) -> Any:
    return module(x, hx if len(hx) > 1 else hx[0])


@pytest.mark.parametrize("name, options", OWN, ids=str)
def test_layers(name: str, options: dict[str, Any]) -> None:
    def make(nn: Any) -> Any:
        return getattr(nn, name)(F, H, **options)

    x = floats(N, L, F) if options.get("batch_first") else floats(L, N, F)
    same_module(make, x)
    same_module(make, x, *states(name, options, N), call=given)
    same_module(make, floats(L, F))
    same_module(make, floats(1, F), *states(name, options), call=given)


LENGTHS = [[4, 2, 1], [1, 4, 2], [3, 3, 3], [2, 4, 4]]


@pytest.mark.parametrize("lengths", LENGTHS[1:3], ids=str)
@pytest.mark.parametrize("name, options", OWN, ids=str)
def test_packed_sequences(name: str, options: dict[str, Any], lengths: list[int]) -> None:
    def run(module: Any, t: Any, x: Any, *hx: Any) -> Any:
        rnn, first = t.nn.utils.rnn, module.batch_first
        packed = rnn.pack_padded_sequence(x, lengths, batch_first=first, enforce_sorted=False)
        y, last = module(packed, hx if len(hx) > 1 else hx[0] if hx else None)
        return y.data, rnn.pad_packed_sequence(y, first, -1.0, 5), last

    def make(nn: Any) -> Any:
        return getattr(nn, name)(F, H, **options)

    x = floats(N, L, F) if options.get("batch_first") else floats(L, N, F)
    same_module(make, x, call=run)
    same_module(make, x, *states(name, options, N), call=run)


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"nonlinearity": "relu"}])
@pytest.mark.parametrize("name", ["RNNCell", "GRUCell", "LSTMCell"])
def test_cells(name: str, options: dict[str, Any]) -> None:
    if "nonlinearity" in options and name != "RNNCell":
        return

    def make(nn: Any) -> Any:
        return getattr(nn, name)(F, H, **options)

    for batch in ((), (N,), (0,)):
        held = [floats(*batch, H, seed=i) for i in range(2 if name == "LSTMCell" else 1)]
        same_module(make, floats(*batch, F))
        same_module(make, floats(*batch, F), *held, call=given)
    assert repr(make(gf.nn)) == repr(make(torch.nn))


@pytest.mark.parametrize("lengths", [*LENGTHS, [1, 1, 1]], ids=str)
@pytest.mark.parametrize("shape", [(), (2,), (2, 3)])
def test_packing(shape: tuple[int, ...], lengths: list[int]) -> None:
    order = sorted(lengths, reverse=True)
    for x in (floats(L, N, *shape), integers(L, N, *shape)):
        for held, options in ((lengths, {"enforce_sorted": False}), (order, {})):

            def run(t: Any, x: Any, held: Any = held, options: Any = options) -> Any:
                rnn = t.nn.utils.rnn
                packed = rnn.pack_padded_sequence(x, t.tensor(held), **options)
                indices = [i for i in packed[2:] if i is not None]
                parts = rnn.unpack_sequence(packed)
                again = rnn.pack_sequence(parts, enforce_sorted=False)
                return list(packed[:2]), indices, rnn.pad_packed_sequence(packed, True, 2.0), parts, again.data

            same(run, x)


def test_a_packed_sequence_made_by_hand() -> None:
    def run(t: Any, x: Any) -> Any:
        rnn, order = t.nn.utils.rnn, t.tensor([2, 0, 1])
        packed = rnn.PackedSequence(x, t.tensor([3, 1]), order)
        return rnn.pad_packed_sequence(packed), rnn.invert_permutation(order), packed.unsorted_indices

    same(run, floats(4, 2))


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding(side: str, batch_first: bool) -> None:
    def run(t: Any, *xs: Any) -> Any:
        rnn = t.nn.utils.rnn
        padded = rnn.pad_sequence(xs, batch_first, 1.5, padding_side=side)
        mixed = rnn.pad_sequence([xs[1].detach().long(), xs[0]], batch_first, padding_side=side)
        return padded, mixed, rnn.unpad_sequence(padded.clone(), t.tensor([1, 2, 3]), batch_first)

    same(run, floats(3, 2), floats(1, 2), floats(4, 2))


def test_refusals() -> None:
    x = floats(L, N, F)
    for name in NAMES:
        for arguments, options in (
            ((0, 2), {}), ((2, 0), {}), ((2, 2, 0), {}), ((2, 2), {"dropout": 1.5}), ((2, 2), {"proj_size": 2}),
        ):  # fmt: skip
            refused(lambda nn, n=name, a=arguments, o=options: getattr(nn, n)(*a, **o))
        for operands in ([floats(L, N, 4)], [floats(F)], [floats(0, N, F)], [floats(1, 1, 1, F)]):
            refused(lambda nn, n=name: getattr(nn, n)(F, H), *operands)
        bad = [s[:, :1] for s in states(name, {}, N)]
        refused(lambda nn, n=name: getattr(nn, n)(F, H), x, *bad, call=given)
        refused(lambda nn, n=name: getattr(nn, n)(F, H).float(), x.astype("f4"))
    refused(lambda nn: nn.RNN(F, H, nonlinearity="sigmoid"))
    for lengths in ([1, 2, 3], [4, 0, 0], [5, 1, 1], [1, 1]):
        same(lambda t, x, n=lengths: t.nn.utils.rnn.pack_padded_sequence(x, n), x)


def test_representations_and_weights() -> None:
    for make in (
        lambda nn: nn.RNN(2, 3), lambda nn: nn.GRU(2, 3, 2, False, True, 0.5, True),
        lambda nn: nn.LSTM(2, 3, proj_size=1), lambda nn: nn.RNN(2, 3, 1, "relu"),
    ):  # fmt: skip
        ours, theirs = make(gf.nn), make(torch.nn)
        assert repr(ours) == repr(theirs)
        assert [[w.shape for w in ws] for ws in ours.all_weights] == [
            [w.shape for w in ws] for ws in theirs.all_weights
        ]


def test_dropout_between_layers() -> None:
    with pytest.warns(UserWarning, match="between layers"):
        gf.nn.LSTM(2, 3, dropout=0.5)
    layer, x = gf.nn.GRU(F, 50, 2, dropout=0.5), gf.randn(L, N, F)
    assert not np.allclose(layer(x)[0].detach().numpy(), layer(x)[0].detach().numpy())
    assert gf.nn.GRU(F, 5, 2, dropout=1.0)(x)[0].detach().numpy().any()  # not after the last layer
    layer.eval()
    assert np.array_equal(layer(x)[0].detach().numpy(), layer(x)[0].detach().numpy())


def test_25_steps_of_an_lstm() -> None:
    """A classifier of sequences, trained by SGD."""
    rng = np.random.default_rng(0)
    xs, labels = rng.standard_normal((25, 8, 6, F)), rng.integers(0, 4, (25, 8))

    def make(nn: Any) -> Any:
        class Net(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.lstm = nn.LSTM(F, 10, 2, batch_first=True, bidirectional=True)
                self.head = nn.Linear(20, 4)

            def forward(self, x: Any) -> Any:
                return self.head(self.lstm(x)[0][:, -1])

        return Net()

    same_training(pair(make), xs, labels, 0.1)
