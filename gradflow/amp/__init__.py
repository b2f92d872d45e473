"""Mixed precision: `autocast` computes products in 16 bits, `GradScaler` keeps their gradients from vanishing."""

from . import autocast_mode, grad_scaler
from .autocast_mode import *
from .grad_scaler import *

__all__ = [*autocast_mode.__all__, *grad_scaler.__all__]
