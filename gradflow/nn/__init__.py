"""Models: `Module`, `Parameter`, layers and losses."""

from . import activation, containers, conv, dropout, embedding, functional, linear, loss, module, normalization, pooling
from .activation import *
from .containers import *
from .conv import *
from .dropout import *
from .embedding import *
from .linear import *
from .loss import *
from .module import *
from .normalization import *
from .pooling import *

__all__ = [
    "functional",
    *activation.__all__,
    *containers.__all__,
    *conv.__all__,
    *dropout.__all__,
    *embedding.__all__,
    *linear.__all__,
    *loss.__all__,
    *module.__all__,
    *normalization.__all__,
    *pooling.__all__,
]
