"""Models: `Module`, `Parameter`, layers and losses."""

from . import functional
from .activation import GELU, Dropout, ReLU, Sigmoid, SiLU, Tanh
from .embedding import Embedding
from .layers import Conv2d, CrossEntropyLoss, Flatten, Linear, Sequential
from .module import Module, Parameter
from .normalization import BatchNorm2d, LayerNorm
from .pooling import AdaptiveAvgPool2d, AdaptiveMaxPool2d, AvgPool2d, MaxPool2d

__all__ = [
    "GELU",
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool2d",
    "AvgPool2d",
    "BatchNorm2d",
    "Conv2d",
    "CrossEntropyLoss",
    "Dropout",
    "Embedding",
    "Flatten",
    "LayerNorm",
    "Linear",
    "MaxPool2d",
    "Module",
    "Parameter",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Tanh",
    "functional",
]
