"""Adagrad and Adadelta."""

from __future__ import annotations

from typing import Any

from .optimizer import Optimizer
from .options import check_hints, direction, mean_square, not_negative


class Adagrad(Optimizer):
    """w -= lr / (1 + t lr_decay) * g / (sqrt(s) + eps), with the sum s of all g^2 and t steps before.

    s begins at initial_accumulator_value; weight_decay adds that much of w to g (Duchi et al., 2011).
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        start = initial_accumulator_value
        not_negative("Adagrad", lr=lr, lr_decay=lr_decay, weight_decay=weight_decay, eps=eps)
        not_negative("Adagrad", initial_accumulator_value=start)
        check_hints("Adagrad", differentiable, foreach, fused)
        options = {"lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, {**options, "initial_accumulator_value": start, "maximize": maximize})

    def update(self, np: Any, w: Any, g: Any, group: dict[str, Any], state: dict[str, Any]) -> None:
        g = direction(w, g, group)
        if not state:
            state.update(step=0, sum=np.full_like(w, self.defaults["initial_accumulator_value"]))
        s, rate = state["sum"], group["lr"] / (1 + state["step"] * group["lr_decay"])
        state["step"] += 1
        scale = g * g
        s += scale
        np.sqrt(s, out=scale)
        scale += group["eps"]
        np.divide(g, scale, out=scale)
        scale *= rate
        w -= scale


class Adadelta(Optimizer):
    """w -= lr * d, d = g sqrt(u + eps) / sqrt(v + eps), with the running means v of g^2 and u of d^2.

    Both forget at the rate 1 - rho; weight_decay adds that much of w to g (Zeiler, 2012).
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        not_negative("Adadelta", lr=lr, eps=eps, weight_decay=weight_decay)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"[Adadelta] rho must be in [0, 1], got {rho}")
        check_hints("Adadelta", differentiable)
        super().__init__(params, {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize})

    def update(self, np: Any, w: Any, g: Any, group: dict[str, Any], state: dict[str, Any]) -> None:
        g = direction(w, g, group)
        if not state:
            state.update(step=0, square_avg=np.zeros_like(w), acc_delta=np.zeros_like(w))
        state["step"] += 1
        v, u, eps = state["square_avg"], state["acc_delta"], group["eps"]
        mean_square(v, g, group["rho"])
        std = v + eps
        np.sqrt(std, out=std)
        d = u + eps
        np.sqrt(d, out=d)
        d /= std
        d *= g
        mean_square(u, d, group["rho"])
        d *= group["lr"]
        w -= d
