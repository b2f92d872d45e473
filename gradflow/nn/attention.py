"""Attention with several heads, as a layer."""

from __future__ import annotations

import math
from typing import Any

from ..creation import randn, zeros
from ..functions import transpose
from . import functional as F
from .linear import Linear
from .module import Module, Parameter
from .start import uniform


def xavier(shape: tuple[int, ...], device: Any = None, dtype: Any = None) -> Parameter:
    """Uniform in +-sqrt(6 / (rows + columns)), axes after the second counted with both (Glorot and Bengio, 2010)."""
    return uniform(shape, math.sqrt(6.0 / ((shape[0] + shape[1]) * math.prod(shape[2:]))), device, dtype)


class MultiheadAttention(Module):
    """(attention, weights) of queries (L, N, E), keys (S, N, kdim) and values (S, N, vdim), between linear maps whose
    weights are uniform at the start (Vaswani et al., 2017).

    With batch_first the batch axis N is the first; without N all have two dimensions. `add_bias_kv` appends a learned
    key and value, `add_zero_attn` ones of zeros; `dropout` drops weights.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if embed_dim <= 0 or num_heads <= 0 or embed_dim % num_heads:
            raise ValueError(
                f"[MultiheadAttention] embed_dim must be a positive multiple of num_heads, got {embed_dim} and "
                f"{num_heads}"
            )
        self.embed_dim, self.num_heads, self.head_dim = embed_dim, num_heads, embed_dim // num_heads
        self.kdim, self.vdim = embed_dim if kdim is None else kdim, embed_dim if vdim is None else vdim
        self.dropout, self.batch_first, self.add_zero_attn = dropout, batch_first, add_zero_attn
        self._qkv_same_embed_dim = self.kdim == self.vdim == embed_dim
        kind: dict[str, Any] = {"device": device, "dtype": dtype}
        separate = {"q_proj_weight": embed_dim, "k_proj_weight": self.kdim, "v_proj_weight": self.vdim}
        for name, features in separate.items():
            held = None if self._qkv_same_embed_dim else xavier((embed_dim, features), **kind)
            self.register_parameter(name, held)
        packed = xavier((3 * embed_dim, embed_dim), **kind) if self._qkv_same_embed_dim else None
        self.register_parameter("in_proj_weight", packed)
        self.register_parameter("in_proj_bias", Parameter(zeros(3 * embed_dim, **kind)) if bias else None)
        self.out_proj = Linear(embed_dim, embed_dim, bias=bias, **kind)
        if bias:
            self.out_proj.bias.detach().zero_()
        for name in ("bias_k", "bias_v"):  # normal with the variance 2 / (E + E)
            start = Parameter(randn(1, 1, embed_dim, **kind) / math.sqrt(embed_dim)) if add_bias_kv else None
            self.register_parameter(name, start)

    def forward(
        self,
        query: Any,
        key: Any,
        value: Any,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Any, Any]:
        """See `functional.multi_head_attention_forward`."""
        turned = self.batch_first and query.ndim == 3
        if turned:
            same = query is key, key is value
            query = transpose(query, 0, 1)
            key = query if same[0] else transpose(key, 0, 1)
            value = key if same[1] else transpose(value, 0, 1)
        y, weights = F.multi_head_attention_forward(
            query, key, value, self.embed_dim, self.num_heads, self.in_proj_weight, self.in_proj_bias, self.bias_k,
            self.bias_v, self.add_zero_attn, self.dropout, self.out_proj.weight, self.out_proj.bias, self.training,
            key_padding_mask, need_weights, attn_mask, not self._qkv_same_embed_dim, self.q_proj_weight,
            self.k_proj_weight, self.v_proj_weight, None, None, average_attn_weights, is_causal,
        )  # fmt: skip
        return (transpose(y, 0, 1) if turned else y), weights


__all__ = ["MultiheadAttention"]
