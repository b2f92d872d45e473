"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from .optimizer import Optimizer
from .options import check_hints, direction, not_negative


class SGD(Optimizer):
    """w -= lr * g, with momentum b: v = b v + (1 - dampening) g, w -= lr * v (nesterov: g + b v instead of v).

    weight_decay adds that much of w to g; maximize turns the direction round. foreach and fused change nothing.
    """

    kernel = "sgd_step"

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_hints("SGD", differentiable, foreach, fused)
        not_negative("SGD", lr=lr, momentum=momentum, weight_decay=weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("[SGD] nesterov needs momentum, and no dampening")
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
            },
        )

    def update(self, np: Any, w: Any, g: Any, group: dict[str, Any], state: dict[str, Any]) -> None:
        g = direction(w, g, group)
        momentum = group["momentum"]
        if momentum:
            v = state.get("momentum_buffer")
            if v is None:
                v = state["momentum_buffer"] = g.copy()
            else:
                v *= momentum
                v += g if group["dampening"] == 0 else g * (1 - group["dampening"])
            g = g + v * momentum if group["nesterov"] else v
        w -= g * group["lr"]

    def phase(self, state: dict[str, Any]) -> Any:
        return state.get("momentum_buffer") is None

    def update_together(self, launch: Any, np: Any, ws: Any, gs: Any, group: Any, states: Any) -> bool:
        momentum, first = group["momentum"], bool(group["momentum"]) and self.phase(states[0])
        held = [
            np.empty_like(w) if first else s["momentum_buffer"] for w, s in zip(ws, states, strict=True) if momentum
        ]
        done: bool = launch(
            *ws, *gs, *held, arrays=3 if momentum else 2, first=first, nesterov=bool(group["nesterov"]),
            maximize=bool(group["maximize"]), lr=group["lr"], momentum=momentum, undamped=1 - group["dampening"],
            decay=group["weight_decay"],
        )  # fmt: skip
        if done and first:
            for state, v in zip(states, held, strict=True):
                state["momentum_buffer"] = v
        return done
