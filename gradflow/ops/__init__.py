"""The primitives, one module per family. They speak NumPy (`axis`, `keepdims`); `gradflow.functions` speaks PyTorch."""

from . import bias, conv, elementwise, index, linalg, norm, pool, random, reduce, shape, softmax, transfer

__all__ = [
    "bias",
    "conv",
    "elementwise",
    "index",
    "linalg",
    "norm",
    "pool",
    "random",
    "reduce",
    "shape",
    "softmax",
    "transfer",
]
