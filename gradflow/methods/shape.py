"""Shapes as methods."""

from __future__ import annotations

from ..functions import shape as S


class ShapeMethods:
    """The part of `Tensor` that arranges its elements anew."""

    __slots__ = ()

    flatten, permute, transpose, reshape, unsqueeze = S.flatten, S.permute, S.transpose, S.reshape, S.unsqueeze
    squeeze, expand, broadcast_to, split = S.squeeze, S.expand, S.broadcast_to, S.split
