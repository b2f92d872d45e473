"""Lion."""

from __future__ import annotations

from typing import Any

from .optimizer import Optimizer
from .options import approach, check_betas, check_hints, direction, not_negative, shrink


class Lion(Optimizer):
    """w -= lr * (sign(b1 m + (1 - b1) g) + weight_decay w), then m = b2 m + (1 - b2) g (Chen et al., 2023).

    Every element moves by lr, so that lr should be 3 to 10 times smaller than AdamW's, weight_decay as much larger.
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        not_negative("Lion", lr=lr, weight_decay=weight_decay)
        check_hints("Lion", differentiable, foreach, fused)
        options = {"lr": lr, "betas": check_betas("Lion", betas), "weight_decay": weight_decay}
        super().__init__(params, {**options, "maximize": maximize})

    def update(self, np: Any, w: Any, g: Any, group: dict[str, Any], state: dict[str, Any]) -> None:
        g = direction(w, g, group, decay=False)
        if not state:
            state["exp_avg"] = np.zeros_like(w)
        (b1, b2), m = group["betas"], state["exp_avg"]
        shrink(w, group)
        way = g - m
        way *= 1 - b1
        way += m
        np.sign(way, out=way)
        way *= group["lr"]
        w -= way
        approach(m, g, 1 - b2)
