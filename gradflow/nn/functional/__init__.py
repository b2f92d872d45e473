"""Layers as functions, with the names and signatures of torch.nn.functional."""

from . import (
    activations,
    affine,
    attention,
    convolution,
    ctc,
    distances,
    dropouts,
    embeddings,
    losses,
    margins,
    normalization,
    padding,
    pooling,
    regression,
    resizing,
    unpooling,
    vision,
)
from .activations import *
from .affine import *
from .attention import *
from .convolution import *
from .ctc import *
from .distances import *
from .dropouts import *
from .embeddings import *
from .losses import *
from .margins import *
from .normalization import *
from .padding import *
from .pooling import *
from .regression import *
from .resizing import *
from .unpooling import *
from .vision import *

__all__ = [
    *activations.__all__,
    *affine.__all__,
    *attention.__all__,
    *convolution.__all__,
    *ctc.__all__,
    *distances.__all__,
    *dropouts.__all__,
    *embeddings.__all__,
    *losses.__all__,
    *margins.__all__,
    *normalization.__all__,
    *padding.__all__,
    *pooling.__all__,
    *regression.__all__,
    *resizing.__all__,
    *unpooling.__all__,
    *vision.__all__,
]
