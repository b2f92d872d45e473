"""Attention: scaled dot products, and several heads of them between projections (Vaswani et al., 2017)."""

from __future__ import annotations

import math
from typing import Any

from ...autograd.value import device_under
from ...backend.dtypes import float32, is_floating, is_half
from ...creation import arange, full, zeros
from ...functions import (
    amax,
    cat,
    expand,
    matmul,
    mean,
    permute,
    reshape,
    softmax,
    split,
    squeeze,
    transpose,
    unsqueeze,
)
from ...functions import any as any_of
from ...ops.elementwise import astype, greater_equal, not_equal, where
from .affine import linear
from .dropouts import dropout


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    *,
    generator: Any = None,
) -> Any:
    """softmax(query key^T scale + mask) value: (..., L, E), (..., S, E) and (..., S, D) -> (..., L, D).

    attn_mask   broadcast to (..., L, S): boolean, true where a query may see a key, or numbers that are added. A query
                that may see none gets zeros
    dropout_p   the probability with which each weight is dropped, in training or not
    is_causal   query i sees the keys up to i, instead of a mask
    scale       1 / sqrt(E) by default
    enable_gqa  keys and values may have fewer heads (axis -3) than queries: each serves several in a row

    Scores of 16-bit floats are computed in float32.
    """
    op = "scaled_dot_product_attention"
    shown = f"(query {tuple(query.shape)}, key {tuple(key.shape)}, value {tuple(value.shape)})"
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise ValueError(f"[{op}] operands need at least two dimensions {shown}")
    if not query.dtype == key.dtype == value.dtype or not is_floating(query.dtype):
        raise TypeError(f"[{op}] operands must be of one floating dtype, got {query.dtype}, {key.dtype}, {value.dtype}")
    if query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        raise ValueError(f"[{op}] query and key must agree in their last size, key and value in the one before {shown}")
    if enable_gqa:
        key, value = [_shared(op, query, heads, shown) for heads in (key, value)]
    size, keys = query.shape[-2], key.shape[-2]
    if is_causal:
        if attn_mask is not None:
            raise ValueError(f"[{op}] give attn_mask or is_causal, not both")
        attn_mask = _causal(size, keys, device_under(query))
    dtype, given = query.dtype, None if attn_mask is None else attn_mask.dtype
    if given is not None and given.kind != "b" and given not in (dtype, float32):
        raise TypeError(f"[{op}] attn_mask must be boolean or {dtype} as the query, got {given}")
    if is_half(dtype):  # scores need more digits and a wider range than weights
        query, key = astype(query, dtype=float32), astype(key, dtype=float32)
    if given is not None and given.kind != "b" and given != query.dtype:
        attn_mask = astype(attn_mask, dtype=query.dtype)
    q = query * ((1.0 / math.sqrt(query.shape[-1]) if query.shape[-1] else 1.0) if scale is None else scale)
    scores, seen = matmul(q, transpose(key, -2, -1)), None
    if attn_mask is not None:
        scores, seen = _masked(op, scores, attn_mask, is_causal)
    weights = softmax(scores, -1)
    weights = dropout(astype(weights, dtype=dtype) if is_half(dtype) else weights, dropout_p, generator=generator)
    y = matmul(weights, value)
    return y if seen is None else where(seen, y, 0.0)


def _shared(op: str, query: Any, heads: Any, shown: str) -> Any:
    """Keys or values (..., H, S, E) of fewer heads than queries, each repeated as often as needed."""
    if query.ndim < 3 or heads.ndim < 3 or not heads.shape[-3] or query.shape[-3] % heads.shape[-3]:
        raise ValueError(f"[{op}] the number of queries' heads (axis -3) must be a multiple of the others' {shown}")
    shape = tuple(heads.shape)
    times = query.shape[-3] // shape[-3]
    if times == 1:
        return heads
    repeated = expand(unsqueeze(heads, -3), *shape[:-2], times, *shape[-2:])
    return reshape(repeated, *shape[:-3], shape[-3] * times, *shape[-2:])


def _causal(size: int, keys: int, device: Any) -> Any:
    """(L, S): whether query i may see key j, which is where j <= i."""
    return greater_equal(reshape(arange(size, device=device), size, 1), arange(keys, device=device))


def _masked(op: str, scores: Any, mask: Any, causal: bool) -> tuple[Any, Any]:
    """The scores with -inf where they do not count, and which queries see a key at all (None: all do).

    Rows without any are given 0, since the softmax of -inf alone is NaN.
    """
    sizes, shape = tuple(scores.shape), tuple(mask.shape)
    lead = len(sizes) - len(shape)
    if lead < 0 or any([n not in (1, sizes[i + lead]) for i, n in enumerate(shape)]):
        raise ValueError(f"[{op}] attn_mask {shape} does not broadcast to the scores {sizes}")
    if causal or not math.prod(shape):
        return where(mask, scores, -math.inf), None
    if mask.dtype.kind == "b":
        seen = any_of(mask, -1, keepdim=True)
        return where(mask, scores, where(seen, _hidden(mask, scores.dtype), 0.0)), seen
    seen = not_equal(amax(mask, -1, keepdim=True), -math.inf)
    return scores + where(seen, mask, 0.0), seen


def _hidden(mask: Any, dtype: Any) -> Any:
    """-inf, on the mask's device."""
    return full((), -math.inf, dtype=dtype, device=device_under(mask))


def multi_head_attention_forward(
    query: Any,
    key: Any,
    value: Any,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Any,
    in_proj_bias: Any,
    bias_k: Any,
    bias_v: Any,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Any,
    out_proj_bias: Any,
    training: bool = True,
    key_padding_mask: Any = None,
    need_weights: bool = True,
    attn_mask: Any = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Any = None,
    k_proj_weight: Any = None,
    v_proj_weight: Any = None,
    static_k: Any = None,
    static_v: Any = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Any, Any]:
    """(attention, weights) of queries (L, N, E), keys (S, N, K) and values (S, N, V), or without N: (L, N, E), and
    (N, L, S), averaged over the heads, or (N, H, L, S), or None unless need_weights.

    in_proj_weight      (3 E, E), or with use_separate_proj_weight q_, k_ and v_proj_weight (E, E), (E, K) and (E, V)
    in_proj_bias        (3 E,), or None
    bias_k, bias_v      (1, 1, E): one more key and value; add_zero_attn: one of zeros
    key_padding_mask    (N, S): boolean, true where a key is not to be seen, or numbers that are added
    attn_mask           (L, S) or (N H, L, S), in the same way
    is_causal           a promise that attn_mask is causal, so that it need not be read

    A query that may see no key gets NaN with need_weights, else zeros, before the last projection.
    """
    op = "multi_head_attention_forward"
    batched = _check_ranks(op, query, key, value, key_padding_mask)
    if not batched:
        query, key, value = [unsqueeze(x, 1) for x in (query, key, value)]
        key_padding_mask = None if key_padding_mask is None else unsqueeze(key_padding_mask, 0)
    size, n, e = query.shape
    keys = key.shape[0]
    shown = f"(query {tuple(query.shape)}, key {tuple(key.shape)}, value {tuple(value.shape)})"
    if e != embed_dim_to_check or e % num_heads:
        raise ValueError(f"[{op}] queries must have {embed_dim_to_check} features, a multiple of {num_heads} {shown}")
    if tuple(key.shape[:2]) != tuple(value.shape[:2]) or key.shape[1] != n:
        raise ValueError(f"[{op}] keys and values must be as many, and their batch the queries' {shown}")
    if static_k is not None or static_v is not None:
        raise NotImplementedError(f"[{op}] static_k and static_v are not supported")
    if is_causal and attn_mask is None:
        raise ValueError(f"[{op}] is_causal promises that attn_mask is causal: give it too")
    if is_causal and key_padding_mask is None and not need_weights:
        attn_mask = None
    else:
        is_causal = False
    head = e // num_heads
    if use_separate_proj_weight:
        held = (q_proj_weight, k_proj_weight, v_proj_weight)
        biases = (None,) * 3 if in_proj_bias is None else split(in_proj_bias, e)
        q, k, v = [linear(x, w, b) for x, w, b in zip((query, key, value), held, biases, strict=True)]
    else:
        q, k, v = _packed_projection(op, query, key, value, in_proj_weight, in_proj_bias)
    if (bias_k is None) != (bias_v is None):
        raise ValueError(f"[{op}] give both bias_k and bias_v, or neither")
    mask = _mask(op, attn_mask, key_padding_mask, (n, num_heads, size, keys), q)
    more = 0
    if bias_k is not None:
        k, v = [cat([x, expand(bias, 1, n, e)]) for x, bias in ((k, bias_k), (v, bias_v))]
        more += 1
    if add_zero_attn:
        k, v = [cat([x, zeros(1, n, e, dtype=x.dtype, device=device_under(x))]) for x in (k, v)]
        more += 1
    if more and mask is not None:
        none = zeros(*mask.shape[:-1], more, dtype=mask.dtype, device=device_under(mask))
        mask = cat([mask, none], -1)
    if more and is_causal:  # the additional keys come last, where causal attention would not see them
        raise NotImplementedError(f"[{op}] is_causal does not go with bias_k or add_zero_attn; pass is_causal=False")
    q, k, v = [permute(reshape(x, x.shape[0], n, num_heads, head), 1, 2, 0, 3) for x in (q, k, v)]
    weights = None
    if need_weights:
        scores = matmul(q * math.sqrt(1.0 / head), transpose(k, -2, -1))
        weights = softmax(scores if mask is None else scores + mask, -1)
        weights = dropout(weights, dropout_p if training else 0.0)
        y = matmul(weights, v)
    else:
        y = scaled_dot_product_attention(q, k, v, mask, dropout_p if training else 0.0, is_causal)
    y = reshape(permute(y, 2, 0, 1, 3), size, n, e)
    y = linear(y, out_proj_weight, out_proj_bias)
    if weights is not None and average_attn_weights:
        weights = mean(weights, 1)
    if batched:
        return y, weights
    return squeeze(y, 1), None if weights is None else squeeze(weights, 0)


def _check_ranks(op: str, query: Any, key: Any, value: Any, padding: Any) -> bool:
    """Whether there is a batch axis. ValueError where the operands do not agree in that."""
    ranks, wanted = (query.ndim, key.ndim, value.ndim), query.ndim
    if wanted not in (2, 3) or ranks != (wanted,) * 3 or (padding is not None and padding.ndim != wanted - 1):
        raise ValueError(
            f"[{op}] expected queries, keys and values of 3 dimensions (2 without a batch), and a key_padding_mask of "
            f"one less, got {ranks} and {'none' if padding is None else padding.ndim}"
        )
    return bool(wanted == 3)


def _packed_projection(op: str, query: Any, key: Any, value: Any, weight: Any, bias: Any) -> list[Any]:
    """The products with the three parts of weight (3 E, E): one, or two, where the operands are the same."""
    e = query.shape[-1]
    if tuple(key.shape) != tuple(value.shape):
        raise ValueError(f"[{op}] key {tuple(key.shape)} and value {tuple(value.shape)} must have one shape")
    if query is key and key is value:
        return list(split(linear(query, weight, bias), e, -1))
    operands, sizes = ([query, key], (e, 2 * e)) if key is value else ([query, key, value], (e, e, e))
    biases = (None,) * len(sizes) if bias is None else split(bias, sizes)
    found = [linear(x, w, b) for x, w, b in zip(operands, split(weight, sizes), biases, strict=True)]
    return [found[0], *split(found[1], e, -1)] if key is value else found


def _mask(op: str, attn_mask: Any, padding: Any, sizes: tuple[int, int, int, int], q: Any) -> Any:
    """Both masks as numbers to be added to scores (N, H, L, S), of a shape that broadcasts to them; None without."""
    n, heads, size, keys = sizes
    found = None
    if attn_mask is not None:
        shape = tuple(attn_mask.shape)
        if shape not in ((size, keys), (n * heads, size, keys)):
            raise ValueError(f"[{op}] attn_mask is {shape}, expected {(size, keys)} or {(n * heads, size, keys)}")
        found = reshape(attn_mask, *((n, heads) if len(shape) == 3 else (1, 1)), size, keys)
        found = _as_added(op, "attn_mask", found, q.dtype)
    if padding is not None:
        if tuple(padding.shape) != (n, keys):
            raise ValueError(f"[{op}] key_padding_mask is {tuple(padding.shape)}, expected {(n, keys)}")
        hidden = _as_added(op, "key_padding_mask", reshape(padding, n, 1, 1, keys), q.dtype)
        found = hidden if found is None else found + hidden
    return found


def _as_added(op: str, name: str, mask: Any, dtype: Any) -> Any:
    """A mask as numbers to be added: -inf where a boolean one is true. TypeError where it is neither."""
    if mask.dtype.kind == "b":
        return where(mask, _hidden(mask, dtype), 0.0)
    if not is_floating(mask.dtype):
        raise TypeError(f"[{op}] {name} must be boolean or floating, got {mask.dtype}")
    return mask if mask.dtype == dtype else astype(mask, dtype=dtype)


__all__ = ["multi_head_attention_forward", "scaled_dot_product_attention"]
