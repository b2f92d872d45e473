"""Shapes as methods."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from ..autograd.tape import MAIN
from ..autograd.value import stamp, unwrap
from ..backend.dtypes import as_dtype
from ..functions import arrangement as A
from ..functions import joining as J
from ..functions import shape as S


def _in_place(function: Callable[..., Any]) -> Callable[..., Any]:
    """The method that gives a tensor that does not require grad the shape that `function` gives a view of it."""
    name = f"{function.__name__}_"

    @wraps(function)
    def change(self: Any, *args: Any, **options: Any) -> Any:
        if self.level is not MAIN or self.tracked:
            raise RuntimeError(f"[{name}] works on tensors that do not require grad; write x = x.{name[:-1]}(...)")
        self.below = unwrap(function(self.detach(), *args, **options))
        stamp(self.version)
        return self

    change.__name__ = name
    return change


class ShapeMethods:
    """The part of `Tensor` that arranges its elements anew."""

    __slots__ = ()

    flatten, unflatten, ravel, reshape, reshape_as = S.flatten, S.unflatten, S.ravel, S.reshape, S.reshape_as
    permute, transpose, swapaxes, swapdims, movedim = S.permute, S.transpose, S.swapaxes, S.swapdims, S.movedim
    moveaxis, t, adjoint, unsqueeze, squeeze = S.moveaxis, S.t, S.adjoint, S.unsqueeze, S.squeeze
    expand, expand_as, broadcast_to = S.expand, S.expand_as, S.broadcast_to
    split, chunk, tensor_split, unbind = J.split, J.chunk, J.tensor_split, J.unbind
    hsplit, vsplit, dsplit = J.hsplit, J.vsplit, J.dsplit
    flip, fliplr, flipud, rot90, roll = A.flip, A.fliplr, A.flipud, A.rot90, A.roll
    repeat, tile, repeat_interleave, unfold = A.repeat, A.tile, A.repeat_interleave, A.unfold
    tril, triu, diagonal, diag, diag_embed, diagflat = A.tril, A.triu, A.diagonal, A.diag, A.diag_embed, A.diagflat
    squeeze_, unsqueeze_ = _in_place(S.squeeze), _in_place(S.unsqueeze)
    t_, transpose_ = _in_place(S.t), _in_place(S.transpose)

    @property
    def T(self: Any) -> Any:
        """The dimensions in reverse order."""
        return S.permute(self, *reversed(range(self.ndim)))

    @property
    def mT(self: Any) -> Any:
        """The last two dimensions exchanged."""
        return S.transpose(self, -2, -1)

    @property
    def H(self: Any) -> Any:
        """A matrix transposed (and conjugated, if there were complex numbers)."""
        if self.ndim != 2 and self.ndim != 0:
            raise ValueError(f"[H] needs a matrix, got {tuple(self.shape)}; use mH or adjoint()")
        return S.t(self)

    @property
    def mH(self: Any) -> Any:
        """The last two dimensions exchanged (and conjugated, if there were complex numbers)."""
        return S.adjoint(self)

    def view(self: Any, *shape: Any) -> Any:
        """The same memory in another shape; an error where that would take a copy."""
        if len(shape) == 1 and not isinstance(shape[0], (int, tuple, list)) and not hasattr(shape[0], "__index__"):
            raise NotImplementedError(f"[view] the bytes cannot be seen as {as_dtype(shape[0])}; convert with to()")
        out = S.reshape(self, *shape)
        if self.level is MAIN and self.size_ and not np.may_share_memory(out.below, self.below):
            raise RuntimeError(f"[view] the memory of x {tuple(self.shape)} does not allow it; use reshape()")
        return out

    def view_as(self: Any, other: Any) -> Any:
        """The same memory in other's shape."""
        return self.view(tuple(other.shape))
