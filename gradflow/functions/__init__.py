"""The public functions, under PyTorch's names: `dim` and `keepdim`, with NumPy's `axis` and `keepdims` accepted.

Elementwise functions are the primitives themselves; the others check and translate arguments.
"""

from . import activation, elementwise, indexing, linalg, reduction, shape
from .activation import *
from .elementwise import *
from .indexing import *
from .linalg import *
from .reduction import *
from .shape import *

__all__ = [
    *activation.__all__,
    *elementwise.__all__,
    *indexing.__all__,
    *linalg.__all__,
    *reduction.__all__,
    *shape.__all__,
]
