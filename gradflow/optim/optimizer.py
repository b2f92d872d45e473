"""`Optimizer`: parameter groups, and the state each parameter has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..autograd.grad_mode import enable_grad
from ..autograd.value import Value, backend_under, stamp
from ..backend.base import Array, Backend, guarded
from ..backend.device import backend_of
from ..backend.kernels import Declined, run
from ..creation import tensor
from ..tensor import Tensor

Step = tuple[Tensor, Array, Array, dict[str, Any]]
"""One parameter's part of a step: itself, its raw array and gradient, and its state."""


class Optimizer:
    """Base of optimisers. `params` are parameters, or dicts of parameters with options of their own.

    A subclass defines `update`: raw parameter and gradient arrays in, the parameter changed in place. State arrays are
    raw too, on the parameter's device. On devices that have its `kernel`, `update_together` changes many parameters at
    once: those of a group that are of one dtype and, by `phase`, equally far. A subclass
    of a subclass that changes `update` sets `kernel` to "".
    """

    kernel = ""

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        if isinstance(params, Value):
            raise TypeError("[optim] params must be an iterable of tensors or dicts, got one tensor")
        given = list(params)
        if not given:
            raise ValueError("[optim] got no parameters")
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[Any, dict[str, Any]] = {}
        for group in given if isinstance(given[0], dict) else [{"params": given}]:
            self.add_param_group(group)

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Add parameters with options of their own."""
        params = group["params"]
        params = [params] if isinstance(params, Value) else list(params)
        held = {id(p) for g in self.param_groups for p in g["params"]}
        for p in params:
            if not isinstance(p, Tensor):
                raise TypeError(f"[optim] can only optimise tensors, got {type(p).__name__}")
            if not p.is_leaf:
                raise ValueError("[optim] can only optimise leaves, got a recorded result; use detach()")
            if id(p) in held:
                raise ValueError("[optim] a parameter is given twice")
            held.add(id(p))
        self.param_groups.append({**self.defaults, **group, "params": params})

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none or p.grad is None:
                    p.grad = None
                else:
                    p.grad.zero_()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient. A closure computes the loss again and returns it."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            together: dict[Any, list[Step]] = {}
            for p in group["params"]:
                if p.grad is None:
                    continue
                w, g = p.inner, p.grad.inner
                backend = backend_of(w)
                if backend_of(g) is not backend:
                    raise RuntimeError(f"[optim] a parameter is on {p.device}, its gradient on {p.grad.device}")
                state = self.state.setdefault(p, {})
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

    def state_dict(self) -> dict[str, Any]:
        """Options and state, with parameters numbered in the order of the groups, as PyTorch numbers them."""
        numbers = {id(p): i for i, p in enumerate(self._params())}
        groups = []
        for group in self.param_groups:
            options = {k: v for k, v in group.items() if k != "params"}
            groups.append({**options, "params": [numbers[id(p)] for p in group["params"]]})
        state = {
            numbers[id(p)]: {
                k: tensor(v.reshape(p.shape), device=p.device) if hasattr(v, "dtype") else v for k, v in held.items()
            }
            for p, held in self.state.items()
        }
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned, for parameters in the same order."""
        groups = state_dict["param_groups"]
        sizes = [len(g["params"]) for g in groups]
        if sizes != [len(g["params"]) for g in self.param_groups]:
            raise ValueError(f"[optim] the saved groups have {sizes} parameters, which is not what this optimiser has")
        params = self._params()
        state: dict[Any, dict[str, Any]] = {}
        for i, held in state_dict["state"].items():
            p = params[int(i)]
            state[p] = {k: _restored(p, k, v) for k, v in held.items()}
        for mine, saved in zip(self.param_groups, groups, strict=True):
            mine.update({k: v for k, v in saved.items() if k != "params"})
        self.state = state

    def _params(self) -> list[Any]:
        return [p for group in self.param_groups for p in group["params"]]

    def __repr__(self) -> str:
        groups = [", ".join([f"{k}={v}" for k, v in g.items() if k != "params"]) for g in self.param_groups]
        return f"{type(self).__name__}({'; '.join(groups)})"


def _restored(p: Any, name: str, value: Any) -> Any:
    """Saved state as it is held: arrays raw, on p's device and in its memory order; the step, of which PyTorch makes a
    tensor, as a number."""
    if name == "step":
        return int(value)
    if not hasattr(value, "dtype"):
        return value
    if tuple(value.shape) != tuple(p.shape):
        raise ValueError(f"[optim] the saved {name} is {tuple(value.shape)}, its parameter {tuple(p.shape)}")
    array, backend = tensor(value, device=p.device).inner, backend_under(p)
    with guarded(backend):
        out = backend.module.empty_like(p.inner.reshape(p.shape or (1,)), dtype=array.dtype)
        out[...] = array.reshape(out.shape)
    return out


def not_negative(name: str, **options: float) -> None:
    """Raise ValueError for a negative option."""
    for option, value in options.items():
        if not value >= 0:
            raise ValueError(f"[{name}] {option} must not be negative, got {value}")
