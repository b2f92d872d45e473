"""gradflow's launchers, one module per family of kernels. Importing this registers them."""

from . import activation, bias, channel_sum, conv, cross_entropy, index, matmul, norm, optim, pool, random, softmax

__all__ = [
    "activation",
    "bias",
    "channel_sum",
    "conv",
    "cross_entropy",
    "index",
    "matmul",
    "norm",
    "optim",
    "pool",
    "random",
    "softmax",
]
