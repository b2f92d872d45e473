"""`Module` and `Parameter`: models as trees of parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..autograd.tape import MAIN
from ..autograd.value import Value, backend_under, stamp
from ..backend.device import get_backend
from ..backend.dtypes import as_dtype, is_floating
from ..creation import as_tensor
from ..tensor import Tensor


class Parameter(Tensor):
    """A leaf tensor that a Module lists among its parameters."""

    __slots__ = ()

    def __new__(cls, data: Any, requires_grad: bool = True) -> Parameter:
        source = as_tensor(data)
        self = object.__new__(cls)
        self.inner, self.level, self.edge, self.tracked = source.inner, MAIN, None, requires_grad
        self.grad = self.hooks = self.aux = None
        self.version = source.version
        return self

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        if requires_grad and not is_floating(self.dtype):
            raise TypeError(f"[Parameter] only floating tensors can require gradients, got {self.dtype}")

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class Module:
    """Base of layers and models. Assigning a Parameter, a Module or (with `register_buffer`) a buffer registers it."""

    training: bool

    def __init__(self) -> None:
        self.__dict__.update(training=True, _parameters={}, _buffers={}, _modules={})

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} needs a method forward(self, ...)")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    # -- registration -------------------------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        if "_parameters" not in self.__dict__:
            if isinstance(value, (Parameter, Module)):
                raise AttributeError(f"call super().__init__() before assigning {type(self).__name__}.{name}")
            object.__setattr__(self, name, value)
            return
        kinds: tuple[tuple[type, dict[str, Any]], ...] = ((Parameter, self._parameters), (Module, self._modules))
        for kind, held in kinds:
            if isinstance(value, kind):
                self._forget(name)
                held[name] = value
                return
        for held in (self._parameters, self._buffers, self._modules):
            if name in held:
                if value is not None and not (held is self._buffers and isinstance(value, Tensor)):
                    raise TypeError(
                        f"{type(self).__name__}.{name} is registered and cannot be set to a {type(value).__name__}; "
                        "wrap tensors in gf.nn.Parameter"
                    )
                held[name] = value
                return
        object.__setattr__(self, name, value)

    def _forget(self, name: str) -> None:
        for held in (self.__dict__, self._parameters, self._buffers, self._modules):
            held.pop(name, None)

    def __getattr__(self, name: str) -> Any:
        for held in ("_parameters", "_buffers", "_modules"):
            found = self.__dict__.get(held, {})
            if name in found:
                return found[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __delattr__(self, name: str) -> None:
        if not any(name in held for held in (self.__dict__, self._parameters, self._buffers, self._modules)):
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        self._forget(name)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter, or a place for one (None)."""
        self._forget(name)
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None) -> None:
        """Add a tensor that is saved and moved with the model but not trained."""
        self._forget(name)
        self._buffers[name] = tensor

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a submodule under a name."""
        self._forget(name)
        self._modules[name] = module

    # -- what is in it ------------------------------------------------------------------------------------------------

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all below it, each once, with their paths."""
        seen: set[int] = set()

        def walk(module: Module, path: str) -> Iterator[tuple[str, Module]]:
            if id(module) in seen:
                return
            seen.add(id(module))
            yield path, module
            for name, child in module._modules.items():
                if child is not None:
                    yield from walk(child, f"{path}.{name}" if path else name)

        yield from walk(self, prefix)

    def modules(self) -> Iterator[Module]:
        for _, module in self.named_modules():
            yield module

    def children(self) -> Iterator[Module]:
        yield from [m for m in self._modules.values() if m is not None]

    def _named(self, kind: str, prefix: str) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        for path, module in self.named_modules(prefix):
            for name, value in getattr(module, kind).items():
                if value is not None and id(value) not in seen:
                    seen.add(id(value))
                    yield f"{path}.{name}" if path else name, value

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
        """Parameters with their paths; a shared one once."""
        return self._named("_parameters", prefix)

    def parameters(self) -> Iterator[Parameter]:
        for _, parameter in self.named_parameters():
            yield parameter

    def named_buffers(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """Buffers with their paths."""
        return self._named("_buffers", prefix)

    def buffers(self) -> Iterator[Tensor]:
        for _, buffer in self.named_buffers():
            yield buffer

    # -- modes, devices -----------------------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Any:
        """Training mode, in which dropout drops and batch norm uses and updates the batch's statistics."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Any:
        """Evaluation mode."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """Whether the parameters are trained."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the parameters' gradients."""
        for parameter in self.parameters():
            if set_to_none or parameter.grad is None:
                parameter.grad = None
            else:
                parameter.grad.zero_()

    def apply(self, fn: Callable[[Module], None]) -> Any:
        """Call fn on every module, children first."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def to(self, *target: Any, device: Any = None, dtype: Any = None) -> Any:
        """Move parameters and buffers to a device, their floating ones to a dtype, in place."""
        for t in target:
            if isinstance(t, (np.dtype, type)):
                dtype = t
            else:
                device = t
        backend = None if device is None else get_backend(device)
        kind = None if dtype is None else as_dtype(dtype)
        for value in [*self.parameters(), *self.buffers()]:
            for held in (value, value.grad):
                if held is not None:
                    stamp(held.version)
                    held.inner, held.version = _moved(held.inner, backend, kind), [0]
                    stamp(held.version)
        return self

    def cuda(self, device: Any = "cuda") -> Any:
        return self.to(device)

    def cpu(self) -> Any:
        return self.to("cpu")

    def double(self) -> Any:
        return self.to(np.float64)

    def float(self) -> Any:
        return self.to(np.float32)

    # -- state --------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Tensor]:
        """Parameters and buffers by path, detached, sharing memory with the model."""
        return {name: value.detach() for name, value in self._all()}

    def _all(self) -> Iterator[tuple[str, Any]]:
        """Every parameter and buffer with every path it has (a shared one under each), module by module."""

        def walk(module: Module, path: str) -> Iterator[tuple[str, Any]]:
            for name, value in (*module._parameters.items(), *module._buffers.items()):
                if value is not None:
                    yield path + name, value
            for name, child in module._modules.items():
                if child is not None:
                    yield from walk(child, f"{path}{name}.")

        return walk(self, "")

    def load_state_dict(self, state_dict: Any, strict: bool = True) -> Any:
        """Copy values by path into the parameters and buffers. Nothing is changed unless everything fits.

        Values are tensors or arrays. Raises KeyError for missing or unknown paths (unless strict=False) and ValueError
        for shapes that differ.
        """
        mine = dict(self._all())
        missing = [k for k in mine if k not in state_dict]
        unknown = [k for k in state_dict if k not in mine]
        if strict and (missing or unknown):
            raise KeyError(f"[load_state_dict] missing: {missing}; unknown: {unknown}; pass strict=False to skip them")
        for k, v in state_dict.items():
            if k in mine and tuple(v.shape) != tuple(mine[k].shape):
                raise ValueError(
                    f"[load_state_dict] {k} has shape {tuple(v.shape)}, the model's {tuple(mine[k].shape)}"
                )
        for k, v in state_dict.items():
            if k in mine:
                backend = backend_under(mine[k])
                array = v.numpy() if isinstance(v, Value) else np.asarray(v)  # type: ignore[attr-defined]
                mine[k].detach().copy_(backend.from_host(array))
        return missing, unknown

    def extra_repr(self) -> str:
        """What `repr` shows between the parentheses."""
        return ""

    def __repr__(self) -> str:
        lines = [f"({name}): {child!r}".replace("\n", "\n  ") for name, child in self._modules.items()]
        if not lines:
            return f"{type(self).__name__}({self.extra_repr()})"
        return f"{type(self).__name__}(\n  " + "\n  ".join(lines) + "\n)"


def _moved(array: Any, backend: Any, dtype: Any) -> Any:
    from ..backend.device import backend_of

    if dtype is not None and is_floating(array.dtype):
        array = array.astype(dtype)
    here = backend_of(array)
    if backend is None or backend is here:
        return array
    return backend.from_host(array if here.array_type is np.ndarray else here.to_host(array))


__all__ = ["Module", "Parameter"]
