"""Activation functions."""

from __future__ import annotations

from ...functions.activation import log_softmax, softmax
from ...ops.activation import gelu, relu, sigmoid, silu, tanh

__all__ = ["gelu", "log_softmax", "relu", "sigmoid", "silu", "softmax", "tanh"]
