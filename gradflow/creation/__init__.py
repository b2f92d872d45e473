"""New tensors: from data, constants, ranges and random numbers."""

from . import constant, data, random, ranges
from .constant import *
from .data import *
from .random import *
from .ranges import *

__all__ = [*constant.__all__, *data.__all__, *random.__all__, *ranges.__all__]
