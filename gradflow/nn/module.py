"""`Module`: models as trees of parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..autograd.value import stamp
from ..backend.device import get_backend
from ..backend.dtypes import as_dtype, is_floating
from ..tensor import Tensor
from ..typeinfo import destination
from . import hooks
from .parameter import Parameter, moved
from .state import StateMethods


class Module(StateMethods):
    """Base of layers and models. Assigning a Parameter, a Module or (with `register_buffer`) a buffer registers it."""

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]
    _transient: set[str]  # the buffers that are not saved
    _hooks: dict[str, dict[int, Any]] | None = None  # by kind; None costs nothing

    def __init__(self) -> None:
        self.__dict__.update(training=True, _parameters={}, _buffers={}, _modules={}, _transient=set())

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} needs a method forward(self, ...)")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._hooks is not None:
            return hooks.call(self, args, kwargs)
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
                self._forget(name, held)
                held[name] = value
                return
        registered: tuple[dict[str, Any], ...] = (self._parameters, self._buffers, self._modules)
        for held in registered:
            if name in held:
                if value is not None and not (held is self._buffers and isinstance(value, Tensor)):
                    raise TypeError(
                        f"{type(self).__name__}.{name} is registered and cannot be set to a {type(value).__name__}; "
                        "wrap tensors in gf.nn.Parameter"
                    )
                held[name] = value
                return
        object.__setattr__(self, name, value)

    def _forget(self, name: str, keep: Any = None) -> None:
        for held in (self.__dict__, self._parameters, self._buffers, self._modules):
            if held is not keep:
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

    def __dir__(self) -> list[str]:
        names = {*super().__dir__(), *self._parameters, *self._buffers, *self._modules}
        return sorted([name for name in names if not name[:1].isdigit()])

    def _check_name(self, kind: str, name: Any, held: dict[str, Any]) -> None:
        if not isinstance(name, str):
            raise TypeError(f"the name of a {kind} must be a string, got {name!r}")
        if not name or "." in name:
            raise KeyError(f"the name of a {kind} must not be empty nor contain '.', got {name!r}")
        if hasattr(self, name) and name not in held:
            raise KeyError(f"{type(self).__name__} has an attribute {name!r} already")

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter, or a place for one (None)."""
        self._check_name("parameter", name, self._parameters)
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"{type(self).__name__}.{name} must be a gf.nn.Parameter or None, got {type(param).__name__}"
            )
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is moved with the model but not trained, and saved with it if persistent."""
        self._check_name("buffer", name, self._buffers)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(f"{type(self).__name__}.{name} must be a tensor or None, got {type(tensor).__name__}")
        self._buffers[name] = tensor
        (self._transient.discard if persistent else self._transient.add)(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a submodule under a name."""
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{type(self).__name__}.{name} must be a module or None, got {type(module).__name__}")
        self._check_name("module", name, self._modules)
        self._modules[name] = module

    def register_module(self, name: str, module: Module | None) -> None:
        """`add_module` by another name."""
        self.add_module(name, module)

    # -- what is in it ------------------------------------------------------------------------------------------------

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all below it with their paths; shared ones once, unless remove_duplicate=False."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, child in self._modules.items():
            if child is not None:
                yield from child.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        for _, module in self.named_modules():
            yield module

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules right below this one with their names, each once."""
        seen: set[Module] = set()
        for name, child in self._modules.items():
            if child is not None and child not in seen:
                seen.add(child)
                yield name, child

    def children(self) -> Iterator[Module]:
        for _, child in self.named_children():
            yield child

    def _named(self, kind: str, prefix: str, recurse: bool, remove_duplicate: bool) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        modules = self.named_modules(None, prefix, remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, value in getattr(module, kind).items():
                if value is not None and id(value) not in seen:
                    if remove_duplicate:
                        seen.add(id(value))
                    yield f"{path}.{name}" if path else name, value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Parameters with their paths, those of submodules too if recurse; a shared one once, unless told otherwise."""
        return self._named("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Buffers with their paths, as `named_parameters` has it."""
        return self._named("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def get_submodule(self, target: str) -> Module:
        """The module at a path such as "layers.0.norm"; "" is this one. AttributeError where there is none."""
        module = self
        for name in target.split(".") if target else ():
            found = getattr(module, name, None)
            if not isinstance(found, Module):
                raise AttributeError(f"{type(module).__name__} has no submodule {name!r} (on the way to {target!r})")
            module = found
        return module

    def set_submodule(self, target: str, module: Module) -> None:
        """Put another module at a path. AttributeError where there is none."""
        self.get_submodule(target)
        path, _, name = target.rpartition(".")
        if not name or not isinstance(module, Module):
            raise ValueError(f"[set_submodule] expected a path and a module, got {target!r} and {module!r}")
        setattr(self.get_submodule(path), name, module)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a path. AttributeError where there is none."""
        return self._get("_parameters", "parameter", target)  # type: ignore[no-any-return]

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a path. AttributeError where there is none."""
        return self._get("_buffers", "buffer", target)  # type: ignore[no-any-return]

    def _get(self, held: str, kind: str, target: str) -> Any:
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        found = getattr(module, held).get(name)
        if found is None:
            raise AttributeError(f"{type(module).__name__} has no {kind} {name!r}")
        return found

    # -- modes, devices -----------------------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Any:
        """Training mode, in which dropout drops and batch norm uses and updates the batch's statistics."""
        if not isinstance(mode, bool):
            raise ValueError(f"training mode must be True or False, got {mode!r}")
        self.training = mode
        for child in self.children():
            child.train(mode)
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

    def to(
        self, *target: Any, device: Any = None, dtype: Any = None, non_blocking: bool = False, memory_format: Any = None
    ) -> Any:
        """Move parameters and buffers to a device, their floating ones to a floating dtype, in place.

        Takes a device, a dtype, both, or a tensor to be like. memory_format changes nothing: weights stay in row-major
        order, and layers take inputs in any.
        """
        place, kind = destination("Module.to", target, device, dtype)
        if kind is not None and not is_floating(kind):
            raise TypeError(f"[Module.to] takes floating dtypes only, got {kind}; .type() converts integers too")
        return self._convert(place, kind, is_floating)

    def type(self, dst_type: Any) -> Any:
        """Convert all parameters and buffers, integers too, in place."""
        return self._convert(None, as_dtype(dst_type), lambda dtype: True)

    def _convert(self, place: Any, kind: Any, which: Callable[[np.dtype], bool]) -> Any:
        backend = None if place is None else get_backend(place)
        for value in [*self.parameters(), *self.buffers()]:
            for held in (value, value.grad):
                if held is not None:
                    stamp(held.version)
                    held.below, held.version = moved(held.below, backend, kind if which(held.dtype) else None), [0]
                    stamp(held.version)
        return self

    def cuda(self, device: Any = "cuda") -> Any:
        return self.to(device=device)

    def cpu(self) -> Any:
        return self.to(device="cpu")

    def double(self) -> Any:
        return self.to(dtype=np.float64)

    def half(self) -> Any:
        return self.to(dtype=np.float16)

    def bfloat16(self) -> Any:
        return self.to(dtype="bfloat16")

    def float(self) -> Any:
        return self.to(dtype=np.float32)

    # -- hooks --------------------------------------------------------------------------------------------------------

    def _hook(self, kind: str, hook: Any, prepend: bool) -> hooks.RemovableHandle:
        if self._hooks is None:
            self.__dict__["_hooks"] = {kind: {} for kind in hooks.KINDS}
        return hooks.add(self._hooks[kind], hook, prepend)  # type: ignore[index]

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> hooks.RemovableHandle:
        """Call hook(module, args) before forward; what it returns, if not None, are the new arguments.

        with_kwargs: hook(module, args, kwargs), which may return (args, kwargs).
        """
        return self._hook("forward_pre", (hook, with_kwargs), prepend)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> hooks.RemovableHandle:
        """Call hook(module, args, output) after forward; what it returns, if not None, is the new output.

        with_kwargs: hook(module, args, kwargs, output).
        """
        if always_call:
            raise NotImplementedError("[register_forward_hook] always_call=True is not supported")
        return self._hook("forward", (hook, with_kwargs), prepend)

    def register_full_backward_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> hooks.RemovableHandle:
        """Call hook(module, grad_output) when the outputs' gradients are there; it may return others."""
        return self._hook("backward_pre", hook, prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> hooks.RemovableHandle:
        """Call hook(module, grad_input, grad_output) when the positional inputs' gradients are there; it may return
        others in place of grad_input. Inputs without a gradient have None."""
        return self._hook("backward", hook, prepend)

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """What `repr` shows between the parentheses."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        own = extra.split("\n") if extra else []
        children = [f"({name}): {child!r}".replace("\n", "\n  ") for name, child in self._modules.items()]
        if len(own) < 2 and not children:
            return f"{self._get_name()}({extra})"
        return f"{self._get_name()}(\n  " + "\n  ".join([*own, *children]) + "\n)"


__all__ = ["Module", "Parameter"]
