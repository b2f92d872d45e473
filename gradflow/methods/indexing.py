"""Indexing, gathering and scattering as methods."""

from __future__ import annotations

from typing import Any

from ..functions import indexing as G
from ..functions import scattering as S


class IndexingMethods:
    """The part of `Tensor` that chooses elements, and writes them."""

    __slots__ = ()

    select, narrow, index_select, gather, take = G.select, G.narrow, G.index_select, G.gather, G.take
    take_along_dim, masked_select, nonzero, argwhere = G.take_along_dim, G.masked_select, G.nonzero, G.argwhere
    scatter, scatter_add, scatter_reduce = S.scatter, S.scatter_add, S.scatter_reduce
    index_add, index_copy, index_fill, index_put = S.index_add, S.index_copy, S.index_fill, S.index_put
    masked_fill, masked_scatter = S.masked_fill, S.masked_scatter
    select_scatter, slice_scatter, diagonal_scatter = S.select_scatter, S.slice_scatter, S.diagonal_scatter

    def __getitem__(self: Any, index: Any) -> Any:
        return G.getitem(self, index)
