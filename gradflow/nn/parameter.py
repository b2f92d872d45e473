"""`Parameter`, and how parameters and buffers are moved."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd.tape import MAIN
from ..backend.device import backend_of
from ..backend.dtypes import is_floating
from ..creation import as_tensor, empty
from ..tensor import Tensor


class Parameter(Tensor):
    """A leaf tensor that a Module lists among its parameters; without data, an empty one."""

    __slots__ = ()

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Parameter:
        source = empty(0) if data is None else as_tensor(data)
        self = object.__new__(cls)
        self.below, self.level, self.edge, self.tracked = source.below, MAIN, None, requires_grad
        self.grad = self.hooks = self.aux = None
        self.version = source.version
        return self

    def __init__(self, data: Any = None, requires_grad: bool = True) -> None:
        if requires_grad and not is_floating(self.dtype):
            raise TypeError(f"[Parameter] only floating tensors can require gradients, got {self.dtype}")

    def __deepcopy__(self, memo: dict[Any, Any]) -> Tensor:
        """A parameter of its own, without the gradient."""
        twin = super().__deepcopy__(memo)
        twin.grad = None
        return twin

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


def moved(array: Any, backend: Any, dtype: Any) -> Any:
    """`array` on another backend, in another dtype, or both; None changes nothing."""
    if dtype is not None:
        array = array.astype(dtype)
    here = backend_of(array)
    if backend is None or backend is here:
        return array
    return backend.from_host(array if here.array_type is np.ndarray else here.to_host(array))


__all__ = ["Parameter", "moved"]
