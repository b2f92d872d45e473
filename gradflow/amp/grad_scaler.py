"""`GradScaler`: the loss times a scale, so that 16-bit gradients do not vanish; steps that overflowed are skipped."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd.value import Value, backend_under, device_under, stamp
from ..backend.base import guarded
from ..backend.dtypes import float16, float32
from ..creation import tensor


class GradScaler:
    """The scale of a loss: it grows while gradients stay finite, and falls when they do not.

        scaler.scale(loss).backward()
        scaler.step(optimizer)      # with gradients divided by the scale; not at all if one is inf or NaN
        scaler.update()

    init_scale is multiplied by growth_factor after growth_interval steps with finite gradients, and by backoff_factor
    after one without. `unscale_` before `step` lets gradients be looked at or clipped. enabled=False does nothing at
    all. It works on any device; `device` is taken for PyTorch's sake (Micikevicius et al., 2018).
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        if not isinstance(device, str):
            raise TypeError(f"[GradScaler] device must be a type such as 'cuda' or 'cpu', got {device!r}")
        if enabled and (growth_factor <= 1.0 or backoff_factor >= 1.0):
            raise ValueError(
                f"[GradScaler] growth_factor must be above 1 and backoff_factor below, got {growth_factor} and "
                f"{backoff_factor}"
            )
        self._scale, self._growth_tracker, self._scaled = _rounded(init_scale), 0, False
        self._growth_factor, self._backoff_factor = growth_factor, backoff_factor
        self._growth_interval, self._enabled = growth_interval, enabled
        self._found: dict[int, bool] = {}  # by optimiser: whether gradients that were unscaled held inf or NaN
        self._stepped: set[int] = set()

    def scale(self, outputs: Any) -> Any:
        """A tensor, or tuples and lists of them, times the scale (in float32, where they have no dimensions)."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Value):
            self._scaled = True
            return outputs * tensor(self._scale, dtype=float32, device=device_under(outputs))  # type: ignore[operator]
        if isinstance(outputs, (tuple, list)):
            return type(outputs)([self.scale(y) for y in outputs])
        raise TypeError(f"[GradScaler] scale takes tensors, or lists of them, got {type(outputs).__name__}")

    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients of an optimiser's parameters by the scale, in place; once between updates.

        Raises ValueError for float16 gradients: of float16 parameters, where autocast needs float32 ones.
        """
        if not self._enabled:
            return
        self._check("unscale_")
        if id(optimizer) in self._stepped:
            raise RuntimeError("[GradScaler] unscale_ came after step; call it before")
        if id(optimizer) in self._found:
            raise RuntimeError("[GradScaler] unscale_ was called already since the last update()")
        grads = [p.grad for g in optimizer.param_groups for p in g["params"] if p.grad is not None]
        if any(g.dtype == float16 for g in grads):
            raise ValueError("[GradScaler] cannot unscale float16 gradients; keep the parameters in float32")
        inverse = _rounded(1.0 / self._scale) if self._scale else math.inf
        bad: dict[Any, Any] = {}  # by device
        for g in grads:
            backend = backend_under(g)
            with guarded(backend):
                array = g.below
                array *= inverse
                fine = backend.module.isfinite(array).all()
                bad[backend] = bad[backend] | ~fine if backend in bad else ~fine
            stamp(g.version)
        self._found[id(optimizer)] = any([bool(flag) for flag in bad.values()])

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """optimizer.step(*args, **kwargs) on unscaled gradients, unless one is inf or NaN."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise NotImplementedError("[GradScaler] step takes no closure")
        self._check("step")
        if id(optimizer) in self._stepped:
            raise RuntimeError("[GradScaler] step was called already since the last update()")
        if id(optimizer) not in self._found:
            self.unscale_(optimizer)
        self._stepped.add(id(optimizer))
        return None if self._found[id(optimizer)] else optimizer.step(*args, **kwargs)

    def update(self, new_scale: Any = None) -> None:
        """Set the scale for the next iteration: by what the steps found, or to new_scale."""
        if not self._enabled:
            return
        self._check("update")
        if new_scale is not None:
            self._scale = _rounded(float(new_scale))
        elif not self._found:
            raise RuntimeError("[GradScaler] update found no step or unscale_ since the last one")
        elif any(self._found.values()):
            self._scale, self._growth_tracker = _rounded(self._scale * self._backoff_factor), 0
        else:
            self._growth_tracker += 1
            if self._growth_tracker == self._growth_interval:
                grown = _rounded(self._scale * self._growth_factor)
                self._scale, self._growth_tracker = grown if math.isfinite(grown) else self._scale, 0
        self._found, self._stepped = {}, set()

    def _check(self, method: str) -> None:
        if not self._scaled:
            raise RuntimeError(f"[GradScaler] {method} before scale; call scaler.scale(loss).backward() first")

    def get_scale(self) -> float:
        """The scale; 1.0 if not enabled."""
        return self._scale if self._enabled else 1.0

    def is_enabled(self) -> bool:
        return self._enabled

    def get_growth_factor(self) -> float:
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        self._growth_interval = new_interval

    def state_dict(self) -> dict[str, Any]:
        """The scale, the factors, and how far the next growth is; {} if not enabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale,
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._growth_tracker,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError("[GradScaler] the state is empty: it was saved by a scaler that is not enabled")
        self._scale, self._growth_tracker = float(state_dict["scale"]), int(state_dict["_growth_tracker"])
        self._growth_factor, self._backoff_factor = state_dict["growth_factor"], state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]


def _rounded(scale: float) -> float:
    """In float32, as which it is multiplied."""
    with np.errstate(over="ignore"):
        return float(np.float32(scale))


__all__ = ["GradScaler"]
