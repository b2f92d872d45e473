"""The public functions as methods of `Tensor`, one class per family."""

from .elementwise import ElementwiseMethods
from .linalg import LinalgMethods
from .reduction import ReductionMethods
from .shape import ShapeMethods


class Methods(ElementwiseMethods, LinalgMethods, ReductionMethods, ShapeMethods):
    """All of them."""

    __slots__ = ()


__all__ = ["Methods"]
