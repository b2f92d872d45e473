"""Models: `Module`, `Parameter`, layers and losses."""

from . import (
    activation,
    attention,
    containers,
    conv,
    distance,
    dropout,
    embedding,
    functional,
    init,
    linear,
    loss,
    module,
    normalization,
    padding,
    pooling,
    recurrent,
    transformer,
    utils,
    vision,
)
from .activation import *
from .attention import *
from .containers import *
from .conv import *
from .distance import *
from .dropout import *
from .embedding import *
from .linear import *
from .loss import *
from .module import *
from .normalization import *
from .padding import *
from .pooling import *
from .recurrent import *
from .transformer import *
from .vision import *

__all__ = [
    "functional",
    "init",
    "utils",
    *activation.__all__,
    *attention.__all__,
    *containers.__all__,
    *conv.__all__,
    *distance.__all__,
    *dropout.__all__,
    *embedding.__all__,
    *linear.__all__,
    *loss.__all__,
    *module.__all__,
    *normalization.__all__,
    *padding.__all__,
    *pooling.__all__,
    *recurrent.__all__,
    *transformer.__all__,
    *vision.__all__,
]
