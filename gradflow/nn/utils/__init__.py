"""Helpers for training models."""

from . import clipping, fusion, parametrizations, parametrize, reparametrization, rnn, vectors
from .clipping import *
from .fusion import *
from .reparametrization import (
    remove_spectral_norm,
    remove_weight_norm,
    spectral_norm,
    weight_norm,
)
from .vectors import *

__all__ = [
    *clipping.__all__,
    *fusion.__all__,
    *vectors.__all__,
    "remove_spectral_norm",
    "remove_weight_norm",
    "parametrizations",
    "parametrize",
    "reparametrization",
    "rnn",
    "spectral_norm",
    "weight_norm",
]
