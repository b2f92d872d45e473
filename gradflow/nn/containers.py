"""Containers of modules."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from .activation import ReLU
from .module import Module
from .normalization import BatchNorm2d


class Sequential(Module):
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

    def forward(self, x: Any) -> Any:
        """Each module of the one before; a ReLU after a BatchNorm2d is done by that, in the same pass over memory."""
        modules, fused = [*self._modules.values(), None], False
        for module, after in pairwise(modules):
            if fused:
                fused = False
            elif type(module) is BatchNorm2d and type(after) is ReLU:
                x, fused = module(x, activation="relu"), True
            else:
                x = module(x)
        return x

    def append(self, module: Module) -> Sequential:
        """Add a module at the end."""
        self.add_module(str(len(self._modules)), module)
        return self

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(list(self._modules.values()))

    def __getitem__(self, index: Any) -> Any:
        items = list(self._modules.items())
        return Sequential(OrderedDict(items[index])) if isinstance(index, slice) else items[index][1]


__all__ = ["Sequential"]
