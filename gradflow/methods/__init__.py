"""The public functions as methods of `Tensor`, one class per family."""

from .conversion import ConversionMethods
from .elementwise import ElementwiseMethods
from .indexing import IndexingMethods
from .linalg import LinalgMethods
from .operators import Operators
from .random import RandomMethods
from .reduction import ReductionMethods
from .shape import ShapeMethods


class Methods(
    ConversionMethods,
    RandomMethods,
    ElementwiseMethods,
    IndexingMethods,
    LinalgMethods,
    Operators,
    ReductionMethods,
    ShapeMethods,
):
    """All of them."""

    __slots__ = ()


__all__ = ["Methods"]
