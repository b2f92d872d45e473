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

__version__ = "0.1.0"

# Operations give inf and NaN in silence, as they do on a GPU.
_warnings.filterwarnings(
    "ignore", r".*(overflow|underflow|divide by zero|invalid value)", RuntimeWarning, r"gradflow\."
)

from . import autograd, func, nn, optim
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
from .creation import (
    arange,
    as_tensor,
    empty,
    eye,
    from_numpy,
    full,
    manual_seed,
    ones,
    ones_like,
    rand,
    randint,
    randn,
    randperm,
    tensor,
    zeros,
    zeros_like,
)
from .functions import (
    amax,
    amin,
    argmax,
    broadcast_to,
    cat,
    clone,
    expand,
    flatten,
    getitem,
    log_softmax,
    matmul,
    max,
    mean,
    min,
    permute,
    reshape,
    softmax,
    split,
    squeeze,
    stack,
    sum,
    transpose,
    unsqueeze,
    var,
)
from .ops.elementwise import (
    absolute,
    add,
    divide,
    equal,
    exp,
    gelu,
    greater,
    greater_equal,
    isnan,
    less,
    less_equal,
    log,
    logical_and,
    logical_not,
    logical_or,
    maximum,
    minimum,
    multiply,
    negative,
    not_equal,
    power,
    relu,
    sigmoid,
    sign,
    silu,
    sqrt,
    subtract,
    tanh,
    where,
)
from .ops.elementwise import absolute as abs
from .ops.elementwise import divide as div
from .ops.elementwise import equal as eq
from .ops.elementwise import multiply as mul
from .ops.elementwise import negative as neg
from .ops.elementwise import power as pow
from .ops.elementwise import subtract as sub
from .ops.random import Generator
from .tensor import Tensor

if _TYPE_CHECKING:
    from .custom import cuda_kernel
    from .train.audit import audit

__all__ = [
    "DeviceError",
    "Generator",
    "Tensor",
    "__version__",
    "abs",
    "absolute",
    "add",
    "amax",
    "amin",
    "arange",
    "argmax",
    "as_tensor",
    "audit",
    "autograd",
    "bool",
    "broadcast_to",
    "cat",
    "clone",
    "cuda_kernel",
    "device",
    "div",
    "divide",
    "empty",
    "enable_grad",
    "eq",
    "equal",
    "exp",
    "expand",
    "eye",
    "flatten",
    "float16",
    "float32",
    "float64",
    "from_numpy",
    "full",
    "func",
    "gelu",
    "get_conv_workspace",
    "get_default_device",
    "get_default_dtype",
    "get_float32_matmul_precision",
    "getitem",
    "greater",
    "greater_equal",
    "int8",
    "int16",
    "int32",
    "int64",
    "is_grad_enabled",
    "isnan",
    "kernels",
    "less",
    "less_equal",
    "log",
    "log_softmax",
    "logical_and",
    "logical_not",
    "logical_or",
    "manual_seed",
    "matmul",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "mul",
    "multiply",
    "neg",
    "negative",
    "nn",
    "no_grad",
    "not_equal",
    "ones",
    "ones_like",
    "optim",
    "permute",
    "pow",
    "power",
    "promote_types",
    "rand",
    "randint",
    "randn",
    "randperm",
    "relu",
    "reshape",
    "result_type",
    "set_conv_workspace",
    "set_default_device",
    "set_default_dtype",
    "set_float32_matmul_precision",
    "set_grad_enabled",
    "sigmoid",
    "sign",
    "silu",
    "softmax",
    "split",
    "sqrt",
    "squeeze",
    "stack",
    "sub",
    "subtract",
    "sum",
    "tanh",
    "tensor",
    "transpose",
    "uint8",
    "unsqueeze",
    "var",
    "where",
    "zeros",
    "zeros_like",
]


def __getattr__(name: str) -> object:
    if name == "bfloat16":  # needs ml_dtypes, which only those load who use it
        from .backend.dtypes import bfloat16

        return bfloat16()
    if name == "cuda_kernel":
        from .custom import cuda_kernel

        return cuda_kernel
    if name == "audit":  # comes with the training loop, which not everybody needs
        from .train.audit import audit

        return audit
    raise AttributeError(f"module 'gradflow' has no attribute {name!r}")
