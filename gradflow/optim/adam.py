"""Adam and AdamW."""

from __future__ import annotations

import math
from typing import Any

from .optimizer import Optimizer
from .options import approach, check_betas, check_hints, direction, mean_square, not_negative, shrink


class Adam(Optimizer):
    """w -= lr * m / (sqrt(v) + eps), with running means m of g and v of g^2, corrected for their start at 0.

    weight_decay adds that much of w to g, or with decoupled_weight_decay shrinks w itself as in AdamW; amsgrad uses the
    largest v so far (Kingma and Ba, 2015; Reddi et al., 2018). foreach, fused and capturable change nothing.
    """

    kernel = "adam_step"
    decoupled = False

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[Any, Any] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        name = type(self).__name__
        not_negative(name, lr=lr, eps=eps, weight_decay=weight_decay)
        check_hints(name, differentiable, foreach, fused)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": check_betas(name, betas),
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
                "decoupled_weight_decay": decoupled_weight_decay or self.decoupled,
            },
        )

    def update(self, np: Any, w: Any, g: Any, group: dict[str, Any], state: dict[str, Any]) -> None:
        decoupled = self.shrinks(group)
        g = direction(w, g, group, decay=not decoupled)
        if decoupled:
            shrink(w, group)
        if not state:
            state.update(self.start(np, w, group))
        state["step"] += 1
        b1, b2 = group["betas"]
        m, v = state["exp_avg"], state["exp_avg_sq"]
        approach(m, g, 1 - b1)
        mean_square(v, g, b2)
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

    def shrinks(self, group: dict[str, Any]) -> bool:
        """Whether weight decay shrinks w itself."""
        return self.decoupled or bool(group["decoupled_weight_decay"])

    def start(self, np: Any, w: Any, group: dict[str, Any]) -> dict[str, Any]:
        """The state before the first step."""
        return {"step": 0, **{name: np.zeros_like(w) for name in _means(group)}}

    def phase(self, state: dict[str, Any]) -> Any:
        return int(state["step"]) if state else 0

    def update_together(self, launch: Any, np: Any, ws: Any, gs: Any, group: Any, states: Any) -> bool:
        begun = [state or self.start(np, w, group) for w, state in zip(ws, states, strict=True)]
        step, (b1, b2) = self.phase(begun[0]) + 1, group["betas"]
        names = _means(group)
        decay, decoupled = group["weight_decay"], self.shrinks(group)
        done: bool = launch(
            *ws, *gs, *[state[name] for name in names for state in begun],
            arrays=2 + len(names), maximize=bool(group["maximize"]), step_size=group["lr"] / (1 - b1**step),
            correction=math.sqrt(1 - b2**step), rest1=1 - b1, b2=b2, rest2=1 - b2, eps=group["eps"],
            decay=0.0 if decoupled else decay, keep=1 - group["lr"] * decay if decoupled else 1.0,
        )  # fmt: skip
        if done:
            for state, new in zip(states, begun, strict=True):
                state.update(new, step=step)
        return done


def _means(group: dict[str, Any]) -> tuple[str, ...]:
    """The names of the state's arrays."""
    return ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")[: 3 if group["amsgrad"] else 2]


class AdamW(Adam):
    """Adam whose weight decay shrinks w itself, by the factor 1 - lr * weight_decay (Loshchilov and Hutter, 2019)."""

    decoupled = True

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[Any, Any] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, foreach=foreach, maximize=maximize, capturable=capturable,
            differentiable=differentiable, fused=fused,
        )  # fmt: skip
