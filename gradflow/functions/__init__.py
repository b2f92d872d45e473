"""The public functions, under PyTorch's names: `dim` and `keepdim`, with NumPy's `axis` and `keepdims` accepted.

Elementwise functions are the primitives themselves; the others check and translate arguments.
"""

from . import (
    activation,
    arrangement,
    classic,
    comparison,
    contraction,
    elementwise,
    indexing,
    joining,
    linalg,
    matrix,
    norms,
    reduction,
    scan,
    scattering,
    shape,
    sorting,
    special,
    statistics,
)
from .activation import *
from .arrangement import *
from .classic import *
from .comparison import *
from .contraction import *
from .elementwise import *
from .indexing import *
from .joining import *
from .linalg import *
from .matrix import *
from .norms import *
from .reduction import *
from .scan import *
from .scattering import *
from .shape import *
from .sorting import *
from .special import *
from .statistics import *

__all__ = [
    *activation.__all__,
    *arrangement.__all__,
    *classic.__all__,
    *comparison.__all__,
    *contraction.__all__,
    *elementwise.__all__,
    *indexing.__all__,
    *joining.__all__,
    *linalg.__all__,
    *matrix.__all__,
    *norms.__all__,
    *reduction.__all__,
    *scan.__all__,
    *scattering.__all__,
    *shape.__all__,
    *sorting.__all__,
    *special.__all__,
    *statistics.__all__,
]
