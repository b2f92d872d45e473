"""`Optimizer`: parameter groups, and the state each parameter has."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from ..autograd.grad_mode import enable_grad
from ..autograd.value import Value, backend_under, stamp
from ..backend.base import Array, Backend, guarded
from ..backend.device import backend_of
from ..backend.dtypes import is_floating
from ..backend.kernels import Declined, run
from ..creation import tensor
from ..tensor import Handle, Tensor

Step = tuple[Tensor, Array, Array, dict[str, Any]]
"""One parameter's part of a step: itself, its raw array and gradient, and its state."""


def _hooked(step: Callable[..., Any]) -> Callable[..., Any]:
    """A `step` with the hooks around it, once where it calls another class's."""

    @functools.wraps(step)
    def call(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        if self.stepping:
            return step(self, *args, **kwargs)
        self.stepping = self.stepped = True
        try:
            args = (self, *args)  # as PyTorch's hooks see them
            for hook in list(self.pre_hooks):
                changed = hook(self, args, kwargs)
                if changed is not None:
                    if not isinstance(changed, tuple) or len(changed) != 2:
                        raise TypeError("[optim] a step's pre-hook must return None or (args, kwargs)")
                    args, kwargs = changed
            out = step(*args, **kwargs)
            for hook in list(self.post_hooks):
                hook(self, args, kwargs)
        finally:
            self.stepping = False
        return out

    return call


class Optimizer:
    """Base of optimisers. `params` are parameters, pairs (name, parameter), or dicts of them with options of their own.

    A subclass defines `update`: raw parameter and gradient arrays in, the parameter changed in place. State arrays are
    raw too, on the parameter's device. On devices that have its `kernel`, `update_together` changes many parameters at
    once: those of a group that are of one dtype and, by `phase`, equally far. A subclass
    of a subclass that changes `update` sets `kernel` to "". Or it defines `step`, and keeps tensors in `state[p]`.

    `numbers` are the entries of the state that are numbers, where PyTorch's are tensors of one element.
    """

    kernel = ""
    numbers: tuple[str, ...] = ("step",)

    def __init_subclass__(cls) -> None:
        if "step" in cls.__dict__:
            cls.step = _hooked(cls.step)  # type: ignore[method-assign]

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        if isinstance(params, Value):
            raise TypeError("[optim] params must be an iterable of tensors or dicts, got one tensor")
        given = list(params)
        if not given:
            raise ValueError("[optim] got no parameters")
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[Any, dict[str, Any]] = defaultdict(dict)
        self.pre_hooks: list[Any] = []
        self.post_hooks: list[Any] = []
        self.stepping = self.stepped = False
        for group in given if isinstance(given[0], dict) else [{"params": given}]:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with options of their own."""
        if not isinstance(param_group, dict):
            raise TypeError(f"[optim] a group must be a dict, got {type(param_group).__name__}")
        given = param_group["params"]
        if isinstance(given, set):
            raise TypeError("[optim] a set of parameters has no order that would last; give a list")
        params = [given] if isinstance(given, Value) else list(given)
        names = [p[0] for p in params if isinstance(p, tuple)]
        params = [p[1] if isinstance(p, tuple) else p for p in params]
        held = {id(p) for g in self.param_groups for p in g["params"]}
        for p in params:
            if not isinstance(p, Tensor):
                raise TypeError(f"[optim] can only optimise tensors, got {type(p).__name__}")
            if not p.is_leaf:
                raise ValueError("[optim] can only optimise leaves, got a recorded result; use detach()")
            if id(p) in held:
                raise ValueError("[optim] a parameter is given twice")
            held.add(id(p))
        others = [g for g in self.param_groups if ("param_names" in g) != bool(names)]
        if (names and len(names) != len(params)) or others:
            raise ValueError("[optim] either all parameters have names or none")
        named = {"param_names": names} if names else {}
        self.param_groups.append({**self.defaults, **param_group, "params": params, **named})

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none or p.grad is None:
                    p.grad = None
                else:
                    p.grad = p.grad.detach()
                    p.grad.zero_()

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call hook(optimizer, args, kwargs) before each step; it may return others. args begin with the optimiser."""
        self.pre_hooks.append(hook)
        return Handle(self.pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call hook(optimizer, args, kwargs) after each step."""
        self.post_hooks.append(hook)
        return Handle(self.post_hooks, hook)

    @_hooked
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient. A closure computes the loss again and returns it."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            group = _numbers(group)
            together: dict[Any, list[Step]] = {}
            for p in group["params"]:
                if p.grad is None:
                    continue
                w, g, state = p.below, gradient(p), self.state[p]
                backend = backend_of(w)
                if not w.ndim:  # NumPy's operators make scalars of 0-d arrays
                    w, g = w.reshape(1), g.reshape(1)
                if self.kernel in backend.kernels and w.dtype == g.dtype:
                    together.setdefault((backend, w.dtype, self.phase(state)), []).append((p, w, g, state))
                else:
                    self._alone(backend, group, p, w, g, state)
            for (backend, *_), steps in together.items():
                self._together(backend, group, steps)
        return loss

    def _alone(self, backend: Backend, group: dict[str, Any], p: Tensor, w: Array, g: Array, state: Any) -> None:
        with guarded(backend):
            self.update(backend.module, w, g, group, state)
        stamp(p.version)

    def _together(self, backend: Backend, group: dict[str, Any], steps: list[Step]) -> None:
        def launch(*arrays: Any, **options: Any) -> bool:
            return type(run(backend.kernels, self.kernel, *arrays, **options)) is not Declined

        ps, ws, gs, states = zip(*steps, strict=True)
        with guarded(backend):
            done = self.update_together(launch, backend.module, ws, gs, group, states)
        if done:
            for p in ps:
                stamp(p.version)
        else:
            for step in steps:
                self._alone(backend, group, *step)

    def update(self, np: Any, w: Any, g: Any, group: dict[str, Any], state: dict[str, Any]) -> None:
        """Change the array w in place by its gradient g, which must not be changed."""
        raise NotImplementedError

    def phase(self, state: dict[str, Any]) -> Any:
        """What must be equal for parameters to be updated together."""
        raise NotImplementedError

    def update_together(
        self, launch: Callable[..., bool], np: Any, ws: Sequence[Any], gs: Sequence[Any], group: dict[str, Any],
        states: Sequence[dict[str, Any]],
    ) -> bool:  # fmt: skip
        """`update` for arrays ws by gradients gs: launch(*ws, *gs, *state arrays, **options) runs the kernel and says
        whether it did; where it did not, nothing may have changed."""
        raise NotImplementedError

    # -- state --------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Options and state, with parameters numbered in the order of the groups, as PyTorch numbers them."""
        numbers = {id(p): i for i, p in enumerate(self._params())}
        groups = []
        for group in self.param_groups:
            options = {k: _copied(v) for k, v in group.items() if k != "params"}
            groups.append({**options, "params": [numbers[id(p)] for p in group["params"]]})
        state = {numbers[id(p)]: {k: self.saved(p, v) for k, v in held.items()} for p, held in self.state.items()}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned, for parameters in the same order."""
        groups = state_dict["param_groups"]
        sizes = [len(g["params"]) for g in groups]
        if sizes != [len(g["params"]) for g in self.param_groups]:
            raise ValueError(f"[optim] the saved groups have {sizes} parameters, which is not what this optimiser has")
        order = [i for g in groups for i in g["params"]]
        params = dict(zip(order, self._params(), strict=True))
        state: dict[Any, dict[str, Any]] = defaultdict(dict)
        for i, held in state_dict["state"].items():
            p = params[i if i in params else int(i)]
            state[p] = {k: self.restored(p, k, v) for k, v in held.items()}
        for mine, saved in zip(self.param_groups, groups, strict=True):
            mine.update({k: _copied(v) for k, v in saved.items() if k != "params"})
        self.state = state

    def saved(self, p: Any, value: Any) -> Any:
        """An entry of p's state as `state_dict` gives it: copied, raw arrays as tensors of p's shape."""
        if isinstance(value, Value):
            return _copied(value)
        return tensor(value.reshape(p.shape), device=p.device) if hasattr(value, "dtype") else value

    def restored(self, p: Any, name: str, value: Any) -> Any:
        """A saved entry of p's state as it is held: arrays raw, on p's device, of its dtype and in its memory order."""
        if name in self.numbers:
            return int(value) if name == "step" else float(value)
        if not hasattr(value, "dtype"):
            return value
        if type(self).update is Optimizer.update:
            return tensor(_on_host(value), device=p.device)
        if tuple(value.shape) != tuple(p.shape):
            raise ValueError(f"[optim] the saved {name} is {tuple(value.shape)}, its parameter {tuple(p.shape)}")
        array, backend = tensor(_on_host(value), device=p.device).below, backend_under(p)
        with guarded(backend):
            dtype = p.below.dtype if is_floating(array.dtype) else array.dtype
            out = backend.module.empty_like(p.below.reshape(p.shape or (1,)), dtype=dtype)
            out[...] = array.reshape(out.shape).astype(dtype, copy=False)
        return out

    def _params(self) -> list[Any]:
        return [p for group in self.param_groups for p in group["params"]]

    def __repr__(self) -> str:
        groups = [", ".join([f"{k}={v}" for k, v in g.items() if k != "params"]) for g in self.param_groups]
        return f"{type(self).__name__}({'; '.join(groups)})"


def _numbers(group: dict[str, Any]) -> dict[str, Any]:
    """A group whose options are numbers, where some were given as tensors of one element."""
    given = {k: v.item() for k, v in group.items() if isinstance(v, Tensor)}
    return {**group, **given} if given else group


def gradient(p: Any) -> Array:
    """A parameter's raw gradient, which must be of its shape and on its device."""
    g: Any = p.grad
    if not isinstance(g, Tensor) or g.shape != p.shape:
        found = tuple(g.shape) if isinstance(g, Tensor) else type(g).__name__
        raise ValueError(f"[optim] .grad of a parameter {tuple(p.shape)} must be a tensor of its shape, got {found}")
    if backend_under(g) is not backend_under(p):
        raise RuntimeError(f"[optim] a parameter is on {p.device}, its gradient on {g.device}")
    return g.below


def _copied(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, Tensor) else value  # type: ignore[attr-defined]


def _on_host(value: Any) -> Any:
    """Another library's tensor as a NumPy array; ours and arrays as they are."""
    return value.numpy() if not isinstance(value, Value) and hasattr(value, "numpy") else value
