"""Parameters computed from others by modules, which train and are saved with the model."""

from __future__ import annotations

from typing import Any

from ...autograd.grad_mode import no_grad
from ..containers import ModuleDict, ModuleList
from ..module import Module
from ..parameter import Parameter


class ParametrizationList(ModuleList):
    """What one parameter is computed from: the first module's result goes through the others.

    The parameters are called `original`, or `original0`, `original1` ... where the first module takes several.
    """

    def __init__(self, modules: list[Module], original: Any) -> None:
        super().__init__(modules)
        values = _inverted(modules, original)
        self.count = len(values) if isinstance(values, tuple) else 0
        for name, value in zip(self._names(), values if isinstance(values, tuple) else (values,), strict=True):
            if isinstance(original, Parameter):
                self.register_parameter(name, Parameter(value.detach(), original.requires_grad))
            else:
                self.register_buffer(name, value)

    def _names(self) -> list[str]:
        return [f"original{i}" for i in range(self.count)] if self.count else ["original"]

    def forward(self) -> Any:
        first, *others = self
        x = first(*[getattr(self, name) for name in self._names()])
        for module in others:
            x = module(x)
        return x

    def right_inverse(self, value: Any) -> None:
        """Change the originals so that the parameter becomes `value`."""
        values = _inverted(list(self), value)
        with no_grad():
            for name, v in zip(self._names(), values if isinstance(values, tuple) else (values,), strict=True):
                getattr(self, name).copy_(v)


def _inverted(modules: list[Module], value: Any) -> Any:
    with no_grad():
        for module in reversed(modules):
            inverse = getattr(module, "right_inverse", None)
            value = inverse(value) if inverse is not None else value
    return tuple(value) if isinstance(value, (tuple, list)) else value


def _class_with(module: Any) -> Any:
    """The module's class, with properties in the places of parametrized tensors."""
    base: Any = type(module)

    def set_attribute(self: Any, name: str, value: Any) -> None:
        if name in self._modules["parametrizations"]:
            self._modules["parametrizations"][name].right_inverse(value)
        else:
            base.__setattr__(self, name, value)

    return type(f"Parametrized{base.__name__}", (base,), {"__setattr__": set_attribute, "_parametrized_base": base})


def _property(name: str) -> property:
    """Copies of a module share its class, and may have parametrizations of other tensors."""

    def value(self: Any) -> Any:
        held = self._modules["parametrizations"]
        return held[name]() if name in held else self.__getattr__(name)

    return property(value)


def is_parametrized(module: Any, tensor_name: str | None = None) -> bool:
    """Whether a parameter of the module is computed so, or the one named."""
    held = module._modules.get("parametrizations")
    return isinstance(held, ModuleDict) and (tensor_name is None or tensor_name in held)


def register_parametrization(module: Any, tensor_name: str, parametrization: Module, *, unsafe: bool = False) -> Any:
    """Compute a parameter or buffer by a module from now on: `module.weight` is `parametrization(original)`.

    A method `right_inverse` of the parametrization says what the original is to start from; it may return several
    tensors, which forward then takes. Another parametrization of the same tensor follows the first. Raises ValueError
    where there is no such tensor, and (unless unsafe) where the shape or dtype would change.
    """
    if is_parametrized(module, tensor_name):
        held = module.parametrizations[tensor_name]
        if held.count:
            raise ValueError("[register_parametrization] one that takes several tensors cannot be followed by another")
        before = getattr(module, tensor_name)
        with no_grad():
            held.original.copy_(_inverted([parametrization], held.original.detach()))
        held.append(parametrization)
    else:
        kept = module._parameters if tensor_name in module._parameters else module._buffers
        before = kept.get(tensor_name)
        if before is None:
            raise ValueError(
                f"[register_parametrization] {type(module).__name__} has no parameter or buffer {tensor_name!r}"
            )
        held = ParametrizationList([parametrization], before)
        with no_grad():
            after = held()
        if not unsafe and (after.shape != before.shape or after.dtype != before.dtype):
            raise ValueError(
                f"[register_parametrization] {tensor_name} would change from {tuple(before.shape)} {before.dtype} to "
                f"{tuple(after.shape)} {after.dtype}; unsafe=True allows it"
            )
        del kept[tensor_name]
        if not is_parametrized(module):
            module.add_module("parametrizations", ModuleDict())
            module.__class__ = _class_with(module)
        module.parametrizations._modules[tensor_name] = held
        setattr(type(module), tensor_name, _property(tensor_name))
    held.train(module.training)
    return module


def remove_parametrizations(module: Any, tensor_name: str, leave_parametrized: bool = True) -> Any:
    """Make a parametrized tensor a plain one again: what it is now, or (leave_parametrized=False) its original."""
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"[remove_parametrizations] {tensor_name!r} of {type(module).__name__} is not parametrized")
    held = module.parametrizations[tensor_name]
    if not leave_parametrized and held.count:
        raise ValueError("[remove_parametrizations] there is no one original; leave_parametrized must be True")
    with no_grad():
        value = held().detach() if leave_parametrized else held.original.detach()
    first = getattr(held, held._names()[0])
    del module.parametrizations._modules[tensor_name]
    if isinstance(first, Parameter):
        module._parameters[tensor_name] = Parameter(value, first.requires_grad)
    else:
        module._buffers[tensor_name] = value
    if not len(module.parametrizations):
        module.__class__ = type(module)._parametrized_base
        del module._modules["parametrizations"]
    return module


__all__ = ["ParametrizationList", "is_parametrized", "register_parametrization", "remove_parametrizations"]
