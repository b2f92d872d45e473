"""The table's part on attention."""

from __future__ import annotations

from typing import Any

import numpy as np
from ops import reference as ref
from ops.case import Case, case

import gradflow as gf
from gradflow.nn import functional as F

SEEN = np.array([[True, False, True], [False, False, False]])


def attention(q: Any, k: Any, v: Any, seen: Any = True, added: Any = 0.0) -> Any:
    scores = q @ np.swapaxes(k, -1, -2) / np.sqrt(q.shape[-1]) + added
    any_seen = np.broadcast_to(np.any(seen, -1, keepdims=True), scores[..., :1].shape)
    weights = ref.softmax(np.where(np.broadcast_to(seen, scores.shape) | ~any_seen, scores, -1e9), -1)
    return np.where(any_seen, weights @ v, 0)


def heads(q: Any, k: Any, w: Any, b: Any, o: Any, p: Any = None) -> Any:
    """(attention, weights) of two heads, in NumPy."""
    e, w = q.shape[-1], w * 0.2

    def project(x: Any, i: int) -> Any:
        y = x @ w[i * e : (i + 1) * e].T + b[i * e : (i + 1) * e]
        return y.reshape(*y.shape[:2], 2, e // 2).transpose(1, 2, 0, 3)

    a, c, v = project(q, 0), project(k, 1), project(k, 2)
    scores = a @ np.swapaxes(c, -1, -2) / np.sqrt(e // 2)
    weights = ref.softmax(scores if p is None else np.where(p[:, None, None], -1e9, scores), -1)
    y = (weights @ v).transpose(2, 0, 1, 3).reshape(q.shape)
    return y @ o.T, weights.mean(1)


def several(q: Any, k: Any, w: Any, b: Any, o: Any, padding: Any = None, **options: Any) -> Any:
    y = F.multi_head_attention_forward(
        q, k, k, q.shape[-1], 2, w * 0.2, b, None, None, False, 0.0, o, None, key_padding_mask=padding, **options
    )
    return y if y[1] is not None else y[0]


CASES: list[Case] = [
    case("scaled_dot_product_attention", F.scaled_dot_product_attention, (2, 2, 3), (2, 3, 3), (2, 3, 2), light=True,
        ref=attention, mixed=False, rows=(0, 1, 2)),
    case("scaled_dot_product_attention-mask", lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, m), (2, 3),
        (3, 3), (3, 2), c=SEEN, light=True, ref=attention, mixed=False),
    case("scaled_dot_product_attention-added", F.scaled_dot_product_attention, (2, 3), (3, 3), (3, 2), (2, 3),
        light=True, ref=lambda q, k, v, m: attention(q, k, v, True, m), mixed=False),
    case("scaled_dot_product_attention-causal", lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
        (3, 2), (3, 2), (3, 2), light=True, mixed=False,
        ref=lambda q, k, v: attention(q, k, v, np.tri(3, dtype=bool))),
    case("scaled_dot_product_attention-shared",
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, enable_gqa=True), (4, 2, 2), (2, 3, 2), (2, 3, 2),
        light=True, mixed=False, ref=lambda q, k, v: attention(q, np.repeat(k, 2, 0), np.repeat(v, 2, 0))),
    case("scaled_dot_product_attention-dropout",
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, dropout_p=1.0, generator=gf.Generator(1)), (2, 2),
        (3, 2), (3, 2), light=True, mixed=False, randomness="same", ref=lambda q, k, v: np.zeros((2, 2))),
    case("multi_head_attention_forward", several, (2, 2, 4), (3, 2, 4), (12, 4), (12,), (4, 4), light=True,
        mixed=False, ref=heads),
    case("multi_head_attention_forward-padding", lambda *xs: several(*xs, need_weights=False), (2, 2, 4), (3, 2, 4),
        (12, 4), (12,), (4, 4), c=np.array([[False, True, False], [True, False, False]]), light=True, mixed=False,
        ref=lambda *xs: heads(*xs)[0]),
]  # fmt: skip
