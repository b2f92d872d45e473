"""Automatic differentiation: primitives, the tape and its backward pass, forward mode, vmap, what they compose to."""

from .api import backward, grad
from .function import Function
from .grad_mode import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from .gradcheck import GradcheckError, gradcheck, numeric_gradient
from .pull import GraphError
from .value import TransformError

__all__ = [
    "Function",
    "GradcheckError",
    "GraphError",
    "TransformError",
    "backward",
    "enable_grad",
    "grad",
    "gradcheck",
    "is_grad_enabled",
    "no_grad",
    "numeric_gradient",
    "set_grad_enabled",
]
