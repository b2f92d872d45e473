"""Nets to train. Those that torchvision has too take its weights: keys and shapes of the state_dict are the same."""

from . import build, mobilenet, resnet, small, squeezenet, vgg, vit
from .build import *
from .mobilenet import *
from .resnet import *
from .small import *
from .squeezenet import *
from .vgg import *
from .vit import *

__all__ = [
    *build.__all__,
    *mobilenet.__all__,
    *resnet.__all__,
    *small.__all__,
    *squeezenet.__all__,
    *vgg.__all__,
    *vit.__all__,
]
