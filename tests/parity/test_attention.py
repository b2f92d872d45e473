"""Attention and transformers against PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from parity.modules import pair, refused, same_module, same_training
from parity.same import floats, same, torch

import gradflow as gf

L, S, N, E = 3, 4, 2, 6
ALLOWED = np.array([[1, 0, 0, 1], [0, 0, 0, 0], [1, 1, 0, 1]], bool)
HIDDEN = np.array([[1, 0, 0, 1], [0, 1, 0, 0], [1, 1, 0, 1]], bool)
PADDED = np.array([[0, 0, 0, 1], [0, 0, 1, 1]], bool)
NEGATIVE = np.where(ALLOWED, floats(L, S), -np.inf)
LAYOUTS = {"(L, E)": ((L, 4), (S, 4), (S, 5)), "(N, H, L, E)": ((2, 3, L, 4), (2, 3, S, 4), (2, 3, S, 4)),
           "broadcast": ((2, 1, L, 4), (3, S, 4), (3, S, 2)), "no keys": ((2, L, 4), (2, 0, 4), (2, 0, 4)),
           "no queries": ((2, 0, 4), (2, S, 4), (2, S, 4)), "no batch": ((0, L, 4), (0, S, 4), (0, S, 4))}  # fmt: skip


@pytest.mark.parametrize("options", [{}, {"is_causal": True}, {"scale": 0.3}, {"scale": 0.0}])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_scaled_dot_product(layout: str, options: dict[str, Any]) -> None:
    operands = [floats(*shape, seed=i) for i, shape in enumerate(LAYOUTS[layout])]
    same(lambda t, *xs: t.nn.functional.scaled_dot_product_attention(*xs, **options), *operands)


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2"])
@pytest.mark.parametrize(
    "mask",
    [
        ALLOWED, NEGATIVE, HIDDEN, np.stack([ALLOWED, HIDDEN])[:, None], ALLOWED[:1], ALLOWED[:, :1], floats(L, S),
        NEGATIVE[None, None], np.zeros((L, S), bool), np.full((L, S), -np.inf),
    ],
)  # fmt: skip
def test_masks(mask: np.ndarray, dtype: str) -> None:
    q, k, v = floats(N, 2, L, 4, dtype=dtype), floats(N, 2, S, 4, dtype=dtype), floats(N, 2, S, 5, dtype=dtype)
    mask = mask if mask.dtype == bool else mask.astype(dtype)

    def run(t: Any, q: Any, k: Any, v: Any, mask: Any) -> Any:
        return t.nn.functional.scaled_dot_product_attention(q, k, v, mask.detach())

    same(run, q, k, v, mask, atol=4e-3 if dtype == "f2" else 1e-6 if dtype == "f4" else 1e-12)
    if mask.dtype != bool and np.isfinite(mask).all() and dtype == "f8":
        same(lambda t, *xs: t.nn.functional.scaled_dot_product_attention(*xs), q, k, v, mask)


def test_scores_beyond_the_range_of_float16() -> None:
    q, k, v = [floats(2, n, 4, dtype="f2", seed=n) for n in (L, S, S)]
    for masks in ((), (ALLOWED,), (np.where(HIDDEN, 1e6, 0.5).astype("f4"),)):
        same(lambda t, q, k, v, *m: t.nn.functional.scaled_dot_product_attention(q * 300, k * 300, v, *m), q, k, v,
             *masks, grad=False)  # fmt: skip


@pytest.mark.parametrize("heads", [(6, 1), (6, 2), (6, 3), (6, 6), (6, 4)])
def test_shared_heads(heads: tuple[int, int]) -> None:
    q, k, v = floats(N, heads[0], L, 4), floats(N, heads[1], S, 4), floats(N, heads[1], S, 4, seed=1)
    for masks in ((), (HIDDEN,)):
        same(lambda t, *xs: t.nn.functional.scaled_dot_product_attention(*xs, enable_gqa=True), q, k, v, *masks)


def test_refusals_of_scaled_dot_products() -> None:
    x = floats(2, L, 4)

    def attend(t: Any, *xs: Any) -> Any:
        return t.nn.functional.scaled_dot_product_attention(*xs)

    for operands in (
        (x, x[..., :3].copy(), x), (x, floats(2, S, 4), x), (floats(4), x, x), (x, x.astype("f4"), x),
        (x, x, x, np.ones((L, L), "i8")), (x, x, x, np.ones((L, 2), bool)), (x, x, x, np.zeros((L, L), "f2")),
    ):  # fmt: skip
        same(attend, *operands, grad=False)
    with pytest.raises(ValueError, match="give attn_mask or is_causal, not both"):
        gf.nn.functional.scaled_dot_product_attention(*[gf.tensor(x)] * 3, gf.tensor(ALLOWED[:, :3]), is_causal=True)


HEADS: list[dict[str, Any]] = [
    {}, {"bias": False}, {"add_bias_kv": True}, {"add_zero_attn": True}, {"kdim": 4, "vdim": 5},
    {"kdim": 4, "add_bias_kv": True, "add_zero_attn": True}, {"batch_first": True},
    {"batch_first": True, "vdim": 3, "bias": False},
]  # fmt: skip
CALLS: list[dict[str, Any]] = [
    {}, {"need_weights": False}, {"average_attn_weights": False},
    {"attn_mask": HIDDEN}, {"attn_mask": HIDDEN, "need_weights": False}, {"attn_mask": floats(L, S)},
    {"attn_mask": np.stack([HIDDEN, HIDDEN[::-1]] * 3), "average_attn_weights": False},
    {"key_padding_mask": PADDED}, {"key_padding_mask": PADDED, "need_weights": False},
    {"key_padding_mask": PADDED, "attn_mask": HIDDEN[[0, 1, 1]], "need_weights": False},
    {"key_padding_mask": np.where(PADDED, -1.0, 0.5), "attn_mask": floats(L, S)},
    {"attn_mask": np.ones((L, S), bool), "need_weights": False},
    {"attn_mask": np.ones((L, S), bool)},
]  # fmt: skip


def moved(t: Any, options: dict[str, Any]) -> dict[str, Any]:
    return {k: t.from_numpy(v.copy()) if isinstance(v, np.ndarray) else v for k, v in options.items()}


@pytest.mark.parametrize("call", range(len(CALLS)))
@pytest.mark.parametrize("options", HEADS)
def test_several_heads(options: dict[str, Any], call: int) -> None:
    batch = options.get("batch_first", False)
    shapes = [(L, N, E), (S, N, options.get("kdim", E)), (S, N, options.get("vdim", E))]
    operands = [np.swapaxes(floats(*s), 0, 1).copy() if batch else floats(*s) for s in shapes]

    def run(module: Any, t: Any, *xs: Any) -> Any:
        return module(*xs, **moved(t, CALLS[call]))

    same_module(lambda nn: nn.MultiheadAttention(E, 3, **options), *operands, call=run)


@pytest.mark.parametrize("options", [{}, {"add_zero_attn": True}, {"batch_first": True}])
def test_several_heads_on_themselves_and_without_a_batch(options: dict[str, Any]) -> None:
    causal = np.triu(np.ones((L, L), bool), 1)
    calls: list[Callable[..., Any]] = [
        lambda m, t, x: m(x, x, x),
        lambda m, t, x: m(x, x, x, key_padding_mask=t.from_numpy(PADDED[1, 1:].copy()) if x.ndim == 2 else None),
        lambda m, t, x: m(x, x * 2, x, average_attn_weights=False),
        lambda m, t, x: m(x, x, x, attn_mask=t.from_numpy(causal)),
        lambda m, t, x: m(x, x, x, attn_mask=t.from_numpy(causal), is_causal=not options.get("add_zero_attn", False)),
        lambda m, t, x: m(
            x, x, x, attn_mask=t.from_numpy(causal), need_weights=False, is_causal="add_zero_attn" not in options
        ),
    ]  # fmt: skip
    for call in calls:
        for shape in ((L, E), (L, L, E)):
            same_module(lambda nn: nn.MultiheadAttention(E, 2, **options), floats(*shape), call=call)


def test_refusals_of_several_heads() -> None:
    x, m = floats(L, N, E), np.zeros((L, L), bool)
    for arguments in ((0, 1), (6, 4), (6, 0)):
        refused(lambda nn, a=arguments: nn.MultiheadAttention(*a))
    for call in (
        lambda m, t, x: m(x, x[:2], x), lambda m, t, x: m(x, x[:, :1], x[:, :1]), lambda m, t, x: m(x[0], x, x),
        lambda m, t, x: m(x[..., :3], x, x), lambda m, t, x: m(x[None], x[None], x[None]),
        lambda a, t, x: a(x, x, x, attn_mask=t.from_numpy(m[:2].copy())),
        lambda a, t, x: a(x, x, x, attn_mask=t.from_numpy(m.astype("i8"))),
        lambda a, t, x: a(x, x, x, key_padding_mask=t.from_numpy(m[0].copy())),
        lambda a, t, x: a(x, x, x, key_padding_mask=t.from_numpy(m.copy())),
        lambda a, t, x: a(x, x, x, is_causal=True),
    ):  # fmt: skip
        refused(lambda nn: nn.MultiheadAttention(E, 2), x, call=call)


LAYERS: list[dict[str, Any]] = [
    {}, {"norm_first": True}, {"batch_first": True}, {"activation": "gelu"}, {"bias": False}, {"layer_norm_eps": 0.1},
]  # fmt: skip


@pytest.mark.parametrize("options", LAYERS)
def test_encoder_layer(options: dict[str, Any]) -> None:
    causal = np.triu(np.ones((L, L), bool), 1)

    def make(nn: Any) -> Any:
        return nn.TransformerEncoderLayer(E, 2, 5, dropout=0.0, **options)

    x = floats(L, L, E)
    same_module(make, x)
    same_module(make, floats(L, E))
    same_module(make, x, call=lambda m, t, x: m(x, t.from_numpy(causal), is_causal=True))
    same_module(make, x, call=lambda m, t, x: m(x, src_key_padding_mask=t.from_numpy(causal[1:][[0, 1, 0]].copy())))


@pytest.mark.parametrize("options", LAYERS)
def test_decoder_layer(options: dict[str, Any]) -> None:
    causal, batch = np.triu(np.ones((L, L), bool), 1), options.get("batch_first")

    def make(nn: Any) -> Any:
        return nn.TransformerDecoderLayer(E, 2, 5, dropout=0.0, **options)

    x, memory = floats(*((N, L, E) if batch else (L, N, E))), floats(*((N, S, E) if batch else (S, N, E)))
    same_module(make, x, memory)
    same_module(make, floats(L, E), floats(S, E))

    def run(module: Any, t: Any, x: Any, memory: Any) -> Any:
        padding, seen = t.from_numpy(PADDED[:, 1:].copy()), t.from_numpy(causal)
        masks = {"memory_mask": t.from_numpy(HIDDEN), "memory_key_padding_mask": t.from_numpy(PADDED & False)}
        return module(x, memory, seen, tgt_key_padding_mask=padding & False, **masks, tgt_is_causal=True)

    same_module(make, x, memory, call=lambda m, t, x, y: m(x, y, t.from_numpy(causal), t.from_numpy(HIDDEN)))
    if not hasattr(gf.Tensor, "__and__"):
        return
    same_module(make, x, memory, call=run)


def test_stacks() -> None:
    def encoder(nn: Any) -> Any:
        layer = nn.TransformerEncoderLayer(E, 2, 5, dropout=0.0, batch_first=True)
        return nn.TransformerEncoder(layer, 2, nn.LayerNorm(E), enable_nested_tensor=False)

    def decoder(nn: Any) -> Any:
        return nn.TransformerDecoder(nn.TransformerDecoderLayer(E, 2, 5, dropout=0.0), 2)

    causal = np.where(np.triu(np.ones((L, L)), 1) > 0, -np.inf, 0.0)
    same_module(encoder, floats(N, L, E))
    same_module(encoder, floats(N, L, E), call=lambda m, t, x: m(x, t.from_numpy(causal)))
    padding = PADDED[:, 1:].copy()
    same_module(encoder, floats(N, L, E), call=lambda m, t, x: m(x, src_key_padding_mask=t.from_numpy(padding)))
    same_module(decoder, floats(L, N, E), floats(S, N, E), call=lambda m, t, x, y: m(x, y, t.from_numpy(causal)))


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize("options", [{}, {"batch_first": True, "norm_first": True, "activation": "gelu"}])
def test_transformer(options: dict[str, Any]) -> None:
    def make(nn: Any) -> Any:
        return nn.Transformer(E, 2, 1, 2, 5, dropout=0.0, **options)

    def run(module: Any, t: Any, src: Any, tgt: Any) -> Any:
        mask = module.generate_square_subsequent_mask(2, dtype=t.float64)
        return module(src, tgt, tgt_mask=mask), mask

    shapes = ((2, 4, E), (2, 2, E)) if options else ((4, 2, E), (2, 2, E))
    same_module(make, *[floats(*s) for s in shapes])
    same_module(make, *[floats(*s) for s in shapes], call=run)
    same_module(make, floats(4, E), floats(3, E))
    refused(make, floats(4, 2, E), floats(3, 1, E))
    refused(make, floats(4, 2, E), floats(3, 2, 5))
    refused(lambda nn: nn.TransformerEncoderLayer(E, 2, activation="tanh"))


def test_25_steps_of_a_small_transformer() -> None:
    """A classifier of sequences, with embeddings, causal masks and SGD with momentum."""
    rng = np.random.default_rng(0)
    words, labels = rng.integers(0, 11, (25, 8, 7)), rng.integers(0, 5, (25, 8))

    def make(nn: Any) -> Any:
        layer = nn.TransformerEncoderLayer(12, 3, 20, dropout=0.0, batch_first=True, activation="gelu")
        encoder = nn.TransformerEncoder(layer, 2, nn.LayerNorm(12), enable_nested_tensor=False)
        return nn.Sequential(nn.Embedding(11, 12, padding_idx=0), encoder, nn.Flatten(), nn.Linear(84, 5))

    same_training(pair(make), words, labels, 0.05)


def test_representations() -> None:
    for make in (
        lambda nn: nn.TransformerEncoderLayer(4, 2, 5), lambda nn: nn.TransformerDecoderLayer(4, 2, 5),
        lambda nn: nn.MultiheadAttention(4, 2, bias=False),
        lambda nn: nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 5, batch_first=True), 2),
        lambda nn: nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 5), 1, nn.LayerNorm(4)),
    ):  # fmt: skip
        assert repr(make(gf.nn)) == repr(make(torch.nn)).replace("NonDynamicallyQuantizableLinear", "Linear")
