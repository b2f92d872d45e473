"""Layers as functions, with the names and signatures of torch.nn.functional."""

from . import activations, affine, convolution, dropouts, embeddings, losses, normalization, pooling
from .activations import *
from .affine import *
from .convolution import *
from .dropouts import *
from .embeddings import *
from .losses import *
from .normalization import *
from .pooling import *

__all__ = [
    *activations.__all__,
    *affine.__all__,
    *convolution.__all__,
    *dropouts.__all__,
    *embeddings.__all__,
    *losses.__all__,
    *normalization.__all__,
    *pooling.__all__,
]
