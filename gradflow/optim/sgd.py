"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from .optimizer import Optimizer, not_negative


class SGD(Optimizer):
    """w -= lr * g, with momentum b: v = b v + (1 - dampening) g, w -= lr * v (nesterov: g + b v instead of v).

    weight_decay adds that much of w to g; maximize turns the direction round.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
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
        if group["maximize"]:
            g = -g
        if group["weight_decay"]:
            g = g + w * group["weight_decay"]
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
