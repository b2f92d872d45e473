"""`Tensor`: an array that knows how it was computed."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .autograd import api
from .autograd.tape import MAIN, Node
from .autograd.value import TransformError, Value, backend_under, host_array, is_mapped, make, set_tensor_class
from .backend.base import Device
from .backend.dtypes import is_floating
from .inplace import InPlace
from .methods import Methods
from .printing import show


class Tensor(Methods, InPlace, Value):
    """An array on some device, with the operations recorded that led to it where it requires grad.

    Made by `gf.tensor` and its like. Names and signatures follow PyTorch; NumPy arrays and Python numbers mix in as
    constants. Leaves (made by the user) collect `.grad`; results hold their history in `grad_fn`.
    """

    __slots__ = ()
    __array_ufunc__ = None  # NumPy arrays leave operators to us
    __hash__ = object.__hash__

    def __init__(self, *_: Any, **__: Any) -> None:
        raise TypeError("make tensors with gf.tensor(data), gf.zeros(...) and the like")

    # -- what it is ---------------------------------------------------------------------------------------------------

    @property
    def device(self) -> Device:
        """Where the array lives."""
        return backend_under(self).device

    @property
    def is_cuda(self) -> bool:
        return self.device.type == "cuda"

    @property
    def is_leaf(self) -> bool:
        """Whether it was made by the user rather than recorded."""
        return self.edge is None

    @property
    def grad_fn(self) -> Node | None:
        """The recorded call that made it."""
        edge = self.edge
        return edge[0] if isinstance(edge, tuple) else edge

    @property
    def output_nr(self) -> int:
        """Which output of `grad_fn` it is."""
        return self.edge[1] if isinstance(self.edge, tuple) else 0

    @property
    def requires_grad(self) -> Any:
        """Whether operations on it are recorded. Assignable on leaves."""
        return self.tracked

    @requires_grad.setter
    def requires_grad(self, value: Any) -> None:
        self.requires_grad_(value)

    @property
    def data(self) -> Tensor:
        """The same memory without history. Assigning another tensor replaces the memory."""
        return self.detach()

    @data.setter
    def data(self, value: Tensor) -> None:
        self.replace_storage(value)

    def size(self, dim: int | None = None) -> Any:
        """The shape, or one size of it."""
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> int:
        return self.ndim

    # -- to and from elsewhere ----------------------------------------------------------------------------------------

    def numpy(self) -> np.ndarray:
        """A copy on the host, as a NumPy array."""
        return host_array(self, "numpy")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self.level is not MAIN:
            raise TransformError(f"[asarray] NumPy would lose what a value inside {self.level.name} depends on")
        if self.tracked:
            raise RuntimeError("[asarray] NumPy would lose the history of a tensor that requires grad; detach() it")
        array = self.below
        if not isinstance(array, np.ndarray):
            raise TypeError(f"[asarray] the tensor is on {self.device}; copy it to the host with .numpy()")
        return np.array(array, dtype=dtype, copy=copy)

    def item(self) -> Any:
        """The one element, as a Python number."""
        if self.size_ != 1:
            raise ValueError(f"[item] needs a tensor of one element, got shape {tuple(self.shape)}")
        return host_array(self, "item").item()

    def tolist(self) -> Any:
        """Nested lists of Python numbers."""
        return self.numpy().tolist()

    def detach(self) -> Tensor:
        """The same memory without history, at any level: changes in place are seen by both."""
        inner = self.below.detach() if isinstance(self.below, Value) else self.below  # type: ignore[attr-defined]
        return make(inner, self.level, version=self.version)  # type: ignore[no-any-return]

    def detach_(self) -> Tensor:
        """Forget how this tensor was computed: a leaf from here on."""
        if self.level is not MAIN:
            raise TransformError(f"[detach_] a value inside {self.level.name} cannot be changed in place; use detach()")
        self.edge, self.tracked, self.hooks = None, False, None
        return self

    # -- gradients ----------------------------------------------------------------------------------------------------

    def requires_grad_(self, requires_grad: Any = True) -> Tensor:
        """Have operations on this leaf recorded from now on, or not any more."""
        if self.edge is not None:
            if not requires_grad:
                raise RuntimeError(f"[requires_grad] a result of {self.grad_fn} is not a leaf; use detach()")
            return self
        if requires_grad and not is_floating(self.dtype):
            raise TypeError(f"[requires_grad] only floating tensors can require gradients, got {self.dtype}")
        self.tracked = requires_grad not in (False, 0, None)
        return self

    def backward(
        self, gradient: Any = None, retain_graph: Any = None, create_graph: Any = False, inputs: Any = None
    ) -> None:
        """Add the gradient of this tensor to the `.grad` of the leaves it was computed from.

        gradient      the cotangent, of this tensor's shape; 1 for a scalar
        retain_graph  keep what backward needs for another pass
        create_graph  record the pass itself, for higher derivatives
        inputs        only these leaves
        """
        api.backward(self, gradient, retain_graph, create_graph, inputs)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> Handle:
        """Call hook(gradient) when this tensor's gradient is complete; a returned tensor takes its place."""
        hooks = self._hooks("register_hook")
        hooks.append(hook)
        return Handle(hooks, hook)

    def _hooks(self, op: str) -> list[Any]:
        """The list of this tensor's hooks: a leaf's own, a result's at its node."""
        if not self.tracked:
            raise RuntimeError(f"[{op}] the tensor does not require grad, so no gradient will arrive")
        node = self.grad_fn
        if node is None:
            self.hooks = self.hooks or []
            return self.hooks
        node.hooks = node.hooks or {}
        return node.hooks.setdefault(self.output_nr, [])

    def retain_grad(self) -> None:
        """Keep this result's gradient in `.grad`, as leaves do."""
        hooks = self._hooks("retain_grad")
        if not self.is_leaf and not any([isinstance(h, KeepGrad) and h.tensor() is self for h in hooks]):
            hooks.append(KeepGrad(self))

    # -- as a sequence and a number ------------------------------------------------------------------------------------

    def __len__(self) -> Any:
        if not self.ndim:
            raise TypeError("[len] a 0-d tensor has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.unbind() if len(self) else ())

    def __contains__(self, item: Any) -> Any:
        other = host_array(item, "in") if isinstance(item, Tensor) else item
        return np.any(host_array(self, "in") == other).item()

    def __bool__(self) -> Any:
        if self.size_ != 1:
            raise ValueError(
                f"[bool] a tensor of shape {tuple(self.shape)} is ambiguous as one truth value; use .any() or .all()"
            )
        return host_array(self, "bool").item() != 0

    def __float__(self) -> Any:
        return np.float64(self.item()).item()

    def __int__(self) -> Any:
        return np.int64(self.item()).item()

    def __index__(self) -> Any:
        if self.dtype.kind not in "iu":
            raise TypeError(f"[index] only integer tensors can be an index, got {self.dtype}")
        return self.item()

    def __deepcopy__(self, memo: dict[Any, Any]) -> Tensor:
        if self.edge is not None:
            raise RuntimeError(
                f"[deepcopy] only leaves can be copied, and this is a result of {self.grad_fn}; detach()"
            )
        twin = self.__copy__()
        twin.below, twin.version = self.below.copy(), [0]
        twin.grad = None if self.grad is None else make(self.grad.below.copy(), self.level)
        memo[id(self)] = twin
        return twin

    def __copy__(self) -> Tensor:
        """Another tensor with the same memory and history, and a gradient and hooks of its own."""
        twin = object.__new__(type(self))
        twin.below, twin.level, twin.edge, twin.tracked = self.below, self.level, self.edge, self.tracked
        twin.grad, twin.hooks, twin.aux, twin.version = self.grad, None, self.aux, self.version
        return twin

    def __reduce__(self) -> Any:
        raise TypeError("tensors are not pickled; save them with safetensors, or pass .numpy()")

    def __repr__(self) -> str:
        return show(self)

    def __format__(self, spec: str) -> str:
        if (not self.ndim and not is_mapped(self)) or (spec and self.size_ == 1):
            return format(host_array(self, "format").item(), spec)
        if spec:
            raise TypeError(f"[format] {spec!r} is for tensors of one element, not {tuple(self.shape)}")
        return str(self)


class KeepGrad:
    """The hook of `retain_grad`. It hangs on the node, which the tensor holds, and so holds the tensor weakly."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = weakref.ref(tensor)

    def __call__(self, g: Tensor) -> None:
        tensor = self.tensor()
        if tensor is not None:
            tensor.grad = g.clone() if tensor.grad is None else tensor.grad + g


class Handle:
    """Takes a hook away again."""

    def __init__(self, hooks: list[Any], hook: Any) -> None:
        self._hooks, self._hook = hooks, hook

    def remove(self) -> None:
        if self._hook in self._hooks:
            self._hooks.remove(self._hook)


set_tensor_class(Tensor)
