"""`Tensor`: an array that knows how it was computed."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from . import functions as F
from .autograd import api
from .autograd.primitive import BIND
from .autograd.tape import MAIN, Node
from .autograd.value import TransformError, Value, backend_under, host_array, make, set_tensor_class, unwrap
from .backend.base import Device
from .backend.device import DeviceLike, parse_device
from .backend.dtypes import as_dtype, is_floating
from .inplace import InPlace
from .methods import Methods
from .ops import elementwise as E
from .ops.transfer import to_device


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

    @property
    def T(self) -> Tensor:
        """The dimensions in reverse order."""
        return F.permute(self, *reversed(range(self.ndim)))  # type: ignore[no-any-return]

    @property
    def mT(self) -> Tensor:
        """The last two dimensions exchanged."""
        return F.transpose(self, -2, -1)  # type: ignore[no-any-return]

    def size(self, dim: int | None = None) -> Any:
        """The shape, or one size of it."""
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> int:
        return self.ndim

    def numel(self) -> int:
        """The number of elements."""
        return self.size_

    def is_floating_point(self) -> bool:
        return is_floating(self.dtype)

    def is_contiguous(self) -> bool:
        """Whether the memory is in row-major order without gaps."""
        return bool(unwrap(self).flags.c_contiguous)

    # -- to and from elsewhere ----------------------------------------------------------------------------------------

    def numpy(self) -> np.ndarray:
        """A copy on the host, as a NumPy array."""
        return host_array(self, "numpy")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self.level is not MAIN:
            raise TransformError(f"[asarray] NumPy would lose what a value inside {self.level.name} depends on")
        if self.tracked:
            raise RuntimeError("[asarray] NumPy would lose the history of a tensor that requires grad; detach() it")
        array = self.inner
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

    def to(
        self, *target: Any, device: DeviceLike = None, dtype: Any = None, copy: bool = False, non_blocking: bool = True
    ) -> Tensor:
        """On another device, in another dtype, or both; the tensor itself where nothing changes.

        Takes a device ("cuda:1"), a dtype, or a tensor to be like. Differentiable. Copies to a GPU do not block.
        """
        for t in target:
            if isinstance(t, Value):
                device, dtype = t.device, t.dtype  # type: ignore[attr-defined]
            elif isinstance(t, (str, Device)) and not _names_dtype(t):
                device = t
            elif t is not None:
                dtype = t
        out: Any = self
        if dtype is not None and as_dtype(dtype) != self.dtype:
            out = E.astype(out, dtype=as_dtype(dtype))
        if device is not None and parse_device(device) != self.device:
            out = to_device(out, device=str(parse_device(device)))
        return E.copy(out) if copy and out is self else out  # type: ignore[no-any-return]

    def cpu(self) -> Tensor:
        return self.to("cpu")

    def cuda(self, device: DeviceLike = None) -> Tensor:
        return self.to("cuda" if device is None else parse_device(device))

    def float(self) -> Tensor:
        return self.to(np.float32)

    def double(self) -> Tensor:
        return self.to(np.float64)

    def half(self) -> Tensor:
        return self.to(np.float16)

    def long(self) -> Tensor:
        return self.to(np.int64)

    def int(self) -> Tensor:
        return self.to(np.int32)

    def bool(self) -> Tensor:
        return self.to(np.bool_)

    def type_as(self, other: Tensor) -> Tensor:
        return self.to(other.dtype)

    def contiguous(self) -> Tensor:
        """In row-major memory: the tensor itself where it is already."""
        return self if self.is_contiguous() else E.contiguous(self)

    def detach(self) -> Tensor:
        """The same memory without history: changes in place are seen by both."""
        return make(self.inner, self.level, version=self.version)  # type: ignore[no-any-return]

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

    # -- operators ----------------------------------------------------------------------------------------------------

    __add__, __sub__, __mul__, __truediv__, __pow__ = E.add, E.subtract, E.multiply, E.divide, E.power

    def __radd__(self, other: Any) -> Tensor:
        return E.add(other, self)  # type: ignore[no-any-return]

    def __rsub__(self, other: Any) -> Tensor:
        return E.subtract(other, self)  # type: ignore[no-any-return]

    def __rmul__(self, other: Any) -> Tensor:
        return E.multiply(other, self)  # type: ignore[no-any-return]

    def __rtruediv__(self, other: Any) -> Tensor:
        return E.divide(other, self)  # type: ignore[no-any-return]

    def __rpow__(self, other: Any) -> Tensor:
        return E.power(other, self)  # type: ignore[no-any-return]

    def __matmul__(self, other: Any) -> Tensor:
        return F.matmul(self, other)  # type: ignore[no-any-return]

    def __rmatmul__(self, other: Any) -> Tensor:
        return F.matmul(other, self)  # type: ignore[no-any-return]

    def __pos__(self) -> Tensor:
        return self

    __neg__, __abs__ = E.negative, E.absolute
    __lt__, __le__, __gt__, __ge__ = E.less, E.less_equal, E.greater, E.greater_equal

    def __eq__(self, other: object) -> Tensor:  # type: ignore[override]
        return NotImplemented if other is None or isinstance(other, str) else E.equal(self, other)

    def __ne__(self, other: object) -> Tensor:  # type: ignore[override]
        return NotImplemented if other is None or isinstance(other, str) else E.not_equal(self, other)

    def __getitem__(self, index: Any) -> Tensor:
        return F.getitem(self, index)  # type: ignore[no-any-return]

    def __len__(self) -> Any:
        if not self.ndim:
            raise TypeError("[len] a 0-d tensor has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return iter([self[i] for i in range(len(self))])

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
        copy = object.__new__(type(self))
        copy.inner, copy.level, copy.edge, copy.tracked = self.inner.copy(), self.level, None, self.tracked
        copy.hooks, copy.aux, copy.version = None, None, [0]
        copy.grad = None if self.grad is None else make(self.grad.inner.copy(), self.level)
        memo[id(self)] = copy
        return copy  # type: ignore[no-any-return]

    def __reduce__(self) -> Any:
        raise TypeError("tensors are not pickled; save them with safetensors, or pass .numpy()")

    def __repr__(self) -> str:
        from .printing import show

        return show(self)

    # -- methods ------------------------------------------------------------------------------------------------------

    def view(self, *sizes: Any) -> Tensor:
        """The same memory in another shape; an error where that would take a copy."""
        out = F.reshape(self, *sizes)
        if self.level is MAIN and self.size_ and not np.may_share_memory(out.inner, self.inner):
            raise RuntimeError(f"[view] the memory of x {tuple(self.shape)} does not allow it; use reshape()")
        return out  # type: ignore[no-any-return]

    def any(self) -> Tensor:
        """Whether an element is true (not zero)."""
        return BIND.amax(E.not_equal(self, 0)) if self.size_ else BIND.not_equal(BIND.sum(self), 0)  # type: ignore[no-any-return]

    def all(self) -> Tensor:
        """Whether every element is true (not zero)."""
        return BIND.amin(E.not_equal(self, 0)) if self.size_ else BIND.equal(BIND.sum(self), 0)  # type: ignore[no-any-return]


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


def _names_dtype(text: Any) -> bool:
    if not isinstance(text, str):
        return False
    try:
        as_dtype(text)
    except (TypeError, ImportError):
        return False
    return True


set_tensor_class(Tensor)
