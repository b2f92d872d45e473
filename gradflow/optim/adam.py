"""Adam."""

from __future__ import annotations

import math
from typing import Any

from .optimizer import Optimizer, not_negative


class Adam(Optimizer):
    """w -= lr * m / (sqrt(v) + eps), with running means m of g and v of g^2, corrected for their start at 0.

    weight_decay adds that much of w to g; amsgrad uses the largest v so far (Kingma and Ba, 2015; Reddi et al., 2018).
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        not_negative("Adam", lr=lr, eps=eps, weight_decay=weight_decay)
        if not all(0.0 <= b < 1.0 for b in betas):
            raise ValueError(f"[Adam] betas must be in [0, 1), got {betas}")
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": tuple(betas),
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
            },
        )

    def update(self, np: Any, w: Any, g: Any, group: dict[str, Any], state: dict[str, Any]) -> None:
        if group["maximize"]:
            g = -g
        if group["weight_decay"]:
            g = g + w * group["weight_decay"]
        if not state:
            state.update(step=0, exp_avg=np.zeros_like(w), exp_avg_sq=np.zeros_like(w))
            if group["amsgrad"]:
                state["max_exp_avg_sq"] = np.zeros_like(w)
        state["step"] += 1
        b1, b2 = group["betas"]
        m, v = state["exp_avg"], state["exp_avg_sq"]
        m += (g - m) * (1 - b1)
        v *= b2
        v += (g * g) * (1 - b2)
        if group["amsgrad"]:
            np.maximum(state["max_exp_avg_sq"], v, out=state["max_exp_avg_sq"])
            v = state["max_exp_avg_sq"]
        step = state["step"]
        scale = np.sqrt(v)
        scale /= math.sqrt(1 - b2**step)
        scale += group["eps"]
        np.divide(m, scale, out=scale)
        scale *= group["lr"] / (1 - b1**step)
        w -= scale
