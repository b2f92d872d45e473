"""Attention, transformers and recurrent layers: errors, masks, transforms, and sequences of different lengths."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernels.harness import DEVICES, randoms

import gradflow as gf
from gradflow.nn import functional as F
from gradflow.nn.utils import rnn

every_device = pytest.mark.parametrize("device", ["cpu", *DEVICES])


def tensor(*shape: int, device: Any = "cpu") -> Any:
    return gf.tensor(randoms(shape), dtype=gf.float32, device=device)


def host(x: Any) -> np.ndarray:
    return x.detach().numpy()


@every_device
def test_a_causal_encoder_does_not_look_ahead(device: str) -> None:
    layer = gf.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, device=device).eval()
    x, mask = tensor(2, 5, 8, device=device), gf.nn.Transformer.generate_square_subsequent_mask(5, device=device)
    later = x.clone()
    later[:, 3:] = 7.0
    for options in ({}, {"is_causal": True}):
        a, b = [host(layer(z, mask, **options)) for z in (x, later)]
        assert np.allclose(a[:, :3], b[:, :3], atol=1e-6) and not np.allclose(a[:, 3:], b[:, 3:])


@every_device
def test_padding_is_not_seen(device: str) -> None:
    layer = gf.nn.MultiheadAttention(8, 2, batch_first=True, device=device)
    x, hidden = tensor(2, 5, 8, device=device), gf.zeros(2, 5, dtype=bool, device=device)
    hidden[:, 3:] = True
    changed = x.clone()
    changed[:, 3:] = 9.0
    a, b = [layer(x, z, z, key_padding_mask=hidden) for z in (x, changed)]
    assert np.allclose(host(a[0]), host(b[0]), atol=1e-6)
    assert not host(a[1])[:, :, 3:].any() and np.allclose(host(a[1]).sum(-1), 1)


@every_device
@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM"])
def test_a_packed_batch_is_its_sequences_one_by_one(name: str, device: str) -> None:
    layer = getattr(gf.nn, name)(3, 4, 2, bidirectional=True, device=device)
    parts = [tensor(n, 3, device=device) for n in (2, 5, 3)]
    y, last = layer(rnn.pack_sequence(parts, enforce_sorted=False))
    outputs = rnn.unpack_sequence(y)
    for i, part in enumerate(parts):
        alone, end = layer(part)
        assert np.allclose(host(outputs[i]), host(alone), atol=1e-6)
        for a, b in zip(last if name == "LSTM" else [last], end if name == "LSTM" else [end], strict=True):
            assert np.allclose(host(a)[:, i], host(b), atol=1e-6)


@pytest.mark.parametrize("make", [lambda: gf.nn.LSTM(8, 8), lambda: gf.nn.TransformerEncoderLayer(8, 2, 16, 0.0)])
def test_vmap_over_a_layer_is_the_layer_on_each(make: Any) -> None:
    layer, xs = make(), tensor(3, 5, 2, 8)

    def call(x: Any) -> Any:
        y = layer(x)
        return y[0] if isinstance(y, tuple) else y

    found = host(gf.func.vmap(call)(xs))
    assert np.allclose(found, np.stack([host(call(x)) for x in xs]), atol=1e-5)


def test_copies_of_a_layer_start_alike_but_those_of_a_transformer_do_not() -> None:
    encoder = gf.nn.TransformerEncoder(gf.nn.TransformerEncoderLayer(4, 2, 8), 2)
    both = [host(layer.linear1.weight) for layer in encoder.layers]
    assert np.array_equal(*both) and encoder.layers[0].linear1.weight is not encoder.layers[1].linear1.weight
    model = gf.nn.Transformer(4, 2, 2, 1, 8)
    assert not np.array_equal(*[host(layer.linear1.weight) for layer in model.encoder.layers])


def test_weights_start_within_their_bounds() -> None:
    gf.manual_seed(0)
    attention = gf.nn.MultiheadAttention(256, 2, add_bias_kv=True)
    assert not host(attention.in_proj_bias).any() and not host(attention.out_proj.bias).any()
    assert 0.95 < np.abs(host(attention.in_proj_weight)).max() / np.sqrt(6 / (4 * 256)) <= 1
    assert 0.8 < host(attention.bias_k).std() * 16 < 1.2
    for layer in (gf.nn.LSTM(100, 25, 2), gf.nn.GRUCell(100, 25)):
        for _ in range(2):
            assert all([0.9 < np.abs(host(p)).max() / 0.2 <= 1 for p in layer.parameters()])
            layer.reset_parameters()


def test_dropout_of_attention_and_transformers_in_training_only() -> None:
    x, zeros = tensor(4, 2, 8), np.zeros((4, 2, 8))
    attention = gf.nn.MultiheadAttention(8, 2, dropout=1.0)
    for need_weights in (True, False):
        assert np.array_equal(host(attention.train()(x, x, x, need_weights=need_weights)[0]), zeros)
        assert host(attention.eval()(x, x, x, need_weights=need_weights)[0]).any()
    for kind in (gf.nn.TransformerEncoderLayer, gf.nn.TransformerDecoderLayer):
        layer = kind(8, 2, 16, dropout=1.0, norm_first=True)
        operands = [x] * (1 if kind is gf.nn.TransformerEncoderLayer else 2)
        assert np.array_equal(host(layer(*operands)), host(x)) and (host(layer.eval()(*operands)) != host(x)).any()
    layer = gf.nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, norm_first=True)
    layer.dropout.p = layer.dropout1.p = 1.0  # that of the hidden features, and that after attention
    assert np.allclose(host(layer(x)), host(x) + host(layer.linear2.bias), atol=1e-6)


def test_weights_that_are_no_parameters() -> None:
    layer, x = gf.nn.LSTM(3, 4), tensor(5, 2, 3)
    before = host(layer(x)[0])
    gf.nn.utils.parametrizations.weight_norm(layer, "weight_hh_l0")
    assert np.allclose(host(layer(x)[0]), before, atol=1e-6) and layer.all_weights[0][1].shape == (16, 4)


@pytest.mark.parametrize("device", DEVICES)
def test_a_packed_sequence_moves(device: str) -> None:
    packed = rnn.pack_sequence([tensor(n, 3) for n in (2, 4)], enforce_sorted=False).to(device, gf.float64)
    assert packed.data.dtype == gf.float64 and str(packed.batch_sizes.device) == "cpu"
    assert [str(i.device) for i in (packed.data, packed.sorted_indices, packed.unsorted_indices)] == [device] * 3


def test_errors_name_the_operands() -> None:
    x, mask = gf.ones(2, 3, 4), gf.ones(3, 3) > 0
    attention, lstm = gf.nn.MultiheadAttention(4, 2), gf.nn.LSTM(4, 5)
    with pytest.raises(ValueError, match=r"agree in their last size.*\(query \(2, 3, 4\), key \(2, 3, 2\), value"):
        F.scaled_dot_product_attention(x, gf.ones(2, 3, 2), x)
    with pytest.raises(ValueError, match=r"attn_mask \(3, 2\) does not broadcast to the scores \(2, 3, 3\)"):
        F.scaled_dot_product_attention(x, x, x, gf.ones(3, 2) > 0)
    with pytest.raises(TypeError, match="attn_mask must be boolean or float32 as the query, got int64"):
        F.scaled_dot_product_attention(x, x, x, mask.long())
    with pytest.raises(TypeError, match="must be of one floating dtype, got float32, float64, float32"):
        F.scaled_dot_product_attention(x, x.double(), x)
    with pytest.raises(ValueError, match=r"attn_mask is \(3, 3\), expected \(2, 2\) or \(6, 2, 2\)"):
        attention(x, x, x, attn_mask=mask)
    with pytest.raises(ValueError, match="is_causal promises that attn_mask is causal: give it too"):
        attention(x, x, x, is_causal=True)
    layer, weights = gf.nn.MultiheadAttention(4, 2, add_zero_attn=True), (attention.in_proj_weight, None, None, None)
    with pytest.raises(NotImplementedError, match="is_causal does not go with bias_k or add_zero_attn"):
        layer(x, x, x, need_weights=False, attn_mask=gf.ones(2, 2) > 0, is_causal=True)
    with pytest.raises(NotImplementedError, match="static_k and static_v are not supported"):
        F.multi_head_attention_forward(x, x, x, 4, 2, *weights, False, 0.0, layer.out_proj.weight, None, static_k=x)
    with pytest.raises(ValueError, match=r"\[LSTM\] expected 4 features, got x \(2, 3, 5\)"):
        lstm(gf.ones(2, 3, 5))
    with pytest.raises(ValueError, match=r"\[LSTM\] x is float64 but the weights are float32; convert one of them"):
        lstm(x.double())
    with pytest.raises(ValueError, match=r"\[LSTM\] a state is \(1, 2, 5\), expected \(1, 3, 5\)"):
        lstm(x, (gf.zeros(1, 3, 5), gf.zeros(1, 2, 5)))
    with pytest.raises(TypeError, match=r"\[LSTM\] the states must be a pair \(h, c\), got 1 of them"):
        lstm(x, (gf.zeros(1, 3, 5),))
    with pytest.raises(TypeError, match=r"\[GRUCell\] the states must be one tensor, got 2 of them"):
        gf.nn.GRUCell(4, 5)(x[0], (gf.zeros(3, 5),) * 2)
    with pytest.raises(ValueError, match=r"lengths must be 3 numbers from 1 to 2, got \[2, 1\]"):
        rnn.pack_padded_sequence(x, [2, 1])
    with pytest.raises(ValueError, match="lengths must not increase where enforce_sorted=True; pass enforce_sorted=F"):
        rnn.pack_padded_sequence(x, [1, 2, 2])
    with pytest.raises(ValueError, match=r"sequences that differ in their first size only, got \[\(2,\), \(2, 3\)\]"):
        rnn.pad_sequence([gf.ones(2), gf.ones(2, 3)])
