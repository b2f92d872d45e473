"""gradflow: tensors with automatic differentiation, on NumPy or CuPy.

    import gradflow as gf

    x = gf.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    x.grad                                    # tensor([2., 4.])

Names and signatures are PyTorch's. Devices: "auto" (the default), "cpu", "cuda", "cuda:1".
"""

from __future__ import annotations

import warnings as _warnings
from typing import TYPE_CHECKING as _TYPE_CHECKING

# Operations give inf and NaN in silence, as they do on a GPU.
_warnings.filterwarnings(
    "ignore", r".*(overflow|underflow|divide by zero|invalid value)", RuntimeWarning, r"gradflow\."
)

from . import autograd, creation, func, functions, typeinfo
from . import tensor as _tensor  # before the function of that name takes its place
from .autograd.grad_mode import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from .backend import kernels
from .backend.base import DeviceError
from .backend.device import default_device as get_default_device
from .backend.device import parse_device as device
from .backend.device import set_default_device
from .backend.dtypes import bool_ as bool
from .backend.dtypes import (
    float16,
    float32,
    float64,
    get_default_dtype,
    int8,
    int16,
    int32,
    int64,
    promote_types,
    result_type,
    set_default_dtype,
    uint8,
)
from .backend.precision import get_float32_matmul_precision, set_float32_matmul_precision
from .backend.workspace import get_conv_workspace, set_conv_workspace
from .creation import *
from .functions import *
from .ops.random import Generator, default_generator
from .printing import set_printoptions
from .typeinfo import *
from .version import __version__

Tensor = _tensor.Tensor

if _TYPE_CHECKING:
    from . import amp, data, linalg, models, nn, optim, testing, train, utils
    from .amp import autocast, get_autocast_dtype, is_autocast_enabled
    from .custom import cuda_kernel
    from .toplevel import *
    from .train.audit import audit

__all__ = [
    *creation.__all__,
    *functions.__all__,
    *typeinfo.__all__,
    "DeviceError",
    "Generator",
    "Tensor",
    "__version__",
    "amp",
    "audit",
    "autocast",
    "autograd",
    "bool",
    "cuda_kernel",
    "data",
    "default_generator",
    "device",
    "enable_grad",
    "float16",
    "float32",
    "float64",
    "func",
    "get_autocast_dtype",
    "get_conv_workspace",
    "get_default_device",
    "get_default_dtype",
    "get_float32_matmul_precision",
    "int8",
    "int16",
    "int32",
    "int64",
    "is_autocast_enabled",
    "is_grad_enabled",
    "kernels",
    "linalg",
    "models",
    "nn",
    "no_grad",
    "optim",
    "promote_types",
    "result_type",
    "set_conv_workspace",
    "set_default_device",
    "set_default_dtype",
    "set_float32_matmul_precision",
    "set_grad_enabled",
    "set_printoptions",
    "testing",
    "train",
    "uint8",
    "utils",
]


half, short, long = float16, int16, int64
double = float64
int = int32  # PyTorch's names for dtypes; not in __all__, as `import *` shall leave Python's types alone
float = float32


_PARTS = {"amp", "data", "linalg", "models", "nn", "optim", "testing", "toplevel", "train", "utils"}
_ORIGINS = {
    "audit": "train.audit", "autocast": "amp", "cuda_kernel": "custom", "get_autocast_dtype": "amp",
    "is_autocast_enabled": "amp",
}  # fmt: skip


def __getattr__(name: str) -> object:
    """What is loaded when it is first asked for, so that importing gradflow is quick."""
    from importlib import import_module

    if name in _PARTS:
        return import_module(f".{name}", __name__)
    if name == "bfloat16":  # needs ml_dtypes
        from .backend.dtypes import bfloat16

        return bfloat16()
    if not name.startswith("_"):
        origin = import_module(f".{_ORIGINS.get(name, 'toplevel')}", __name__)
        if hasattr(origin, name):
            value = globals()[name] = getattr(origin, name)
            return value  # type: ignore[no-any-return]
    raise AttributeError(f"module 'gradflow' has no attribute {name!r}")


def __dir__() -> list[str]:
    from . import toplevel

    return sorted({*globals(), *_PARTS, *_ORIGINS, "bfloat16", *toplevel.__all__})
