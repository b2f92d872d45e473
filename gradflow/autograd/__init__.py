"""Automatic differentiation: primitives, the tape and its backward pass, forward mode, vmap, what they compose to."""

from .anomaly import detect_anomaly, is_anomaly_enabled, set_detect_anomaly
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
    "detect_anomaly",
    "enable_grad",
    "grad",
    "gradcheck",
    "is_anomaly_enabled",
    "is_grad_enabled",
    "no_grad",
    "numeric_gradient",
    "set_detect_anomaly",
    "set_grad_enabled",
]
