"""Containers of modules and parameters."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from operator import index as as_index
from typing import Any

from ..autograd.value import Value
from .activation import ReLU
from .module import Module
from .normalization import BatchNorm2d
from .parameter import Parameter


def _place(container: Any, index: Any) -> int:
    """An index into a container, counted from 0."""
    i = as_index(index)
    if not -len(container) <= i < len(container):
        raise IndexError(f"index {i} is out of range for {type(container).__name__} of {len(container)}")
    return i % len(container)


class _ModuleSequence(Module):
    """Modules in an order, with a list's methods. Names are kept where modules are replaced, and counted anew where
    their number changes."""

    def _named_list(self) -> list[tuple[str, Any]]:
        return list(self._modules.items())

    def _renew(self, modules: Iterable[Any]) -> Any:
        self._modules.clear()
        for i, module in enumerate(modules):
            self.add_module(str(i), module)
        return self

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(list(self._modules.values()))  # type: ignore[arg-type]

    def __getitem__(self, index: Any) -> Any:
        items = self._named_list()
        if isinstance(index, slice):
            return self._part(items[index])
        return items[_place(self, index)][1]

    def _part(self, items: list[tuple[str, Any]]) -> Any:
        return type(self)()._renew([module for _, module in items])

    def __setitem__(self, index: Any, module: Module) -> None:
        setattr(self, self._named_list()[_place(self, index)][0], module)

    def __delitem__(self, index: Any) -> None:
        items = self._named_list()
        if isinstance(index, slice):
            del items[index]
        else:
            del items[_place(self, index)]
        self._renew([module for _, module in items])

    def __contains__(self, module: object) -> bool:
        return any(m is module for m in self._modules.values())

    def append(self, module: Module) -> Any:
        """Add a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Any:
        """Add modules at the end."""
        for module in list(modules):
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Any:
        """Add a module before the one at `index`."""
        if not isinstance(module, Module):
            raise TypeError(f"[{type(self).__name__}] expected a module, got {type(module).__name__}")
        if not -len(self) <= index <= len(self):
            raise IndexError(f"index {index} is out of range for {type(self).__name__} of {len(self)}")
        modules = list(self)
        modules.insert(index, module)
        return self._renew(modules)

    def pop(self, index: Any = -1) -> Any:
        """Take a module out."""
        module = self[index]
        del self[index]
        return module

    def __add__(self, other: Any) -> Any:
        if not isinstance(other, Iterable):
            return NotImplemented
        return type(self)()._renew([*self, *other])

    def __iadd__(self, other: Any) -> Any:
        return self.extend(other)


class Sequential(_ModuleSequence):
    """Modules called one after the other: Sequential(a, b) or Sequential(OrderedDict(name=module))."""

    def __init__(self, *modules: Any) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], OrderedDict):
            for name, module in modules[0].items():
                self.add_module(name, module)
        else:
            for i, module in enumerate(modules):
                if not isinstance(module, Module):
                    raise TypeError(f"[Sequential] argument {i} is no module but {type(module).__name__}")
                self.add_module(str(i), module)

    def forward(self, input: Any) -> Any:
        """Each module of the one before; a ReLU after a BatchNorm2d is done by that, in the same pass over memory."""
        modules: list[Any] = [*self._modules.values(), None]
        x, fused = input, False
        for module, after in pairwise(modules):
            if fused:
                fused = False
            elif type(module) is BatchNorm2d and type(after) is ReLU and module._hooks is after._hooks is None:
                x, fused = module(x, activation="relu"), True
            else:
                x = module(x)
        return x

    def _part(self, items: list[tuple[str, Any]]) -> Any:
        return type(self)(OrderedDict(items))

    def __mul__(self, times: int) -> Any:
        """The modules `times` times over; they are shared."""
        if not isinstance(times, int) or times <= 0:
            raise ValueError(f"[Sequential] can be repeated a positive number of times, got {times!r}")
        return type(self)()._renew(list(self) * times)

    __rmul__ = __mul__


class ModuleList(_ModuleSequence):
    """A list of modules, whose parameters are the model's."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.extend(modules)

    def insert(self, index: int, module: Module) -> None:
        """Add a module before the one at `index`."""
        super().insert(index, module)

    def __repr__(self) -> str:
        """Equal neighbours are shown once: (0-2): 3 x Linear(...)."""
        shown: list[tuple[int, int, str]] = []
        for i, module in enumerate(self):
            text = repr(module)
            if shown and shown[-1][2] == text:
                shown[-1] = (shown[-1][0], i, text)
            else:
                shown.append((i, i, text))
        if not shown:
            return f"{self._get_name()}()"
        lines = []
        for first, last, text in shown:
            names = f"({first}): " if first == last else f"({first}-{last}): {last - first + 1} x "
            lines.append(names + text.replace("\n", "\n  "))
        return f"{self._get_name()}(\n  " + "\n  ".join(lines) + "\n)"


class ModuleDict(Module):
    """Modules by name, whose parameters are the model's."""

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Any:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: object) -> bool:
        return key in self._modules

    def clear(self) -> None:
        """Take all modules out."""
        self._modules.clear()

    def pop(self, key: str) -> Any:
        """Take a module out."""
        return self._modules.pop(key)

    def keys(self) -> Any:
        return self._modules.keys()

    def items(self) -> Any:
        return self._modules.items()

    def values(self) -> Any:
        return self._modules.values()

    def update(self, modules: Any) -> None:
        """Add modules from a mapping, or from pairs of names and modules."""
        for key, module in modules.items() if hasattr(modules, "items") else modules:
            self[key] = module


def _as_parameter(value: Any) -> Any:
    return value if not isinstance(value, Value) or isinstance(value, Parameter) else Parameter(value)


def _shown(name: Any, value: Any) -> str:
    if not isinstance(value, Value):
        return f"  ({name}): Object of type: {type(value).__name__}"
    kind = "Parameter" if isinstance(value, Parameter) else "Tensor"
    size = "x".join([str(n) for n in value.shape])
    where = "" if str(value.device) == "cpu" else f" ({value.device})"  # type: ignore[attr-defined]
    return f"  ({name}): {kind} containing: [{value.dtype} of size {size}{where}]"


class ParameterList(Module):
    """A list of parameters, which are the model's. Tensors become parameters; other values are kept as they are."""

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self._size = 0
        if values is not None:
            self.extend(values)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Any]:
        return iter([self[i] for i in range(len(self))])

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)([self[i] for i in range(*index.indices(len(self)))])
        return getattr(self, str(_place(self, index)))

    def __setitem__(self, index: Any, value: Any) -> None:
        setattr(self, str(_place(self, index)), _as_parameter(value))

    def append(self, value: Any) -> Any:
        """Add a parameter at the end."""
        setattr(self, str(self._size), _as_parameter(value))
        self._size += 1
        return self

    def extend(self, values: Iterable[Any]) -> Any:
        """Add parameters at the end."""
        for value in list(values):
            self.append(value)
        return self

    __iadd__ = extend

    def extra_repr(self) -> str:
        return "\n".join([_shown(i, value) for i, value in enumerate(self)])


class ParameterDict(Module):
    """Parameters by name, which are the model's. Tensors become parameters; other values are kept as they are."""

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        self._keys: dict[str, None] = {}
        if parameters is not None:
            self.update(parameters)

    def __getitem__(self, key: str) -> Any:
        if key not in self._keys:
            raise KeyError(key)
        return self._parameters[key] if key in self._parameters else self.__dict__[key]

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str) or "." in key or (key not in self._keys and hasattr(self, key)):
            raise KeyError(f"[ParameterDict] {key!r} cannot be a key: it is no string, has a dot, or is an attribute")
        self._keys[key] = None
        setattr(self, key, _as_parameter(value))

    def __delitem__(self, key: str) -> None:
        del self._keys[key]
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._keys)

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def keys(self) -> Any:
        return self._keys.keys()

    def values(self) -> Any:
        return [self[key] for key in self._keys]

    def items(self) -> Any:
        return [(key, self[key]) for key in self._keys]

    def get(self, key: str, default: Any = None) -> Any:
        """The parameter under a name, else the default."""
        return self[key] if key in self._keys else default

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The parameter under a name; the default is put there where there is none."""
        if key not in self._keys:
            self[key] = default
        return self[key]

    def pop(self, key: str) -> Any:
        """Take a parameter out."""
        value = self[key]
        del self[key]
        return value

    def clear(self) -> None:
        """Take all parameters out."""
        for key in list(self._keys):
            del self[key]

    def update(self, parameters: Any) -> None:
        """Add parameters from a mapping, or from pairs of names and parameters."""
        pairs = parameters.items() if isinstance(parameters, (Mapping, ParameterDict)) else parameters
        for key, value in pairs:
            self[key] = value

    def extra_repr(self) -> str:
        return "\n".join([_shown(key, value) for key, value in self.items()])


__all__ = ["ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential"]
