"""Saving and loading a module's parameters and buffers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ..autograd.value import backend_under
from ..tensor import Tensor
from . import hooks


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict(strict=False)` passed over."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


class StateMethods:
    """The part of `Module` about its state."""

    _parameters: dict[str, Any]
    _buffers: dict[str, Any]
    _modules: dict[str, Any]
    _transient: set[str]  # the buffers that are not saved
    _state_hooks: dict[str, dict[int, Any]] | None = None
    named_modules: Callable[..., Iterator[tuple[str, Any]]]

    def _state_hook(self, kind: str, hook: Any) -> hooks.RemovableHandle:
        if self._state_hooks is None:
            self.__dict__["_state_hooks"] = {"save_pre": {}, "save": {}, "load_pre": {}, "load": {}}
        return hooks.add(self._state_hooks[kind], hook)  # type: ignore[index]

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> hooks.RemovableHandle:
        """Call hook(module, prefix, keep_vars) before state_dict() reads this module."""
        return self._state_hook("save_pre", hook)

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> hooks.RemovableHandle:
        """Call hook(module, state_dict, prefix, {}) when state_dict() has read this module; it may change the dict."""
        return self._state_hook("save", hook)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> hooks.RemovableHandle:
        """Call hook(module, state_dict, prefix, {}, strict, [], [], []) before loading; it may change the (copied)
        dict."""
        return self._state_hook("load_pre", hook)

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> hooks.RemovableHandle:
        """Call hook(module, incompatible_keys) after loading; it may change the lists in there."""
        return self._state_hook("load", hook)

    def _run_state_hooks(self, kind: str, *args: Any) -> None:
        if self._state_hooks is not None:
            for hook in list(self._state_hooks[kind].values()):
                hook(self, *args)

    def state_dict(self, *, destination: Any = None, prefix: str = "", keep_vars: bool = False) -> dict[str, Any]:
        """Parameters and persistent buffers by path, detached (unless keep_vars), sharing memory with the model."""
        state: dict[str, Any] = {} if destination is None else destination
        self._run_state_hooks("save_pre", prefix, keep_vars)
        for name, value in self._own_state():
            state[prefix + name] = value if keep_vars else value.detach()
        for name, child in self._modules.items():
            if child is not None:
                child.state_dict(destination=state, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        self._run_state_hooks("save", state, prefix, {})
        return state

    def _own_state(self) -> list[tuple[str, Any]]:
        saved = [(name, b) for name, b in self._buffers.items() if name not in self._transient]
        return [(name, v) for name, v in (*self._parameters.items(), *saved) if v is not None]

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> IncompatibleKeys:
        """Copy values by path into the parameters and buffers. Nothing is changed unless everything fits.

        Values are tensors or arrays. Returns the missing and the unexpected paths. Raises KeyError where there are any
        (unless strict=False) and ValueError for shapes that differ.
        """
        if assign:
            raise NotImplementedError("[load_state_dict] assign=True is not supported: values are copied")
        places = list(self.named_modules(remove_duplicate=False))
        if any([module._state_hooks is not None for _, module in places]):
            state_dict = dict(state_dict)
            for path, module in places:
                module._run_state_hooks("load_pre", state_dict, f"{path}." if path else "", {}, strict, [], [], [])
        mine = {f"{path}.{name}" if path else name: v for path, m in places for name, v in m._own_state()}
        keys = IncompatibleKeys([k for k in mine if k not in state_dict], [k for k in state_dict if k not in mine])
        faulty = strict and bool(keys.missing_keys or keys.unexpected_keys)
        if faulty:
            self._after_loading(places, keys)  # which may find that all is well
            if keys.missing_keys or keys.unexpected_keys:
                raise KeyError(
                    f"[load_state_dict] missing: {keys.missing_keys}; unknown: {keys.unexpected_keys}; pass "
                    "strict=False to skip them"
                )
        fitting = {k: v for k, v in state_dict.items() if k in mine}
        for k, v in fitting.items():
            if not hasattr(v, "shape"):
                raise TypeError(f"[load_state_dict] {k} must be a tensor or an array, got {type(v).__name__}")
            if tuple(v.shape) != tuple(mine[k].shape):
                raise ValueError(
                    f"[load_state_dict] {k} has shape {tuple(v.shape)}, the model's {tuple(mine[k].shape)}"
                )
        for k, v in fitting.items():
            array = v.numpy() if isinstance(v, Tensor) else np.asarray(v)
            mine[k].detach().copy_(backend_under(mine[k]).from_host(array))
        if not faulty:
            self._after_loading(places, keys)
        return keys

    @staticmethod
    def _after_loading(places: list[tuple[str, Any]], keys: IncompatibleKeys) -> None:
        for _, module in reversed(places):
            module._run_state_hooks("load", keys)


__all__ = ["IncompatibleKeys", "StateMethods"]
