"""RMSprop."""

from __future__ import annotations

from typing import Any

from .optimizer import Optimizer
from .options import approach, check_hints, direction, mean_square, not_negative


class RMSprop(Optimizer):
    """w -= lr * g / (sqrt(v) + eps), with the running mean v of g^2, less that of g squared if centered.

    With momentum b the quotients are summed: u = b u + g / (sqrt(v) + eps), w -= lr * u. weight_decay adds that much of
    w to g (Hinton, Neural Networks for Machine Learning, lecture 6e, 2012; centered: Graves, 2013).
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        not_negative("RMSprop", lr=lr, eps=eps, momentum=momentum, weight_decay=weight_decay, alpha=alpha)
        check_hints("RMSprop", differentiable)
        options = {"lr": lr, "momentum": momentum, "alpha": alpha, "eps": eps, "centered": centered}
        super().__init__(params, {**options, "weight_decay": weight_decay, "maximize": maximize})

    def update(self, np: Any, w: Any, g: Any, group: dict[str, Any], state: dict[str, Any]) -> None:
        g = direction(w, g, group)
        momentum = group["momentum"]
        if not state:
            names = ["square_avg", *["momentum_buffer"] * (momentum > 0), *["grad_avg"] * bool(group["centered"])]
            state.update(step=0, **{name: np.zeros_like(w) for name in names})
        state["step"] += 1
        v = state["square_avg"]
        mean_square(v, g, group["alpha"])
        if group["centered"]:
            m = state["grad_avg"]
            approach(m, g, 1 - group["alpha"])
            scale = m * m
            np.subtract(v, scale, out=scale)
            np.sqrt(scale, out=scale)
        else:
            scale = np.sqrt(v)
        scale += group["eps"]
        np.divide(g, scale, out=scale)
        if momentum > 0:
            u = state["momentum_buffer"]
            u *= momentum
            u += scale
            np.multiply(u, group["lr"], out=scale)
        else:
            scale *= group["lr"]
        w -= scale
